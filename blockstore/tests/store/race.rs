//! Threads that put, touch, sweep, delete, compact and read at once. What a guard holds must be
//! there until the guard goes, and what is read must be right.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::store::{BlockStore, MemoryOptions, SegmentOptions, StoreError};

use crate::support::*;

#[test]
fn guards_hold_against_sweeps_deletes_and_compaction() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let options = SegmentOptions {
        segment_size: 64 << 10,
        merge_after: 300,
        background: true,
        ..SegmentOptions::default()
    };
    let seed = seed(21);
    eprintln!("STORE_SEED={seed}");
    stress(
        &BlockStore::memory(MemoryOptions::default()),
        seed,
        Duration::from_millis(500),
    );
    let aligned = SegmentOptions {
        staging: 2_048,
        ..options.clone()
    };
    let disk = empty_disk().without_record().with_alignment(512);
    stress(
        &open(&disk, &aligned).unwrap(),
        seed,
        Duration::from_secs(effort()),
    );
    let store = BlockStore::open(dir.path(), options.clone()).unwrap();
    stress(&store, seed, Duration::from_secs(4 * effort()));
    let before: Vec<_> = store.blocks().map(|it| it.unwrap().0).collect();
    assert_eq!(
        before.len() as u64,
        store.stats().blocks,
        "STORE_SEED={seed}"
    );
    store.close().unwrap();
    drop(store);
    let store = BlockStore::open(dir.path(), options).unwrap();
    let after: Vec<_> = store.blocks().map(|it| it.unwrap().0).collect();
    assert_eq!(before, after, "STORE_SEED={seed}: after opening again");
    let report = store
        .verify(&mut |_, _| std::ops::ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(report.bad, 0, "STORE_SEED={seed}");
}

fn stress(store: &BlockStore, seed: u64, time: Duration) {
    let mut random = Random::new(seed);
    let pool: Vec<Block> = (0..400)
        .map(|_| {
            let len = 50 + random.below(900) as usize;
            random_block(&mut random, len)
        })
        .collect();
    let (stop, steps) = (AtomicBool::new(false), AtomicU64::new(0));
    let slowest = AtomicU64::new(0);
    thread::scope(|scope| {
        let (stop, pool) = (&stop, &pool);
        let running = move || !stop.load(Ordering::Relaxed);
        for number in 0..3 {
            let (steps, slowest) = (&steps, &slowest);
            scope.spawn(move || {
                let mut random = Random::new(seed ^ (number + 1) << 32);
                while running() {
                    let started = Instant::now();
                    hold(store, pool, &mut random);
                    let took = started.elapsed().as_millis() as u64;
                    slowest.fetch_max(took, Ordering::Relaxed);
                    steps.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(move || {
            let mut random = Random::new(seed ^ 0x5eeb);
            while running() {
                sweep_some(store, &mut random);
            }
        });
        scope.spawn(move || {
            let mut random = Random::new(seed ^ 0xde1);
            while running() {
                let hashes: Vec<_> = (0..10)
                    .map(|_| hash(&pool[random.below(400) as usize]))
                    .collect();
                store.delete_many(&hashes).unwrap();
                if random.below(4) == 0 {
                    store.compact(0.3).unwrap();
                }
            }
        });
        scope.spawn(move || {
            let mut random = Random::new(seed ^ 0x6e7);
            while running() {
                let block = &pool[random.below(400) as usize];
                if let Some(data) = store.get(block.cid().hash()).unwrap() {
                    assert_eq!(&data, block.data(), "STORE_SEED={seed}");
                }
            }
        });
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    let (steps, slowest) = (steps.into_inner(), slowest.into_inner());
    eprintln!("race: {steps} guarded batches, slowest {slowest} ms");
    assert!(steps > 10, "STORE_SEED={seed}: only {steps} batches");
}

/// Puts and touches through a guard; all of it must stay there.
fn hold(store: &BlockStore, pool: &[Block], random: &mut Random) {
    let guard = store.guard();
    let batch: Vec<Block> = (0..8)
        .map(|_| pool[random.below(pool.len() as u64) as usize].clone())
        .collect();
    guard.put_many(&batch).unwrap();
    let other = &pool[random.below(pool.len() as u64) as usize];
    let touched = guard.touch(other.cid().hash()).unwrap();
    for _ in 0..3 {
        for block in &batch {
            let got = store.get(block.cid().hash()).unwrap();
            assert_eq!(got.as_ref(), Some(block.data()), "a guarded block is gone");
        }
        if touched {
            assert!(
                store.has(other.cid().hash()).unwrap(),
                "a touched block is gone"
            );
        }
    }
    if random.below(4) == 0 {
        store.sync().unwrap();
    }
}

fn sweep_some(store: &BlockStore, random: &mut Random) {
    let sweep = store.sweep();
    let victims: Result<Vec<_>, StoreError> = store
        .blocks()
        .filter(|_| random.below(2) == 0)
        .map(|item| item.map(|(hash, info)| (hash, info.position)))
        .collect();
    sweep.delete(&victims.unwrap()).unwrap();
    sweep.finish().unwrap();
}
