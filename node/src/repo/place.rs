//! What is at a path: a repo of ours, one of Kubo's, or nothing.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::RepoError;

/// Version of the repo layout that this build writes.
pub const REPO_VERSION: u64 = 1;

/// Kubo's own version file holds a bare number, so it refuses a repo of ours as we refuse its.
const VERSION_PREFIX: &str = "ipfs-kit/";

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No repo: nothing there, or a directory without our files, or an unfinished `init`.
    Absent,
    /// A repo of ours of this version.
    Ours(u64),
    /// A repo of Kubo's.
    Kubo,
    /// A `version` file that says nothing.
    Unknown(String),
}

/// Looks at a path without changing anything.
///
/// # Errors
/// [`RepoError::Io`] when it cannot be looked at.
pub fn kind(path: &Path) -> Result<Kind, RepoError> {
    let text = match read_line(&path.join("version")) {
        Ok(text) => Some(text),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            None
        }
        Err(error) => return Err(RepoError::io("read", path.join("version"), error)),
    };
    let has_config = path.join("config").exists();
    if path.join("datastore_spec").exists() {
        return Ok(Kind::Kubo);
    }
    let Some(text) = text else {
        return Ok(if has_config {
            Kind::Unknown(String::new())
        } else {
            Kind::Absent
        });
    };
    match text.strip_prefix(VERSION_PREFIX).map(str::parse::<u64>) {
        // An `init` that was killed while it wrote the file: `config` comes last.
        _ if text.is_empty() && !has_config => Ok(Kind::Absent),
        Some(Ok(_)) if !has_config => Ok(Kind::Absent),
        Some(Ok(version)) => Ok(Kind::Ours(version)),
        None if text.parse::<u64>().is_ok() => Ok(Kind::Kubo),
        _ => Ok(Kind::Unknown(text)),
    }
}

/// Fails unless a repo that this program can open is at the path.
pub(crate) fn check_version(path: &Path) -> Result<(), RepoError> {
    match kind(path)? {
        Kind::Ours(found) if found > REPO_VERSION => Err(RepoError::TooNew {
            path: path.to_owned(),
            found,
        }),
        Kind::Ours(_) => Ok(()),
        Kind::Absent => Err(RepoError::NotInitialised(path.to_owned())),
        Kind::Kubo => Err(RepoError::KuboRepo(path.to_owned())),
        Kind::Unknown(text) => Err(RepoError::BadVersion {
            path: path.to_owned(),
            text,
        }),
    }
}

/// The text of the `version` file.
pub(super) fn version_text() -> String {
    format!("{VERSION_PREFIX}{REPO_VERSION}\n")
}

/// Where the repo is: `explicit`, else `IPFS_KIT_PATH`, else `IPFS_PATH` unless a repo of Kubo's is there, else
/// `~/.ipfs-kit`.
///
/// # Errors
/// [`RepoError::NoHome`] when none of them is known.
pub fn locate(explicit: Option<&Path>) -> Result<PathBuf, RepoError> {
    if let Some(path) = explicit {
        return Ok(path.to_owned());
    }
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = variable("IPFS_KIT_PATH") {
        return Ok(path);
    }
    if let Some(path) = variable("IPFS_PATH")
        && matches!(kind(&path)?, Kind::Ours(_) | Kind::Absent)
    {
        return Ok(path);
    }
    default_path()
}

/// `~/.ipfs-kit`.
///
/// # Errors
/// [`RepoError::NoHome`] when there is no home directory.
pub fn default_path() -> Result<PathBuf, RepoError> {
    let home = std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .ok_or(RepoError::NoHome)?;
    Ok(PathBuf::from(home).join(".ipfs-kit"))
}

/// The first line of a file, at most 64 bytes of it.
fn read_line(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(64).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repos_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
        assert_eq!(kind(path).unwrap(), Kind::Absent);
        assert_eq!(kind(&path.join("nowhere")).unwrap(), Kind::Absent);
        for unfinished in ["", "ipfs-kit/1\n"] {
            write("version", unfinished);
            assert_eq!(
                kind(path).unwrap(),
                Kind::Absent,
                "an unfinished init may be run again"
            );
        }
        write("config", "{}");
        assert_eq!(kind(path).unwrap(), Kind::Ours(1));
        write("version", "ipfs-kit/2\n");
        assert!(matches!(
            check_version(path),
            Err(RepoError::TooNew { found: 2, .. })
        ));
        write("version", "18\n");
        assert!(matches!(check_version(path), Err(RepoError::KuboRepo(_))));
        write("version", "?");
        assert!(matches!(
            check_version(path),
            Err(RepoError::BadVersion { .. })
        ));
        write("datastore_spec", "{}");
        assert_eq!(kind(path).unwrap(), Kind::Kubo);
    }
}
