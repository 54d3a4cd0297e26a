//! One entry of a directory by its name, touching only the shards on its path.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;

use crate::hamt::Shard;
use crate::hamt_descent::Place;
use crate::listing::DirectoryEntry;
use crate::node::Kind;
use crate::opened::{Opened, decode_shard};
use crate::{ReadError, Step, Steps};

/// Looks up one name. It gives the entry as its only item, or none when there is no such name.
#[derive(Debug)]
pub struct NameLookup {
    name: Bytes,
    want: Option<(Cid, Place)>,
    found: Option<DirectoryEntry>,
}

impl NameLookup {
    /// A lookup of `name` in a directory.
    pub fn new(directory: Cid, name: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            want: Some((directory, Place::ROOT)),
            found: None,
        }
    }

    /// The look-up of `name` in a sharded directory whose root shard is at hand.
    pub(crate) fn in_shard(
        cid: &Cid,
        shard: &Shard,
        name: impl Into<Bytes>,
    ) -> Result<Self, ReadError> {
        let mut lookup = Self {
            name: name.into(),
            want: None,
            found: None,
        };
        Place::ROOT.check(cid, shard)?;
        lookup.descend(Place::ROOT, shard);
        Ok(lookup)
    }

    fn descend(&mut self, place: Place, shard: &Shard) {
        let fanout = shard.fanout();
        let slot = place.slot(fanout, &self.name);
        let Some(child) = slot.and_then(|slot| shard.child(slot)) else {
            return;
        };
        match &child.name {
            None => self.want = Some((child.cid.clone(), place.below(fanout, child.slot))),
            Some(name) if *name == self.name => {
                let (name, cid, tsize) = (name.clone(), child.cid.clone(), child.tsize);
                self.found = Some(DirectoryEntry { name, cid, tsize });
            }
            Some(_) => {}
        }
    }
}

impl Steps for NameLookup {
    type Item = DirectoryEntry;

    fn step(&mut self) -> Result<Step<DirectoryEntry>, ReadError> {
        if let Some((cid, _)) = &self.want {
            return Ok(Step::Need(cid.clone()));
        }
        Ok(self.found.take().map_or(Step::Done, Step::Item))
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        let place = match self.want.take() {
            Some((wanted, place)) if wanted == *cid => place,
            other => {
                self.want = other;
                return Err(ReadError::NotNeeded { cid: cid.clone() });
            }
        };
        if !place.is_root() {
            let shard = place.open(cid, data)?;
            self.descend(place, &shard);
            return Ok(());
        }
        match Opened::decode(cid, data)? {
            Opened::Node { node, message } if message.kind == Kind::HamtShard => {
                let shard = decode_shard(cid, &node, &message)?;
                place.check(cid, &shard)?;
                self.descend(place, &shard);
            }
            Opened::Node { node, message } if message.kind == Kind::Directory => {
                // Of entries with the same name the first one counts, as in Kubo.
                let named = |name: &Option<Bytes>| name.as_deref().unwrap_or_default() == self.name;
                let link = node.links.into_iter().find(|link| named(&link.name));
                self.found = link.map(DirectoryEntry::from);
            }
            _ => return Err(ReadError::NotADirectory { cid: cid.clone() }),
        }
        Ok(())
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        out.extend(self.want.iter().take(max).map(|(cid, _)| cid.clone()));
    }
}

#[cfg(test)]
mod tests;
