//! Holding a DAG under a guard while it is checked and pinned.

use std::sync::Arc;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::{BlockInfo, Guard};

use crate::error::{Emit, Error, Result};
use crate::fetch::Reach;
use crate::gc::mark::Mark;
use crate::jobs::Meter;
use crate::node::Node;
use crate::walk::{Visitor, walk};

/// Blocks between two calls with the count.
const TELL_EVERY: u64 = 4096;

/// Takes every block of the DAGs (or only the roots) under the guard, *then* looks whether it is there: a garbage
/// collection that runs meanwhile either sees the guard, or the block is seen to be gone.
///
/// # Errors
/// The first block that is missing or damaged.
pub fn hold(
    node: &Node,
    guard: &Guard,
    roots: &[Cid],
    deep: bool,
    emit: Emit<'_, u64>,
) -> Result<()> {
    let mut mark = Mark::new();
    roots
        .iter()
        .rev()
        .for_each(|root| mark.add_root(root.clone(), deep));
    let mut holding = Holding {
        guard,
        emit,
        count: 0,
        meter: node.meter().cloned(),
    };
    let reach = if deep {
        Reach::Whole(roots.to_vec())
    } else {
        Reach::Single
    };
    walk(&node.fetching(reach), &mut mark, &mut holding)?;
    (holding.emit)(holding.count).map_err(Error::Output)
}

struct Holding<'a> {
    guard: &'a Guard,
    emit: Emit<'a, u64>,
    count: u64,
    meter: Option<Arc<Meter>>,
}

impl Visitor for Holding<'_> {
    fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
        if !self.guard.touch(cid.hash())? {
            // The guard keeps what comes after it, so what is fetched now stays.
            match node.block(cid) {
                Ok(_) => {}
                Err(Error::NotFound(_) | Error::Damaged { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(node.store().info(cid.hash())?)
    }

    fn found(&mut self, _: &Cid, info: &BlockInfo) -> Result<()> {
        self.count += 1;
        if let Some(meter) = &self.meter {
            meter.handle_checked(info.len);
        }
        if self.count.is_multiple_of(TELL_EVERY) {
            (self.emit)(self.count).map_err(Error::Output)
        } else {
            Ok(())
        }
    }

    fn bad(&mut self, _: &Cid, error: Error) -> Result<()> {
        Err(error)
    }
}

/// Reads every block below a pin; those that are missing or damaged.
pub fn bad_below(node: &Node, root: &Cid) -> Result<Vec<(Cid, Error)>> {
    let mut mark = Mark::new();
    mark.add_root(root.clone(), true);
    let mut checking = Checking {
        node,
        bad: Vec::new(),
    };
    walk(node, &mut mark, &mut checking)?;
    Ok(checking.bad)
}

struct Checking<'a> {
    node: &'a Node,
    bad: Vec<(Cid, Error)>,
}

impl Visitor for Checking<'_> {
    fn found(&mut self, cid: &Cid, info: &BlockInfo) -> Result<()> {
        // Inner nodes are read by the walk itself, which tells of damage.
        if !info.is_leaf_as(cid.codec()) {
            return Ok(());
        }
        match self.node.local_block(cid) {
            Ok(_) => Ok(()),
            Err(error @ (Error::NotFound(_) | Error::Damaged { .. })) => self.bad(cid, error),
            Err(error) => Err(error),
        }
    }

    fn bad(&mut self, cid: &Cid, error: Error) -> Result<()> {
        self.bad.push((cid.clone(), error));
        Ok(())
    }
}
