//! Where tests put what they make: memory when there is some, so that a slow disk does not decide
//! how long they take.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory in memory (`/dev/shm`), removed when dropped.
pub fn in_memory() -> Result<TempDir> {
    new_in(Path::new("/dev/shm"))
}

/// A directory on the disk that holds `target/`, removed when dropped.
pub fn on_disk() -> Result<TempDir> {
    let place = target_dir().join("scratch");
    std::fs::create_dir_all(&place)
        .with_context(|| format!("cannot create {}", place.display()))?;
    new_in(&place)
}

/// A directory inside `place`, removed when dropped.
pub fn new_in(place: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix("ipfs-kit-test-")
        .tempdir_in(place)
        .with_context(|| format!("cannot create a directory in {}", place.display()))
}

/// The workspace's own `target` directory, where peers and data are kept.
pub fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is inside the workspace")
        .join("target")
}
