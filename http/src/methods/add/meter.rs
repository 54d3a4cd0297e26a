//! The progress bar of `add`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use ipfs_kit_node::AddOptions;

use crate::host::{Bar, Counting};
use crate::invocation::Invocation;

/// Counts content bytes; learns the total from a walk that runs beside the import.
pub struct Meter {
    bar: Arc<dyn Bar>,
    total: Receiver<u64>,
    files: HashMap<String, u64>,
}

impl Meter {
    /// Shows a bar, if one is wanted.
    pub fn start(
        invocation: &Invocation,
        paths: Vec<PathBuf>,
        quiet: bool,
        options: &AddOptions,
    ) -> Option<Meter> {
        if quiet && invocation.given_flag("progress").is_none() {
            return None;
        }
        let bar = invocation.bar(Counting::Bytes(None))?;
        Some(Meter {
            bar,
            total: measure(paths, options.hidden),
            files: HashMap::new(),
        })
    }

    /// So many bytes of a file are read.
    pub fn progress(&mut self, name: &str, bytes: u64) {
        if let Ok(total) = self.total.try_recv() {
            self.bar.set_total(total);
        }
        let seen = self.files.entry(name.to_owned()).or_default();
        self.bar.advance(bytes.saturating_sub(*seen));
        *seen = bytes;
    }

    /// A file is finished, it needs no counter any more.
    pub fn added(&mut self, name: &str) {
        self.files.remove(name);
    }

    /// Everything is read.
    pub fn finish(&self, bytes: u64) {
        self.bar.set_total(bytes);
        self.bar.set(bytes);
    }
}

/// Sums up the content below `paths` beside other work.
pub fn measure(paths: Vec<PathBuf>, hidden: bool) -> Receiver<u64> {
    let (send, total) = mpsc::channel();
    if !paths.is_empty() {
        thread::spawn(move || {
            let sum = paths.iter().map(|path| size(path, hidden)).sum();
            // The import may be over already; then nobody asks.
            let _ = send.send(sum);
        });
    }
    total
}

/// Content bytes at and below `path`; what cannot be looked at counts nothing, the import will tell.
fn size(path: &Path, hidden: bool) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let mut total = 0;
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if !hidden && entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => directories.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
                Err(_) => {}
            }
        }
    }
    total
}
