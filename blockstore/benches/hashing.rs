//! Hash throughput: `sha256_many` against `sha2` block by block, at the sizes that the importer
//! hashes, and the other functions of `--hash`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipfs_kit_blockstore::hash::{HashFunction, HashSpec, sha256_many};
use sha2::{Digest, Sha256};

fn sha256(c: &mut Criterion) {
    let mut group = c.benchmark_group("sha2-256");
    for (len, count) in [
        (64, 256),
        (1 << 10, 64),
        (8 << 10, 32),
        (256 << 10, 8),
        (1 << 20, 4),
    ] {
        let data: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; len]).collect();
        let blocks: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        group.throughput(Throughput::Bytes((len * count) as u64));
        group.bench_function(BenchmarkId::new("many", len), |b| {
            b.iter(|| sha256_many(black_box(&blocks)));
        });
        group.bench_function(BenchmarkId::new("one by one", len), |b| {
            b.iter(|| -> Vec<[u8; 32]> {
                black_box(&blocks)
                    .iter()
                    .map(|block| Sha256::digest(block).into())
                    .collect()
            });
        });
    }
    group.finish();
}

fn functions(c: &mut Criterion) {
    let data = vec![0x5a; 256 << 10];
    let mut group = c.benchmark_group("256 KiB");
    group.throughput(Throughput::Bytes(data.len() as u64));
    for name in [
        "sha2-512",
        "sha3-256",
        "keccak-256",
        "blake2b-256",
        "blake2s-256",
        "blake3",
        "sha1",
    ] {
        let Ok(function) = HashFunction::from_name(name) else {
            continue;
        };
        let spec = HashSpec::from(function);
        group.bench_function(name, |b| b.iter(|| spec.digest(black_box(&data))));
    }
    group.finish();
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! { name = hashing; config = config(); targets = sha256, functions }
criterion_main!(hashing);
