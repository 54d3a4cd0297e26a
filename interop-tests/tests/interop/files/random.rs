//! Sequences of calls drawn by a seed.

use super::{Pair, noise};
use anyhow::{Context, Result};
use ipfs_kit_interop_tests::{Peer, scratch};

const NAMES: [&str; 5] = ["a", "b", "c", "dir", "e"];
const SIZES: [usize; 8] = [0, 1, 100, 4096, 262_143, 262_144, 262_145, 600_000];

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        (0..depth)
            .map(|_| format!("/{}", self.pick(&NAMES)))
            .collect()
    }

    fn flags(&mut self, of: &[&str]) -> String {
        let kept = of.iter().filter(|_| self.below(3) == 0);
        kept.copied().collect()
    }
}

#[test]
fn drawn_sequences_give_what_kubo_gives() -> Result<()> {
    for seed in 1..=3 {
        let place = scratch::in_memory()?;
        let (ours, kubo) = Peer::pair(place.path())?;
        let mut pair = Pair::start(&ours, &kubo)?;
        let mut draw = Draw(seed * 0x1234_5678_9abc_def1);
        for step in 0..200 {
            one(&mut pair, &mut draw, step).with_context(|| format!("seed {seed}, step {step}"))?;
        }
    }
    Ok(())
}

fn one(pair: &mut Pair, draw: &mut Draw, step: u64) -> Result<()> {
    let (path, other) = (draw.path(), draw.path());
    match draw.below(20) {
        0..=2 => {
            let flags = draw.flags(&["&parents=true", "&cid-version=1", "&flush=false"]);
            pair.change(&format!("files/mkdir?arg={path}{flags}"), None)
        }
        3..=9 => {
            let flags = draw.flags(&[
                "&parents=true",
                "&truncate=true",
                "&cid-version=1",
                "&raw-leaves=true",
                "&flush=false",
            ]);
            let (offset, len) = (
                SIZES[draw.below(SIZES.len())],
                SIZES[draw.below(SIZES.len())],
            );
            let offset = if draw.below(2) == 0 { 0 } else { offset };
            let call = format!("files/write?arg={path}&create=true&offset={offset}{flags}");
            pair.change(&call, Some(&noise(step, len)))
        }
        10 => pair.change(&format!("files/rm?arg={path}"), None),
        11 => {
            let flags = draw.flags(&["&recursive=true", "&force=true"]);
            pair.change(&format!("files/rm?arg={path}{flags}"), None)
        }
        12 | 13 => {
            // Into itself: Kubo loses the directory, so nobody does that.
            if other.starts_with(&path) {
                return Ok(());
            }
            let slash = draw.pick(&["", "/"]);
            pair.change(&format!("files/mv?arg={path}&arg={other}{slash}"), None)
        }
        14 | 15 => {
            let flags = draw.flags(&["&parents=true", "&force=true"]);
            pair.change(&format!("files/cp?arg={path}&arg={other}{flags}"), None)
        }
        16 => pair.change(&format!("files/chmod?arg=0640&arg={path}"), None),
        17 => {
            let options = draw.pick(&["&cid-version=1", "&cid-version=0", "&hash=sha2-512"]);
            pair.change(&format!("files/chcid?arg={path}{options}"), None)
        }
        18 => {
            pair.call(&format!("files/read?arg={path}"), None)?;
            pair.call(&format!("files/stat?arg={path}"), None).map(drop)
        }
        _ => {
            pair.change("files/flush", None)?;
            pair.call(&format!("files/ls?arg={path}&long=true"), None)
                .map(drop)
        }
    }
}
