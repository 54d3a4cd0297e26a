//! Speed of the chunkers: cuts per stream, nothing is hashed or copied.

use std::hint::black_box;

use chacha20::cipher::{KeyIvInit, StreamCipher};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ipfs_kit_unixfs::Chunker;

/// Bytes of input; enough for a few hundred chunks of every chunker.
const INPUT: usize = 64 << 20;

fn chunkers(c: &mut Criterion) {
    let mut input = vec![0; INPUT];
    chacha20::ChaCha20::new(&[7; 32].into(), &[0; 12].into()).apply_keystream(&mut input);

    let mut group = c.benchmark_group("chunkers");
    group
        .throughput(Throughput::Bytes(INPUT as u64))
        .sample_size(10);
    for name in [
        "size-262144",
        "buzhash",
        "rabin",
        "rabin-4096-65536-1000000",
    ] {
        let chunker: Chunker = name.parse().expect("a known chunker");
        group.bench_function(name, |b| b.iter(|| count(&chunker, black_box(&input))));
    }
    group.finish();
}

fn count(chunker: &Chunker, mut rest: &[u8]) -> usize {
    let mut splitter = chunker.splitter();
    let mut chunks = 0;
    while let Some(len) = splitter.next(rest, true) {
        rest = &rest[len..];
        chunks += 1;
    }
    chunks
}

criterion_group!(benches, chunkers);
criterion_main!(benches);
