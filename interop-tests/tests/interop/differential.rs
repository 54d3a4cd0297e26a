//! The RPC beside Kubo's: thousands of requests to both daemons, right and wrong ones, and what
//! comes back has to be the same but for a short list of differences that are meant.

mod accepted;
mod compare;
mod life;
mod probes;
mod protocol;
mod uploads;
mod valid;
mod wire;
mod world;

use accepted::{ACCEPTED, Accepted};
use anyhow::{Result, ensure};
use compare::{Depth, Difference, Facet, differences};
use ipfs_kit_interop_tests::scratch;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use wire::Ask;
use world::World;

/// Requests that are under way at a time.
const PARALLEL: usize = 8;

/// Fewest requests, so that none get lost without notice.
const LEAST: usize = 3_000;

/// A request and how far its answers are compared.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is called in the list of accepted differences.
    pub name: String,
    /// What is sent.
    pub ask: Ask,
    /// How far the answers have to agree.
    pub depth: Depth,
}

impl Case {
    /// A case that is called as its method and target.
    pub fn new(ask: Ask, depth: Depth) -> Case {
        Case {
            name: format!("{} {}", ask.method, ask.target),
            ask,
            depth,
        }
    }

    /// The same, with a word behind its name.
    pub fn told(mut self, word: &str) -> Case {
        self.name = format!("{} {word}", self.name);
        self
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings {
    sent: usize,
    differences: Vec<(String, Difference)>,
}

impl Findings {
    fn add(&mut self, case: &Case, found: Vec<Difference>) {
        self.sent += 1;
        let named = found.into_iter().map(|found| (case.name.clone(), found));
        self.differences.extend(named);
    }
}

#[test]
fn the_rpc_answers_as_kubo_does() -> Result<()> {
    let start = Instant::now();
    let place = scratch::in_memory()?;
    let mut world = World::new(place.path())?;
    let mut findings = Findings::default();
    in_order(&world, &world::content(), &mut findings)?;
    world.learn()?;
    for groups in [
        valid::cases(&world)
            .into_iter()
            .map(|case| vec![case])
            .collect(),
        protocol::cases(&world)
            .into_iter()
            .map(|case| vec![case])
            .collect(),
        probes::cases(&world)?,
    ] {
        in_parallel(&world, &groups, &mut findings)?;
    }
    in_order(&world, &life::cases(&world), &mut findings)?;
    in_order(&world, &uploads::cases(&world), &mut findings)?;
    let took = start.elapsed().as_secs_f64();
    println!(
        "differential: {} requests to both in {took:.1} s",
        findings.sent
    );
    ensure!(findings.sent >= LEAST, "only {} requests", findings.sent);
    judge(findings.differences)
}

fn in_order(world: &World, cases: &[Case], findings: &mut Findings) -> Result<()> {
    for case in cases {
        findings.add(case, ask(world, case)?);
    }
    Ok(())
}

/// Groups at the same time, the cases of each in order.
fn in_parallel(world: &World, groups: &[Vec<Case>], findings: &mut Findings) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, Findings)>> {
        let mut all = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(cases) = groups.get(index) else {
                return Ok(all);
            };
            let mut found = Findings::default();
            in_order(world, cases, &mut found)?;
            all.push((index, found));
        }
    };
    let mut all = std::thread::scope(|scope| -> Result<Vec<_>> {
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().expect("a worker panicked")?);
        }
        Ok(all)
    })?;
    all.sort_by_key(|(index, _)| *index);
    for (_, found) in all {
        findings.sent += found.sent;
        findings.differences.extend(found.differences);
    }
    Ok(())
}

fn ask(world: &World, case: &Case) -> Result<Vec<Difference>> {
    let kubo = case.ask.send(world.kubo())?;
    let ours = case.ask.send(world.ours())?;
    Ok(differences(&ours, &kubo, case.depth))
}

/// Most errors whose words may be others than Kubo's.
const TEXTS_MAX: usize = 700;

/// Every difference has to be accepted, and what is accepted has to be there.
fn judge(differences: Vec<(String, Difference)>) -> Result<()> {
    let mut used = vec![0usize; ACCEPTED.len()];
    let mut texts = 0;
    let mut wrong = Vec::new();
    for (name, difference) in differences {
        texts += usize::from(difference.facet == Facet::Text);
        let known = ACCEPTED
            .iter()
            .position(|accepted| accepted.covers(&name, &difference));
        match known {
            Some(index) => used[index] += 1,
            None => wrong.push(format!(
                "{name}\n{:?}: {}",
                difference.facet, difference.detail
            )),
        }
    }
    for (accepted, used) in ACCEPTED.iter().zip(&used) {
        let Accepted { case, reason, .. } = accepted;
        println!("accepted {used:>5} x {case}: {reason}");
        if *used == 0 {
            wrong.push(format!(
                "no difference any more, take it off the list: {case}"
            ));
        }
    }
    println!("differential: {texts} errors in other words than Kubo's");
    ensure!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    ensure!(texts <= TEXTS_MAX, "{texts} errors have other words");
    Ok(())
}
