//! The real filesystem.

use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use memmap2::MmapMut;
use rustix::fs::{FallocateFlags, FlockOperation, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use super::map::{Map, Pages};
use super::{Disk, File, Open, ROOT, SEGMENTS};

/// What direct writes are multiples of: the page size, which every filesystem here accepts.
const DIRECT_ALIGNMENT: usize = 4_096;
/// Buffers in one vectored write; Linux takes 1,024.
const PARTS_MAX: usize = 1_024;
/// Shorter reads are copied: touching a page of a map for the first time costs more than that.
const COPIED_MAX: usize = 16 << 10;
/// The longest read that counts as being at hand: copying more takes long enough to be a wait.
const AT_HAND_MAX: usize = 320 << 10;
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// A directory of the operating system.
pub struct Folder {
    path: PathBuf,
    direct: bool,
    pages: Arc<Pages>,
    lock: OnceLock<fs::File>,
}

impl Folder {
    /// The store's directory, which need not exist yet. `direct` asks for writes past the page
    /// cache where they are possible and of use.
    #[must_use]
    pub fn new(path: &Path, direct: bool) -> Self {
        Self {
            path: path.into(),
            direct,
            pages: Arc::default(),
            lock: OnceLock::new(),
        }
    }

    /// Whether the filesystem has no device.
    fn in_memory(&self) -> Option<bool> {
        let stat = rustix::fs::statfs(&self.path).ok()?;
        Some(matches!(stat.f_type as u64, TMPFS_MAGIC | RAMFS_MAGIC))
    }

    fn direct_helps(&self) -> bool {
        self.direct && self.in_memory() == Some(false)
    }

    fn open_append(&self, name: &str, create: bool) -> io::Result<(fs::File, usize)> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(create);
        if self.direct_helps() {
            options.custom_flags(OFlags::DIRECT.bits() as i32);
            match options.open(&path) {
                Ok(file) => return Ok((file, DIRECT_ALIGNMENT)),
                // The filesystem has no direct writes; it may have created the file by then.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    options.custom_flags(0).create_new(false).create(create);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((options.open(&path)?, 1))
    }
}

impl Disk for Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn prepare(&self) -> io::Result<()> {
        let segments = self.path.join(SEGMENTS);
        if segments.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&segments)?;
        self.sync_dir(ROOT)?;
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
            _ => fs::File::open(".")?.sync_all(),
        }
    }

    fn lock(&self) -> io::Result<bool> {
        let dir = fs::File::open(&self.path)?;
        match rustix::fs::flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(self.lock.set(dir).is_ok()),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, u64)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path.join(dir))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            // A name that is no text is none of ours.
            if let (true, Ok(name)) = (kind.is_file(), entry.file_name().into_string()) {
                names.push((name, entry.metadata()?.len()));
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, how: Open) -> io::Result<Arc<dyn File>> {
        let (file, alignment) = match how {
            Open::Read => (fs::File::open(self.path.join(name))?, 1),
            Open::Write | Open::Create => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create_new(how.creates());
                (options.open(self.path.join(name))?, 1)
            }
            Open::Append { .. } | Open::CreateAppend { .. } => {
                self.open_append(name, how.creates())?
            }
        };
        let len = file.metadata()?.len();
        Ok(Arc::new(OpenFile {
            path: self.path.join(name),
            file,
            cached: OnceLock::new(),
            alignment,
            in_memory: self.in_memory() == Some(true),
            capacity: how.capacity().unwrap_or(len).max(len),
            end: AtomicU64::new(len),
            map: OnceLock::new(),
            pages: Arc::clone(&self.pages),
        }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.path.join(dir))?.sync_all()
    }
}

struct OpenFile {
    path: PathBuf,
    file: fs::File,
    /// The file once more, through the page cache, when `file` goes past it.
    cached: OnceLock<fs::File>,
    alignment: usize,
    in_memory: bool,
    capacity: u64,
    /// Where the file ends, as far as is known: nothing beyond is read through the map.
    end: AtomicU64,
    map: OnceLock<Arc<Map>>,
    pages: Arc<Pages>,
}

impl OpenFile {
    fn map(&self) -> io::Result<&Arc<Map>> {
        if let Some(map) = self.map.get() {
            return Ok(map);
        }
        let map = Map::new(&self.file, self.capacity, Arc::clone(&self.pages))?;
        Ok(self.map.get_or_init(|| map))
    }

    /// The file for reads through the page cache.
    fn cached(&self) -> io::Result<&fs::File> {
        if self.alignment == 1 {
            return Ok(&self.file);
        }
        if let Some(cached) = self.cached.get() {
            return Ok(cached);
        }
        let cached = fs::File::open(&self.path)?;
        Ok(self.cached.get_or_init(|| cached))
    }

    /// Reads past the page cache: memory, offset and length must be aligned.
    fn read_direct(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let align = self.alignment as u64;
        let start = offset / align * align;
        let end = (offset + out.len() as u64).div_ceil(align) * align;
        let mut buffer = MmapMut::map_anon((end - start) as usize)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[filled..], start + filled as u64)?
            {
                0 => break,
                read => filled += read,
            }
            // The end of the file need not be aligned; no further read could be.
            if filled % self.alignment != 0 {
                break;
            }
        }
        let skip = (offset - start) as usize;
        let found = buffer[..filled].get(skip..skip + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl File for OpenFile {
    fn alignment(&self) -> usize {
        self.alignment
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.alignment > 1 {
            return self.read_direct(offset, out);
        }
        self.file.read_exact_at(out, offset)
    }

    fn slice(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let eof = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = offset.checked_add(len as u64).ok_or_else(eof)?;
        if end > self.end.load(Ordering::Acquire) {
            return Err(eof());
        }
        if len < COPIED_MAX {
            let mut out = vec![0; len];
            self.cached()?.read_exact_at(&mut out, offset)?;
            return Ok(out.into());
        }
        self.map()?.slice(offset, len).ok_or_else(eof)
    }

    fn at_hand(&self, offset: u64, len: usize) -> io::Result<Option<Bytes>> {
        let opened = self.alignment == 1 || self.cached.get().is_some();
        if len > AT_HAND_MAX || !opened {
            return Ok(None);
        }
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.end.load(Ordering::Acquire)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut out = vec![0; len];
        let (file, buffers) = (self.cached()?, &mut [IoSliceMut::new(&mut out)]);
        match rustix::io::preadv2(file, buffers, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == len => Ok(Some(out.into())),
            Err(Errno::OPNOTSUPP) if self.in_memory => self.slice(offset, len).map(Some),
            // Some of it is not in the page cache, or the filesystem cannot tell.
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut at = offset;
        for parts in parts.chunks(PARTS_MAX) {
            let mut parts: Vec<IoSlice<'_>> = parts.to_vec();
            let mut left = parts.as_mut_slice();
            while left.iter().any(|part| !part.is_empty()) {
                match rustix::io::pwritev(&self.file, left, at) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        at += written as u64;
                        IoSlice::advance_slices(&mut left, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.end.fetch_max(at, Ordering::Release);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.end.fetch_min(len, Ordering::Release);
        self.file.set_len(len)?;
        self.end.store(len, Ordering::Release);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Err(Errno::OPNOTSUPP) => {
                let zeros = vec![0; 64 << 10];
                let mut at = 0;
                while at < len {
                    let part = zeros.len().min((len - at) as usize);
                    self.file.write_all_at(&zeros[..part], at)?;
                    at += part as u64;
                }
            }
            allocated => allocated?,
        }
        self.end.fetch_max(len, Ordering::Release);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
