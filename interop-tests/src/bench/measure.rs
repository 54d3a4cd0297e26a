//! One command: how long it took, how much processor time and memory.

#![allow(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What one run of a command cost.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// From the start of the process to its end.
    pub wall: Duration,
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it held at once, in bytes.
    pub peak: u64,
}

/// Runs `command` to its end with its output thrown away.
pub fn timed(command: &mut Command) -> Result<Sample> {
    timed_while(command, |_| Ok(()))
}

/// As [`timed`], with `work` run beside the command, for instance to feed its stdin.
pub fn timed_while(
    command: &mut Command,
    work: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<Sample> {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // A new process begins with the peak of the one that started it (exec(2) keeps it): forget
    // ours (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak of memory")?;
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    work(&mut child)?;
    drop(child.stdin.take());
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr
            .read_to_string(&mut said)
            .context("cannot read stderr")?;
    }
    let (status, usage) = wait(&child)?;
    let wall = start.elapsed();
    ensure!(
        status == 0,
        "{command:?} ended with status {status}: {}",
        said.trim()
    );
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Ok(Sample {
        wall,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak: usage.ru_maxrss as u64 * 1024,
    })
}

/// Waits for a child and gives its status and what it used, which the standard library does not.
fn wait(child: &Child) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is a plain C structure of integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4(2) writes, and the
        // child is ours and not waited for yet: `Child` waits only when told to.
        let found = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
        if found == child.id() as i32 {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            bail!("wait4: {error}");
        }
    }
}

/// What a process used so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it held at once, in bytes.
    pub peak: u64,
}

/// What the process `id` used so far (proc(5)).
pub fn usage(id: u32) -> Result<Usage> {
    // The unit of times in /proc on Linux, whatever the kernel's own is.
    const TICKS: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name of the program may contain anything; after it, utime and stime are 12th and 13th.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/ID/stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<u64>)
        .sum::<Result<_, _>>()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .context("no VmHWM in /proc/ID/status")?
        .parse()?;
    Ok(Usage {
        cpu: Duration::from_millis(ticks * 1_000 / TICKS),
        peak: peak * 1024,
    })
}

/// The middle of `values`.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_holds_what_the_command_used() {
        let sample = timed(Command::new("sh").args(["-c", "sleep 0.05"])).unwrap();
        assert!(sample.wall >= Duration::from_millis(50), "{sample:?}");
        assert!(sample.peak > 100_000, "{sample:?}");
        assert!(timed(Command::new("sh").args(["-c", "exit 3"])).is_err());
    }

    #[test]
    fn the_peak_is_not_that_of_the_caller() {
        let ours = std::hint::black_box(vec![1u8; 200 << 20]);
        drop(ours);
        let sample = timed(&mut Command::new("true")).unwrap();
        assert!(sample.peak < 100 << 20, "{sample:?}");
    }

    #[test]
    fn usage_grows_with_use() {
        let before = usage(std::process::id()).unwrap();
        let start = Instant::now();
        // Not for a time: on a busy machine this thread may have none of it.
        let after = loop {
            std::hint::black_box(vec![1u8; 64 << 20]);
            let after = usage(std::process::id()).unwrap();
            if after.cpu > before.cpu {
                break after;
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{before:?} {after:?}"
            );
        };
        assert!(after.peak > 64 << 20, "{after:?}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
    }
}
