//! Verbs on the repo as a whole.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::store::Deletion;

use crate::error::{Emit, Error, Result};
use crate::gc::{self, GcEvent, GcReport};
use crate::node::Node;

/// Blocks between two reports of progress.
const PROGRESS_EVERY: u64 = 256;

/// Verbs on the repo, from [`Node::repo`].
pub struct Repo<'a> {
    pub(crate) node: &'a Node,
}

/// Answer of [`Repo::stat`]; every number is kept, none is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepoStat {
    /// Where the repo is.
    pub path: PathBuf,
    /// Bytes on disk.
    pub size: u64,
    /// The limit `Datastore.StorageMax` in bytes.
    pub storage_max: u64,
    /// Number of blocks.
    pub objects: u64,
    /// Version, as `fs-repo@1`.
    pub version: String,
}

/// Options of [`Repo::verify`].
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Remove blocks that do not match their CID.
    pub drop: bool,
}

/// What [`Repo::verify`] reports while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyEvent {
    /// Blocks checked so far, of how many.
    Progress {
        /// Checked so far.
        done: u64,
        /// All.
        total: u64,
    },
    /// A block is damaged.
    Corrupt {
        /// Its CID in raw form: the store does not know the codec it was used under.
        cid: Cid,
        /// What is wrong.
        reason: String,
        /// It was removed.
        dropped: bool,
    },
}

/// Answer of [`Repo::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Blocks checked.
    pub checked: u64,
    /// Blocks found damaged.
    pub corrupt: u64,
    /// Of these, removed.
    pub dropped: u64,
}

impl Repo<'_> {
    /// Removes what no pin holds, beside running reads and writes.
    pub fn gc(&self, emit: Emit<'_, GcEvent>) -> Result<GcReport> {
        gc::collect(self.node, emit)
    }

    /// Sizes and counts.
    ///
    /// # Errors
    /// None today; a count may have to be read one day.
    pub fn stat(&self) -> Result<RepoStat> {
        let stats = self.node.store().stats();
        Ok(RepoStat {
            path: self.node.path().map(Path::to_owned).unwrap_or_default(),
            size: stats.disk_bytes,
            storage_max: self.node.config().storage_max(),
            objects: stats.blocks,
            version: self.version(),
        })
    }

    /// Reads every block and checks it against its CID. Damaged blocks are quarantined: not served until they are put
    /// again.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Output`], [`Error::Cancelled`]; a damaged block is none.
    pub fn verify(
        &self,
        options: &VerifyOptions,
        emit: Emit<'_, VerifyEvent>,
    ) -> Result<VerifyReport> {
        let total = self.node.store().stats().blocks;
        let mut report = VerifyReport::default();
        let mut stopped = Ok(());
        self.node.store().verify(&mut |hash, sound| {
            report.checked += 1;
            stopped = self.verified(options, hash, sound, total, &mut report, emit);
            if stopped.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        stopped.map(|()| report)
    }

    /// Tells what a look at one block gave.
    fn verified(
        &self,
        options: &VerifyOptions,
        hash: &Multihash,
        sound: bool,
        total: u64,
        report: &mut VerifyReport,
        emit: Emit<'_, VerifyEvent>,
    ) -> Result<()> {
        self.node.cancel().check()?;
        if !sound {
            report.corrupt += 1;
            let dropped = options.drop && self.drop_block(hash)?;
            report.dropped += u64::from(dropped);
            let cid = Cid::v1(codec::RAW, hash.clone());
            let reason = "block was corrupt (data does not match its multihash)".to_owned();
            emit(VerifyEvent::Corrupt {
                cid,
                reason,
                dropped,
            })
            .map_err(Error::Output)?;
        }
        let done = report.checked;
        if done.is_multiple_of(PROGRESS_EVERY) || done == total {
            emit(VerifyEvent::Progress { done, total }).map_err(Error::Output)?;
        }
        Ok(())
    }

    fn drop_block(&self, hash: &Multihash) -> Result<bool> {
        let deleted = self.node.store().delete_many(std::slice::from_ref(hash))?;
        Ok(deleted.first() == Some(&Deletion::Deleted))
    }

    /// Every block in the store, as raw CIDs.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Output`], [`Error::Cancelled`].
    pub fn ls(&self, emit: Emit<'_, Cid>) -> Result<()> {
        for block in self.node.store().blocks() {
            self.node.cancel().check()?;
            emit(Cid::v1(codec::RAW, block?.0)).map_err(Error::Output)?;
        }
        Ok(())
    }

    /// Rewrites every segment with dead bytes. Returns the bytes freed.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn compact(&self) -> Result<u64> {
        Ok(self.node.store().compact(0.0)?.freed_bytes)
    }

    /// Version of the repo layout, as `fs-repo@1`.
    pub fn version(&self) -> String {
        format!("fs-repo@{}", super::REPO_VERSION)
    }
}
