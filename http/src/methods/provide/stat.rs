//! `provide stat`: what announcing is doing, in Kubo's sections.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;

mod record;
#[cfg(test)]
mod tests;
mod text;

use record::record;
use text::{Section, Sections, text};

/// `ipfs-kit provide stat`
pub const COMMAND: Command = Command {
    name: "stat",
    tagline: "Show statistics about the provide system",
    about: "A brief summary by default; --all shows every section, and each section has a flag of its\n\
            own. Numbers are those of the public DHT, or with --lan of the one of private addresses.",
    options: &[
        Opt::flag(&["lan"], "Show stats for LAN DHT only"),
        Opt::flag(&["all", "a"], "Display all provide sweep stats"),
        Opt::flag(
            &["compact"],
            "Display stats in 2-column layout (requires --all)",
        ),
        Opt::flag(&["connectivity"], "Display DHT connectivity status"),
        Opt::flag(
            &["network"],
            "Display network stats (peers, reachability, region size)",
        ),
        Opt::flag(
            &["schedule"],
            "Display reprovide schedule (CIDs/regions scheduled, next reprovide time)",
        ),
        Opt::flag(
            &["timings"],
            "Display timing information (uptime, cycle start, reprovide interval)",
        ),
        Opt::flag(
            &["workers"],
            "Display worker pool stats (active/available/queued workers)",
        ),
        Opt::flag(
            &["operations"],
            "Display operation stats (ongoing/past provides, rates, errors)",
        ),
        Opt::flag(&["queues"], "Display provide and reprovide queue sizes"),
    ],
    records: &[Shape::of::<record::Stats>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// Replicas of a record.
const REPLICAS: u64 = 20;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let wan = !invocation.flag("lan");
    let asked = Sections {
        all: invocation.flag("all"),
        chosen: Section::ALL
            .iter()
            .copied()
            .filter(|section| invocation.flag(section.flag()))
            .collect(),
        compact: invocation.flag("compact"),
    };
    if asked.compact && !asked.all {
        return Err(Failure::failed("--compact requires --all flag"));
    }
    let node = invocation.node()?;
    let stat = invocation.wait(node.provide()?.stat(wan))?;
    let now = SystemTime::now();
    let text = text(&stat, &asked, now);
    invocation.out.emit(
        || record(&stat, now),
        |out| out.extend_from_slice(text.as_bytes()),
    )?;
    invocation.close(node)
}
