//! Disks that fail or fill up at each operation in turn, and what must hold then.

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::store::disk::{Fault, FaultKind, Recorded};
use ipfs_kit_blockstore::store::{BlockStore, Deletion, StoreError};

use crate::support::*;

/// What a workload was told.
#[derive(Default)]
struct Told {
    durable: Vec<Block>,
    gone: Vec<Block>,
    errors: Vec<StoreError>,
}

/// Puts, syncs, deletes, compacts and closes; goes on after errors, and notes what was promised.
fn work(disk: &Recorded, seed: u64) -> Told {
    let mut random = Random::new(seed);
    let mut told = Told::default();
    for _ in 0..2 {
        let store = match open(disk, &tiny()) {
            Ok(store) => store,
            Err(error) => {
                told.errors.push(error);
                continue;
            }
        };
        for _ in 0..4 {
            let blocks: Vec<Block> = (0..5)
                .map(|n| random_block(&mut random, 40 + n * 60))
                .collect();
            let put = store.put_many(&blocks).and_then(|_| store.sync());
            match put {
                Ok(()) => told.durable.extend(blocks.iter().cloned()),
                Err(error) => told.errors.push(error),
            }
            // Never told to be deleted when the answer was an error.
            let victims: Vec<Block> = told.durable.drain(..told.durable.len() / 3).collect();
            let hashes: Vec<_> = victims.iter().map(hash).collect();
            match store.delete_many(&hashes) {
                Ok(deleted) => {
                    assert!(deleted.iter().all(|it| *it == Deletion::Deleted));
                    told.gone.extend(victims);
                }
                Err(error) => told.errors.push(error),
            }
            told.errors.extend(store.compact(0.3).err());
        }
        told.errors.extend(store.close().err());
    }
    told
}

/// Everything promised holds after the disk is well again and the store opened anew.
fn holds(disk: &Recorded, told: &Told, place: &str) {
    disk.set_fault(None);
    disk.set_capacity(None);
    let store = open(disk, &tiny()).unwrap_or_else(|error| panic!("{place}: {error}"));
    for block in &told.durable {
        let got = store.get(block.cid().hash());
        let got = got.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(got.as_ref(), Some(block.data()), "{place}: lost");
    }
    for block in &told.gone {
        assert!(!store.has(block.cid().hash()).unwrap(), "{place}: back");
    }
    assert_eq!(
        store.blocks().count() as u64,
        store.stats().blocks,
        "{place}: counts"
    );
    store.put_many(&[raw("well again")]).unwrap();
    store.sync().unwrap();
    store.close().unwrap();
}

/// After so many runs without a failure, the workload does no more operations of the kind.
const QUIET: u64 = 20;

/// Fails the operations of one kind from the first on, one run each, until a run has no failure.
fn at_every_operation(kind: FaultKind, lasting: bool) -> u64 {
    let seed = seed(7);
    let (mut failed, mut quiet) = (0, 0);
    for after in 0.. {
        for alignment in [1, 512] {
            let disk = empty_disk().without_record().with_alignment(alignment);
            disk.set_fault(Some(Fault {
                after,
                kind,
                lasting,
            }));
            let told = work(&disk, seed);
            let place = format!("STORE_SEED={seed} {kind:?} {after} lasting {lasting}");
            holds(&disk, &told, &place);
            let saw = !told.errors.is_empty();
            failed += u64::from(saw);
            quiet = if saw { 0 } else { quiet + 1 };
        }
        if quiet >= QUIET {
            break;
        }
    }
    assert!(failed >= 10, "{kind:?}: only {failed} runs saw a failure");
    failed
}

#[test]
fn a_full_disk_at_every_operation_loses_nothing() {
    for lasting in [false, true] {
        let runs = at_every_operation(FaultKind::Full, lasting);
        eprintln!("no space left, lasting {lasting}: {runs} runs with errors");
    }
}

#[test]
fn a_failing_write_at_every_operation_loses_nothing() {
    for lasting in [false, true] {
        let runs = at_every_operation(FaultKind::Write, lasting);
        eprintln!("write errors, lasting {lasting}: {runs} runs with errors");
    }
}

#[test]
fn a_failing_read_at_every_operation_loses_nothing() {
    let runs = at_every_operation(FaultKind::Read, false);
    eprintln!("read errors: {runs} runs with errors");
}

#[test]
fn a_failed_sync_at_every_operation_poisons() {
    let runs = at_every_operation(FaultKind::Sync, false);
    eprintln!("failed syncs: {runs} runs with errors");
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_reads_go_on() {
    let disk = empty_disk();
    let store = open(&disk, &tiny()).unwrap();
    let (before, after) = (raw("before"), raw("after"));
    store.put_many(&[before.clone()]).unwrap();
    store.sync().unwrap();
    store.put_many(&[after.clone()]).unwrap();
    disk.set_fault(Some(Fault {
        after: 0,
        kind: FaultKind::Sync,
        lasting: false,
    }));
    assert!(matches!(store.sync(), Err(StoreError::Poisoned { .. })));
    let ops = disk.ops();
    assert!(
        matches!(store.sync(), Err(StoreError::Poisoned { .. })),
        "no second try"
    );
    assert!(matches!(
        store.put_many(&[raw("x")]),
        Err(StoreError::Poisoned { .. })
    ));
    assert!(matches!(
        store.delete_many(&[hash(&before)]),
        Err(StoreError::Poisoned { .. })
    ));
    assert!(matches!(
        store.compact(0.0),
        Err(StoreError::Poisoned { .. })
    ));
    assert_eq!(
        store.get(before.cid().hash()).unwrap().as_ref(),
        Some(before.data())
    );
    assert!(matches!(store.close(), Err(StoreError::Poisoned { .. })));
    drop(store);
    assert_eq!(disk.ops(), ops, "a poisoned store wrote");
    let store = open(&disk, &tiny()).unwrap();
    assert_eq!(
        store.get(before.cid().hash()).unwrap().as_ref(),
        Some(before.data())
    );
    store.put_many(&[after]).unwrap();
    store.sync().unwrap();
}

#[test]
fn a_full_disk_still_reads_and_deletes() {
    for alignment in [1, 512] {
        let disk = empty_disk().without_record().with_alignment(alignment);
        let options = ipfs_kit_blockstore::store::SegmentOptions {
            reserve: 8_192,
            merge_after: 10_000,
            ..tiny()
        };
        let store = open(&disk, &options).unwrap();
        let mut random = Random::new(3);
        let mut blocks = Vec::new();
        fill(&store, &mut random, &mut blocks, 20);
        disk.set_capacity(Some(disk.used() + 3_000));
        let mut durable = blocks.len();
        let error = loop {
            let block = random_block(&mut random, 500);
            if let Err(error) = store.put_many(&[block.clone()]).and_then(|_| store.sync()) {
                break error;
            }
            blocks.push(block);
            durable += 1;
        };
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
        disk.set_capacity(Some(disk.used()));
        for block in &blocks[..durable] {
            assert_eq!(
                store.get(block.cid().hash()).unwrap().as_ref(),
                Some(block.data())
            );
        }
        let sweep = store.sweep();
        let victims: Vec<_> = blocks[..20]
            .iter()
            .map(|it| {
                (
                    hash(it),
                    store.info(it.cid().hash()).unwrap().unwrap().position,
                )
            })
            .collect();
        let deleted = sweep.delete(&victims).unwrap();
        assert!(deleted.iter().all(|it| *it == Deletion::Deleted));
        let report = sweep.finish().unwrap();
        assert!(report.freed_bytes > 2_000, "{report:?}");
        let block = raw("there is space again");
        store.put_many(&[block]).unwrap();
        store.sync().unwrap();
        store.close().unwrap();
        let store = open(&disk, &options).unwrap();
        for (number, block) in blocks[..durable].iter().enumerate() {
            assert_eq!(store.has(block.cid().hash()).unwrap(), number >= 20);
        }
    }
}

/// Blocks that a crash left without a journal are found by scanning; that closing cannot tell them
/// to the journal on a full disk is no error.
#[test]
fn a_store_that_scans_opens_and_closes_on_a_full_disk() {
    let disk = empty_disk();
    let options = tiny();
    let store = open(&disk, &options).unwrap();
    let mut blocks = Vec::new();
    let mut random = Random::new(5);
    fill(&store, &mut random, &mut blocks, 3);
    let unsynced = random_block(&mut random, 500);
    store.put_many(std::slice::from_ref(&unsynced)).unwrap();
    blocks.push(unsynced);
    let crashed = Recorded::new(disk.image());
    crashed.set_capacity(Some(crashed.used()));
    for _ in 0..2 {
        let store = open(&crashed, &options).unwrap();
        for block in &blocks {
            assert!(store.has(block.cid().hash()).unwrap());
        }
        store.close().unwrap();
    }
}

/// A buffer that a thread could not write is kept and written by a later call.
#[test]
fn what_a_thread_could_not_write_is_written_later() {
    let options = ipfs_kit_blockstore::store::SegmentOptions {
        background: true,
        segment_size: 1 << 20,
        merge_after: 10_000,
        ..tiny()
    };
    let mut waited = 0;
    for after in 0..40 {
        let disk = empty_disk().without_record().with_alignment(512);
        let store = open(&disk, &options).unwrap();
        let mut random = Random::new(after);
        let mut stored = Vec::new();
        disk.set_fault(Some(Fault {
            after,
            kind: FaultKind::Full,
            lasting: true,
        }));
        let mut refused = 0;
        for _ in 0..60 {
            let len = 100 + random.below(900) as usize;
            let block = random_block(&mut random, len);
            match store.put_many(std::slice::from_ref(&block)) {
                Ok(_) => stored.push(block),
                Err(StoreError::DiskFull { .. }) => refused += 1,
                Err(error) => panic!("{after}: {error}"),
            }
        }
        assert!(refused > 0, "{after}");
        match store.sync() {
            // Nothing that was stored still waited to be written.
            Ok(()) => {}
            Err(StoreError::DiskFull { .. }) => waited += 1,
            Err(error) => panic!("{after}: {error}"),
        }
        let all_there = |store: &BlockStore| {
            for block in &stored {
                let got = store.get(block.cid().hash()).unwrap();
                assert_eq!(got.as_ref(), Some(block.data()), "{after}");
            }
        };
        all_there(&store);
        disk.set_fault(None);
        store.put_many(&[raw("more")]).unwrap();
        store.sync().unwrap();
        all_there(&store);
        let crashed = Recorded::new(disk.image());
        all_there(&open(&crashed, &options).unwrap());
    }
    assert!(
        waited > 20,
        "only {waited} runs had something left to write"
    );
}

fn fill(store: &BlockStore, random: &mut Random, blocks: &mut Vec<Block>, count: usize) {
    for _ in 0..count {
        blocks.push(random_block(random, 500));
    }
    store.put_many(blocks).unwrap();
    store.sync().unwrap();
}
