//! Measures the binary against Kubo and prints the table of the design.
//!
//! `cargo xtask bench` builds both sides first.

use anyhow::{Result, bail};
use clap::Parser;
use ipfs_kit_interop_tests::Side;
use ipfs_kit_interop_tests::bench::fetch::contest::Holders;
use ipfs_kit_interop_tests::bench::fetch::options::{FetchOptions, Kind, size};
use ipfs_kit_interop_tests::bench::rows::{Row, Sizes};
use ipfs_kit_interop_tests::bench::stage::Stage;
use ipfs_kit_interop_tests::bench::{alone, contest, daemon, fetch, limits, rpc, slow, table};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    about = "Measure ipfs-kit against Kubo",
    after_help = "Rows: add-1g add-1g-v1 add-tree cat-1g get-tree gc-tree pin-ls files-dir files-tree, the figures \
                  limits, million, stream, disk-use, rpc, uploads, slow, daemon, and fetch-file, fetch-tree, fetch-links or \
                  all three as fetch."
)]
struct Options {
    /// Only these rows, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A tenth of the sizes and three runs.
    #[arg(long)]
    quick: bool,
    /// Bytes of the large file, for instance 64MiB.
    #[arg(long, value_parser = size)]
    size: Option<u64>,
    /// Files of the tree.
    #[arg(long)]
    files: Option<usize>,
    /// Files written into the mutable file system.
    #[arg(long)]
    mfs_files: Option<usize>,
    /// Runs of each side; the goals ask for five or more.
    #[arg(long)]
    runs: Option<usize>,
    /// Only `disk` or only `tmpfs`.
    #[arg(long)]
    place: Option<String>,
    /// A directory on the disk to measure; target/scratch if not given.
    #[arg(long)]
    disk_dir: Option<PathBuf>,
    #[command(flatten)]
    fetch: FetchOptions,
}

const FIGURES: [&str; 8] = [
    "limits", "million", "stream", "disk-use", "rpc", "uploads", "slow", "daemon",
];

/// All rows about fetching.
const FETCH: &str = "fetch";

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    for name in &options.only {
        let known = Row::ALL.iter().any(|row| row.name() == name)
            || Kind::ALL.iter().any(|kind| kind.name() == name)
            || FIGURES.contains(&name.as_str())
            || name == FETCH;
        if !known {
            bail!("no row `{name}`; see --help");
        }
    }
    let places: &[bool] = match options.place.as_deref() {
        None => &[false, true],
        Some("disk") => &[false],
        Some("tmpfs") => &[true],
        Some(other) => bail!("no place `{other}`: disk or tmpfs"),
    };
    let mut sizes = if options.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    };
    sizes.file = options.size.unwrap_or(sizes.file);
    sizes.mfs = options.mfs_files.unwrap_or(sizes.mfs);
    sizes.files = options.files.unwrap_or(sizes.files);
    let mut failed = 0;
    for in_memory in places {
        failed += measure(&options, *in_memory, sizes)?;
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("{failed} measurements failed");
        ExitCode::FAILURE
    })
}

/// Whether the row is asked for.
fn wants(options: &Options, name: &str) -> bool {
    options.only.is_empty() || options.only.iter().any(|only| only == name)
}

/// Measures in one place; gives how many measurements failed.
fn measure(options: &Options, in_memory: bool, sizes: Sizes) -> Result<usize> {
    let runs = options.runs.unwrap_or(if options.quick { 3 } else { 5 });
    let wanted = |name: &str| wants(options, name);
    let mut stage = Stage::new(in_memory, options.disk_dir.as_deref(), sizes)?;
    let place = if in_memory { "tmpfs" } else { "disk" };
    println!(
        "\n## On {place} ({}), medians of {runs}\n",
        stage.path().display()
    );
    let mut outcomes = Vec::new();
    for row in Row::ALL.into_iter().filter(|row| wanted(row.name())) {
        if outcomes.is_empty() {
            println!("{}", table::head());
        }
        let outcome = contest::run(&mut stage, row, runs)?;
        println!("{}", table::row(&outcome, &sizes, in_memory));
        outcomes.push(outcome);
    }
    if wanted("limits") {
        let limits = limits::measure(stage.path(), sizes.file, runs)?;
        println!("\n{}", table::limits(&limits, &outcomes, &sizes));
    }
    if wanted("million") {
        let (blocks, answers) = alone::answers(&mut stage, &sizes)?;
        println!("\n{}", table::answers(blocks, &answers));
    }
    if wanted("disk-use") {
        let ours = alone::disk(&mut stage, Side::Ours, &sizes)?;
        let kubo = alone::disk(&mut stage, Side::Kubo, &sizes)?;
        println!("\n{}", table::disk(ours, kubo, &sizes));
    }
    // Two repos of this size would not fit into the memory of many machines.
    if wanted("stream") && !in_memory {
        let ours = alone::stream(&mut stage, Side::Ours, &sizes)?;
        let kubo = alone::stream(&mut stage, Side::Kubo, &sizes)?;
        println!("\n{}", table::memory(&ours, Some(&kubo), &sizes));
    }
    if wanted("rpc") {
        println!();
        rpc::run(&mut stage, runs)?;
    }
    // Nor would all the uploads at full size.
    if wanted("uploads") && (!in_memory || options.quick) {
        println!("\n{}", rpc::uploads(&mut stage)?);
    }
    if wanted("slow") {
        println!();
        slow::run(&mut stage)?;
    }
    if wanted("daemon") {
        println!("\n{}", daemon::run(&mut stage)?);
    }
    exchange(options, &mut stage, (in_memory, runs), &sizes)
}

/// The rows about fetching; gives how many measurements failed.
fn exchange(
    options: &Options,
    stage: &mut Stage,
    (in_memory, runs): (bool, usize),
    sizes: &Sizes,
) -> Result<usize> {
    let wanted = |kind: &Kind| wants(options, FETCH) || wants(options, kind.name());
    let pairs = options.fetch.pairs();
    let mut holders = Holders::new();
    let mut all = Vec::new();
    for kind in Kind::ALL.into_iter().filter(wanted) {
        let mut measured = Vec::new();
        for cell in options.fetch.cells(kind, in_memory) {
            if measured.is_empty() {
                println!("\n{}", fetch::table::head(&pairs));
            }
            let rules = (runs, options.fetch.limit());
            let outcomes = fetch::contest::run(stage, &mut holders, &cell, &pairs, rules, sizes)?;
            println!("{}", fetch::table::row(&cell, &outcomes, sizes, in_memory));
            measured.push((cell, outcomes));
        }
        if kind == Kind::Links {
            println!("\n{}", fetch::table::links(&measured, sizes));
        }
        all.append(&mut measured);
    }
    holders.spend(stage)?;
    if !all.is_empty() {
        println!("\n{}", fetch::table::details(&all, sizes));
    }
    Ok(all
        .iter()
        .flat_map(|(_, outcomes)| outcomes)
        .map(|outcome| outcome.failures.len())
        .sum())
}
