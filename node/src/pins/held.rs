//! How one block is held. Indirect pins are found from below: the store knows which blocks link to a block, so the answer
//! costs the block's ancestors and not the pinned DAGs.

use ipfs_kit_blockstore::cid::{Cid, Multihash};
use rustc_hash::FxHashSet;

use super::table::{self, Lookup};
use super::{Pin, PinFilter, PinKind};
use crate::error::Result;
use crate::node::Node;

/// The pin of a CID, of the kinds that the filter allows, the strongest first.
pub fn pin_of(node: &Node, cid: &Cid, filter: PinFilter) -> Result<Option<Pin>> {
    if filter != PinFilter::Indirect
        && let Some(record) = table::get(node.database(), cid)?
    {
        let kind = if record.recursive {
            PinKind::Recursive
        } else {
            PinKind::Direct
        };
        let wanted = match filter {
            PinFilter::All => true,
            PinFilter::Recursive => record.recursive,
            PinFilter::Direct => !record.recursive,
            PinFilter::Indirect => false,
        };
        if wanted {
            return Ok(Some(Pin {
                cid: cid.clone(),
                kind,
                name: record.name,
            }));
        }
    }
    if !matches!(filter, PinFilter::All | PinFilter::Indirect) {
        return Ok(None);
    }
    let through = above(node, cid.hash())?;
    Ok(through.map(|through| Pin {
        cid: cid.clone(),
        kind: PinKind::Indirect {
            through: Some(through),
        },
        name: None,
    }))
}

/// What holds a block, under whatever CID, the strongest first; `None` when nothing does.
pub fn holder(node: &Node, cid: &Cid) -> Result<Option<PinKind>> {
    let records = table::of_block(node.database(), cid.hash())?;
    if let Some(record) = records.iter().max_by_key(|record| record.recursive) {
        return Ok(Some(if record.recursive {
            PinKind::Recursive
        } else {
            PinKind::Direct
        }));
    }
    Ok(above(node, cid.hash())?.map(|through| PinKind::Indirect {
        through: Some(through),
    }))
}

/// A recursive pin above a block.
fn above(node: &Node, hash: &Multihash) -> Result<Option<Cid>> {
    let pins = Lookup::new(node.database())?;
    let mut seen: FxHashSet<Multihash> = FxHashSet::default();
    let mut pending = vec![hash.clone()];
    while let Some(child) = pending.pop() {
        for parent in node.store().parents(&child)? {
            node.cancel().check()?;
            if let Some(pin) = pins
                .of_block(&parent)?
                .into_iter()
                .find(|record| record.recursive)
            {
                return Ok(Some(pin.cid));
            }
            if seen.insert(parent.clone()) {
                pending.push(parent);
            }
        }
    }
    Ok(None)
}
