//! The published vectors of both import profiles, through the command line.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::stream::{Stream, write_file};
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use serde::Deserialize;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
struct Vectors {
    files: Vec<FileCase>,
    directories: Directories,
    small: Vec<Small>,
}

#[derive(Deserialize)]
struct FileCase {
    profile: String,
    seed: String,
    bytes: u64,
    cid: String,
}

#[derive(Deserialize)]
struct Directories {
    cases: Vec<DirectoryCase>,
}

#[derive(Deserialize)]
struct DirectoryCase {
    profile: String,
    seed: String,
    entries: usize,
    name_length: usize,
    last_name_length: Option<usize>,
    cid: String,
}

#[derive(Deserialize)]
struct Small {
    content: String,
    #[serde(rename = "unixfs-v0-2015")]
    v0: String,
    #[serde(rename = "unixfs-v1-2025")]
    v1: String,
}

const NAME_BYTES: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";

#[test]
fn all_published_cids_are_equal() -> Result<()> {
    let vectors: Vectors = serde_json::from_str(include_str!("../../vectors/cid-profiles.json"))?;
    let place = scratch::in_memory()?;
    let mut checked = 0;
    for case in &vectors.files {
        let file = place.path().join("file");
        write_file(&file, &case.seed, case.bytes)?;
        equal(place.path(), &case.profile, &file, &case.cid, &mut checked)?;
    }
    for case in &vectors.directories.cases {
        let folder = place.path().join("folder");
        make_folder(&folder, case)?;
        equal(
            place.path(),
            &case.profile,
            &folder,
            &case.cid,
            &mut checked,
        )?;
        fs::remove_dir_all(&folder)?;
    }
    assert_eq!(checked, 12);
    for case in &vectors.small {
        let path = place.path().join("small");
        match case.content.as_str() {
            "empty directory" => fs::create_dir(&path)?,
            content => fs::write(&path, content)?,
        }
        equal(
            place.path(),
            "unixfs-v0-2015",
            &path,
            &case.v0,
            &mut checked,
        )?;
        equal(
            place.path(),
            "unixfs-v1-2025",
            &path,
            &case.v1,
            &mut checked,
        )?;
        if path.is_file() {
            fs::remove_file(&path)?;
        }
    }
    assert_eq!(checked, 18);
    Ok(())
}

fn equal(place: &Path, profile: &str, input: &Path, cid: &str, checked: &mut usize) -> Result<()> {
    let repo = place.join(profile);
    let peer = if repo.exists() {
        Peer::at(Side::Ours, repo)?
    } else {
        let peer = Peer::init(Side::Ours, repo)?;
        peer.run(["config", "profile", "apply", profile])?;
        peer
    };
    let input = input.to_str().context("the path is not UTF-8")?;
    let got = peer.text(["add", "-n", "-r", "-Q", input])?;
    ensure!(got == cid, "{profile} {input}: {got}, not {cid}");
    *checked += 1;
    Ok(())
}

fn make_folder(folder: &Path, case: &DirectoryCase) -> Result<()> {
    fs::create_dir(folder)?;
    let mut stream = Stream::new(&case.seed);
    for index in 0..case.entries {
        let last = index + 1 == case.entries;
        let length = case
            .last_name_length
            .filter(|_| last)
            .unwrap_or(case.name_length);
        let name: String = stream
            .take(length)
            .into_iter()
            .map(|byte| char::from(NAME_BYTES[usize::from(byte) % NAME_BYTES.len()]))
            .collect();
        fs::write(folder.join(name), b"x")?;
    }
    Ok(())
}
