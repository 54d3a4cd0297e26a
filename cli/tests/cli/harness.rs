//! A home directory with a repo, and ways to run the binary in it.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ipfs-kit");

/// A place of its own for one test: `home/`, with `repo` and `work` below it.
pub struct Home {
    /// Ends before its directory goes.
    daemon: Option<Daemon>,
    dir: TempDir,
}

/// A running daemon, killed when it is dropped.
pub struct Daemon {
    child: Child,
    /// What it printed before it was ready.
    pub lines: Vec<String>,
    /// Host and port of its RPC.
    pub address: String,
}

impl Daemon {
    /// Starts the daemon of a home without network and waits until it is ready.
    pub fn start(home: &Home) -> Daemon {
        Daemon::start_with(home, &["--offline"])
    }

    /// [`Daemon::start`] with other options.
    pub fn start_with(home: &Home, options: &[&str]) -> Daemon {
        home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
        Daemon::run(home, &[&["daemon"], options].concat())
    }

    /// Starts `daemon` or `serve`, at a port of its own, and waits until it is ready.
    pub fn run(home: &Home, words: &[&str]) -> Daemon {
        let mut command = home.command(words);
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = Vec::new();
        let output = BufReader::new(child.stdout.as_mut().unwrap());
        for line in output.lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap() == "Daemon is ready" {
                break;
            }
        }
        let listening = "API server listening on /ip4/";
        let address = lines
            .iter()
            .find_map(|line| Some(line.split_once(listening)?.1))
            .unwrap_or_else(|| panic!("no daemon: {lines:?}"))
            .replace("/tcp/", ":");
        Daemon {
            child,
            lines,
            address,
        }
    }

    /// Its process id.
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// Waits for its end.
    pub fn end(mut self) -> i32 {
        let status = self.child.wait().unwrap();
        status.code().unwrap_or(-1)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// Exit status; signals count as 128 and their number.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("UTF-8 output")
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code();
        Ran {
            code: code.unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Home {
    /// Without a repo.
    pub fn bare() -> Home {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Home { daemon: None, dir }
    }

    /// With an empty repo, and a daemon on it where the tests are run that way.
    pub fn new() -> Home {
        let mut home = Home::alone();
        if crate::ATTACHED {
            home.daemon = Some(Daemon::start(&home));
        }
        home
    }

    /// With an empty repo and no daemon.
    pub fn alone() -> Home {
        let home = Home::bare();
        home.ok(["init"]);
        home
    }

    /// The repo's directory.
    pub fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    /// A path in the working directory of the runs.
    pub fn work(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("work").join(name)
    }

    /// Writes a file into the working directory.
    pub fn write(&self, name: impl AsRef<Path>, data: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        path
    }

    /// The binary, ready to start.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(BINARY);
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Gives any command the surroundings of this home.
    pub fn prepare(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"IPFS_") || name == "EDITOR" {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.dir.path())
            .env("IPFS_KIT_PATH", self.repo())
            .current_dir(self.work(""))
            .stdin(Stdio::null());
    }

    /// Runs to the end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs with `input` on standard input.
    pub fn run_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: impl AsRef<[u8]>,
    ) -> Ran {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        let writer = std::thread::spawn(move || {
            // A command that fails early closes its end; what it says is checked elsewhere.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output.into()
    }

    /// Runs to success and gives the trimmed text of standard output.
    #[track_caller]
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        succeeded(self.run(args))
    }

    /// [`Home::ok`] with `input` on standard input.
    #[track_caller]
    pub fn ok_with<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: impl AsRef<[u8]>,
    ) -> String {
        succeeded(self.run_with(args, input))
    }

    /// Runs to failure with status 1 and an error on standard error, and gives that.
    #[track_caller]
    pub fn fails<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        failed(self.run(args))
    }

    /// Adds `data` as one file and gives its CID.
    #[track_caller]
    pub fn add(&self, data: impl AsRef<[u8]>) -> String {
        self.ok_with(["add", "-Q"], data)
    }

    /// Number of blocks in the repo.
    #[track_caller]
    pub fn blocks(&self) -> u64 {
        let stat = json(&self.ok(["repo", "stat", "--enc=json"]));
        stat["NumObjects"].as_u64().unwrap()
    }

    /// The repo opens and every block in it is whole.
    #[track_caller]
    pub fn assert_sound(&self) {
        let text = self.ok(["repo", "verify"]);
        assert!(
            text.contains("verify complete, all blocks validated."),
            "{text}"
        );
        assert_eq!(
            self.ok(["pin", "verify"]),
            "",
            "every pinned DAG is complete"
        );
    }
}

#[track_caller]
fn succeeded(ran: Ran) -> String {
    assert_eq!(ran.code, 0, "stderr: {}", ran.stderr);
    ran.text().trim_end().to_owned()
}

/// Checks that a run failed as failures should.
#[track_caller]
pub fn failed(ran: Ran) -> String {
    assert_eq!(
        ran.code,
        1,
        "stdout: {:?}, stderr: {}",
        ran.text(),
        ran.stderr
    );
    assert!(ran.stderr.contains("Error: "), "{:?}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran.stderr
}

/// One JSON document.
#[track_caller]
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// JSON documents, one a line.
#[track_caller]
pub fn ndjson(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

/// Bytes that do not repeat, from a seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut data = Vec::with_capacity(len + 8);
    while data.len() < len {
        data.extend_from_slice(&next().to_le_bytes());
    }
    data.truncate(len);
    data
}
