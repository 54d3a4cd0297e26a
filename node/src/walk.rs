//! Drives [`Mark`] over the local store. A visitor may fetch what it looks at; the walk itself asks nobody.

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::BlockInfo;

use crate::error::{Error, Result};
use crate::gc::mark::Mark;
use crate::node::Node;

/// What a walk does at each block.
pub trait Visitor {
    /// Looks a block up; `None` when it is not there.
    fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
        Ok(node
            .store()
            .info(cid.hash())?
            .filter(|info| !info.quarantined))
    }

    /// A block was found for the first time.
    fn found(&mut self, cid: &Cid, info: &BlockInfo) -> Result<()>;

    /// A block is missing or damaged: the walk goes on with the rest, unless this fails.
    fn bad(&mut self, cid: &Cid, error: Error) -> Result<()>;
}

/// Walks everything that `mark` has still to visit, reading inner nodes only.
pub fn walk(node: &Node, mark: &mut Mark, visitor: &mut dyn Visitor) -> Result<()> {
    while let Some(look) = mark.next_look() {
        node.cancel().check()?;
        let Some(info) = visitor.look(node, &look.cid)? else {
            visitor.bad(&look.cid, missing(node, &look.cid))?;
            continue;
        };
        let found = mark.handle_info(&look, &info);
        if found.new {
            visitor.found(&look.cid, &info)?;
        }
        if !found.read {
            continue;
        }
        match node.local_block(&look.cid) {
            Ok(data) => {
                if let Err(error) = mark.handle_block(&look.cid, &data) {
                    visitor.bad(&look.cid, error.into())?;
                }
            }
            Err(error @ (Error::NotFound(_) | Error::Damaged { .. })) => {
                visitor.bad(&look.cid, error)?
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Why a block that was not found cannot be had.
fn missing(node: &Node, cid: &Cid) -> Error {
    match node.local_block(cid) {
        Err(error) => error,
        // It came back between the two looks, which only a repair does.
        Ok(_) => Error::NotFound(cid.clone()),
    }
}
