//! Shards on the way down a sharded directory, checked beyond what one shard can tell.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;

use crate::ReadError;
use crate::hamt::{Child, Fanout, HamtError, Shard, name_hash};
use crate::opened::{Opened, decode_shard};
use crate::read_error::ShardFault;

/// The place of a shard: how the hash of every name below it begins.
///
/// Checking it for each entry costs one hash and makes a bomb impossible: a shard that is linked
/// from two places is wrong in one of them, so the entries of a listing never outnumber the entries
/// in its blocks, and a path to an entry has one way only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Fan-out of the whole directory; `None` at the root, which decides it.
    fanout: Option<Fanout>,
    depth: u32,
    /// The leading bits of the hash, moved to the most significant end.
    prefix: u64,
}

impl Place {
    pub(crate) const ROOT: Self = Self {
        fanout: None,
        depth: 0,
        prefix: 0,
    };

    pub(crate) const fn is_root(self) -> bool {
        self.depth == 0
    }

    /// Decodes the shard that a link of this place leads to.
    pub(crate) fn open(self, cid: &Cid, data: Bytes) -> Result<Shard, ReadError> {
        match Opened::decode(cid, data)? {
            Opened::Node { node, message } => {
                let shard = decode_shard(cid, &node, &message)?;
                self.check(cid, &shard)?;
                Ok(shard)
            }
            Opened::Raw(_) => Err(fault(cid, ShardFault::NotAShard)),
        }
    }

    /// Checks a decoded shard against its place in the directory.
    pub(crate) fn check(self, cid: &Cid, shard: &Shard) -> Result<(), ReadError> {
        let found = shard.fanout();
        if let Some(expected) = self.fanout.filter(|expected| *expected != found) {
            let (expected, found) = (expected.slots() as u16, found.slots() as u16);
            return Err(fault(
                cid,
                HamtError::MixedFanout { expected, found }.into(),
            ));
        }
        if self.depth >= found.max_depth() {
            return Err(fault(cid, HamtError::TooDeep.into()));
        }
        if self.depth > 0 && shard.children().is_empty() {
            return Err(fault(cid, ShardFault::Empty));
        }
        let entries = shard.children().iter();
        for (child, name) in entries.filter_map(|child| Some((child, child.name.as_ref()?))) {
            if !self.holds(found, child, name) {
                return Err(fault(cid, ShardFault::Misplaced(name.to_vec())));
            }
        }
        Ok(())
    }

    fn holds(self, fanout: Fanout, child: &Child, name: &[u8]) -> bool {
        let hash = name_hash(name);
        let known = self.depth * fanout.bits();
        let agrees = known == 0 || (hash ^ self.prefix) >> (64 - known) == 0;
        agrees && fanout.slot(hash, self.depth) == Some(child.slot)
    }

    /// The place of the shard in a slot of the shard at this place.
    pub(crate) fn below(self, fanout: Fanout, slot: usize) -> Self {
        let bits = fanout.bits();
        let used = (self.depth + 1) * bits;
        let own = (slot as u64)
            .checked_shl(64_u32.saturating_sub(used))
            .unwrap_or(0);
        Self {
            fanout: Some(fanout),
            depth: self.depth + 1,
            prefix: self.prefix | own,
        }
    }

    /// The slot of a name in the shard at this place.
    pub(crate) fn slot(self, fanout: Fanout, name: &[u8]) -> Option<usize> {
        fanout.slot(name_hash(name), self.depth)
    }
}

fn fault(cid: &Cid, fault: ShardFault) -> ReadError {
    ReadError::Shard {
        cid: cid.clone(),
        fault,
    }
}
