use std::collections::HashSet;

use bytes::Bytes;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;
use ipfs_kit_blockstore::{Block, Cid};

use super::basic::{Basic, size_of_entry};
use super::trie::{Place, Shard, Supplied};
use super::{DirectoryError, Target, check_name, empty_estimate, must_shard};
use crate::hamt;
use crate::links::Root;
use crate::node::{Kind, Mtime, UnixFs};
use crate::options::{CidSpec, DirectoryOptions, SizeEstimate};

mod prepare;

/// Most blocks that one answer asks for.
const MAX_NEEDED: usize = 32;

/// Answer of an operation that may have to see blocks first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<T> {
    /// The operation is done.
    Done(T),
    /// Nothing happened yet: give these blocks to [`Directory::supply`] and call again.
    Need(Vec<Cid>),
}

/// A directory that is edited entry by entry, new or loaded.
///
/// It never does IO: an operation that must see a shard answers [`Progress::Need`]. When it turns
/// into shards, and back into one block, follows boxo `DynamicDirectory`: it grows by the options'
/// threshold, and looks whether it fits one block again only while the net change since it was
/// sharded or loaded is a loss. So a directory near the threshold may keep the form it has.
#[derive(Debug, Clone)]
pub struct Directory {
    options: DirectoryOptions,
    form: Form,
    /// The block it was loaded from or last written to, as long as nothing has changed.
    stored: Option<Root>,
    wanted: HashSet<Cid>,
    supplied: Supplied,
}

#[derive(Debug, Clone)]
enum Form {
    Basic(Basic),
    Sharded(Sharded),
}

#[derive(Debug, Clone)]
struct Sharded {
    root: Shard,
    /// Name and CID bytes won or lost since the directory was sharded or loaded.
    change: i64,
}

impl Directory {
    /// An empty directory.
    pub fn new(options: DirectoryOptions) -> Self {
        Self {
            options,
            form: Form::Basic(Basic::new()),
            stored: None,
            wanted: HashSet::new(),
            supplied: Supplied::new(),
        }
    }

    /// Loads the top block of a directory, a HAMT or not. Mode and time are taken from it and not
    /// from `options`; an existing HAMT keeps its fan-out.
    ///
    /// # Errors
    /// [`DirectoryError`] if the block is not a well-formed directory.
    pub fn load(
        options: DirectoryOptions,
        cid: &Cid,
        block: &Bytes,
    ) -> Result<Self, DirectoryError> {
        let (node, unixfs) = decode(block)?;
        let below = node
            .links
            .iter()
            .fold(0u64, |sum, link| sum.wrapping_add(link.tsize.unwrap_or(0)));
        let tsize = below.wrapping_add(block.len() as u64);
        let form = match unixfs.kind {
            Kind::Directory => Form::Basic(Basic::load(node, options.estimate)?),
            Kind::HamtShard => Form::Sharded(Sharded {
                root: Shard::load(
                    &hamt::Shard::decode(&node, &unixfs)?,
                    Target {
                        cid: cid.clone(),
                        tsize,
                    },
                    options.cid,
                ),
                change: 0,
            }),
            other => return Err(DirectoryError::NotADirectory(other)),
        };
        let options = DirectoryOptions {
            // boxo takes permission bits of 0 for none when it loads a directory.
            mode: unixfs
                .mode
                .map(|mode| mode & 0o7777)
                .filter(|&mode| mode != 0),
            mtime: unixfs.mtime,
            ..options
        };
        let stored = Some(Root {
            cid: cid.clone(),
            file_size: 0,
            tsize,
        });
        Ok(Self {
            options,
            form,
            stored,
            ..Self::new(DirectoryOptions::default())
        })
    }

    /// The options, with the mode and time that the directory has.
    pub fn options(&self) -> &DirectoryOptions {
        &self.options
    }

    /// Whether it is a HAMT now.
    pub fn is_sharded(&self) -> bool {
        matches!(self.form, Form::Sharded(_))
    }

    /// Takes a block that an operation asked for. Its hash is not checked here.
    ///
    /// # Errors
    /// [`DirectoryError::NotNeeded`], and the errors of a block that is not a shard.
    pub fn supply(&mut self, cid: &Cid, block: &Bytes) -> Result<(), DirectoryError> {
        if !self.wanted.remove(cid) {
            return Err(DirectoryError::NotNeeded(cid.clone()));
        }
        let (node, unixfs) = decode(block)?;
        if unixfs.kind != Kind::HamtShard {
            return Err(DirectoryError::NotADirectory(unixfs.kind));
        }
        let shard = hamt::Shard::decode(&node, &unixfs)?;
        self.supplied.insert(cid.clone(), shard);
        Ok(())
    }

    /// Finds an entry.
    ///
    /// # Errors
    /// [`DirectoryError`] if a shard on the way is malformed.
    pub fn get(&mut self, name: &[u8]) -> Result<Progress<Option<Target>>, DirectoryError> {
        match &mut self.form {
            Form::Basic(basic) => Ok(Progress::Done(basic.get(name).cloned())),
            Form::Sharded(sharded) => {
                let place = Place::of(name);
                if let Some(missing) = sharded.root.load_path(place, &mut self.supplied)? {
                    return Ok(self.need(vec![missing]));
                }
                Ok(self.done(|this| match &this.form {
                    Form::Sharded(sharded) => sharded.root.get(place).cloned(),
                    Form::Basic(basic) => basic.get(name).cloned(),
                }))
            }
        }
    }

    /// Adds an entry or replaces the one of this name, which is given back.
    ///
    /// # Errors
    /// [`DirectoryError::Name`], [`DirectoryError::TooManyLinks`], [`hamt::HamtError::TooDeep`] and
    /// the errors of malformed shards; the directory is unchanged then.
    pub fn insert(
        &mut self,
        name: &[u8],
        target: Target,
    ) -> Result<Progress<Option<Target>>, DirectoryError> {
        check_name(name)?;
        match &self.form {
            Form::Basic(_) => self.insert_basic(name, target).map(Progress::Done),
            Form::Sharded(_) => self.change_sharded(name, Some(target)),
        }
    }

    /// Replaces the target of an entry without a look whether the directory should have the other form, which may need
    /// every one of its shards.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn replace(&mut self, name: &[u8], target: Target) -> Result<Progress<()>, DirectoryError> {
        let Form::Sharded(sharded) = &mut self.form else {
            return Ok(match self.insert(name, target)? {
                Progress::Done(_) => Progress::Done(()),
                Progress::Need(missing) => Progress::Need(missing),
            });
        };
        let place = Place::of(name);
        if let Some(missing) = sharded.root.load_path(place, &mut self.supplied)? {
            return Ok(self.need(vec![missing]));
        }
        sharded.root.insert(place, target)?;
        self.stored = None;
        Ok(self.done(|_| ()))
    }

    /// Removes an entry and gives it back, or `None` if there was none.
    ///
    /// # Errors
    /// [`DirectoryError`] if a shard on the way is malformed; the directory is unchanged then.
    pub fn remove(&mut self, name: &[u8]) -> Result<Progress<Option<Target>>, DirectoryError> {
        match &mut self.form {
            Form::Basic(basic) => {
                let removed = basic.remove(name, self.options.estimate);
                if removed.is_some() {
                    self.stored = None;
                }
                Ok(Progress::Done(removed))
            }
            Form::Sharded(_) => self.change_sharded(name, None),
        }
    }

    /// Sets mode and modification time.
    pub fn set_attributes(&mut self, mode: Option<u32>, mtime: Option<Mtime>) {
        self.options.mode = mode;
        self.options.mtime = mtime;
        self.stored = None;
        match &mut self.form {
            Form::Basic(basic) => basic.forget_message(),
            Form::Sharded(sharded) => sharded.root.touch(),
        }
    }

    /// Names its blocks in another way from now on; entries are left as they are.
    pub fn set_cid_spec(&mut self, spec: CidSpec) {
        self.options.cid = spec;
        self.stored = None;
        if let Form::Sharded(sharded) = &mut self.form {
            sharded.root.set_spec(spec);
        }
    }

    /// Counts gains and losses from here on, as if it were loaded now.
    pub fn forget_changes(&mut self) {
        if let Form::Sharded(sharded) = &mut self.form {
            sharded.change = 0;
        }
    }

    /// Encodes what has changed since it was loaded or last written: blocks that are not inlined go
    /// to `out`, children before their parents. It may be edited further.
    ///
    /// # Errors
    /// [`DirectoryError::Hash`] if the hash function is identity and a block is longer than a CID
    /// may hold.
    pub fn write(&mut self, out: &mut dyn FnMut(Block)) -> Result<Root, DirectoryError> {
        if let Some(root) = &self.stored {
            return Ok(root.clone());
        }
        let root = match &mut self.form {
            Form::Basic(basic) => basic.write(&self.options, out)?,
            Form::Sharded(sharded) => {
                let attributes = (self.options.stored_mode(), self.options.mtime);
                let Target { cid, tsize } = sharded.root.write(attributes, out)?;
                Root {
                    cid,
                    file_size: 0,
                    tsize,
                }
            }
        };
        self.stored = Some(root.clone());
        Ok(root)
    }

    fn insert_basic(
        &mut self,
        name: &[u8],
        target: Target,
    ) -> Result<Option<Target>, DirectoryError> {
        let Form::Basic(basic) = &mut self.form else {
            return Ok(None);
        };
        let size = |target: &Target| size_of_entry(self.options.estimate, name.len(), target);
        let old = basic.get(name);
        let estimate = basic.estimate(&self.options) + size(&target) - old.map_or(0, size);
        // A replacement adds no link, so it cannot be what breaks the limit.
        let entries = if old.is_some() { 0 } else { basic.len() + 1 };
        if !must_shard(&self.options, entries, estimate)? {
            self.stored = None;
            let name = Bytes::copy_from_slice(name);
            return Ok(basic.insert(name, target, self.options.estimate));
        }
        let mut root = Shard::new(self.options.fanout, self.options.cid);
        for (name, target) in basic.entries() {
            root.insert(Place::of(name), target.clone())?;
        }
        let gained = links_size(name, &target);
        let prefix = self.options.fanout.prefix_len() as i64;
        let old = root.insert(Place::of(name), target)?;
        let change = gained - old.as_ref().map_or(0, |old| links_size(name, old) + prefix);
        self.form = Form::Sharded(Sharded { root, change });
        self.stored = None;
        Ok(old)
    }

    /// Puts `new` in the place of a HAMT's entry of this name, or removes it.
    fn change_sharded(
        &mut self,
        name: &[u8],
        new: Option<Target>,
    ) -> Result<Progress<Option<Target>>, DirectoryError> {
        let Form::Sharded(sharded) = &mut self.form else {
            return Ok(Progress::Done(None));
        };
        let place = Place::of(name);
        if let Some(missing) = sharded.root.load_path(place, &mut self.supplied)? {
            return Ok(self.need(vec![missing]));
        }
        let old = sharded.root.get(place).cloned();
        if old.is_none() && new.is_none() {
            return Ok(self.done(|_| None));
        }
        match self.fits_one_block(name, old.as_ref(), new.as_ref())? {
            Progress::Need(missing) => return Ok(self.need(missing)),
            Progress::Done(true) => self.become_basic()?,
            Progress::Done(false) => {}
        }
        match &mut self.form {
            Form::Basic(basic) => {
                match new {
                    Some(new) => {
                        let name = Bytes::copy_from_slice(name);
                        basic.insert(name, new, self.options.estimate)
                    }
                    None => basic.remove(name, self.options.estimate),
                };
            }
            Form::Sharded(sharded) => {
                let gained = new.as_ref().map_or(0, |new| links_size(name, new));
                let prefix = sharded.root.fanout().prefix_len() as i64;
                let lost = old.as_ref().map_or(0, |old| links_size(name, old) + prefix);
                match new {
                    Some(new) => sharded.root.insert(place, new)?,
                    None => sharded.root.remove(place),
                };
                sharded.change += gained - lost;
            }
        }
        self.stored = None;
        Ok(self.done(|_| old))
    }

    /// Whether a HAMT should become one block with the change that is about to be made.
    fn fits_one_block(
        &mut self,
        name: &[u8],
        old: Option<&Target>,
        new: Option<&Target>,
    ) -> Result<Progress<bool>, DirectoryError> {
        let (options, Form::Sharded(sharded)) = (&self.options, &mut self.form) else {
            return Ok(Progress::Done(false));
        };
        let by_count_only = options.estimate == SizeEstimate::Disabled;
        let size = |target: Option<&Target>, name_len: usize| {
            target.map_or(0, |t| size_of_entry(options.estimate, name_len, t)) as i64
        };
        // boxo measures the entry that goes with its slot number in front of its name, and the one
        // that comes without its name, and so lets a directory fit that is a few bytes above the
        // threshold. An edit there must give the same CID.
        let prefix_len = sharded.root.fanout().prefix_len();
        let gained = size(new, 0) - size(old, name.len() + prefix_len);
        let may_shrink = match by_count_only {
            true => options.max_links > 0,
            false => sharded.change + gained < 0,
        };
        if options.threshold == 0 || !may_shrink {
            return Ok(Progress::Done(false));
        }

        let mut bytes =
            gained + empty_estimate(options.estimate, options.stored_mode(), options.mtime) as i64;
        let mut entries = i64::from(new.is_some()) - i64::from(old.is_some());
        let mut fits = |name: &Bytes, target: &Target| {
            bytes += size_of_entry(options.estimate, name.len(), target) as i64;
            entries += 1;
            bytes <= options.threshold as i64
                && (options.max_links == 0 || entries <= options.max_links as i64)
        };
        let mut missing = Vec::with_capacity(MAX_NEEDED);
        let all_fit = sharded
            .root
            .visit(&mut self.supplied, &mut missing, &mut fits)?;
        if all_fit && !missing.is_empty() {
            return Ok(Progress::Need(missing));
        }
        Ok(Progress::Done(all_fit))
    }

    /// Turns a HAMT whose shards are all loaded into one block.
    fn become_basic(&mut self) -> Result<(), DirectoryError> {
        if let Form::Sharded(sharded) = &mut self.form {
            let (mut basic, estimate) = (Basic::new(), self.options.estimate);
            sharded
                .root
                .visit(&mut self.supplied, &mut Vec::new(), &mut |name, target| {
                    basic.insert(name.clone(), target.clone(), estimate);
                    true
                })?;
            self.form = Form::Basic(basic);
        }
        Ok(())
    }

    fn need<T>(&mut self, missing: Vec<Cid>) -> Progress<T> {
        self.wanted.extend(missing.iter().cloned());
        Progress::Need(missing)
    }

    /// Ends an operation: what was supplied for it has found its place.
    fn done<T>(&mut self, result: impl FnOnce(&Self) -> T) -> Progress<T> {
        self.supplied.clear();
        self.wanted.clear();
        Progress::Done(result(self))
    }
}

/// The size that boxo counts gains and losses of a HAMT in, whatever the estimate is.
fn links_size(name: &[u8], target: &Target) -> i64 {
    (name.len() + target.cid.encoded_len()) as i64
}

fn decode(block: &Bytes) -> Result<(PbNode, UnixFs), DirectoryError> {
    let node = PbNode::decode(block)?;
    let unixfs = UnixFs::decode(node.data.as_ref().ok_or(DirectoryError::NoData)?)?;
    Ok((node, unixfs))
}
