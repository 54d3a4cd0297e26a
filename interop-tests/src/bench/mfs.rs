//! Files written into the mutable file system of a daemon, each call flushed as by default.

use super::measure::{Sample, usage};
use crate::Peer;
use crate::daemon::Daemon;
use anyhow::{Result, ensure};
use std::thread;
use std::time::Instant;

/// Connections that write at the same time.
const CONNECTIONS: usize = 16;

/// Directories of the tree.
const DIRS: usize = 100;

/// Writes `count` files of some bytes, into one directory or a tree, from the first call to the last answer.
pub fn write(peer: &Peer, tree: bool, count: usize) -> Result<Sample> {
    let daemon = Daemon::start(peer, &["--offline"])?;
    let dirs = if tree { DIRS } else { 1 };
    for dir in 0..dirs {
        daemon.call(
            &format!("files/mkdir?arg=/tree/{}/{dir}&parents=true", dir % 10),
            None,
        )?;
    }
    let before = usage(daemon.id())?.cpu;
    let start = Instant::now();
    thread::scope(|scope| -> Result<()> {
        let daemon = &daemon;
        let writers: Vec<_> = (0..CONNECTIONS)
            .map(|first| {
                scope.spawn(move || -> Result<()> {
                    let mut connection = daemon.connect()?;
                    for nth in (first..count).step_by(CONNECTIONS) {
                        let dir = nth % dirs;
                        let path = format!("/tree/{}/{dir}/file-{nth}", dir % 10);
                        let call = format!("files/write?arg={path}&create=true");
                        let data = format!("content of file {nth}");
                        let answer = connection.call(&call, Some(data.as_bytes()))?;
                        ensure!(
                            answer.status == 200 && answer.error.is_none(),
                            "{path}: {answer:?}"
                        );
                    }
                    Ok(())
                })
            })
            .collect();
        writers.into_iter().try_for_each(|writer| {
            writer
                .join()
                .map_err(|_| anyhow::anyhow!("a writer panicked"))?
        })
    })?;
    let wall = start.elapsed();
    let used = usage(daemon.id())?;
    Ok(Sample {
        wall,
        cpu: used.cpu.saturating_sub(before),
        peak: used.peak,
    })
}
