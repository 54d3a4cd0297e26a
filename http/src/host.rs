//! Where a command runs: in a process of its own on a repo, or for a client of the daemon.
//!
//! A command's function is the same in both. What differs is behind [`Host`]: who owns the node, where
//! files come from, and who is told what is neither result nor error.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use ipfs_kit_node::{AddOptions, AtOnce, Node, Source};

use crate::command::Argument;
use crate::failure::Failure;
use crate::observed::Observed;

/// What a command wants of a repo that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It has to be there.
    Repo,
    /// The first use makes one.
    Storage,
    /// Memory will do.
    Hashing,
}

/// What a progress bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Bytes, of so many if that is known.
    Bytes(Option<u64>),
    /// Things that are read or fetched, by their name in the plural.
    Things(&'static str),
}

/// A progress bar.
pub trait Bar: Send + Sync {
    /// So much is done.
    fn set(&self, position: u64);
    /// So much more is done.
    fn advance(&self, more: u64);
    /// The end is known now.
    fn set_total(&self, total: u64);
}

/// A file argument.
pub struct Input {
    /// How errors call it.
    pub name: String,
    /// Its content, to be read before the next input is asked for.
    pub reader: Box<dyn Read + Send>,
}

/// The file arguments of a command, in order.
pub type Inputs = Box<dyn Iterator<Item = Result<Input, Failure>> + Send>;

/// What is to be added.
pub struct Sources {
    /// The things, in order.
    pub sources: Vec<Source>,
    /// Local paths among them, whose sizes tell how much there is.
    pub paths: Vec<PathBuf>,
}

/// What a command needs of the place it runs in.
pub trait Host {
    /// The node. Clones may be handed back with [`Host::close`] or dropped.
    ///
    /// # Errors
    /// When the repo cannot be opened.
    fn node(&self, need: Need) -> Result<Node, Failure>;

    /// Gives the node back; a process of its own closes it and learns whether the disk kept all.
    ///
    /// # Errors
    /// When it did not.
    fn close(&self, node: Node) -> Result<(), Failure>;

    /// The repo's directory.
    ///
    /// # Errors
    /// When no home directory is known and no path was given.
    fn repo_path(&self) -> Result<PathBuf, Failure>;

    /// The files that `words` name, or that came with the request.
    ///
    /// # Errors
    /// The first that is not there, before any is read.
    fn inputs(&self, argument: &Argument, words: &[OsString]) -> Result<Inputs, Failure>;

    /// What `add` is to add.
    ///
    /// # Errors
    /// As [`Host::inputs`].
    fn sources(
        &self,
        words: &[OsString],
        stdin_name: Option<String>,
        options: &AddOptions,
    ) -> Result<Sources, Failure>;

    /// What stands in for arguments that were not given, one a line.
    ///
    /// # Errors
    /// When there is no such thing.
    fn lines(&self) -> Result<Box<dyn Read + Send>, Failure>;

    /// Fails when the command is to stop.
    ///
    /// # Errors
    /// Why.
    fn check(&self) -> Result<(), Failure>;

    /// A bar, if somebody looks: as `asked` says, else if the host thinks so.
    fn bar(&self, counting: Counting, asked: Option<bool>) -> Option<Arc<dyn Bar>>;

    /// Takes the bar off without a trace.
    fn clear_bar(&self) {}

    /// Set where the command must not wait, and has to tell here what it would have waited for.
    fn at_once(&self) -> Option<&AtOnce> {
        None
    }

    /// What the daemon knows of itself; none where there is no daemon.
    fn observed(&self) -> Option<&Arc<Observed>> {
        None
    }

    /// Ends the daemon.
    ///
    /// # Errors
    /// When this is none.
    fn shutdown(&self) -> Result<(), Failure> {
        Err(Failure::failed(
            "no daemon runs on this repo, so there is nothing to shut down",
        ))
    }

    /// A line beside the result: what could not be done, or a warning.
    fn note(&self, text: &str);
}
