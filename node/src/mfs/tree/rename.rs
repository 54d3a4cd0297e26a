//! Moving an entry: both directories change at once, or neither.

use bytes::Bytes;
use ipfs_kit_unixfs::directory::{Progress, Target};

use super::blocks::ask;
use super::{Blocks, DirId, Found, Tree};
use crate::error::{Error, Result};
use crate::mfs::error::MfsError;
use crate::mfs::lookup_dir;
use crate::mfs::path;

/// Where an entry is.
type Entry<'a> = (DirId, &'a str);

macro_rules! done {
    ($progress:expr) => {
        match $progress? {
            Progress::Done(done) => done,
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
        }
    };
}

impl Tree {
    /// Moves an entry, into the destination if that is a directory, over it if it is a file.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::NotADirectory`], [`MfsError::EntryExists`], [`MfsError::IntoItself`].
    pub fn rename(&mut self, from: &str, to: &str, blocks: &Blocks) -> Result<Progress<()>> {
        let (from_dir, from_name) = path::split(from);
        let (to_dir, to_name) = match to.ends_with('/') {
            true => (to, from_name),
            false => path::split(to),
        };
        let mut dest = (done!(lookup_dir(self, to_dir, blocks)), to_name);
        let source = (done!(lookup_dir(self, from_dir, blocks)), from_name);
        let moved = done!(self.child(source.0, from_name.as_bytes(), blocks));
        let moved = moved.ok_or(MfsError::NotFound)?;
        let mut replaced = None;
        match done!(self.child(dest.0, to_name.as_bytes(), blocks)) {
            None => {}
            Some(Found::File(target)) => replaced = Some(target),
            Some(Found::Dir(id)) => {
                dest = (id, from_name);
                if done!(self.child(id, from_name.as_bytes(), blocks)).is_some() {
                    return Err(MfsError::EntryExists.into());
                }
            }
        }
        if let Found::Dir(id) = moved
            && self.is_below(dest.0, id)
        {
            return Err(MfsError::IntoItself(from.to_owned()).into());
        }
        done!(self.prepare(source, dest, blocks));
        self.take_over(source, dest, replaced, blocks)?;
        if let Found::Dir(id) = moved {
            self.reattach(id, dest)?;
        }
        Ok(Progress::Done(()))
    }

    /// Whether a directory is another one or below it.
    fn is_below(&self, id: DirId, above: DirId) -> bool {
        let mut at = Some(id);
        while let Some(id) = at {
            if id == above {
                return true;
            }
            let dir = self.dirs.get(&id);
            at = dir.and_then(|dir| Some(dir.parent.as_ref()?.0));
        }
        false
    }

    /// Gets everything that the change may have to see, so that it does not stop in the middle.
    fn prepare(
        &mut self,
        source: Entry<'_>,
        dest: Entry<'_>,
        blocks: &Blocks,
    ) -> Result<Progress<()>> {
        let names = [source.1.as_bytes(), dest.1.as_bytes()];
        let one_dir = source.0 == dest.0;
        let (there, here) = names.split_at(if one_dir { 2 } else { 1 });
        for (id, names) in [(source.0, there), (dest.0, here)] {
            let directory = &mut self.dir_mut(id)?.directory;
            done!(ask(directory, blocks, |directory| directory.prepare(names)));
        }
        Ok(Progress::Done(()))
    }

    /// Gives an entry another place, in the order in which Kubo does it: what shape a directory has depends on that.
    fn take_over(
        &mut self,
        source: Entry<'_>,
        dest: Entry<'_>,
        replaced: Option<Target>,
        blocks: &Blocks,
    ) -> Result<()> {
        let (id, name) = source;
        let directory = &mut self.dir_mut(id)?.directory;
        let target = prepared(ask(directory, blocks, |directory| {
            directory.get(name.as_bytes())
        }))?;
        let target = target.ok_or(MfsError::NotFound)?;
        if replaced.is_some() {
            prepared(self.remove(dest.0, dest.1, blocks))?;
        }
        if let Err(error) = prepared(self.insert(dest.0, dest.1, &target, blocks)) {
            if let Some(replaced) = replaced {
                prepared(self.insert(dest.0, dest.1, &replaced, blocks))?;
            }
            return Err(error);
        }
        if source != dest {
            // What is open there is not closed, but goes along.
            let dir = self.dir_mut(id)?;
            dir.open.remove(name.as_bytes());
            dir.stale.remove(name.as_bytes());
            prepared(self.remove(id, name, blocks))?;
        }
        Ok(())
    }

    /// Has an open directory in another one. It counts its growth anew there, as Kubo's, which is read again.
    fn reattach(&mut self, id: DirId, (parent, name): Entry<'_>) -> Result<()> {
        self.settle(id)?;
        let name = Bytes::copy_from_slice(name.as_bytes());
        let dir = self.dir_mut(id)?;
        dir.directory.forget_changes();
        dir.parent = Some((parent, name.clone()));
        let above = self.dir_mut(parent)?;
        above.open.insert(name.clone(), id);
        // It may have changed since its entry was written.
        above.stale.insert(name);
        Ok(())
    }
}

/// The result of a step that was prepared.
fn prepared<T>(step: Result<Progress<T>>) -> Result<T> {
    match step? {
        Progress::Done(done) => Ok(done),
        Progress::Need(_) => Err(Error::Internal(
            "a directory asked for more than it had foreseen",
        )),
    }
}
