//! The shape shared by every reader of this crate: a state machine that names the block it needs
//! next and never fetches anything itself.
//!
//! A driver calls [`Steps::step`] until it says [`Step::Done`]. When it says [`Step::Need`], the
//! driver gets that block from wherever blocks come from, checks it against its CID, and hands it
//! over with [`Steps::supply`]. [`Steps::wants`] tells which blocks will be needed soon, so that a
//! driver with a slow source can ask for them early.

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;

use crate::ReadError;

/// What a machine wants or gives at one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// The machine cannot go on without this block; give it with [`Steps::supply`].
    Need(Cid),
    /// The next piece of the result, in order.
    Item(T),
    /// Nothing more will come. Every later step says the same.
    Done,
}

/// A reader that runs without doing any input or output.
pub trait Steps {
    /// What the machine produces, piece by piece.
    type Item;

    /// Goes on as far as possible without another block.
    ///
    /// Asking again without supplying the needed block repeats the same [`Step::Need`].
    ///
    /// # Errors
    /// A malformed or hostile DAG, or a limit that was reached. The machine is then of no more use.
    fn step(&mut self) -> Result<Step<Self::Item>, ReadError>;

    /// Hands over the block that the last step needed. Its bytes must match the CID: the machine
    /// does not hash them again.
    ///
    /// # Errors
    /// [`ReadError::NotNeeded`] when it is not that block, and every fault found in the block.
    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError>;

    /// Appends up to `max` blocks that will be needed soon, the nearest first. The block that the
    /// last step needed comes first when it has not been supplied yet.
    fn wants(&self, max: usize, out: &mut Vec<Cid>);
}

impl<M: Steps + ?Sized> Steps for &mut M {
    type Item = M::Item;

    fn step(&mut self) -> Result<Step<M::Item>, ReadError> {
        (**self).step()
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        (**self).supply(cid, data)
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        (**self).wants(max, out);
    }
}

/// Runs a machine to its end over a source of blocks that answers at once.
///
/// # Errors
/// The first error of the source, of the machine, or of `each`.
pub fn run<M, E>(
    machine: &mut M,
    mut block: impl FnMut(&Cid) -> Result<Bytes, E>,
    mut each: impl FnMut(M::Item) -> Result<(), E>,
) -> Result<(), E>
where
    M: Steps + ?Sized,
    E: From<ReadError>,
{
    loop {
        match machine.step()? {
            Step::Need(cid) => {
                let data = block(&cid)?;
                machine.supply(&cid, data)?;
            }
            Step::Item(item) => each(item)?,
            Step::Done => return Ok(()),
        }
    }
}
