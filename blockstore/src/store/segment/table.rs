//! The table in memory: what was put and deleted since the last merge into the index.

use std::collections::HashSet;
use std::collections::btree_map::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use super::super::entry::Entry;
use super::super::key::{Key, fingerprint};
use super::super::types::Position;
use super::file::Segment;
use super::index::Snapshot;
use super::ledger::Ledger;
use super::record::Record;
use crate::cid::Multihash;

/// What was changed since some point, hiding what lies below it.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) slots: BTreeMap<Key, Slot>,
    /// Child and parent fingerprint, and whether the parent still links to the child.
    pub(super) edges: BTreeMap<(u64, u64), bool>,
}

/// What a layer knows of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Live(Entry),
    /// Deleted; the position of the frame that was.
    Dead(Position),
}

/// Where a look-up has ended.
pub(super) enum Found {
    Live(Entry),
    /// Deleted.
    Gone,
    /// No layer knows: ask the index.
    Below(Option<Arc<Snapshot>>),
}

/// Everything in memory that says what is stored.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) active: Layer,
    /// A full layer that is being merged into the index.
    pub(super) frozen: Option<Arc<Layer>>,
    pub(super) index: Option<Arc<Snapshot>>,
    /// A failure closed the index, and it could not be opened again yet.
    pub(super) index_failed: bool,
    /// The length of the index file.
    pub(super) index_bytes: u64,
    pub(super) ledger: Ledger,
    pub(super) segments: BTreeMap<u32, Arc<Segment>>,
    /// Changes that the journal does not have yet, in order.
    pub(super) pending: Vec<Record>,
    /// The number of the first of them, counted from when the store was opened.
    pub(super) first_pending: u64,
    /// Changes whenever layers or the index are exchanged.
    pub(super) generation: u64,
}

impl Layer {
    /// Slots and edges, which is what takes memory.
    pub(super) fn len(&self) -> usize {
        self.slots.len() + self.edges.len()
    }

    /// The blocks with this fingerprint that this layer knows.
    pub(super) fn with_fingerprint(&self, of: u64) -> impl Iterator<Item = (&Key, &Slot)> {
        let from = (Bound::Included(Key::floor(of)), Bound::Unbounded);
        self.slots
            .range(from)
            .take_while(move |(key, _)| key.fingerprint() == of)
    }

    /// Fingerprints of the parents of a child, and whether they still are.
    pub(super) fn parents(&self, child: u64) -> impl Iterator<Item = (u64, bool)> {
        self.edges
            .range((child, 0)..=(child, u64::MAX))
            .map(|(&(_, parent), &is)| (parent, is))
    }

    fn link(&mut self, parent: u64, children: &[u64], is: bool) {
        for &child in children {
            self.edges.insert((child, parent), is);
        }
    }
}

impl Tables {
    pub(super) fn find(&self, key: &Key) -> Found {
        let frozen = || self.frozen.as_ref().and_then(|layer| layer.slots.get(key));
        match self.active.slots.get(key).or_else(frozen) {
            Some(Slot::Live(entry)) => Found::Live(*entry),
            Some(Slot::Dead(_)) => Found::Gone,
            None => Found::Below(self.index.clone()),
        }
    }

    /// Applies a change and remembers it for the journal.
    pub(super) fn change(&mut self, record: Record) {
        self.apply(&record);
        self.pending.push(record);
    }

    /// Applies a change that the journal has.
    pub(super) fn apply(&mut self, record: &Record) {
        self.ledger.apply(record);
        self.enter(record);
    }

    /// Applies a change to the layer alone.
    fn enter(&mut self, record: &Record) {
        let (hash, slot, children, is) = match record {
            Record::Put {
                hash,
                entry,
                children,
            }
            | Record::Move {
                hash,
                entry,
                children,
                ..
            } => (hash, Slot::Live(*entry), &**children, true),
            Record::Dead {
                hash,
                entry,
                children,
            } => (hash, Slot::Dead(entry.position), &**children, false),
            Record::Bad { hash, entry } => (hash, Slot::Live(*entry), &[][..], true),
            Record::Covered(_) | Record::Clean { .. } => return,
        };
        self.active.link(fingerprint(hash), children, is);
        self.active.slots.insert(Key::new(hash.clone()), slot);
    }

    /// Applies what the journals say. `dead` are the frames that any of them says are dead: a dead
    /// frame never lives again.
    pub(super) fn replay(&mut self, records: &[Record], dead: &DeadSet) {
        if dead.is_empty() && self.active.len() == 0 && self.fill(records) {
            return;
        }
        for record in records {
            self.ledger.apply(record);
            let lives = match record {
                Record::Put { entry, .. } | Record::Move { entry, .. } => {
                    !dead.contains(&entry.position)
                }
                Record::Bad { hash, entry } => {
                    !dead.contains(&entry.position) && self.is_newest(hash, entry)
                }
                Record::Dead { hash, entry, .. } => self.is_newest(hash, entry),
                Record::Covered(_) | Record::Clean { .. } => false,
            };
            if lives {
                self.enter(record);
            }
        }
    }

    /// Replays puts alone, which is what most journals hold, sorted instead of one by one. False
    /// when there is something else.
    fn fill(&mut self, records: &[Record]) -> bool {
        let other = |record: &Record| {
            matches!(
                record,
                Record::Dead { .. } | Record::Move { .. } | Record::Bad { .. }
            )
        };
        if records.iter().any(other) {
            return false;
        }
        let puts = || {
            records.iter().filter_map(|record| match record {
                Record::Put {
                    hash,
                    entry,
                    children,
                } => Some((hash, entry, children)),
                _ => None,
            })
        };
        for (hash, entry, _) in puts() {
            self.ledger.add(hash, entry);
        }
        let slot = |(hash, entry, _): (&Multihash, &Entry, _)| {
            (Key::new(hash.clone()), Slot::Live(*entry))
        };
        self.active.slots = puts().map(slot).collect();
        let mut edges = Vec::new();
        for (hash, _, children) in puts() {
            let parent = fingerprint(hash);
            edges.extend(children.iter().map(|&child| ((child, parent), true)));
        }
        self.active.edges = edges.into_iter().collect();
        true
    }

    fn is_newest(&self, hash: &Multihash, entry: &Entry) -> bool {
        let known = self.active.slots.get(&Key::new(hash.clone()));
        known.is_none_or(|slot| slot.position() <= entry.position)
    }

    /// The number that the next change gets.
    pub(super) fn next_change(&self) -> u64 {
        self.first_pending + self.pending.len() as u64
    }

    /// Takes the changes before number `to`.
    pub(super) fn drain_pending(&mut self, to: u64) -> Vec<Record> {
        let count = to
            .saturating_sub(self.first_pending)
            .min(self.pending.len() as u64);
        self.first_pending += count;
        self.pending.drain(..count as usize).collect()
    }

    /// Gives back what [`Tables::drain_pending`] took last.
    pub(super) fn restore_pending(&mut self, records: Vec<Record>) {
        self.first_pending -= records.len() as u64;
        self.pending.splice(..0, records);
    }

    /// The bytes of all segments.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.end()).sum()
    }

    pub(super) fn segment(&self, id: u32) -> Option<Arc<Segment>> {
        self.segments.get(&id).cloned()
    }

    /// Whether a layer knows another live block with this fingerprint.
    pub(super) fn shares_fingerprint(&self, hash: &Multihash) -> bool {
        let of = fingerprint(hash);
        let layers = [Some(&self.active), self.frozen.as_deref()];
        layers.into_iter().flatten().any(|layer| {
            let mut known = layer.with_fingerprint(of);
            known.any(|(key, slot)| key.hash() != hash && matches!(slot, Slot::Live(_)))
        })
    }
}

impl Slot {
    pub(super) const fn position(&self) -> Position {
        match self {
            Self::Live(entry) => entry.position,
            Self::Dead(position) => *position,
        }
    }
}

/// Frames that are dead.
pub(super) type DeadSet = HashSet<Position, FxBuildHasher>;
