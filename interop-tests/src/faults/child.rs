//! A command whose output goes to files, so that what it printed before its death is known exactly.

use anyhow::{Context, Result};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A command that runs longer than this hangs.
pub const HANG: Duration = Duration::from_secs(120);

/// A running command.
pub struct Running {
    child: Child,
    started: Instant,
    text: String,
    out: PathBuf,
    err: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it said on stderr.
    pub stderr: String,
    /// From its start to its end.
    pub took: Duration,
    /// The command line.
    pub text: String,
}

impl Running {
    /// Starts `command` with its output in files inside `scratch` that begin with `label`.
    pub fn start(mut command: Command, scratch: &Path, label: &str) -> Result<Self> {
        let out = scratch.join(format!("{label}.out"));
        let err = scratch.join(format!("{label}.err"));
        command
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?);
        let text = format!("{command:?}");
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {text}"))?;
        Ok(Self {
            child,
            started: Instant::now(),
            text,
            out,
            err,
        })
    }

    /// Waits until the command ends or `limit` has passed since its start, then kills it.
    pub fn end_within(mut self, limit: Duration) -> Result<Ended> {
        const STEP: Duration = Duration::from_micros(300);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return self.ended(status);
            }
            let left = limit.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return self.kill();
            }
            std::thread::sleep(left.min(STEP));
        }
    }

    /// Whether the command has not ended yet.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Bytes it has printed so far.
    pub fn printed(&self) -> Result<usize> {
        Ok(std::fs::metadata(&self.out)?.len() as usize)
    }

    /// Kills the command (signal 9) and waits until it is gone.
    pub fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.ended(status)
    }

    fn ended(self, status: ExitStatus) -> Result<Ended> {
        let took = self.started.elapsed();
        Ok(Ended {
            status,
            stdout: std::fs::read(&self.out)?,
            stderr: String::from_utf8_lossy(&std::fs::read(&self.err)?).into_owned(),
            took,
            text: self.text,
        })
    }
}

impl Ended {
    /// It was killed by signal 9.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }
}

/// Signs of a crash that no error text may hide: a panic or death by a signal other than 9.
pub fn crashed(status: ExitStatus, stderr: &str) -> bool {
    stderr.contains("panicked at")
        || stderr.contains("goroutine ")
        || status.signal().is_some_and(|signal| signal != 9)
}
