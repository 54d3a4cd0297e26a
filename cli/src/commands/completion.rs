//! `completion`: scripts for shells, made from the tables of commands.

use std::fmt::Write as _;

use ipfs_kit_http::command::{Command, Kind, Opt, Run, dashed};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;

use super::ROOT;
use crate::settings::GLOBALS;

/// `ipfs-kit completion`
pub const COMMAND: Command = Command {
    name: "completion",
    tagline: "Generate shell completions",
    about: "Write the output to where the shell looks for completions, for instance:\n\
            \n\
            \x20 ipfs-kit completion bash > /etc/bash_completion.d/ipfs-kit\n\
            \x20 ipfs-kit completion zsh > /usr/local/share/zsh/site-functions/_ipfs-kit\n\
            \x20 ipfs-kit completion fish > ~/.config/fish/completions/ipfs-kit.fish",
    subcommands: &[&BASH, &ZSH, &FISH],
    ..Command::EMPTY
};

const BASH: Command = Command {
    name: "bash",
    tagline: "Generate bash shell completions",
    run: Some(Run::Anywhere(|invocation| print(invocation, bash))),
    ..Command::EMPTY
};

const ZSH: Command = Command {
    name: "zsh",
    tagline: "Generate zsh shell completions",
    run: Some(Run::Anywhere(|invocation| print(invocation, zsh))),
    ..Command::EMPTY
};

const FISH: Command = Command {
    name: "fish",
    tagline: "Generate fish shell completions",
    run: Some(Run::Anywhere(|invocation| print(invocation, fish))),
    ..Command::EMPTY
};

fn print(invocation: &mut Invocation, script: fn() -> String) -> Result<(), Failure> {
    invocation.out.line(script().trim_end())
}

/// Calls `visit` with each command and the words that lead to it.
fn each(visit: &mut dyn FnMut(&str, &'static Command)) {
    fn walk(path: &str, command: &'static Command, visit: &mut dyn FnMut(&str, &'static Command)) {
        visit(path, command);
        for subcommand in command.subcommands {
            let path = if path.is_empty() {
                subcommand.name.to_owned()
            } else {
                format!("{path} {}", subcommand.name)
            };
            walk(&path, subcommand, visit);
        }
    }
    walk("", &ROOT, visit);
}

fn option_words(options: &[Opt]) -> String {
    let mut words = Vec::new();
    for option in options {
        for name in option.names {
            let equals = if option.kind == Kind::Bool || name.len() == 1 {
                ""
            } else {
                "="
            };
            words.push(format!("{}{equals}", dashed(name)));
        }
    }
    words.join(" ")
}

/// One table from the words typed so far to what may follow.
fn bash() -> String {
    let mut cases = String::new();
    each(&mut |path, command| {
        let names: Vec<&str> = command
            .subcommands
            .iter()
            .map(|command| command.name)
            .collect();
        let _ = writeln!(
            cases,
            "        '{path}') subcommands='{}'; options='{}';;",
            names.join(" "),
            option_words(command.options)
        );
    });
    format!(
        "# bash completion for ipfs-kit\n\
         _ipfs_kit() {{\n\
         \x20   local word=${{COMP_WORDS[COMP_CWORD]}} path='' candidate index subcommands options\n\
         \x20   _ipfs_kit_table ''\n\
         \x20   for ((index = 1; index < COMP_CWORD; index++)); do\n\
         \x20       candidate=${{COMP_WORDS[index]}}\n\
         \x20       case \" $subcommands \" in\n\
         \x20           *\" $candidate \"*)\n\
         \x20               path=\"${{path:+$path }}$candidate\"\n\
         \x20               _ipfs_kit_table \"$path\";;\n\
         \x20       esac\n\
         \x20   done\n\
         \x20   if [[ $word == -* ]]; then\n\
         \x20       COMPREPLY=($(compgen -W \"$options {globals}\" -- \"$word\"))\n\
         \x20       [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace\n\
         \x20   else\n\
         \x20       COMPREPLY=($(compgen -W \"$subcommands\" -- \"$word\") $(compgen -f -- \"$word\"))\n\
         \x20   fi\n\
         }}\n\
         _ipfs_kit_table() {{\n\
         \x20   subcommands='' options=''\n\
         \x20   case \"$1\" in\n\
         {cases}\
         \x20   esac\n\
         }}\n\
         complete -o filenames -F _ipfs_kit ipfs-kit\n",
        globals = option_words(GLOBALS)
    )
}

fn zsh() -> String {
    let mut cases = String::new();
    each(&mut |path, command| {
        let mut subcommands = String::new();
        for command in command.subcommands {
            let entry = format!("{}:{}", command.name, command.tagline.replace(':', "\\:"));
            let _ = write!(subcommands, " {}", shell_quote(&entry));
        }
        let options: Vec<String> = command
            .options
            .iter()
            .flat_map(zsh_options)
            .map(|option| shell_quote(&option))
            .collect();
        let _ = writeln!(
            cases,
            "        '{path}') subcommands=({subcommands} ); options=( {} );;",
            options.join(" ")
        );
    });
    let globals: Vec<String> = GLOBALS
        .iter()
        .flat_map(zsh_options)
        .map(|option| shell_quote(&option))
        .collect();
    format!(
        "#compdef ipfs-kit\n\
         _ipfs_kit_table() {{\n\
         \x20   subcommands=() options=()\n\
         \x20   case \"$1\" in\n\
         {cases}\
         \x20   esac\n\
         }}\n\
         _ipfs_kit() {{\n\
         \x20   local path_typed='' word\n\
         \x20   local -a subcommands options globals\n\
         \x20   globals=( {globals} )\n\
         \x20   _ipfs_kit_table ''\n\
         \x20   for word in \"${{(@)words[2,CURRENT-1]}}\"; do\n\
         \x20       if (( ${{subcommands[(I)$word:*]}} )); then\n\
         \x20           path_typed=\"${{path_typed:+$path_typed }}$word\"\n\
         \x20           _ipfs_kit_table \"$path_typed\"\n\
         \x20       fi\n\
         \x20   done\n\
         \x20   if [[ $words[CURRENT] == -* ]]; then\n\
         \x20       _describe -o 'option' options -- globals\n\
         \x20   else\n\
         \x20       (( $#subcommands )) && _describe 'command' subcommands\n\
         \x20       _files\n\
         \x20   fi\n\
         }}\n\
         if [ \"$funcstack[1]\" = _ipfs-kit ]; then\n\
         \x20   _ipfs_kit \"$@\"\n\
         else\n\
         \x20   compdef _ipfs_kit ipfs-kit\n\
         fi\n",
        globals = globals.join(" ")
    )
}

fn zsh_options(option: &Opt) -> Vec<String> {
    let about = option.about.replace(':', "\\:");
    option
        .names
        .iter()
        .map(|name| format!("{}:{about}", dashed(name)))
        .collect()
}

fn fish() -> String {
    let mut script = String::from(
        "# fish completion for ipfs-kit\n\
         function __ipfs_kit_at\n\
         \x20   set -l typed (commandline -opc)\n\
         \x20   set -e typed[1]\n\
         \x20   set -l words (string match -v -- '-*' $typed)\n\
         \x20   set -l count (count $argv)\n\
         \x20   test (count $words) -ge $count; or return 1\n\
         \x20   test $count -eq 0; and return 0\n\
         \x20   test \"$words[1..$count]\" = \"$argv\"\n\
         end\n",
    );
    each(&mut |path, command| {
        let condition = shell_quote(format!("__ipfs_kit_at {path}").trim_end());
        for subcommand in command.subcommands {
            let _ = writeln!(
                script,
                "complete -c ipfs-kit -n {condition} -a {} -d {}",
                subcommand.name,
                shell_quote(subcommand.tagline)
            );
        }
        let options = if path.is_empty() {
            GLOBALS
        } else {
            command.options
        };
        for option in options {
            let _ = write!(script, "complete -c ipfs-kit -n {condition}");
            for name in option.names {
                let _ = write!(
                    script,
                    " -{} {name}",
                    if name.len() == 1 { "s" } else { "l" }
                );
            }
            let value = if option.kind == Kind::Bool { "" } else { " -r" };
            let _ = writeln!(script, "{value} -d {}", shell_quote(option.about));
        }
    });
    script
}

fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_know_every_command_and_option() {
        for script in [bash(), zsh(), fish()] {
            each(&mut |_, command| {
                assert!(script.contains(command.name), "{}", command.name);
                for name in command.options.iter().flat_map(|option| option.names) {
                    assert!(script.contains(name), "{name}");
                }
            });
        }
    }

    #[test]
    fn quoting() {
        assert_eq!(shell_quote("it's"), "'it'\\''s'");
    }
}
