//! Histories of the segment store against a model: what readers see is exactly what the model says, and
//! after a crash at any operation, with unsynced writes lost, kept or torn, everything acknowledged holds.
#![no_main]
use arbitrary::Arbitrary;
use ipfs_kit_blockstore::store::disk::{Image, Recorded, Survives};
use ipfs_kit_blockstore::store::{BlockStore, Deletion, Guard, SegmentOptions, StoreError};
use ipfs_kit_blockstore::{Block, Cid, Multihash, codec};
use ipfs_kit_fuzz::{let_redb_panic, node, open, options, raw, with_codec};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

/// Steps of one history.
const STEPS_MAX: usize = 80;
/// Blocks named in one step.
const BATCH_MAX: usize = 16;

#[derive(Arbitrary, Debug)]
struct Input {
    segment_size: u16,
    merge_after: u8,
    alignment: u8,
    quota: Option<u16>,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Put { picks: Vec<u8>, guarded: bool },
    PutRun { from: u8, count: u8 },
    Sync,
    Delete { picks: Vec<u8> },
    DeleteRun { from: u8, count: u8 },
    Sweep(Sweeping),
    Compact { dead_percent: u8 },
    Guard,
    DropGuard,
    Touch { pick: u8 },
    Check,
    List { after: u8, limit: u8 },
    Scrub,
    Reopen,
    Crash { back: u8, fates: u64, torn: u64 },
}

#[derive(Arbitrary, Debug)]
struct Sweeping {
    victims: u64,
    put: Vec<u8>,
    drop_guard: bool,
    finish: bool,
}

/// Bytes that may be stored, and the names under which they are put.
struct Item {
    hash: Multihash,
    len: u64,
    /// Each with what it makes of the block: [`THERE`], or [`LINKED`].
    names: Vec<(Block, u8)>,
    children: Vec<usize>,
}

/// What is stored of an item: nothing, ...
const GONE: u8 = 0;
/// ... its bytes, under a name that shows no links, ...
const THERE: u8 = 1;
/// ... or its bytes and links.
const LINKED: u8 = 2;

/// A set of the three.
const fn only(state: u8) -> u8 {
    1 << state
}

fn items() -> &'static [Item] {
    static ITEMS: OnceLock<Vec<Item>> = OnceLock::new();
    ITEMS.get_or_init(|| {
        let item = |block: &Block, names, children| Item {
            hash: block.cid().hash().clone(),
            len: block.data().len() as u64,
            names,
            children,
        };
        let leaves: Vec<Block> = (0..40)
            .map(|n| raw(n, [0, 9, 80, 300, 700][n as usize % 5] + n as usize))
            .collect();
        let large = raw(40, 6_000);
        let mut items: Vec<Item> = leaves
            .iter()
            .chain([&large])
            .map(|leaf| item(leaf, vec![(leaf.clone(), THERE)], Vec::new()))
            .collect();
        for (from, to) in [(0, 3), (1, 9), (8, 12), (20, 21)] {
            let node = node(&leaves[from..to]);
            let v0 = Cid::v0(node.cid().hash().clone()).expect("sha2-256");
            let v0 = Block::trusted(v0, node.data().clone());
            let (raw, cbor) = (
                with_codec(&node, codec::RAW),
                with_codec(&node, codec::DAG_CBOR),
            );
            let names = vec![
                (node.clone(), LINKED),
                (raw, THERE),
                (v0, LINKED),
                (cbor, THERE),
            ];
            items.push(item(&node, names, (from..to).collect()));
        }
        items
    })
}

struct History {
    disk: Recorded,
    options: SegmentOptions,
    alignment: usize,
    store: BlockStore,
    guard: Option<Guard>,
    /// What the guard keeps, by item.
    held: Vec<bool>,
    /// What readers must see, by item.
    now: Vec<u8>,
    /// What a crash may leave: sets, by item.
    may: Vec<u8>,
    /// The number of operations on the disk at which a `may` began to hold.
    promises: Vec<(usize, Vec<u8>)>,
}

fuzz_target!(init: let_redb_panic(), |input: Input| {
    let alignment = [1, 1, 512, 4_096][usize::from(input.alignment % 4)];
    let options = SegmentOptions {
        segment_size: 256 + u64::from(input.segment_size % 8_192),
        merge_after: 4 + usize::from(input.merge_after),
        max_bytes: input.quota.map(|quota| 4_096 + 64 * u64::from(quota)),
        ..options()
    };
    let mut history = History::begin(options, alignment);
    for step in input.steps.into_iter().take(STEPS_MAX) {
        history.step(step);
        history.count();
    }
    history.check();
    history.reopen();
    history.check();
});

impl History {
    fn begin(options: SegmentOptions, alignment: usize) -> Self {
        let disk = Recorded::new(Image::default()).with_alignment(alignment);
        let store = open(&disk, &options).expect("a new store");
        let count = items().len();
        Self {
            disk,
            options,
            alignment,
            store,
            guard: None,
            held: vec![false; count],
            now: vec![GONE; count],
            may: vec![only(GONE); count],
            promises: vec![(0, vec![only(GONE); count])],
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put { picks, guarded } => self.put(&picks, guarded),
            Step::PutRun { from, count } => self.put(&run(from, count), false),
            Step::Sync => {
                self.store.sync().expect("sync");
                self.all_durable();
            }
            Step::Delete { picks } => self.delete(&picks),
            Step::DeleteRun { from, count } => self.delete(&run(from, count)),
            Step::Sweep(sweeping) => self.sweep(&sweeping),
            Step::Compact { dead_percent } => {
                let dead_ratio = f64::from(dead_percent % 101) / 100.0;
                self.store.compact(dead_ratio).expect("compact");
                if dead_percent % 101 == 0 {
                    assert_eq!(self.store.stats().dead_bytes, 0);
                }
            }
            Step::Guard => {
                self.drop_guard();
                self.guard = Some(self.store.guard());
            }
            Step::DropGuard => self.drop_guard(),
            Step::Touch { pick } => {
                let at = usize::from(pick) % items().len();
                if let Some(guard) = &self.guard {
                    let there = guard.touch(&items()[at].hash).expect("touch");
                    assert_eq!(there, self.now[at] != GONE);
                    self.held[at] = true;
                }
            }
            Step::Check => self.check(),
            Step::List { after, limit } => self.list(after, limit),
            Step::Scrub => {
                let step = self.store.scrub_step(None, u64::MAX).expect("scrub");
                assert_eq!(step.report.bad, 0);
            }
            Step::Reopen => self.reopen(),
            Step::Crash { back, fates, torn } => self.crash(back, fates, torn),
        }
    }

    fn put(&mut self, picks: &[u8], guarded: bool) {
        let picked: Vec<(usize, &(Block, u8))> = picks
            .iter()
            .take(BATCH_MAX)
            .map(|pick| pick_name(*pick))
            .collect();
        let batch: Vec<Block> = picked.iter().map(|(_, (block, _))| block.clone()).collect();
        let (mut now, mut may) = (self.now.clone(), self.may.clone());
        let (mut new_blocks, mut new_bytes) = (0, 0);
        for (at, (_, state)) in &picked {
            if now[*at] == GONE {
                new_blocks += 1;
                new_bytes += items()[*at].len;
            }
            if *state > self.now[*at] {
                may[*at] |= only(*state);
            }
            now[*at] = now[*at].max(*state);
        }
        self.promises.push((self.disk.ops(), may.clone()));
        let guard = self.guard.as_ref().filter(|_| guarded);
        let put = match guard {
            Some(guard) => guard.put_many(&batch),
            None => self.store.put_many(&batch),
        };
        match put {
            Ok(report) => {
                assert_eq!(
                    (report.new_blocks, report.new_bytes),
                    (new_blocks, new_bytes)
                );
                if guard.is_some() {
                    picked.iter().for_each(|(at, _)| self.held[*at] = true);
                }
                (self.now, self.may) = (now, may);
            }
            // Before anything is stored.
            Err(StoreError::StorageFull { .. }) if self.options.max_bytes.is_some() => {
                self.promise()
            }
            Err(error) => panic!("put: {error}"),
        }
    }

    fn delete(&mut self, picks: &[u8]) {
        let picked: Vec<usize> = picks
            .iter()
            .take(BATCH_MAX)
            .map(|pick| pick_name(*pick).0)
            .collect();
        let before = self.may.clone();
        picked.iter().for_each(|at| self.may[*at] |= only(GONE));
        self.promise();
        let hashes: Vec<Multihash> = picked.iter().map(|at| items()[*at].hash.clone()).collect();
        let deletions = self.store.delete_many(&hashes).expect("delete");
        for (at, deletion) in picked.into_iter().zip(deletions) {
            self.deleted(at, deletion, false, false);
            if self.now[at] == GONE {
                self.may[at] = only(GONE);
            } else {
                self.may[at] = before[at];
            }
        }
        self.promise();
    }

    fn sweep(&mut self, sweeping: &Sweeping) {
        let sweep = self.store.sweep();
        self.put(&sweeping.put, true);
        let ended = sweeping.drop_guard && self.guard.take().is_some();
        let before = self.may.clone();
        let (mut picked, mut victims) = (Vec::new(), Vec::new());
        for (at, item) in items().iter().enumerate() {
            let info = self.store.info(&item.hash).expect("info");
            if let Some(info) = info.filter(|_| sweeping.victims >> (at % 64) & 1 == 1) {
                self.may[at] |= only(GONE);
                picked.push((at, sweep.is_protected(info.position)));
                victims.push((item.hash.clone(), info.position));
            }
        }
        self.promise();
        let deletions = sweep.delete(&victims).expect("sweep");
        for ((at, newer), deletion) in picked.into_iter().zip(deletions) {
            self.deleted(at, deletion, newer, ended);
            if self.now[at] != GONE {
                self.may[at] = before[at];
            }
        }
        if sweeping.finish {
            sweep.finish().expect("finish");
            for (may, now) in self.may.iter_mut().zip(&self.now) {
                if *now == GONE {
                    *may = only(GONE);
                }
            }
        }
        self.promise();
        if ended {
            self.drop_guard();
        }
    }

    /// Compares an answer with the model, and follows it. `newer` than the sweep, a block must stay;
    /// what a guard held that `ended` in the sweep counts until that ends.
    fn deleted(&mut self, at: usize, deletion: Deletion, newer: bool, ended: bool) {
        let there = self.now[at] != GONE;
        match deletion {
            Deletion::Deleted => {
                assert!(there && !self.held[at] && !newer, "deleted {at}");
                self.now[at] = GONE;
            }
            Deletion::NotFound => assert!(!there, "not found {at}"),
            Deletion::InUse => {
                assert!(
                    there && (newer || ended || self.guard.is_some()),
                    "in use {at}"
                );
            }
        }
    }

    fn drop_guard(&mut self) {
        self.guard = None;
        self.held.fill(false);
    }

    fn all_durable(&mut self) {
        self.may = self.now.iter().map(|now| only(*now)).collect();
        self.promise();
    }

    fn promise(&mut self) {
        self.promises.push((self.disk.ops(), self.may.clone()));
    }

    fn reopen(&mut self) {
        self.drop_guard();
        self.store.close().expect("close");
        assert!(matches!(self.store.sync(), Err(StoreError::Closed)));
        self.all_durable();
        self.store = open(&self.disk, &self.options).expect("open after close");
    }

    /// The power goes `back` operations ago; what the store does since is forgotten.
    fn crash(&mut self, back: u8, fates: u64, torn: u64) {
        self.drop_guard();
        let record = self.disk.record();
        let at = record.len().saturating_sub(usize::from(back));
        let pending = record.pending(at);
        let fate = |number: usize| {
            let index = pending.iter().position(|it| *it == number).unwrap_or(0);
            match fates >> (2 * index % 64) & 3 {
                0 => Survives::Lost,
                1 => Survives::Torn(torn.rotate_left(index as u32)),
                _ => Survives::Whole,
            }
        };
        let image = record.crash(at, &pending, fate);
        let now = self.promises.partition_point(|(ops, _)| *ops <= at) - 1;
        let may = self.promises.swap_remove(now).1;
        self.disk = Recorded::new(image).with_alignment(self.alignment);
        self.store = open(&self.disk, &self.options).expect("open after a crash");
        for (at, item) in items().iter().enumerate() {
            let there = self.store.has(&item.hash).expect("has");
            let state = match item.children.first() {
                _ if !there => GONE,
                Some(child) if self.parents(*child).contains(&item.hash) => LINKED,
                _ => THERE,
            };
            assert!(
                may[at] & only(state) != 0,
                "item {at} is {state} after a crash, may be {:#b}",
                may[at]
            );
            self.now[at] = state;
        }
        self.may = self.now.iter().map(|now| only(*now)).collect();
        // Another crash while this one is recovered from ends in the same.
        self.promises = vec![(0, self.may.clone())];
        self.check();
    }

    fn parents(&self, child: usize) -> Vec<Multihash> {
        self.store.parents(&items()[child].hash).expect("parents")
    }

    fn count(&self) {
        let stats = self.store.stats();
        let there = || {
            items()
                .iter()
                .zip(&self.now)
                .filter(|(_, now)| **now != GONE)
        };
        assert_eq!(stats.blocks, there().count() as u64);
        assert_eq!(stats.bytes, there().map(|(item, _)| item.len).sum::<u64>());
        assert_eq!(stats.quarantined, 0);
        assert!(stats.dead_bytes <= stats.disk_bytes);
    }

    fn check(&self) {
        for (at, item) in items().iter().enumerate() {
            let there = self.now[at] != GONE;
            assert_eq!(self.store.has(&item.hash).expect("has"), there);
            let data = self.store.get(&item.hash).expect("get");
            assert_eq!(data.as_ref(), there.then_some(item.names[0].0.data()));
        }
        for child in [0, 1, 2, 8, 11, 20, 30] {
            let is_parent =
                |(item, now): &(&Item, &u8)| **now == LINKED && item.children.contains(&child);
            let mut expected: Vec<_> = items()
                .iter()
                .zip(&self.now)
                .filter(is_parent)
                .map(|(item, _)| item.hash.clone())
                .collect();
            expected.sort_by(|a, b| a.digest().cmp(b.digest()));
            assert_eq!(self.parents(child), expected);
        }
        self.count();
        self.list(0, u8::MAX);
    }

    fn list(&self, after: u8, limit: u8) {
        let after = after
            .checked_sub(1)
            .map(|pick| &items()[pick_name(pick).0].hash);
        let listed = self.store.list(after, usize::from(limit)).expect("list");
        let listed: Vec<&[u8]> = listed.iter().map(|(hash, _)| hash.digest()).collect();
        let there = items()
            .iter()
            .zip(&self.now)
            .filter(|(_, now)| **now != GONE);
        let mut expected: Vec<&[u8]> = there.map(|(item, _)| item.hash.digest()).collect();
        expected.sort_unstable();
        expected.retain(|digest| after.is_none_or(|after| *digest > after.digest()));
        expected.truncate(usize::from(limit));
        assert_eq!(listed, expected);
    }
}

/// An item and one of its names.
fn pick_name(pick: u8) -> (usize, &'static (Block, u8)) {
    let at = usize::from(pick) % items().len();
    let names = &items()[at].names;
    (at, &names[usize::from(pick) / items().len() % names.len()])
}

fn run(from: u8, count: u8) -> Vec<u8> {
    (0..count % (BATCH_MAX as u8 + 1))
        .map(|step| from.wrapping_add(step))
        .collect()
}
