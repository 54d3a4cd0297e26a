use ipfs_kit_blockstore::{Block, Cid};

use super::shards::ShardWriter;
use super::{
    DirectoryError, check_name, empty_estimate, entry_estimate, must_shard, put_directory_data,
};
use crate::hamt::{HamtError, name_hash};
use crate::links::{Root, link_len, put_link, seal};
use crate::options::DirectoryOptions;

/// Builds one directory from all its entries.
///
/// An entry takes about 90 bytes besides its name. Entries may come in any order; of two with the same name the later one counts. Ascending names save a sort.
#[derive(Debug)]
pub struct DirectoryBuilder {
    options: DirectoryOptions,
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// Every name so far was above the one before, so none occurs twice.
    ascending: bool,
}

#[derive(Debug)]
struct Entry {
    /// Start of the name in `names`; it ends where the next one starts.
    name: usize,
    cid: Cid,
    tsize: u64,
}

impl DirectoryBuilder {
    /// A builder without entries.
    pub fn new(options: DirectoryOptions) -> Self {
        Self {
            options,
            names: Vec::new(),
            entries: Vec::new(),
            ascending: true,
        }
    }

    /// Number of entries so far, repeated names counted each time.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry yet.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry, or replaces the one of this name.
    ///
    /// # Errors
    /// [`DirectoryError::Name`] if no path could reach it.
    pub fn insert(&mut self, name: &[u8], cid: Cid, tsize: u64) -> Result<(), DirectoryError> {
        check_name(name)?;
        if let Some(last) = self.entries.last() {
            self.ascending &= &self.names[last.name..] < name;
        }
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.entries.push(Entry {
            name: start,
            cid,
            tsize,
        });
        Ok(())
    }

    /// Encodes the directory: every block that is not inlined goes to `out`, children before their
    /// parents.
    ///
    /// # Errors
    /// [`DirectoryError::TooManyLinks`], [`HamtError::TooDeep`], and [`DirectoryError::Hash`] if the
    /// hash function is identity and a block is longer than a CID may hold.
    pub fn finish(self, out: &mut dyn FnMut(Block)) -> Result<Root, DirectoryError> {
        let options = &self.options;
        let order = self.unique_by_name();
        let empty = empty_estimate(options.estimate, options.stored_mode(), options.mtime);
        let estimate = order.iter().fold(empty, |sum, &at| {
            let entry = &self.entries[at];
            let (name_len, cid_len) = (self.name(at).len(), entry.cid.encoded_len());
            sum + entry_estimate(options.estimate, name_len, cid_len, entry.tsize)
        });
        // Only adding an entry can shard a directory, so an empty one is never a HAMT, however low
        // the threshold.
        if order.is_empty() || !must_shard(options, order.len(), estimate)? {
            return self.finish_basic(&order, out);
        }
        let mut hashed: Vec<(u64, usize)> = order
            .into_iter()
            .map(|at| (name_hash(self.name(at)), at))
            .collect();
        hashed.sort_unstable();
        self.finish_shard(&hashed, 0, out)
    }

    fn name(&self, at: usize) -> &[u8] {
        let end = self
            .entries
            .get(at + 1)
            .map_or(self.names.len(), |next| next.name);
        &self.names[self.entries[at].name..end]
    }

    /// Positions of the entries in order of their names, without those that a later one replaces.
    fn unique_by_name(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        if !self.ascending {
            order.sort_by(|&a, &b| self.name(a).cmp(self.name(b)).then(b.cmp(&a)));
            order.dedup_by(|&mut later, &mut kept| self.name(later) == self.name(kept));
        }
        order
    }

    fn finish_basic(
        &self,
        order: &[usize],
        out: &mut dyn FnMut(Block),
    ) -> Result<Root, DirectoryError> {
        let links_len: usize = order
            .iter()
            .map(|&at| {
                let entry = &self.entries[at];
                link_len(entry.cid.encoded_len(), self.name(at).len(), entry.tsize)
            })
            .sum();
        let mut block = Vec::with_capacity(links_len + 48);
        let mut below = 0u64;
        for &at in order {
            let entry = &self.entries[at];
            put_link(&mut block, &entry.cid, [self.name(at), &[]], entry.tsize);
            below = below.wrapping_add(entry.tsize);
        }
        put_directory_data(&mut block, self.options.stored_mode(), self.options.mtime);
        Ok(seal(block, below, 0, &self.options.cid, out)?)
    }

    /// Writes the shard of all `entries`, which share the hash bits above `depth` and are in order
    /// of their hashes, which is also the order of the slots.
    fn finish_shard(
        &self,
        entries: &[(u64, usize)],
        depth: u32,
        out: &mut dyn FnMut(Block),
    ) -> Result<Root, DirectoryError> {
        let fanout = self.options.fanout;
        let mut shard = ShardWriter::new(fanout, 64 * entries.len().min(fanout.slots()) + 64);
        let mut rest = entries;
        while let Some(&(hash, first)) = rest.first() {
            let slot = fanout.slot(hash, depth).ok_or(HamtError::TooDeep)?;
            let group = rest.partition_point(|&(other, _)| fanout.slot(other, depth) == Some(slot));
            let (here, after) = rest.split_at(group);
            if here.len() == 1 {
                let entry = &self.entries[first];
                shard.push(slot, self.name(first), &entry.cid, entry.tsize);
            } else {
                let child = self.finish_shard(here, depth + 1, out)?;
                shard.push(slot, &[], &child.cid, child.tsize);
            }
            rest = after;
        }
        let attributes = match depth {
            0 => (self.options.stored_mode(), self.options.mtime),
            _ => (None, None),
        };
        shard.finish(attributes, &self.options.cid, out)
    }
}
