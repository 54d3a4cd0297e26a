//! `swarm filters`: address ranges that are neither dialled nor let in.

use ipfs_kit_node::address_range;
use serde_json::Value;

use super::Lines;
use crate::command::{Argument, Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::config::load;

/// `ipfs-kit swarm filters`
pub const COMMAND: Command = Command {
    name: "filters",
    tagline: "Manipulate address filters",
    about: "Lists the currently applied filters. Subcommands add or remove them. Filters are\n\
            specified using the multiaddr-filter format:\n\
            \n\
            \x20   /ip4/192.168.0.0/ipcidr/16\n\
            \n\
            Where the above is equivalent to the standard CIDR 192.168.0.0/16. Filters default to\n\
            those of the config key Swarm.AddrFilters, where changes are kept too. Connections that\n\
            are open stay open.",
    subcommands: &[&LS, &ADD, &RM],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List address filters; the same as 'swarm filters'",
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Add an address filter",
    about: "The filter takes effect at once and is kept in the config. The output is what was added.",
    arguments: &[Argument::line("address", "Multiaddr to filter").many()],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove an address filter",
    about: "The range is open at once and leaves the config. 'all' or '*' removes every filter. The\n\
            output is what the config had.",
    arguments: &[Argument::line("address", "Multiaddr filter to remove").many()],
    records: &[Shape::of::<Lines>()],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

const KEY: &str = "Swarm.AddrFilters";

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let strings = invocation.wait(node.peers()?.filters())?;
    Lines { strings }.emit(invocation)?;
    invocation.close(node)
}

/// The arguments in their one form, each once.
fn ranges(arguments: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut ranges = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let range = address_range(&argument)?;
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    Ok(ranges)
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let asked = ranges(invocation.arguments()?)?;
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut file = load(invocation)?;
    let kept = configured(&file.get(KEY).map_err(Failure::failed)?);
    for range in &asked {
        invocation.wait(peers.add_filter(range))?;
    }
    let old = kept.into_iter().filter(|old| !same_as_any(old, &asked));
    let listed: Vec<String> = asked.iter().cloned().chain(old).collect();
    file.set(KEY, listed.into()).map_err(Failure::failed)?;
    Lines { strings: asked }.emit(invocation)?;
    invocation.close(node)
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let arguments = invocation.arguments()?;
    let all = matches!(arguments.first().map(String::as_str), Some("all" | "*"));
    let asked = if all { Vec::new() } else { ranges(arguments)? };
    let node = invocation.node()?;
    let peers = node.peers()?;
    let mut file = load(invocation)?;
    let kept = configured(&file.get(KEY).map_err(Failure::failed)?);
    let open = if all {
        invocation.wait(peers.filters())?
    } else {
        asked.clone()
    };
    for range in &open {
        invocation.wait(peers.remove_filter(range))?;
    }
    let (gone, kept): (Vec<String>, Vec<String>) = kept
        .into_iter()
        .partition(|old| all || same_as_any(old, &asked));
    if !gone.is_empty() {
        file.set(KEY, kept.into()).map_err(Failure::failed)?;
    }
    Lines { strings: gone }.emit(invocation)?;
    invocation.close(node)
}

fn configured(value: &Value) -> Vec<String> {
    let texts = value.as_array().into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a configured range, written in whatever form, is one of `ranges`.
fn same_as_any(configured: &str, ranges: &[String]) -> bool {
    address_range(configured).is_ok_and(|range| ranges.contains(&range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_one_form() {
        let asked = ["/ip4/10.1.2.3/ipcidr/8", "/ip4/10.0.0.0/ipcidr/8"].map(str::to_owned);
        assert_eq!(ranges(asked.into()).unwrap(), ["/ip4/10.0.0.0/ipcidr/8"]);
        assert!(same_as_any(
            "/ip4/10.9.9.9/ipcidr/8",
            &["/ip4/10.0.0.0/ipcidr/8".to_owned()]
        ));
        for bad in ["10.0.0.0/8", "/ip4/10.0.0.0", "/ip4/1.1.1.1/ipcidr/33", ""] {
            let error = ranges(vec![bad.to_owned()]).unwrap_err().to_string();
            assert!(error.contains("a range looks like"), "{error}");
        }
    }
}
