//! Real trees and a made one: the full output of `add -r`, and what `get` puts back.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::tree::{self, Also};
use ipfs_kit_interop_tests::{Peer, data, scratch};
use std::fs;
use std::path::Path;

/// Settings under which a whole tree is compared.
const SETTINGS: [&str; 8] = [
    "",
    "--cid-version=1",
    "--hidden --preserve-mode --preserve-mtime",
    "--raw-leaves --trickle -w",
    "--hidden --cid-version=1 --inline --inline-limit=64 --max-hamt-fanout=16",
    "--hidden --cid-version=1 --chunker=size-1048576 --max-directory-links=200",
    "--empty-dirs=false --hash=blake3",
    "--ignore=*.js --ignore=/e* --chunker=buzhash",
];

#[test]
fn date_fns_is_equal_under_all_settings() -> Result<()> {
    lines_are_equal(&data::date_fns()?, &SETTINGS, 5_000)
}

#[test]
fn mui_icons_is_equal() -> Result<()> {
    lines_are_equal(
        &data::mui_icons()?,
        &["", "--cid-version=1 --preserve-mode"],
        60_000,
    )
}

#[test]
fn rust_src_is_equal() -> Result<()> {
    lines_are_equal(
        &data::rust_src()?,
        &["", "--cid-version=1 --inline --hidden"],
        30_000,
    )
}

#[test]
fn a_tree_of_odd_names_and_kinds_is_equal_under_all_settings() -> Result<()> {
    let place = scratch::in_memory()?;
    let odd = place.path().join("odd");
    fs::create_dir(&odd)?;
    tree::make_odd(&odd)?;
    lines_are_equal(&odd, &SETTINGS, 15)?;
    lines_are_equal(&odd, &["--dereference-args", "--hidden --quiet"], 15)
}

#[test]
fn trees_come_back_as_they_were() -> Result<()> {
    let place = scratch::in_memory()?;
    let odd = place.path().join("odd");
    fs::create_dir(&odd)?;
    tree::make_odd(&odd)?;
    let plain = Also::default();
    let kept = Also {
        modes: true,
        times: true,
    };
    let mut entries = 0;
    for (source, flags, also) in [
        (odd.as_path(), "--hidden", plain),
        (
            odd.as_path(),
            "--hidden --preserve-mode --preserve-mtime",
            kept,
        ),
        (&data::date_fns()?, "--hidden --cid-version=1", plain),
        (&data::rust_src()?, "--hidden", plain),
        (
            &data::mui_icons()?,
            "--hidden --preserve-mode --max-directory-links=50",
            Also {
                modes: true,
                times: false,
            },
        ),
    ] {
        entries += comes_back(source, flags, also)?;
    }
    println!("trees: {entries} entries came back");
    ensure!(entries > 100_000, "only {entries} entries were compared");
    Ok(())
}

fn lines_are_equal(source: &Path, settings: &[&str], least: usize) -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let path = source.to_str().context("the path is not UTF-8")?;
    for setting in settings {
        // With -n Kubo ignores links and fan-out of the uppermost directory, and fails to set a
        // mode or a time: only what it stores can be compared.
        let mut args = vec!["add", "--pin=false", "-r"];
        args.extend(setting.split_whitespace());
        args.push(path);
        let (a, b) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| ours.run(&args));
            (
                kubo.run(&args),
                ours.join().expect("the thread does not panic"),
            )
        });
        let (expected, got) = (a?, b?);
        let lines = same_lines(&expected, &got).with_context(|| format!("{args:?}"))?;
        let filtered = setting.contains("--ignore");
        ensure!(
            filtered || lines >= least,
            "only {lines} lines for {args:?}"
        );
    }
    Ok(())
}

fn same_lines(expected: &[u8], got: &[u8]) -> Result<usize> {
    let split = |bytes: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    };
    if expected == got {
        return Ok(split(expected).len());
    }
    let (expected, got) = (split(expected), split(got));
    for (index, line) in expected.iter().enumerate() {
        let found = got.get(index).map_or("nothing", String::as_str);
        ensure!(
            line == found,
            "line {}: kubo `{line}`, ours `{found}`",
            index + 1
        );
    }
    ensure!(
        got.len() == expected.len(),
        "{} lines, kubo {}",
        got.len(),
        expected.len()
    );
    // Names that are not UTF-8 are shown with U+FFFD, where Kubo passes their bytes on.
    Ok(got.len())
}

/// Adds with both binaries and takes the tree out of ours; and ours takes out what Kubo exported.
fn comes_back(source: &Path, flags: &str, also: Also) -> Result<usize> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let path = source.to_str().context("the path is not UTF-8")?;
    let mut args = vec!["add", "-r", "-Q"];
    args.extend(flags.split_whitespace());
    args.push(path);
    let cid = ours.text(&args)?;
    ensure!(cid == kubo.text(&args)?, "{path} {flags}: another CID");
    let out = place.path().join("out");
    ours.run(["get", &cid, "-o", out.to_str().context("not UTF-8")?])?;
    tree::compare(source, &out, also)
}
