//! The local walk of `add` for those who send the files somewhere else.

use std::path::{Path, PathBuf};

use super::AddOptions;
use super::rules::Rules;
use super::walk::{Attributes, Item, Walk};
use crate::error::Result;
use crate::files::EntryKind;
use crate::files::options::StreamedEntry;

/// What `add` would take from the local disk.
pub struct LocalWalk {
    options: AddOptions,
    rules: Rules,
}

/// One file, directory or symbolic link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalItem {
    /// Its path from the top, what it is, its mode and time.
    pub entry: StreamedEntry,
    /// Where its content is, if it is a file.
    pub file: Option<PathBuf>,
    /// Where it points, if it is a symbolic link.
    pub target: Vec<u8>,
}

impl LocalWalk {
    /// A walk with the rules of `options` for hidden and ignored files and for symbolic links.
    ///
    /// # Errors
    /// Rules that make no sense or cannot be read.
    pub fn new(options: &AddOptions) -> Result<Self> {
        Ok(Self {
            options: options.clone(),
            rules: Rules::new(options)?,
        })
    }

    /// Calls `visit` with what is at `path`, which is called `name`, and everything below it, in the order of `add`.
    ///
    /// # Errors
    /// What cannot be read, and what `visit` returns.
    pub fn walk<E: From<crate::Error>>(
        &self,
        name: &[u8],
        path: &Path,
        visit: &mut dyn FnMut(LocalItem) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut walk = Walk::new(name.to_vec(), path.to_owned(), &self.options, &self.rules);
        let mut open: Vec<Vec<u8>> = Vec::new();
        while let Some(item) = walk.next()? {
            let (name, kind, attributes, file, target) = match item {
                Item::Leave => {
                    open.pop();
                    continue;
                }
                Item::Enter { name, attributes } => {
                    (name, EntryKind::Directory, attributes, None, Vec::new())
                }
                Item::File {
                    name,
                    path,
                    attributes,
                    ..
                } => (name, EntryKind::File, attributes, Some(path), Vec::new()),
                Item::Stream { name, path } => {
                    let none = Attributes::default();
                    (name, EntryKind::File, none, Some(path), Vec::new())
                }
                Item::Symlink {
                    name,
                    target,
                    attributes,
                } => (name, EntryKind::Symlink, attributes, None, target),
            };
            let path = match open.last() {
                Some(parent) => [parent, &b"/"[..], &name].concat(),
                None => name,
            };
            if kind == EntryKind::Directory {
                open.push(path.clone());
            }
            let mtime = attributes.mtime.map(|time| (time.seconds, time.nanos));
            visit(LocalItem {
                entry: StreamedEntry {
                    path,
                    kind,
                    mode: attributes.mode,
                    mtime,
                },
                file,
                target,
            })?;
        }
        Ok(())
    }
}
