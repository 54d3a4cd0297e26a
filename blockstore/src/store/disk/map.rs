//! Files mapped into memory, for reads without a copy.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions, UncheckedAdvice};
use parking_lot::Mutex;

/// Bytes handed out before mapped pages are given back. They stay in the page cache; this only
/// keeps them from being counted as this process's memory for ever.
const RESIDENT_MAX: u64 = 32 << 20;
/// What the kernel maps around a page that is touched, about.
const FAULT_AROUND: u64 = 16 << 10;

/// A mapped file, which may grow up to the mapped length.
pub(super) struct Map {
    mmap: Mmap,
    pages: Arc<Pages>,
    touched: AtomicBool,
}

impl Map {
    pub(super) fn new(file: &fs::File, len: u64, pages: Arc<Pages>) -> io::Result<Arc<Self>> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: segment files are append-only: bytes below the end that the store knows are
        // never changed or cut while the store has the file open (a file that is given up is
        // unlinked, which leaves the mapping valid), and the store's lock keeps other processes of
        // ours away. Bytes beyond the end of the file are never touched: `slice` is only called
        // for ranges below it.
        let mmap = unsafe { MmapOptions::new().len(len.max(1)).map(file)? };
        Ok(Arc::new(Self {
            mmap,
            pages,
            touched: AtomicBool::new(false),
        }))
    }

    /// The caller has checked that the range lies within the file.
    pub(super) fn slice(self: &Arc<Self>, offset: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len)?;
        self.mmap.get(start..end)?;
        self.pages.count(self, len as u64);
        Some(Bytes::from_owner(Slice {
            map: Arc::clone(self),
            start,
            end,
        }))
    }

    fn release(&self) {
        self.touched.store(false, Ordering::Relaxed);
        // SAFETY: the mapping is shared, read-only and backed by the file: dropped pages are read
        // again from there with the same contents when they are touched next.
        let advised = unsafe { self.mmap.unchecked_advise(UncheckedAdvice::DontNeed) };
        // Only memory accounting is lost when the kernel refuses.
        drop(advised);
    }
}

struct Slice {
    map: Arc<Map>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Slice {
    fn as_ref(&self) -> &[u8] {
        &self.map.mmap[self.start..self.end]
    }
}

/// Which maps of a store have pages in memory, about.
#[derive(Default)]
pub(super) struct Pages {
    resident: AtomicU64,
    touched: Mutex<Vec<Weak<Map>>>,
}

impl Pages {
    fn count(&self, map: &Arc<Map>, len: u64) {
        if !map.touched.swap(true, Ordering::Relaxed) {
            self.touched.lock().push(Arc::downgrade(map));
        }
        let len = len.max(FAULT_AROUND);
        if self.resident.fetch_add(len, Ordering::Relaxed) + len > RESIDENT_MAX {
            self.resident.store(0, Ordering::Relaxed);
            let touched = std::mem::take(&mut *self.touched.lock());
            for map in touched.iter().filter_map(Weak::upgrade) {
                map.release();
            }
        }
    }
}
