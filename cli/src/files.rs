//! File arguments: local paths and standard input.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use ipfs_kit_http::command::Argument;
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::host::Input;
use ipfs_kit_http::output::os_reason;
use ipfs_kit_node::AddOptions;

use crate::stop::Stop;
use crate::terminal::note;

/// Opens the files that `words` name; without any, standard input. Directories are refused, as is
/// everything missing, before the first is read.
///
/// # Errors
/// The first argument that cannot be opened, by name.
pub fn open_all(
    argument: &Argument,
    words: &[OsString],
    stop: &Stop,
) -> Result<Vec<Input>, Failure> {
    if words.is_empty() {
        return Ok(vec![stdin_input(stop)]);
    }
    let open = |word: &OsString| {
        if word == OsStr::new("-") {
            return Ok(stdin_input(stop));
        }
        open_file(argument, Path::new(word))
    };
    // Kubo takes files in the order of their names, whatever the order of the arguments.
    let mut words: Vec<&OsString> = words.iter().collect();
    words.sort_by_key(|word| Path::new(word).file_name().map(OsStr::to_owned));
    words.into_iter().map(open).collect()
}

fn open_file(argument: &Argument, path: &Path) -> Result<Input, Failure> {
    refuse_url(path.as_os_str())?;
    if lstat(path)?.is_dir() {
        return Err(Failure::usage(format!(
            "invalid path '{}', argument '{}' does not support directories",
            path.display(),
            argument.name
        )));
    }
    let file = File::open(path).map_err(|error| {
        Failure::failed(format_args!(
            "open {}: {}",
            path.display(),
            os_reason(&error)
        ))
    })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Failure::failed(format_args!(
            "{} is a directory",
            path.display()
        )));
    }
    Ok(Input {
        name: path.display().to_string(),
        reader: Box::new(file),
    })
}

fn stdin_input(stop: &Stop) -> Input {
    Input {
        name: "standard input".to_owned(),
        reader: Box::new(stdin(stop)),
    }
}

/// Standard input; people who forgot to give it are told that it is being read.
pub fn stdin(stop: &Stop) -> impl Read + Send + use<> {
    if io::stdin().is_terminal() {
        note("Reading from /dev/stdin; send Ctrl-d to stop.");
    }
    stop.stdin()
}

/// Something to add: a local path, or standard input.
pub struct Named {
    /// The name it is added by.
    pub name: OsString,
    /// Where it is; `None` is standard input.
    pub path: Option<PathBuf>,
}

/// The things to add in the order Kubo adds them, by name.
///
/// # Errors
/// What Kubo refuses before anything is read.
pub fn named(
    words: &[OsString],
    stdin_name: Option<&str>,
    options: &AddOptions,
) -> Result<Vec<Named>, Failure> {
    let stdin_name = || OsString::from(stdin_name.unwrap_or_default());
    if words.is_empty() {
        return Ok(vec![Named {
            name: stdin_name(),
            path: None,
        }]);
    }
    let mut all: Vec<Named> = Vec::new();
    for word in words {
        if word == OsStr::new("-") {
            if all.iter().any(|known| known.path.is_none()) {
                return Err(Failure::usage("standard input can be added only once"));
            }
            all.push(Named {
                name: stdin_name(),
                path: None,
            });
            continue;
        }
        refuse_url(word)?;
        let path = local_path(Path::new(word), options)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_owned();
        let known = all
            .iter()
            .find(|known| known.name == name && known.path.is_some())
            .and_then(|known| known.path.as_deref());
        match known {
            Some(known) if known == path => continue,
            Some(known) => return Err(repeated(&name, &path, known)),
            None => all.push(Named {
                name,
                path: Some(path),
            }),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// A path argument, checked for what Kubo refuses before anything is read.
fn local_path(given: &Path, options: &AddOptions) -> Result<PathBuf, Failure> {
    let mut path = clean(given);
    let dereference = options.dereference_args || options.dereference_symlinks;
    // `.` and `..` have no name of their own; the directory they stand for has one.
    if path.file_name().is_none() || dereference {
        path = fs::canonicalize(&path).map_err(|error| {
            Failure::usage(format!("lstat {}: {}", path.display(), os_reason(&error)))
        })?;
    }
    if lstat(&path)?.is_dir() && !options.recursive {
        return Err(Failure::usage(format!(
            "'{}' is a directory, use the '-r' flag to specify directories",
            given.display()
        )));
    }
    Ok(path)
}

fn repeated(name: &OsStr, path: &Path, known: &Path) -> Failure {
    let parent = |path: &Path| {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        parent.unwrap_or(Path::new(".")).display().to_string()
    };
    Failure::usage(format!(
        "file name {} repeated under different import directories: {} and {}",
        name.to_string_lossy(),
        parent(path),
        parent(known)
    ))
}

/// Metadata of a path itself, with Kubo's words for what is missing.
///
/// # Errors
/// When there is nothing at the path, or it may not be looked at.
fn lstat(path: &Path) -> Result<fs::Metadata, Failure> {
    fs::symlink_metadata(path)
        .map_err(|error| Failure::usage(format!("lstat {}: {}", path.display(), os_reason(&error))))
}

/// Kubo fetches URLs given as files; that needs the network.
///
/// # Errors
/// When the word is an HTTP address.
fn refuse_url(word: &OsStr) -> Result<(), Failure> {
    let text = word.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(Failure::failed(format_args!(
            "{text}: fetching a URL needs network, which this version does not have; download it \
             first, for instance: curl {text} | ipfs-kit add --stdin-name=NAME"
        )));
    }
    Ok(())
}

/// A path as Go's `filepath.Clean` leaves it, without touching the disk.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir) => {}
                _ => clean.push(".."),
            },
            other => clean.push(other),
        }
    }
    if clean.as_os_str().is_empty() {
        clean.push(".");
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        for (given, clean_path) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/../a", "/a"),
            ("a/..", "."),
            (".", "."),
            ("../..", "../.."),
        ] {
            assert_eq!(clean(Path::new(given)), Path::new(clean_path), "{given}");
        }
    }

    #[test]
    fn urls_are_refused() {
        assert!(refuse_url(OsStr::new("https://example.com/x")).is_err());
        assert!(refuse_url(OsStr::new("httpd.conf")).is_ok());
    }
}
