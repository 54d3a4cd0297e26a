//! From words to a command, its options and its arguments.
//!
//! The rules are those of Kubo's parser, because scripts depend on them: options may stand anywhere,
//! a flag takes a value only after `=`, short flags may be joined (`-rw`), a short option takes the
//! rest of its word or the next word, and `--` ends the options. An option of the command hides a
//! global one of the same name once the command is known.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use ipfs_kit_http::command::{Command, Kind, Opt};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::value::{Value, Values, parse_value};

use crate::suggest;

/// A parsed command line.
#[derive(Debug)]
pub struct Parsed {
    /// The commands from the root down to the selected one; never empty.
    pub path: Vec<&'static Command>,
    /// Options of the command.
    pub options: Values,
    /// Global options.
    pub globals: Values,
    /// Everything else, in order.
    pub words: Vec<OsString>,
}

impl Parsed {
    /// The selected command.
    pub fn command(&self) -> &'static Command {
        self.path[self.path.len() - 1]
    }
}

/// What parsing got to when it failed: enough to print the help of the right command.
#[derive(Debug)]
pub struct Rejected {
    /// The part that was understood.
    pub parsed: Parsed,
    /// What was wrong.
    pub failure: Failure,
}

/// Parses the words after the program's name.
pub fn parse(
    root: &'static Command,
    globals: &'static [Opt],
    words: impl Iterator<Item = OsString>,
) -> Result<Parsed, Box<Rejected>> {
    let mut parser = Parser {
        globals,
        parsed: Parsed {
            path: vec![root],
            options: Values::new(),
            globals: Values::new(),
            words: Vec::new(),
        },
    };
    let mut words = words;
    while let Some(word) = words.next() {
        if word == "--" {
            parser.parsed.words.extend(words);
            break;
        }
        if let Err(failure) = parser.word(word, &mut words) {
            return Err(Box::new(Rejected {
                parsed: parser.parsed,
                failure,
            }));
        }
    }
    Ok(parser.parsed)
}

struct Parser {
    globals: &'static [Opt],
    parsed: Parsed,
}

impl Parser {
    fn word(
        &mut self,
        word: OsString,
        rest: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let bytes = word.as_bytes();
        if bytes.starts_with(b"--") {
            self.long(&bytes[2..], rest)
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            self.short(&bytes[1..], rest)
        } else {
            self.plain(word)
        }
    }

    fn plain(&mut self, word: OsString) -> Result<(), Failure> {
        // Words after the first argument are arguments, also when they spell a subcommand.
        let command = self.parsed.command();
        let subcommand = match word.to_str() {
            Some(name) if self.parsed.words.is_empty() => command.subcommand(name),
            _ => None,
        };
        if let Some(subcommand) = subcommand {
            self.parsed.path.push(subcommand);
            return Ok(());
        }
        if self.parsed.path.len() == 1 {
            return Err(suggest::unknown_command(command, &word.to_string_lossy()));
        }
        self.parsed.words.push(word);
        Ok(())
    }

    fn long(
        &mut self,
        text: &[u8],
        rest: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let (name, value) = split_value(text);
        let (option, global) = self.lookup(name)?;
        let value = match value {
            Some(value) => parse_value(option, value)?,
            None if option.kind == Kind::Bool => Value::Bool(true),
            None => parse_value(option, &next_value(name, rest)?)?,
        };
        self.set(option, global, value)
    }

    fn short(
        &mut self,
        text: &[u8],
        rest: &mut dyn Iterator<Item = OsString>,
    ) -> Result<(), Failure> {
        let (name, value) = split_value(text);
        if let Some(value) = value {
            let (option, global) = self.lookup(name)?;
            let value = parse_value(option, value)?;
            return self.set(option, global, value);
        }
        for (at, letter) in text.iter().enumerate() {
            let (option, global) = self
                .lookup(std::slice::from_ref(letter))
                .map_err(|_| unknown_option(text))?;
            if option.kind == Kind::Bool {
                self.set(option, global, Value::Bool(true))?;
                continue;
            }
            let value = match &text[at + 1..] {
                [] => next_value(text, rest)?,
                joined => OsString::from_vec(joined.to_vec()),
            };
            let value = parse_value(option, &value)?;
            return self.set(option, global, value);
        }
        Ok(())
    }

    fn lookup(&self, name: &[u8]) -> Result<(&'static Opt, bool), Failure> {
        let text = std::str::from_utf8(name).map_err(|_| unknown_option(name))?;
        // A group passes its options on to its subcommands only when they lack one of that name.
        if let Some(option) = self.parsed.command().option(text) {
            return Ok((option, false));
        }
        let global = self
            .globals
            .iter()
            .find(|option| option.names.contains(&text));
        global
            .map(|option| (option, true))
            .ok_or_else(|| unknown_option(name))
    }

    fn set(&mut self, option: &'static Opt, global: bool, value: Value) -> Result<(), Failure> {
        let values = if global {
            &mut self.parsed.globals
        } else {
            &mut self.parsed.options
        };
        match (values.get_mut(option.name()), value) {
            (Some(Value::List(list)), Value::List(more)) => list.extend(more),
            (Some(_), _) => {
                return Err(Failure::usage(format!(
                    "multiple values for option {:?}",
                    option.name()
                )));
            }
            (None, value) => {
                values.insert(option.name(), value);
            }
        }
        Ok(())
    }
}

fn unknown_option(name: &[u8]) -> Failure {
    Failure::usage(format!(
        "unknown option {:?}",
        String::from_utf8_lossy(name)
    ))
}

fn split_value(text: &[u8]) -> (&[u8], Option<&OsStr>) {
    match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (&text[..at], Some(OsStr::from_bytes(&text[at + 1..]))),
        None => (text, None),
    }
}

fn next_value(name: &[u8], rest: &mut dyn Iterator<Item = OsString>) -> Result<OsString, Failure> {
    rest.next().ok_or_else(|| {
        Failure::usage(format!(
            "missing argument for option {:?}",
            String::from_utf8_lossy(name)
        ))
    })
}

#[cfg(test)]
mod tests;
