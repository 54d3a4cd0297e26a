//! IPLD nodes and CAR files.

mod car;
mod ipld;
mod patch;
mod stat;

use std::io::{Read, Write};

use ipfs_kit_blockstore::cid::Cid;

use crate::error::{Emit, Error, Result};
use crate::node::Node;

pub use patch::{DagChange, PatchError, PatchOptions};

/// Verbs on IPLD nodes, from [`Node::dag`].
pub struct Dag<'a> {
    pub(crate) node: &'a Node,
}

/// Options of [`Dag::put`].
#[derive(Clone, Debug)]
pub struct DagPut {
    /// Codec of the given bytes, by name.
    pub input_codec: String,
    /// Codec to store in, by name.
    pub store_codec: String,
    /// Hash function by name; the default is the repo's `Import.HashFunction`.
    pub hash: Option<String>,
    /// Pin the node recursively.
    pub pin: bool,
    /// Accept blocks above 2 MiB.
    pub allow_big: bool,
}

impl Default for DagPut {
    fn default() -> Self {
        Self {
            input_codec: "dag-json".to_owned(),
            store_codec: "dag-cbor".to_owned(),
            hash: None,
            pin: false,
            allow_big: false,
        }
    }
}

/// Where a path ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagResolved {
    /// The last block on the path.
    pub cid: Cid,
    /// What is left of the path inside that block, without a leading slash; empty when it ends at the block.
    pub remainder: String,
}

/// Size of one DAG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagStat {
    /// Its root.
    pub cid: Cid,
    /// Sum of its distinct blocks' lengths.
    pub size: u64,
    /// Number of its distinct blocks.
    pub blocks: u64,
}

/// Answer of [`Dag::stat`]: each DAG, and all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DagStatReport {
    /// One entry for each root, in the order asked.
    pub dags: Vec<DagStat>,
    /// Distinct blocks over all of them.
    pub unique_blocks: u64,
    /// Bytes of the distinct blocks.
    pub total_size: u64,
    /// Bytes counted more than once: the sum over the DAGs less `total_size`.
    pub shared_size: u64,
}

/// Options of [`Dag::import`].
#[derive(Clone, Debug)]
pub struct CarImport {
    /// Pin the roots of the header recursively once all blocks are stored.
    pub pin_roots: bool,
    /// Pin roots even if their DAG is not complete in the repo.
    pub local_only: bool,
    /// Accept blocks above 2 MiB.
    pub allow_big: bool,
}

impl Default for CarImport {
    fn default() -> Self {
        Self {
            pin_roots: true,
            local_only: false,
            allow_big: false,
        }
    }
}

/// What [`Dag::import`] reports while it runs.
#[derive(Clone, Debug)]
pub enum CarImportEvent {
    /// Blocks and bytes stored so far.
    Progress {
        /// Blocks read so far.
        blocks: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// One root of an imported CAR.
#[derive(Debug)]
pub struct CarImportRoot {
    /// The root named in the header.
    pub cid: Cid,
    /// Why it could not be pinned; `None` when it was, or when no pin was asked for.
    pub pin_error: Option<Error>,
}

/// Answer of [`Dag::import`].
#[derive(Debug, Default)]
pub struct CarImportReport {
    /// Roots of all headers.
    pub roots: Vec<CarImportRoot>,
    /// Blocks read.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Dag<'_> {
    /// Stores one node read in `input_codec`, durable on return.
    pub fn put(&self, input: &[u8], options: &DagPut) -> Result<Cid> {
        ipld::put(self.node, input, options)
    }

    /// The node (or the part of one) a path leads to, encoded in `output_codec`.
    pub fn get(&self, path: &str, output_codec: &str) -> Result<Vec<u8>> {
        ipld::get(self.node, path, output_codec)
    }

    /// Follows a path as far as blocks go.
    pub fn resolve(&self, path: &str) -> Result<DagResolved> {
        self.node.resolve_partial(path)
    }

    /// The DAG below `root` with a link more, which is named by the path `name` and leads to `child`. A link of that
    /// name is replaced. Durable on return.
    ///
    /// # Errors
    /// [`PatchError`], [`Error::BlockTooBig`].
    pub fn add_link(
        &self,
        root: &str,
        name: &str,
        child: &str,
        options: PatchOptions,
    ) -> Result<Cid> {
        patch::add_link(self.node, root, name, child, options)
    }

    /// The DAG below `root` without the link that the path `name` leads to. Durable on return.
    ///
    /// # Errors
    /// [`PatchError`], [`Error::BlockTooBig`].
    pub fn remove_link(&self, root: &str, name: &str, options: PatchOptions) -> Result<Cid> {
        patch::remove_link(self.node, root, name, options)
    }

    /// How the second DAG differs from the first, link by link.
    ///
    /// # Errors
    /// [`PatchError::TooMany`]; a block that is not there.
    pub fn diff(&self, before: &str, after: &str) -> Result<Vec<DagChange>> {
        patch::diff(self.node, before, after)
    }

    /// Walks the DAGs and adds up their blocks; `emit` gets the running report now and then.
    pub fn stat(&self, paths: &[String], emit: Emit<'_, DagStatReport>) -> Result<DagStatReport> {
        stat::stat(self.node, paths, emit)
    }

    /// Writes the DAG below `path` as a CARv1, each block once, depth first. With `local_only` missing blocks are
    /// left out instead of ending the export with an error. `emit` gets the bytes written so far.
    pub fn export(
        &self,
        path: &str,
        output: &mut dyn Write,
        local_only: bool,
        emit: Emit<'_, u64>,
    ) -> Result<()> {
        car::export(self.node, path, output, local_only, emit)
    }

    /// Stores the blocks of CAR files (v1 or v2), every one checked against its CID, then pins their roots.
    /// Each input is read to its end before the next is asked for.
    /// A CAR that ends early or holds a wrong block fails the whole import and pins nothing.
    pub fn import(
        &self,
        inputs: &mut dyn Iterator<Item = Box<dyn Read + Send>>,
        options: &CarImport,
        emit: Emit<'_, CarImportEvent>,
    ) -> Result<CarImportReport> {
        car::import(self.node, inputs, options, emit)
    }
}
