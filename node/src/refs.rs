//! Links of a DAG, as `refs` prints them.

use ipfs_kit_blockstore::cid::Cid;

use ipfs_kit_unixfs::{DagWalk, Step, Steps, Visit, WalkOptions};

use crate::error::{Emit, Error, Result};
use crate::fetch::Reach;
use crate::node::Node;

/// Options of [`crate::Node::refs`].
#[derive(Clone, Debug, Default)]
pub struct RefsOptions {
    /// Follow links below the first level.
    pub recursive: bool,
    /// Print each target once.
    pub unique: bool,
    /// How deep to follow; `None` is without limit. One is the same as not recursive.
    pub max_depth: Option<u32>,
}

/// One link, or one node that could not be read; the walk goes on after the latter.
#[derive(Debug)]
pub enum RefEvent {
    /// A link.
    Link {
        /// The node that holds the link.
        source: Cid,
        /// Where it points.
        target: Cid,
        /// Its name, empty when it has none.
        name: String,
    },
    /// A node that could not be read.
    Failed(Error),
}

/// See [`Node::refs`].
pub(crate) fn list(
    node: &Node,
    paths: &[String],
    options: &RefsOptions,
    emit: Emit<'_, RefEvent>,
) -> Result<u64> {
    let max_depth = if options.recursive {
        options.max_depth.map(u64::from)
    } else {
        Some(1)
    };
    if max_depth == Some(0) {
        return Ok(0);
    }
    let mut failed = 0;
    let mut walk: Option<DagWalk> = None;
    for path in paths {
        let root = node.resolve(path)?;
        let reach = if max_depth.is_none() {
            Reach::Inner(vec![root.clone()])
        } else {
            Reach::Single
        };
        let node = &node.fetching(reach);
        node.block(&root)?;
        // One walk for all paths only when what was printed once is not to be printed again.
        match &mut walk {
            Some(walk) if options.unique => walk.add_root(root),
            _ => {
                walk = Some(DagWalk::with_options(
                    root,
                    walk_options(options, max_depth),
                ))
            }
        }
        if let Some(walk) = &mut walk {
            failed += follow(node, walk, max_depth, emit)?;
        }
    }
    Ok(failed)
}

fn walk_options(options: &RefsOptions, max_depth: Option<u64>) -> WalkOptions {
    WalkOptions {
        unique: options.unique,
        max_depth,
        load_leaves: false,
        edges: true,
        ..WalkOptions::default()
    }
}

fn follow(
    node: &Node,
    walk: &mut DagWalk,
    max_depth: Option<u64>,
    emit: Emit<'_, RefEvent>,
) -> Result<u64> {
    let mut failed = 0;
    loop {
        match walk.step()? {
            Step::Done => return Ok(failed),
            Step::Item(visit) => tell_link(visit, emit)?,
            Step::Need(cid) => {
                node.cancel().check()?;
                let error = match node.block(&cid) {
                    Ok(block) => {
                        walk.supply(&cid, block)?;
                        continue;
                    }
                    Err(error @ (Error::NotFound(_) | Error::Damaged { .. })) => error,
                    Err(error) => return Err(error),
                };
                let Some(visit) = walk.skip() else {
                    return Err(error);
                };
                let needed = max_depth.is_none_or(|max| visit.depth < max);
                tell_link(visit, emit)?;
                // At the last level only the link was asked for.
                if needed {
                    failed += 1;
                    emit(RefEvent::Failed(error)).map_err(Error::Output)?;
                }
            }
        }
    }
}

fn tell_link(visit: Visit, emit: Emit<'_, RefEvent>) -> Result<()> {
    let Some(edge) = visit.edge else {
        return Ok(());
    };
    let link = RefEvent::Link {
        source: Cid::clone(&edge.from),
        target: visit.cid,
        name: String::from_utf8_lossy(&edge.name).into_owned(),
    };
    emit(link).map_err(Error::Output)
}
