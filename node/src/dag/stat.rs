//! How many blocks DAGs have, and how many bytes.

use ipfs_kit_blockstore::cid::Multihash;
use ipfs_kit_unixfs::{DagWalk, Step, Steps, WalkOptions};
use rustc_hash::FxHashSet;

use super::{DagStat, DagStatReport};
use crate::error::{Emit, Error, Result};
use crate::fetch::Reach;
use crate::node::Node;

/// Blocks between two reports of progress.
const REPORT_EVERY: u64 = 1024;

pub(super) fn stat(
    node: &Node,
    paths: &[String],
    emit: Emit<'_, DagStatReport>,
) -> Result<DagStatReport> {
    let mut report = DagStatReport::default();
    let mut seen: FxHashSet<Multihash> = FxHashSet::default();
    for path in paths {
        let root = node.resolve(path)?;
        let node = &node.fetching(Reach::Whole(vec![root.clone()]));
        report.dags.push(DagStat {
            cid: root.clone(),
            size: 0,
            blocks: 0,
        });
        let mut walk = DagWalk::with_options(
            root,
            WalkOptions {
                load_leaves: false,
                ..WalkOptions::default()
            },
        );
        loop {
            let visit = match walk.step()? {
                Step::Done => break,
                Step::Need(cid) => {
                    node.cancel().check()?;
                    walk.supply(&cid, node.block(&cid)?)?;
                    continue;
                }
                Step::Item(visit) => visit,
            };
            let len = match &visit.block {
                Some(block) => block.len() as u64,
                None => length(node, &visit.cid)?,
            };
            report.count(&mut seen, visit.cid.into_hash(), len);
            if report.unique_blocks % REPORT_EVERY == 0 {
                emit(report.clone()).map_err(Error::Output)?;
            }
        }
    }
    Ok(report)
}

fn length(node: &Node, cid: &super::Cid) -> Result<u64> {
    match node.store().info(cid.hash())? {
        Some(info) => Ok(u64::from(info.len)),
        None => Ok(node.block(cid)?.len() as u64),
    }
}

impl DagStatReport {
    fn count(&mut self, seen: &mut FxHashSet<Multihash>, hash: Multihash, len: u64) {
        if let Some(dag) = self.dags.last_mut() {
            dag.size += len;
            dag.blocks += 1;
        }
        if seen.insert(hash) {
            self.unique_blocks += 1;
            self.total_size += len;
        } else {
            self.shared_size += len;
        }
    }
}
