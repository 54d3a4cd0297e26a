//! From what is given to steps: walks it, cuts it into work for the workers, and queues what has to happen.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipfs_kit_unixfs::{Chunker, FileBuilder, FileOptions, LeafEncoder, Mtime, symlink};

use super::{BATCH_FILES, Driver, OpenFile, Step, WHOLE_FILE_BYTES};
use crate::error::{Error, Result};
use crate::files::EntryKind;
use crate::files::add::stream::Stream;
use crate::files::add::upload::{self, Move, Place};
use crate::files::add::walk::{Attributes, Item, Walk};
use crate::files::add::worker::{BATCH_BYTES, FilePart, WholeFile, Work};
use crate::files::options::TreeStream;

impl Driver<'_> {
    pub(super) fn given_attributes(&self) -> Attributes {
        let mtime = self
            .options
            .mtime
            .map(|(seconds, nanos)| Mtime { seconds, nanos });
        Attributes {
            mode: self.options.mode,
            mtime,
        }
    }

    pub(super) fn path(&mut self, name: Vec<u8>, path: PathBuf) -> Result<()> {
        let mut walk = Walk::new(name, path, self.options, self.rules);
        while let Some(item) = walk.next()? {
            self.node.cancel().check()?;
            match item {
                Item::File {
                    name,
                    path,
                    size,
                    attributes,
                } if size <= WHOLE_FILE_BYTES => {
                    self.small_file(name, path, size, attributes)?;
                }
                Item::File {
                    name,
                    path,
                    size,
                    attributes,
                } => self.large_file(name, path, size, attributes)?,
                Item::Stream { name, path } => {
                    let file = open(&path)?;
                    self.stream(name, Box::new(file), self.given_attributes())?;
                }
                Item::Symlink {
                    name,
                    target,
                    attributes,
                } => self.symlink(name, &target, attributes)?,
                Item::Enter { name, attributes } => self.enter(name, attributes)?,
                Item::Leave => self.leave()?,
            }
            self.catch_up()?;
        }
        Ok(())
    }

    /// Adds a tree that comes as a stream.
    pub(super) fn upload(&mut self, tree: &mut dyn TreeStream) -> Result<()> {
        let mut place = Place::default();
        while let Some(entry) = tree.next_entry().map_err(Error::Input)? {
            self.node.cancel().check()?;
            let attributes = upload::attributes(self.options, &entry);
            let (steps, name) = place.go_to(&entry)?;
            for step in steps {
                match step {
                    Move::Enter(name) => self.enter(name, Attributes::default())?,
                    Move::Leave => self.leave()?,
                }
            }
            match entry.kind {
                EntryKind::Directory => self.enter(name, attributes)?,
                EntryKind::Symlink => {
                    let target = upload::target(tree)?;
                    self.symlink(name, &target, attributes)?;
                }
                EntryKind::File | EntryKind::Unknown => {
                    let options = self.import.file(attributes.mode, attributes.mtime);
                    let content = Box::new(upload::Content(tree));
                    self.stream_with(name, content, attributes, &options)?;
                }
            }
            self.catch_up()?;
        }
        for _ in 0..place.depth() {
            self.leave()?;
        }
        Ok(())
    }

    fn symlink(&mut self, name: Vec<u8>, target: &[u8], attributes: Attributes) -> Result<()> {
        self.send_batch()?;
        let (root, block) = symlink(target, attributes.mtime, &self.import.cid)?;
        self.tree.store(block.into_iter().collect())?;
        self.queue.push_back(Step::Link(name, root, attributes));
        Ok(())
    }

    fn enter(&mut self, name: Vec<u8>, attributes: Attributes) -> Result<()> {
        self.send_batch()?;
        self.queue.push_back(Step::Enter(name, attributes));
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.send_batch()?;
        self.queue.push_back(Step::Leave);
        Ok(())
    }

    fn small_file(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        // The size is below the limit for whole files, which fits.
        let size = size as usize;
        self.batch.push(WholeFile {
            path,
            size,
            options,
        });
        self.batch_names.push((name, attributes));
        self.batch_bytes += size;
        if self.batch_bytes >= BATCH_BYTES || self.batch.len() >= BATCH_FILES {
            self.send_batch()
        } else {
            Ok(())
        }
    }

    pub(super) fn send_batch(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let files = std::mem::take(&mut self.batch);
        let names = std::mem::take(&mut self.batch_names);
        self.batch_bytes = 0;
        let sizes = files.iter().map(|file| file.size as u64).collect();
        let reply = self.send(Work::Files(files))?;
        self.queue.push_back(Step::Files(names, sizes, reply));
        Ok(())
    }

    /// Equal chunks can be read from anywhere, so all cores read.
    fn large_file(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        let file = open(&path)?;
        let Chunker::Size(chunk) = options.chunker else {
            return self
                .stream_with(name, Box::new(file), attributes, &options)
                .map_err(|error| match error {
                    Error::Input(source) => Error::LocalFile {
                        action: "read",
                        path,
                        source,
                    },
                    error => error,
                });
        };
        self.begin_file(name, attributes, &options)?;
        let leaves = Arc::new(LeafEncoder::new(&options));
        let (file, path) = (Arc::new(file), Arc::new(path));
        let chunk = chunk as usize;
        // At least two, which are hashed side by side.
        let step = chunk * (BATCH_BYTES / chunk).max(2);
        let sole = size <= chunk as u64;
        let mut offset = 0;
        while offset < size {
            let len = (size - offset).min(step as u64) as usize;
            let part = FilePart {
                file: Arc::clone(&file),
                path: Arc::clone(&path),
                offset,
                len,
                chunk,
                leaves: Arc::clone(&leaves),
                sole,
            };
            let reply = self.send(Work::Part(part))?;
            self.queue.push_back(Step::Leaves(len as u64, reply));
            offset += len as u64;
        }
        self.queue.push_back(Step::EndFile);
        Ok(())
    }

    pub(super) fn stream(
        &mut self,
        name: Vec<u8>,
        reader: Box<dyn Read + Send>,
        attributes: Attributes,
    ) -> Result<()> {
        let options = self.import.file(attributes.mode, attributes.mtime);
        self.stream_with(name, reader, attributes, &options)
    }

    fn stream_with(
        &mut self,
        name: Vec<u8>,
        reader: Box<dyn Read + Send + '_>,
        attributes: Attributes,
        options: &FileOptions,
    ) -> Result<()> {
        self.begin_file(name, attributes, options)?;
        let leaves = Arc::new(LeafEncoder::new(options));
        let mut stream = Stream::new(reader, options);
        while let Some(batch) = stream.fill(self.pool)? {
            let content = batch.slots.content();
            let work = Work::Chunks {
                slots: batch.slots,
                leaves: Arc::clone(&leaves),
                sole: batch.sole,
            };
            let reply = self.send(work)?;
            self.queue.push_back(Step::Leaves(content, reply));
        }
        self.queue.push_back(Step::EndFile);
        Ok(())
    }

    fn begin_file(
        &mut self,
        name: Vec<u8>,
        attributes: Attributes,
        options: &FileOptions,
    ) -> Result<()> {
        self.send_batch()?;
        let builder = FileBuilder::new(options)?;
        self.queue.push_back(Step::BeginFile(OpenFile {
            name,
            shown: None,
            attributes,
            builder,
            bytes: 0,
            told: 0,
        }));
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::LocalFile {
        action: "open",
        path: path.to_owned(),
        source,
    })
}
