//! The entries of a directory, basic or sharded.

use std::collections::VecDeque;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};

use crate::hamt::Child;
use crate::hamt_descent::Place;
use crate::names::NameRules;
use crate::node::{Kind, UnixFs};
use crate::opened::{Opened, decode_shard};
use crate::read_error::Limit;
use crate::reader::Attributes;
use crate::{Limits, ReadError, Step, Steps};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name: any bytes. See [`crate::names`] before using it as a file name or printing it.
    pub name: Bytes,
    /// Its root block.
    pub cid: Cid,
    /// Bytes of all blocks below it, as the directory's writer counted them.
    pub tsize: u64,
}

impl From<PbLink> for DirectoryEntry {
    fn from(link: PbLink) -> Self {
        Self {
            name: link.name.unwrap_or_default(),
            cid: link.cid,
            tsize: link.tsize.unwrap_or(0),
        }
    }
}

/// Lists a directory: a basic one in the order of its links, a sharded one in the order of its
/// slots, shards where they stand.
///
/// Names are given as they are. Two entries of a basic directory may have the same name.
#[derive(Debug)]
pub struct DirectoryReader {
    limits: Limits,
    /// List the links of anything that is not a directory, instead of refusing it.
    any_links: bool,
    attributes: Attributes,
    want: Option<(Cid, Place)>,
    /// What is left of the shards from the root to the current one.
    shards: Vec<ShardRest>,
    /// Entries of a basic directory.
    entries: VecDeque<DirectoryEntry>,
    blocks: u64,
    listed: u64,
}

#[derive(Debug)]
struct ShardRest {
    cid: Cid,
    place: Place,
    fanout: crate::hamt::Fanout,
    children: std::vec::IntoIter<Child>,
}

impl DirectoryReader {
    /// A listing of a directory.
    pub fn new(directory: Cid) -> Self {
        Self::with_limits(directory, Limits::default())
    }

    /// A listing that stops at `limits`.
    pub fn with_limits(directory: Cid, limits: Limits) -> Self {
        Self {
            limits,
            any_links: false,
            attributes: Attributes::default(),
            want: Some((directory, Place::ROOT)),
            shards: Vec::new(),
            entries: VecDeque::new(),
            blocks: 0,
            listed: 0,
        }
    }

    /// A listing that shows the links of the node when it is not a directory, as Kubo's `ls` does:
    /// the pieces of a file, without names.
    pub fn or_links(node: Cid) -> Self {
        Self {
            any_links: true,
            ..Self::new(node)
        }
    }

    /// Mode and modification time of the directory. Known once its root has been supplied.
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    fn put_root(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        if self.any_links && cid.codec() != ipfs_kit_blockstore::codec::DAG_PB {
            return self.put_foreign(cid, &data);
        }
        match Opened::decode(cid, data)? {
            Opened::Node { node, message } => self.put_opened(cid, node, &message),
            Opened::Raw(_) => Err(ReadError::NotADirectory { cid: cid.clone() }),
        }
    }

    /// Takes the root when it is decoded already.
    pub(crate) fn put_opened(
        &mut self,
        cid: &Cid,
        node: PbNode,
        message: &UnixFs,
    ) -> Result<(), ReadError> {
        self.want = None;
        self.blocks = 1;
        match message.kind {
            Kind::HamtShard => {
                self.attributes = Attributes::of(message);
                let shard = decode_shard(cid, &node, message)?;
                Place::ROOT.check(cid, &shard)?;
                self.put_shard(cid, Place::ROOT, shard);
            }
            Kind::Directory => {
                self.attributes = Attributes::of(message);
                self.entries
                    .extend(node.links.into_iter().map(DirectoryEntry::from));
            }
            _ if self.any_links => {
                self.entries
                    .extend(node.links.into_iter().map(DirectoryEntry::from));
            }
            _ => return Err(ReadError::NotADirectory { cid: cid.clone() }),
        }
        Ok(())
    }

    /// Refuses a directory with an entry that may not be created, before any of them is given.
    /// Names of a sharded directory cannot be there twice, because the hash of a name has one place.
    pub(crate) fn check_names(&self, cid: &Cid, rules: NameRules) -> Result<(), ReadError> {
        let mut names: Vec<&Bytes> = self.entries.iter().map(|entry| &entry.name).collect();
        for name in &names {
            rules.check(name).map_err(|fault| ReadError::UnsafeName {
                cid: cid.clone(),
                name: name.to_vec(),
                fault,
            })?;
        }
        if !names.is_sorted() {
            names.sort_unstable();
        }
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(ReadError::DuplicateName {
                cid: cid.clone(),
                name: pair[0].to_vec(),
            }),
            None => Ok(()),
        }
    }

    /// Entries and shards that come next, as far as they are known.
    pub(crate) fn upcoming(&self) -> impl Iterator<Item = &Cid> {
        let want = self.want.iter().map(|(cid, _)| cid);
        let entries = self.entries.iter().map(|entry| &entry.cid);
        let shards = self
            .shards
            .iter()
            .rev()
            .flat_map(|shard| shard.children.as_slice());
        want.chain(entries).chain(shards.map(|child| &child.cid))
    }

    fn put_foreign(&mut self, cid: &Cid, data: &[u8]) -> Result<(), ReadError> {
        let entries = &mut self.entries;
        let mut put = |cid| {
            entries.push_back(DirectoryEntry {
                name: Bytes::new(),
                cid,
                tsize: 0,
            })
        };
        ipfs_kit_blockstore::codec::links(cid.codec(), data, &mut put)
            .map_err(|source| ReadError::codec(cid, source))
    }

    fn put_shard(&mut self, cid: &Cid, place: Place, shard: crate::hamt::Shard) {
        let fanout = shard.fanout();
        let children = shard.children().to_vec().into_iter();
        self.shards.push(ShardRest {
            cid: cid.clone(),
            place,
            fanout,
            children,
        });
    }

    fn entry(&mut self, entry: DirectoryEntry) -> Result<Step<DirectoryEntry>, ReadError> {
        self.listed += 1;
        Limits::check(&entry.cid, Limit::Entries, self.listed, self.limits.entries)?;
        Ok(Step::Item(entry))
    }
}

impl Steps for DirectoryReader {
    type Item = DirectoryEntry;

    fn step(&mut self) -> Result<Step<DirectoryEntry>, ReadError> {
        if let Some((cid, _)) = &self.want {
            return Ok(Step::Need(cid.clone()));
        }
        if let Some(entry) = self.entries.pop_front() {
            return self.entry(entry);
        }
        while let Some(shard) = self.shards.last_mut() {
            match shard.children.next() {
                Some(Child {
                    name: Some(name),
                    cid,
                    tsize,
                    ..
                }) => {
                    return self.entry(DirectoryEntry { name, cid, tsize });
                }
                Some(child) => {
                    let place = shard.place.below(shard.fanout, child.slot);
                    self.want = Some((child.cid.clone(), place));
                    return Ok(Step::Need(child.cid));
                }
                None => {
                    self.shards.pop();
                }
            }
        }
        Ok(Step::Done)
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        let (wanted, place) = match self.want.take() {
            Some(want) if want.0 == *cid => want,
            other => {
                self.want = other;
                return Err(ReadError::NotNeeded { cid: cid.clone() });
            }
        };
        let first = self.blocks == 0;
        self.blocks += 1;
        let parent = self.shards.last().map_or(&wanted, |shard| &shard.cid);
        Limits::check(parent, Limit::Blocks, self.blocks, self.limits.blocks)?;
        if first {
            return self.put_root(&wanted, data);
        }
        let shard = place.open(&wanted, data)?;
        self.put_shard(&wanted, place, shard);
        Ok(())
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        let next = self.want.iter().map(|(cid, _)| cid);
        let shards = self
            .shards
            .iter()
            .rev()
            .flat_map(|shard| shard.children.as_slice());
        let later = shards
            .filter(|child| child.name.is_none())
            .map(|child| &child.cid);
        out.extend(next.chain(later).take(max).cloned());
    }
}

#[cfg(test)]
mod tests;
