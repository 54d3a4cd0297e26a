//! Listing directories and looking at single nodes.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;
use ipfs_kit_unixfs::{DirectoryEntry, DirectoryReader, Kind, NodeStat, run};

use super::{EntryKind, FileStat, LsEntry, LsOptions};
use crate::error::{Emit, Error, Result};
use crate::fetch::Reach;
use crate::node::Node;

/// See [`super::Files::ls`].
pub fn ls(node: &Node, path: &str, options: &LsOptions, emit: Emit<'_, LsEntry>) -> Result<Cid> {
    let root = node.resolve(path)?;
    // One session for all of them; files below are not wanted, so nothing runs ahead.
    let node = &node.fetching(Reach::Single);
    let mut reader = DirectoryReader::or_links(root.clone());
    run::<_, Error>(
        &mut reader,
        |cid| {
            node.cancel().check()?;
            node.block(cid)
        },
        |entry| emit(describe(node, entry, options)?).map_err(Error::Output),
    )?;
    Ok(root)
}

fn describe(node: &Node, entry: DirectoryEntry, options: &LsOptions) -> Result<LsEntry> {
    let mut listed = LsEntry {
        name: String::from_utf8_lossy(&entry.name).into_owned(),
        cid: entry.cid,
        kind: EntryKind::Unknown,
        size: 0,
        target: None,
        mode: None,
        mtime: None,
    };
    if listed.cid.codec() == codec::RAW {
        // A raw block is a file as long as its link says; there is nothing to read.
        listed.kind = EntryKind::File;
        listed.size = entry.tsize;
        return Ok(listed);
    }
    if !options.resolve_type && !options.size {
        return Ok(listed);
    }
    if listed.cid.codec() != codec::DAG_PB {
        return Ok(listed);
    }
    let stat = NodeStat::of(&listed.cid, node.block(&listed.cid)?)?;
    listed.kind = if options.resolve_type {
        kind(&stat)
    } else {
        EntryKind::Unknown
    };
    listed.size = stat.size;
    listed.target = stat
        .target
        .map(|target| String::from_utf8_lossy(&target).into_owned());
    listed.mode = stat.attributes.mode;
    listed.mtime = stat.attributes.mtime.map(|time| (time.seconds, time.nanos));
    Ok(listed)
}

/// See [`super::Files::stat`].
pub fn stat(node: &Node, path: &str) -> Result<FileStat> {
    stat_of(node, &node.resolve(path)?)
}

/// See [`super::Files::stat_of`].
pub fn stat_of(node: &Node, cid: &Cid) -> Result<FileStat> {
    let stat = NodeStat::of(cid, node.block(cid)?)?;
    Ok(FileStat {
        kind: kind(&stat),
        size: stat.size,
        cumulative_size: stat.cumulative_size,
        child_blocks: stat.links,
        target: stat.target.as_ref().map(|target| target.to_vec()),
        mode: stat.attributes.mode,
        mtime: stat.attributes.mtime.map(|time| (time.seconds, time.nanos)),
        cid: cid.clone(),
    })
}

fn kind(stat: &NodeStat) -> EntryKind {
    match stat.kind {
        Kind::Symlink => EntryKind::Symlink,
        _ if stat.is_directory() => EntryKind::Directory,
        _ => EntryKind::File,
    }
}
