//! "Did you mean": commands that are spelled like an unknown one.

use ipfs_kit_http::command::Command;
use ipfs_kit_http::failure::Failure;

/// The error for a word that is no command, with the nearest commands.
pub fn unknown_command(root: &'static Command, word: &str) -> Failure {
    let mut near: Vec<(usize, &str)> = root
        .subcommands
        .iter()
        .map(|command| (distance(word, command.name), command.name))
        .filter(|(distance, name)| *distance <= 3 || name.contains(word) && word.len() > 1)
        .collect();
    near.sort_unstable();
    let mut message = format!("Unknown Command {word:?}");
    match near.as_slice() {
        [] => message.push_str("\n\nSee 'ipfs-kit --help' for the list of commands"),
        [_] => message.push_str("\n\nDid you mean this?\n"),
        _ => message.push_str("\n\nDid you mean any of these?\n"),
    }
    for (_, name) in near {
        message.push_str("\n\t");
        message.push_str(name);
    }
    Failure::failed(message)
}

/// Edit distance between two words, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // Longer words cannot be typos of our short names; the bound keeps the work small.
    if a.chars().count() > 40 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ROOT;

    #[test]
    fn distances() {
        assert_eq!(distance("add", "add"), 0);
        assert_eq!(distance("ad", "add"), 1);
        assert_eq!(distance("dda", "add"), 2);
        assert_eq!(distance("", "add"), 3);
    }

    #[test]
    fn near_commands_are_named() {
        let message = unknown_command(&ROOT, "ad").to_string();
        assert!(message.contains("\tadd"), "{message}");
        let none = unknown_command(&ROOT, "zzzzzzzzzz").to_string();
        assert!(none.contains("--help"), "{none}");
    }
}
