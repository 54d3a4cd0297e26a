//! `files read` and `files write`.

use std::io::{Seek as _, SeekFrom, Write as _};

use ipfs_kit_node::{MfsWrite, mfs_path};

use super::{CID_VERSION, FLUSH, HASH, PARENTS, check_path, naming};
use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit files read`
pub const READ: Command = Command {
    name: "read",
    tagline: "Read a file from MFS",
    about: "Reads a number of bytes from a file at an offset; the whole file by default.",
    arguments: &[Argument::word("path", "Path to file to be read")],
    options: &[
        Opt::int(&["offset", "o"], "Byte offset to begin reading from").wide(),
        Opt::int(&["count", "n"], "Maximum number of bytes to read").wide(),
        FLUSH,
    ],
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Node(read)),
    ..Command::EMPTY
};

/// `ipfs-kit files write`
pub const WRITE: Command = Command {
    name: "write",
    tagline: "Append to (modify) a file in MFS",
    about: "Writes the data into a file, at its start or at --offset; what is there already is\n\
            overwritten, a hole is filled with zeros. Only the blocks that change are written, and\n\
            what is put behind the end makes a trickle tree, so the CID is not that of 'add'.\n\
            \n\
            When the data breaks off, the file is as it was before.",
    arguments: &[
        Argument::word("path", "Path to write to"),
        Argument::file("data", "Data to write"),
    ],
    options: &[
        Opt::int(&["offset", "o"], "Byte offset to begin writing at").wide(),
        Opt::flag(&["create", "e"], "Create the file if it does not exist"),
        PARENTS,
        Opt::flag(
            &["truncate", "t"],
            "Truncate the file to size zero before writing",
        ),
        Opt::int(&["count", "n"], "Maximum number of bytes to read").wide(),
        Opt::flag(
            &["raw-leaves"],
            "Use raw blocks for newly created leaf nodes",
        ),
        CID_VERSION,
        HASH,
        FLUSH,
    ],
    reply: Reply::Many,
    run: Some(Run::Node(write)),
    ..Command::EMPTY
};

fn read(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = check_path(&invocation.argument()?)?;
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.is_directory(&path)
        .map_err(|error| Failure::failed(format_args!("{path}: {error}")))?;
    let mut file = mfs.read(&path)?;
    let offset = u64::try_from(invocation.int("offset").unwrap_or(0))
        .map_err(|_| Failure::failed("cannot specify negative offset"))?;
    if offset > file.size() {
        return Err(Failure::failed(format_args!(
            "offset was past end of file ({offset} > {})",
            file.size()
        )));
    }
    let count = invocation
        .int("count")
        .map(u64::try_from)
        .transpose()
        .map_err(|_| Failure::failed("cannot specify negative 'count'"))?;
    file.seek(SeekFrom::Start(offset))?;
    file.copy_to(&mut invocation.out, count)?;
    invocation.out.flush()?;
    drop(file);
    invocation.close(node)
}

fn write(invocation: &mut Invocation) -> Result<(), Failure> {
    let word = invocation.words().first().and_then(|word| word.to_str());
    let word = word.ok_or_else(|| Failure::failed("the path is not UTF-8"))?;
    let path = check_path(word)?;
    let flush = invocation.flag("flush");
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.count(flush)?;
    let naming = naming(invocation);
    let offset = u64::try_from(invocation.int("offset").unwrap_or(0))
        .map_err(|_| Failure::failed("cannot have negative write offset"))?;
    let count = invocation
        .int("count")
        .map(u64::try_from)
        .transpose()
        .map_err(|_| Failure::failed("cannot have negative byte count"))?;
    if invocation.flag("parents") {
        mfs.make_parents(&path, &naming)?;
    }
    let options = MfsWrite {
        offset,
        create: invocation.flag("create"),
        truncate: invocation.flag("truncate"),
        count,
        raw_leaves: invocation.given_flag("raw-leaves"),
        naming,
    };
    let mut inputs = invocation.inputs()?;
    let input = inputs.next().transpose()?;
    let mut input = input.ok_or_else(|| Failure::usage("a file is required"))?;
    mfs.write(&path, &mut input.reader, &options)?;
    if flush {
        mfs.flush(&mfs_path::parent(&path))?;
    }
    invocation.close(node)
}
