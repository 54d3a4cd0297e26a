//! Child processes: no stdin, output passed on line by line and searched for test counts.

use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is inside the workspace")
        .to_owned()
}

/// The workspace's `target` directory.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// How many tests a command reported.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
}

/// Runs `command` to its end; an error if it cannot be started or does not exit with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let text = shown(command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{text}`"))?;
    ensure!(status.success(), "`{text}` ended with {status}");
    Ok(())
}

/// Runs `command` and gives its stdout.
pub fn capture(command: &mut Command) -> Result<Vec<u8>> {
    let text = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{text}`"))?;
    ensure!(
        output.status.success(),
        "`{text}` ended with {}",
        output.status
    );
    Ok(output.stdout)
}

/// Runs `command`, passing its output on, and gives the tests it counted and whether it
/// succeeded.
pub fn counted(command: &mut Command) -> Result<(Count, Result<()>)> {
    let text = shown(command);
    println!("$ {text}");
    let (reader, writer) = std::io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{text}`"))?;
    // The command holds the writing ends: they must close with the child for the reader to end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let count = pass_on(reader)?;
    let status = child.wait()?;
    let outcome = if status.success() {
        Ok(())
    } else {
        bail_status(&text, status)
    };
    Ok((count, outcome))
}

fn bail_status(text: &str, status: std::process::ExitStatus) -> Result<()> {
    bail!("`{text}` ended with {status}")
}

fn pass_on(reader: PipeReader) -> Result<Count> {
    let mut count = Count::default();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        if let Some(found) = count_in(&String::from_utf8_lossy(&line)) {
            count.passed += found.passed;
            count.failed += found.failed;
        }
        line.clear();
    }
    Ok(count)
}

/// The counts in a line of libtest (`test result: ok. 3 passed; 0 failed; ...`) or of one of our
/// harnesses (`kills: 300 passed, 0 failed`).
fn count_in(line: &str) -> Option<Count> {
    let mut passed = None;
    let mut failed = None;
    let words: Vec<&str> = line
        .split([' ', ',', ';', '.', '\n'])
        .filter(|word| !word.is_empty())
        .collect();
    for pair in words.windows(2) {
        match pair[1] {
            "passed" => passed = pair[0].parse().ok(),
            "failed" => failed = pair[0].parse().ok(),
            _ => {}
        }
    }
    Some(Count {
        passed: passed?,
        failed: failed?,
    })
}

fn shown(command: &Command) -> String {
    let mut text = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program())
        .to_string_lossy()
        .into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_libtest_and_of_harnesses_are_read() {
        let libtest = "test result: FAILED. 12 passed; 3 failed; 0 ignored; finished in 0.01s\n";
        assert_eq!(
            count_in(libtest),
            Some(Count {
                passed: 12,
                failed: 3
            })
        );
        let harness = "kills: 300 passed, 0 failed\n";
        assert_eq!(
            count_in(harness),
            Some(Count {
                passed: 300,
                failed: 0
            })
        );
        assert_eq!(count_in("test store::passed ... ok\n"), None);
        assert_eq!(count_in("3 passed\n"), None);
    }
}
