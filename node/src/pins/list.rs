//! Listing pins.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::BlockInfo;
use rustc_hash::FxHashSet;

use super::table::Record;
use super::{Pin, PinFilter, PinKind, PinList, for_each};
use crate::error::{Emit, Error, Result};
use crate::gc::mark::Mark;
use crate::node::Node;
use crate::walk::{Visitor, walk};

/// Streams the pins that the options ask for.
pub fn list(node: &Node, options: &PinList, emit: Emit<'_, Pin>) -> Result<()> {
    let filter = options.filter;
    let named = |record: &Record| match &options.name {
        None => true,
        Some(part) => record
            .name
            .as_ref()
            .is_some_and(|name| name.contains(part.as_str())),
    };
    for (recursive, kind) in [(true, PinKind::Recursive), (false, PinKind::Direct)] {
        let wanted = match filter {
            PinFilter::All => true,
            PinFilter::Recursive => recursive,
            PinFilter::Direct => !recursive,
            PinFilter::Indirect => false,
        };
        if !wanted {
            continue;
        }
        for_each(node, &mut |record| {
            if record.recursive != recursive || !named(&record) {
                return Ok(());
            }
            emit(Pin {
                cid: record.cid,
                kind: kind.clone(),
                name: record.name,
            })
            .map_err(Error::Output)
        })?;
    }
    // Indirect pins have no name, so none has the one that is asked for.
    let has_indirect = matches!(filter, PinFilter::All | PinFilter::Indirect);
    if has_indirect && options.name.as_ref().is_none_or(String::is_empty) {
        indirect(node, emit)
    } else {
        Ok(())
    }
}

fn indirect(node: &Node, emit: Emit<'_, Pin>) -> Result<()> {
    let mut listing = Listing {
        told: FxHashSet::default(),
        emit,
        bad: None,
    };
    let mut roots = Vec::new();
    for_each(node, &mut |record| {
        listing.told.insert(record.cid.clone());
        if record.recursive {
            roots.push(record.cid);
        }
        Ok(())
    })?;
    let mut mark = Mark::new();
    for root in roots {
        mark.add_root(root, true);
        walk(node, &mut mark, &mut listing)?;
    }
    listing.bad.map_or(Ok(()), Err)
}

struct Listing<'a> {
    /// Recursive and direct pins, which are not told again.
    told: FxHashSet<Cid>,
    emit: Emit<'a, Pin>,
    bad: Option<Error>,
}

impl Visitor for Listing<'_> {
    fn found(&mut self, cid: &Cid, _: &BlockInfo) -> Result<()> {
        if self.told.contains(cid) {
            return Ok(());
        }
        let kind = PinKind::Indirect { through: None };
        (self.emit)(Pin {
            cid: cid.clone(),
            kind,
            name: None,
        })
        .map_err(Error::Output)
    }

    fn bad(&mut self, _: &Cid, error: Error) -> Result<()> {
        self.bad.get_or_insert(error);
        Ok(())
    }
}
