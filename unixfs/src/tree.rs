//! A directory tree as a list of entries with names that are safe to create.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;

use crate::listing::{DirectoryEntry, DirectoryReader};
use crate::names::NameRules;
use crate::node::Kind;
use crate::opened::Opened;
use crate::read_error::{Limit, TargetFault};
use crate::reader::Attributes;
use crate::{FileReader, Limits, ReadError, Step, Steps};

/// Longest target of a symbolic link, in bytes: PATH_MAX of Linux without its final zero byte.
const MAX_TARGET_BYTES: usize = 4095;

/// How a tree is read.
#[derive(Clone, Debug, Default)]
pub struct TreeOptions {
    /// Which names are refused.
    pub names: NameRules,
    /// Give files that are one raw block without reading that block first: their size is then not
    /// known when the entry is given.
    pub defer_raw: bool,
    /// Where to stop: depth, entries, bytes of a path and bytes of content.
    pub limits: Limits,
}

/// One file, directory or symbolic link.
#[derive(Debug)]
pub struct TreeEntry {
    /// Its place below the root: safe names joined by `/`, empty for the root itself.
    pub path: Bytes,
    /// Its root block.
    pub cid: Cid,
    /// What it is.
    pub content: TreeContent,
    /// Mode and modification time, where stored.
    pub attributes: Attributes,
}

/// What an entry of a tree is.
#[derive(Debug)]
pub enum TreeContent {
    /// A directory; its entries follow.
    Directory,
    /// A file; the reader has its root block already, unless it was deferred.
    File(FileReader),
    /// A symbolic link with its target, which is not empty and holds no zero byte.
    Symlink(Bytes),
}

impl TreeEntry {
    /// The last name of the path, empty for the root.
    pub fn name(&self) -> &[u8] {
        self.path
            .rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    }

    /// The path of the directory that holds it, empty for the root and its direct entries.
    pub fn parent(&self) -> &[u8] {
        let name = self.name().len();
        self.path[..self.path.len() - name]
            .strip_suffix(b"/")
            .unwrap_or_default()
    }
}

/// Reads a tree, each directory before its entries and the entries in the order of the listing.
///
/// The names that it gives can be created below any directory without leaving it: a directory with
/// a name that is empty, `.`, `..`, a path, or there twice is refused as a whole.
#[derive(Debug)]
pub struct TreeReader {
    options: TreeOptions,
    /// Directories from the root to the current one.
    levels: Vec<Level>,
    /// Path of the current directory, or of the entry that is being opened.
    path: Vec<u8>,
    next: Next,
    entries: u64,
    content_bytes: u64,
}

#[derive(Debug)]
struct Level {
    cid: Cid,
    listing: DirectoryReader,
    path_len: usize,
}

#[derive(Debug)]
enum Next {
    /// Take the next entry of the innermost directory.
    Listing,
    /// The first block of this entry.
    Open(Cid),
    /// The blocks that this file needs to know its size.
    File(FileReader),
    Entry(TreeEntry),
}

impl TreeReader {
    /// A reader of the tree below `root`, which may also be a file or a symbolic link.
    pub fn new(root: Cid) -> Self {
        Self::with_options(root, TreeOptions::default())
    }

    /// A reader as `options` say.
    pub fn with_options(root: Cid, options: TreeOptions) -> Self {
        let mut tree = Self {
            options,
            levels: Vec::new(),
            path: Vec::new(),
            next: Next::Listing,
            entries: 0,
            content_bytes: 0,
        };
        tree.open(root);
        tree
    }

    fn open(&mut self, cid: Cid) {
        self.next = if self.options.defer_raw && cid.codec() == codec::RAW {
            let reader = FileReader::with_limits(cid.clone(), self.options.limits.clone());
            Next::Entry(self.entry(cid, TreeContent::File(reader), Attributes::default()))
        } else {
            Next::Open(cid)
        };
    }

    fn entry(&self, cid: Cid, content: TreeContent, attributes: Attributes) -> TreeEntry {
        TreeEntry {
            path: Bytes::copy_from_slice(&self.path),
            cid,
            content,
            attributes,
        }
    }

    fn put_block(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        let opened = Opened::decode(cid, data.clone())?;
        let Opened::Node { node, message } = opened else {
            return self.put_file(cid, data);
        };
        match message.kind {
            Kind::File | Kind::Raw | Kind::Metadata => self.put_file(cid, data),
            Kind::Directory | Kind::HamtShard => {
                let attributes = Attributes::of(&message);
                let mut listing =
                    DirectoryReader::with_limits(cid.clone(), self.options.limits.clone());
                listing.put_opened(cid, node, &message)?;
                listing.check_names(cid, self.options.names)?;
                self.levels.push(Level {
                    cid: cid.clone(),
                    listing,
                    path_len: self.path.len(),
                });
                let depth = self.levels.len() as u64;
                Limits::check(cid, Limit::Depth, depth, self.options.limits.depth)?;
                let entry = self.entry(cid.clone(), TreeContent::Directory, attributes);
                self.next = Next::Entry(entry);
                Ok(())
            }
            Kind::Symlink => {
                let target = message.data.clone().unwrap_or_default();
                let fault = |fault| ReadError::SymlinkTarget {
                    cid: cid.clone(),
                    fault,
                };
                check_target(&target).map_err(fault)?;
                let content = TreeContent::Symlink(target);
                self.next = Next::Entry(self.entry(cid.clone(), content, Attributes::of(&message)));
                Ok(())
            }
        }
    }

    fn put_file(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        let mut reader = FileReader::with_limits(cid.clone(), self.options.limits.clone());
        reader.supply(cid, data)?;
        self.put_reader(reader)
    }

    fn put_reader(&mut self, reader: FileReader) -> Result<(), ReadError> {
        let Some(size) = reader.size() else {
            self.next = Next::File(reader);
            return Ok(());
        };
        self.content_bytes = self.content_bytes.saturating_add(size);
        let (cid, max) = (reader.root().clone(), self.options.limits.content_bytes);
        Limits::check(&cid, Limit::ContentBytes, self.content_bytes, max)?;
        let attributes = reader.attributes();
        self.next = Next::Entry(self.entry(cid, TreeContent::File(reader), attributes));
        Ok(())
    }

    fn put_listed(&mut self, entry: DirectoryEntry) -> Result<(), ReadError> {
        let Some(level) = self.levels.last() else {
            return Ok(());
        };
        self.options
            .names
            .check(&entry.name)
            .map_err(|fault| ReadError::UnsafeName {
                cid: level.cid.clone(),
                name: entry.name.to_vec(),
                fault,
            })?;
        self.path.truncate(level.path_len);
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(&entry.name);
        let limits = &self.options.limits;
        let path_len = self.path.len() as u64;
        Limits::check(&entry.cid, Limit::PathBytes, path_len, limits.path_bytes)?;
        self.entries += 1;
        Limits::check(&entry.cid, Limit::Entries, self.entries, limits.entries)?;
        self.open(entry.cid);
        Ok(())
    }
}

/// A target that the operating system can store.
fn check_target(target: &[u8]) -> Result<(), TargetFault> {
    if target.is_empty() {
        return Err(TargetFault::Empty);
    }
    if target.contains(&0) {
        return Err(TargetFault::Nul);
    }
    if target.len() > MAX_TARGET_BYTES {
        return Err(TargetFault::TooLong);
    }
    Ok(())
}

impl Steps for TreeReader {
    type Item = TreeEntry;

    fn step(&mut self) -> Result<Step<TreeEntry>, ReadError> {
        loop {
            match &mut self.next {
                Next::Open(cid) => return Ok(Step::Need(cid.clone())),
                Next::File(reader) => {
                    // Without a size it can do nothing but ask for a block.
                    if let Step::Need(cid) = reader.step()? {
                        return Ok(Step::Need(cid));
                    }
                    self.next = Next::Listing;
                }
                Next::Entry(_) => {
                    if let Next::Entry(entry) = std::mem::replace(&mut self.next, Next::Listing) {
                        return Ok(Step::Item(entry));
                    }
                }
                Next::Listing => {
                    let Some(level) = self.levels.last_mut() else {
                        return Ok(Step::Done);
                    };
                    match level.listing.step()? {
                        Step::Need(cid) => return Ok(Step::Need(cid)),
                        Step::Item(entry) => self.put_listed(entry)?,
                        Step::Done => {
                            self.levels.pop();
                        }
                    }
                }
            }
        }
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        match std::mem::replace(&mut self.next, Next::Listing) {
            Next::Open(wanted) if wanted == *cid => self.put_block(cid, data),
            Next::File(mut reader) => {
                reader.supply(cid, data)?;
                self.put_reader(reader)
            }
            Next::Listing => match self.levels.last_mut() {
                Some(level) => level.listing.supply(cid, data),
                None => Err(ReadError::NotNeeded { cid: cid.clone() }),
            },
            other => {
                self.next = other;
                Err(ReadError::NotNeeded { cid: cid.clone() })
            }
        }
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        let full = out.len() + max;
        match &self.next {
            Next::Open(cid) => out.extend((max > 0).then(|| cid.clone())),
            Next::File(reader) => reader.wants(max, out),
            Next::Listing | Next::Entry(_) => {}
        }
        let deferred = |cid: &Cid| self.options.defer_raw && cid.codec() == codec::RAW;
        for level in self.levels.iter().rev() {
            let room = full.saturating_sub(out.len());
            out.extend(
                level
                    .listing
                    .upcoming()
                    .filter(|cid| !deferred(cid))
                    .take(room)
                    .cloned(),
            );
        }
    }
}

#[cfg(test)]
mod tests;
