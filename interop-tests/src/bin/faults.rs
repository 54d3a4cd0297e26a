//! Breaks repos on purpose: kills, power cuts, full disks, failing calls, flipped bits.
//!
//! `cargo xtask faults ci` runs a share of everything; each kind runs by itself with a count of the
//! caller's choice, for instance `cargo xtask faults kill --count 10000`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use ipfs_kit_interop_tests::count::Count;
use ipfs_kit_interop_tests::faults::{
    Options, bitflip, diskfull, ioerror, kill, mfs, mount, powercut, syscalls,
};
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Break repos on purpose and check that nothing acknowledged is lost")]
struct Cli {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, PartialEq, Eq, Subcommand)]
enum What {
    /// kill -9 at random times (300 kills)
    Kill,
    /// kill -9 of a daemon while writers work in its file system (30 kills)
    Mfs,
    /// Garbage collections beside writers in the file system (--count seconds; 300, 5 in CI)
    MfsGc,
    /// Death at every call that changes state, of six scripts
    Syscalls,
    /// Loss of everything not synced, on ext4 and XFS (100 cuts; 20 for Kubo)
    Powercut,
    /// No space left, on tmpfs and ext4
    Diskfull,
    /// EIO, ENOSPC and short writes at every call of six scripts
    Ioerror,
    /// Flipped bits in every file of the block store and in the pins
    Bitflip,
    /// The share of all of the above that continuous integration runs
    Ci,
}

const ALL: [What; 8] = [
    What::Kill,
    What::Mfs,
    What::MfsGc,
    What::Syscalls,
    What::Powercut,
    What::Diskfull,
    What::Ioerror,
    What::Bitflip,
];

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    let seed = cli.options.fix_seed();
    println!("seed {seed}");
    let mut total = Count::default();
    let parts = if cli.what == What::Ci {
        &ALL[..]
    } else {
        &[cli.what]
    };
    let prepared = mount::isolate();
    for part in parts {
        let needs_mounts = matches!(part, What::Powercut | What::Diskfull);
        let outcome = match &prepared {
            Err(error) if needs_mounts => Err(anyhow::anyhow!("{error:#}")),
            _ => run(*part, &cli.options, seed, cli.what != What::Ci),
        };
        match outcome {
            Ok(count) => total.add(count),
            Err(error) => total.record("the harness itself", Err(error)),
        }
    }
    total.finish("faults")
}

/// `by_hand`: nothing else runs, so that times can be looked at.
fn run(what: What, options: &Options, seed: u64, by_hand: bool) -> Result<Count> {
    match what {
        What::Kill => kill::run(options, seed),
        What::Mfs => mfs::kill(options, seed),
        What::MfsGc => mfs::collect(options, seed, by_hand),
        What::Syscalls => syscalls::run(options, seed),
        What::Powercut => powercut::run(options, seed),
        What::Diskfull => diskfull::run(options, seed),
        What::Ioerror => ioerror::run(options, seed),
        What::Bitflip => bitflip::run(options, seed),
        What::Ci => Ok(Count::default()),
    }
}
