//! `files cp`, `mv`, `mkdir`, `flush`, `chcid`, `chmod` and `touch`.

use std::time::{SystemTime, UNIX_EPOCH};

use ipfs_kit_node::{Cid, Error, Mfs, MfsNaming, Node, codec, mfs_path};
use schemars::JsonSchema;
use serde::Serialize;

use super::{CID_VERSION, FLUSH, HASH, PARENTS, Place, check_path, is_missing, naming};
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit files cp`
pub const CP: Command = Command {
    name: "cp",
    tagline: "Add references to IPFS files and directories in MFS (or copy within MFS)",
    about: "The source is a path of content (/ipfs/<cid>) or one of MFS. The copy is lazy: only the\n\
            first block of the source is needed, what is below is fetched when it is read.",
    arguments: &[
        Argument::word("source", "Source IPFS or MFS path to copy"),
        Argument::word("dest", "Destination within MFS"),
    ],
    options: &[
        Opt::flag(&["force"], "Force overwrite of existing files"),
        PARENTS,
        FLUSH,
    ],
    reply: Reply::Many,
    run: Some(Run::Node(cp)),
    ..Command::EMPTY
};

/// `ipfs-kit files mv`
pub const MV: Command = Command {
    name: "mv",
    tagline: "Move files",
    about: "Moves files around, just like the traditional Unix mv.",
    arguments: &[
        Argument::word("source", "Source file to move"),
        Argument::word("dest", "Destination path for file to be moved to"),
    ],
    options: &[FLUSH],
    reply: Reply::Many,
    run: Some(Run::Node(mv)),
    ..Command::EMPTY
};

/// `ipfs-kit files mkdir`
pub const MKDIR: Command = Command {
    name: "mkdir",
    tagline: "Make directories",
    about: "Makes a directory. Its blocks are named as --cid-version and --hash say, else as\n\
            Import.CidVersion and Import.HashFunction do.",
    arguments: &[Argument::word("path", "Path to dir to make")],
    options: &[
        Opt::flag(
            &["parents", "p"],
            "No error if existing, make parent directories as needed",
        ),
        CID_VERSION,
        HASH,
        FLUSH,
    ],
    reply: Reply::Many,
    run: Some(Run::Node(mkdir)),
    ..Command::EMPTY
};

/// `ipfs-kit files flush`
pub const FLUSH_PATH: Command = Command {
    name: "flush",
    tagline: "Flush a given path's data to disk",
    about: "Makes everything that was changed with --flush=false durable; prints the CID of the path.",
    arguments: &[Argument::word("path", "Path to flush. Default: '/'").optional()],
    options: &[FLUSH],
    records: &[Shape::of::<Flushed>()],
    run: Some(Run::Node(flush)),
    ..Command::EMPTY
};

/// `ipfs-kit files chcid`
pub const CHCID: Command = Command {
    name: "chcid",
    tagline: "Change the CID version or hash function of the root node of a given path",
    about: "The root ('/') is named as Import.CidVersion and Import.HashFunction say.",
    arguments: &[Argument::word("path", "Path to change (must not be '/')")],
    options: &[CID_VERSION, HASH, FLUSH],
    reply: Reply::Many,
    run: Some(Run::Node(chcid)),
    ..Command::EMPTY
};

/// `ipfs-kit files chmod`
pub const CHMOD: Command = Command {
    name: "chmod",
    tagline: "Change optional POSIX mode permissions",
    about: "The mode is given in octal digits, as 0644.",
    arguments: &[
        Argument::word("mode", "Mode to apply to node (numeric notation)"),
        Argument::word("path", "Path to apply mode"),
    ],
    options: &[FLUSH],
    reply: Reply::Many,
    run: Some(Run::Node(chmod)),
    ..Command::EMPTY
};

/// `ipfs-kit files touch`
pub const TOUCH: Command = Command {
    name: "touch",
    tagline: "Set or change optional POSIX modification times",
    about: "Without --mtime the time is now.",
    arguments: &[Argument::word("path", "Path of target to update")],
    options: &[
        Opt::int(
            &["mtime"],
            "Modification time in seconds before or since the Unix Epoch to apply",
        )
        .wide(),
        Opt::uint(
            &["mtime-nsecs"],
            "Modification time fraction in nanoseconds",
        ),
        FLUSH,
    ],
    reply: Reply::Many,
    run: Some(Run::Node(touch)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FilesFlushed")]
#[serde(rename_all = "PascalCase")]
struct Flushed {
    cid: String,
}

impl Record for Flushed {
    const NAME: &'static str = "flushRes";
}

fn words<const N: usize>(invocation: &Invocation) -> Result<[String; N], Failure> {
    let words = invocation.arguments()?;
    <[String; N]>::try_from(words).map_err(|_| Failure::usage(format!("expected {N} argument(s)")))
}

fn cp(invocation: &mut Invocation) -> Result<(), Failure> {
    let [source, dest] = words(invocation)?;
    let source = Place::parse(&source)?;
    let mut dest = check_path(&dest)?;
    if dest.ends_with('/') {
        dest.push_str(mfs_path::base(source.path()));
    }
    let node = invocation.node()?;
    let mfs = node.mfs();
    let shown = source.path().trim_end_matches('/');
    let cid = source.cid(&node).map_err(|error| {
        Failure::failed(format_args!(
            "cp: cannot get node from path {shown}: {error}"
        ))
    })?;
    check_source(&node, &cid)?;
    if invocation.flag("parents") {
        mfs.make_parents(&dest, &MfsNaming::default())?;
    }
    if invocation.flag("force") {
        unlink_file(&mfs, &dest).map_err(|error| {
            Failure::failed(format_args!("cp: cannot unlink existing file: {error}"))
        })?;
    }
    let flush = invocation.flag("flush");
    mfs.count(flush)?;
    mfs.put(&dest, &cid).map_err(|error| {
        Failure::failed(format_args!("cp: cannot put node in path {dest}: {error}"))
    })?;
    if flush {
        let cannot = |what: &str| format!("cp: cannot flush the created file{what} {dest}");
        mfs.flush(&dest)
            .map_err(|error| Failure::failed(format_args!("{}: {error}", cannot(""))))?;
        mfs.flush(&mfs_path::parent(&dest)).map_err(|error| {
            Failure::failed(format_args!("{}: {error}", cannot("'s parent folder")))
        })?;
    }
    invocation.close(node)
}

/// A source has to be a part of UnixFS.
fn check_source(node: &Node, cid: &Cid) -> Result<(), Failure> {
    const INVALID: &str = "cp: source must be a valid UnixFS (dag-pb or raw codec)";
    match cid.codec() {
        codec::RAW => Ok(()),
        codec::DAG_PB => match node.files().stat_of(cid) {
            Ok(_) => Ok(()),
            Err(error @ (Error::Read(_) | Error::Codec(_))) => {
                Err(Failure::failed(format_args!("{INVALID}: {error}")))
            }
            Err(error) => Err(error.into()),
        },
        _ => Err(Failure::failed(INVALID)),
    }
}

/// Removes what is at a path if it is a file.
fn unlink_file(mfs: &Mfs<'_>, path: &str) -> Result<(), Failure> {
    let (dir, name) = mfs_path::split(path);
    match mfs.is_directory(dir) {
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(false) => return Err(Failure::failed(format_args!("not a directory: {dir}"))),
        Ok(true) => {}
    }
    match mfs.is_directory(&format!("{dir}{name}")) {
        Err(_) => Ok(()),
        Ok(true) => Err(Failure::failed(format_args!("not a file: {path}"))),
        Ok(false) => Ok(mfs.unlink(path)?),
    }
}

fn mv(invocation: &mut Invocation) -> Result<(), Failure> {
    let [source, dest] = words(invocation)?;
    let flush = invocation.flag("flush");
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.count(flush)?;
    let source = check_path(&source)?;
    let dest = check_path(&dest)?;
    mfs.rename(&source, &dest)?;
    if flush {
        let (from, to) = (mfs_path::parent(&source), mfs_path::parent(&dest));
        mfs.flush(&to).map_err(|error| {
            Failure::failed(format_args!(
                "cp: cannot flush the destination file's parent folder {dest}: {error}"
            ))
        })?;
        if from != to {
            mfs.flush(&from).map_err(|error| {
                Failure::failed(format_args!(
                    "cp: cannot flush the source's file's parent folder {dest}: {error}"
                ))
            })?;
        }
        mfs.flush("/")?;
    }
    invocation.close(node)
}

fn mkdir(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = check_path(&invocation.argument()?)?;
    let flush = invocation.flag("flush");
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.count(flush)?;
    mfs.mkdir(&path, invocation.flag("parents"), &naming(invocation))?;
    if flush {
        mfs.flush(&path)?;
    }
    invocation.close(node)
}

fn flush(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = match invocation.words().is_empty() {
        true => "/".to_owned(),
        false => invocation.argument()?,
    };
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.flush(&path)?;
    mfs.count(true)?;
    let cid = invocation.cid_style().text(&mfs.entry(&path)?.cid);
    let line = format!("{{\"Cid\":\"{cid}\"}}\n");
    invocation.out.emit(
        || Flushed { cid },
        |out| out.extend_from_slice(line.as_bytes()),
    )?;
    invocation.close(node)
}

fn chcid(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = check_path(&invocation.argument()?)?;
    if path == "/" {
        return Err(Failure::failed(
            "cannot change CID format of the MFS root; use 'ipfs config Import.CidVersion' and \
             'ipfs config Import.HashFunction' instead",
        ));
    }
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.rename_blocks(&path, &naming(invocation))?;
    if invocation.flag("flush") {
        mfs.flush(&path)?;
        mfs.flush(&mfs_path::parent(&path))?;
    }
    invocation.close(node)
}

fn chmod(invocation: &mut Invocation) -> Result<(), Failure> {
    let [mode, path] = words(invocation)?;
    let path = check_path(&path)?;
    let mode = octal(&mode)?;
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.set_mode(&path, mode)?;
    mfs.commit()?;
    invocation.close(node)
}

/// A mode as Go reads it: a signed number of 32 bits in octal digits, of which its own permission bits count.
fn octal(text: &str) -> Result<u32, Failure> {
    let refused =
        |why: &str| Failure::failed(format_args!("strconv.ParseInt: parsing {text:?}: {why}"));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) {
        return Err(refused("invalid syntax"));
    }
    let value = i32::from_str_radix(text, 8).map_err(|_| refused("value out of range"))?;
    // Go's FileMode has its set-id and sticky bits elsewhere, so that those of Unix mean nothing there.
    let bits = value as u32;
    let mut mode = bits & 0o777;
    for (go, unix) in [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)] {
        if bits & go != 0 {
            mode |= unix;
        }
    }
    Ok(mode)
}

fn touch(invocation: &mut Invocation) -> Result<(), Failure> {
    let path = check_path(&invocation.argument()?)?;
    let nanos = invocation.uint("mtime-nsecs").unwrap_or(0);
    let (seconds, nanos) = match invocation.int("mtime").filter(|seconds| *seconds != 0) {
        Some(seconds) => normal(seconds, nanos)?,
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default();
            (now.as_secs() as i64, now.subsec_nanos())
        }
    };
    let node = invocation.node()?;
    let mfs = node.mfs();
    mfs.set_mtime(&path, seconds, nanos)?;
    mfs.commit()?;
    invocation.close(node)
}

/// Nanoseconds beyond a second count as seconds, as Go's `time.Unix` takes them.
fn normal(seconds: i64, nanos: u64) -> Result<(i64, u32), Failure> {
    const SECOND: u64 = 1_000_000_000;
    let carried = i64::try_from(nanos / SECOND).unwrap_or(i64::MAX);
    let seconds = seconds
        .checked_add(carried)
        .ok_or_else(|| Failure::failed("--mtime is out of range"))?;
    Ok((seconds, (nanos % SECOND) as u32))
}
