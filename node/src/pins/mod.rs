//! Pins: what garbage collection must keep.

use ipfs_kit_blockstore::cid::Cid;

use crate::error::{Emit, Error, Result};
use crate::node::Node;

mod held;
mod hold;
mod list;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use held::holder;
use table::Change;
pub(crate) use table::Record;
pub(crate) use table::take_over;

/// Verbs on pins, from [`Node::pins`].
pub struct Pins<'a> {
    pub(crate) node: &'a Node,
}

/// How a block is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinKind {
    /// The whole DAG below it is held.
    Recursive,
    /// Only this block is held.
    Direct,
    /// It is below a recursive pin, named where that was looked up.
    Indirect {
        /// The recursive pin.
        through: Option<Cid>,
    },
}

/// Which pins to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PinFilter {
    /// Every kind.
    #[default]
    All,
    /// Recursive pins.
    Recursive,
    /// Direct pins.
    Direct,
    /// Blocks below recursive pins.
    Indirect,
}

/// One held block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The block.
    pub cid: Cid,
    /// How it is held.
    pub kind: PinKind,
    /// The name given to the pin, if any.
    pub name: Option<String>,
}

/// Options of [`Pins::add`].
#[derive(Clone, Debug)]
pub struct PinAdd {
    /// Hold the whole DAG (the default) or only the block.
    pub recursive: bool,
    /// A name of at most 255 bytes.
    pub name: Option<String>,
}

impl Default for PinAdd {
    fn default() -> Self {
        Self {
            recursive: true,
            name: None,
        }
    }
}

/// Options of [`Pins::list`].
#[derive(Clone, Debug, Default)]
pub struct PinList {
    /// Which kinds.
    pub filter: PinFilter,
    /// Only pins whose name contains this text.
    pub name: Option<String>,
}

/// Outcome for one recursive pin of [`Pins::verify`].
#[derive(Debug)]
pub struct PinVerified {
    /// The pin.
    pub cid: Cid,
    /// Blocks below it that are missing or damaged, each with the reason; empty when the pin is whole.
    pub bad: Vec<(Cid, Error)>,
}

/// Why a pin operation was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// There is no such pin; something above it may be pinned.
    #[error("not pinned or pinned indirectly")]
    NotPinned,
    /// Asked about a block that no pin of the asked kind holds.
    #[error("path '{0}' is not pinned")]
    PathNotPinned(String),
    /// A recursive pin cannot be removed as a direct one.
    #[error("{0} is pinned recursively")]
    PinnedRecursively(Cid),
    /// A direct pin cannot be laid over a recursive one.
    #[error("pin: {0} already pinned recursively")]
    AlreadyRecursive(Cid),
    /// A pinned block cannot be removed.
    #[error("{}", held_text(.0))]
    Held(PinKind),
    /// `update` was asked to replace a pin that is not there.
    #[error("'from' cid was not recursively pinned already")]
    UpdateFromUnpinned,
    /// `update` was asked to make a pin that is there.
    #[error("'to' cid was already recursively pinned")]
    UpdateToPinned,
    /// Pin names are limited.
    #[error("pin name is {0} bytes (max 255 bytes)")]
    NameTooLong(usize),
}

fn held_text(kind: &PinKind) -> String {
    match kind {
        PinKind::Recursive => "pinned: recursive".to_owned(),
        PinKind::Direct => "pinned: direct".to_owned(),
        PinKind::Indirect {
            through: Some(through),
        } => format!("pinned via {through}"),
        PinKind::Indirect { through: None } => "pinned: indirect".to_owned(),
    }
}

impl Pins<'_> {
    /// Pins what each path leads to; all of them or none. The DAG must be complete in the repo. Durable on return;
    /// `emit` gets the number of blocks checked so far.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Damaged`] for a DAG that is not complete, [`PinError::NameTooLong`],
    /// [`PinError::AlreadyRecursive`]; pins are as they were then.
    pub fn add(&self, paths: &[String], options: &PinAdd, emit: Emit<'_, u64>) -> Result<Vec<Cid>> {
        options.name.as_deref().map_or(Ok(()), check_name)?;
        self.node.check_writable()?;
        let guard = self.node.store().guard();
        let cids = self.resolve(paths)?;
        hold::hold(self.node, &guard, &cids, options.recursive, emit)?;
        self.node.store().sync()?;
        table::commit::<_, Error>(self.node.database(), |pinned| {
            let mut changes = Vec::new();
            for cid in &cids {
                if !options.recursive && pinned(cid)?.is_some_and(|record| record.recursive) {
                    return Err(PinError::AlreadyRecursive(cid.clone()).into());
                }
                let name = options.name.clone().filter(|name| !name.is_empty());
                changes.push(Change::Put(Record {
                    cid: cid.clone(),
                    recursive: options.recursive,
                    name,
                }));
            }
            Ok((changes, ()))
        })?;
        self.node.announce(&cids, true);
        Ok(cids)
    }

    /// Removes pins; with `recursive` false only direct ones may be removed. All of them or none.
    ///
    /// # Errors
    /// [`PinError::NotPinned`], [`PinError::PinnedRecursively`].
    pub fn remove(&self, paths: &[String], recursive: bool) -> Result<Vec<Cid>> {
        self.node.check_writable()?;
        let cids = self.resolve(paths)?;
        self.node.database().make_room();
        table::commit::<_, Error>(self.node.database(), |pinned| {
            for cid in &cids {
                match pinned(cid)? {
                    None => return Err(PinError::NotPinned.into()),
                    Some(record) if record.recursive && !recursive => {
                        return Err(PinError::PinnedRecursively(cid.clone()).into());
                    }
                    Some(_) => {}
                }
            }
            Ok((cids.iter().cloned().map(Change::Remove).collect(), ()))
        })?;
        Ok(cids)
    }

    /// Streams pins: recursive ones, direct ones, then indirect ones, which are found by walking below the recursive ones
    /// and come once each.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Damaged`] after everything that could be found was told, when a pinned DAG is not
    /// complete.
    pub fn list(&self, options: &PinList, emit: Emit<'_, Pin>) -> Result<()> {
        list::list(self.node, options, emit)
    }

    /// How each path's block is held, in order; an error names the first that is not held in a way the filter allows.
    ///
    /// # Errors
    /// [`PinError::PathNotPinned`].
    pub fn check(&self, paths: &[String], filter: PinFilter) -> Result<Vec<Pin>> {
        let check = |path: &String| {
            let cid = self.node.resolve(path)?;
            held::pin_of(self.node, &cid, filter)?
                .ok_or_else(|| PinError::PathNotPinned(path.clone()).into())
        };
        paths.iter().map(check).collect()
    }

    /// Pins `to` recursively under the name of the pinned `from`, and removes `from` if asked.
    ///
    /// # Errors
    /// [`PinError::UpdateFromUnpinned`], [`PinError::UpdateToPinned`], and as [`Pins::add`].
    pub fn update(&self, from: &str, to: &str, unpin: bool) -> Result<(Cid, Cid)> {
        self.node.check_writable()?;
        let guard = self.node.store().guard();
        let (from, to) = (self.node.resolve(from)?, self.node.resolve(to)?);
        let old = table::get(self.node.database(), &from)?.filter(|record| record.recursive);
        if old.is_none() {
            return Err(PinError::UpdateFromUnpinned.into());
        }
        if from == to {
            return Ok((from, to));
        }
        hold::hold(
            self.node,
            &guard,
            std::slice::from_ref(&to),
            true,
            &mut |_| Ok(()),
        )?;
        self.node.store().sync()?;
        table::commit::<_, Error>(self.node.database(), |pinned| {
            let old = pinned(&from)?
                .filter(|record| record.recursive)
                .ok_or(PinError::UpdateFromUnpinned)?;
            if pinned(&to)?.is_some_and(|record| record.recursive) {
                return Err(PinError::UpdateToPinned.into());
            }
            let mut changes = vec![Change::Put(Record {
                cid: to.clone(),
                ..old
            })];
            changes.extend(unpin.then(|| Change::Remove(from.clone())));
            Ok((changes, ()))
        })?;
        self.node.announce(std::slice::from_ref(&to), true);
        Ok((from, to))
    }

    /// Reads every block below every recursive pin and reports what is missing or damaged.
    ///
    /// # Errors
    /// [`Error::Output`], [`Error::Cancelled`], and failures of the store itself.
    pub fn verify(&self, emit: Emit<'_, PinVerified>) -> Result<()> {
        let mut outcome = Ok(());
        for_each(self.node, &mut |pin| {
            if pin.recursive {
                let bad = hold::bad_below(self.node, &pin.cid)?;
                outcome = emit(PinVerified { cid: pin.cid, bad }).map_err(Error::Output);
            }
            std::mem::replace(&mut outcome, Ok(()))
        })
    }

    /// Number of recursive and direct pins.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn count(&self) -> Result<u64> {
        Ok(table::count(self.node.database())?)
    }

    fn resolve(&self, paths: &[String]) -> Result<Vec<Cid>> {
        paths.iter().map(|path| self.node.resolve(path)).collect()
    }
}

/// Fails for a name that is too long.
pub(crate) fn check_name(name: &str) -> Result<(), PinError> {
    if name.len() > MAX_NAME_BYTES {
        Err(PinError::NameTooLong(name.len()))
    } else {
        Ok(())
    }
}

const MAX_NAME_BYTES: usize = 255;

/// Pins roots whose blocks are all there, durable, and kept by a guard of the caller; all or none.
pub(crate) fn commit_recursive(
    node: &Node,
    roots: impl Iterator<Item = Cid>,
    name: Option<&str>,
) -> Result<()> {
    table::commit(node.database(), |_| {
        let name = name.filter(|name| !name.is_empty());
        let put = |cid| {
            Change::Put(Record {
                cid,
                recursive: true,
                name: name.map(str::to_owned),
            })
        };
        Ok((roots.map(put).collect(), ()))
    })
}

/// Every pin, a page at a time: nothing is locked while `each` runs.
pub(crate) fn for_each(node: &Node, each: &mut dyn FnMut(Record) -> Result<()>) -> Result<()> {
    let mut after = None;
    loop {
        let page = table::page(node.database(), after.as_ref())?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.cid.clone());
        for record in page {
            node.cancel().check()?;
            each(record)?;
        }
    }
}
