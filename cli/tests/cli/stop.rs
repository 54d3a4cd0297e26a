//! Signals and time limits: the command ends, the repo stays sound.

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::harness::{Home, Ran, noise};

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Starts an add of endless input and waits until it has taken some of it.
fn endless_add(home: &Home) -> Child {
    let mut command = home.command(["add", "--progress=true"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(&noise(9, 8 << 20))
        .unwrap();
    child
}

fn finish(mut child: Child) -> Ran {
    // Reading to the end needs the pipes; standard input stays open, nobody types.
    let stdin = child.stdin.take();
    let mut stdout = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut stdout)
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    let status = child.wait().unwrap();
    drop(stdin);
    Ran {
        code: status.code().unwrap_or(-1),
        stdout,
        stderr,
    }
}

#[test]
fn an_interrupted_add_leaves_a_sound_repo() {
    let home = Home::new();
    let before = home.ok(["pin", "ls", "-t", "recursive"]);
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let child = endless_add(&home);
        let start = Instant::now();
        signal(&child, number);
        let ran = finish(child);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(ran.stdout, b"", "nothing was acknowledged");
    }
    assert_eq!(home.ok(["pin", "ls", "-t", "recursive"]), before);
    home.assert_sound();
    home.ok(["repo", "gc"]);
    home.assert_sound();
}

#[test]
fn waiting_for_arguments_is_interrupted_too() {
    let home = Home::new();
    let mut command = home.command(["pin", "add"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Open to the end: arguments that end are another reason to stop.
    let stdin = child.stdin.take();
    std::thread::sleep(Duration::from_millis(300));
    // Not SIGINT, which a shell that starts the tests in the background has its children ignore.
    signal(&child, Signal::TERM);
    let ran = {
        use std::os::unix::process::ExitStatusExt;
        let output = child.wait_with_output().unwrap();
        output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap())
    };
    drop(stdin);
    assert_eq!(ran, 143);
}

#[test]
fn time_limits() {
    let home = Home::new();
    for limit in ["0.5", "500ms"] {
        let mut command = home.command(["--timeout", limit, "add"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let start = Instant::now();
        let ran = finish(command.spawn().unwrap());
        assert_eq!(ran.code, 124, "{}", ran.stderr);
        assert!(ran.stderr.contains("timed out"), "{}", ran.stderr);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
    let cid = home.add(noise(4, 1 << 20));
    assert_eq!(home.run(["cat", "--timeout=1ns", &cid]).code, 124);
    home.ok(["stat", "--timeout=1h", &cid]);
    home.ok(["stat", "--timeout", "60", &cid]);
    assert!(
        home.fails(["cat", "--timeout=1x", &cid])
            .contains("--timeout")
    );
    home.assert_sound();
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let home = Home::new();
    for file in 0..2000 {
        home.write(format!("d/{file}"), format!("{file}"));
    }
    let root = home.ok(["add", "-rQ", "d"]);
    let big = home.add(noise(8, 8 << 20));
    for command in [
        "add -r d".to_owned(),
        format!("cat {big}"),
        format!("ls {root}"),
        format!("refs -r {root}"),
        "refs local".to_owned(),
        "pin ls".to_owned(),
        "commands --flags".to_owned(),
    ] {
        let mut sh = std::process::Command::new("sh");
        home.prepare(&mut sh);
        let script = format!(
            "{} {command} | head -c 1 >/dev/null",
            super::harness::BINARY
        );
        let output = sh.args(["-c", &script]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(stderr, "", "{command}");
    }
    home.assert_sound();
}
