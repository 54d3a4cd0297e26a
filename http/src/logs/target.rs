//! Where lines go: standard error, standard output, a file, or several of them, as Kubo's variables say.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Where lines go.
#[derive(Debug)]
pub struct Target {
    stderr: bool,
    stdout: bool,
    file: Option<File>,
}

impl Default for Target {
    fn default() -> Target {
        Target {
            stderr: true,
            stdout: false,
            file: None,
        }
    }
}

impl Target {
    /// What `output` says, as `stderr+file`. Without it lines go to the file if there is one, else to standard
    /// error. What makes no sense is told; lines always go somewhere.
    pub fn of(output: Option<&str>, path: Option<&Path>) -> (Target, Vec<String>) {
        let mut warnings = Vec::new();
        let file = path.and_then(|path| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let tell = |error| warnings.push(format!("cannot log to {}: {error}", path.display()));
            opened.map_err(tell).ok()
        });
        let (mut target, mut wants_file) = match output {
            None => (
                Target {
                    stderr: file.is_none(),
                    ..Target::default()
                },
                true,
            ),
            Some(_) => (
                Target {
                    stderr: false,
                    ..Target::default()
                },
                false,
            ),
        };
        for word in output.unwrap_or_default().split('+') {
            match word {
                "" => {}
                "stderr" => target.stderr = true,
                "stdout" => target.stdout = true,
                "file" => wants_file = true,
                other => warnings.push(format!(
                    "{other:?} is no place for logs: use stderr, stdout and file, joined by +"
                )),
            }
        }
        if output.is_some() && wants_file && path.is_none() {
            warnings.push("logs are to go to a file, and none is named".to_owned());
        }
        target.file = file.filter(|_| wants_file);
        if !target.stdout && target.file.is_none() {
            target.stderr = true;
        }
        (target, warnings)
    }

    /// Writes a line.
    pub fn write(&self, line: &[u8]) {
        // Nobody is left to tell where a line cannot be written.
        if self.stderr {
            let _ = std::io::stderr().lock().write_all(line);
        }
        if self.stdout {
            let _ = std::io::stdout().lock().write_all(line);
        }
        if let Some(mut file) = self.file.as_ref() {
            let _ = file.write_all(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_where_they_should_and_never_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let of = |output, path: Option<&Path>| {
            let (target, warnings) = Target::of(output, path);
            let to = (target.stderr, target.stdout, target.file.is_some());
            (to, warnings.len())
        };
        assert_eq!(of(None, None), ((true, false, false), 0));
        assert_eq!(of(None, Some(&path)), ((false, false, true), 0));
        assert_eq!(
            of(Some("stderr+file"), Some(&path)),
            ((true, false, true), 0)
        );
        assert_eq!(of(Some("stdout"), Some(&path)), ((false, true, false), 0));
        assert_eq!(of(Some("file"), None), ((true, false, false), 1));
        assert_eq!(of(Some("elsewhere"), None), ((true, false, false), 1));
        assert_eq!(of(None, Some(dir.path())), ((true, false, false), 1));
        let (target, _) = Target::of(None, Some(&path));
        target.write(b"one\n");
        Target::of(None, Some(&path)).0.write(b"two\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }
}
