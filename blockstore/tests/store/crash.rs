//! Every crash of small histories: each prefix of what was written, with what was not synced lost,
//! kept or torn, and crashes again while that is recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::store::disk::{Image, Record, Recorded, Survives};
use ipfs_kit_blockstore::store::{BlockStore, SegmentOptions};

use crate::support::*;

/// Unsynced operations of which every subset is tried; of more, some.
const SUBSETS_MAX: usize = 8;
/// Images of one run, times the effort.
const IMAGES: u64 = 100_000;
/// Points in the recovery from a crash at which it crashes again, and images of each.
const SECOND_CRASHES: usize = 8;
const SECOND_IMAGES: usize = 4;

/// What must hold after a crash: a block is surely there, surely gone, or either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    There,
    Gone,
    Either,
}

/// A history and what was acknowledged when.
struct History {
    record: Record,
    pool: Vec<Block>,
    /// The number of operations at which it begins to hold, and the fate of each block.
    promises: Vec<(usize, BTreeMap<usize, Fate>)>,
    options: SegmentOptions,
    alignment: usize,
    seed: u64,
}

#[test]
fn nothing_acknowledged_is_lost_in_any_crash() {
    let first = seed(1);
    let (next, images) = (AtomicU64::new(first), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while images.load(Ordering::Relaxed) < IMAGES * effort() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let count = crash_everywhere(&history(seed));
                    images.fetch_add(count, Ordering::Relaxed);
                    eprintln!("STORE_SEED={seed}: {count} images");
                }
            });
        }
    });
    let (last, images) = (next.into_inner() - 1, images.into_inner());
    eprintln!("crash: seeds {first} to {last}, {images} images");
}

/// A random history on a recording disk.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
fn history(seed: u64) -> History {
    let mut random = Random::new(seed);
    let alignment = [1, 512][random.below(2) as usize];
    let disk = empty_disk().with_alignment(alignment);
    let options = SegmentOptions {
        segment_size: 700 + random.below(2_000),
        merge_after: 6 + random.below(20) as usize,
        ..tiny()
    };
    let mut pool: Vec<Block> = (0..14)
        .map(|n| random_block(&mut random, 20 + n * 23))
        .collect();
    pool.push(node(&pool[..3]));
    pool.push(node(&pool[2..9]));
    let mut fates: BTreeMap<usize, Fate> = (0..pool.len()).map(|at| (at, Fate::Gone)).collect();
    let mut promises = vec![(0, fates.clone())];
    let mut store = open(&disk, &options).unwrap();
    // Present for readers, durable or not.
    let mut live: BTreeSet<usize> = BTreeSet::new();
    for _ in 0..26 {
        match random.below(12) {
            0..=4 => {
                let picked: Vec<usize> = (0..1 + random.below(3))
                    .map(|_| random.below(pool.len() as u64) as usize)
                    .collect();
                for at in &picked {
                    if live.insert(*at) {
                        fates.insert(*at, Fate::Either);
                    }
                }
                promises.push((disk.ops(), fates.clone()));
                let batch: Vec<Block> = picked.iter().map(|at| pool[*at].clone()).collect();
                store.put_many(&batch).unwrap();
            }
            5..=6 => {
                store.sync().unwrap();
                fates.extend(live.iter().map(|at| (*at, Fate::There)));
                promises.push((disk.ops(), fates.clone()));
            }
            7..=8 => {
                let picked: Vec<usize> = (0..1 + random.below(3))
                    .map(|_| random.below(pool.len() as u64) as usize)
                    .collect();
                for at in &picked {
                    if live.remove(at) {
                        fates.insert(*at, Fate::Either);
                    }
                }
                promises.push((disk.ops(), fates.clone()));
                let hashes: Vec<_> = picked.iter().map(|at| hash(&pool[*at])).collect();
                store.delete_many(&hashes).unwrap();
                fates.extend(picked.iter().map(|at| (*at, Fate::Gone)));
                promises.push((disk.ops(), fates.clone()));
            }
            9 => drop(store.compact(random.below(60) as f64 / 100.0).unwrap()),
            10 => {
                let sweep = store.sweep();
                let mut victims = Vec::new();
                for item in store.blocks() {
                    let (hash, info) = item.unwrap();
                    if random.below(2) == 0 {
                        let at = pool.iter().position(|it| it.cid().hash() == &hash).unwrap();
                        live.remove(&at);
                        fates.insert(at, Fate::Either);
                        victims.push((at, (hash, info.position)));
                    }
                }
                promises.push((disk.ops(), fates.clone()));
                let (dead, victims): (Vec<usize>, Vec<_>) = victims.into_iter().unzip();
                sweep.delete(&victims).unwrap();
                sweep.finish().unwrap();
                fates.extend(dead.into_iter().map(|at| (at, Fate::Gone)));
                promises.push((disk.ops(), fates.clone()));
            }
            _ => {
                store.close().unwrap();
                fates.extend(live.iter().map(|at| (*at, Fate::There)));
                promises.push((disk.ops(), fates.clone()));
                store = open(&disk, &options).unwrap();
            }
        }
    }
    drop(store);
    History {
        record: disk.record(),
        pool,
        promises,
        options,
        alignment,
        seed,
    }
}

fn crash_everywhere(history: &History) -> u64 {
    let mut random = Random::new(history.seed ^ 0xc4a5);
    let mut images = 0;
    for at in 0..=history.record.len() {
        let now = history.promises.partition_point(|(ops, _)| *ops <= at) - 1;
        let promise = &history.promises[now].1;
        for image in crashes(&history.record, at, &mut random) {
            let again = random.below(8) == 0;
            images += recovers(history, image, promise, at, again, &mut random);
        }
    }
    images
}

/// What a crash before operation `at` can leave.
fn crashes(record: &Record, at: usize, random: &mut Random) -> Vec<Image> {
    let pending = record.pending(at);
    let mut images = Vec::new();
    let bit = |set: u64, number: usize| {
        let index = pending.iter().position(|it| *it == number).unwrap_or(0);
        if set >> (index % 64) & 1 == 1 {
            Survives::Whole
        } else {
            Survives::Lost
        }
    };
    if pending.len() <= SUBSETS_MAX {
        for set in 0..1_u64 << pending.len() {
            images.push(record.crash(at, &pending, |number| bit(set, number)));
        }
    } else {
        for set in [0, u64::MAX] {
            images.push(record.crash(at, &pending, |number| bit(set, number)));
        }
        for _ in 0..24 {
            let set = random.next();
            images.push(record.crash(at, &pending, |number| bit(set, number)));
        }
    }
    if !pending.is_empty() {
        for _ in 0..8 {
            let mut dice = random.clone();
            random.next();
            images.push(record.crash(at, &pending, |_| match dice.below(4) {
                0 => Survives::Lost,
                1 => Survives::Whole,
                _ => Survives::Torn(dice.next()),
            }));
        }
    }
    images
}

/// Opens what a crash has left, and checks what was promised; crashes once more while opening.
fn recovers(
    history: &History,
    image: Image,
    promise: &BTreeMap<usize, Fate>,
    at: usize,
    again: bool,
    random: &mut Random,
) -> u64 {
    let place = || format!("STORE_SEED={} crash before operation {at}", history.seed);
    let disk = Recorded::new(image).with_alignment(history.alignment);
    let store =
        open(&disk, &history.options).unwrap_or_else(|error| panic!("{}: {error}", place()));
    check(history, &store, promise, &place);
    if !again {
        return 1;
    }
    // The store goes on, and crashes at any point of that.
    let extra = random_block(random, 100);
    store.put_many(&[extra]).unwrap();
    store.close().unwrap();
    drop(store);
    let (record, mut images) = (disk.record(), 1);
    for _ in 0..SECOND_CRASHES {
        let at = random.below(record.len() as u64 + 1) as usize;
        let mut left = crashes(&record, at, random);
        let first = random.below(left.len() as u64) as usize;
        for image in left.drain(first..).take(SECOND_IMAGES) {
            let disk = Recorded::new(image).with_alignment(history.alignment);
            let place = || {
                if std::env::var("STORE_TRACE").is_ok() {
                    dump(&record, at);
                }
                format!("{}, then operation {at}", place())
            };
            let store =
                open(&disk, &history.options).unwrap_or_else(|e| panic!("{}: {e}", place()));
            check(history, &store, promise, &place);
            images += 1;
        }
    }
    images
}

fn check(
    history: &History,
    store: &BlockStore,
    promise: &BTreeMap<usize, Fate>,
    place: &dyn Fn() -> String,
) {
    let mut there = 0;
    for (at, block) in history.pool.iter().enumerate() {
        let got = store.get(block.cid().hash());
        let got = got.unwrap_or_else(|error| panic!("{}: block {at}: {error}", place()));
        there += u64::from(got.is_some());
        match (&got, promise[&at]) {
            (None, Fate::There) => panic!("{}: block {at} is lost", place()),
            (Some(_), Fate::Gone) => panic!("{}: deleted block {at} is back", place()),
            (Some(data), _) => assert_eq!(data, block.data(), "{}: block {at}", place()),
            (None, _) => {}
        }
    }
    let listed = store.blocks().map(|item| item.unwrap().0);
    let ours = listed
        .filter(|hash| history.pool.iter().any(|it| it.cid().hash() == hash))
        .count();
    assert_eq!(ours as u64, there, "{}: list", place());
    let stats = store.stats();
    assert!(
        stats.blocks == there || stats.blocks == there + 1,
        "{}: {stats:?} {there}",
        place()
    );
}

/// What led to a crash, for whoever looks for the cause.
fn dump(record: &Record, at: usize) {
    let pending = record.pending(at);
    for (number, op) in record.ops()[..at].iter().enumerate() {
        let text: String = format!("{op:?}").chars().take(110).collect();
        eprintln!(
            "{} {number}: {text}",
            if pending.contains(&number) { "?" } else { " " }
        );
    }
}

#[test]
fn a_block_put_under_two_names_at_once_keeps_its_links() {
    let children = [raw("one"), raw("two")];
    let node = node(&children);
    let names = [
        node.clone(),
        with_codec(&node, ipfs_kit_blockstore::codec::RAW),
    ];
    for order in [[0, 1], [1, 0]] {
        let disk = empty_disk();
        let store = open(&disk, &tiny()).unwrap();
        // The first sync tells the journal all; what comes then is found by scanning.
        store.put_many(&children).unwrap();
        store.sync().unwrap();
        let report = store.put_many(&order.map(|at| names[at].clone())).unwrap();
        assert_eq!(report.new_blocks, 1);
        store.sync().unwrap();
        let store = open(&Recorded::new(disk.image()), &tiny()).unwrap();
        let parents = store.parents(children[0].cid().hash()).unwrap();
        assert_eq!(parents, [hash(&node)], "{order:?}");
    }
}
