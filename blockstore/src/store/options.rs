//! How a store is set up.

use super::StoreError;

/// Options of a store in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryOptions {
    /// The most that blocks may take, in bytes.
    pub max_bytes: Option<u64>,
}

/// Options of a segment store.
#[derive(Debug, Clone)]
pub struct SegmentOptions {
    /// Where a segment file ends, in bytes; a frame is never split. 1 GiB.
    pub segment_size: u64,
    /// The most that the files may take, in bytes, dead blocks included.
    pub max_bytes: Option<u64>,
    /// Write segments past the page cache where the filesystem can. On.
    pub direct: bool,
    /// Each of the two buffers from which segments are written past the page cache, in bytes; rounded
    /// up to what the device can write. 4 MiB.
    pub staging: usize,
    /// How many new entries the table in memory holds before they are merged into the index.
    /// 65,536, about 10 MiB.
    pub merge_after: usize,
    /// Merge and scrub in threads of their own. On; off, a put that fills the table merges it.
    pub background: bool,
    /// How fast the background scrub reads, in bytes a second; 0 is off, as by default.
    pub scrub_bytes_per_second: u64,
    /// What is kept in reserve so that deletes work on a full disk, in bytes. 1 MiB.
    pub reserve: u64,
    /// The memory that the index may use as a cache, in bytes. 8 MiB.
    pub index_cache: usize,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            segment_size: 1 << 30,
            max_bytes: None,
            direct: true,
            staging: 4 << 20,
            merge_after: 65_536,
            background: true,
            scrub_bytes_per_second: 0,
            reserve: 1 << 20,
            index_cache: 8 << 20,
        }
    }
}

impl SegmentOptions {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let refuse = |option, problem| Err(StoreError::Option { option, problem });
        if !(256..=2 << 30).contains(&self.segment_size) {
            return refuse("segment_size", "must be between 256 bytes and 2 GiB");
        }
        if !(512..=256 << 20).contains(&self.staging) {
            return refuse("staging", "must be between 512 bytes and 256 MiB");
        }
        if self.merge_after == 0 || self.merge_after > 4 << 20 {
            return refuse("merge_after", "must be between 1 and 4,194,304 entries");
        }
        if self.reserve > 1 << 30 {
            return refuse("reserve", "must be at most 1 GiB");
        }
        Ok(())
    }
}
