//! The contract, on every store.

use std::ops::ControlFlow;
use std::sync::Arc;

use ipfs_kit_blockstore::cid::Version;
use ipfs_kit_blockstore::hash::{HashFunction, HashSpec};
use ipfs_kit_blockstore::store::disk::Folder;
use ipfs_kit_blockstore::store::{
    BlockStore, Deletion, Guard, MemoryOptions, Position, PutReport, SegmentOptions, StoreError,
};
use ipfs_kit_blockstore::{Block, codec};

use crate::support::*;

/// Runs a check on each kind of store.
fn on_all(check: impl Fn(&BlockStore)) {
    check(&BlockStore::memory(MemoryOptions::default()));
    check(&open(&empty_disk(), &tiny()).unwrap());
    check(&open(&empty_disk().with_alignment(512), &tiny()).unwrap());
    let threads = SegmentOptions {
        background: true,
        ..tiny()
    };
    check(&open(&empty_disk().with_alignment(512), &threads).unwrap());
    let dir = tempfile::tempdir().unwrap();
    check(&BlockStore::open(&dir.path().join("blocks"), tiny()).unwrap());
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    check(&BlockStore::open(&dir.path().join("blocks"), SegmentOptions::default()).unwrap());
}

fn some_blocks(count: u64) -> Vec<Block> {
    let mut random = Random::new(count);
    (0..count)
        .map(|n| random_block(&mut random, (n * 37 % 700) as usize))
        .collect()
}

#[test]
fn puts_are_visible_at_once_and_counted_once() {
    on_all(|store| {
        let blocks = some_blocks(50);
        let report = store.put_many(&blocks).unwrap();
        let bytes = blocks.iter().map(|block| block.data().len() as u64).sum();
        assert_eq!(
            report,
            PutReport {
                new_blocks: 50,
                new_bytes: bytes
            }
        );
        for block in &blocks {
            assert!(store.has(block.cid().hash()).unwrap());
            assert_eq!(
                store.get(block.cid().hash()).unwrap().as_ref(),
                Some(block.data())
            );
            let info = store.info(block.cid().hash()).unwrap().unwrap();
            assert_eq!((info.len as usize, info.leaf), (block.data().len(), true));
        }
        assert_eq!(store.put_many(&blocks).unwrap(), PutReport::default());
        store.sync().unwrap();
        let stats = store.stats();
        assert_eq!(
            (stats.blocks, stats.bytes, stats.quarantined),
            (50, bytes, 0)
        );
        let other = raw("other");
        assert!(!store.has(other.cid().hash()).unwrap());
        assert_eq!(store.get(other.cid().hash()).unwrap(), None);
        assert_eq!(store.info(other.cid().hash()).unwrap(), None);
    });
}

#[test]
fn what_is_at_hand_is_what_was_put() {
    on_all(|store| {
        let mut random = Random::new(9);
        let blocks: Vec<Block> = [0, 1, 1_000, 60_000]
            .map(|length| random_block(&mut random, length))
            .into();
        store.put_many(&blocks).unwrap();
        // Whether it is at hand is up to the system; in memory it is, see below.
        let look = || {
            for block in &blocks {
                if let Some(data) = store.at_hand(block.cid().hash()) {
                    assert_eq!(&data, block.data());
                }
            }
        };
        look();
        store.sync().unwrap();
        for block in &blocks {
            assert!(store.get(block.cid().hash()).unwrap().is_some());
        }
        look();
        assert_eq!(store.at_hand(raw("other").cid().hash()), None);
        let hashes: Vec<_> = blocks.iter().map(|block| block.cid().hash()).collect();
        store
            .delete_many(&hashes.into_iter().cloned().collect::<Vec<_>>())
            .unwrap();
        for block in &blocks {
            assert_eq!(store.at_hand(block.cid().hash()), None);
        }
    });
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let on_tmpfs = BlockStore::open(&dir.path().join("blocks"), SegmentOptions::default()).unwrap();
    for store in [BlockStore::memory(MemoryOptions::default()), on_tmpfs] {
        let mut random = Random::new(10);
        let blocks = [0, 1, 1_000, 60_000].map(|length| random_block(&mut random, length));
        store.put_many(&blocks).unwrap();
        store.sync().unwrap();
        for block in &blocks {
            // A file is opened by the first who can wait.
            store.get(block.cid().hash()).unwrap();
            let data = store.at_hand(block.cid().hash());
            assert_eq!(data.as_ref(), Some(block.data()));
        }
    }
}

#[test]
fn a_block_twice_in_a_batch_is_stored_once() {
    on_all(|store| {
        let block = raw("twice");
        let other = with_codec(&block, codec::CBOR);
        let report = store
            .put_many(&[block.clone(), block.clone(), other])
            .unwrap();
        assert_eq!(
            report,
            PutReport {
                new_blocks: 1,
                new_bytes: 5
            }
        );
        assert_eq!(store.stats().blocks, 1);
        assert_eq!(
            store.delete_many(&[hash(&block), hash(&block)]).unwrap(),
            [Deletion::Deleted, Deletion::NotFound]
        );
        assert_eq!(store.stats().blocks, 0);
    });
}

#[test]
fn deletes_take_blocks_away_and_puts_bring_them_back() {
    on_all(|store| {
        let blocks = some_blocks(40);
        store.put_many(&blocks).unwrap();
        let hashes: Vec<_> = blocks.iter().step_by(2).map(hash).collect();
        assert_eq!(
            store.delete_many(&hashes).unwrap(),
            vec![Deletion::Deleted; 20]
        );
        assert_eq!(
            store.delete_many(&hashes).unwrap(),
            vec![Deletion::NotFound; 20]
        );
        for (number, block) in blocks.iter().enumerate() {
            assert_eq!(store.has(block.cid().hash()).unwrap(), number % 2 == 1);
        }
        assert_eq!(store.put_many(&blocks).unwrap().new_blocks, 20);
        for block in &blocks {
            assert_eq!(
                store.get(block.cid().hash()).unwrap().as_ref(),
                Some(block.data())
            );
        }
        assert_eq!(store.stats().blocks, 40);
    });
}

#[test]
fn identity_blocks_are_answered_and_never_stored() {
    on_all(|store| {
        let identity = HashSpec::new(HashFunction::IDENTITY, None).unwrap();
        let block = Block::new(Version::V1, codec::RAW, identity, "inline".into()).unwrap();
        assert_eq!(
            store.put_many(&[block.clone()]).unwrap(),
            PutReport::default()
        );
        assert!(store.has(block.cid().hash()).unwrap());
        assert_eq!(
            &store.get(block.cid().hash()).unwrap().unwrap()[..],
            b"inline"
        );
        let info = store.info(block.cid().hash()).unwrap().unwrap();
        assert_eq!((info.len, info.position), (6, Position::MAX));
        assert_eq!(store.stats().blocks, 0);
        assert_eq!(
            store.delete_many(&[hash(&block)]).unwrap(),
            [Deletion::NotFound]
        );
        assert!(store.guard().touch(block.cid().hash()).unwrap());
    });
}

#[test]
fn every_hash_function_can_name_a_block() {
    on_all(|store| {
        let mut blocks = Vec::new();
        for function in HashFunction::all().filter(|it| *it != HashFunction::IDENTITY) {
            let spec = HashSpec::new(function, None).unwrap();
            blocks.push(Block::new(Version::V1, codec::RAW, spec, "named".into()).unwrap());
        }
        store.put_many(&blocks).unwrap();
        assert_eq!(store.stats().blocks, blocks.len() as u64);
        for block in &blocks {
            assert_eq!(
                &store.get(block.cid().hash()).unwrap().unwrap()[..],
                b"named"
            );
        }
    });
}

#[test]
fn lists_every_block_once_in_pages() {
    on_all(|store| {
        let blocks = some_blocks(300);
        for part in blocks.chunks(7) {
            store.put_many(part).unwrap();
        }
        let dead: Vec<_> = blocks.iter().step_by(3).map(hash).collect();
        store.delete_many(&dead).unwrap();
        let expected: std::collections::BTreeSet<Vec<u8>> = blocks
            .iter()
            .map(hash)
            .filter(|it| !dead.contains(it))
            .map(|it| it.to_bytes())
            .collect();
        for limit in [1, 7, 64, 100, 1_000] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = store.list(after.as_ref(), limit).unwrap();
                assert!(page.len() <= limit);
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                seen.extend(page);
            }
            assert_eq!(seen.len(), expected.len());
            let set: std::collections::BTreeSet<_> =
                seen.iter().map(|(hash, _)| hash.to_bytes()).collect();
            assert_eq!(set, expected);
            for (hash, info) in &seen {
                assert_eq!(store.info(hash).unwrap().as_ref(), Some(info));
            }
        }
        assert_eq!(store.blocks().count(), expected.len());
        assert!(store.list(None, 0).unwrap().is_empty());
    });
}

#[test]
fn parents_are_exact() {
    on_all(|store| {
        let leaves = some_blocks(30);
        let nodes: Vec<Block> = leaves.chunks(3).map(node).collect();
        let shared = node(&leaves[..5]);
        let root = node(&nodes);
        store.put_many(&leaves).unwrap();
        store.put_many(&nodes).unwrap();
        store.put_many(&[root.clone(), shared.clone()]).unwrap();
        let parents = |of: &Block| {
            let mut parents = store.parents(of.cid().hash()).unwrap();
            parents.sort();
            parents
        };
        let sorted = |mut hashes: Vec<_>| {
            hashes.sort();
            hashes
        };
        assert_eq!(
            parents(&leaves[0]),
            sorted(vec![hash(&nodes[0]), hash(&shared)])
        );
        assert_eq!(parents(&leaves[29]), [hash(&nodes[9])]);
        assert_eq!(parents(&nodes[4]), [hash(&root)]);
        assert_eq!(parents(&root), []);
        assert!(!store.info(root.cid().hash()).unwrap().unwrap().leaf);
        store.delete_many(&[hash(&shared)]).unwrap();
        assert_eq!(parents(&leaves[0]), [hash(&nodes[0])]);
        store.put_many(&[shared.clone()]).unwrap();
        assert_eq!(
            parents(&leaves[0]),
            sorted(vec![hash(&nodes[0]), hash(&shared)])
        );
        store.delete_many(&[hash(&leaves[0])]).unwrap();
        assert_eq!(
            parents(&leaves[0]).len(),
            2,
            "a parent is one without its child too"
        );
    });
}

#[test]
fn parents_are_known_after_a_compaction_and_an_opening() {
    let disk = empty_disk();
    let options = SegmentOptions {
        merge_after: 1_000,
        ..tiny()
    };
    let store = open(&disk, &options).unwrap();
    let (dead, leaf) = (raw(vec![1; 900]), raw("leaf"));
    let parent = node(std::slice::from_ref(&leaf));
    store
        .put_many(&[dead.clone(), leaf.clone(), parent.clone()])
        .unwrap();
    store.sync().unwrap();
    store.close().unwrap();
    let store = open(&disk, &options).unwrap();
    store.delete_many(&[hash(&dead)]).unwrap();
    assert!(store.compact(0.1).unwrap().moved_bytes > 0);
    store.close().unwrap();
    let store = open(&disk, &options).unwrap();
    assert_eq!(store.parents(leaf.cid().hash()).unwrap(), [hash(&parent)]);
}

#[test]
fn a_leaf_under_one_codec_may_have_links_under_another() {
    on_all(|store| {
        let child = raw("child");
        let parent = node(&[child.clone()]);
        store
            .put_many(&[child.clone(), with_codec(&parent, codec::RAW)])
            .unwrap();
        let info = store.info(parent.cid().hash()).unwrap().unwrap();
        assert!(info.leaf && info.is_leaf_as(codec::RAW) && !info.is_leaf_as(codec::DAG_PB));
        assert!(store.parents(child.cid().hash()).unwrap().is_empty());
        assert_eq!(
            store.put_many(&[parent.clone()]).unwrap(),
            PutReport::default()
        );
        assert_eq!(store.parents(child.cid().hash()).unwrap(), [hash(&parent)]);
        assert!(
            !store
                .info(parent.cid().hash())
                .unwrap()
                .unwrap()
                .is_leaf_as(codec::DAG_PB)
        );
        assert_eq!(store.stats().blocks, 2);
    });
}

#[test]
fn a_sweep_leaves_what_is_newer_and_what_guards_hold() {
    on_all(|store| {
        let old = some_blocks(20);
        store.put_many(&old).unwrap();
        let early = store.guard();
        let newer = raw("put before the sweep, by a guard older than it");
        early.put_many(&[newer.clone()]).unwrap();
        let sweep = store.sweep();
        let touched = store.guard();
        assert!(touched.touch(old[0].cid().hash()).unwrap());
        assert_eq!(touched.put_many(&old[1..2]).unwrap(), PutReport::default());
        let newest = raw("put during the sweep");
        store.put_many(&[newest.clone()]).unwrap();
        drop((early, touched));
        let all: Vec<_> = store.blocks().map(|it| it.unwrap()).collect();
        let victims: Vec<_> = all
            .iter()
            .map(|(hash, info)| (hash.clone(), info.position))
            .collect();
        let gone = sweep.delete(&victims).unwrap();
        sweep.finish().unwrap();
        assert_eq!(
            gone.iter().filter(|it| **it == Deletion::Deleted).count(),
            18
        );
        for block in [&old[0], &old[1], &newer, &newest] {
            assert_eq!(
                store.get(block.cid().hash()).unwrap().as_ref(),
                Some(block.data())
            );
        }
        assert!(!store.has(old[2].cid().hash()).unwrap());
        let sweep = store.sweep();
        assert_eq!(
            sweep
                .delete(&victims)
                .unwrap()
                .iter()
                .filter(|it| **it == Deletion::Deleted)
                .count(),
            4
        );
        drop(sweep);
        assert_eq!(store.stats().blocks, 0);
    });
}

#[test]
fn a_delete_at_another_position_is_refused() {
    on_all(|store| {
        let block = raw("again");
        store.put_many(&[block.clone()]).unwrap();
        let position = store.info(block.cid().hash()).unwrap().unwrap().position;
        store.delete_many(&[hash(&block)]).unwrap();
        store.put_many(&[block.clone(), raw("after")]).unwrap();
        assert!(store.info(block.cid().hash()).unwrap().unwrap().position > position);
        let sweep = store.sweep();
        assert_eq!(
            sweep.delete(&[(hash(&block), position)]).unwrap(),
            [Deletion::NotFound]
        );
        sweep.finish().unwrap();
        assert!(store.has(block.cid().hash()).unwrap());
    });
}

#[test]
fn deletes_on_request_respect_guards() {
    on_all(|store| {
        let (kept, free) = (raw("kept"), raw("free"));
        store.put_many(&[kept.clone(), free.clone()]).unwrap();
        let guard: Guard = store.guard();
        assert!(guard.touch(kept.cid().hash()).unwrap());
        assert!(!guard.touch(raw("absent").cid().hash()).unwrap());
        let hashes = [hash(&kept), hash(&free)];
        assert_eq!(
            store.delete_many(&hashes).unwrap(),
            [Deletion::InUse, Deletion::Deleted]
        );
        drop(guard);
        assert_eq!(
            store.delete_many(&hashes).unwrap(),
            [Deletion::Deleted, Deletion::NotFound]
        );
    });
}

#[test]
fn verify_reads_everything_and_finds_lies() {
    on_all(|store| {
        let mut blocks = some_blocks(60);
        let lie = Block::trusted(raw("truth").into_parts().0, "lie".into());
        blocks.push(lie.clone());
        store.put_many(&blocks).unwrap();
        let mut bad = Vec::new();
        let report = store
            .verify(&mut |hash, sound| {
                if !sound {
                    bad.push(hash.clone());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!((report.blocks, report.bad, bad), (61, 1, vec![hash(&lie)]));
        assert_eq!(store.stats().quarantined, 1);
        assert_eq!(store.quarantined().unwrap(), [hash(&lie)]);
        assert!(!store.has(lie.cid().hash()).unwrap());
        assert!(matches!(
            store.get(lie.cid().hash()),
            Err(StoreError::Corrupt { .. })
        ));
        store.put_many(&[raw("truth")]).unwrap();
        assert_eq!(&store.get(lie.cid().hash()).unwrap().unwrap()[..], b"truth");
        assert_eq!((store.stats().quarantined, store.stats().blocks), (0, 61));
        let mut seen = 0;
        let (mut after, mut steps) = (None, 0);
        loop {
            let step = store.scrub_step(after.as_ref(), 1_000).unwrap();
            seen += step.report.blocks;
            steps += 1;
            assert_eq!(step.report.bad, 0);
            after = step.next;
            if after.is_none() {
                break;
            }
        }
        assert!(seen == 61 && steps > 3, "{seen} {steps}");
    });
}

#[test]
fn limits_are_errors() {
    on_all(|store| {
        let large = raw(vec![7; 5 << 20]);
        let refused = store.put_many(&[raw("small"), large]);
        assert!(matches!(refused, Err(StoreError::BlockTooLarge { .. })));
        assert_eq!(store.stats().blocks, 0);
        store.put_many(&[]).unwrap();
        store.delete_many(&[]).unwrap();
        store.close().unwrap();
        store.close().unwrap();
        assert!(matches!(
            store.put_many(&[raw("late")]),
            Err(StoreError::Closed)
        ));
    });
}

#[test]
fn quota_refuses_before_anything_is_stored() {
    let memory = MemoryOptions {
        max_bytes: Some(10_000),
    };
    let options = SegmentOptions {
        max_bytes: Some(10_000),
        reserve: 0,
        merge_after: 1_000,
        ..tiny()
    };
    for store in [
        BlockStore::memory(memory),
        open(&empty_disk(), &options).unwrap(),
    ] {
        let mut random = Random::new(4);
        let blocks: Vec<Block> = (0..40).map(|_| random_block(&mut random, 400)).collect();
        let mut stored = 0;
        let error = loop {
            match store.put_many(&blocks[stored..stored + 2]) {
                Ok(report) => stored += report.new_blocks as usize,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, StoreError::StorageFull { limit: 10_000, .. }),
            "{error}"
        );
        assert!((12..=25).contains(&stored), "{stored}");
        assert_eq!(store.stats().blocks, stored as u64);
        assert!(store.has(blocks[0].cid().hash()).unwrap());
        assert!(!store.has(blocks[stored].cid().hash()).unwrap());
        assert_eq!(
            store.put_many(&blocks[..stored]).unwrap(),
            PutReport::default()
        );
        let hashes: Vec<_> = blocks[..stored].iter().map(hash).collect();
        store.delete_many(&hashes).unwrap();
        store.compact(0.0).unwrap();
        store.put_many(&blocks[stored..stored + 2]).unwrap();
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockStore::open(dir.path(), tiny()).unwrap();
    let second = BlockStore::open(dir.path(), tiny());
    assert!(matches!(second, Err(StoreError::Locked { .. })));
    drop(store);
    BlockStore::open(dir.path(), tiny()).unwrap();
}

#[test]
fn a_file_in_the_way_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("blocks");
    std::fs::write(&path, b"not a directory").unwrap();
    let error = BlockStore::open(&path, tiny()).unwrap_err();
    assert!(error.to_string().contains("blocks"), "{error}");
    let bad = SegmentOptions {
        segment_size: 1,
        ..tiny()
    };
    assert!(matches!(
        BlockStore::open_on(Arc::new(Folder::new(dir.path(), true)), bad),
        Err(StoreError::Option {
            option: "segment_size",
            ..
        })
    ));
}
