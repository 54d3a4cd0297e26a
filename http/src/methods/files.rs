//! `files`: the mutable file system.

use ipfs_kit_node::{Cid, Error, MfsError, MfsNaming, Node, mfs_path};

use crate::command::{Command, Opt};
use crate::failure::Failure;
use crate::invocation::Invocation;

mod change;
pub mod chroot;
mod content;
mod list;
mod remove;
mod stat;

/// `ipfs-kit files`
pub const COMMAND: Command = Command {
    name: "files",
    tagline: "Interact with unixfs files",
    about: "Files is an API for manipulating IPFS objects as if they were a Unix filesystem: MFS, the\n\
            mutable file system. Its root has a CID that changes with every change ('files stat /').\n\
            \n\
            Content that was added is not in MFS; 'files cp /ipfs/<cid> /path' puts a reference there,\n\
            'add --to-files' does both. Everything in MFS is kept by garbage collection, as far as it\n\
            is here: MFS does not need pins, and pins do not need MFS.\n\
            \n\
            With --flush, which is the default, a command ends when its change is on stable storage.\n\
            With --flush=false it is visible at once, and durable after 'files flush' or the next\n\
            flush of anything; Internal.MFSNoFlushLimit such commands may follow each other.",
    options: &[FLUSH],
    subcommands: &[
        &content::READ,
        &content::WRITE,
        &change::MV,
        &change::CP,
        &list::COMMAND,
        &change::MKDIR,
        &stat::COMMAND,
        &remove::COMMAND,
        &change::FLUSH_PATH,
        &change::CHCID,
        &change::CHMOD,
        &chroot::COMMAND,
        &change::TOUCH,
    ],
    ..Command::EMPTY
};

/// Whether a change is durable when the command ends.
const FLUSH: Opt =
    Opt::flag(&["flush", "f"], "Flush target and ancestors after write").default("true");

const PARENTS: Opt = Opt::flag(&["parents", "p"], "Make parent directories as needed");

const CID_VERSION: Opt = Opt::int(&["cid-version", "cid-ver"], "Cid version to use");

const HASH: Opt = Opt::text(
    &["hash"],
    "Hash function to use. Will set Cid version to 1 if used",
);

/// `--cid-version` and `--hash`.
fn naming(invocation: &Invocation) -> MfsNaming {
    MfsNaming {
        version: invocation.int("cid-version"),
        hash: invocation.text("hash"),
    }
}

/// A path of the file system, cleaned; a slash at the end stays.
///
/// # Errors
/// When it is none.
pub fn check_path(path: &str) -> Result<String, Failure> {
    if path.is_empty() {
        return Err(Failure::failed("paths must not be empty"));
    }
    if !path.starts_with('/') {
        return Err(Failure::failed("paths must start with a leading slash"));
    }
    let mut clean = mfs_path::clean(path);
    if path.ends_with('/') && path != "/" {
        clean.push('/');
    }
    Ok(clean)
}

/// An argument that names content by a path or URI, or a place in the file system.
enum Place {
    /// Content, by its canonical path.
    Content(String),
    /// A path of the file system.
    Mfs(String),
}

impl Place {
    fn parse(argument: &str) -> Result<Place, Failure> {
        match content_path(argument) {
            Some(path) => Ok(Place::Content(path)),
            None => check_path(argument).map(Place::Mfs),
        }
    }

    fn path(&self) -> &str {
        match self {
            Place::Content(path) | Place::Mfs(path) => path,
        }
    }

    fn cid(&self, node: &Node) -> Result<Cid, Failure> {
        match self {
            Place::Content(path) => Ok(node.resolve(path)?),
            Place::Mfs(path) => Ok(node.mfs().entry(path)?.cid),
        }
    }
}

/// The path of content that an argument names, if it names any. `/ipfs/x` without a CID is a path of the file system.
fn content_path(argument: &str) -> Option<String> {
    for scheme in ["ipfs", "ipns"] {
        let rest = argument
            .strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"));
        if let Some(rest) = rest {
            return content_path(&format!("/{scheme}/{rest}"));
        }
    }
    let (namespace, rest) = argument.strip_prefix('/')?.split_once('/')?;
    let root = rest.split('/').next().filter(|root| !root.is_empty())?;
    let known = match namespace {
        "ipfs" | "ipld" => root.parse::<Cid>().is_ok(),
        "ipns" => true,
        _ => false,
    };
    known.then(|| mfs_path::clean(argument))
}

/// Whether there is no such file.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Mfs(MfsError::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

    #[test]
    fn paths_are_cleaned_as_kubo_does() {
        for (given, clean) in [
            ("/", "/"),
            ("/a//b/../c/", "/a/c/"),
            ("/a/.", "/a"),
            ("//", "//"),
        ] {
            assert_eq!(check_path(given).unwrap(), clean, "{given}");
        }
        assert!(check_path("").unwrap_err().to_string().contains("empty"));
        assert!(check_path("a").unwrap_err().to_string().contains("slash"));
    }

    #[test]
    fn content_and_places() {
        for (given, path) in [
            (format!("/ipfs/{CID}"), Some(format!("/ipfs/{CID}"))),
            (format!("ipfs://{CID}/a/"), Some(format!("/ipfs/{CID}/a"))),
            (
                "/ipns/example.com".to_owned(),
                Some("/ipns/example.com".to_owned()),
            ),
            ("/ipfs/readme".to_owned(), None),
            ("/ipfs".to_owned(), None),
            (CID.to_owned(), None),
        ] {
            assert_eq!(content_path(&given), path, "{given}");
        }
    }
}
