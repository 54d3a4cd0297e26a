//! A tree as a tar archive, byte for byte the one that Kubo's `get --archive` makes.

mod header;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::Cid;

use crate::names::NameRules;
use crate::node::Mtime;
use crate::tree::{TreeContent, TreeEntry, TreeOptions, TreeReader};
use crate::{FileReader, Limits, ReadError, Step, Steps};

use header::{Header, HeaderKind};

/// Archives consist of blocks of this many bytes.
const BLOCK: u64 = 512;

static ZEROS: [u8; 1024] = [0; 1024];

/// Writes a tree as a tar archive, piece by piece and in bounded memory. Contents are slices of the
/// blocks they come from.
///
/// The top entry has the name given to [`TarReader::new`], everything else lies below it. Names that
/// are refused for files on disk are refused here too.
#[derive(Debug)]
pub struct TarReader {
    tree: TreeReader,
    root_name: Bytes,
    /// For entries without a modification time.
    now: Mtime,
    file: Option<FileReader>,
    /// Bytes of zero that complete the last block of the current file.
    padding: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Entries,
    Trailer,
    Done,
}

impl TarReader {
    /// An archive of the tree below `root`, whose top entry is named `root_name`. `now` is the
    /// modification time of entries that have none stored.
    ///
    /// # Errors
    /// [`ReadError::UnsafeName`] when `root_name` is not the name of a file.
    pub fn new(root: Cid, root_name: &[u8], now: Mtime) -> Result<Self, ReadError> {
        Self::with_limits(root, root_name, now, Limits::default())
    }

    /// An archive that stops at `limits`.
    ///
    /// # Errors
    /// As [`TarReader::new`].
    pub fn with_limits(
        root: Cid,
        root_name: &[u8],
        now: Mtime,
        limits: Limits,
    ) -> Result<Self, ReadError> {
        let names = NameRules::Posix;
        names
            .check(root_name)
            .map_err(|fault| ReadError::UnsafeName {
                cid: root.clone(),
                name: root_name.to_vec(),
                fault,
            })?;
        let options = TreeOptions {
            names,
            defer_raw: false,
            limits,
        };
        Ok(Self {
            tree: TreeReader::with_options(root, options),
            root_name: Bytes::copy_from_slice(root_name),
            now,
            file: None,
            padding: 0,
            state: State::Entries,
        })
    }

    fn header(&mut self, entry: TreeEntry) -> Bytes {
        let mut path = self.root_name.to_vec();
        if !entry.path.is_empty() {
            path.push(b'/');
            path.extend_from_slice(&entry.path);
        }
        let (kind, size, target, default_mode) = match entry.content {
            TreeContent::Directory => (HeaderKind::Directory, 0, Bytes::new(), 0o755),
            TreeContent::Symlink(target) => (HeaderKind::Symlink, 0, target, 0o777),
            TreeContent::File(reader) => {
                let size = reader.size().unwrap_or(0);
                self.padding = size.next_multiple_of(BLOCK) - size;
                self.file = Some(reader);
                (HeaderKind::File, size, Bytes::new(), 0o644)
            }
        };
        let mode = match kind {
            // Kubo does not read the mode of a symbolic link.
            HeaderKind::Symlink => default_mode,
            _ => entry.attributes.mode.unwrap_or(default_mode),
        };
        let mtime = rounded(entry.attributes.mtime.unwrap_or(self.now));
        let header = Header {
            path: &path,
            target: &target,
            kind,
            size,
            mode,
            mtime,
        };
        Bytes::from(header.encode())
    }

    fn take_padding(&mut self) -> Option<Bytes> {
        let padding = std::mem::take(&mut self.padding) as usize;
        (padding > 0).then(|| Bytes::from_static(&ZEROS[..padding]))
    }
}

/// To whole seconds, half a second upward.
fn rounded(mtime: Mtime) -> i64 {
    mtime
        .seconds
        .saturating_add(i64::from(mtime.nanos >= 500_000_000))
}

impl Steps for TarReader {
    type Item = Bytes;

    fn step(&mut self) -> Result<Step<Bytes>, ReadError> {
        if let Some(file) = &mut self.file {
            match file.step()? {
                Step::Done => self.file = None,
                more => return Ok(more),
            }
        }
        if let Some(padding) = self.take_padding() {
            return Ok(Step::Item(padding));
        }
        if self.state == State::Entries {
            match self.tree.step()? {
                Step::Need(cid) => return Ok(Step::Need(cid)),
                Step::Item(entry) => return Ok(Step::Item(self.header(entry))),
                Step::Done => self.state = State::Trailer,
            }
        }
        if self.state == State::Trailer {
            self.state = State::Done;
            return Ok(Step::Item(Bytes::from_static(&ZEROS)));
        }
        Ok(Step::Done)
    }

    fn supply(&mut self, cid: &Cid, data: Bytes) -> Result<(), ReadError> {
        match &mut self.file {
            Some(file) => file.supply(cid, data),
            None => self.tree.supply(cid, data),
        }
    }

    fn wants(&self, max: usize, out: &mut Vec<Cid>) {
        let full = out.len() + max;
        if let Some(file) = &self.file {
            file.wants(max, out);
        }
        self.tree.wants(full.saturating_sub(out.len()), out);
    }
}

#[cfg(test)]
mod tests;
