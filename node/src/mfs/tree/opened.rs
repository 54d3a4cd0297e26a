//! Which directories are open.

use bytes::Bytes;
use ipfs_kit_unixfs::CidSpec;
use ipfs_kit_unixfs::directory::Directory;

use super::{Dir, DirId, Tree};
use crate::error::Result;

/// Open directories that need not be open; more are closed.
const MAX_DIRS: usize = 4096;

/// Operations on one directory after which it is closed and loaded anew, so that what of its trie was touched does not
/// pile up.
const MAX_TOUCHED: u64 = 262_144;

impl Tree {
    /// Closes directories that have not been used for the longest time, if there are many, and those that hold much.
    /// What is dirty, or has something open below, stays.
    pub fn close_idle(&mut self) {
        let crowded = self.dirs.len() > MAX_DIRS;
        let mut idle: Vec<(u64, DirId)> = self
            .dirs
            .iter()
            .filter(|(_, dir)| {
                let leaf = dir.parent.is_some() && !dir.dirty && dir.open.is_empty();
                leaf && (crowded || dir.touched > MAX_TOUCHED)
            })
            .map(|(id, dir)| (dir.used, *id))
            .collect();
        idle.sort_unstable();
        let over = self.dirs.len().saturating_sub(MAX_DIRS / 2);
        for (nth, (_, id)) in idle.into_iter().enumerate() {
            let large = self
                .dirs
                .get(&id)
                .is_some_and(|dir| dir.touched > MAX_TOUCHED);
            if large || nth < over {
                self.close(id);
            }
        }
    }

    /// Puts another block in the place of the root.
    ///
    /// # Errors
    /// A block that is no directory.
    pub fn reload_root(&mut self, directory: Directory) {
        let root = self.root;
        self.dirs.clear();
        self.dirs.insert(root, Dir::new(directory, None));
    }

    /// Whether the root holds so much that it should be loaded anew, and what it is.
    pub fn root_to_reload(&self) -> Option<CidSpec> {
        let root = self.dirs.get(&self.root)?;
        let large = root.touched > MAX_TOUCHED && !root.dirty && root.open.is_empty();
        large.then(|| root.directory.options().cid)
    }

    /// Opens a directory that is an entry of another.
    ///
    /// # Errors
    /// When that is not open.
    pub(super) fn open(
        &mut self,
        parent: DirId,
        name: &[u8],
        directory: Directory,
    ) -> Result<DirId> {
        let id = DirId(self.next);
        self.next += 1;
        let clock = self.clock;
        let name = Bytes::copy_from_slice(name);
        self.dir_mut(parent)?.open.insert(name.clone(), id);
        let mut dir = Dir::new(directory, Some((parent, name)));
        dir.used = clock;
        dir.settled = clock;
        self.dirs.insert(id, dir);
        Ok(id)
    }

    /// Forgets what is open under a name that no longer stands for it.
    pub(super) fn close_below(&mut self, id: DirId, name: &[u8]) {
        let Some(dir) = self.dirs.get_mut(&id) else {
            return;
        };
        dir.stale.remove(name);
        let mut closing: Vec<DirId> = dir.open.remove(name).into_iter().collect();
        while let Some(id) = closing.pop() {
            if let Some(dir) = self.dirs.remove(&id) {
                closing.extend(dir.open.into_values());
            }
        }
    }

    fn close(&mut self, id: DirId) {
        if let Some(dir) = self.dirs.remove(&id)
            && let Some((parent, name)) = dir.parent
            && let Some(parent) = self.dirs.get_mut(&parent)
        {
            parent.open.remove(&name);
        }
    }
}
