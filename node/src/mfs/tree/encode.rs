//! From open directories to blocks.

use ipfs_kit_blockstore::Block;
use ipfs_kit_unixfs::directory::{DirectoryError, Progress, Target};
use ipfs_kit_unixfs::{CidSpec, Root};

use super::blocks::ask;
use super::{Blocks, DirId, Tree};
use crate::error::{Error, Result};

impl Tree {
    /// Encodes what has changed at and below a directory; its block.
    ///
    /// # Errors
    /// Directories that cannot be read or encoded.
    pub fn write(
        &mut self,
        id: DirId,
        out: &mut Vec<Block>,
        blocks: &Blocks,
    ) -> Result<Progress<Target>> {
        // Not by recursion: how deep a tree goes is for whoever makes it to say.
        let mut path = vec![id];
        while let Some(&at) = path.last() {
            if let Some(name) = self.dir(at)?.stale.first().cloned() {
                match self.dir(at)?.open.get(&name) {
                    Some(&below) => path.push(below),
                    None => drop(self.dir_mut(at)?.stale.remove(&name)),
                }
                continue;
            }
            let target = self.encode(at, out)?;
            path.pop();
            let Some(&above) = path.last() else {
                return Ok(Progress::Done(target));
            };
            if let Progress::Need(missing) = self.update_first(above, &target, blocks)? {
                return Ok(Progress::Need(missing));
            }
        }
        Err(Error::Internal("a directory was encoded without an end"))
    }

    /// Brings the first entry that is out of date up to date.
    fn update_first(
        &mut self,
        id: DirId,
        target: &Target,
        blocks: &Blocks,
    ) -> Result<Progress<()>> {
        let dir = self.dir_mut(id)?;
        let Some(name) = dir.stale.first().cloned() else {
            return Ok(Progress::Done(()));
        };
        let put = ask(&mut dir.directory, blocks, |directory| {
            directory.insert(&name, target.clone())
        })?;
        let put = match put {
            // Whether it should be one block again is not told without all its shards.
            Progress::Need(_) if blocks.absent => ask(&mut dir.directory, blocks, |directory| {
                directory.replace(&name, target.clone())
            })?,
            Progress::Need(missing) => Progress::Need(missing),
            Progress::Done(_) => Progress::Done(()),
        };
        if matches!(put, Progress::Done(())) {
            dir.stale.remove(&name);
        }
        Ok(put)
    }

    fn encode(&mut self, id: DirId, out: &mut Vec<Block>) -> Result<Target> {
        let dir = self.dir_mut(id)?;
        let start = out.len();
        let written = match dir.directory.write(&mut |block| out.push(block)) {
            Err(DirectoryError::Hash(_)) => {
                // It has grown beyond what an identity CID can hold.
                out.truncate(start);
                dir.directory.set_cid_spec(CidSpec::V1);
                dir.directory.write(&mut |block| out.push(block))
            }
            written => written,
        };
        let Root { cid, tsize, .. } = written?;
        dir.dirty = false;
        Ok(Target { cid, tsize })
    }
}
