//! The examples do what they say.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a failed step is a failed test

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// Longest wait for a line.
const PATIENCE: Duration = Duration::from_secs(60);

/// Cargo builds the examples with the tests, beside them.
fn command(name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().unwrap().parent().unwrap();
    let path: PathBuf = built.join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is not built: `cargo build --examples -p ipfs-kit-node` does that",
        path.display()
    );
    Command::new(path)
}

/// A running example, whose lines come as it prints them.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Ends with the child, whose end closes the pipe.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// What comes behind a word at the start of a line.
    fn told(&self, word: &str) -> String {
        let start = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let line = self.lines.recv_timeout(left).expect(word);
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to its end and gives what it said.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_node_is_embedded() {
    let said = run(command("add_and_cat").current_dir(env!("CARGO_MANIFEST_DIR")));
    assert!(
        said.contains("added ") && said.contains("begins with:"),
        "{said}"
    );
    let place = tempfile::tempdir().unwrap();
    let record = place.path().join("record");
    let said = run(command("publish_name")
        .arg(place.path().join("repo"))
        .args(["press", "ed25519", "/ipfs/bafkqaaa"])
        .arg(&record));
    assert!(said.ends_with("-> /ipfs/bafkqaaa\n"), "{said}");
    assert!(!std::fs::read(&record).unwrap().is_empty());
}

#[test]
fn a_file_is_served_and_fetched_by_its_cid() {
    let place = tempfile::tempdir().unwrap();
    let (file, output) = (place.path().join("file"), place.path().join("output"));
    let data: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n / 251) as u8 ^ n as u8)
        .collect();
    std::fs::write(&file, &data).unwrap();
    let serving = Running::start(command("serve").arg(&file));
    let (cid, address) = (serving.told("cid "), serving.told("address "));
    run(command("fetch").arg(&cid).arg(&output).arg(&address));
    assert!(std::fs::read(&output).unwrap() == data);
}

#[test]
fn two_chat_over_pubsub() {
    let one = Running::start(command("chat").arg("lobby"));
    let address = one.told("address ");
    let mut two = Running::start(command("chat").arg("lobby").arg(&address));
    let mut says = two.child.stdin.take().unwrap();
    let start = Instant::now();
    // What is said before the other is known is lost.
    loop {
        writeln!(says, "hello").unwrap();
        match one.lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) if line.ends_with(": hello") => return,
            _ => assert!(start.elapsed() < PATIENCE, "nothing was heard"),
        }
    }
}
