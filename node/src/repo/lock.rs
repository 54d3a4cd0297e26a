//! The lock that keeps a second process out of a repo.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::RepoError;

const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Holds the lock of a repo; dropping it releases it. The kernel does so too when the process dies.
#[derive(Debug)]
pub(crate) struct RepoLock {
    _file: File,
    /// Where the lock is, when it is on a disk that cannot be written.
    read_only: Option<PathBuf>,
}

impl RepoLock {
    /// Takes the lock, waiting at most `patience` for another process to release it.
    pub(crate) fn take(repo: &Path, patience: Duration) -> Result<Self, RepoError> {
        let path = repo.join("repo.lock");
        let mut read_only = None;
        let mut file = match open(&path) {
            // Reading needs no more than that nobody writes; the lock works on a file that is only open for reading.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                read_only = Some(repo.to_owned());
                File::open(&path).map_err(|_| error)
            }
            opened => opened,
        }
        .map_err(|error| RepoError::io("open", &path, error))?;
        let start = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if start.elapsed() < patience => thread::sleep(RETRY_EVERY),
                Err(Errno::WOULDBLOCK) => {
                    return Err(RepoError::Locked {
                        holder: holder(&mut file),
                        path,
                    });
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(RepoError::io("lock", &path, error.into())),
            }
        }
        let write_holder = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        // The process id only serves the error message of others, and a full disk must not keep us out.
        let _: Result<(), std::io::Error> = { write_holder }();
        Ok(Self {
            _file: file,
            read_only,
        })
    }
}

impl RepoLock {
    /// Fails when the repo is on a disk that cannot be written.
    pub(crate) fn check_writable(&self) -> Result<(), RepoError> {
        match &self.read_only {
            None => Ok(()),
            Some(path) => Err(RepoError::ReadOnly {
                path: path.clone(),
                source: io::ErrorKind::ReadOnlyFilesystem.into(),
            }),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// Who holds the lock, from the process id in the file and the process table.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let known = file
        .rewind()
        .and_then(|()| file.take(32).read_to_string(&mut text));
    match (known, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid}, {}", name.trim()),
            Err(_) => format!("process {pid}"),
        },
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = RepoLock::take(dir.path(), Duration::ZERO).unwrap();
        let error = RepoLock::take(dir.path(), Duration::from_millis(30))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        drop(held);
        RepoLock::take(dir.path(), Duration::ZERO).unwrap();
    }
}
