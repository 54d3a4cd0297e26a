//! The counts that the store keeps, so that nobody has to walk it.

use std::collections::BTreeMap;

use super::super::entry::Entry;
use super::record::{Record, take};
use crate::cid::Multihash;

/// What is stored, in all and in each segment. Sums wrap, because a replay may subtract first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
    pub(super) quarantined: u64,
    pub(super) segments: BTreeMap<u32, Usage>,
}

/// What lives in one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) blocks: u64,
    /// With their frames, in bytes.
    pub(super) bytes: u64,
}

impl Ledger {
    pub(super) fn add(&mut self, hash: &Multihash, entry: &Entry) {
        self.blocks = self.blocks.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(u64::from(entry.len()));
        self.quarantined = self.quarantined.wrapping_add(u64::from(entry.is_bad()));
        let usage = self.segments.entry(entry.position.segment).or_default();
        usage.blocks = usage.blocks.wrapping_add(1);
        usage.bytes = usage.bytes.wrapping_add(u64::from(entry.frame_len(hash)));
    }

    pub(super) fn remove(&mut self, hash: &Multihash, entry: &Entry) {
        self.blocks = self.blocks.wrapping_sub(1);
        self.bytes = self.bytes.wrapping_sub(u64::from(entry.len()));
        self.quarantined = self.quarantined.wrapping_sub(u64::from(entry.is_bad()));
        let usage = self.segments.entry(entry.position.segment).or_default();
        usage.blocks = usage.blocks.wrapping_sub(1);
        usage.bytes = usage.bytes.wrapping_sub(u64::from(entry.frame_len(hash)));
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Put { hash, entry, .. } => self.add(hash, entry),
            Record::Dead { hash, entry, .. } => self.remove(hash, entry),
            Record::Move {
                hash, old, entry, ..
            } => {
                self.remove(hash, old);
                self.add(hash, entry);
            }
            Record::Bad { .. } => self.quarantined = self.quarantined.wrapping_add(1),
            Record::Covered(_) | Record::Clean { .. } => {}
        }
    }

    /// The frames of all blocks, in bytes.
    pub(super) fn live_bytes(&self) -> u64 {
        self.segments
            .values()
            .fold(0, |sum, usage| sum.wrapping_add(usage.bytes))
    }

    /// What lives in a segment.
    pub(super) fn usage(&self, segment: u32) -> Usage {
        self.segments.get(&segment).copied().unwrap_or_default()
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        for sum in [self.blocks, self.bytes, self.quarantined] {
            out.extend_from_slice(&sum.to_le_bytes());
        }
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for (id, usage) in &self.segments {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&usage.blocks.to_le_bytes());
            out.extend_from_slice(&usage.bytes.to_le_bytes());
        }
    }

    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        let mut ledger = Self {
            blocks: u64::from_le_bytes(*take(bytes)?),
            bytes: u64::from_le_bytes(*take(bytes)?),
            quarantined: u64::from_le_bytes(*take(bytes)?),
            segments: BTreeMap::new(),
        };
        for _ in 0..u32::from_le_bytes(*take(bytes)?) {
            let id = u32::from_le_bytes(*take(bytes)?);
            let blocks = u64::from_le_bytes(*take(bytes)?);
            let bytes = u64::from_le_bytes(*take(bytes)?);
            ledger.segments.insert(id, Usage { blocks, bytes });
        }
        Some(ledger)
    }
}
