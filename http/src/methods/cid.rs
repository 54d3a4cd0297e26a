//! `cid`: CIDs in other forms, and what they are made of. None of it needs a repo.

use ipfs_kit_node::cid::bases;
use ipfs_kit_node::codec;
use ipfs_kit_node::hash::HashFunction;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

mod format;
mod inspect;

/// `ipfs-kit cid`
pub const COMMAND: Command = Command {
    name: "cid",
    tagline: "Convert and discover properties of CIDs",
    subcommands: &[
        &inspect::COMMAND,
        &format::FORMAT,
        &format::BASE32,
        &BASES,
        &CODECS,
        &HASHES,
    ],
    ..Command::EMPTY
};

/// `ipfs-kit cid bases`, which is also `multibase list`.
pub const BASES: Command = Command {
    name: "bases",
    tagline: "List available multibase encodings",
    options: &[
        Opt::flag(
            &["prefix"],
            "also include the single letter prefixes in addition to the code",
        ),
        Opt::flag(&["numeric"], "also include numeric codes"),
    ],
    records: &[Shape::of::<Vec<CodeAndName>>()],
    run: Some(Run::Anywhere(list_bases)),
    ..Command::EMPTY
};

const CODECS: Command = Command {
    name: "codecs",
    tagline: "List available CID multicodecs",
    options: &[
        Opt::flag(&["numeric", "n"], "also include numeric codes"),
        Opt::flag(
            &["supported", "s"],
            "list only codecs supported by ipfs-kit commands",
        ),
    ],
    records: &[Shape::of::<Vec<CodeAndName>>()],
    run: Some(Run::Anywhere(list_codecs)),
    ..Command::EMPTY
};

const HASHES: Command = Command {
    name: "hashes",
    tagline: "List available multihashes",
    options: &[
        Opt::flag(&["numeric", "n"], "also include numeric codes"),
        Opt::flag(
            &["supported", "s"],
            "list only hashes supported by ipfs-kit commands",
        ),
    ],
    records: &[Shape::of::<Vec<CodeAndName>>()],
    run: Some(Run::Anywhere(list_hashes)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct CodeAndName {
    code: u64,
    name: &'static str,
}

impl Record for CodeAndName {
    const NAME: &'static str = "CodeAndName";
}

fn list_bases(invocation: &mut Invocation) -> Result<(), Failure> {
    let prefix = invocation.flag("prefix");
    let numeric = invocation.flag("numeric");
    let mut known: Vec<CodeAndName> = bases()
        .iter()
        .map(|(base, name)| CodeAndName {
            code: u64::from(u32::from(base.code())),
            name,
        })
        .collect();
    // Kubo's order: by letter, the lower case first.
    known.sort_by_key(|base| (lower(base.code), std::cmp::Reverse(base.code)));
    let mut text = String::new();
    for base in &known {
        let letter = char::from_u32(base.code as u32)
            .filter(|c| !c.is_control())
            .unwrap_or(' ');
        text.push_str(&match (prefix, numeric) {
            (true, true) => format!("{letter} {:7}  {}\n", base.code, base.name),
            (true, false) => format!("{letter}  {}\n", base.name),
            (false, true) => format!("{:7}  {}\n", base.code, base.name),
            (false, false) => format!("{}\n", base.name),
        });
    }
    invocation
        .out
        .emit(|| known, |out| out.extend_from_slice(text.as_bytes()))
}

fn lower(code: u64) -> u64 {
    u8::try_from(code).map_or(code, |letter| u64::from(letter.to_ascii_lowercase()))
}

fn list_codecs(invocation: &mut Invocation) -> Result<(), Failure> {
    let supported = invocation.flag("supported");
    let known: Vec<CodeAndName> = codec::block_formats()
        .filter(|(code, _)| !supported || codec::is_supported(*code))
        .map(|(code, name)| CodeAndName { code, name })
        .collect();
    list(invocation, known)
}

fn list_hashes(invocation: &mut Invocation) -> Result<(), Failure> {
    let mut known: Vec<CodeAndName> = HashFunction::all()
        .map(|function| CodeAndName {
            code: function.code(),
            name: function.name(),
        })
        .collect();
    known.sort_by_key(|hash| hash.code);
    list(invocation, known)
}

fn list(invocation: &mut Invocation, known: Vec<CodeAndName>) -> Result<(), Failure> {
    let numeric = invocation.flag("numeric");
    let mut text = String::new();
    for entry in &known {
        text.push_str(&match numeric {
            true => format!("{:5}  {}\n", entry.code, entry.name),
            false => format!("{}\n", entry.name),
        });
    }
    invocation
        .out
        .emit(|| known, |out| out.extend_from_slice(text.as_bytes()))
}
