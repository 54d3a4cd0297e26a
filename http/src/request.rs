//! A command that somebody wants run, with its options and arguments.

use std::ffi::OsString;

use crate::cid_style::CidStyle;
use crate::command::Command;
use crate::output::Encoding;
use crate::value::Values;

/// One call of one command.
#[derive(Debug, Clone)]
pub struct Request {
    /// The commands from the root down to the selected one; never empty.
    pub path: Vec<&'static Command>,
    /// Options of the command that were given.
    pub options: Values,
    /// Arguments, in order.
    pub words: Vec<OsString>,
    /// What the options come to that every command takes.
    pub common: Common,
}

/// Options that every command takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Common {
    /// How records are written.
    pub encoding: Encoding,
    /// How CIDs are written.
    pub cid_style: CidStyle,
    /// Print nothing but the essential result.
    pub quiet: bool,
    /// Whether `--offline` was given: nothing is fetched.
    pub offline: bool,
    /// Whether `--offline=false` was given.
    pub online_asked: bool,
}

impl Request {
    /// The selected command.
    pub fn command(&self) -> &'static Command {
        self.path[self.path.len() - 1]
    }

    /// Its name, as `files/ls`.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self
            .path
            .iter()
            .skip(1)
            .map(|command| command.name)
            .collect();
        names.join("/")
    }

    /// Where the words end that are no files: a file argument is the last.
    pub fn split(&self) -> usize {
        let before = self.command().arguments.len().saturating_sub(1);
        before.min(self.words.len())
    }

    /// The words that name files, for a command that takes files.
    pub fn file_words(&self) -> &[OsString] {
        &self.words[self.split()..]
    }
}
