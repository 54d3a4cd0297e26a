//! Puts and gets of the segment store, on a disk and on tmpfs.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec::RAW;
use ipfs_kit_blockstore::store::{BlockStore, SegmentOptions};
use tempfile::TempDir;

const BATCH: usize = 4 << 20;

/// The places that are measured: `STORE_BENCH_DIR` is on a disk.
fn places() -> Vec<(&'static str, TempDir)> {
    let disk = std::env::var("STORE_BENCH_DIR").unwrap_or_else(|_| "../target".into());
    let tmpfs = Path::new("/dev/shm");
    let mut places = vec![(
        "disk",
        tempfile::tempdir_in(disk).expect("a directory on a disk"),
    )];
    if tmpfs.is_dir() {
        places.push((
            "tmpfs",
            tempfile::tempdir_in(tmpfs).expect("a directory on tmpfs"),
        ));
    }
    places
}

/// Blocks with made-up hashes: hashing is not what is measured, and the store does not hash.
fn blocks(count: usize, len: usize, salt: u64) -> Vec<Block> {
    let data = bytes::Bytes::from(vec![0x5a; len]);
    let block = |number: usize| {
        let mut digest = [0; 32];
        let mut x = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
        for part in digest.as_chunks_mut::<8>().0 {
            x ^= x >> 29;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            *part = x.to_be_bytes();
        }
        Block::trusted(Cid::v1(RAW, Multihash::sha2_256(&digest)), data.clone())
    };
    (0..count).map(block).collect()
}

fn put(c: &mut Criterion) {
    let mut group = c.benchmark_group("put");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for (place, dir) in places() {
        for (name, count, len) in [("256KiB", 1_024, 256 << 10), ("1KiB", 20_000, 1 << 10)] {
            let blocks = blocks(count, len, 0);
            group.throughput(Throughput::Bytes((count * len) as u64));
            group.bench_function(format!("{name}/{place}"), |bencher| {
                bencher.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for round in 0..rounds {
                        let path = dir.path().join(format!("{name}-{round}"));
                        let started = Instant::now();
                        let store =
                            BlockStore::open(&path, SegmentOptions::default()).expect("open");
                        for batch in blocks.chunks(BATCH / len) {
                            store.put_many(batch).expect("put");
                        }
                        store.sync().expect("sync");
                        store.close().expect("close");
                        took += started.elapsed();
                        drop(store);
                        std::fs::remove_dir_all(&path).expect("remove");
                    }
                    took
                });
            });
        }
    }
}

fn get(c: &mut Criterion) {
    let mut group = c.benchmark_group("get");
    for (place, dir) in places() {
        for (name, count, len) in [("256KiB", 512, 256 << 10), ("1KiB", 200_000, 1 << 10)] {
            let path = dir.path().join(name);
            let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
            let blocks = blocks(count, len, 0);
            for batch in blocks.chunks(BATCH / len) {
                store.put_many(batch).expect("put");
            }
            store.close().expect("close");
            drop(store);
            let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
            let mut next = 0;
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(format!("{name}/{place}"), |bencher| {
                bencher.iter_batched(
                    || {
                        next = (next + 7_919) % count;
                        blocks[next].cid().hash()
                    },
                    |hash| black_box(store.get(hash).expect("get")),
                    BatchSize::SmallInput,
                );
            });
            group.bench_function(format!("info/{name}/{place}"), |bencher| {
                bencher.iter_batched(
                    || {
                        next = (next + 7_919) % count;
                        blocks[next].cid().hash()
                    },
                    |hash| black_box(store.info(hash).expect("info")),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

fn large_repo(c: &mut Criterion) {
    let mut group = c.benchmark_group("repo of 1,000,000 blocks");
    group.sample_size(10);
    for (place, dir) in places() {
        let path = dir.path().join("million");
        let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
        let started = Instant::now();
        for salt in 0..50 {
            store
                .put_many(&blocks(20_000, 64, salt << 32))
                .expect("put");
        }
        store.sync().expect("sync");
        let stats = store.stats();
        store.close().expect("close");
        drop(store);
        let index = std::fs::metadata(path.join("index.redb")).map_or(0, |meta| meta.len());
        eprintln!(
            "{place}: put in {:?}, index {index} bytes, {stats:?}",
            started.elapsed()
        );
        group.bench_function(format!("open/{place}"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let started = Instant::now();
                    let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
                    black_box(store.stats());
                    took += started.elapsed();
                }
                took
            });
        });
        let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
        let known = blocks(20_000, 64, 7 << 32);
        let mut next = 0;
        group.bench_function(format!("info/{place}"), |bencher| {
            bencher.iter(|| {
                next = (next + 7_919) % known.len();
                black_box(store.info(known[next].cid().hash()).expect("info"))
            });
        });
    }
}

fn collect(c: &mut Criterion) {
    let mut group = c.benchmark_group("collect 20,000 blocks");
    group.sample_size(10);
    for (place, dir) in places() {
        group.bench_function(place, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for round in 0..rounds {
                    let path = dir.path().join(format!("collect-{round}"));
                    let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
                    store.put_many(&blocks(20_000, 1 << 10, 0)).expect("put");
                    store.sync().expect("sync");
                    store.close().expect("close");
                    drop(store);
                    let store = BlockStore::open(&path, SegmentOptions::default()).expect("open");
                    let started = Instant::now();
                    let sweep = store.sweep();
                    let mut after = None;
                    loop {
                        let page = store.list(after.as_ref(), 4_096).expect("list");
                        let Some((last, _)) = page.last() else { break };
                        after = Some(last.clone());
                        let victims: Vec<_> = page
                            .into_iter()
                            .map(|(hash, info)| (hash, info.position))
                            .collect();
                        sweep.delete(&victims).expect("delete");
                    }
                    sweep.finish().expect("finish");
                    took += started.elapsed();
                    drop(store);
                    std::fs::remove_dir_all(&path).expect("remove");
                }
                took
            });
        });
    }
}

criterion_group!(benches, put, get, large_repo, collect);
criterion_main!(benches);
