//! A batch of chunks in one buffer, each with room around it for the frame of its leaf: chunks are read in place, framed
//! in place, hashed side by side, and become blocks that share the buffer.

use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::hash::{HashSpec, sha256_many};
use ipfs_kit_unixfs::leaf::{HEADROOM, TAILROOM};
use ipfs_kit_unixfs::{CidSpec, LeafEncoder, Root};

use super::buffers::Buffer;
use crate::error::Result;

/// Room for one chunk besides its bytes.
pub const ROOM: usize = HEADROOM + TAILROOM;

/// Chunks in one buffer.
pub struct Slots {
    buffer: Buffer,
    chunks: Vec<(usize, usize)>,
    end: usize,
}

/// The leaves of a batch, and their blocks without those that stand in their CIDs.
pub struct Sealed {
    pub leaves: Vec<Root>,
    pub blocks: Vec<Block>,
}

impl Slots {
    /// No chunk yet.
    pub fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            chunks: Vec::new(),
            end: 0,
        }
    }

    /// Whether a chunk of `len` bytes still fits.
    pub fn fits(&self, len: usize) -> bool {
        self.end + len + ROOM <= self.buffer.len()
    }

    /// Where the next chunk's bytes go; [`Slots::commit`] tells how many there are.
    pub fn next(&mut self, len: usize) -> &mut [u8] {
        &mut self.buffer[self.end + HEADROOM..][..len]
    }

    /// The first `len` bytes of [`Slots::next`] are a chunk.
    pub fn commit(&mut self, len: usize) {
        self.chunks.push((self.end + HEADROOM, len));
        self.end += len + ROOM;
    }

    /// Lays out chunks of `chunk` bytes over `total` bytes, the last one shorter, and gives the places to fill, in order.
    pub fn lay_out(&mut self, chunk: usize, total: usize) -> impl Iterator<Item = &mut [u8]> {
        let start = self.end;
        let mut left = total;
        while left > 0 {
            let len = chunk.min(left);
            self.commit(len);
            left -= len;
        }
        self.buffer[start..self.end]
            .chunks_mut(chunk + ROOM)
            .map(|slot| {
                let len = slot.len() - ROOM;
                &mut slot[HEADROOM..HEADROOM + len]
            })
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Bytes in all chunks.
    pub fn content(&self) -> u64 {
        self.chunks.iter().map(|&(_, len)| len as u64).sum()
    }

    /// Makes leaves of the chunks; `encoder` gives the encoder of a chunk and whether it is its whole file.
    pub fn seal<'e>(
        mut self,
        encoder: impl Fn(usize) -> (&'e LeafEncoder, bool),
    ) -> Result<Sealed> {
        let mut ranges = Vec::with_capacity(self.chunks.len());
        for (at, &(start, len)) in self.chunks.iter().enumerate() {
            let (encoder, sole) = encoder(at);
            let frame = encoder.frame(len, sole)?;
            let (head, tail) = (frame.head(), frame.tail());
            self.buffer[start - head.len()..start].copy_from_slice(head);
            self.buffer[start + len..][..tail.len()].copy_from_slice(tail);
            ranges.push(start - head.len()..start + len + tail.len());
        }
        let cids = name_all(&self.buffer, &ranges, |at| encoder(at).0)?;
        let bytes = self.buffer.freeze();
        let mut leaves = Vec::with_capacity(ranges.len());
        let mut blocks = Vec::with_capacity(ranges.len());
        for (at, (cid, range)) in cids.into_iter().zip(ranges).enumerate() {
            leaves.push(
                encoder(at)
                    .0
                    .root(cid.clone(), self.chunks[at].1, range.len()),
            );
            if !cid.hash().is_identity() {
                blocks.push(Block::trusted(cid, bytes.slice(range)));
            }
        }
        Ok(Sealed { leaves, blocks })
    }
}

/// Names blocks; those that SHA-256 names are hashed side by side.
fn name_all<'e>(
    buffer: &[u8],
    ranges: &[std::ops::Range<usize>],
    encoder: impl Fn(usize) -> &'e LeafEncoder,
) -> Result<Vec<Cid>> {
    let together =
        |spec: &CidSpec, len: usize| spec.hash() == HashSpec::SHA2_256 && !spec.is_inlined(len);
    let hashed: Vec<&[u8]> = ranges
        .iter()
        .enumerate()
        .filter(|(at, range)| together(encoder(*at).cid_spec(), range.len()))
        .map(|(_, range)| &buffer[range.clone()])
        .collect();
    let mut digests = sha256_many(&hashed).into_iter();
    ranges
        .iter()
        .enumerate()
        .map(|(at, range)| {
            let (spec, codec) = (encoder(at).cid_spec(), encoder(at).codec());
            let digest = if together(spec, range.len()) {
                digests.next()
            } else {
                None
            };
            match digest {
                Some(digest) => Ok(spec.name(codec, Multihash::sha2_256(&digest))),
                None => Ok(spec.cid(codec, &buffer[range.clone()])?),
            }
        })
        .collect()
}
