//! How much of a DAG is here.

use std::collections::HashMap;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;

use crate::error::{Error, Result};
use crate::node::Node;

/// A block whose children are being looked at.
struct Frame {
    cid: Cid,
    children: std::vec::IntoIter<Cid>,
    whole: bool,
    bytes: u64,
}

/// Whether all of it is, and the bytes that are. Every block is read once, and counts as often as it is linked.
pub fn of(node: &Node, root: &Cid) -> Result<(bool, u64)> {
    node.check_may_wait()?;
    let mut known: HashMap<Cid, (bool, u64)> = HashMap::new();
    let mut path = vec![open(node, root)?.ok_or_else(|| Error::NotFound(root.clone()))?];
    while let Some(frame) = path.last_mut() {
        node.cancel().check()?;
        if let Some(child) = frame.children.next() {
            match known.get(&child) {
                Some((whole, bytes)) => {
                    frame.whole &= whole;
                    frame.bytes = frame.bytes.saturating_add(*bytes);
                }
                None => match open(node, &child)? {
                    Some(below) => path.push(below),
                    None => frame.whole = false,
                },
            }
            continue;
        }
        let Some(Frame {
            cid, whole, bytes, ..
        }) = path.pop()
        else {
            break;
        };
        match path.last_mut() {
            None => return Ok((whole, bytes)),
            Some(above) => {
                above.whole &= whole;
                above.bytes = above.bytes.saturating_add(bytes);
            }
        }
        known.insert(cid, (whole, bytes));
    }
    Err(Error::Internal("a walk lost its root"))
}

fn open(node: &Node, cid: &Cid) -> Result<Option<Frame>> {
    let data = match node.local_block(cid) {
        Ok(data) => data,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut children = Vec::new();
    codec::links(cid.codec(), &data, &mut |link| children.push(link))?;
    Ok(Some(Frame {
        cid: cid.clone(),
        children: children.into_iter(),
        whole: true,
        bytes: data.len() as u64,
    }))
}
