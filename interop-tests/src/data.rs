//! Real trees from the registries, put in place by `cargo xtask test`.

use crate::scratch::target_dir;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// npm `date-fns`: some thousand small files.
pub fn date_fns() -> Result<PathBuf> {
    present(target_dir().join("data/npm/node_modules/date-fns"))
}

/// npm `@mui/icons-material`: flat directories of ten thousand entries.
pub fn mui_icons() -> Result<PathBuf> {
    present(target_dir().join("data/npm/node_modules/@mui/icons-material"))
}

/// Debian `rust-src`: a source tree with symlinks.
pub fn rust_src() -> Result<PathBuf> {
    present(target_dir().join("data/debian/rust-src"))
}

fn present(path: PathBuf) -> Result<PathBuf> {
    ensure!(
        path.is_dir(),
        "{} is missing: run `cargo xtask setup`",
        path.display()
    );
    Ok(path)
}
