//! Changes of the tree: directories, references, moves, removals, names of blocks, attributes.

use std::sync::Arc;

use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::store::{BlockInfo, Guard};
use ipfs_kit_unixfs::directory::{Progress, Target};
use ipfs_kit_unixfs::{CidSpec, DirectoryOptions, Mtime, edit};

use super::error::MfsError;
use super::state::Open;
use super::tree::{Blocks, Found, Tree};
use super::{Mfs, MfsNaming, empty_dir, import, lookup_dir, path, write};
use crate::error::{Error, Result};
use crate::gc::mark::Mark;
use crate::node::Node;
use crate::walk::{Visitor, walk};

impl Mfs<'_> {
    /// Makes a directory, with `parents` also those above it, and then it may be there already.
    ///
    /// # Errors
    /// [`MfsError::Exists`], [`MfsError::RootExists`], [`MfsError::NotFound`], [`MfsError::WasNotDirectory`].
    pub fn mkdir(&self, path: &str, parents: bool, naming: &MfsNaming) -> Result<()> {
        let names = path::names(path);
        if names.is_empty() {
            return if parents {
                Ok(())
            } else {
                Err(MfsError::RootExists.into())
            };
        }
        self.node.check_writable()?;
        if parents && matches!(self.look(path), Ok(Found::Dir(_))) {
            return Ok(());
        }
        let spec = import(self.node, Some(naming))?.cid;
        let open = self.open()?;
        let guard = open.guard(self.node);
        // Before anybody can commit a directory that links to it: all that are made have this one block.
        let options = DirectoryOptions {
            cid: spec,
            ..open.defaults.clone()
        };
        empty_dir(self.node, &guard, options)?;
        open.change(self.node, &guard, |tree, blocks| {
            make_dirs(tree, &names, parents, spec, blocks)
        })
    }

    /// Makes the directories above a path that are not there.
    ///
    /// # Errors
    /// As [`Mfs::mkdir`].
    pub fn make_parents(&self, path: &str, naming: &MfsNaming) -> Result<()> {
        self.mkdir(&path::parent(path), true, naming)
    }

    /// Puts a DAG at a path where nothing is. Only its first block has to be here; a garbage collection keeps what is
    /// here of the rest.
    ///
    /// # Errors
    /// [`MfsError::EntryExists`], [`MfsError::EmptyName`], [`MfsError::NotADirectory`], and blocks that cannot be read.
    pub fn put(&self, path: &str, root: &Cid) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let state = self.node.mfs_state();
        state.hold(root);
        let put = self.put_held(&open, &guard, path, root);
        if put.is_err() {
            state.release(root);
        }
        put
    }

    fn put_held(&self, open: &Open, guard: &Arc<Guard>, path: &str, root: &Cid) -> Result<()> {
        // A collection that begins now sees the root among those that are held. One that runs may be past that.
        if self.node.store().is_sweeping() {
            touch_below(self.node, guard, root)?;
        }
        guard.touch(root.hash())?;
        let stat = self.stat_of(root)?;
        let (dir, name) = path::split(path);
        if name.is_empty() {
            return Err(MfsError::EmptyName.into());
        }
        let target = Target {
            cid: root.clone(),
            tsize: stat.cumulative_size,
        };
        open.change(self.node, guard, |tree, blocks| {
            let id = match lookup_dir(tree, dir, blocks)? {
                Progress::Done(id) => id,
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
            };
            match tree.child(id, name.as_bytes(), blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(Some(_)) => return Err(MfsError::EntryExists.into()),
                Progress::Done(None) => {}
            }
            let done = tree.insert_file((id, name), path, &target, blocks)?;
            if matches!(done, Progress::Done(())) {
                tree.held.push(root.clone());
            }
            Ok(done)
        })
    }

    /// Moves an entry, into the destination if that is a directory, over it if it is a file. Nobody ever sees both names or
    /// neither, also not after a crash.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::NotADirectory`], [`MfsError::EntryExists`], [`MfsError::IntoItself`].
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        open.change(self.node, &guard, |tree, blocks| {
            tree.rename(from, to, blocks)
        })
    }

    /// Removes an entry; whether there was one.
    fn drop_entry(&self, open: &Open, guard: &Arc<Guard>, dir: &str, name: &str) -> Result<bool> {
        open.change(self.node, guard, |tree, blocks| {
            match lookup_dir(tree, dir, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(id) => tree.remove(id, name, blocks),
            }
        })
    }

    /// Removes an entry of a directory, whatever it is, also one that cannot be read.
    ///
    /// # Errors
    /// [`MfsError::NotFound`], [`MfsError::ParentNotDirectory`].
    pub fn unlink(&self, path: &str) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let (dir, name) = path::split(path);
        match self.drop_entry(&open, &guard, dir, name) {
            Ok(true) => Ok(()),
            Ok(false) => Err(MfsError::NotFound.into()),
            Err(Error::Mfs(MfsError::NotADirectory(_))) => Err(MfsError::ParentNotDirectory.into()),
            Err(error) => Err(error),
        }
    }

    /// Names the blocks of a directory in another way; nothing when no way is asked for.
    ///
    /// # Errors
    /// [`MfsError::OnlyDirectories`], and as [`Mfs::entry`].
    pub fn rename_blocks(&self, path: &str, naming: &MfsNaming) -> Result<()> {
        let Some(spec) = naming.asked()? else {
            return Ok(());
        };
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let names = path::names(path);
        open.change(self.node, &guard, |tree, blocks| {
            match tree.lookup(&names, blocks)? {
                Progress::Need(missing) => Ok(Progress::Need(missing)),
                Progress::Done(Found::File(_)) => Err(MfsError::OnlyDirectories.into()),
                Progress::Done(Found::Dir(id)) => Ok(Progress::Done(tree.set_spec(id, spec)?)),
            }
        })
    }

    /// Gives what a path leads to another mode; 0 is none.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn set_mode(&self, path: &str, mode: u32) -> Result<()> {
        self.set_attributes(path, &mut |old, _| {
            let kept = old.unwrap_or(0) & !0o7777;
            *old = Some(kept | (mode & 0o7777)).filter(|mode| *mode != 0);
        })
    }

    /// Gives what a path leads to another modification time.
    ///
    /// # Errors
    /// As [`Mfs::entry`].
    pub fn set_mtime(&self, path: &str, seconds: i64, nanos: u32) -> Result<()> {
        self.set_attributes(path, &mut |_, old| *old = Some(Mtime { seconds, nanos }))
    }

    fn set_attributes(
        &self,
        path: &str,
        change: &mut dyn FnMut(&mut Option<u32>, &mut Option<Mtime>),
    ) -> Result<()> {
        self.node.check_writable()?;
        let open = self.open()?;
        let guard = open.guard(self.node);
        let names = path::names(path);
        let Found::File(old) = self.look(path)? else {
            return open.change(self.node, &guard, |tree, blocks| {
                match tree.lookup(&names, blocks)? {
                    Progress::Need(missing) => Ok(Progress::Need(missing)),
                    Progress::Done(Found::File(_)) => Err(MfsError::NotFound.into()),
                    Progress::Done(Found::Dir(id)) => {
                        Ok(Progress::Done(tree.set_attributes(id, change)?))
                    }
                }
            });
        };
        let block = self.node.block(&old.cid)?;
        let (root, block) = edit::set_attributes(&old.cid, block, change)?;
        self.node.put(&guard, block.as_slice())?;
        let new = Target {
            cid: root.cid,
            tsize: root.tsize,
        };
        write::replace(self.node, &open, &guard, path, Some(&old), &new).map(drop)
    }
}

/// Makes directories, whose block is stored already; those that are there already stay as they are.
fn make_dirs(
    tree: &mut Tree,
    names: &[&str],
    parents: bool,
    spec: CidSpec,
    blocks: &Blocks,
) -> Result<Progress<()>> {
    let mut at = tree.root();
    for (depth, name) in names.iter().enumerate() {
        let last = depth + 1 == names.len();
        let found = match tree.child(at, name.as_bytes(), blocks)? {
            Progress::Need(missing) => return Ok(Progress::Need(missing)),
            Progress::Done(found) => found,
        };
        at = match found {
            Some(_) if last && !parents => return Err(MfsError::Exists.into()),
            Some(Found::Dir(id)) => id,
            Some(Found::File(_)) if last => return Err(MfsError::Exists.into()),
            Some(Found::File(_)) => {
                return Err(MfsError::WasNotDirectory(names[..depth].join("/")).into());
            }
            None if !last && !parents => return Err(MfsError::NotFound.into()),
            None => match tree.make_dir(at, name, spec, blocks)? {
                Progress::Need(missing) => return Ok(Progress::Need(missing)),
                Progress::Done(id) => id,
            },
        };
    }
    Ok(Progress::Done(()))
}

/// Keeps what is here of a DAG from a garbage collection that runs already.
fn touch_below(node: &Node, guard: &Guard, root: &Cid) -> Result<()> {
    struct Touching<'a>(&'a Guard);
    impl Visitor for Touching<'_> {
        fn look(&mut self, node: &Node, cid: &Cid) -> Result<Option<BlockInfo>> {
            self.0.touch(cid.hash())?;
            Ok(node
                .store()
                .info(cid.hash())?
                .filter(|info| !info.quarantined))
        }

        fn found(&mut self, _: &Cid, _: &BlockInfo) -> Result<()> {
            Ok(())
        }

        fn bad(&mut self, _: &Cid, _: Error) -> Result<()> {
            Ok(())
        }
    }
    let mut mark = Mark::new();
    mark.add_root(root.clone(), true);
    walk(node, &mut mark, &mut Touching(guard))
}
