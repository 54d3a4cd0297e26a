//! Where a path leads.

mod within;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;

use crate::hamt::Shard;
use crate::limits::Limits;
use crate::lookup::NameLookup;
use crate::node::{Kind, UnixFs};
use crate::opened::{decode_pb, decode_shard};
use crate::read_error::Limit;
use crate::{ReadError, Step, Steps};

use within::{Within, find};

/// How the segments of a path are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// `/ipfs`: dag-pb nodes are directories, and segments are names of entries or links.
    #[default]
    Ipfs,
    /// `/ipld`: every node is a value of the data model; a dag-pb node has `Data` and `Links`.
    Ipld,
}

/// The end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The last block on the path.
    pub cid: Cid,
    /// What is left of the path inside that block: it leads to a value that is no link. Empty when
    /// the path ends at the block.
    pub remainder: Vec<String>,
    /// The root of each thing that the path passes, from the first CID to [`Resolved::cid`]. Shards
    /// of a directory below its root are not among them.
    pub roots: Vec<Cid>,
}

/// Follows a path from a root. It gives one [`Resolved`].
///
/// The block at the end of the path is not needed unless the path ends inside of it, so a path of
/// no segments needs no block at all.
#[derive(Debug)]
pub struct PathResolver {
    namespace: Namespace,
    /// Segments still to follow, the next one last.
    rest: Vec<Bytes>,
    roots: Vec<Cid>,
    at: At,
}

#[derive(Debug)]
enum At {
    /// At a block, nothing of it read yet.
    Block(Cid),
    /// Looking for a name in a sharded directory.
    Shards {
        directory: Cid,
        lookup: NameLookup,
    },
    /// At the end, with this remainder.
    End(Vec<String>),
    Done,
}

impl PathResolver {
    /// A resolver of the path from `root` along `segments`.
    ///
    /// # Errors
    /// [`ReadError::Limit`] for a path of more segments than [`Limits::segments`] allows by default.
    pub fn new<S: AsRef<[u8]>>(
        namespace: Namespace,
        root: Cid,
        segments: &[S],
    ) -> Result<Self, ReadError> {
        let max = Limits::default().segments;
        Limits::check(&root, Limit::Segments, segments.len() as u64, max)?;
        let copied = segments
            .iter()
            .rev()
            .map(|name| Bytes::copy_from_slice(name.as_ref()));
        Ok(Self {
            namespace,
            rest: copied.collect(),
            roots: vec![root.clone()],
            at: At::Block(root),
        })
    }

    fn arrive(&mut self, cid: Cid) {
        self.rest.pop();
        self.roots.push(cid.clone());
        self.at = At::Block(cid);
    }

    fn no_link(&self, cid: &Cid) -> ReadError {
        let name = self
            .rest
            .last()
            .map(|name| name.to_vec())
            .unwrap_or_default();
        ReadError::NoLink {
            cid: cid.clone(),
            name,
        }
    }

    fn read_block(&mut self, cid: &Cid, data: &Bytes) -> Result<(), ReadError> {
        match (self.namespace, cid.codec()) {
            (Namespace::Ipfs, codec::DAG_PB) => self.read_directory(cid, data),
            _ => self.read_value(cid, data),
        }
    }

    fn read_directory(&mut self, cid: &Cid, data: &Bytes) -> Result<(), ReadError> {
        let node = decode_pb(cid, data)?;
        // A node without a readable message is no UnixFS, and has links with names all the same.
        let message = node
            .data
            .as_ref()
            .and_then(|data| UnixFs::decode(data).ok());
        if let Some(message) = &message {
            match message.kind {
                Kind::HamtShard => {
                    let shard = decode_shard(cid, &node, message)?;
                    return self.read_shard(cid, &shard);
                }
                Kind::File | Kind::Raw => return Err(self.no_link(cid)),
                Kind::Directory | Kind::Metadata | Kind::Symlink => {}
            }
        }
        let name = self.rest.last().cloned().unwrap_or_default();
        let mut links = node.links.into_iter();
        match links.find(|link| link.name.as_deref().unwrap_or_default() == name) {
            Some(link) => {
                self.arrive(link.cid);
                Ok(())
            }
            None => Err(self.no_link(cid)),
        }
    }

    fn read_shard(&mut self, cid: &Cid, shard: &Shard) -> Result<(), ReadError> {
        let name = self.rest.last().cloned().unwrap_or_default();
        let lookup = NameLookup::in_shard(cid, shard, name)?;
        self.at = At::Shards {
            directory: cid.clone(),
            lookup,
        };
        Ok(())
    }

    fn read_value(&mut self, cid: &Cid, data: &Bytes) -> Result<(), ReadError> {
        match find(cid, data, &self.rest)? {
            Within::Link { cid, used } => {
                // The last segment that was used is taken off on arrival.
                self.rest.truncate(self.rest.len() + 1 - used);
                self.arrive(cid);
            }
            Within::Value => {
                let text = |name: &Bytes| String::from_utf8_lossy(name).into_owned();
                self.at = At::End(self.rest.iter().rev().map(text).collect());
            }
            Within::Nothing { used } => {
                self.rest.truncate(self.rest.len() - used);
                return Err(self.no_link(cid));
            }
        }
        Ok(())
    }

    fn end(&mut self, remainder: Vec<String>) -> Step<Resolved> {
        self.at = At::Done;
        let roots = std::mem::take(&mut self.roots);
        match roots.last().cloned() {
            Some(cid) => Step::Item(Resolved {
                cid,
                remainder,
                roots,
            }),
            None => Step::Done,
        }
    }
}

impl Steps for PathResolver {
    type Item = Resolved;

    fn step(&mut self) -> Result<Step<Resolved>, ReadError> {
        if let At::Shards { directory, lookup } = &mut self.at {
            match lookup.step()? {
                Step::Need(cid) => return Ok(Step::Need(cid)),
                Step::Item(entry) => self.arrive(entry.cid),
                Step::Done => {
                    let directory = directory.clone();
                    return Err(self.no_link(&directory));
                }
            }
        }
        match &mut self.at {
            At::Block(cid) if !self.rest.is_empty() => Ok(Step::Need(cid.clone())),
            At::Block(_) => Ok(self.end(Vec::new())),
            At::End(remainder) => {
                let remainder = std::mem::take(remainder);
                Ok(self.end(remainder))
            }
            At::Shards { .. } | At::Done => Ok(Step::Done),
        }
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        match &mut self.at {
            At::Block(wanted) if wanted == cid && !self.rest.is_empty() => {
                self.read_block(cid, &data)
            }
            At::Shards { lookup, .. } => lookup.supply(cid, data),
            _ => Err(ReadError::NotNeeded { cid: cid.clone() }),
        }
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        match &self.at {
            At::Block(cid) if max > 0 && !self.rest.is_empty() => out.push(cid.clone()),
            At::Shards { lookup, .. } => lookup.wants(max, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
