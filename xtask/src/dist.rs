//! The static release binary.

use crate::run::{self, cargo, root, target};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `.cargo/config.toml` says, which the variable `RUSTFLAGS` replaces, and the static C
/// library.
const RUSTFLAGS: &str = "--cfg getrandom_backend=\"linux_getrandom\" -C target-feature=+crt-static";

/// Builds the binary and checks that it needs no shared library.
pub fn build() -> Result<PathBuf> {
    let place = target().join("dist");
    // Without --target the flags would also reach build scripts and procedural macros, which
    // cannot be static.
    run::run(
        cargo()
            .env("RUSTFLAGS", RUSTFLAGS)
            .args([
                "build",
                "--release",
                "--package",
                "ipfs-kit",
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(&place),
    )?;
    let binary = place.join(TARGET).join("release/ipfs-kit");
    let output = Command::new("ldd")
        .arg(&binary)
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .context("cannot start ldd")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        said.contains("statically linked") || said.contains("not a dynamic executable"),
        "{} is not static: {said}",
        binary.display()
    );
    Ok(binary)
}
