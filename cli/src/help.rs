//! `--help` and `-h`, made from the tables of commands.

use std::fmt::Write as _;

use ipfs_kit_http::command::{Argument, Command, Kind, Opt, dashed};

use crate::settings::GLOBALS;

const WIDTH: usize = 80;

/// The text of `-h`: usage and subcommands.
pub fn short(path: &[&'static Command]) -> String {
    let mut text = String::new();
    push_usage(&mut text, path);
    push_about(&mut text, path);
    push_subcommands(&mut text, path);
    let _ = writeln!(text, "Use '{} --help' for all options.", command_line(path));
    text
}

/// The text of `--help`: everything about a command.
pub fn long(path: &[&'static Command]) -> String {
    let mut text = String::new();
    let command = path[path.len() - 1];
    push_usage(&mut text, path);
    let arguments: Vec<(String, String)> = command
        .arguments
        .iter()
        .map(|argument| (argument_usage(argument), argument.about.to_owned()))
        .collect();
    push_section(&mut text, "ARGUMENTS", &arguments);
    push_section(&mut text, "OPTIONS", &option_rows(command.options));
    push_about(&mut text, path);
    push_subcommands(&mut text, path);
    push_section(&mut text, "GLOBAL OPTIONS", &option_rows(GLOBALS));
    if path.len() == 1 {
        text.push_str(ENVIRONMENT);
    }
    text
}

/// The one line shown below an error in the command line.
pub fn usage(path: &[&'static Command]) -> String {
    let mut text = String::from("USAGE\n");
    push_synopsis(&mut text, path);
    let _ = write!(
        text,
        "\nUse '{} --help' for all options.",
        command_line(path)
    );
    text
}

const ENVIRONMENT: &str = "ENVIRONMENT
  IPFS_KIT_PATH     Repo directory; else IPFS_PATH, else ~/.ipfs-kit
  IPFS_KIT_CONFIG   As --config
  IPFS_KIT_FORMAT   As --format
  IPFS_KIT_TIMEOUT  As --timeout
  IPFS_KIT_ROLE     As --role
  IPFS_KIT_API_URL  As --api-url
  A flag wins over the variable, the variable over the configuration file.

EXIT STATUS
  0    Successful execution
  1    Failed execution, or a wrong command line
  124  The time given with --timeout ran out
  130  Interrupted by SIGINT; 128 and the number for other signals
";

/// The words that run the command.
pub fn command_line(path: &[&'static Command]) -> String {
    let names: Vec<&str> = path.iter().map(|command| command.name).collect();
    names.join(" ")
}

fn push_usage(text: &mut String, path: &[&'static Command]) {
    let command = path[path.len() - 1];
    let _ = writeln!(
        text,
        "USAGE\n  {} - {}\n",
        command_line(path),
        command.tagline
    );
    push_synopsis(text, path);
    text.push('\n');
}

fn push_synopsis(text: &mut String, path: &[&'static Command]) {
    let command = path[path.len() - 1];
    let mut words: Vec<String> = command.options.iter().map(option_usage).collect();
    if !command.arguments.is_empty() {
        words.push("[--]".to_owned());
        words.extend(command.arguments.iter().map(argument_usage));
    }
    if command.run.is_none() {
        words.push("<subcommand>".to_owned());
    }
    let line = command_line(path);
    let mut column = line.len() + 2;
    let _ = write!(text, "  {line}");
    for word in words {
        if column + 1 + word.len() > WIDTH {
            column = line.len() + 2;
            let _ = write!(text, "\n{:column$}", "");
        }
        column += 1 + word.len();
        let _ = write!(text, " {word}");
    }
    text.push('\n');
}

fn option_usage(option: &Opt) -> String {
    if option.kind == Kind::Bool && option.default == "true" {
        return format!("[--{}=false]", option.name());
    }
    let mut names: Vec<String> = option.names.iter().map(|name| dashed(name)).collect();
    if option.kind != Kind::Bool {
        let _ = write!(names[0], "=<{}>", option.name());
    }
    let more = if option.kind == Kind::List { "..." } else { "" };
    format!("[{}]{more}", names.join(" | "))
}

/// An argument as usage lines show it.
pub fn argument_usage(argument: &Argument) -> String {
    let more = if argument.variadic { "..." } else { "" };
    let text = format!("<{}>{more}", argument.name);
    if argument.required {
        text
    } else {
        format!("[{text}]")
    }
}

fn option_rows(options: &[Opt]) -> Vec<(String, String)> {
    let row = |option: &Opt| {
        let mut names: Vec<&str> = option.names.to_vec();
        names.sort_by_key(|name| name.len());
        let names: Vec<String> = names.into_iter().map(dashed).collect();
        let default = match option.default {
            "" => String::new(),
            value => format!(" Default: {value}."),
        };
        let left = format!("{}  {}", names.join(", "), option.type_name());
        (
            left,
            format!("{}.{default}", option.about.trim_end_matches('.')),
        )
    };
    options.iter().map(row).collect()
}

fn push_about(text: &mut String, path: &[&'static Command]) {
    let about = path[path.len() - 1].about.trim();
    if about.is_empty() {
        return;
    }
    text.push_str("DESCRIPTION\n\n");
    for line in about.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}

fn push_subcommands(text: &mut String, path: &[&'static Command]) {
    let mut commands = path[path.len() - 1].subcommands.to_vec();
    commands.sort_by_key(|command| command.name);
    let rows: Vec<(String, String)> = commands
        .into_iter()
        .map(|command| {
            let mut left = format!("{} {}", command_line(path), command.name);
            for argument in command.arguments {
                let _ = write!(left, " {}", argument_usage(argument));
            }
            (left, command.tagline.to_owned())
        })
        .collect();
    push_section(text, "SUBCOMMANDS", &rows);
}

/// A titled list with two columns, the right one wrapped.
fn push_section(text: &mut String, title: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "{title}\n");
    let left = rows
        .iter()
        .map(|(left, _)| left.len())
        .max()
        .unwrap_or(0)
        .min(44);
    for (name, about) in rows {
        let _ = write!(text, "  {name:left$}  ");
        let mut column = 0;
        let room = WIDTH.saturating_sub(left + 4).max(30);
        for word in about.split_whitespace() {
            if column > 0 && column + 1 + word.len() > room {
                let _ = write!(text, "\n{:1$}", "", left + 4);
                column = 0;
            }
            if column > 0 {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += word.len();
        }
        text.push('\n');
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::ROOT;

    #[test]
    fn every_command_has_help() {
        fn walk(path: &mut Vec<&'static Command>) {
            let command = path[path.len() - 1];
            assert!(!command.tagline.is_empty(), "{}", command_line(path));
            let text = long(path);
            for option in command.options {
                assert!(text.contains(&dashed(option.name())), "{text}");
                assert!(!option.about.is_empty());
            }
            assert!(usage(path).contains(&command_line(path)));
            assert!(short(path).contains(command.tagline));
            for sub in command.subcommands {
                path.push(sub);
                walk(path);
                path.pop();
            }
        }
        walk(&mut vec![&ROOT]);
    }

    #[test]
    fn defaults_can_be_parsed() {
        fn walk(command: &'static Command) {
            for option in command
                .options
                .iter()
                .filter(|option| !option.default.is_empty())
            {
                ipfs_kit_http::value::parse_value(option, option.default.as_ref()).unwrap();
            }
            command.subcommands.iter().for_each(|sub| walk(sub));
        }
        walk(&ROOT);
    }
}
