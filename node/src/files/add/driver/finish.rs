//! From steps to the tree: each is finished in its turn, when its work is done.

use ipfs_kit_unixfs::Root;

use super::{Driver, Reply, Step};
use crate::error::{Error, Result};
use crate::files::add::walk::Attributes;
use crate::files::add::worker;

/// How far apart progress events are, in bytes.
const PROGRESS_BYTES: u64 = 256 << 10;

impl Driver<'_> {
    /// Finishes the steps at the front that wait for nothing.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        while let Some(step) = self.queue.front() {
            let waits = match step {
                Step::Files(_, _, reply) | Step::Leaves(_, reply) => reply.is_empty(),
                _ => false,
            };
            if waits {
                return Ok(());
            }
            self.finish_step()?;
        }
        Ok(())
    }

    pub(super) fn finish_step(&mut self) -> Result<()> {
        let Some(step) = self.queue.pop_front() else {
            return Ok(());
        };
        match step {
            Step::Enter(name, attributes) => self.tree.enter(name, attributes)?,
            Step::Leave => self.tree.leave(&mut self.events)?,
            Step::Link(name, root, attributes) => self.finish_file(name, root, attributes)?,
            Step::Files(names, sizes, reply) => {
                let roots = self.receive(&reply)?;
                for (((name, attributes), size), root) in names.into_iter().zip(sizes).zip(roots) {
                    if self.options.progress && size > 0 {
                        let shown = self.tree.shown(&name);
                        self.events.progress(&shown, size)?;
                    }
                    self.report.bytes += root.file_size;
                    self.finish_file(name, root, attributes)?;
                }
            }
            Step::BeginFile(file) => self.current = Some(file),
            Step::Leaves(content, reply) => {
                let leaves = self.receive(&reply)?;
                self.take_leaves(leaves, content)?;
            }
            Step::EndFile => {
                let Some(file) = self.current.take() else {
                    return Ok(());
                };
                if self.options.progress && file.told < file.bytes {
                    let shown = self.tree.shown(&file.name);
                    self.events.progress(&shown, file.bytes)?;
                }
                let mut blocks = Vec::new();
                let root = file.builder.finish(&mut blocks)?;
                self.tree.store(blocks)?;
                self.report.bytes += root.file_size;
                self.finish_file(file.name, root, file.attributes)?;
            }
        }
        if self.events.due() {
            self.tree.store_inner()?;
            self.events.flush(self.sink)?;
        }
        Ok(())
    }

    fn take_leaves(&mut self, leaves: Vec<Root>, content: u64) -> Result<()> {
        let Some(file) = self.current.as_mut() else {
            return Ok(());
        };
        let mut blocks = Vec::new();
        for leaf in leaves {
            file.builder.push(leaf, &mut blocks)?;
        }
        file.bytes += content;
        if self.options.progress {
            let shown = file
                .shown
                .get_or_insert_with(|| self.tree.shown(&file.name));
            while file.told + PROGRESS_BYTES <= file.bytes {
                file.told += PROGRESS_BYTES;
                self.events.progress(shown, file.told)?;
            }
        }
        self.tree.store(blocks)
    }

    fn finish_file(&mut self, name: Vec<u8>, root: Root, attributes: Attributes) -> Result<()> {
        self.report.files += 1;
        self.tree.file(name, root, attributes, &mut self.events)
    }

    fn receive(&mut self, reply: &Reply) -> Result<Vec<Root>> {
        self.pending -= 1;
        if let Some(job) = self.held.take() {
            worker::perform(job, self.sink, self.pool);
        }
        reply
            .recv()
            .map_err(|_| Error::Internal("a worker of the import ended early"))?
    }
}
