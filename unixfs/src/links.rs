//! dag-pb links and the end of a dag-pb block, written straight into the block's buffer.

use bytes::Bytes;
use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::{Block, Cid, codec};

use crate::options::CidSpec;
use crate::proto::{bytes_field_len, put_bytes_header, put_varint_field, varint_len};

/// The root of a finished leaf, file, symlink or directory: what its parent must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// CID of the top block.
    pub cid: Cid,
    /// Bytes of file content below it, 0 for directories and symlinks.
    pub file_size: u64,
    /// Bytes of all blocks below it and of itself, repeated ones counted each time.
    pub tsize: u64,
}

/// Appends one link of a dag-pb node. The name is in two parts so that a HAMT's slot number need
/// not be joined to it; the field is written even if both are empty, as Kubo does.
pub(crate) fn put_link(out: &mut Vec<u8>, cid: &Cid, name: [&[u8]; 2], tsize: u64) {
    let (cid_len, name_len) = (cid.encoded_len(), name[0].len() + name[1].len());
    put_bytes_header(out, 2, link_body_len(cid_len, name_len, tsize));
    put_bytes_header(out, 1, cid_len);
    cid.write_to(out);
    put_bytes_header(out, 2, name_len);
    out.extend_from_slice(name[0]);
    out.extend_from_slice(name[1]);
    put_varint_field(out, 3, clamped(tsize));
}

/// Bytes that [`put_link`] appends.
pub(crate) const fn link_len(cid_len: usize, name_len: usize, tsize: u64) -> usize {
    bytes_field_len(link_body_len(cid_len, name_len, tsize))
}

const fn link_body_len(cid_len: usize, name_len: usize, tsize: u64) -> usize {
    bytes_field_len(cid_len) + bytes_field_len(name_len) + 1 + varint_len(clamped(tsize))
}

/// Kubo holds a Tsize in an int64 and writes 0 for what does not fit.
const fn clamped(tsize: u64) -> u64 {
    if tsize > i64::MAX as u64 { 0 } else { tsize }
}

/// Names a finished dag-pb block and hands it to `out` unless it is inlined. `below` is the sum of
/// its links' Tsize.
pub(crate) fn seal(
    block: Vec<u8>,
    below: u64,
    file_size: u64,
    spec: &CidSpec,
    out: &mut dyn FnMut(Block),
) -> Result<Root, HashError> {
    let cid = spec.cid(codec::DAG_PB, &block)?;
    let tsize = below.wrapping_add(block.len() as u64);
    if !cid.hash().is_identity() {
        out(Block::trusted(cid.clone(), Bytes::from(block)));
    }
    Ok(Root {
        cid,
        file_size,
        tsize,
    })
}
