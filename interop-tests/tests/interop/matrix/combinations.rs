//! The list of combinations: groups that cross a few settings each.

use crate::inputs::{Fill, Inputs, lengths};
use anyhow::Result;
use std::path::PathBuf;

/// Configuration of a repo: a profile and values below `Import`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repo {
    pub profile: Option<&'static str>,
    pub values: &'static [(&'static str, &'static str)],
}

/// One call of `add` on both sides.
#[derive(Debug)]
pub struct Combination {
    pub repo: Repo,
    pub flags: Vec<String>,
    /// The inputs are directories, added one at a time.
    pub folders: bool,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Files(Fill, Vec<u64>),
    /// Number of entries, and the length of each name.
    Folders(Vec<(usize, usize)>),
}

impl Combination {
    /// The paths of the inputs, made when missing.
    pub fn inputs(&self, inputs: &Inputs) -> Result<Vec<PathBuf>> {
        match &self.wanted {
            Wanted::Files(fill, lengths) => lengths
                .iter()
                .map(|length| inputs.file(*fill, *length))
                .collect(),
            Wanted::Folders(folders) => folders
                .iter()
                .map(|(entries, name)| inputs.folder(*entries, *name))
                .collect(),
        }
    }
}

const DEFAULT: Repo = Repo {
    profile: None,
    values: &[],
};
const V0: Repo = Repo {
    profile: Some("unixfs-v0-2015"),
    values: &[],
};
const V1: Repo = Repo {
    profile: Some("unixfs-v1-2025"),
    values: &[],
};

/// CID version and raw leaves, in every form that decides between the two.
const VERSIONS: [&str; 6] = [
    "",
    "--cid-version=0",
    "--cid-version=1",
    "--raw-leaves",
    "--cid-version=1 --raw-leaves=false",
    "--cid-version=0 --raw-leaves=true",
];

const LAYOUTS: [&str; 2] = ["", "--trickle"];

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// All combinations.
pub fn all() -> Vec<Combination> {
    [
        fixed_chunks(),
        cut_by_content(),
        hashes(),
        inlining(),
        file_links(),
        metadata(),
        directories(),
        directory_metadata(),
        configured(),
        refused(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn files(repo: &Repo, flags: &[&str], fill: Fill, lengths: Vec<u64>) -> Combination {
    Combination {
        repo: repo.clone(),
        flags: split(flags),
        folders: false,
        wanted: Wanted::Files(fill, lengths),
    }
}

fn folders(repo: &Repo, flags: &[&str], sizes: &[(usize, usize)]) -> Combination {
    Combination {
        repo: repo.clone(),
        flags: split(flags),
        folders: true,
        wanted: Wanted::Folders(sizes.to_vec()),
    }
}

fn split(flags: &[&str]) -> Vec<String> {
    flags
        .iter()
        .flat_map(|flags| flags.split_whitespace())
        .map(str::to_owned)
        .collect()
}

fn fixed_chunks() -> Vec<Combination> {
    let mut all = Vec::new();
    for repo in [&DEFAULT, &V0, &V1] {
        let links = if *repo == V1 { 1024 } else { 174 };
        for (chunker, chunk) in [
            ("", if *repo == V1 { MIB } else { 256 * KIB }),
            ("--chunker=size-1", 1),
            ("--chunker=size-32", 32),
            ("--chunker=size-1000", 1000),
            ("--chunker=size-2096896", 2_096_896),
        ] {
            for layout in LAYOUTS {
                for version in VERSIONS {
                    // The third level of a tree is reached by the smallest chunks, in the two
                    // settings that differ in every block.
                    let limit = match (chunk, version) {
                        (1, _) => 2_000,
                        (32, "" | "--cid-version=1") => MIB,
                        (32 | 1000, _) => 400_000,
                        _ => 5 * MIB,
                    };
                    let lengths = lengths(chunk, links, limit);
                    all.push(files(
                        repo,
                        &[chunker, layout, version],
                        Fill::Random,
                        lengths,
                    ));
                }
            }
        }
    }
    all
}

fn cut_by_content() -> Vec<Combination> {
    let mut all = Vec::new();
    for (chunker, min, max) in [
        ("rabin", 87_381, 393_216),
        ("rabin-16-32-64", 16, 64),
        ("rabin-1000-2000-5000", 1_000, 5_000),
        ("rabin-4096", 1_365, 6_144),
        ("rabin-20000-131072-262144", 20_000, 262_144),
        ("buzhash", 131_072, 524_288),
    ] {
        let flag = format!("--chunker={chunker}");
        for fill in [Fill::Random, Fill::Zeros, Fill::Repeated] {
            for layout in LAYOUTS {
                for version in ["", "--cid-version=1"] {
                    let mut wanted = vec![0, 1, 15, 16, 17, 31, 32, 33];
                    for edge in [min, max, 2 * max] {
                        wanted.extend([edge - 1, edge, edge + 1]);
                    }
                    wanted.push(if min < 1_000 { 100_000 } else { 3 * MIB + 7 });
                    all.push(files(&DEFAULT, &[&flag, layout, version], fill, wanted));
                }
            }
        }
    }
    all
}

/// Every function that Kubo computes, with the shortest and longest digests it allows, on raw and
/// dag-pb leaves. It lists keccak-224, keccak-384 and shorter blake2s as well, but has no code for
/// them.
fn hashes() -> Vec<Combination> {
    let names = [
        "sha2-256",
        "sha2-512",
        "sha1",
        "sha3-224",
        "sha3-256",
        "sha3-384",
        "sha3-512",
        "shake-256",
        "keccak-256",
        "keccak-512",
        "dbl-sha2-256",
        "blake3",
        "blake2b-160",
        "blake2b-168",
        "blake2b-256",
        "blake2b-384",
        "blake2b-504",
        "blake2b-512",
        "blake2s-256",
    ];
    let lengths = || {
        vec![
            0, 1, 63, 64, 65, 127, 128, 129, 135, 136, 137, 1000, 4096, 300_000,
        ]
    };
    let mut all = Vec::new();
    for name in names {
        let flag = format!("--hash={name}");
        all.push(files(&DEFAULT, &[&flag], Fill::Random, lengths()));
        all.push(files(
            &DEFAULT,
            &[&flag, "--raw-leaves=false --chunker=size-1000 --trickle"],
            Fill::Random,
            lengths(),
        ));
        all.push(folders(&DEFAULT, &[&flag], &[(0, 3), (5, 3)]));
    }
    all
}

fn inlining() -> Vec<Combination> {
    let mut all = Vec::new();
    let lengths = || {
        vec![
            0, 1, 25, 26, 30, 31, 32, 33, 34, 119, 120, 126, 127, 128, 129, 1000,
        ]
    };
    for limit in [
        "",
        "--inline-limit=1",
        "--inline-limit=33",
        "--inline-limit=127",
        "--inline-limit=128",
    ] {
        for version in VERSIONS {
            let flags = ["--inline", limit, version];
            all.push(files(&DEFAULT, &flags, Fill::Random, lengths()));
        }
        for layout in [
            "--chunker=size-32",
            "--chunker=size-32 --trickle",
            "--hash=blake3",
            "--mode=0644",
        ] {
            let flags = ["--inline", limit, "--cid-version=1", layout];
            all.push(files(&DEFAULT, &flags, Fill::Random, lengths()));
        }
        all.push(folders(
            &DEFAULT,
            &["--inline --cid-version=1", limit],
            &[(0, 3), (1, 3), (4, 3)],
        ));
        all.push(folders(
            &V1,
            &["--inline", limit],
            &[(0, 3), (1, 3), (4, 3)],
        ));
    }
    all
}

fn file_links() -> Vec<Combination> {
    let mut all = Vec::new();
    for links in [2, 3, 5, 11, 174, 1024] {
        let flag = format!("--max-file-links={links}");
        for layout in LAYOUTS {
            for version in ["", "--cid-version=1"] {
                let flags = [flag.as_str(), "--chunker=size-100", layout, version];
                let mut lengths = lengths(100, links, 400_000);
                // Sizes inside the deeper levels of a trickle tree.
                lengths.extend([12_345, 54_321, 99_999]);
                all.push(files(&DEFAULT, &flags, Fill::Random, lengths));
            }
        }
    }
    all
}

fn metadata() -> Vec<Combination> {
    let mut all = Vec::new();
    for flags in [
        "--mode=0644",
        "--mode=0000",
        "--mode=07777",
        "--mode=07000 --cid-version=1",
        "--mtime=1700000000",
        "--mtime=1700000000 --mtime-nsecs=5",
        "--mtime=1 --mtime-nsecs=999999999",
        "--mtime=-1",
        "--mode=0755 --mtime=1700000000 --mtime-nsecs=123456789",
    ] {
        for repo in [&DEFAULT, &V1] {
            for layout in LAYOUTS {
                let lengths = lengths(1000, 174, 400_000);
                let flags = [flags, layout, "--chunker=size-1000"];
                all.push(files(repo, &flags, Fill::Random, lengths));
            }
        }
    }
    all
}

const SIZES: [(usize, usize); 8] = [
    (0, 4),
    (1, 4),
    (7, 4),
    (30, 4),
    (31, 4),
    (200, 6),
    (1_000, 30),
    (3_000, 60),
];

fn directories() -> Vec<Combination> {
    let mut all = Vec::new();
    for repo in [&DEFAULT, &V1] {
        for links in [
            "",
            "--max-directory-links=7",
            "--max-directory-links=32",
            "--max-directory-links=1000",
        ] {
            for fanout in [
                "",
                "--max-hamt-fanout=8",
                "--max-hamt-fanout=64",
                "--max-hamt-fanout=1024",
            ] {
                all.push(folders(repo, &[links, fanout], &SIZES[..7]));
            }
        }
    }
    for fanout in [16, 32, 128, 256, 512] {
        let flag = format!("--max-hamt-fanout={fanout}");
        all.push(folders(
            &DEFAULT,
            &[&flag, "--max-directory-links=5 -w"],
            &SIZES[..6],
        ));
    }
    for flags in [
        "",
        "--cid-version=1",
        "--max-hamt-fanout=8",
        "--max-directory-links=2000",
    ] {
        for repo in [&DEFAULT, &V1] {
            // Above both thresholds, at the default fan-out.
            all.push(folders(repo, &[flags], &SIZES[7..]));
        }
    }
    all
}

fn directory_metadata() -> Vec<Combination> {
    let mut all = Vec::new();
    for flags in [
        "--preserve-mode",
        "--preserve-mtime",
        "--preserve-mode --preserve-mtime",
        "--mode=0700",
    ] {
        for links in ["", "--max-directory-links=6"] {
            for repo in [&DEFAULT, &V1] {
                all.push(folders(repo, &[flags, links], &[(0, 4), (7, 4), (200, 6)]));
            }
        }
    }
    all
}

/// Settings that only the configuration has.
fn configured() -> Vec<Combination> {
    const REPOS: [&[(&str, &str)]; 9] = [
        &[("UnixFSHAMTDirectorySizeThreshold", "\"256B\"")],
        &[
            ("UnixFSHAMTDirectorySizeThreshold", "\"256B\""),
            ("UnixFSHAMTDirectorySizeEstimation", "\"block\""),
        ],
        &[
            ("UnixFSHAMTDirectorySizeThreshold", "\"2KiB\""),
            ("UnixFSHAMTDirectorySizeEstimation", "\"block\""),
            ("CidVersion", "1"),
            ("UnixFSHAMTDirectoryMaxFanout", "16"),
        ],
        &[("UnixFSHAMTDirectorySizeEstimation", "\"disabled\"")],
        &[
            ("UnixFSDAGLayout", "\"trickle\""),
            ("UnixFSChunker", "\"size-500\""),
        ],
        &[
            ("CidVersion", "1"),
            ("UnixFSRawLeaves", "false"),
            ("UnixFSFileMaxLinks", "5"),
        ],
        &[
            ("HashFunction", "\"blake3\""),
            ("UnixFSChunker", "\"rabin-64-128-256\""),
        ],
        &[
            ("UnixFSDirectoryMaxLinks", "10"),
            ("UnixFSHAMTDirectoryMaxFanout", "8"),
        ],
        &[
            ("UnixFSRawLeaves", "true"),
            ("UnixFSHAMTDirectorySizeThreshold", "\"1KiB\""),
        ],
    ];
    let mut all = Vec::new();
    for values in REPOS {
        let repo = Repo {
            profile: None,
            values,
        };
        all.push(files(&repo, &[], Fill::Random, lengths(500, 5, 20_000)));
        all.push(files(
            &repo,
            &["--cid-version=1"],
            Fill::Random,
            lengths(500, 5, 20_000),
        ));
        for flags in [
            "",
            "--cid-version=1",
            "--max-hamt-fanout=32",
            "--mode=0750 --mtime=12",
        ] {
            all.push(folders(&repo, &[flags], &THRESHOLDS));
        }
    }
    all
}

/// Entries around thresholds of 256 bytes, 1 KiB and 2 KiB by either estimate.
const THRESHOLDS: [(usize, usize); 16] = [
    (2, 8),
    (3, 8),
    (4, 8),
    (5, 8),
    (6, 8),
    (7, 8),
    (17, 20),
    (18, 20),
    (19, 20),
    (20, 20),
    (24, 4),
    (25, 4),
    (36, 20),
    (37, 20),
    (38, 20),
    (100, 5),
];

/// Settings that Kubo refuses, or takes in a way that is easily got wrong.
fn refused() -> Vec<Combination> {
    [
        "--cid-version=0 --hash=blake3",
        "--cid-version=2",
        "--hash=md5",
        "--hash=identity",
        "--hash=murmur3-x64-64",
        "--hash=blake2b-152",
        "--hash=blake2b-8",
        "--chunker=size-0",
        "--chunker=size-2096897",
        "--chunker=size-x",
        "--chunker=rabin-15-32-64",
        "--chunker=rabin-64-32-16",
        "--chunker=rabin-1-2",
        "--chunker=rabin-min:16-avg:32-max:64",
        "--chunker=fixed",
        "--inline --inline-limit=129",
        "--inline-limit=0 --inline",
        "--raw-leaves --mode=0644",
        "--mtime-nsecs=5",
        "--mtime=1 --mtime-nsecs=1000000000",
        "--max-hamt-fanout=7",
        "--max-hamt-fanout=2048",
        "--max-file-links=0",
    ]
    .iter()
    .map(|flags| files(&DEFAULT, &[flags], Fill::Random, vec![0, 20, 500, 300_000]))
    .collect()
}
