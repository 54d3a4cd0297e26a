//! Writing into files.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use ipfs_kit_blockstore::Block;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::dag_pb::PbNode;
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_unixfs::directory::{Progress, Target};
use ipfs_kit_unixfs::edit::{BlockAccess, EditError, EditOptions, FileEditor};
use ipfs_kit_unixfs::options::DEFAULT_FILE_MAX_LINKS;
use ipfs_kit_unixfs::{CidSpec, Kind, Mtime, NodeStat, UnixFs};
use parking_lot::Mutex;

use super::error::MfsError;
use super::path;
use super::state::Open;
use super::tree::Found;
use super::{Mfs, MfsNaming, import};
use crate::error::{Error, Result};
use crate::node::Node;

/// What is written in one go: what `ipfs files write` of a local file collects in boxo before it writes, which is what
/// decides where chunks begin.
const PIECE: usize = (2 << 20) + (32 << 10);

/// Bytes of blocks that collect before they are put.
const BATCH: usize = 4 << 20;

/// Options of [`Mfs::write`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MfsWrite {
    /// Where to begin; a hole is filled with zeros.
    pub offset: u64,
    /// Make the file if there is none.
    pub create: bool,
    /// Make it empty first.
    pub truncate: bool,
    /// Read no more than this.
    pub count: Option<u64>,
    /// Whether new leaves are raw; else as the configuration says, else if the file's CID has version 1.
    pub raw_leaves: Option<bool>,
    /// How a new file is named.
    pub naming: MfsNaming,
}

impl Mfs<'_> {
    /// Writes what `input` gives into a file. Others that write to the same file wait; when anything fails the file is as
    /// it was.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::NotAFile`], [`MfsError::Symlink`], [`Error::Input`], and blocks that cannot be
    /// read or stored.
    pub fn write(&self, path: &str, input: &mut dyn Read, options: &MfsWrite) -> Result<()> {
        self.node.check_writable()?;
        let import = import(self.node, Some(&options.naming))?;
        let open = self.open()?;
        let lock = Writer::enter(&open, path);
        let _alone = lock.lock.lock();
        let old = self.file(path, options.create)?;
        let guard = open.guard(self.node);
        let mut store = Pending::new(self.node, &guard);
        let (cid, block) = match &old {
            Some(target) => (target.cid.clone(), self.node.block(&target.cid)?),
            None => {
                let (cid, block) = empty_file(import.cid)?;
                if !cid.hash().is_identity() {
                    store.put(Block::trusted(cid.clone(), block.clone()))?;
                }
                (cid, block)
            }
        };
        if NodeStat::of(&cid, block.clone())?.kind == Kind::Symlink {
            return Err(MfsError::Symlink.into());
        }
        let configured = self.node.config().flag("Import.UnixFSRawLeaves");
        let mut editor = FileEditor::open(
            &cid,
            block,
            &EditOptions {
                raw_leaves: options.raw_leaves.or(configured),
                chunker: import.chunker,
                max_links: DEFAULT_FILE_MAX_LINKS,
                now: now(),
            },
        )?;
        edit(&mut editor, &mut store, input, options)?;
        let root = editor.finish(&mut store)?;
        store.put_all()?;
        let new = Target {
            cid: root.cid,
            tsize: root.tsize,
        };
        let there = replace(self.node, &open, &guard, path, old.as_ref(), &new)?;
        match old {
            None if !there => Err(MfsError::EntryExists.into()),
            _ => Ok(()),
        }
    }

    /// The file to be written to; `None` when it is to be made.
    fn file(&self, path: &str, create: bool) -> Result<Option<Target>> {
        match self.look(path) {
            Ok(Found::File(target)) => Ok(Some(target)),
            Ok(Found::Dir(_)) => Err(MfsError::NotAFile(path.to_owned()).into()),
            Err(Error::Mfs(MfsError::NotFound)) if create => {
                let (dir, name) = path::split(path);
                match self.look(dir)? {
                    Found::File(_) => Err(MfsError::ParentNotDirectory.into()),
                    Found::Dir(_) if name.is_empty() => Err(MfsError::EmptyName.into()),
                    Found::Dir(_) => Ok(None),
                }
            }
            Err(error) => Err(error),
        }
    }
}

fn edit(
    editor: &mut FileEditor,
    store: &mut Pending<'_>,
    input: &mut dyn Read,
    options: &MfsWrite,
) -> Result<()> {
    if options.truncate {
        editor.set_len(store, 0)?;
    }
    if options.offset > editor.size() {
        editor.set_len(store, options.offset)?;
    }
    let mut at = options.offset;
    let mut left = options.count.unwrap_or(u64::MAX);
    loop {
        store.node.cancel().check()?;
        let piece = read_piece(input, left)?;
        if piece.is_empty() {
            return Ok(());
        }
        let len = piece.len() as u64;
        editor.write(store, at, piece)?;
        at += len;
        left -= len;
    }
}

/// The next piece of input; empty at its end.
fn read_piece(input: &mut dyn Read, left: u64) -> Result<Bytes> {
    let limit = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
    let mut piece = BytesMut::with_capacity(limit.min(64 << 10));
    let mut filled = 0;
    while filled < limit {
        if piece.len() == filled {
            let more = (2 * filled).clamp(64 << 10, PIECE).min(limit);
            piece.resize(more.max(filled + 1).min(limit), 0);
        }
        match input.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Input(error)),
        }
    }
    piece.truncate(filled);
    Ok(piece.freeze())
}

/// Puts another file in the place of the one that was there, or where nothing was. False when there is something else by
/// now: then it stays.
pub(super) fn replace(
    node: &Node,
    open: &Open,
    guard: &Arc<Guard>,
    path: &str,
    old: Option<&Target>,
    new: &Target,
) -> Result<bool> {
    let (dir, name) = path::split(path.trim_end_matches('/'));
    open.change(node, guard, |tree, blocks| {
        let id = match tree.lookup(&path::names(dir), blocks) {
            Ok(Progress::Need(missing)) => return Ok(Progress::Need(missing)),
            Ok(Progress::Done(Found::Dir(id))) => id,
            Ok(Progress::Done(Found::File(_))) | Err(Error::Mfs(_)) => {
                return Ok(Progress::Done(false));
            }
            Err(error) => return Err(error),
        };
        let there = match tree.child(id, name.as_bytes(), blocks)? {
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
            Progress::Done(there) => there,
        };
        let same = match (&there, old) {
            (None, None) => true,
            (Some(Found::File(there)), Some(old)) => there.cid == old.cid,
            _ => false,
        };
        if !same {
            return Ok(Progress::Done(false));
        }
        match tree.insert_file((id, name), path, new, blocks)? {
            Progress::Need(missing) => Ok(Progress::Need(missing)),
            Progress::Done(()) => Ok(Progress::Done(true)),
        }
    })
}

/// Checks what is to become the root.
pub(super) fn check_new_root(node: &Node, guard: &Guard, root: &Cid) -> Result<()> {
    if !guard.touch(root.hash())? {
        return Err(MfsError::NewRootMissing(root.to_string()).into());
    }
    let invalid = |what, reason: String| MfsError::NewRootInvalid { what, reason };
    let block = node.local_block(root)?;
    let pb = PbNode::decode(&block).map_err(|error| invalid("dag-pb", error.to_string()))?;
    let message = pb.data.unwrap_or_default();
    let unixfs = UnixFs::decode(&message).map_err(|error| invalid("UnixFS", error.to_string()))?;
    let kind = match unixfs.kind {
        Kind::Directory | Kind::HamtShard => return Ok(()),
        Kind::File => "File",
        Kind::Raw => "Raw",
        Kind::Metadata => "Metadata",
        Kind::Symlink => "Symlink",
    };
    Err(MfsError::NewRootKind(kind).into())
}

/// The first block of a file without content.
fn empty_file(spec: CidSpec) -> Result<(Cid, Bytes)> {
    let mut message = UnixFs::new(Kind::File);
    message.file_size = Some(0);
    let pb = PbNode {
        links: Vec::new(),
        data: Some(message.encode().into()),
    };
    let block = pb.encode();
    let cid = spec.cid(ipfs_kit_blockstore::codec::DAG_PB, &block)?;
    Ok((cid, block.into()))
}

fn now() -> Mtime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Mtime {
        seconds: since.as_secs() as i64,
        nanos: since.subsec_nanos(),
    }
}

/// One place in the queue of a file's writers.
struct Writer<'a> {
    open: &'a Open,
    path: String,
    lock: Arc<Mutex<()>>,
}

impl<'a> Writer<'a> {
    fn enter(open: &'a Open, path: &str) -> Self {
        let path = path::clean(path);
        let lock = Arc::clone(open.writers.lock().entry(path.clone()).or_default());
        Self { open, path, lock }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        let mut writers = self.open.writers.lock();
        // This one and the map's.
        if Arc::strong_count(&self.lock) <= 2 {
            writers.remove(&self.path);
        }
    }
}

/// Blocks on their way into the store, in batches. What waits can be read.
struct Pending<'a> {
    node: &'a Node,
    guard: &'a Guard,
    blocks: Vec<Block>,
    bytes: usize,
}

impl<'a> Pending<'a> {
    fn new(node: &'a Node, guard: &'a Guard) -> Self {
        Self {
            node,
            guard,
            blocks: Vec::new(),
            bytes: 0,
        }
    }

    fn put_all(&mut self) -> Result<()> {
        self.bytes = 0;
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            return Ok(());
        }
        self.node.put(self.guard, &blocks)
    }
}

impl BlockAccess for Pending<'_> {
    type Error = Error;

    fn get(&mut self, cid: &Cid) -> Result<Bytes> {
        let waiting = self.blocks.iter().rev().find(|block| block.cid() == cid);
        if let Some(block) = waiting {
            return Ok(block.data().clone());
        }
        self.node.block(cid)
    }

    fn put(&mut self, block: Block) -> Result<()> {
        self.node.cancel().check()?;
        self.bytes += block.data().len();
        self.blocks.push(block);
        if self.bytes >= BATCH {
            return self.put_all();
        }
        Ok(())
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Read(error) => Self::Read(error),
            EditError::File(error) => Self::File(error),
            error => Self::Edit(Box::new(error)),
        }
    }
}
