//! Taking over what a repo of Kubo's holds: blocks, pins, keys, published names, MFS, configuration.
//!
//! The repo is read and not changed by one byte, so it can be used as before, and what could not be taken is still
//! there. Every block is hashed before it is stored. What a killed run has taken is found and left out by the next one,
//! so that both end the same.
//!
//! ```no_run
//! use ipfs_kit_node::{Node, migrate::{self, KuboRepo}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kubo = KuboRepo::open("/home/me/.ipfs")?;
//! let node = Node::builder().repo("/home/me/.ipfs-kit").open()?;
//! let report = migrate::run(&node, &kubo, &mut |_progress| Ok(()))?;
//! println!("{} blocks, {} pins", report.blocks.taken, report.pins.taken);
//! # Ok(())
//! # }
//! ```

mod blocks;
mod config;
mod error;
mod kubo;
mod leveldb;
mod names;
mod pins;
mod report;
#[cfg(test)]
mod tests;

pub use config::take_config;
pub use error::MigrateError;
pub use kubo::KuboRepo;
pub use report::{Left, MigrateEvent, MigrateReport, Part};

use ipfs_kit_blockstore::cid::Cid;

use crate::error::{Emit, Error, Result};
use crate::node::Node;

/// Where Kubo keeps the root of MFS.
const MFS_ROOT: &[u8] = b"/local/filesroot";
/// Where Kubo keeps blocks that are parts of files elsewhere.
const FILESTORE: &[u8] = b"/filestore/";

/// Takes blocks, keys, names, the root of MFS and pins; [`take_config`] is apart, because a node reads its configuration
/// when it is opened.
///
/// # Errors
/// [`MigrateError`] when the repo as a whole cannot be read, [`Error::Store`] when there is no room. What cannot be
/// taken by itself, a block that is damaged or a pin with a block missing, is in the report.
pub fn run(node: &Node, kubo: &KuboRepo, emit: Emit<'_, MigrateEvent>) -> Result<MigrateReport> {
    node.check_writable()?;
    let mut report = MigrateReport::default();
    report.notes.extend_from_slice(kubo.records().notes());
    // Read first: what is damaged there is told before hours are spent on blocks.
    let mut pins = pins::read(kubo, &mut report)?;
    let mfs_root = mfs_root(kubo, &mut report)?;
    count_references(kubo, &mut report)?;

    let guard = node.store().guard();
    blocks::take(node, kubo, &guard, &mut report.blocks, emit)?;
    node.store().sync()?;
    take_keys(node, kubo, &mut report.keys)?;
    names::take(node, kubo, &mut report)?;
    take_mfs(node, mfs_root.as_ref(), &mut report)?;
    pins::take(node, &mut pins, mfs_root.as_ref(), &mut report, emit)?;
    drop(guard);
    kubo.check_untouched()?;
    Ok(report)
}

fn mfs_root(kubo: &KuboRepo, report: &mut MigrateReport) -> Result<Option<Cid>> {
    let value = kubo.records().get(MFS_ROOT).map_err(MigrateError::from)?;
    let Some(value) = value else {
        return Ok(None);
    };
    match Cid::try_from(value.as_slice()) {
        Ok(cid) => Ok(Some(cid)),
        Err(error) => {
            report
                .mfs
                .leave("/", format!("its root is no CID: {error}"));
            Ok(None)
        }
    }
}

/// Blocks that are not in the repo but are parts of files outside it, which may have changed since.
fn count_references(kubo: &KuboRepo, report: &mut MigrateReport) -> Result<()> {
    let mut count = 0_u64;
    kubo.records().scan::<Error>(FILESTORE, &mut |_, _| {
        count += 1;
        Ok(())
    })?;
    if count > 0 {
        report.notes.push(format!(
            "{count} blocks were added with --nocopy and are not in the repo: add their files again"
        ));
    }
    Ok(())
}

fn take_keys(node: &Node, kubo: &KuboRepo, part: &mut Part) -> Result<()> {
    for (name, key) in kubo.keys()? {
        let key = match key {
            Ok(Some(key)) => key,
            // Gone between two looks, which only a hand does.
            Ok(None) => continue,
            Err(error) => {
                part.leave(name, error.to_string());
                continue;
            }
        };
        match node.keys().find(&name) {
            Ok((_, known)) if known.peer_id() == key.peer_id() => part.present += 1,
            Ok(_) => part.leave(name, "another key has this name here".to_owned()),
            Err(_) => match node.keys().keep(&name, &key) {
                Ok(_) => part.taken += 1,
                Err(error) => part.leave(name, error.to_string()),
            },
        }
    }
    Ok(())
}

/// Makes Kubo's tree ours, where ours is empty.
fn take_mfs(node: &Node, root: Option<&Cid>, report: &mut MigrateReport) -> Result<()> {
    let Some(root) = root else {
        return Ok(());
    };
    if node.mfs().committed_root()?.as_ref() == Some(root) {
        report.mfs.present = 1;
        return Ok(());
    }
    if !node.mfs().is_empty()? {
        let reason = format!(
            "MFS is not empty here: 'files cp /ipfs/{root} /NAME' puts Kubo's tree beside what is there"
        );
        report.mfs.leave("/", reason);
        return Ok(());
    }
    match node.mfs().set_root(Some(root)) {
        Ok(_) => report.mfs.taken = 1,
        Err(error @ (Error::Mfs(_) | Error::NotFound(_) | Error::Damaged { .. })) => {
            report.mfs.leave("/", error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
