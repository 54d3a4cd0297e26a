//! One garbage collection.

use std::time::Instant;

use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::store::{BlockInfo, Deletion, Position, StoreError, Sweep};

use super::mark::Mark;
use super::{GcEvent, GcReport};
use rustc_hash::FxHashSet;

use crate::error::{Emit, Error, Result};
use crate::node::Node;
use crate::pins;
use crate::walk::{Visitor, walk};

/// Blocks looked at in one go; nothing is locked in between.
const PAGE: usize = 8192;

/// A segment file is written anew when more than this share of it is dead.
const COMPACT_RATIO: f64 = 0.5;

/// Removes what no pin reaches and nothing uses.
pub fn collect(node: &Node, emit: Emit<'_, GcEvent>) -> Result<GcReport> {
    let started = Instant::now();
    let collected = collect_now(node, emit);
    node.counters().handle_gc(started, collected.as_ref().ok());
    match &collected {
        Ok(report) => tracing::info!(
            removed = report.removed_blocks,
            bytes = report.removed_bytes,
            live = report.live_blocks,
            damaged = report.damaged,
            millis = started.elapsed().as_millis() as u64,
            "garbage collected"
        ),
        Err(error) => tracing::warn!(%error, "garbage collection ended early"),
    }
    collected
}

fn collect_now(node: &Node, emit: Emit<'_, GcEvent>) -> Result<GcReport> {
    node.check_writable()?;
    // Before the sweep, so that nobody waits for it who is waited for here: what is in the tree of the file system is in
    // its root then, and needs no guard that would keep everything newer.
    node.mfs_state().flush_open(node)?;
    let sweep = node.store().sweep();
    let mut report = GcReport::default();
    let mark = mark_pins(node, &mut |error| {
        report.damaged += 1;
        emit(GcEvent::Damaged(error)).map_err(Error::Output)
    })?;
    report.live_blocks = mark.len() as u64;
    let swept = delete_unmarked(node, &sweep, &mark, &mut report, emit);
    // What was deleted so far is made durable also when the receiver of the events is gone.
    sweep.finish()?;
    swept?;
    match node.store().compact(COMPACT_RATIO) {
        // Too full to write the living blocks of a file anew: what was removed is removed, and the next collection tries
        // again.
        Err(StoreError::DiskFull { .. } | StoreError::StorageFull { .. }) => {}
        done => {
            done?;
        }
    }
    Ok(report)
}

/// Finds everything that pins reach. Blocks that cannot be read go to `bad`.
pub(super) fn mark_pins(node: &Node, bad: &mut dyn FnMut(Error) -> Result<()>) -> Result<Mark> {
    struct Marking<'a> {
        bad: &'a mut dyn FnMut(Error) -> Result<()>,
        /// A missing block is told once, however many links lead to it.
        told: FxHashSet<Cid>,
    }
    impl Visitor for Marking<'_> {
        fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
            // A quarantined block is marked, so that it stays for a repair.
            Ok(node.store().info(cid.hash())?)
        }

        fn found(&mut self, _: &Cid, _: &BlockInfo) -> Result<()> {
            Ok(())
        }

        fn bad(&mut self, cid: &Cid, error: Error) -> Result<()> {
            if self.told.insert(cid.clone()) {
                (self.bad)(error)
            } else {
                Ok(())
            }
        }
    }
    let mut marking = Marking {
        bad,
        told: FxHashSet::default(),
    };
    let mut mark = Mark::new();
    pins::for_each(node, &mut |pin| {
        mark.add_root(pin.cid, pin.recursive);
        walk(node, &mut mark, &mut marking)
    })?;
    // After the pins: what is missing below both is told.
    for root in node.mfs_state().gc_roots(node)? {
        mark.add_root(root, true);
        walk(node, &mut mark, &mut Tolerant(&mut marking))?;
    }
    Ok(mark)
}

/// A DAG may be in the file system without being here whole.
struct Tolerant<'a>(&'a mut dyn Visitor);

impl Visitor for Tolerant<'_> {
    fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
        self.0.look(node, cid)
    }

    fn found(&mut self, cid: &Cid, info: &BlockInfo) -> Result<()> {
        self.0.found(cid, info)
    }

    fn bad(&mut self, cid: &Cid, error: Error) -> Result<()> {
        match error {
            Error::NotFound(_) => Ok(()),
            error => self.0.bad(cid, error),
        }
    }
}

fn delete_unmarked(
    node: &Node,
    sweep: &Sweep,
    mark: &Mark,
    report: &mut GcReport,
    emit: Emit<'_, GcEvent>,
) -> Result<()> {
    let mut after: Option<Multihash> = None;
    loop {
        node.cancel().check()?;
        let page = node.store().list(after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        let dead =
            |info: &BlockInfo| !sweep.is_protected(info.position) && !mark.is_marked(info.position);
        let (victims, sizes): (Vec<(Multihash, Position)>, Vec<u32>) = page
            .into_iter()
            .filter(|(_, info)| dead(info))
            .map(|(hash, info)| ((hash, info.position), info.len))
            .unzip();
        let outcomes = sweep.delete(&victims)?;
        for (((hash, _), size), outcome) in victims.into_iter().zip(sizes).zip(outcomes) {
            if outcome == Deletion::Deleted {
                report.removed_blocks += 1;
                report.removed_bytes += u64::from(size);
                emit(GcEvent::Removed(Cid::v1(codec::RAW, hash))).map_err(Error::Output)?;
            }
        }
    }
}
