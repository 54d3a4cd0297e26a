//! `get` on the local disk: files and directories out of the repo, from the node itself or from a daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;

use ipfs_kit_http::client::{Call, Client, Reply};
use ipfs_kit_http::escape;
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::host::{Bar, Counting};
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods::get::{check_archive, compression};
use ipfs_kit_http::output::os_reason;
use ipfs_kit_node::export::unpack;
use ipfs_kit_node::{EntryKind, Node};
use serde::Deserialize;

use crate::attach;
use crate::host::Local;

/// Stores what a path leads to.
///
/// # Errors
/// A wrong path, before anything is created or said, and what the local disk refuses.
pub fn run(local: &Local, invocation: &mut Invocation) -> Result<(), Failure> {
    let level = compression(invocation)?;
    let archive = invocation.flag("archive");
    let path = invocation.argument()?;
    let origin = match attach::daemon(local)? {
        Some(client) => {
            local.stop.watch_signals()?;
            Origin::Daemon(local, client)
        }
        None => Origin::Node(invocation.node()?),
    };
    let stat = origin.stat(&path)?;
    let target = match invocation
        .path("output")
        .filter(|path| !path.as_os_str().is_empty())
    {
        Some(target) => target,
        None => default_target(&path)?,
    };
    if !archive && level.is_none() {
        say(invocation, "Saving file(s) to", &target)?;
        let bar = invocation.bar(Counting::Bytes(Some(stat.cumulative_size)));
        origin.unpack(&path, &target, bar.as_deref())?;
        return origin.close(invocation);
    }
    check_archive(archive, stat.kind)?;
    let form = Form { archive, level };
    if target.as_os_str() == "-" {
        let bar = invocation.bar(Counting::Bytes(None));
        origin.write(&path, form, &mut invocation.out, bar.as_deref())?;
    } else {
        let target = with_suffix(target, archive, level.is_some());
        say(invocation, "Saving archive to", &target)?;
        let bar = invocation.bar(Counting::Bytes(None));
        write_whole(&target, |file| {
            origin.write(&path, form, file, bar.as_deref())
        })?;
    }
    origin.close(invocation)
}

/// How an archive is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    archive: bool,
    level: Option<u32>,
}

/// Who has the content.
enum Origin<'l> {
    Node(Node),
    Daemon(&'l Local, Client),
}

/// What `get` has to know of a path.
struct Stat {
    kind: EntryKind,
    cumulative_size: u64,
}

/// The answer of the daemon to `stat`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatRecord {
    r#type: String,
    cumulative_size: u64,
}

impl Origin<'_> {
    fn stat(&self, path: &str) -> Result<Stat, Failure> {
        let (local, client) = match self {
            Origin::Node(node) => {
                let stat = node.files().stat(path)?;
                return Ok(Stat {
                    kind: stat.kind,
                    cumulative_size: stat.cumulative_size,
                });
            }
            Origin::Daemon(local, client) => (local, client),
        };
        let reply = ask(local, client, "stat", &[], path)?;
        let record: StatRecord = serde_json::from_reader(reply).map_err(Failure::failed)?;
        Ok(Stat {
            kind: match record.r#type.as_str() {
                "file" => EntryKind::File,
                "directory" => EntryKind::Directory,
                "symlink" => EntryKind::Symlink,
                _ => EntryKind::Unknown,
            },
            cumulative_size: record.cumulative_size,
        })
    }

    fn unpack(&self, path: &str, target: &Path, bar: Option<&dyn Bar>) -> Result<(), Failure> {
        match self {
            Origin::Node(node) => {
                let progress = &mut |bytes| {
                    advance(bar, bytes);
                    Ok(())
                };
                Ok(node.files().get(path, target, progress)?)
            }
            Origin::Daemon(local, client) => {
                let progress = &mut |bytes| {
                    advance(bar, bytes);
                    local.stop.check().map_err(io::Error::other)
                };
                let mut reply = ask(local, client, "get", &[], path)?;
                let unpacked = unpack(&mut reply, target, progress);
                // What the daemon says explains best why the archive ends early.
                while unpacked.is_ok() && reply.next_piece()?.is_some() {}
                attach::finish(local, &reply)?;
                unpacked.map(drop).map_err(Failure::failed)
            }
        }
    }

    fn write(
        &self,
        path: &str,
        form: Form,
        output: &mut dyn Write,
        bar: Option<&dyn Bar>,
    ) -> Result<(), Failure> {
        let (local, client) = match self {
            Origin::Node(node) => {
                let files = node.files();
                let emit = &mut |bytes| {
                    advance(bar, bytes);
                    Ok(())
                };
                match (form.archive, form.level) {
                    (false, Some(level)) => files.get_gzip(path, level, output, emit)?,
                    (_, level) => files.get_tar(path, None, level, output, emit)?,
                }
                return Ok(());
            }
            Origin::Daemon(local, client) => (local, client),
        };
        let mut options = vec![("archive", form.archive.to_string())];
        if let Some(level) = form.level {
            options.push(("compress", "true".to_owned()));
            options.push(("compression-level", level.to_string()));
        }
        let mut reply = ask(local, client, "get", &options, path)?;
        let mut written = 0;
        while let Some(piece) = reply.next_piece()? {
            output.write_all(&piece)?;
            written += piece.len() as u64;
            advance(bar, written);
            local.stop.check()?;
        }
        attach::finish(local, &reply)
    }

    fn close(self, invocation: &Invocation) -> Result<(), Failure> {
        match self {
            Origin::Node(node) => invocation.close(node),
            Origin::Daemon(..) => Ok(()),
        }
    }
}

fn ask(
    local: &Local,
    client: &Client,
    command: &str,
    options: &[(&str, String)],
    path: &str,
) -> Result<Reply, Failure> {
    let mut query: Vec<(String, String)> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let passed = local.settings.passed_on.iter();
    query.extend(passed.map(|(name, text)| ((*name).to_owned(), text.clone())));
    query.push(("arg".to_owned(), path.to_owned()));
    client.send(Call {
        path: &[command],
        query,
        terminal: false,
        body: None,
    })
}

fn advance(bar: Option<&dyn Bar>, bytes: u64) {
    if let Some(bar) = bar {
        bar.set(bytes);
    }
}

/// The last part of a path. A DAG name that is no plain file name is not taken.
fn default_target(path: &str) -> Result<PathBuf, Failure> {
    let trimmed = path.trim_end_matches('/');
    let last = trimmed.rsplit('/').next().unwrap_or_default();
    let last = last.strip_prefix("ipfs:").unwrap_or(last);
    match last {
        "" | "." | ".." => Err(Failure::failed(format_args!(
            "{path:?} ends in no file name: say with -o where to store it"
        ))),
        last => Ok(PathBuf::from(last)),
    }
}

fn with_suffix(target: PathBuf, archive: bool, compress: bool) -> PathBuf {
    let mut name = target.into_os_string();
    let ends =
        |name: &std::ffi::OsStr, suffix: &str| name.as_encoded_bytes().ends_with(suffix.as_bytes());
    if archive && !ends(&name, ".tar") && !ends(&name, ".tar.gz") {
        name.push(".tar");
    }
    if compress && !ends(&name, ".gz") {
        name.push(".gz");
    }
    PathBuf::from(name)
}

fn say(invocation: &mut Invocation, what: &str, target: &Path) -> Result<(), Failure> {
    if invocation.quiet() {
        return Ok(());
    }
    let target = escape::printable(target.as_os_str().as_encoded_bytes());
    invocation.out.line(&format!("{what} {target}"))
}

/// Writes a file that appears under its name only when it is whole. What is there already and no regular
/// file (a pipe, a device) is written to directly.
fn write_whole(
    target: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let refuse = |action: &str, path: &Path, error: &io::Error| {
        Failure::failed(format_args!(
            "{action} {}: {}",
            path.display(),
            os_reason(error)
        ))
    };
    let special = fs::metadata(target).is_ok_and(|metadata| !metadata.is_file());
    let mut partial = target.as_os_str().to_owned();
    partial.push(format!(".{}.partial", process::id()));
    let partial = PathBuf::from(partial);
    let opened = if special {
        File::options().write(true).open(target)
    } else {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial)
    };
    let file = opened.map_err(|error| refuse("open", target, &error))?;
    let mut output = BufWriter::with_capacity(1 << 20, file);
    let result = fill(&mut output).and_then(|()| {
        output
            .flush()
            .map_err(|error| refuse("write", target, &error))?;
        if special {
            return Ok(());
        }
        fs::rename(&partial, target).map_err(|error| refuse("rename to", target, &error))
    });
    if result.is_err() && !special {
        // The failure itself is what matters; a partial file that resists removal keeps its name.
        let _ = fs::remove_file(&partial);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (path, target) in [
            ("Qm", "Qm"),
            ("/ipfs/Qm/a/", "a"),
            ("ipfs://Qm", "Qm"),
            ("ipfs:Qm", "Qm"),
        ] {
            assert_eq!(default_target(path).unwrap(), Path::new(target));
        }
        for path in ["/ipfs/Qm/..", "", "/", "Qm/."] {
            assert!(default_target(path).is_err(), "{path}");
        }
    }

    #[test]
    fn suffixes() {
        let name = |target: &str, archive, compress| {
            with_suffix(PathBuf::from(target), archive, compress)
                .display()
                .to_string()
        };
        assert_eq!(name("x", true, false), "x.tar");
        assert_eq!(name("x.tar", true, true), "x.tar.gz");
        assert_eq!(name("x", false, true), "x.gz");
        assert_eq!(name("x.tar.gz", true, true), "x.tar.gz");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x.tar");
        let failed = write_whole(&target, |out| {
            out.write_all(b"half").map_err(Failure::from)?;
            Err(Failure::failed("no more"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        write_whole(&target, |out| Ok(out.write_all(b"whole")?)).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }
}
