//! `version check`: whether peers run a newer version.

use schemars::JsonSchema;
use serde::Serialize;

use super::VERSION;
use crate::command::{Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::id;
use crate::output::Record;

/// `ipfs-kit version check`
pub const COMMAND: Command = Command {
    name: "check",
    tagline: "Compare the version with those of connected peers",
    about: "Looks at what connected peers call their programs. Peers that do not run ipfs-kit are passed\n\
            over; nobody else is asked.",
    options: &[Opt::int(
        &["min-percent", "t"],
        "Percentage (1-100) of sampled peers with the new version needed to trigger an update warning",
    )
    .default("5")],
    records: &[Shape::of::<Checked>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Checked {
    update_available: bool,
    running_version: String,
    greatest_version: String,
    peers_sampled: usize,
    with_greater_version: usize,
}

impl Record for Checked {
    const NAME: &'static str = "VersionCheckOutput";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let percent = invocation.int("min-percent").unwrap_or_default();
    let node = invocation.node()?;
    let peers = node.peers()?;
    let percent = usize::try_from(percent).ok();
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    let percent = percent.ok_or_else(|| Failure::failed("--min-percent is between 1 and 100"))?;
    let peers = invocation.wait(peers.list())?;
    let agents = peers
        .iter()
        .filter_map(|peer| peer.agent_version.as_deref());
    let checked = check(VERSION, agents, percent);
    let text = text(&checked);
    invocation
        .out
        .emit(|| checked, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}

fn check<'a>(running: &str, agents: impl Iterator<Item = &'a str>, percent: usize) -> Checked {
    let own = numbers(running);
    let name = id::AGENT.split('/').next().unwrap_or_default();
    let (mut sampled, mut newer, mut greatest) = (0, 0, (own, running));
    for agent in agents {
        let mut parts = agent.split('/');
        let (Some(program), Some(version)) = (parts.next(), parts.next()) else {
            continue;
        };
        let Some(found) = numbers(version).filter(|_| program == name) else {
            continue;
        };
        sampled += 1;
        newer += usize::from(Some(found) > own);
        if Some(found) > greatest.0 {
            greatest = (Some(found), version);
        }
    }
    Checked {
        update_available: newer > 0 && newer * 100 >= percent * sampled,
        running_version: running.to_owned(),
        greatest_version: greatest.1.to_owned(),
        peers_sampled: sampled,
        with_greater_version: newer,
    }
}

/// The numbers of a version, `1.2.3`, whatever follows them.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let numbers = version.split(['-', '+']).next()?;
    let mut parts = numbers.splitn(3, '.').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some([next()?, next()?, next()?])
}

fn text(checked: &Checked) -> String {
    let Checked {
        running_version,
        greatest_version,
        peers_sampled,
        with_greater_version,
        ..
    } = checked;
    if checked.update_available {
        return format!(
            "This node runs {running_version}, which is outdated: {with_greater_version} of {peers_sampled} peers \
             run a newer version, up to {greatest_version}\n"
        );
    }
    format!("This node runs {running_version}, as new as the {peers_sampled} sampled peers need\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_told_when_enough_peers_have_it() {
        let agents = [
            "ipfs-kit/0.1.0",
            "ipfs-kit/0.2.0-dev/x",
            "kubo/9.0.0",
            "ipfs-kit/x",
            "ipfs-kit",
            "",
        ];
        let checked = |percent| check("0.1.0", agents.into_iter(), percent);
        assert_eq!(
            checked(50),
            Checked {
                update_available: true,
                running_version: "0.1.0".to_owned(),
                greatest_version: "0.2.0-dev".to_owned(),
                peers_sampled: 2,
                with_greater_version: 1,
            }
        );
        assert!(!checked(51).update_available);
        let alone = check("0.1.0", std::iter::empty(), 1);
        assert_eq!((alone.update_available, alone.peers_sampled), (false, 0));
        assert_eq!(alone.greatest_version, "0.1.0");
    }
}
