//! CIDs that Kubo itself gave, for settings and sizes around every boundary.
//!
//! `vectors/kubo-0.43.0.txt` says how each line was made.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use std::collections::HashMap;

use ipfs_kit_blockstore::{HashFunction, HashSpec, Version};
use ipfs_kit_unixfs::directory::{Directory, DirectoryBuilder, Progress, Target};
use ipfs_kit_unixfs::hamt::Fanout;
use ipfs_kit_unixfs::{CidSpec, ImportOptions, Layout, Mtime, SizeEstimate};

mod driver;
use driver::add_file;

const VECTORS: &str = include_str!("vectors/kubo-0.43.0.txt");

#[test]
fn every_line_gives_the_cid_that_kubo_gave() {
    let stream = xorshift_bytes(3_000_000);
    let (mut files, mut directories) = (0, 0);
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, settings, size, expected] = fields[..] else {
            panic!("{line}");
        };
        let settings = Settings::parse(settings);
        let size: usize = size.parse().unwrap();
        if kind == "file" {
            let options = settings.import.file(settings.mode, settings.mtime);
            let root = add_file(&stream[..size], &options).root;
            assert_eq!(root.cid.to_string(), expected, "{line}");
            files += 1;
        } else {
            assert_eq!(directory(&settings, size), expected, "{line}");
            directories += 1;
        }
    }
    assert_eq!((files, directories), (325, 285));
}

/// Builds the directory at once and entry by entry.
fn directory(settings: &Settings, size: usize) -> String {
    let options = settings.import.directory(settings.mode, settings.mtime);
    let mut whole = DirectoryBuilder::new(options.clone());
    let mut edited = Directory::new(options);
    for i in 0..size {
        let name = format!("entry-{i}");
        let options = settings.import.file(settings.mode, settings.mtime);
        let file = add_file((i * i).to_string().as_bytes(), &options).root;
        whole
            .insert(name.as_bytes(), file.cid.clone(), file.tsize)
            .unwrap();
        let target = Target {
            cid: file.cid,
            tsize: file.tsize,
        };
        assert_eq!(
            edited.insert(name.as_bytes(), target),
            Ok(Progress::Done(None))
        );
    }
    let root = whole.finish(&mut |_| {}).unwrap();
    assert_eq!(edited.write(&mut |_| {}).unwrap(), root);
    root.cid.to_string()
}

struct Settings {
    import: ImportOptions,
    mode: Option<u32>,
    mtime: Option<Mtime>,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let given: HashMap<&str, &str> = text
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let get = |key: &str, default: &'static str| {
            given.get(key).copied().unwrap_or(default).to_owned()
        };
        let function = HashFunction::from_name(&get("hash", "sha2-256")).unwrap();
        let version = match &*get("v", "0") {
            "1" => Version::V1,
            _ => Version::V0,
        };
        let inline = given.get("inline").map(|limit| limit.parse().unwrap());
        let import = ImportOptions {
            cid: CidSpec::new(version, HashSpec::new(function, None).unwrap(), inline).unwrap(),
            raw_leaves: get("raw", "0") == "1",
            chunker: get("chunker", "size-262144").parse().unwrap(),
            layout: match &*get("trickle", "0") {
                "1" => Layout::Trickle,
                _ => Layout::Balanced,
            },
            file_max_links: get("links", "174").parse().unwrap(),
            directory_max_links: get("dirlinks", "0").parse().unwrap(),
            fanout: Fanout::new(get("fanout", "256").parse().unwrap()).unwrap(),
            threshold: get("threshold", "262144").parse().unwrap(),
            estimate: match &*get("estimate", "links") {
                "block" => SizeEstimate::Block,
                "disabled" => SizeEstimate::Disabled,
                _ => SizeEstimate::Links,
            },
        };
        let mtime = given.get("mtime").map(|text| {
            let (seconds, nanos) = text.split_once('.').unwrap_or((text, "0"));
            Mtime {
                seconds: seconds.parse().unwrap(),
                nanos: nanos.parse().unwrap(),
            }
        });
        Self {
            import,
            mode: given
                .get("mode")
                .map(|octal| u32::from_str_radix(octal, 8).unwrap()),
            mtime,
        }
    }
}

/// The numbers of xorshift64 from a fixed start, little-endian.
fn xorshift_bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
