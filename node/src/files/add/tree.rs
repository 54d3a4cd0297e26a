//! Directories in the making, and the roots that come out.

use std::collections::BTreeMap;

use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;
use ipfs_kit_unixfs::directory::DirectoryBuilder;
use ipfs_kit_unixfs::hamt::name_hash;
use ipfs_kit_unixfs::node::{Kind, UnixFs};
use ipfs_kit_unixfs::{ImportOptions, Root};

use super::AddEvent;
use super::events::Events;
use super::sink::Sink;
use super::walk::Attributes;
use crate::error::{Error, Result};
use crate::files::options::AddedRoot;

/// Inner nodes are stored in batches of this many bytes.
const BATCH_BYTES: usize = 1 << 20;

/// The directories that are open, outermost first, and what is finished.
pub struct Tree<'a> {
    import: &'a ImportOptions,
    sink: &'a Sink<'a>,
    open: Vec<OpenDirectory>,
    inner: Vec<Block>,
    inner_bytes: usize,
    pub roots: Vec<AddedRoot>,
}

struct OpenDirectory {
    /// Name in its parent.
    name: Vec<u8>,
    /// Path in events.
    shown: String,
    attributes: Attributes,
    builder: DirectoryBuilder,
    /// Directories inside that are finished, by name: Kubo tells of them after all files of their root.
    finished: BTreeMap<Vec<u8>, Finished>,
    entries: usize,
}

/// A finished directory.
struct Finished {
    /// The events of those inside and its own, which is the last.
    told: Vec<AddEvent>,
    attributes: Attributes,
    /// Whether there is nothing in it.
    empty: bool,
}

impl<'a> Tree<'a> {
    pub fn new(import: &'a ImportOptions, sink: &'a Sink<'a>) -> Self {
        Self {
            import,
            sink,
            open: Vec::new(),
            inner: Vec::new(),
            inner_bytes: 0,
            roots: Vec::new(),
        }
    }

    /// Opens a directory. One that was told of before its content comes back for it, and with it counts what
    /// was said first.
    pub fn enter(&mut self, name: Vec<u8>, attributes: Attributes) -> Result<()> {
        let shown = self.shown(&name);
        let before = match self.open.last_mut() {
            Some(parent) => parent.finished.remove(&name),
            None => None,
        };
        let attributes = match before {
            Some(before) if !before.empty => {
                return Err(Error::BadPath {
                    path: shown,
                    reason: "the entries of a directory have to follow each other".to_owned(),
                });
            }
            Some(before) => before.attributes,
            None => attributes,
        };
        let options = self.import.directory(attributes.mode, attributes.mtime);
        self.open.push(OpenDirectory {
            name,
            shown,
            attributes,
            builder: DirectoryBuilder::new(options),
            finished: BTreeMap::new(),
            entries: 0,
        });
        Ok(())
    }

    /// Finishes the innermost directory.
    pub fn leave(&mut self, events: &mut Events<'_>) -> Result<()> {
        let Some(directory) = self.open.pop() else {
            return Ok(());
        };
        let mut blocks = Vec::new();
        let root = directory.builder.finish(&mut |block| blocks.push(block))?;
        let mut inside: Vec<_> = directory.finished.into_iter().collect();
        if inside.len() > 1 && blocks.last().is_some_and(is_shard) {
            inside.sort_by_cached_key(|(name, _)| name_hash(name));
        }
        self.store(blocks)?;
        let mut told: Vec<AddEvent> = inside
            .into_iter()
            .flat_map(|(_, inner)| inner.told)
            .collect();
        told.push(added(directory.shown, &root, directory.attributes));
        match self.open.last_mut() {
            Some(parent) => {
                let finished = Finished {
                    told,
                    attributes: directory.attributes,
                    empty: directory.entries == 0,
                };
                parent.finished.insert(directory.name.clone(), finished);
            }
            None => told.into_iter().for_each(|event| events.finished(event)),
        }
        self.place(directory.name, root)
    }

    /// Takes a finished file or symbolic link.
    pub fn file(
        &mut self,
        name: Vec<u8>,
        root: Root,
        attributes: Attributes,
        events: &mut Events<'_>,
    ) -> Result<()> {
        let name = if name.is_empty() {
            root.cid.to_string().into_bytes()
        } else {
            name
        };
        events.finished(added(self.shown(&name), &root, attributes));
        self.place(name, root)
    }

    /// The path of an entry of the innermost directory in events.
    pub fn shown(&self, name: &[u8]) -> String {
        let name = String::from_utf8_lossy(name);
        match self.open.last().map(|directory| directory.shown.as_str()) {
            None | Some("") => name.into_owned(),
            Some(parent) => format!("{parent}/{name}"),
        }
    }

    /// Keeps inner nodes until there are enough of them to store.
    pub fn store(&mut self, blocks: Vec<Block>) -> Result<()> {
        self.inner_bytes += blocks.iter().map(|block| block.data().len()).sum::<usize>();
        self.inner.extend(blocks);
        if self.inner_bytes >= BATCH_BYTES {
            self.store_inner()
        } else {
            Ok(())
        }
    }

    /// Stores what is kept.
    pub fn store_inner(&mut self) -> Result<()> {
        self.sink.put(&self.inner)?;
        self.inner.clear();
        self.inner_bytes = 0;
        Ok(())
    }

    fn place(&mut self, name: Vec<u8>, root: Root) -> Result<()> {
        if let Some(parent) = self.open.last_mut() {
            parent.entries += 1;
            return Ok(parent.builder.insert(&name, root.cid, root.tsize)?);
        }
        let name = String::from_utf8_lossy(&name).into_owned();
        self.roots.push(AddedRoot {
            name,
            cid: root.cid,
            size: root.tsize,
        });
        Ok(())
    }
}

/// Whether a directory's root, which is the last of its blocks, is a HAMT.
fn is_shard(block: &Block) -> bool {
    let message = PbNode::decode(block.data()).ok().and_then(|node| node.data);
    message
        .and_then(|message| UnixFs::decode(&message).ok())
        .is_some_and(|message| message.kind == Kind::HamtShard)
}

fn added(name: String, root: &Root, attributes: Attributes) -> AddEvent {
    AddEvent::Added {
        name,
        cid: root.cid.clone(),
        size: root.tsize,
        mode: attributes.mode,
        mtime: attributes.mtime.map(|time| (time.seconds, time.nanos)),
    }
}
