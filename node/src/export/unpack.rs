//! Writes a tar archive of `get` to the local disk, with the same care as a DAG: an archive comes from
//! a daemon, which need not be a friend.

use std::io::{self, Read, Write};
use std::path::Path;

use ipfs_kit_unixfs::{Attributes, Mtime};
use tar::{Archive, Entry, EntryType};

use super::beneath::{Directory, Levels};
use super::place::{self, Placing, TempNames};
use super::{ExportError, ExportReport, check_name, place_single};

/// Bytes moved at once.
const BUFFER: usize = 1 << 20;
/// Bytes between two calls with the count.
const TELL_EVERY: u64 = 1 << 20;
/// Longest target of a symbolic link, in bytes.
const MAX_TARGET: usize = 1 << 20;

/// Unpacks an archive with one top entry to `target`, as [`super::export`] writes a DAG.
///
/// # Errors
/// [`ExportError`]. What was written before stays; no partly written file does.
pub fn unpack(
    archive: &mut dyn Read,
    target: &Path,
    progress: &mut dyn FnMut(u64) -> io::Result<()>,
) -> Result<ExportReport, ExportError> {
    if target == Path::new("/dev/null") {
        io::copy(archive, &mut io::sink()).map_err(ExportError::Archive)?;
        return Ok(ExportReport::default());
    }
    let mut unpacker = Unpacker {
        temp_names: TempNames::new()?,
        levels: None,
        late: Vec::new(),
        report: ExportReport::default(),
        buffer: vec![0; BUFFER],
        told: 0,
        progress,
    };
    let mut archive = Archive::new(archive);
    for entry in archive.entries().map_err(ExportError::Archive)? {
        unpacker.entry(entry.map_err(ExportError::Archive)?, target)?;
    }
    unpacker.finish()
}

struct Unpacker<'p> {
    temp_names: TempNames,
    /// The directories, once the top entry was one.
    levels: Option<Levels>,
    /// Directories whose mode and time must not be set before everything is written.
    late: Vec<(Vec<u8>, Attributes)>,
    report: ExportReport,
    buffer: Vec<u8>,
    told: u64,
    progress: &'p mut dyn FnMut(u64) -> io::Result<()>,
}

impl Unpacker<'_> {
    fn entry<R: Read>(
        &mut self,
        mut entry: Entry<'_, R>,
        target: &Path,
    ) -> Result<(), ExportError> {
        let attributes = attributes(&mut entry)?;
        let kind = entry.header().entry_type();
        let path = entry.path_bytes().into_owned();
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        let mut parts = path.splitn(2, |byte| *byte == b'/');
        let (top, below) = (parts.next().unwrap_or_default(), parts.next());
        let Some(below) = below else {
            return match kind {
                EntryType::Directory => self.top(target, attributes),
                _ => {
                    let placing = place_single(top, target)?;
                    self.place(&placing, entry, attributes)
                }
            };
        };
        for name in below.split(|byte| *byte == b'/') {
            check_name(name)?;
        }
        let (parent, name) = match below.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&below[..at], &below[at + 1..]),
            None => (&below[..0], below),
        };
        let levels = self.levels.as_mut().ok_or_else(|| {
            ExportError::Archive(io::Error::other("an entry comes before its directory"))
        })?;
        let directory = levels.directory(parent)?;
        if kind == EntryType::Directory {
            levels.enter(&directory, name, below, attributes)?;
            self.late.push((below.to_vec(), attributes));
            self.report.directories += 1;
            return Ok(());
        }
        let placing = Placing {
            directory,
            name: name.to_vec(),
            path: levels.full_path(below),
        };
        self.place(&placing, entry, attributes)
    }

    fn top(&mut self, target: &Path, attributes: Attributes) -> Result<(), ExportError> {
        let top = Directory::create_all(target)?;
        self.levels = Some(Levels::new(top, target));
        self.late.push((Vec::new(), attributes));
        self.report.directories += 1;
        Ok(())
    }

    fn place<R: Read>(
        &mut self,
        placing: &Placing,
        mut entry: Entry<'_, R>,
        attributes: Attributes,
    ) -> Result<(), ExportError> {
        match entry.header().entry_type() {
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                if target.is_empty() || target.len() > MAX_TARGET {
                    let reason = io::Error::other("a symbolic link without a usable target");
                    return Err(ExportError::Archive(reason));
                }
                placing.write_symlink(&target, attributes.mtime, &self.temp_names)?;
                self.report.symlinks += 1;
                Ok(())
            }
            EntryType::Regular => {
                let size = entry.size();
                let (buffer, report) = (&mut self.buffer, &mut self.report);
                let (told, progress) = (&mut self.told, &mut *self.progress);
                placing.write_with(size, &self.temp_names, |file| {
                    let mut left = size;
                    while left > 0 {
                        let read = entry.read(buffer).map_err(ExportError::Archive)?;
                        if read == 0 {
                            let end = io::ErrorKind::UnexpectedEof.into();
                            return Err(ExportError::Archive(end));
                        }
                        file.write_all(&buffer[..read])
                            .map_err(|source| ExportError::Local {
                                action: "writing",
                                path: placing.path.clone(),
                                source,
                            })?;
                        left -= read as u64;
                        report.bytes += read as u64;
                        if report.bytes - *told >= TELL_EVERY {
                            *told = report.bytes;
                            progress(*told).map_err(ExportError::Progress)?;
                        }
                    }
                    Ok(Some(attributes))
                })?;
                self.report.files += 1;
                Ok(())
            }
            _ => Err(ExportError::Archive(io::Error::other(
                "an entry is no file, directory or symbolic link",
            ))),
        }
    }

    /// Sets the attributes of directories, the innermost first.
    fn finish(self) -> Result<ExportReport, ExportError> {
        if self.report == ExportReport::default() {
            let end = io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is empty");
            return Err(ExportError::Archive(end));
        }
        if let Some(levels) = &self.levels {
            for (path, attributes) in self.late.iter().rev() {
                let directory = levels.reopen(path)?;
                place::set_attributes(&directory, *attributes, 0o755).map_err(|errno| {
                    ExportError::local("setting mode and time of", levels.full_path(path), errno)
                })?;
            }
        }
        (self.progress)(self.report.bytes).map_err(ExportError::Progress)?;
        Ok(self.report)
    }
}

/// Mode and time of an entry; the time with its nanoseconds when they are told.
fn attributes<R: Read>(entry: &mut Entry<'_, R>) -> Result<Attributes, ExportError> {
    let header = entry.header();
    let mode = header.mode().map_err(ExportError::Archive)? & 0o7777;
    let seconds = header.mtime().map_err(ExportError::Archive)?;
    let mut mtime = Mtime {
        seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
        nanos: 0,
    };
    let extensions = entry.pax_extensions().map_err(ExportError::Archive)?;
    for extension in extensions.into_iter().flatten().flatten() {
        if let (Ok("mtime"), Ok(text)) = (extension.key(), extension.value())
            && let Some(told) = precise(text)
        {
            mtime = told;
        }
    }
    Ok(Attributes {
        mode: Some(mode),
        mtime: Some(mtime),
    })
}

/// A time as PAX has it: seconds, and a fraction behind a point.
fn precise(text: &str) -> Option<Mtime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let mut nanos: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanos > 0 {
        seconds -= 1;
        nanos = 1_000_000_000 - nanos;
    }
    Some(Mtime { seconds, nanos })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tar::{Builder, Header};

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = Header::new_gnu();
            // Written by hand: the library refuses the names that this is about.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(if *kind == EntryType::Directory {
                0o750
            } else {
                0o640
            });
            header.set_mtime(1_700_000_000);
            let is_file = *kind == EntryType::Regular;
            if *kind == EntryType::Symlink {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
            }
            header.set_size(if is_file { content.len() as u64 } else { 0 });
            header.set_cksum();
            builder
                .append(&header, if is_file { content } else { &[][..] })
                .unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8], target: &Path) -> Result<ExportReport, ExportError> {
        unpack(&mut &bytes[..], target, &mut |_| Ok(()))
    }

    #[test]
    fn a_tree_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let bytes = archive(&[
            ("top", EntryType::Directory, b""),
            ("top/d", EntryType::Directory, b""),
            ("top/d/f", EntryType::Regular, b"text"),
            ("top/l", EntryType::Symlink, b"../../elsewhere"),
            ("top/z", EntryType::Regular, b""),
        ]);
        let report = unpacked(&bytes, &target).unwrap();
        assert_eq!(
            (report.files, report.directories, report.symlinks),
            (2, 2, 1)
        );
        assert_eq!(fs::read(target.join("d/f")).unwrap(), b"text");
        let link = fs::read_link(target.join("l")).unwrap();
        assert_eq!(link, Path::new("../../elsewhere"));
        for cut in (0..bytes.len()).step_by(97) {
            let target = dir.path().join(format!("cut{cut}"));
            let _ = unpacked(&bytes[..cut], &target);
        }
        let one = archive(&[("name", EntryType::Regular, b"x")]);
        unpacked(&one, &target).unwrap();
        assert_eq!(fs::read(target.join("name")).unwrap(), b"x");
    }

    #[test]
    fn nothing_is_written_outside() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out");
        let top = ("top", EntryType::Directory, &b""[..]);
        for evil in [
            "top/../x",
            "top/..",
            "top//x",
            "top/./x",
            "top/d/../../../x",
        ] {
            let bytes = archive(&[top, (evil, EntryType::Regular, b"evil")]);
            assert!(unpacked(&bytes, &target).is_err(), "{evil}");
        }
        let through = archive(&[
            top,
            ("top/l", EntryType::Symlink, b".."),
            ("top/l/x", EntryType::Regular, b"evil"),
        ]);
        assert!(unpacked(&through, &target).is_err());
        assert!(unpacked(&archive(&[("top/x", EntryType::Regular, b"")]), &target).is_err());
        assert!(unpacked(&archive(&[("top", EntryType::Fifo, b"")]), &target).is_err());
        assert!(unpacked(b"", &target).is_err());
        assert!(!dir.path().join("x").exists());
    }

    #[test]
    fn fractions_of_seconds() {
        assert_eq!(
            precise("5.25"),
            Some(Mtime {
                seconds: 5,
                nanos: 250_000_000
            })
        );
        assert_eq!(
            precise("-5.25"),
            Some(Mtime {
                seconds: -6,
                nanos: 750_000_000
            })
        );
        assert_eq!(
            precise("7"),
            Some(Mtime {
                seconds: 7,
                nanos: 0
            })
        );
        assert_eq!(precise("x"), None);
    }
}
