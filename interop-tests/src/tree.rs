//! Made directory trees, and the comparison of two trees on disk.

use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree of everything that real trees hold seldom: symlinks (to a file, to a directory,
/// dangling, absolute), hidden files and directories, empty files and directories, names that are
/// not UTF-8, long names, unusual modes, equal contents.
pub fn make_odd(root: &Path) -> Result<()> {
    for folder in [
        "a/b/c",
        "empty",
        "deep/er/empty",
        ".hidden-dir/.nested",
        "with space/and\ttab",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    let mut stream = Stream::new("odd tree");
    for (index, name) in [
        "z",
        "a/one",
        "a/b/two",
        "a/b/c/three",
        "with space/x y",
        ".hidden-dir/f",
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(root.join(name), stream.take(1 + index * 70_000))?;
    }
    for name in ["zero", ".hidden", "a/.hidden-zero", ".hidden-dir/.nested/g"] {
        fs::write(root.join(name), b"")?;
    }
    fs::write(root.join("equal-1"), b"the same bytes")?;
    fs::write(root.join("equal-2"), b"the same bytes")?;
    fs::write(root.join("n".repeat(255)), b"the longest name")?;
    fs::write(root.join("unicode-\u{e4}\u{20ac}\u{1f600}"), b"unicode")?;
    fs::write(root.join("quote\"back\\slash%25#?"), b"marks")?;
    // Not 0xff, which tells the table writer of Kubo's `ls` to stop aligning.
    fs::write(
        root.join(OsStr::from_bytes(b"latin1-\xe9\xfe")),
        b"not UTF-8",
    )?;
    fs::write(root.join("new\nline"), b"newline in the name")?;
    fs::write(root.join("script"), b"#!/bin/sh\n")?;
    for (name, mode) in [
        ("script", 0o755),
        ("z", 0o600),
        ("equal-1", 0o444),
        ("a/b", 0o700),
    ] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode))?;
    }
    for (target, link) in [
        ("z", "link-file"),
        ("a/b", "link-dir"),
        ("does/not/exist", "link-dangling"),
        ("/etc/hostname", "link-absolute"),
        ("../z", "a/link-up"),
    ] {
        symlink(target, root.join(link))?;
    }
    Ok(())
}

/// Makes `count` files of `size` bytes with different contents under `root`, a hundred to a
/// directory.
pub fn make_small_files(root: &Path, count: usize, size: usize, seed: &str) -> Result<()> {
    let mut stream = Stream::new(seed);
    let mut bytes = vec![0; size];
    for index in 0..count {
        let folder = root.join(format!("d{:04}", index / 100));
        if index % 100 == 0 {
            fs::create_dir_all(&folder)?;
        }
        stream.fill(&mut bytes);
        fs::write(folder.join(format!("f{index:06}")), &bytes)?;
    }
    Ok(())
}

/// What [`compare`] also looks at, besides names, kinds, contents and link targets.
#[derive(Debug, Default, Clone, Copy)]
pub struct Also {
    /// Permission bits of files and directories.
    pub modes: bool,
    /// Modification times in whole seconds.
    pub times: bool,
}

/// Compares two trees entry by entry and gives the number of entries compared.
pub fn compare(left: &Path, right: &Path, also: Also) -> Result<usize> {
    let (a, b) = (entries(left)?, entries(right)?);
    for name in a.keys() {
        ensure!(
            b.contains_key(name),
            "{} is missing in {}",
            name.display(),
            right.display()
        );
    }
    for name in b.keys() {
        ensure!(
            a.contains_key(name),
            "{} is not in {}",
            name.display(),
            left.display()
        );
    }
    for name in a.keys() {
        compare_entry(&left.join(name), &right.join(name), also)?;
    }
    Ok(a.len())
}

fn compare_entry(left: &Path, right: &Path, also: Also) -> Result<()> {
    let (a, b) = (fs::symlink_metadata(left)?, fs::symlink_metadata(right)?);
    ensure!(
        a.file_type() == b.file_type(),
        "{} is of another kind",
        right.display()
    );
    if a.is_symlink() {
        ensure!(
            fs::read_link(left)? == fs::read_link(right)?,
            "{}: another target",
            right.display()
        );
        return Ok(());
    }
    if a.is_file() {
        ensure!(
            fs::read(left)? == fs::read(right)?,
            "{}: other bytes",
            right.display()
        );
    }
    if also.modes {
        ensure!(
            a.mode() == b.mode(),
            "{}: mode {:o}, not {:o}",
            right.display(),
            b.mode(),
            a.mode()
        );
    }
    if also.times {
        ensure!(
            a.mtime() == b.mtime(),
            "{}: mtime {}, not {}",
            right.display(),
            b.mtime(),
            a.mtime()
        );
    }
    Ok(())
}

/// Every path below `root`, relative to it.
pub fn entries(root: &Path) -> Result<BTreeMap<PathBuf, fs::FileType>> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        let path = root.join(&folder);
        for entry in
            fs::read_dir(&path).with_context(|| format!("cannot list {}", path.display()))?
        {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(name.clone());
            }
            found.insert(name, kind);
        }
    }
    Ok(found)
}
