//! Speed of building directories from all their entries.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ipfs_kit_unixfs::directory::DirectoryBuilder;
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions, FileOptions, LeafEncoder};

fn directories(c: &mut Criterion) {
    let leaf = LeafEncoder::new(&FileOptions::default());
    let (file, _) = leaf
        .leaf(b"x".as_slice().into(), true)
        .expect("a small leaf");
    let mut group = c.benchmark_group("directories");
    for entries in [10u64, 1000, 100_000, 1_000_000] {
        let fill = || {
            let options = DirectoryOptions {
                cid: CidSpec::V1,
                ..DirectoryOptions::default()
            };
            let mut builder = DirectoryBuilder::new(options);
            for i in 0..entries {
                let name = format!("file-{i:07}.txt");
                let inserted = builder.insert(name.as_bytes(), file.cid.clone(), file.tsize);
                inserted.expect("a valid name");
            }
            builder
        };
        group
            .throughput(Throughput::Elements(entries))
            .sample_size(10);
        group.bench_function(format!("{entries} entries"), |b| {
            b.iter_batched(
                fill,
                |builder| builder.finish(&mut |block| drop(black_box(block))),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, directories);
criterion_main!(benches);
