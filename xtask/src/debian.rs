//! Packages of the Debian archive: tools that are installed, and one that is only unpacked.

use crate::peers::count_files;
use crate::run::{self, target};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A program the tests start, and the package that has it.
const TOOLS: [(&str, &str); 8] = [
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("mkfs.xfs", "xfsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("losetup", "mount"),
    ("strace", "strace"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
];

/// Files that the unpacked rust-src must hold.
const RUST_SRC_FILES: usize = 30_000;

/// Installs the programs that are missing.
pub fn tools() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    apt_get(&["install", "--yes", "--no-install-recommends"], &missing)
}

/// Unpacks Debian's rust-src below `target/data/debian`, without installing it.
pub fn rust_src() -> Result<()> {
    let place = target().join("data/debian");
    let unpacked = place.join("rust-src");
    if !unpacked.is_dir() {
        let partial = place.join("unpacking");
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)?;
        download(&partial, "rust-src")?;
        fs::rename(partial.join("usr"), &unpacked)?;
        fs::remove_dir_all(&partial)?;
    }
    let found = count_files(&unpacked)?;
    ensure!(
        found >= RUST_SRC_FILES,
        "{} holds only {found} files",
        unpacked.display()
    );
    println!("Debian rust-src: {found} files");
    Ok(())
}

fn download(place: &Path, package: &str) -> Result<()> {
    let fetch = || {
        run::run(
            Command::new("apt-get")
                .current_dir(place)
                .args(["--quiet", "download", package]),
        )
    };
    // Package lists may be absent or older than the archive.
    fetch().or_else(|_| update().and_then(|()| fetch()))?;
    let archive = fs::read_dir(place)?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().ends_with(".deb"))
        .with_context(|| format!("apt-get download {package} left no package"))?;
    run::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(archive.path())
            .arg(place),
    )
}

fn apt_get(action: &[&str], packages: &[&str]) -> Result<()> {
    let install = || {
        run::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .arg("--quiet")
                .args(action)
                .args(packages),
        )
    };
    install().or_else(|_| update().and_then(|()| install()))
}

fn update() -> Result<()> {
    run::run(Command::new("apt-get").args(["--quiet", "update"]))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    }) || Path::new("/usr/sbin").join(program).is_file()
}
