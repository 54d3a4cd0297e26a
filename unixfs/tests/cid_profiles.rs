//! Published CIDs of the two import profiles.
//!
//! `vectors/cid-profiles.json` holds the vectors of IPIP-499 and of Kubo's
//! `test/cli/cid_profiles_test.go`.

#![allow(clippy::unwrap_used, reason = "a test may stop anywhere")]

use bytes::Bytes;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use ipfs_kit_blockstore::HashSpec;
use ipfs_kit_unixfs::directory::DirectoryBuilder;
use ipfs_kit_unixfs::{FileBuilder, ImportOptions, LeafEncoder, Profile};
use serde_json::Value;

mod driver;
use driver::add_file;

const VECTORS: &str = include_str!("vectors/cid-profiles.json");
const ALPHABET: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";

#[test]
fn small_inputs() {
    let mut checked = 0;
    for case in array(&vectors()["small"]) {
        for profile in ["unixfs-v0-2015", "unixfs-v1-2025"] {
            let options = options(profile);
            let cid = match text(&case["content"]) {
                "empty directory" => directory(&options, &[]),
                content => add_file(content.as_bytes(), &options.file(None, None))
                    .root
                    .cid
                    .to_string(),
            };
            assert_eq!(cid, text(&case[profile]), "{profile} {case}");
            checked += 1;
        }
    }
    assert_eq!(checked, 6);
}

/// Files of one seed are prefixes of one stream, so the longest is generated and hashed once and
/// every file takes what it shares with it.
#[test]
fn generated_files() {
    let vectors = vectors();
    let files = array(&vectors["files"]);
    let mut seeds: Vec<(&str, &str)> = files
        .iter()
        .map(|file| (text(&file["profile"]), text(&file["seed"])))
        .collect();
    seeds.dedup();
    let mut checked = 0;
    for (profile, seed) in seeds {
        let cases: Vec<(u64, &str)> = files
            .iter()
            .filter(|file| text(&file["seed"]) == seed)
            .map(|file| (file["bytes"].as_u64().unwrap(), text(&file["cid"])))
            .collect();
        let sizes: Vec<u64> = cases.iter().map(|case| case.0).collect();
        for (found, (bytes, expected)) in stream_cids(profile, seed, &sizes).iter().zip(&cases) {
            assert_eq!(found, expected, "{profile} {seed} {bytes}");
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
}

#[test]
fn generated_directories() {
    let vectors = vectors();
    let cases = array(&vectors["directories"]["cases"]);
    for case in cases {
        let names = directory_names(case);
        let cid = directory(&options(text(&case["profile"])), &names);
        assert_eq!(cid, text(&case["cid"]), "{case}");
    }
    assert_eq!(cases.len(), 4);
}

/// CIDs of the files that are the first bytes of one stream; `sizes` ascend by less than a chunk.
fn stream_cids(profile: &str, seed: &str, sizes: &[u64]) -> Vec<String> {
    let options = options(profile).file(None, None);
    let leaves = LeafEncoder::new(&options);
    let chunk_len = options.chunker.max_len().unwrap() as u64;
    let mut stream = stream(seed);
    let mut files: Vec<_> = sizes
        .iter()
        .map(|_| FileBuilder::new(&options).unwrap())
        .collect();
    let mut inner = Vec::new();
    let mut offset = 0;
    while offset < sizes[sizes.len() - 1] {
        let mut chunk = vec![0; chunk_len as usize];
        stream.apply_keystream(&mut chunk);
        let chunk = Bytes::from(chunk);
        let (whole, _) = leaves.leaf(chunk.clone(), false).unwrap();
        for (file, &size) in files.iter_mut().zip(sizes) {
            if size >= offset + chunk_len {
                file.push(whole.clone(), &mut inner).unwrap();
            } else if size > offset {
                let tail = chunk.slice(..(size - offset) as usize);
                let (leaf, _) = leaves.leaf(tail, false).unwrap();
                file.push(leaf, &mut inner).unwrap();
            }
        }
        inner.clear();
        offset += chunk_len;
    }
    let finish = |file: FileBuilder| file.finish(&mut Vec::new()).unwrap().cid.to_string();
    files.into_iter().map(finish).collect()
}

fn directory_names(case: &Value) -> Vec<Vec<u8>> {
    let mut stream = stream(text(&case["seed"]));
    let entries = case["entries"].as_u64().unwrap();
    let length = case["name_length"].as_u64().unwrap();
    let last = case["last_name_length"].as_u64().unwrap_or(length);
    (1..=entries)
        .map(|i| {
            let mut name = vec![0; if i == entries { last } else { length } as usize];
            stream.apply_keystream(&mut name);
            name.iter()
                .map(|&b| ALPHABET[b as usize % ALPHABET.len()])
                .collect()
        })
        .collect()
}

/// A directory in which every file holds the single byte `x`.
fn directory(options: &ImportOptions, names: &[Vec<u8>]) -> String {
    let file = add_file(b"x", &options.file(None, None)).root;
    let mut builder = DirectoryBuilder::new(options.directory(None, None));
    for name in names {
        builder.insert(name, file.cid.clone(), file.tsize).unwrap();
    }
    builder.finish(&mut |_| {}).unwrap().cid.to_string()
}

fn options(profile: &str) -> ImportOptions {
    ImportOptions::from_profile(profile.parse::<Profile>().unwrap())
}

/// ChaCha20 keystream under the SHA-256 of the seed, nonce and counter zero.
fn stream(seed: &str) -> chacha20::ChaCha20 {
    let key = HashSpec::SHA2_256.digest(seed.as_bytes()).unwrap();
    let key: [u8; 32] = key.digest().try_into().unwrap();
    chacha20::ChaCha20::new(&key.into(), &[0; 12].into())
}

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
