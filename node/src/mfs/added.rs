//! What `add` puts into the file system.

use super::error::MfsError;
use super::path;
use crate::error::{Error, Result};
use crate::files::AddedRoot;
use crate::node::Node;

/// Puts roots at a path, or into it if it ends with a slash; durable on return. The caller's guard keeps their blocks.
///
/// # Errors
/// [`MfsError::ToFiles`] with the first that cannot be put.
pub fn put_added(node: &Node, place: &str, roots: &[AddedRoot]) -> Result<()> {
    let place = if place.is_empty() { "/" } else { place };
    if !place.starts_with('/') {
        return refuse("paths must start with a leading slash".to_owned());
    }
    let into = place.ends_with('/');
    let mut place = path::clean(place);
    if into && place != "/" {
        place.push('/');
    }
    for (nth, root) in roots.iter().enumerate() {
        put_one(node, &place, into, nth, root)?;
    }
    node.mfs().commit()
}

fn put_one(node: &Node, place: &str, into: bool, nth: usize, root: &AddedRoot) -> Result<()> {
    let mfs = node.mfs();
    if root.name.is_empty() {
        return refuse("cannot add unnamed files to MFS".to_owned());
    }
    let mut target = place.to_owned();
    if into {
        match mfs.is_directory(place) {
            Ok(true) => {}
            Ok(false) => {
                return refuse(format!("MFS destination {place:?} is not a directory"));
            }
            Err(error) => {
                return refuse(format!(
                    "MFS destination directory {place:?} does not exist: {error}"
                ));
            }
        }
        target.push_str(path::base(&root.name));
    } else if nth > 0 {
        return refuse(format!(
            "MFS destination is a file: only one entry can be copied to {place:?}"
        ));
    }
    let parent = path::parent(&target);
    if let Err(error) = mfs.is_directory(&parent) {
        return refuse(format!(
            "MFS destination parent {target:?} {parent:?} does not exist: {error}"
        ));
    }
    match mfs.put(&target, &root.cid) {
        Err(Error::Mfs(error)) => refuse(format!("cannot put node in path {target:?}: {error}")),
        done => done,
    }
}

fn refuse(reason: String) -> Result<()> {
    Err(MfsError::ToFiles(reason).into())
}
