//! Room for a write on a full store.

use ipfs_kit_blockstore::cid::Multihash;
use ipfs_kit_blockstore::store::{BlockInfo, Deletion, Position, StoreError};

use super::collect::mark_pins;
use crate::error::Result;
use crate::node::Node;

const PAGE: usize = 8192;

/// More is removed than is needed, so that the next writes do not have to do this again at once: this part of the limit.
const SLACK: u64 = 20;

/// Removes unpinned blocks, those written first, until `needed` bytes more fit or none is left. Whether they fit then is
/// for the put to find out.
pub fn make_room(node: &Node, needed: u64) -> Result<()> {
    let sweep = node.store().sweep();
    let mark = mark_pins(node, &mut |_| Ok(()))?;
    let mut dead: Vec<(Position, Multihash, u32)> = Vec::new();
    let mut after: Option<Multihash> = None;
    loop {
        node.cancel().check()?;
        let page = node.store().list(after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        let is_dead =
            |info: &BlockInfo| !sweep.is_protected(info.position) && !mark.is_marked(info.position);
        dead.extend(
            page.into_iter()
                .filter(|(_, info)| is_dead(info))
                .map(|(hash, info)| (info.position, hash, info.len)),
        );
    }
    drop(mark);
    dead.sort_unstable_by_key(|(position, ..)| *position);

    let slack = node.store().stats().capacity.unwrap_or_default() / SLACK;
    let mut wanted = needed.saturating_add(slack);
    for batch in dead.chunks(PAGE) {
        let mut victims = Vec::new();
        let mut bytes = 0;
        for (position, hash, len) in batch {
            if bytes >= wanted {
                break;
            }
            bytes += u64::from(*len);
            victims.push((hash.clone(), *position));
        }
        let outcomes = sweep.delete(&victims)?;
        let freed: u64 = outcomes
            .iter()
            .zip(batch)
            .filter(|(outcome, _)| **outcome == Deletion::Deleted)
            .map(|(_, (_, _, len))| u64::from(*len))
            .sum();
        wanted = wanted.saturating_sub(freed);
        if wanted == 0 {
            break;
        }
    }
    sweep.finish()?;
    // Dead bytes count until their files are written anew.
    match node.store().compact(0.0) {
        Err(StoreError::DiskFull { .. } | StoreError::StorageFull { .. }) => Ok(()),
        done => Ok(done.map(|_| ())?),
    }
}
