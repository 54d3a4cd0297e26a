//! Looking ahead, for changes of several directories that have to happen together.

use ipfs_kit_blockstore::Cid;

use super::{Directory, Form, MAX_NEEDED, Progress, links_size};
use crate::directory::basic::size_of_entry;
use crate::directory::trie::Place;
use crate::directory::{DirectoryError, empty_estimate};
use crate::options::SizeEstimate;

impl Directory {
    /// Sees every block that changes of these entries may have to see: until something else is changed, adding, replacing
    /// and removing each of them once, in any order, asks for none.
    ///
    /// # Errors
    /// [`DirectoryError`] if a shard on the way is malformed.
    pub fn prepare(&mut self, names: &[&[u8]]) -> Result<Progress<()>, DirectoryError> {
        let Form::Sharded(sharded) = &mut self.form else {
            return Ok(Progress::Done(()));
        };
        let mut missing: Vec<Cid> = Vec::new();
        for name in names {
            let path = sharded
                .root
                .load_path(Place::of(name), &mut self.supplied)?;
            missing.extend(path.filter(|cid| !missing.contains(cid)));
        }
        if !missing.is_empty() {
            return Ok(self.need(missing));
        }
        // Whether it has to be one block again is asked at each change. What any of them could take away is taken away
        // here at once: what is more than one block then is more than one all along.
        let options = &self.options;
        let prefix = sharded.root.fanout().prefix_len();
        let (mut lost, mut change) = (0, sharded.change);
        for name in names {
            if let Some(old) = sharded.root.get(Place::of(name)) {
                let size = size_of_entry(options.estimate, name.len() + prefix, old) as i64;
                lost += size;
                change -= size.max(links_size(name, old) + prefix as i64);
            }
        }
        let may_shrink = match options.estimate == SizeEstimate::Disabled {
            true => options.max_links > 0,
            false => change < 0,
        };
        if options.threshold == 0 || !may_shrink {
            return Ok(self.done(|_| ()));
        }
        let mut bytes =
            empty_estimate(options.estimate, options.stored_mode(), options.mtime) as i64 - lost;
        let mut entries = -(names.len() as i64);
        let mut missing = Vec::with_capacity(MAX_NEEDED);
        let all_fit =
            sharded
                .root
                .visit(&mut self.supplied, &mut missing, &mut |name, target| {
                    bytes += size_of_entry(options.estimate, name.len(), target) as i64;
                    entries += 1;
                    bytes <= options.threshold as i64
                        && (options.max_links == 0 || entries <= options.max_links as i64)
                })?;
        if all_fit && !missing.is_empty() {
            return Ok(self.need(missing));
        }
        Ok(self.done(|_| ()))
    }
}
