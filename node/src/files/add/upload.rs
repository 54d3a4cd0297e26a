//! Trees that come as a stream: from paths to directories that open and close.

use std::io::{self, Read};

use ipfs_kit_unixfs::Mtime;

use super::AddOptions;
use super::walk::Attributes;
use crate::error::{Error, Result};
use crate::files::EntryKind;
use crate::files::options::{StreamedEntry, TreeStream};

/// Directories inside each other.
const MAX_DEPTH: usize = 1024;
/// Longest target of a symbolic link, in bytes.
const MAX_TARGET: u64 = 1 << 20;

/// The directories that are open, outermost first.
#[derive(Debug, Default)]
pub struct Place {
    open: Vec<Vec<u8>>,
}

/// One step to where an entry belongs.
#[derive(Debug, PartialEq, Eq)]
pub enum Move {
    /// A directory begins that nobody told of.
    Enter(Vec<u8>),
    /// The innermost directory ends.
    Leave,
}

impl Place {
    /// The steps to the directory of `entry`, and its name in there. A directory is open from then on.
    pub fn go_to(&mut self, entry: &StreamedEntry) -> Result<(Vec<Move>, Vec<u8>)> {
        let mut parts = parts(&entry.path);
        if parts.len() > MAX_DEPTH {
            return Err(bad(
                &entry.path,
                "more than 1024 directories inside each other",
            ));
        }
        let name = parts.pop().unwrap_or_default();
        if name.is_empty() && entry.kind == EntryKind::Directory {
            return Err(bad(&entry.path, "a directory needs a name"));
        }
        let same = self.open.iter().zip(&parts).take_while(|(a, b)| a == b);
        let same = same.count();
        let mut moves: Vec<Move> = self.open.drain(same..).map(|_| Move::Leave).collect();
        for part in parts.drain(same..) {
            moves.push(Move::Enter(part.clone()));
            self.open.push(part);
        }
        if entry.kind == EntryKind::Directory {
            self.open.push(name.clone());
        }
        Ok((moves, name))
    }

    /// Directories that are still open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }
}

fn bad(path: &[u8], reason: &str) -> Error {
    Error::BadPath {
        path: String::from_utf8_lossy(path).into_owned(),
        reason: reason.to_owned(),
    }
}

/// The parts of a path as Go's `path.Clean` leaves them below the root.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part.to_vec()),
        }
    }
    parts
}

/// What to store of an entry's mode and time.
pub fn attributes(options: &AddOptions, entry: &StreamedEntry) -> Attributes {
    let mtime = if options.preserve_mtime {
        entry.mtime
    } else {
        options.mtime
    };
    Attributes {
        mode: if options.preserve_mode {
            entry.mode.map(|mode| mode & 0o7777)
        } else {
            options.mode
        },
        mtime: mtime.map(|(seconds, nanos)| Mtime { seconds, nanos }),
    }
}

/// The target of the symbolic link that was told last.
pub fn target(tree: &mut dyn TreeStream) -> Result<Vec<u8>> {
    let mut target = Vec::new();
    let read = Content(tree).take(MAX_TARGET + 1).read_to_end(&mut target);
    read.map_err(Error::Input)?;
    if target.len() as u64 > MAX_TARGET {
        let reason = io::Error::other("the target of a symbolic link is longer than 1 MiB");
        return Err(Error::Input(reason));
    }
    Ok(target)
}

/// The content of the entry that was told last.
pub struct Content<'t>(pub &'t mut dyn TreeStream);

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> StreamedEntry {
        StreamedEntry {
            path: path.as_bytes().to_vec(),
            kind,
            mode: None,
            mtime: None,
        }
    }

    fn steps(place: &mut Place, path: &str, kind: EntryKind) -> String {
        let (moves, name) = place.go_to(&entry(path, kind)).unwrap();
        let mut text = String::new();
        for step in moves {
            match step {
                Move::Enter(name) => text += &format!("{}/ ", String::from_utf8(name).unwrap()),
                Move::Leave => text += ".. ",
            }
        }
        text + &String::from_utf8(name).unwrap()
    }

    #[test]
    fn directories_open_and_close() {
        use EntryKind::{Directory, File};
        let mut place = Place::default();
        for (path, kind, expected) in [
            ("d", Directory, "d"),
            ("d/a", File, "a"),
            ("d/e", Directory, "e"),
            ("d/e/b", File, "b"),
            ("d/c", File, ".. c"),
            ("x/y/z", File, ".. x/ y/ z"),
            ("top", File, ".. .. top"),
            ("/../a/./b/../c", File, "a/ c"),
            ("", File, ".. "),
        ] {
            assert_eq!(steps(&mut place, path, kind), expected, "{path}");
        }
        assert!(place.go_to(&entry("/", Directory)).is_err());
        assert!(place.go_to(&entry(&"a/".repeat(2000), File)).is_err());
    }
}
