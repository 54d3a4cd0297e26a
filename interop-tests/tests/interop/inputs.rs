//! Input files and directories, made once and shared by all combinations.

use anyhow::Result;
use ipfs_kit_interop_tests::stream::write_file;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a file is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// A keystream: content-defined chunkers cut it often.
    Random,
    /// Zero bytes: content-defined chunkers cut only at their maximum.
    Zeros,
    /// A short text again and again: every chunk is like the one before.
    Repeated,
}

/// A place that makes each input on first use.
pub struct Inputs {
    place: PathBuf,
}

impl Inputs {
    /// Inputs below `place`.
    pub fn new(place: &Path) -> Result<Self> {
        let place = place.join("inputs");
        fs::create_dir_all(&place)?;
        Ok(Self { place })
    }

    /// A file of `length` bytes. All files of one fill are prefixes of the same stream.
    pub fn file(&self, fill: Fill, length: u64) -> Result<PathBuf> {
        let path = self.place.join(format!("{fill:?}-{length}").to_lowercase());
        if path.exists() {
            return Ok(path);
        }
        match fill {
            Fill::Random => write_file(&path, "matrix", length)?,
            Fill::Zeros => File::create(&path)?.set_len(length)?,
            Fill::Repeated => {
                let text = b"the quick brown fox jumps over the lazy dog\n";
                let bytes: Vec<u8> = text.iter().copied().cycle().take(length as usize).collect();
                fs::write(&path, bytes)?;
            }
        }
        Ok(path)
    }

    /// A directory of `entries` small files whose names are `name_length` bytes long, and one
    /// directory with a file in it.
    pub fn folder(&self, entries: usize, name_length: usize) -> Result<PathBuf> {
        let path = self.place.join(format!("folder-{entries}-{name_length}"));
        if path.exists() {
            return Ok(path);
        }
        fs::create_dir(&path)?;
        for index in 0..entries {
            let name = format!("{index:0name_length$}");
            fs::write(path.join(name), format!("content {}", index % 50))?;
        }
        if entries > 2 {
            fs::create_dir(path.join("inner"))?;
            fs::write(path.join("inner/file"), b"inner")?;
        }
        Ok(path)
    }
}

/// File lengths around every boundary of fixed chunks of `chunk` bytes with `links` to a node,
/// as far as `limit` bytes.
pub fn lengths(chunk: u64, links: u64, limit: u64) -> Vec<u64> {
    let mut lengths = vec![0, 1];
    for edge in [
        1,
        2,
        links,
        links + 1,
        2 * links,
        links * links,
        5 * links,
        links * links * links,
    ] {
        let edge = edge.saturating_mul(chunk);
        lengths.extend([edge.saturating_sub(1), edge, edge.saturating_add(1)]);
    }
    lengths.retain(|length| *length <= limit);
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}
