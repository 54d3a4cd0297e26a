//! What the journal says of single blocks, and how it is written.

use crate::cid::Multihash;
use crate::varint;

use super::super::entry::Entry;
use super::super::types::Position;

/// One change of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// A block was stored.
    Put {
        hash: Multihash,
        entry: Entry,
        /// Fingerprints of the blocks it links to.
        children: Box<[u64]>,
    },
    /// A block was deleted; `entry` is where it stood.
    Dead {
        hash: Multihash,
        entry: Entry,
        children: Box<[u64]>,
    },
    /// A block stands at `entry` now and no longer at `old`.
    Move {
        hash: Multihash,
        old: Entry,
        entry: Entry,
        /// Links to be added.
        children: Box<[u64]>,
    },
    /// A block was found damaged.
    Bad { hash: Multihash, entry: Entry },
    /// Every frame before this position has been told of, in this journal or before it.
    Covered(Position),
    /// The index was closed, and this is the CRC32C of its first page, which has no other check.
    Clean { crc: u32 },
}

const PUT: u8 = 1;
const DEAD: u8 = 2;
const MOVE: u8 = 3;
const BAD: u8 = 4;
const COVERED: u8 = 5;
const CLEAN: u8 = 6;

impl Record {
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put {
                hash,
                entry,
                children,
            } => {
                write_block(PUT, hash, entry, out);
                write_children(children, out);
            }
            Self::Dead {
                hash,
                entry,
                children,
            } => {
                write_block(DEAD, hash, entry, out);
                write_children(children, out);
            }
            Self::Move {
                hash,
                old,
                entry,
                children,
            } => {
                write_block(MOVE, hash, entry, out);
                out.extend_from_slice(&old.to_bytes());
                write_children(children, out);
            }
            Self::Bad { hash, entry } => write_block(BAD, hash, entry, out),
            Self::Covered(position) => {
                out.push(COVERED);
                out.extend_from_slice(&position.as_u64().to_le_bytes());
            }
            Self::Clean { crc } => {
                out.push(CLEAN);
                out.extend_from_slice(&crc.to_le_bytes());
            }
        }
    }

    /// Reads the next record; `None` when the bytes are none, which their checksum makes unlikely.
    pub(super) fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(match take::<1>(bytes)?[0] {
            PUT => {
                let (entry, hash) = read_block(bytes)?;
                Self::Put {
                    hash,
                    entry,
                    children: read_children(bytes)?,
                }
            }
            DEAD => {
                let (entry, hash) = read_block(bytes)?;
                Self::Dead {
                    hash,
                    entry,
                    children: read_children(bytes)?,
                }
            }
            MOVE => {
                let (entry, hash) = read_block(bytes)?;
                let old = Entry::from_bytes(take(bytes)?);
                Self::Move {
                    hash,
                    old,
                    entry,
                    children: read_children(bytes)?,
                }
            }
            BAD => {
                let (entry, hash) = read_block(bytes)?;
                Self::Bad { hash, entry }
            }
            COVERED => Self::Covered(Position::from_u64(u64::from_le_bytes(*take(bytes)?))),
            CLEAN => Self::Clean {
                crc: u32::from_le_bytes(*take(bytes)?),
            },
            _ => return None,
        })
    }

    /// The frame that this record makes dead.
    pub(super) fn kills(&self) -> Option<Position> {
        match self {
            Self::Dead { entry, .. } => Some(entry.position),
            Self::Move { old, .. } => Some(old.position),
            _ => None,
        }
    }
}

/// The next `N` bytes.
pub(super) fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

fn write_block(op: u8, hash: &Multihash, entry: &Entry, out: &mut Vec<u8>) {
    out.push(op);
    out.extend_from_slice(&entry.to_bytes());
    hash.write_to(out);
}

fn read_block(bytes: &mut &[u8]) -> Option<(Entry, Multihash)> {
    let entry = Entry::from_bytes(take(bytes)?);
    let (hash, read) = Multihash::read(bytes).ok()?;
    hash.check().ok()?;
    *bytes = &bytes[read..];
    Some((entry, hash))
}

fn write_children(children: &[u64], out: &mut Vec<u8>) {
    varint::write(children.len() as u64, out);
    for child in children {
        out.extend_from_slice(&child.to_le_bytes());
    }
}

fn read_children(bytes: &mut &[u8]) -> Option<Box<[u64]>> {
    let (count, read) = varint::read(bytes).ok()?;
    *bytes = &bytes[read..];
    if count > bytes.len() as u64 / 8 {
        return None;
    }
    (0..count)
        .map(|_| Some(u64::from_le_bytes(*take(bytes)?)))
        .collect()
}
