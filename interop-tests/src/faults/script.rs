//! The scripted commands that are struck at each of their system calls.

use super::child::crashed;
use super::content::Content;
use super::job::{Job, Kind, Pin, path_text};
use super::options::make_busy;
use super::oracle::Oracle;
use crate::Peer;
use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::fs;
use std::path::Path;

/// A repo as it is before, and the commands that are struck.
pub struct Script {
    /// The name in reports.
    pub name: &'static str,
    /// The repo to start from; absent when the first command makes it.
    pub template: Option<Peer>,
    /// What the template holds.
    pub oracle: Oracle,
    /// The commands, in order.
    pub jobs: Vec<Job>,
}

/// All scripts. Templates and inputs are made inside `place` with the binary of `peer`.
pub fn all(peer: &Peer, place: &Path) -> Result<Vec<Script>> {
    Ok(vec![
        init_and_add(place)?,
        add_tree(peer, place)?,
        pins(peer, place)?,
        collect(peer, place)?,
        import(peer, place)?,
        rollover(peer, place)?,
    ])
}

fn init_and_add(place: &Path) -> Result<Script> {
    let file = Content::file("script/first", 700_000);
    Ok(Script {
        name: "init, add a file",
        template: None,
        oracle: Oracle::default(),
        jobs: vec![
            Job::new(Kind::Init, &["init", "--profile=test"]),
            Job::add(file, place, "first", &[])?,
        ],
    })
}

fn add_tree(peer: &Peer, place: &Path) -> Result<Script> {
    let (template, oracle) = template(peer, place, "tree", 2)?;
    let tree = Content::tree(&mut StdRng::seed_from_u64(7), "script/tree", 9, 3);
    Ok(Script {
        name: "add a tree",
        template: Some(template),
        oracle,
        jobs: vec![Job::add(tree, place, "a-tree", &[])?],
    })
}

fn pins(peer: &Peer, place: &Path) -> Result<Script> {
    let (template, mut oracle) = template(peer, place, "pins", 4)?;
    let roots: Vec<String> = oracle.pinned.keys().cloned().collect();
    let (old, kept) = (&roots[0], &roots[1]);
    let mut first = Job::new(Kind::PinRm, &["pin", "rm", old]);
    first.unpins.push(old.clone());
    let again = pin_again(old, &oracle)?;
    let mut last = Job::new(Kind::PinRm, &["pin", "rm", kept]);
    last.unpins.push(kept.clone());
    let named = pin_again(kept, &oracle)?;
    oracle.look(&template)?;
    Ok(Script {
        name: "pin rm, pin add",
        template: Some(template),
        oracle,
        jobs: vec![first, again, last, named],
    })
}

fn pin_again(cid: &str, oracle: &Oracle) -> Result<Job> {
    let content = oracle.pinned.get(cid).context("the template holds it")?;
    let mut job = Job::new(Kind::PinAdd, &["pin", "add", "--name=kept", cid]);
    job.pins.push(Pin {
        name: cid.to_owned(),
        cid: Some(cid.to_owned()),
        content: content.clone(),
    });
    Ok(job)
}

/// A repo in which nearly everything is dead, so that collecting it compacts.
fn collect(peer: &Peer, place: &Path) -> Result<Script> {
    let (template, mut oracle) = template(peer, place, "gc", 8)?;
    let dead: Vec<String> = oracle.pinned.keys().skip(2).cloned().collect();
    let mut job = Job::new(Kind::PinRm, &["pin", "rm"]);
    job.args.extend(dead.iter().cloned());
    job.unpins = dead;
    perform(&template, &job, &mut oracle)?;
    Ok(Script {
        name: "repo gc with compaction",
        template: Some(template),
        oracle,
        jobs: vec![Job::new(Kind::Gc, &["repo", "gc", "--silent"])],
    })
}

fn import(peer: &Peer, place: &Path) -> Result<Script> {
    let (template, oracle) = template(peer, place, "import", 2)?;
    let source = peer.beside(place.join("source"))?;
    let tree = Content::tree(&mut StdRng::seed_from_u64(9), "script/car", 12, 2);
    let job = Job::add(tree.clone(), place, "to-export", &["--quieter"])?;
    let cid = source.text(&job.args)?;
    let car = place.join("script.car");
    fs::write(
        &car,
        source.run(["dag", "export", "--progress=false", &cid])?,
    )?;
    let mut job = Job::new(Kind::Import, &["dag", "import", &path_text(&car)?]);
    job.pins.push(Pin {
        name: cid.clone(),
        cid: Some(cid),
        content: tree,
    });
    Ok(Script {
        name: "dag import",
        template: Some(template),
        oracle,
        jobs: vec![job],
    })
}

/// Segments so small that one file needs several.
fn rollover(peer: &Peer, place: &Path) -> Result<Script> {
    let (template, oracle) = template(peer, place, "rollover", 3)?;
    make_busy(&template)?;
    let file = Content::file("script/rollover", 9 << 20);
    Ok(Script {
        name: "add over several segments",
        template: Some(template),
        oracle,
        jobs: vec![Job::add(file, place, "rollover", &[])?],
    })
}

/// A repo with `files` small pinned files.
fn template(peer: &Peer, place: &Path, name: &str, files: usize) -> Result<(Peer, Oracle)> {
    let template = peer.beside(place.join(format!("template-{name}")))?;
    let mut oracle = Oracle::of_new(&template)?;
    for index in 0..files {
        let content = Content::file(format!("script/{name}/{index}"), 150_000 * (index + 1));
        let job = Job::add(
            content,
            place,
            &format!("{name}{index}"),
            &["--chunker=size-65536"],
        )?;
        perform(&template, &job, &mut oracle)?;
        job.clean();
    }
    oracle.look(&template)?;
    Ok((template, oracle))
}

/// Runs a job that must succeed.
pub fn perform(peer: &Peer, job: &Job, oracle: &mut Oracle) -> Result<()> {
    let output = job.command(peer)?.output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && !crashed(output.status, &stderr),
        "{:?} ended with {}: {stderr}",
        job.args,
        output.status
    );
    oracle.take(job, true, &output.stdout)
}

/// Copies a directory with everything in it.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
