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

/// Whether a file is one of the places.
pub fn names_file(output: &str) -> bool {
    output.split('+').any(|word| word == "file")
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
        let wants_file = output.is_none_or(names_file);
        let file = path.filter(|_| wants_file).and_then(|path| {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let tell = |error| warnings.push(format!("cannot log to {}: {error}", path.display()));
            opened.map_err(tell).ok()
        });
        let mut target = Target {
            stderr: output.is_none() && file.is_none(),
            ..Target::default()
        };
        for word in output.unwrap_or_default().split('+') {
            match word {
                "" | "file" => {}
                "stderr" => target.stderr = true,
                "stdout" => target.stdout = true,
                other => warnings.push(format!(
                    "{other:?} is no place for logs: use stderr, stdout and file, joined by +"
                )),
            }
        }
        target.file = file;
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
        assert_eq!(of(Some("file"), None), ((true, false, false), 0));
        let unwanted = dir.path().join("unwanted");
        assert_eq!(
            of(Some("stderr"), Some(&unwanted)),
            ((true, false, false), 0)
        );
        assert!(!unwanted.exists() && names_file("stderr+file"));
        assert_eq!(of(Some("elsewhere"), None), ((true, false, false), 1));
        assert_eq!(of(None, Some(dir.path())), ((true, false, false), 1));
        let (target, _) = Target::of(None, Some(&path));
        target.write(b"one\n");
        Target::of(None, Some(&path)).0.write(b"two\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
    }
}
