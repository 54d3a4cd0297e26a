//! Random histories of the segment store against a sorted map.

use std::collections::BTreeMap;

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::Multihash;
use ipfs_kit_blockstore::store::{BlockStore, Deletion};

use crate::support::*;

#[test]
fn random_histories_match_a_map() {
    let first = seed(1);
    for seed in first..first + 150 * effort() {
        history(seed, 120);
    }
}

#[allow(clippy::too_many_lines, reason = "one arm for each kind of step")]
fn history(seed: u64, steps: u64) {
    eprintln!("STORE_SEED={seed}");
    let mut random = Random::new(seed);
    let alignment = [1, 512, 4_096][random.below(3) as usize];
    let disk = empty_disk().without_record().with_alignment(alignment);
    let mut options = tiny();
    options.merge_after = 4 + random.below(60) as usize;
    options.segment_size = 600 + random.below(8_000);
    let pool: Vec<Block> = (0..80)
        .map(|_| {
            let len = random.below(300) as usize;
            random_block(&mut random, len)
        })
        .collect();
    let nodes: Vec<Block> = pool.chunks(8).map(node).collect();
    let pool: Vec<Block> = pool.into_iter().chain(nodes).collect();
    let mut model: BTreeMap<Vec<u8>, Block> = BTreeMap::new();
    let mut store = open(&disk, &options).unwrap();
    for _ in 0..steps {
        let roll = random.below(20);
        match roll {
            0..=7 => {
                let count = random.below(9) as usize;
                let batch: Vec<Block> = (0..count).map(|_| pick(&mut random, &pool)).collect();
                let report = store.put_many(&batch).unwrap();
                let before = model.len();
                model.extend(
                    batch
                        .into_iter()
                        .map(|block| (hash(&block).to_bytes(), block)),
                );
                assert_eq!(report.new_blocks, (model.len() - before) as u64);
            }
            8..=11 => {
                let count = random.below(9) as usize;
                let hashes: Vec<Multihash> = (0..count)
                    .map(|_| hash(&pick(&mut random, &pool)))
                    .collect();
                for (hash, deletion) in hashes.iter().zip(store.delete_many(&hashes).unwrap()) {
                    let there = model.remove(&hash.to_bytes()).is_some();
                    assert_eq!(deletion == Deletion::Deleted, there);
                }
            }
            12..=13 => store.sync().unwrap(),
            14 => {
                store.compact(random.below(100) as f64 / 100.0).unwrap();
            }
            15..=16 => {
                store.close().unwrap();
                store = open(&disk, &options).unwrap();
            }
            17 => {
                // A killed process: what it had written is there, and nothing else happens.
                store.sync().unwrap();
                store = open(&kill(&disk, store), &options).unwrap();
                compare(&store, &model, &pool);
                store.close().unwrap();
                store = open(&disk, &options).unwrap();
            }
            18 => {
                let sweep = store.sweep();
                let mut victims = Vec::new();
                for item in store.blocks() {
                    let (hash, info) = item.unwrap();
                    if random.below(3) == 0 {
                        model.remove(&hash.to_bytes());
                        victims.push((hash, info.position));
                    }
                }
                let gone = sweep.delete(&victims).unwrap();
                assert!(gone.iter().all(|it| *it == Deletion::Deleted));
                sweep.finish().unwrap();
            }
            _ => compare(&store, &model, &pool),
        }
    }
    compare(&store, &model, &pool);
    store.close().unwrap();
    compare(&open(&disk, &options).unwrap(), &model, &pool);
}

/// A copy of the disk as it is, after which the store goes on.
fn kill(
    disk: &ipfs_kit_blockstore::store::disk::Recorded,
    store: BlockStore,
) -> ipfs_kit_blockstore::store::disk::Recorded {
    let image = disk.image();
    store.close().unwrap();
    ipfs_kit_blockstore::store::disk::Recorded::new(image)
}

fn pick(random: &mut Random, pool: &[Block]) -> Block {
    pool[random.below(pool.len() as u64) as usize].clone()
}

fn compare(store: &BlockStore, model: &BTreeMap<Vec<u8>, Block>, pool: &[Block]) {
    for block in pool {
        let there = model.contains_key(&hash(block).to_bytes());
        assert_eq!(store.has(block.cid().hash()).unwrap(), there);
        let got = store.get(block.cid().hash()).unwrap();
        assert_eq!(got.as_ref(), there.then_some(block.data()));
    }
    let listed: Vec<Multihash> = store.blocks().map(|item| item.unwrap().0).collect();
    assert_eq!(listed.len(), model.len());
    assert!(
        listed
            .iter()
            .all(|hash| model.contains_key(&hash.to_bytes()))
    );
    let stats = store.stats();
    assert_eq!(stats.blocks, model.len() as u64);
    assert_eq!(
        stats.bytes,
        model
            .values()
            .map(|block| block.data().len() as u64)
            .sum::<u64>()
    );
    for child in pool.iter().take(16) {
        let links = |block: &&Block| {
            let mut links = false;
            let codec = block.cid().codec();
            ipfs_kit_blockstore::codec::links(codec, block.data(), &mut |cid| {
                links |= cid.hash() == child.cid().hash();
            })
            .unwrap();
            links
        };
        let expected = model.values().filter(links).count();
        assert_eq!(store.parents(child.cid().hash()).unwrap().len(), expected);
    }
}
