use std::collections::BTreeMap;

use bytes::Bytes;
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;

use super::{DirectoryError, Target, empty_estimate, entry_estimate, put_directory_data};
use crate::links::{Root, put_link, seal};
use crate::options::{DirectoryOptions, SizeEstimate};
use crate::proto::put_bytes_header;

/// A directory that is one block.
#[derive(Debug, Clone)]
pub(super) struct Basic {
    entries: BTreeMap<Bytes, Target>,
    /// Sum of the entries' sizes as the options estimate them.
    entries_estimate: u64,
    /// The UnixFS message of the block this was loaded from; kept as it is, whatever else it holds.
    message: Option<Bytes>,
}

impl Basic {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            entries_estimate: 0,
            message: None,
        }
    }

    pub(super) fn load(node: PbNode, estimate: SizeEstimate) -> Result<Self, DirectoryError> {
        let mut basic = Self::new();
        basic.message = node.data;
        for link in node.links {
            let name = link.name.unwrap_or_default();
            let target = Target {
                cid: link.cid,
                tsize: link.tsize.unwrap_or(0),
            };
            let shown = name.clone();
            if basic.insert(name, target, estimate).is_some() {
                let name = String::from_utf8_lossy(&shown).into_owned();
                return Err(DirectoryError::RepeatedName(name));
            }
        }
        Ok(basic)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&Bytes, &Target)> {
        self.entries.iter()
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Target> {
        self.entries.get(name)
    }

    /// The size that is compared with the threshold.
    pub(super) fn estimate(&self, options: &DirectoryOptions) -> u64 {
        self.entries_estimate
            + empty_estimate(options.estimate, options.stored_mode(), options.mtime)
    }

    pub(super) fn insert(
        &mut self,
        name: Bytes,
        target: Target,
        estimate: SizeEstimate,
    ) -> Option<Target> {
        let name_len = name.len();
        self.entries_estimate += size_of_entry(estimate, name_len, &target);
        let old = self.entries.insert(name, target)?;
        self.entries_estimate -= size_of_entry(estimate, name_len, &old);
        Some(old)
    }

    pub(super) fn remove(&mut self, name: &[u8], estimate: SizeEstimate) -> Option<Target> {
        let old = self.entries.remove(name)?;
        self.entries_estimate -= size_of_entry(estimate, name.len(), &old);
        Some(old)
    }

    /// Mode or time changed: the loaded message no longer holds.
    pub(super) fn forget_message(&mut self) {
        self.message = None;
    }

    pub(super) fn write(
        &self,
        options: &DirectoryOptions,
        out: &mut dyn FnMut(Block),
    ) -> Result<Root, DirectoryError> {
        let mut block = Vec::with_capacity(64 * self.entries.len() + 48);
        let mut below = 0u64;
        for (name, target) in &self.entries {
            put_link(&mut block, &target.cid, [name, &[]], target.tsize);
            below = below.wrapping_add(target.tsize);
        }
        match &self.message {
            Some(message) => {
                put_bytes_header(&mut block, 1, message.len());
                block.extend_from_slice(message);
            }
            None => put_directory_data(&mut block, options.stored_mode(), options.mtime),
        }
        Ok(seal(block, below, 0, &options.cid, out)?)
    }
}

/// What an entry adds to the size that is compared with the threshold.
pub(super) fn size_of_entry(estimate: SizeEstimate, name_len: usize, target: &Target) -> u64 {
    entry_estimate(estimate, name_len, target.cid.encoded_len(), target.tsize)
}
