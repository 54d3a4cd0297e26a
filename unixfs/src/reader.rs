//! The bytes of a file, from any position, touching only the blocks that hold them.

mod frame;

use std::ops::Range;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};

use crate::limits::MAX_FILE_DEPTH;
use crate::node::{Kind, Mtime, UnixFs};
use crate::opened::{Opened, file_size};
use crate::read_error::{FileFault, Limit};
use crate::{Limits, ReadError, Step, Steps};

use frame::Frame;

/// Permission bits and modification time of a node, where they were stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits (the low 12 bits), never zero: boxo reads a stored zero as absent.
    pub mode: Option<u32>,
    /// Modification time.
    pub mtime: Option<Mtime>,
}

impl Attributes {
    pub(crate) fn of(message: &UnixFs) -> Self {
        let mode = message
            .mode
            .map(|mode| mode & 0o7777)
            .filter(|mode| *mode != 0);
        Self {
            mode,
            mtime: message.mtime,
        }
    }
}

/// Reads a file in order, from any position and for any length.
///
/// The pieces it gives are slices of the blocks it was supplied with; nothing is copied. Sizes are
/// checked on the way: a node whose sizes do not add up, or a child that is not as long as its
/// parent says, is an error.
#[derive(Debug)]
pub struct FileReader {
    root: Cid,
    limits: Limits,
    /// Where the next byte comes from, and where to stop; `end` may lie behind the end of the file.
    position: u64,
    end: u64,
    size: Option<u64>,
    attributes: Attributes,
    /// Nodes from the root to the parent of the current leaf. Empty while the root is not known or
    /// when it has no links.
    frames: Vec<Frame>,
    pending_links: u64,
    leaf: Leaf,
    want: Option<Want>,
}

/// A piece of the file that is in memory.
#[derive(Debug, Default)]
struct Leaf {
    start: u64,
    data: Bytes,
}

impl Leaf {
    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }

    fn covers(&self, position: u64) -> bool {
        (self.start..self.end()).contains(&position)
    }
}

/// The block that must come next, and the part of the file it must hold.
#[derive(Debug)]
struct Want {
    cid: Cid,
    start: u64,
    /// `None` for the root, whose size nobody has told yet.
    len: Option<u64>,
}

impl FileReader {
    /// A reader of the whole file.
    pub fn new(root: Cid) -> Self {
        Self::with_limits(root, Limits::default())
    }

    /// A reader that follows the file no further than `limits`.
    pub fn with_limits(root: Cid, limits: Limits) -> Self {
        let want = Some(Want {
            cid: root.clone(),
            start: 0,
            len: None,
        });
        Self {
            root,
            limits,
            position: 0,
            end: u64::MAX,
            size: None,
            attributes: Attributes::default(),
            frames: Vec::new(),
            pending_links: 0,
            leaf: Leaf::default(),
            want,
        }
    }

    /// Goes on at `range` instead, in bytes from the start of the file. A range that ends behind
    /// the file ends with it; one that starts behind it is empty. Blocks that are still in memory
    /// are not needed again.
    pub fn set_range(&mut self, range: Range<u64>) {
        self.position = range.start;
        self.end = range.end;
        if self.size.is_some() {
            self.want = None;
        }
    }

    /// Goes on at `position` and reads to the end of the file.
    pub fn seek(&mut self, position: u64) {
        self.set_range(position..u64::MAX);
    }

    /// Where the next byte comes from.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The length of the whole file in bytes. Known once the root has been supplied.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// Mode and modification time of the file. Known once the root has been supplied.
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// The CID this reader was made for.
    pub const fn root(&self) -> &Cid {
        &self.root
    }

    fn stop(&self) -> Option<u64> {
        self.size.map(|size| size.min(self.end))
    }

    /// Climbs to the deepest known node around the position.
    fn climb(&mut self) {
        while self.frames.len() > 1 && !self.frames.last().is_some_and(|f| f.covers(self.position))
        {
            if let Some(frame) = self.frames.pop() {
                self.pending_links -= frame.children.len() as u64;
            }
        }
    }

    fn opened(&mut self, want: &Want, data: Bytes) -> Result<(), ReadError> {
        match Opened::decode(&want.cid, data)? {
            Opened::Raw(data) => self.put_leaf(want, data),
            Opened::Node {
                node: PbNode { links, .. },
                message,
            } => match message.kind {
                Kind::File | Kind::Raw => self.put_node(want, links, &message),
                Kind::Metadata if want.len.is_none() => self.follow_metadata(want, &links),
                Kind::Directory | Kind::HamtShard if want.len.is_none() => {
                    Err(ReadError::IsDirectory {
                        cid: want.cid.clone(),
                    })
                }
                kind => Err(ReadError::NotAFile {
                    cid: want.cid.clone(),
                    kind,
                }),
            },
        }
    }

    /// A metadata node stands before the file it describes; boxo reads through it.
    fn follow_metadata(&mut self, want: &Want, links: &[PbLink]) -> Result<(), ReadError> {
        let cid = want.cid.clone();
        if want.cid != self.root {
            return Err(ReadError::NotAFile {
                cid,
                kind: Kind::Metadata,
            });
        }
        let Some(link) = links.first() else {
            return Err(ReadError::File {
                cid,
                fault: FileFault::EmptyMetadata,
            });
        };
        self.want = Some(Want {
            cid: link.cid.clone(),
            start: 0,
            len: None,
        });
        Ok(())
    }

    fn put_node(
        &mut self,
        want: &Want,
        links: Vec<PbLink>,
        message: &UnixFs,
    ) -> Result<(), ReadError> {
        let size = file_size(&want.cid, &links, message)?;
        if want.len.is_none() {
            self.attributes = Attributes::of(message);
        }
        let data = message.data.clone().unwrap_or_default();
        if links.is_empty() {
            return self.put_leaf(want, data);
        }
        self.put_size(want, size)?;
        let depth = self.frames.len() as u64 + 1;
        let max_depth = self.limits.depth.min(MAX_FILE_DEPTH);
        Limits::check(&want.cid, Limit::Depth, depth, max_depth)?;
        self.pending_links += links.len() as u64;
        let max_links = self.limits.pending_links;
        Limits::check(
            &want.cid,
            Limit::PendingLinks,
            self.pending_links,
            max_links,
        )?;
        self.frames
            .push(Frame::new(want.start, data, links, &message.block_sizes));
        Ok(())
    }

    fn put_leaf(&mut self, want: &Want, data: Bytes) -> Result<(), ReadError> {
        self.put_size(want, data.len() as u64)?;
        self.leaf = Leaf {
            start: want.start,
            data,
        };
        Ok(())
    }

    fn put_size(&mut self, want: &Want, actual: u64) -> Result<(), ReadError> {
        match want.len {
            None => self.size = Some(actual),
            Some(declared) if declared != actual => {
                let fault = FileFault::ChildSize { declared, actual };
                return Err(ReadError::File {
                    cid: want.cid.clone(),
                    fault,
                });
            }
            Some(_) => {}
        }
        Ok(())
    }
}

impl Steps for FileReader {
    type Item = Bytes;

    fn step(&mut self) -> Result<Step<Bytes>, ReadError> {
        if let Some(want) = &self.want {
            return Ok(Step::Need(want.cid.clone()));
        }
        let stop = self.stop().unwrap_or(0);
        if self.position >= stop {
            return Ok(Step::Done);
        }
        if !self.leaf.covers(self.position) {
            self.climb();
            if let Some(frame) = self.frames.last() {
                if self.position < frame.inline_end() {
                    self.leaf = Leaf {
                        start: frame.start,
                        data: frame.inline.clone(),
                    };
                } else if let Some((cid, range)) = frame.child_at(self.position) {
                    let len = Some(range.end - range.start);
                    self.want = Some(Want {
                        cid: cid.clone(),
                        start: range.start,
                        len,
                    });
                    return Ok(Step::Need(cid.clone()));
                }
            }
        }
        let from = (self.position - self.leaf.start) as usize;
        let to = (self.leaf.end().min(stop) - self.leaf.start) as usize;
        self.position = self.leaf.start + to as u64;
        Ok(Step::Item(self.leaf.data.slice(from..to)))
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        match self.want.take() {
            Some(want) if want.cid == *cid => self.opened(&want, data),
            other => {
                self.want = other;
                Err(ReadError::NotNeeded { cid: cid.clone() })
            }
        }
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        let Some(stop) = self.stop() else {
            out.extend(self.want.iter().take(max).map(|want| want.cid.clone()));
            return;
        };
        let full = out.len() + max;
        let mut position = self.position;
        if self.leaf.covers(position) {
            position = self.leaf.end();
        }
        for frame in self.frames.iter().rev() {
            if position >= stop || out.len() >= full {
                return;
            }
            if position < frame.end {
                frame.wants(position..stop, full, out);
                position = frame.end;
            }
        }
    }
}

#[cfg(test)]
mod tests;
