//! Every setting that decides a CID, alone and combined, on both binaries.

mod combinations;

use crate::inputs::Inputs;
use anyhow::{Context, Result, ensure};
use combinations::{Combination, Repo};
use ipfs_kit_interop_tests::{Peer, Side, scratch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The number of combinations, so that none can vanish unseen.
const COMBINATIONS: usize = 567;

/// The CIDs that Kubo gives to them, and how many of them it refuses.
const CIDS: usize = 7_074;
const REFUSED: usize = 45;

/// What a binary said to one combination and its inputs.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Cids(Vec<String>),
    /// Ended with an error: both must refuse the same settings.
    Refused,
}

#[test]
fn every_combination_gives_the_same_cids() -> Result<()> {
    let place = scratch::in_memory()?;
    let inputs = Inputs::new(place.path())?;
    let combinations = combinations::all();
    assert_eq!(combinations.len(), COMBINATIONS, "combinations");
    let mut repos = Repos::default();
    let mut differences = Vec::new();
    let (mut cids, mut refused) = (0, 0);
    for combination in &combinations {
        let (ours, kubo) = repos.pair(place.path(), &combination.repo)?;
        let paths = combination.inputs(&inputs)?;
        let ask = |peer: &Peer| answer(peer, combination, &paths);
        let (a, b) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| ask(ours));
            (ask(kubo), ours.join().expect("the thread does not panic"))
        });
        let (kubo, ours) = (a?, b?);
        match &kubo {
            Answer::Cids(found) => cids += found.len(),
            Answer::Refused => refused += 1,
        }
        if kubo != ours {
            differences.push(describe(combination, &paths, &ours, &kubo));
        }
    }
    println!(
        "matrix: {} combinations, {cids} CIDs compared, {refused} combinations refused by both",
        combinations.len()
    );
    ensure!(
        differences.is_empty(),
        "{} differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    // A harness whose every add fails on both sides would also find no difference.
    assert_eq!(
        (cids, refused),
        (CIDS, REFUSED),
        "CIDs compared, combinations refused"
    );
    Ok(())
}

fn answer(peer: &Peer, combination: &Combination, paths: &[PathBuf]) -> Result<Answer> {
    // With -n Kubo ignores links and fan-out of the uppermost directory, and fails to set a mode
    // or a time: only what it stores can be compared.
    let mut args = vec![
        "add",
        if combination.folders {
            "--pin=false"
        } else {
            "-n"
        },
    ];
    args.extend(combination.flags.iter().map(String::as_str));
    let paths = paths
        .iter()
        .map(|path| path.to_str().context("the path is not UTF-8"))
        .collect::<Result<Vec<_>>>()?;
    if !combination.folders {
        args.push("-q");
        args.extend(paths);
        let output = peer.output(&args)?;
        return Ok(said(output.status.success(), output.stdout));
    }
    args.extend(["-r", "-Q"]);
    let mut cids = Vec::new();
    for path in paths {
        let output = peer.output(args.iter().copied().chain([path]))?;
        match said(output.status.success(), output.stdout) {
            Answer::Cids(found) => cids.extend(found),
            Answer::Refused => return Ok(Answer::Refused),
        }
    }
    Ok(Answer::Cids(cids))
}

fn said(success: bool, stdout: Vec<u8>) -> Answer {
    if !success {
        return Answer::Refused;
    }
    Answer::Cids(
        String::from_utf8_lossy(&stdout)
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

fn describe(combination: &Combination, paths: &[PathBuf], ours: &Answer, kubo: &Answer) -> String {
    let head = format!("{:?} add {}", combination.repo, combination.flags.join(" "));
    let (Answer::Cids(a), Answer::Cids(b)) = (ours, kubo) else {
        return format!("{head}: ours {ours:?}, kubo {kubo:?}");
    };
    let differing: Vec<String> = paths
        .iter()
        .enumerate()
        .filter(|(index, _)| a.get(*index) != b.get(*index))
        .map(|(index, path)| {
            let name = path.file_name().unwrap_or_default().display();
            format!("  {name}: ours {:?}, kubo {:?}", a.get(index), b.get(index))
        })
        .collect();
    format!(
        "{head}: {} of {} inputs\n{}",
        differing.len(),
        paths.len(),
        differing.join("\n")
    )
}

/// A pair of repos for each set of configuration values.
#[derive(Default)]
struct Repos {
    pairs: BTreeMap<Repo, (Peer, Peer)>,
}

impl Repos {
    fn pair(&mut self, place: &Path, repo: &Repo) -> Result<(&Peer, &Peer)> {
        if !self.pairs.contains_key(repo) {
            let place = place.join(format!("repo-{}", self.pairs.len()));
            std::fs::create_dir(&place)?;
            let pair = (
                configured(Peer::init(Side::Ours, place.join("ours"))?, repo)?,
                configured(Peer::init(Side::Kubo, place.join("kubo"))?, repo)?,
            );
            self.pairs.insert(repo.clone(), pair);
        }
        let (ours, kubo) = &self.pairs[repo];
        Ok((ours, kubo))
    }
}

fn configured(peer: Peer, repo: &Repo) -> Result<Peer> {
    if let Some(profile) = repo.profile {
        peer.run(["config", "profile", "apply", profile])?;
    }
    for (key, value) in repo.values {
        peer.run(["config", "--json", &format!("Import.{key}"), value])?;
    }
    Ok(peer)
}
