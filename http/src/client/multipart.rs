//! Files as `multipart/form-data`, by Kubo's rules.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use ipfs_kit_node::{EntryKind, StreamedEntry};
use tokio::sync::mpsc;

use super::escape;
use crate::failure::Failure;
use crate::output::os_reason;

/// Bytes read at once.
const READ: usize = 256 << 10;
/// Heads and small contents collect up to so many bytes.
const COLLECT: usize = 64 << 10;

/// Sends files, one after the other.
pub struct BodyWriter {
    send: mpsc::Sender<io::Result<Bytes>>,
    boundary: String,
    buffer: Vec<u8>,
}

impl BodyWriter {
    pub(super) fn new(send: mpsc::Sender<io::Result<Bytes>>) -> BodyWriter {
        // Random enough that no content holds it by chance; content chosen to hold it gains nothing.
        let seed = std::hash::BuildHasher::hash_one(
            &std::collections::hash_map::RandomState::new(),
            std::process::id(),
        );
        BodyWriter {
            send,
            boundary: format!(
                "ipfs-kit-{seed:016x}{:016x}",
                seed.rotate_left(32) ^ 0x5bd1_e995
            ),
            buffer: Vec::with_capacity(COLLECT),
        }
    }

    pub(super) fn media_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// A file, with the content that `reader` gives.
    ///
    /// # Errors
    /// When it cannot be read, or the daemon takes no more.
    pub fn file(
        &mut self,
        entry: &StreamedEntry,
        name: &str,
        mut reader: impl Read,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        self.head(entry, "application/octet-stream")?;
        loop {
            if self.buffer.len() + READ > self.buffer.capacity() {
                self.flush()?;
                self.buffer.reserve(READ + COLLECT);
            }
            let start = self.buffer.len();
            self.buffer.resize(start + READ, 0);
            let read = match reader.read(&mut self.buffer[start..]) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(start);
                    continue;
                }
                Err(error) => {
                    return Err(Failure::failed(format_args!(
                        "read {name}: {}",
                        os_reason(&error)
                    )));
                }
            };
            self.buffer.truncate(start + read);
            if read == 0 {
                break;
            }
            sent(read as u64);
            if self.buffer.len() >= COLLECT {
                self.flush()?;
                self.buffer.reserve(READ + COLLECT);
            }
        }
        self.write(b"\r\n")
    }

    /// A file of the local disk.
    ///
    /// # Errors
    /// As [`BodyWriter::file`].
    pub fn local_file(
        &mut self,
        entry: &StreamedEntry,
        path: &Path,
        sent: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|error| Failure::failed(format_args!("open {name}: {}", os_reason(&error))))?;
        self.file(entry, &name, file, sent)
    }

    /// A directory, without what is in it.
    ///
    /// # Errors
    /// When the daemon takes no more.
    pub fn directory(&mut self, entry: &StreamedEntry) -> Result<(), Failure> {
        self.head(entry, "application/x-directory")?;
        self.write(b"\r\n")
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// When the daemon takes no more.
    pub fn symlink(&mut self, entry: &StreamedEntry, target: &[u8]) -> Result<(), Failure> {
        self.head(entry, "application/symlink")?;
        self.write(target)?;
        self.write(b"\r\n")
    }

    fn head(&mut self, entry: &StreamedEntry, media_type: &str) -> Result<(), Failure> {
        let mut query = Vec::new();
        if let Some(mode) = entry.mode {
            query.push(format!("mode=0{mode:o}"));
        }
        if let Some((seconds, nanos)) = entry.mtime {
            query.push(format!("mtime={seconds}"));
            if nanos > 0 {
                query.push(format!("mtime-nsecs={nanos}"));
            }
        }
        let name = match query.is_empty() {
            true => "file".to_owned(),
            false => format!("file?{}", query.join("&")),
        };
        debug_assert_ne!(entry.kind, EntryKind::Unknown);
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{}\"\r\n\
             Content-Type: {media_type}\r\n\r\n",
            self.boundary,
            escape(&entry.path)
        );
        self.write(head.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= COLLECT {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        self.send
            .blocking_send(Ok(bytes))
            .map_err(|_| Failure::failed("the daemon takes no more"))
    }

    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let end = format!("--{}--\r\n", self.boundary);
        self.write(end.as_bytes())?;
        self.flush()
    }

    /// Breaks the body off, so that nobody takes it for whole.
    pub(super) fn abort(&self) {
        // The daemon may have gone first.
        let _ = self
            .send
            .blocking_send(Err(io::ErrorKind::UnexpectedEof.into()));
    }
}
