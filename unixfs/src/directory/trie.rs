use std::collections::HashMap;

use bytes::Bytes;
use ipfs_kit_blockstore::{Block, Cid};

use super::shards::ShardWriter;
use super::{DirectoryError, Target};
use crate::edit::spec_of;
use crate::hamt::{self, Fanout, HamtError, name_hash};
use crate::links::Root;
use crate::node::Mtime;
use crate::options::CidSpec;

/// Shards that were asked for and decoded, but not yet put in their place.
pub(super) type Supplied = HashMap<Cid, hamt::Shard>;

/// A shard in memory. Below it only what an edit needed is loaded.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    fanout: Fanout,
    /// How its block is named: as it was, else as its parent.
    spec: CidSpec,
    /// In slot order.
    children: Vec<(usize, Child)>,
    /// Its block, as long as nothing below has changed.
    stored: Option<Target>,
}

#[derive(Debug, Clone)]
enum Child {
    Entry(Bytes, Target),
    Stored(Target),
    Loaded(Box<Shard>),
}

/// Place of a name in the trie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    name: &'a [u8],
    hash: u64,
    depth: u32,
}

impl<'a> Place<'a> {
    pub(super) fn of(name: &'a [u8]) -> Self {
        Self {
            name,
            hash: name_hash(name),
            depth: 0,
        }
    }

    fn below(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    fn slot(self, fanout: Fanout) -> Result<usize, HamtError> {
        fanout.slot(self.hash, self.depth).ok_or(HamtError::TooDeep)
    }
}

impl Shard {
    pub(super) fn new(fanout: Fanout, spec: CidSpec) -> Self {
        Self {
            fanout,
            spec,
            children: Vec::new(),
            stored: None,
        }
    }

    pub(super) fn load(shard: &hamt::Shard, stored: Target, spec: CidSpec) -> Self {
        let child = |child: &hamt::Child| {
            let target = Target {
                cid: child.cid.clone(),
                tsize: child.tsize,
            };
            let loaded = match &child.name {
                Some(name) => Child::Entry(name.clone(), target),
                None => Child::Stored(target),
            };
            (child.slot, loaded)
        };
        Self {
            fanout: shard.fanout(),
            spec,
            children: shard.children().iter().map(child).collect(),
            stored: Some(stored),
        }
    }

    pub(super) fn fanout(&self) -> Fanout {
        self.fanout
    }

    /// Loads the shards on the way to a name from `supplied`; the first one that is not there.
    pub(super) fn load_path(
        &mut self,
        place: Place<'_>,
        supplied: &mut Supplied,
    ) -> Result<Option<Cid>, DirectoryError> {
        let (mut shard, mut place) = (self, place);
        loop {
            let Ok(at) = shard.position(place.slot(shard.fanout)?) else {
                return Ok(None);
            };
            if let Some(missing) = shard.load_child(at, supplied)? {
                return Ok(Some(missing));
            }
            match &mut shard.children[at].1 {
                Child::Loaded(below) => (shard, place) = (below, place.below()),
                Child::Entry(..) | Child::Stored(_) => return Ok(None),
            }
        }
    }

    /// Calls `visit` for the entries below until it answers false; puts shards from `supplied` in
    /// their places and appends those that are not there to `missing`, up to its capacity.
    pub(super) fn visit(
        &mut self,
        supplied: &mut Supplied,
        missing: &mut Vec<Cid>,
        visit: &mut dyn FnMut(&Bytes, &Target) -> bool,
    ) -> Result<bool, DirectoryError> {
        for at in 0..self.children.len() {
            if let Some(cid) = self.load_child(at, supplied)?
                && missing.len() < missing.capacity()
            {
                missing.push(cid);
            }
            let go_on = match &mut self.children[at].1 {
                Child::Entry(name, target) => visit(name, target),
                Child::Loaded(below) => below.visit(supplied, missing, visit)?,
                Child::Stored(_) => true,
            };
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Finds an entry whose path is loaded.
    pub(super) fn get(&self, place: Place<'_>) -> Option<&Target> {
        let at = self.position(place.slot(self.fanout).ok()?).ok()?;
        match &self.children[at].1 {
            Child::Entry(name, target) => (name == place.name).then_some(target),
            Child::Loaded(below) => below.get(place.below()),
            Child::Stored(_) => None,
        }
    }

    /// Adds or replaces an entry whose path is loaded.
    pub(super) fn insert(
        &mut self,
        place: Place<'_>,
        target: Target,
    ) -> Result<Option<Target>, HamtError> {
        let slot = place.slot(self.fanout)?;
        self.stored = None;
        let at = match self.position(slot) {
            Ok(at) => at,
            Err(at) => {
                let name = Bytes::copy_from_slice(place.name);
                self.children.insert(at, (slot, Child::Entry(name, target)));
                return Ok(None);
            }
        };
        match &mut self.children[at].1 {
            Child::Entry(name, old) if name == place.name => {
                Ok(Some(std::mem::replace(old, target)))
            }
            Child::Entry(name, other) => {
                // Two names in one slot: both go into a shard of their own.
                let mut fork = Shard::new(self.fanout, self.spec);
                let resident = Place {
                    name,
                    hash: name_hash(name),
                    depth: place.depth + 1,
                };
                fork.insert(place.below(), target)?;
                fork.insert(resident, other.clone())?;
                self.children[at].1 = Child::Loaded(Box::new(fork));
                Ok(None)
            }
            Child::Loaded(below) => below.insert(place.below(), target),
            Child::Stored(_) => Ok(None),
        }
    }

    /// Removes an entry whose path is loaded. A shard left with one entry gives it to its parent
    /// and goes, so that the trie is the one that the remaining entries alone would make.
    pub(super) fn remove(&mut self, place: Place<'_>) -> Option<Target> {
        let at = self.position(place.slot(self.fanout).ok()?).ok()?;
        let removed = match &mut self.children[at].1 {
            Child::Entry(name, _) if name != place.name => return None,
            Child::Stored(_) => return None,
            Child::Entry(..) => match self.children.remove(at).1 {
                Child::Entry(_, target) => target,
                Child::Stored(_) | Child::Loaded(_) => return None,
            },
            Child::Loaded(below) => {
                let removed = below.remove(place.below())?;
                match &mut below.children[..] {
                    [] => {
                        self.children.remove(at);
                    }
                    [(_, only @ Child::Entry(..))] => {
                        let only = std::mem::replace(only, Child::Stored(removed.clone()));
                        self.children[at].1 = only;
                    }
                    _ => {}
                }
                removed
            }
        };
        self.stored = None;
        Some(removed)
    }

    /// Encodes the shards that changed, children first.
    pub(super) fn write(
        &mut self,
        attributes: (Option<u32>, Option<Mtime>),
        out: &mut dyn FnMut(Block),
    ) -> Result<Target, DirectoryError> {
        if let Some(stored) = &self.stored {
            return Ok(stored.clone());
        }
        let mut writer = ShardWriter::new(self.fanout, 64 * self.children.len() + 64);
        for (slot, child) in &mut self.children {
            match child {
                Child::Entry(name, target) => writer.push(*slot, name, &target.cid, target.tsize),
                Child::Stored(target) => writer.push(*slot, &[], &target.cid, target.tsize),
                Child::Loaded(below) => {
                    let target = below.write((None, None), out)?;
                    writer.push(*slot, &[], &target.cid, target.tsize);
                }
            }
        }
        let Root { cid, tsize, .. } = writer.finish(attributes, &self.spec, out)?;
        let target = Target { cid, tsize };
        self.stored = Some(target.clone());
        Ok(target)
    }

    /// Names this shard, and those that will be made below it, in another way.
    pub(super) fn set_spec(&mut self, spec: CidSpec) {
        self.spec = spec;
        self.stored = None;
    }

    /// The root must be encoded again though no entry changed.
    pub(super) fn touch(&mut self) {
        self.stored = None;
    }

    fn position(&self, slot: usize) -> Result<usize, usize> {
        self.children.binary_search_by_key(&slot, |(slot, _)| *slot)
    }

    /// Loads a sub-shard from `supplied`; its CID if it is not there.
    fn load_child(
        &mut self,
        at: usize,
        supplied: &mut Supplied,
    ) -> Result<Option<Cid>, DirectoryError> {
        let Child::Stored(target) = &self.children[at].1 else {
            return Ok(None);
        };
        let Some(shard) = supplied.get(&target.cid) else {
            return Ok(Some(target.cid.clone()));
        };
        if shard.fanout() != self.fanout {
            return Err(DirectoryError::Hamt(HamtError::MixedFanout {
                expected: self.fanout.slots() as u16,
                found: shard.fanout().slots() as u16,
            }));
        }
        let spec = spec_of(&target.cid).unwrap_or(self.spec);
        let loaded = Shard::load(shard, target.clone(), spec);
        self.children[at].1 = Child::Loaded(Box::new(loaded));
        Ok(None)
    }
}
