//! The options of `add`.

use ipfs_kit_node::AddOptions;

use crate::command::Opt;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::fast_provide;

/// In Kubo's order and with its names.
pub const OPTIONS: &[Opt] = &[
    Opt::flag(&["recursive", "r"], "Add directory paths recursively"),
    Opt::flag(
        &["dereference-args"],
        "Add what symlinks given as arguments point to (deprecated)",
    ),
    Opt::text(&["stdin-name"], "Assign a name if the file source is stdin"),
    Opt::flag(
        &["hidden", "H"],
        "Include files that are hidden; matters for recursive adds",
    ),
    Opt::list(
        &["ignore"],
        "A rule in the form of .gitignore for files to leave out (repeatable)",
    ),
    Opt::path(
        &["ignore-rules-path"],
        "A path to a file with rules in the form of .gitignore",
    ),
    Opt::flag(
        &["empty-dirs", "E"],
        "Include empty directories in the import",
    )
    .default("true"),
    Opt::flag(
        &["dereference-symlinks"],
        "Add what symlinks point to, also inside directories",
    ),
    Opt::flag(&["quiet", "q"], "Write minimal output"),
    Opt::flag(&["quieter", "Q"], "Write only final hash"),
    Opt::flag(&["silent"], "Write no output"),
    Opt::flag(
        &["progress", "p"],
        "Show progress; by default when stderr is a terminal",
    ),
    Opt::flag(
        &["only-hash", "n"],
        "Only chunk and hash - do not write to disk",
    ),
    Opt::flag(
        &["wrap-with-directory", "w"],
        "Wrap files with a directory object",
    ),
    Opt::flag(
        &["pin"],
        "Pin locally to protect added files from garbage collection",
    )
    .default("true"),
    Opt::text(&["pin-name"], "Name to use for the pin"),
    Opt::text(
        &["to-files"],
        "Add reference to Files API (MFS) at the provided path, into it if it ends with a slash",
    ),
    Opt::int(
        &["cid-version"],
        "CID version (0 or 1). Default: Import.CidVersion",
    ),
    Opt::text(
        &["hash"],
        "Hash function to use. Default: Import.HashFunction",
    ),
    Opt::flag(
        &["raw-leaves"],
        "Use raw blocks for leaf nodes. Default: true for CIDv1",
    ),
    Opt::text(
        &["chunker", "s"],
        "Chunker: size-[bytes], rabin-[min]-[avg]-[max] or buzhash",
    ),
    Opt::flag(
        &["trickle", "t"],
        "Use trickle-dag format for dag generation",
    ),
    Opt::int(
        &["max-file-links"],
        "Maximum number of links in UnixFS file nodes",
    ),
    Opt::int(
        &["max-directory-links"],
        "Maximum number of links in basic directory nodes",
    ),
    Opt::int(
        &["max-hamt-fanout"],
        "Fan-out of sharded directories, a power of 2 from 8 to 1024",
    ),
    Opt::flag(&["inline"], "Inline small blocks into CIDs"),
    Opt::int(
        &["inline-limit"],
        "Maximum block size to inline, at most 128 bytes",
    )
    .default("32"),
    Opt::flag(
        &["nocopy"],
        "Add the file using filestore; refused, there is none",
    ),
    Opt::flag(
        &["fscache"],
        "Check the filestore for pre-existing blocks; no effect, there is none",
    ),
    Opt::flag(
        &["preserve-mode"],
        "Store the POSIX permissions of the files",
    ),
    Opt::flag(
        &["preserve-mtime"],
        "Store the modification times of the files",
    ),
    Opt::uint(&["mode"], "POSIX file mode to store, as 0644"),
    Opt::int(
        &["mtime"],
        "Modification time to store, in seconds before or after the Epoch",
    ),
    Opt::uint(
        &["mtime-nsecs"],
        "Nanoseconds of the modification time to store",
    ),
    fast_provide::ROOT,
    fast_provide::DAG,
    fast_provide::WAIT,
];

/// The largest block that may live inside its CID (IPIP-512).
const MAX_INLINE: u64 = 128;

/// What the flags ask for; what they leave open is decided by the configuration.
///
/// # Errors
/// Flags that exclude each other, are out of range, or ask for what is not there yet.
pub fn from_flags(invocation: &Invocation) -> Result<AddOptions, Failure> {
    refuse_missing_features(invocation)?;
    let only_hash = invocation.flag("only-hash");
    let pin = invocation.flag("pin") && !only_hash;
    let pin_name = invocation.text("pin-name");
    let to_files = invocation.text("to-files");
    for (name, given) in [
        ("only-hash", only_hash),
        (
            "wrap-with-directory",
            invocation.flag("wrap-with-directory"),
        ),
    ] {
        if given && to_files.is_some() {
            return Err(Failure::failed(format_args!(
                "{name} and to-files options are not compatible"
            )));
        }
    }
    if pin_name.is_some() && !pin {
        return Err(Failure::failed("pin-name option requires pin to be set"));
    }
    let (mode, mtime) = metadata(invocation)?;
    Ok(AddOptions {
        recursive: invocation.flag("recursive"),
        wrap: invocation.flag("wrap-with-directory"),
        only_hash,
        pin,
        pin_name,
        to_files,
        progress: false,
        chunker: invocation
            .text("chunker")
            .filter(|chunker| !chunker.is_empty()),
        trickle: invocation.given_flag("trickle"),
        raw_leaves: invocation.given_flag("raw-leaves"),
        cid_version: invocation.size("cid-version")?,
        hash: invocation.text("hash").map(|hash| hash.to_lowercase()),
        inline_limit: inline_limit(invocation)?,
        max_file_links: links(invocation, "max-file-links")?,
        max_directory_links: links(invocation, "max-directory-links")?,
        max_hamt_fanout: links(invocation, "max-hamt-fanout")?,
        preserve_mode: invocation.flag("preserve-mode"),
        preserve_mtime: invocation.flag("preserve-mtime"),
        mode,
        mtime,
        hidden: invocation.flag("hidden"),
        ignore: invocation.list("ignore"),
        ignore_rules: invocation.path("ignore-rules-path"),
        empty_dirs: invocation.flag("empty-dirs"),
        dereference_args: invocation.flag("dereference-args"),
        dereference_symlinks: invocation.flag("dereference-symlinks"),
    })
}

/// Kubo's words where its filestore is off, which here it always is.
fn refuse_missing_features(invocation: &Invocation) -> Result<(), Failure> {
    if invocation.flag("nocopy") {
        return Err(Failure::failed(
            "either the filestore or the urlstore must be enabled to use nocopy, see: \
             https://github.com/ipfs/kubo/blob/master/docs/experimental-features.md#ipfs-filestore \
             (ipfs-kit has neither: without --nocopy the content is copied into the repo)",
        ));
    }
    Ok(())
}

fn inline_limit(invocation: &Invocation) -> Result<Option<usize>, Failure> {
    if !invocation.flag("inline") {
        return Ok(None);
    }
    let limit = invocation.size("inline-limit")?.unwrap_or(32);
    if limit > MAX_INLINE {
        return Err(Failure::failed(format_args!(
            "inline-limit {limit} exceeds maximum allowed size of {MAX_INLINE} bytes"
        )));
    }
    Ok(Some(limit as usize))
}

fn links(invocation: &Invocation, name: &str) -> Result<Option<usize>, Failure> {
    let Some(links) = invocation.size(name)? else {
        return Ok(None);
    };
    let links = usize::try_from(links)
        .map_err(|_| Failure::failed(format_args!("--{name} is out of range")))?;
    Ok(Some(links))
}

type Metadata = (Option<u32>, Option<(i64, u32)>);

/// `--mode` and `--mtime`; zero means "not given", as in Kubo.
fn metadata(invocation: &Invocation) -> Result<Metadata, Failure> {
    let mode = invocation.uint("mode").filter(|mode| *mode != 0);
    let mode = mode
        .map(u32::try_from)
        .transpose()
        .map_err(|_| Failure::failed("--mode is out of range: give it as 0644"))?
        // Kubo keeps set-user-id, set-group-id and sticky with --preserve-mode only.
        .map(|mode| mode & 0o777);
    let nanos = invocation.uint("mtime-nsecs").unwrap_or(0);
    let nanos = u32::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)
        .ok_or_else(|| Failure::failed("--mtime-nsecs must be below 1000000000"))?;
    let mtime = match invocation.int("mtime").filter(|seconds| *seconds != 0) {
        Some(seconds) => Some((seconds, nanos)),
        None if nanos != 0 => {
            return Err(Failure::failed(
                "option \"mtime-nsecs\" requires \"mtime\" to be provided as well",
            ));
        }
        None => None,
    };
    if mode.is_some() || mtime.is_some() {
        refuse_raw_leaves(invocation)?;
    }
    if invocation.flag("preserve-mode") || invocation.flag("preserve-mtime") {
        refuse_raw_leaves(invocation)?;
    }
    Ok((mode, mtime))
}

fn refuse_raw_leaves(invocation: &Invocation) -> Result<(), Failure> {
    if invocation.given_flag("raw-leaves") == Some(true) {
        return Err(Failure::failed(
            "raw-leaves can't be used with UnixFS metadata like mode or modification time",
        ));
    }
    Ok(())
}
