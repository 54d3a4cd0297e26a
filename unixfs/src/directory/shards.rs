use ipfs_kit_blockstore::{Block, Cid};

use super::DirectoryError;
use crate::hamt::{Bitfield, Fanout, HASH_MURMUR3_X64_64};
use crate::links::{Root, put_link, seal};
use crate::node::{Kind, Mtime, attributes_len, put_attributes};
use crate::options::CidSpec;
use crate::proto::{bytes_field_len, put_bytes_header, put_varint_field, varint_len};

/// Encodes one shard from its children in slot order.
pub(super) struct ShardWriter {
    fanout: Fanout,
    taken: Bitfield,
    block: Vec<u8>,
    below: u64,
}

impl ShardWriter {
    pub(super) fn new(fanout: Fanout, block_len_hint: usize) -> Self {
        Self {
            fanout,
            taken: Bitfield::empty(),
            block: Vec::with_capacity(block_len_hint),
            below: 0,
        }
    }

    /// Adds an entry, or a sub-shard if `name` is empty. Slots must ascend.
    pub(super) fn push(&mut self, slot: usize, name: &[u8], cid: &Cid, tsize: u64) {
        let mut prefix = Vec::with_capacity(4);
        self.fanout.put_prefix(slot, &mut prefix);
        self.taken.set(slot);
        put_link(&mut self.block, cid, [&prefix, name], tsize);
        self.below = self.below.wrapping_add(tsize);
    }

    /// Ends the shard; only the root of a directory has attributes.
    pub(super) fn finish(
        mut self,
        attributes: (Option<u32>, Option<Mtime>),
        spec: &CidSpec,
        out: &mut dyn FnMut(Block),
    ) -> Result<Root, DirectoryError> {
        let mut bitfield = Vec::with_capacity(self.fanout.slots() / 8);
        self.taken.write_to(&mut bitfield);
        let fanout = self.fanout.slots() as u64;
        let data_len = if bitfield.is_empty() {
            0
        } else {
            bytes_field_len(bitfield.len())
        };
        let numbers_len = 2 + 2 + 1 + varint_len(fanout);
        let message_len = data_len + numbers_len + attributes_len(attributes.0, attributes.1);

        let block = &mut self.block;
        put_bytes_header(block, 1, message_len);
        put_varint_field(block, 1, Kind::HamtShard as u64);
        if !bitfield.is_empty() {
            put_bytes_header(block, 2, bitfield.len());
            block.extend_from_slice(&bitfield);
        }
        put_varint_field(block, 5, HASH_MURMUR3_X64_64);
        put_varint_field(block, 6, fanout);
        put_attributes(block, attributes.0, attributes.1);
        Ok(seal(self.block, self.below, 0, spec, out)?)
    }
}
