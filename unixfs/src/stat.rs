//! What the first block of a file or directory tells about it.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;

use crate::ReadError;
use crate::node::Kind;
use crate::opened::Opened;
use crate::reader::Attributes;

/// A summary of a node. Nothing below the block is read: sizes are what the block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStat {
    /// What it is; a raw block is [`Kind::Raw`].
    pub kind: Kind,
    /// Bytes of content of a file, bytes of the target of a symbolic link, zero for directories.
    pub size: u64,
    /// Bytes of this block and of all blocks below, by the sizes in the links; a block that is
    /// linked twice counts twice.
    pub cumulative_size: u64,
    /// Number of links of the block.
    pub links: u64,
    /// Target of a symbolic link.
    pub target: Option<Bytes>,
    /// Mode and modification time, where stored.
    pub attributes: Attributes,
}

impl NodeStat {
    /// Reads the summary off a block.
    ///
    /// # Errors
    /// A block that is not UnixFS.
    pub fn of(cid: &Cid, data: Bytes) -> Result<Self, ReadError> {
        let block_len = data.len() as u64;
        let (node, message) = match Opened::decode(cid, data)? {
            Opened::Raw(_) => return Ok(Self::of_raw(block_len)),
            Opened::Node { node, message } => (node, message),
        };
        let below = node.links.iter().fold(0_u64, |sum, link| {
            sum.saturating_add(link.tsize.unwrap_or(0))
        });
        let data_len = message.data.as_ref().map_or(0, Bytes::len) as u64;
        let parts = message
            .block_sizes
            .iter()
            .fold(data_len, |sum, size| sum.saturating_add(*size));
        let size = match message.kind {
            Kind::File | Kind::Raw => message.file_size.unwrap_or(parts),
            Kind::Metadata => message.file_size.unwrap_or(0),
            Kind::Symlink => data_len,
            Kind::Directory | Kind::HamtShard => 0,
        };
        Ok(Self {
            kind: message.kind,
            size,
            cumulative_size: block_len.saturating_add(below),
            links: node.links.len() as u64,
            attributes: Attributes::of(&message),
            target: message.data.filter(|_| message.kind == Kind::Symlink),
        })
    }

    fn of_raw(len: u64) -> Self {
        Self {
            kind: Kind::Raw,
            size: len,
            cumulative_size: len,
            links: 0,
            target: None,
            attributes: Attributes::default(),
        }
    }

    /// Whether entries can be looked up in it.
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory | Kind::HamtShard)
    }
}

#[cfg(test)]
mod tests;
