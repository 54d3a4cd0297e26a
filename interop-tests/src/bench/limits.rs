//! What the machine itself can do with the same bytes.

use super::measure::median;
use crate::stream::Stream;
use anyhow::{Context, Result};
use ipfs_kit_blockstore::hash::sha256_many;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Bytes of one write and of one copy.
const PIECE: usize = 4 << 20;

/// Bytes of one hashed block.
const BLOCK: usize = 256 << 10;

/// What direct writes must be aligned to, in the file and in memory.
const ALIGNMENT: usize = 4096;

/// MiB/s of each part of an import.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// SHA-256 of blocks of 256 KiB on all cores.
    pub hash: f64,
    /// Large direct writes and one fdatasync; none where the place refuses direct writes.
    pub direct: Option<f64>,
    /// Buffered writes and one fdatasync.
    pub buffered: f64,
    /// Copies of 4 MiB on one core.
    pub copy: f64,
}

impl Limits {
    /// The least that a durable import cannot be faster than.
    pub fn import(&self) -> f64 {
        self.hash.min(self.direct.unwrap_or(0.0).max(self.buffered))
    }
}

/// Measures with `length` bytes in `folder`, the median of `runs`.
pub fn measure(folder: &Path, length: u64, runs: usize) -> Result<Limits> {
    let path = folder.join("limits");
    let mut figures = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        figures[0].push(speed(length, || hash(length)));
        for (index, direct) in [(1, true), (2, false)] {
            rustix::fs::sync();
            let start = Instant::now();
            if write(&path, length, direct)? {
                figures[index].push(rate(length, start));
            }
            std::fs::remove_file(&path)?;
        }
        figures[3].push(speed(length, || copy(length)));
    }
    let [hash, direct, buffered, copy] = figures;
    Ok(Limits {
        hash: median(hash),
        direct: (!direct.is_empty()).then(|| median(direct)),
        buffered: median(buffered),
        copy: median(copy),
    })
}

fn speed(length: u64, work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    rate(length, start)
}

fn rate(length: u64, start: Instant) -> f64 {
    length as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64()
}

fn hash(length: u64) {
    let data = Stream::new("limits").take(8 * BLOCK);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rounds = length / data.len() as u64 / cores as u64;
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let blocks: Vec<&[u8]> = data.chunks(BLOCK).collect();
                for _ in 0..rounds {
                    std::hint::black_box(sha256_many(std::hint::black_box(&blocks)));
                }
            });
        }
    });
}

/// Writes `length` bytes and makes them durable; `false` when the place refuses direct writes.
fn write(path: &Path, length: u64, direct: bool) -> Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if direct {
        options.custom_flags(libc::O_DIRECT);
    }
    let file: File = match options.open(path) {
        Err(error) if direct && error.raw_os_error() == Some(libc::EINVAL) => {
            File::create(path)?;
            return Ok(false);
        }
        opened => opened.context("cannot make the file of the write limit")?,
    };
    let memory = Stream::new("limits").take(PIECE + ALIGNMENT);
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let piece = &memory[start..start + PIECE];
    for offset in (0..length).step_by(PIECE) {
        file.write_all_at(piece, offset)?;
    }
    file.sync_data()?;
    Ok(true)
}

fn copy(length: u64) {
    let from = vec![1u8; PIECE];
    let mut to = vec![0u8; 16 * PIECE];
    for index in 0..length as usize / PIECE {
        let at = index % 16 * PIECE;
        to[at..at + PIECE].copy_from_slice(std::hint::black_box(&from));
    }
    std::hint::black_box(&to);
}
