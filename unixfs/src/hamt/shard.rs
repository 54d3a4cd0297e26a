use bytes::Bytes;
use ipfs_kit_blockstore::Cid;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;

use super::{Bitfield, Fanout, HASH_MURMUR3_X64_64, HamtError};
use crate::node::{Mtime, UnixFs};

/// One shard of a directory, decoded and checked: as many links as the bitfield has bits, each
/// link's name starting with the number of its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    fanout: Fanout,
    children: Vec<Child>,
    mode: Option<u32>,
    mtime: Option<Mtime>,
}

/// What a slot of a shard holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Number of the slot, below the fan-out.
    pub slot: usize,
    /// Name of the directory entry, or `None` for a sub-shard.
    pub name: Option<Bytes>,
    /// The entry's root, or the sub-shard.
    pub cid: Cid,
    /// Size of everything below, as the link states it.
    pub tsize: u64,
}

impl Shard {
    /// Checks a dag-pb node whose decoded Data field is `unixfs`, of kind `HamtShard`.
    ///
    /// # Errors
    /// [`HamtError`] says which rule of the format is broken.
    pub fn decode(node: &PbNode, unixfs: &UnixFs) -> Result<Self, HamtError> {
        match unixfs.hash_type {
            Some(HASH_MURMUR3_X64_64) => {}
            other => return Err(HamtError::HashFunction(other.unwrap_or(0))),
        }
        let fanout = Fanout::new(unixfs.fanout.ok_or(HamtError::NoFanout)?)?;
        let field = Bitfield::from_bytes(unixfs.data.as_deref().unwrap_or(&[]), fanout)?;
        if field.count() != node.links.len() {
            return Err(HamtError::LinkCount {
                bits: field.count(),
                links: node.links.len(),
            });
        }
        let children = field
            .slots()
            .zip(&node.links)
            .map(|(slot, link)| {
                Ok(Child {
                    slot,
                    name: entry_name(link.name.as_ref(), slot, fanout)?,
                    cid: link.cid.clone(),
                    tsize: link.tsize.unwrap_or(0),
                })
            })
            .collect::<Result<_, HamtError>>()?;
        Ok(Self {
            fanout,
            children,
            mode: unixfs.mode,
            mtime: unixfs.mtime,
        })
    }

    /// Number of slots.
    pub fn fanout(&self) -> Fanout {
        self.fanout
    }

    /// The taken slots in ascending order.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// What the slot holds.
    pub fn child(&self, slot: usize) -> Option<&Child> {
        let at = self
            .children
            .binary_search_by_key(&slot, |child| child.slot)
            .ok()?;
        self.children.get(at)
    }

    /// Permission bits of the directory; only a root shard has them.
    pub fn mode(&self) -> Option<u32> {
        self.mode
    }

    /// Modification time of the directory; only a root shard has it.
    pub fn mtime(&self) -> Option<Mtime> {
        self.mtime
    }
}

/// The part of a link name behind the slot number; `None` if there is none, which marks a shard.
fn entry_name(
    name: Option<&Bytes>,
    slot: usize,
    fanout: Fanout,
) -> Result<Option<Bytes>, HamtError> {
    let name = name.cloned().unwrap_or_default();
    let mut prefix = Vec::with_capacity(3);
    fanout.put_prefix(slot, &mut prefix);
    if !name.starts_with(&prefix) {
        return Err(HamtError::LinkName {
            name: String::from_utf8_lossy(&name).into_owned(),
            expected: String::from_utf8_lossy(&prefix).into_owned(),
        });
    }
    let entry = name.slice(prefix.len()..);
    Ok((!entry.is_empty()).then_some(entry))
}
