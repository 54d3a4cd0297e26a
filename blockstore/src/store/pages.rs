//! The file under a redb database: pages with checksums, so that a damaged page is an error and
//! never a wrong answer. redb itself verifies pages only when it repairs.
//!
//! The file is a row of groups: one page of 1,024 checksums, then the 1,024 pages they are of.
//! A checksum is the CRC32C of the page, xor that of a page of zeros, so that zeros are sound.
//! Page 0 is redb's header, which it changes in place. Its checksum is kept by whoever can rebuild
//! the file, or else by the file itself while it is closed, see [`Pages::sealed`].
//!
//! redb never changes a page that the last commit needs, and checksums of unchanged pages are
//! rewritten with the same bytes. A crash between two syncs therefore leaves mismatches only in
//! pages that nobody reads.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use redb::StorageBackend;

use super::disk::File;

const PAGE: usize = 4_096;
const GROUP: u64 = (PAGE / 4) as u64;

/// Where redb's header has its flags, and the one that says that the file was not closed properly
/// (`docs/design.md` of redb, "god byte").
const FLAGS: usize = 9;
const RECOVERY_REQUIRED: u8 = 2;

/// A file as redb sees it.
pub struct Pages {
    file: Arc<dyn File>,
    sums: Mutex<Sums>,
    zero: u32,
    sealed: bool,
    /// The header was written.
    unsealed: AtomicBool,
    /// Kept as long as the file is in use.
    _lock: Option<std::fs::File>,
}

#[derive(Default)]
struct Sums {
    groups: BTreeMap<u64, Group>,
}

struct Group {
    sums: Box<[u32]>,
    dirty: bool,
}

impl Pages {
    /// The pages of a file; the caller looks after the header.
    #[must_use]
    pub fn new(file: Arc<dyn File>) -> Self {
        Self {
            file,
            sums: Mutex::default(),
            zero: crc32c::crc32c(&[0; PAGE]),
            sealed: false,
            unsealed: AtomicBool::new(false),
            _lock: None,
        }
    }

    /// As [`Pages::new`], and the header has a checksum as well as long as nobody writes: it is
    /// written when the file is closed properly, and taken away with the first change. `lock` is
    /// held until redb is done with the file.
    #[must_use]
    pub fn sealed(file: Arc<dyn File>, lock: std::fs::File) -> Self {
        Self {
            sealed: true,
            _lock: Some(lock),
            ..Self::new(file)
        }
    }

    /// The checksum of redb's header.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn header_crc(file: &dyn File) -> io::Result<u32> {
        let mut page = [0; PAGE];
        file.read_at(PAGE as u64, &mut page)?;
        Ok(crc32c::crc32c(&page))
    }

    fn sum(&self, page: &[u8]) -> u32 {
        crc32c::crc32c(page) ^ self.zero
    }

    fn check(&self, number: u64, page: &[u8]) -> io::Result<()> {
        if number == 0 && !self.sealed {
            return Ok(());
        }
        let known = *self.sums.lock().of(&*self.file, number)?;
        if known == self.sum(page) || (number == 0 && (known == 0 || !is_closed(page))) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("checksum of page {number}"),
        ))
    }

    /// Before the header changes: a crash must not leave the checksum of another one.
    fn unseal(&self) -> io::Result<()> {
        if !self.sealed {
            return Ok(());
        }
        self.unsealed.store(true, Ordering::Release);
        let mut sums = self.sums.lock();
        if *sums.of(&*self.file, 0)? != 0 {
            sums.set(&*self.file, 0, 0)?;
            sums.write_dirty(&*self.file)?;
        }
        Ok(())
    }

    /// Gives the header its checksum. It need not be durable: without one the header is taken as
    /// it is.
    fn seal(&self) -> io::Result<()> {
        let mut page = [0; PAGE];
        if !self.unsealed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.read_page(0, &mut page)?;
        if is_closed(&page) {
            let mut sums = self.sums.lock();
            sums.set(&*self.file, 0, self.sum(&page))?;
            sums.write_dirty(&*self.file)?;
        }
        Ok(())
    }

    /// Reads one page, whatever it holds.
    fn read_page(&self, number: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(physical(number * PAGE as u64), out)
    }
}

impl Sums {
    /// The checksum of a page.
    fn of(&mut self, file: &dyn File, page: u64) -> io::Result<&mut u32> {
        let group = self.group(file, page / GROUP)?;
        Ok(&mut group.sums[(page % GROUP) as usize])
    }

    fn group(&mut self, file: &dyn File, number: u64) -> io::Result<&mut Group> {
        use std::collections::btree_map::Entry;
        match self.groups.entry(number) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(vacant) => {
                let mut page = [0; PAGE];
                let at = number * (GROUP + 1) * PAGE as u64;
                if at + PAGE as u64 <= file.len()? {
                    file.read_at(at, &mut page)?;
                }
                let words = page
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|word| u32::from_le_bytes(*word));
                Ok(vacant.insert(Group {
                    sums: words.collect(),
                    dirty: false,
                }))
            }
        }
    }

    fn set(&mut self, file: &dyn File, page: u64, sum: u32) -> io::Result<()> {
        let group = self.group(file, page / GROUP)?;
        group.sums[(page % GROUP) as usize] = sum;
        group.dirty = true;
        Ok(())
    }

    fn write_dirty(&mut self, file: &dyn File) -> io::Result<()> {
        for (number, group) in &mut self.groups {
            if group.dirty {
                let page: Vec<u8> = group
                    .sums
                    .iter()
                    .flat_map(|sum| sum.to_le_bytes())
                    .collect();
                file.write_at(number * (GROUP + 1) * PAGE as u64, &[IoSlice::new(&page)])?;
                group.dirty = false;
            }
        }
        Ok(())
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        let physical = self.file.len()? / PAGE as u64;
        Ok((physical - physical.div_ceil(GROUP + 1)) * PAGE as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let page_len = PAGE as u64;
        if offset.is_multiple_of(page_len) && out.len().is_multiple_of(PAGE) {
            for (number, page) in (offset / page_len..).zip(out.chunks_mut(PAGE)) {
                self.read_page(number, page)?;
                self.check(number, page)?;
            }
            return Ok(());
        }
        let mut done = 0;
        let mut page = [0; PAGE];
        while done < out.len() {
            let at = offset + done as u64;
            let (number, skip) = (at / page_len, (at % page_len) as usize);
            self.read_page(number, &mut page)?;
            self.check(number, &page)?;
            let part = (PAGE - skip).min(out.len() - done);
            out[done..done + part].copy_from_slice(&page[skip..skip + part]);
            done += part;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let pages = len.div_ceil(PAGE as u64);
        let mut sums = self.sums.lock();
        let old = StorageBackend::len(self)? / PAGE as u64;
        for page in pages..old {
            sums.set(&*self.file, page, 0)?;
        }
        let groups = pages.div_ceil(GROUP);
        sums.groups.retain(|&number, _| number < groups);
        self.file.set_len((pages + groups) * PAGE as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sums.lock().write_dirty(&*self.file)?;
        self.file.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let page_len = PAGE as u64;
        if offset >= page_len && offset.is_multiple_of(page_len) && data.len().is_multiple_of(PAGE)
        {
            for (number, page) in (offset / page_len..).zip(data.chunks(PAGE)) {
                self.file
                    .write_at(physical(number * page_len), &[IoSlice::new(page)])?;
                self.sums.lock().set(&*self.file, number, self.sum(page))?;
            }
            return Ok(());
        }
        if offset + data.len() as u64 <= page_len {
            self.unseal()?;
            return self
                .file
                .write_at(physical(0) + offset, &[IoSlice::new(data)]);
        }
        // redb writes whole pages, and its header by itself.
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "write is not of whole pages",
        ))
    }

    fn close(&self) -> io::Result<()> {
        self.seal()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

/// Whether a header is that of a file that was closed properly.
fn is_closed(header: &[u8]) -> bool {
    header[FLAGS] & RECOVERY_REQUIRED == 0
}

/// Where a byte stands in the file.
const fn physical(offset: u64) -> u64 {
    let page = offset / PAGE as u64;
    offset + (page / GROUP + 1) * PAGE as u64
}
