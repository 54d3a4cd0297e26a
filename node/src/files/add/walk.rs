//! Walks local files in Kubo's order: each directory's entries by name, a directory's content where its name stands.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use ipfs_kit_unixfs::Mtime;

use super::AddOptions;
use super::rules::Rules;
use crate::error::{Error, Result};

/// POSIX mode and modification time to store, where asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub mode: Option<u32>,
    pub mtime: Option<Mtime>,
}

/// What the walk comes across.
#[derive(Debug)]
pub enum Item {
    /// A directory begins; its entries follow.
    Enter {
        name: Vec<u8>,
        attributes: Attributes,
    },
    /// The directory entered last ends.
    Leave,
    /// A regular file.
    File {
        name: Vec<u8>,
        path: PathBuf,
        size: u64,
        attributes: Attributes,
    },
    /// A pipe or other file that can only be read from its start.
    Stream { name: Vec<u8>, path: PathBuf },
    /// A symbolic link.
    Symlink {
        name: Vec<u8>,
        target: Vec<u8>,
        attributes: Attributes,
    },
}

/// Walks one local path.
pub struct Walk<'a> {
    options: &'a AddOptions,
    rules: &'a Rules,
    /// Not yet looked at: the given path itself.
    start: Option<(Vec<u8>, PathBuf)>,
    stack: Vec<Listing>,
}

/// A directory whose entries are being walked: names in one buffer, for directories with very many.
struct Listing {
    path: PathBuf,
    /// Path from the directory that was given to add.
    below: PathBuf,
    names: Vec<u8>,
    entries: Vec<ListedEntry>,
    next: usize,
}

struct ListedEntry {
    start: u32,
    len: u16,
    kind: ListedKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListedKind {
    Directory,
    Symlink,
    Other,
}

impl<'a> Walk<'a> {
    /// A walk of what is at `path`, called `name`.
    pub fn new(name: Vec<u8>, path: PathBuf, options: &'a AddOptions, rules: &'a Rules) -> Self {
        Self {
            options,
            rules,
            start: Some((name, path)),
            stack: Vec::new(),
        }
    }

    /// The next item, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::LocalFile`] naming the file or directory that cannot be read.
    pub fn next(&mut self) -> Result<Option<Item>> {
        if let Some((name, path)) = self.start.take() {
            return self.visit(name, path, PathBuf::new(), None);
        }
        loop {
            let Some(listing) = self.stack.last_mut() else {
                return Ok(None);
            };
            let Some(entry) = listing.entries.get(listing.next) else {
                self.stack.pop();
                return Ok(Some(Item::Leave));
            };
            listing.next += 1;
            let name = listing.names[entry.start as usize..][..usize::from(entry.len)].to_vec();
            let kind = entry.kind;
            let path = listing.path.join(OsString::from_vec(name.clone()));
            let below = listing.below.join(OsString::from_vec(name.clone()));
            if let Some(item) = self.visit(name, path, below, Some(kind))? {
                return Ok(Some(item));
            }
        }
    }

    /// What is at `path`; `None` when it is an empty directory that is left out.
    fn visit(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        below: PathBuf,
        kind: Option<ListedKind>,
    ) -> Result<Option<Item>> {
        let top = kind.is_none();
        let follow = self.options.dereference_symlinks || (top && self.options.dereference_args);
        let metadata = if follow {
            fs::metadata(&path)
        } else {
            fs::symlink_metadata(&path)
        };
        let metadata = metadata.map_err(|source| failed("stat", &path, source))?;
        let file_type = metadata.file_type();
        let attributes = self.attributes(&metadata);
        if file_type.is_dir() {
            let listing = self.list(path, below)?;
            if listing.entries.is_empty() && !top && !self.options.empty_dirs {
                return Ok(None);
            }
            self.stack.push(listing);
            Ok(Some(Item::Enter { name, attributes }))
        } else if file_type.is_file() {
            Ok(Some(Item::File {
                name,
                size: metadata.size(),
                path,
                attributes,
            }))
        } else if file_type.is_symlink() {
            let target = fs::read_link(&path).map_err(|source| failed("read", &path, source))?;
            Ok(Some(Item::Symlink {
                name,
                target: target.into_os_string().into_vec(),
                attributes,
            }))
        } else if top && file_type.is_fifo() {
            Ok(Some(Item::Stream { name, path }))
        } else {
            Err(Error::NotAddable {
                path,
                kind: describe(file_type),
            })
        }
    }

    fn attributes(&self, metadata: &Metadata) -> Attributes {
        let options = self.options;
        let own_time = || Mtime {
            seconds: metadata.mtime(),
            nanos: metadata.mtime_nsec() as u32,
        };
        let given_time = options
            .mtime
            .map(|(seconds, nanos)| Mtime { seconds, nanos });
        Attributes {
            mode: if options.preserve_mode {
                Some(metadata.mode() & 0o7777)
            } else {
                options.mode
            },
            mtime: if options.preserve_mtime {
                Some(own_time())
            } else {
                given_time
            },
        }
    }

    fn list(&self, path: PathBuf, below: PathBuf) -> Result<Listing> {
        let mut listing = Listing {
            names: Vec::new(),
            entries: Vec::new(),
            next: 0,
            path,
            below,
        };
        let fail = |source| failed("read directory", &listing.path, source);
        for entry in fs::read_dir(&listing.path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            let file_type = entry
                .file_type()
                .map_err(|source| failed("stat", &entry.path(), source))?;
            if !self.rules.keep_all()
                && self
                    .rules
                    .leave_out(&listing.below.join(&name), file_type.is_dir())
            {
                continue;
            }
            let kind = match file_type {
                kind if kind.is_dir() => ListedKind::Directory,
                kind if kind.is_symlink() => ListedKind::Symlink,
                _ => ListedKind::Other,
            };
            let start = u32::try_from(listing.names.len());
            let len = u16::try_from(name.len());
            let (Ok(start), Ok(len)) = (start, len) else {
                return Err(Error::NotAddable {
                    path: listing.path,
                    kind: "directory with more than 4 GiB of names",
                });
            };
            listing.names.extend_from_slice(name.as_bytes());
            listing.entries.push(ListedEntry { start, len, kind });
        }
        let names = &listing.names;
        let name = |entry: &ListedEntry| &names[entry.start as usize..][..usize::from(entry.len)];
        listing
            .entries
            .sort_unstable_by(|a, b| name(a).cmp(name(b)));
        Ok(listing)
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::LocalFile {
        action,
        path: path.to_owned(),
        source,
    }
}

fn describe(file_type: FileType) -> &'static str {
    match file_type {
        kind if kind.is_fifo() => "pipe inside a directory",
        kind if kind.is_socket() => "socket",
        kind if kind.is_block_device() || kind.is_char_device() => "device",
        _ => "file of an unknown type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &AddOptions, root: &Path) -> Vec<String> {
        let rules = Rules::new(options).unwrap();
        let mut walk = Walk::new(b"top".to_vec(), root.to_owned(), options, &rules);
        let mut seen = Vec::new();
        while let Some(item) = walk.next().unwrap() {
            seen.push(match item {
                Item::Enter { name, .. } => format!("{}/", String::from_utf8(name).unwrap()),
                Item::Leave => "..".to_owned(),
                Item::File { name, size, .. } => {
                    format!("{}:{size}", String::from_utf8(name).unwrap())
                }
                Item::Symlink { name, target, .. } => {
                    format!(
                        "{}->{}",
                        String::from_utf8(name).unwrap(),
                        String::from_utf8(target).unwrap()
                    )
                }
                Item::Stream { .. } => "stream".to_owned(),
            });
        }
        seen
    }

    #[test]
    fn order_hidden_empty_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for sub in ["b", "b/empty", "a"] {
            fs::create_dir(root.join(sub)).unwrap();
        }
        for (file, text) in [("z", "zz"), ("b/x", "x"), ("a/y", ""), (".h", "h")] {
            fs::write(root.join(file), text).unwrap();
        }
        std::os::unix::fs::symlink("z", root.join("l")).unwrap();
        let all = [
            "top/", "a/", "y:0", "..", "b/", "empty/", "..", "x:1", "..", "l->z", "z:2", "..",
        ];
        assert_eq!(names(&AddOptions::default(), root), all);
        let options = AddOptions {
            hidden: true,
            empty_dirs: false,
            dereference_symlinks: true,
            ..AddOptions::default()
        };
        let all = [
            "top/", ".h:1", "a/", "y:0", "..", "b/", "x:1", "..", "l:2", "z:2", "..",
        ];
        assert_eq!(names(&options, root), all);
    }
}
