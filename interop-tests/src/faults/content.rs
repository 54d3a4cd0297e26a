//! What is put into repos: bytes that can be made again from a seed, so that nothing has to be kept
//! to know what must come back.

use crate::{Peer, stream::Stream};
use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use std::fs;
use std::path::{Path, PathBuf};

/// A file or a tree of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// One file.
    File(Bytes),
    /// Files by their path inside the tree, in order of the paths.
    Tree(Vec<(String, Bytes)>),
}

/// The first bytes of the stream of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    seed: String,
    length: usize,
}

impl Bytes {
    fn make(&self) -> Vec<u8> {
        Stream::new(&self.seed).take(self.length)
    }
}

impl Content {
    /// One file of `length` bytes.
    pub fn file(seed: impl Into<String>, length: usize) -> Self {
        let seed = seed.into();
        Content::File(Bytes { seed, length })
    }

    /// A tree of `files` small files, `shared` of which are in other trees as well.
    pub fn tree(rng: &mut StdRng, seed: &str, files: usize, shared: usize) -> Self {
        let mut tree: Vec<(String, Bytes)> = (0..files)
            .map(|index| {
                let bytes = Bytes {
                    seed: format!("{seed}/{index}"),
                    length: log_uniform(rng, 1, 20_000),
                };
                (format!("d{}/f{index}", index % 7), bytes)
            })
            .collect();
        tree.extend((0..shared).map(|index| {
            let bytes = Bytes {
                seed: format!("shared/{index}"),
                length: index * 300,
            };
            (format!("shared/s{index}"), bytes)
        }));
        tree.sort_by(|a, b| a.0.cmp(&b.0));
        Content::Tree(tree)
    }

    /// Writes it to `place` under `name`.
    pub fn write(&self, place: &Path, name: &str) -> Result<PathBuf> {
        let path = place.join(name);
        match self {
            Content::File(bytes) => fs::write(&path, bytes.make())?,
            Content::Tree(files) => {
                for (inner, bytes) in files {
                    let file = path.join(inner);
                    fs::create_dir_all(file.parent().context("a file has a parent")?)?;
                    fs::write(file, bytes.make())?;
                }
            }
        }
        Ok(path)
    }

    /// What `path` inside the content named `name` is, as `add` prints it.
    pub fn at(&self, name: &str, path: &str) -> Option<Content> {
        if path == name {
            return Some(self.clone());
        }
        let inner = path.strip_prefix(name)?.strip_prefix('/')?;
        match self {
            Content::File(_) => None,
            Content::Tree(files) => files
                .iter()
                .find(|(file, _)| file == inner)
                .map(|(_, bytes)| Content::File(bytes.clone())),
        }
    }

    /// Reads every byte of it back from `cid`.
    pub fn check(&self, peer: &Peer, cid: &str) -> Result<()> {
        let mut args = vec!["cat".to_owned()];
        match self {
            Content::File(_) => args.push(cid.to_owned()),
            Content::Tree(files) => {
                args.extend(files.iter().map(|(path, _)| format!("{cid}/{path}")))
            }
        }
        self.check_bytes(&peer.run(args)?, cid)
    }

    /// Compares what `cat` of all its files gave.
    pub fn check_bytes(&self, got: &[u8], cid: &str) -> Result<()> {
        let expected = match self {
            Content::File(bytes) => bytes.make(),
            Content::Tree(files) => files.iter().flat_map(|(_, bytes)| bytes.make()).collect(),
        };
        ensure!(
            got == expected,
            "{cid} gives {} bytes that differ from the {} put in (first at {:?})",
            got.len(),
            expected.len(),
            got.iter().zip(&expected).position(|(a, b)| a != b)
        );
        Ok(())
    }
}

/// A number whose logarithm is spread evenly: as many small ones as large ones.
pub fn log_uniform(rng: &mut StdRng, low: usize, high: usize) -> usize {
    let exponent = rng.random_range((low as f64).ln()..=(high as f64).ln());
    (exponent.exp() as usize).clamp(low, high)
}
