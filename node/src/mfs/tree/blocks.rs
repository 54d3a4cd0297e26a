//! What directories need to see of blocks.

use std::collections::HashMap;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec::{self, dag_pb::PbNode};
use ipfs_kit_unixfs::directory::{Directory, DirectoryError, Progress};
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions, Kind, UnixFs};

use crate::error::Result;
use crate::mfs::error::MfsError;

/// Blocks that an operation has got so far.
#[derive(Default)]
pub struct Blocks {
    got: HashMap<Cid, Bytes>,
    /// One was asked for that is not here, and is not waited for.
    pub absent: bool,
}

impl Blocks {
    /// One that was got.
    pub fn get(&self, cid: &Cid) -> Option<&Bytes> {
        self.got.get(cid)
    }

    /// Takes one that was asked for.
    pub fn insert(&mut self, cid: Cid, block: Bytes) {
        self.got.insert(cid, block);
    }
}

/// A directory with this first block.
///
/// # Errors
/// A block that is no directory.
pub fn load(defaults: &DirectoryOptions, cid: &Cid, block: &Bytes) -> Result<Directory> {
    let mut spec = CidSpec::of(cid)?;
    if spec.is_inlined(usize::MAX) {
        // It may grow beyond what a CID can hold.
        spec = CidSpec::V1;
    }
    let options = DirectoryOptions {
        cid: spec,
        ..defaults.clone()
    };
    Ok(Directory::load(options, cid, block)?)
}

/// What a block is, by its CID or its bytes.
pub(super) fn kind_of(cid: &Cid, blocks: &Blocks) -> Result<Progress<Kind>> {
    match cid.codec() {
        codec::RAW => return Ok(Progress::Done(Kind::Raw)),
        codec::DAG_PB => {}
        _ => return Err(MfsError::NotUnixFs.into()),
    }
    let Some(block) = blocks.get(cid) else {
        return Ok(Progress::Need(vec![cid.clone()]));
    };
    let node = PbNode::decode(block).map_err(DirectoryError::from)?;
    let message = node.data.unwrap_or_default();
    let unixfs = UnixFs::decode(&message).map_err(DirectoryError::from)?;
    Ok(Progress::Done(unixfs.kind))
}

/// Runs an operation of a directory as far as `blocks` go.
pub(super) fn ask<T>(
    directory: &mut Directory,
    blocks: &Blocks,
    mut operation: impl FnMut(&mut Directory) -> Result<Progress<T>, DirectoryError>,
) -> Result<Progress<T>> {
    loop {
        let needed = match operation(directory)? {
            Progress::Done(done) => return Ok(Progress::Done(done)),
            Progress::Need(needed) => needed,
        };
        let missing: Vec<Cid> = needed
            .iter()
            .filter(|cid| blocks.get(cid).is_none())
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Ok(Progress::Need(missing));
        }
        for (cid, block) in needed
            .iter()
            .filter_map(|cid| Some((cid, blocks.get(cid)?)))
        {
            directory.supply(cid, block)?;
        }
    }
}
