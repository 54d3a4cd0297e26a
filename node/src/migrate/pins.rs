//! Pins. One is taken when all it holds is here: what this node calls pinned is whole.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec::{self, Value};
use ipfs_kit_blockstore::store::BlockInfo;
use rustc_hash::{FxHashMap, FxHashSet};

use super::kubo::KuboRepo;
use super::{MigrateEvent, MigrateReport};
use crate::error::{Emit, Error, Result};
use crate::gc::mark::Mark;
use crate::node::Node;
use crate::pins::{self, Record};
use crate::walk::{Visitor, walk};

const PREFIX: &[u8] = b"/pins/pin/";
/// Blocks between two reports.
const TELL_EVERY: u64 = 4096;
/// Pins that are committed together.
const BATCH: usize = 1024;

/// The pins of the repo.
pub fn read(kubo: &KuboRepo, report: &mut MigrateReport) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    kubo.records().scan::<Error>(PREFIX, &mut |key, value| {
        match parse(value) {
            Ok(record) => found.push(record),
            Err(reason) => {
                let name = String::from_utf8_lossy(key).into_owned();
                report.pins.leave(name, reason);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// A map of CID, mode and, where there is one, name.
fn parse(value: &[u8]) -> Result<Record, String> {
    let map = codec::decode(codec::CBOR, &Bytes::copy_from_slice(value))
        .map_err(|error| format!("its record cannot be read: {error}"))?;
    let cid = match map.get("cid") {
        Some(Value::Bytes(bytes)) => {
            Cid::try_from(bytes.as_slice()).map_err(|error| error.to_string())?
        }
        _ => return Err("its record has no CID".to_owned()),
    };
    let recursive = match map.get("mode") {
        Some(Value::Int(0)) => true,
        Some(Value::Int(1)) => false,
        _ => return Err("it is neither recursive nor direct".to_owned()),
    };
    let name = match map.get("name") {
        Some(Value::String(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    if let Some(name) = &name {
        pins::check_name(name).map_err(|error| error.to_string())?;
    }
    Ok(Record {
        cid,
        recursive,
        name,
    })
}

/// Pins what is whole. One walk looks at everything; only what is above something missing is left out.
pub fn take(
    node: &Node,
    found: &mut Vec<Record>,
    mfs_root: Option<&Cid>,
    report: &mut MigrateReport,
    emit: Emit<'_, MigrateEvent>,
) -> Result<()> {
    let mut mark = Mark::new();
    if let Some(root) = mfs_root {
        mark.add_root(root.clone(), true);
    }
    for pin in found.iter() {
        mark.add_root(pin.cid.clone(), pin.recursive);
    }
    let mut checking = Checking {
        node,
        emit,
        count: 0,
        bad: Vec::new(),
    };
    walk(&node.offline(), &mut mark, &mut checking)?;
    let (count, bad) = (checking.count, checking.bad);
    emit(MigrateEvent::Checked(count)).map_err(Error::Output)?;
    let broken = above(node, bad)?;
    if let Some(reason) = mfs_root.and_then(|root| broken.get(root.hash())) {
        report
            .notes
            .push(format!("MFS is taken, but not whole: {reason}"));
    }
    found.retain(|pin| {
        // A direct pin holds its own block only.
        let reason = broken
            .get(pin.cid.hash())
            .filter(|reason| pin.recursive || reason.block == *pin.cid.hash());
        if let Some(reason) = reason {
            report.pins.leave(pin.cid.to_string(), reason.to_string());
        }
        reason.is_none()
    });
    for batch in found.chunks(BATCH) {
        node.cancel().check()?;
        for is_new in pins::take_over(node, batch)? {
            match is_new {
                true => report.pins.taken += 1,
                false => report.pins.present += 1,
            }
        }
    }
    Ok(())
}

/// Why a DAG is not whole.
#[derive(Clone)]
struct Reason {
    block: Multihash,
    text: std::sync::Arc<str>,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is above a bad block, and the block itself, with the reason.
fn above(node: &Node, bad: Vec<(Cid, Error)>) -> Result<FxHashMap<Multihash, Reason>> {
    let mut reasons: FxHashMap<Multihash, Reason> = FxHashMap::default();
    for (cid, error) in bad {
        let reason = Reason {
            block: cid.hash().clone(),
            text: match error {
                Error::NotFound(cid) => format!("block {cid} is missing").into(),
                error => error.to_string().into(),
            },
        };
        let mut pending = vec![cid.hash().clone()];
        let mut seen: FxHashSet<Multihash> = FxHashSet::default();
        while let Some(hash) = pending.pop() {
            node.cancel().check()?;
            // What is known already has its ancestors known, unless it is the bad block of an own reason.
            let known = reasons.insert(hash.clone(), reason.clone());
            if known.is_some() && hash != reason.block {
                continue;
            }
            for parent in node.store().parents(&hash)? {
                if seen.insert(parent.clone()) {
                    pending.push(parent);
                }
            }
        }
    }
    Ok(reasons)
}

struct Checking<'a> {
    node: &'a Node,
    emit: Emit<'a, MigrateEvent>,
    count: u64,
    bad: Vec<(Cid, Error)>,
}

impl Visitor for Checking<'_> {
    fn found(&mut self, _: &Cid, _: &BlockInfo) -> Result<()> {
        self.count += 1;
        if self.count.is_multiple_of(TELL_EVERY) {
            self.node.cancel().check()?;
            (self.emit)(MigrateEvent::Checked(self.count)).map_err(Error::Output)?;
        }
        Ok(())
    }

    fn bad(&mut self, cid: &Cid, error: Error) -> Result<()> {
        self.bad.push((cid.clone(), error));
        Ok(())
    }
}
