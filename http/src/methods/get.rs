//! `get`: files and directories out of the repo.

use ipfs_kit_node::EntryKind;

use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit get`
pub const COMMAND: Command = Command {
    name: "get",
    tagline: "Download IPFS objects",
    about: "Stores to disk the data contained by the IPFS object at the given path.\n\
            \n\
            By default, the output will be stored at './<last part of the path>', but an alternate\n\
            path can be specified with '--output=<path>' or '-o=<path>'. Nothing is ever written\n\
            outside of it, whatever the names in the object.\n\
            \n\
            To output a TAR archive instead of unpacked files, use '--archive' or '-a'. To compress\n\
            the output with GZIP compression, use '--compress' or '-C', and '-l=<1-9>' for the level\n\
            of compression. '-o -' writes an archive to standard output.",
    arguments: &[Argument::line(
        "ipfs-path",
        "The path to the IPFS object to be outputted",
    )],
    options: &[
        Opt::path(
            &["output", "o"],
            "The path where the output should be stored",
        ),
        Opt::flag(&["archive", "a"], "Output a TAR archive"),
        Opt::flag(
            &["compress", "C"],
            "Compress the output with GZIP compression",
        ),
        Opt::int(
            &["compression-level", "l"],
            "The level of compression (1-9)",
        ),
        Opt::flag(
            &["progress", "p"],
            "Show progress; by default when stderr is a terminal",
        ),
    ],
    reply: Reply::Bytes("application/x-tar"),
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// Level that gzip takes when none is named.
const DEFAULT_LEVEL: u32 = 6;

/// The object as an archive; what to do with it is up to the client.
fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let level = compression(invocation)?;
    let path = invocation.argument()?;
    let node = invocation.node()?;
    let stat = node.files().stat(&path)?;
    let archive = invocation.flag("archive") || level.is_none();
    check_archive(archive, stat.kind)?;
    if level.is_some() {
        invocation.out.set_media_type("application/gzip");
    }
    // Of the content, by which clients draw their bars.
    let length = match stat.kind {
        EntryKind::Directory => stat.cumulative_size,
        _ => stat.size,
    };
    invocation.out.set_length(length, length);
    let files = node.files();
    let output = &mut invocation.out;
    match level {
        Some(level) if !archive => files.get_gzip(&path, level, output, &mut |_| Ok(()))?,
        level => files.get_tar(&path, None, level, output, &mut |_| Ok(()))?,
    }
    invocation.close(node)
}

/// Refuses to compress what is no file without packing it first.
///
/// # Errors
/// When it is not.
pub fn check_archive(archive: bool, kind: EntryKind) -> Result<(), Failure> {
    if !archive && kind != EntryKind::File {
        return Err(Failure::failed(
            "file is not regular: use -a with -C for a directory",
        ));
    }
    Ok(())
}

/// The level of compression that was asked for.
///
/// # Errors
/// A level that does not exist.
pub fn compression(invocation: &Invocation) -> Result<Option<u32>, Failure> {
    if !invocation.flag("compress") {
        return Ok(None);
    }
    match invocation.int("compression-level") {
        None => Ok(Some(DEFAULT_LEVEL)),
        Some(level @ 1..=9) => Ok(Some(level as u32)),
        Some(_) => Err(Failure::failed("compression level must be between 1 and 9")),
    }
}
