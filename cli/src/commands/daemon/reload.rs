//! A changed configuration is taken up while the server runs: at SIGHUP, and when a file of it changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::server::{RELOADED, Reloader};
use ipfs_kit_node::{NodeBuilder, config::Config};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::logging;
use crate::terminal::note;

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keys of the logs, which are taken up too.
const LOGS: &[&str] = &["Logging.File", "Logging.Level"];

/// What is read again, and what it has to be.
#[derive(Clone)]
pub struct Source {
    /// How the node was opened, with what the command line said.
    pub builder: NodeBuilder,
    /// Whether there has to be a secret to ask for.
    pub asks: bool,
}

/// What tells whether a file is another: identity, length, time of change.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Watches the files of a configuration.
pub struct Watch {
    source: Source,
    /// What the node runs with.
    started: Config,
    /// What was taken up last.
    current: Config,
    /// The files at the last look, and when they were taken up. None at first, so that what changed while the node was
    /// opened is taken up too.
    seen: Vec<(PathBuf, Stamp)>,
    taken: Vec<(PathBuf, Stamp)>,
    hangup: Signal,
}

impl Watch {
    /// Takes SIGHUP from now on. `started` is the configuration of the node.
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn new(source: Source, started: &Config) -> Result<Watch, Failure> {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Failure::failed(format_args!("cannot handle signals: {error}")))?;
        Ok(Watch {
            source,
            started: started.clone(),
            current: started.clone(),
            seen: Vec::new(),
            taken: Vec::new(),
            hangup,
        })
    }

    /// Takes up what changes, for as long as it is let.
    pub async fn run(mut self, reloader: Reloader) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = ticks.tick() => false,
            };
            // What is written while it is read is seen the next time.
            let stamps = stamps(&self.source.builder);
            // A file that is half written, or gone for a moment, makes sense to some readers.
            let is_settled = stamps == self.seen;
            self.seen.clone_from(&stamps);
            if asked || (is_settled && stamps != self.taken) {
                self.taken = stamps;
                self.take_up(&reloader, asked);
            }
        }
    }

    fn take_up(&mut self, reloader: &Reloader, asked: bool) {
        let config = match self.read(reloader) {
            Ok(config) => config,
            Err(failure) => {
                let text =
                    format!("the changed configuration is refused, the old one stays: {failure}");
                tracing::error!("{text}");
                return note(&text);
            }
        };
        let changed = self.current.differences(&config);
        let (taken, _) = split(changed, |key| config.get(key).is_some());
        if taken.iter().any(|key| is_below(key, LOGS)) {
            logging::configure(&config);
        }
        let (_, waiting) = split(self.started.differences(&config), |key| {
            config.get(key).is_some()
        });
        self.current = config;
        if asked || !taken.is_empty() {
            tell(&match taken.is_empty() {
                true => "the configuration is read again: nothing to take up".to_owned(),
                false => format!(
                    "the configuration is read again: {} taken up",
                    taken.join(", ")
                ),
            });
        }
        if !waiting.is_empty() {
            tell(&format!("a restart is needed for {}", waiting.join(", ")));
        }
    }

    /// Reads the configuration and gives it to the server, or neither.
    fn read(&self, reloader: &Reloader) -> Result<Config, Failure> {
        let config = self.source.builder.config()?;
        let secrets = config.get("API.Authorizations");
        let secrets = secrets.and_then(|value| value.as_object());
        let asks = secrets.is_some_and(|map| !map.is_empty());
        if self.source.asks && !asks && !reloader.has_tokens() {
            return Err(Failure::failed("--auth-enabled needs a secret to ask for"));
        }
        reloader.reload(&config).map_err(Failure::failed)?;
        Ok(config)
    }
}

/// Said where people look, and in the log.
fn tell(text: &str) {
    tracing::info!("{text}");
    note(text);
}

/// Keys that are taken up, and those that need a restart. Logs go on as they were where the configuration says nothing of
/// them any more.
fn split(keys: Vec<String>, is_set: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    keys.into_iter()
        .partition(|key| is_below(key, RELOADED) || (is_below(key, LOGS) && is_set(key)))
}

/// Whether a key is one of these or below one.
fn is_below(key: &str, known: &[&str]) -> bool {
    known.iter().any(|known| {
        let rest = key.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn stamps(builder: &NodeBuilder) -> Vec<(PathBuf, Stamp)> {
    let files = builder.config_files().unwrap_or_default();
    let stamp = |path: PathBuf| {
        let found = fs::metadata(&path)
            .ok()
            .map(|found| (found.ino(), found.size(), found.mtime(), found.mtime_nsec()));
        (path, found)
    };
    files.into_iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_up_or_wait() {
        let keys = [
            "API.HTTPHeaders.Access-Control-Allow-Origin",
            "Logging.Level",
            "API.AllowedHosts",
            "API.AllowedHostsX",
            "API.Limits.MaxConnections",
            "Swarm",
        ];
        let owned = || keys.iter().map(|key| (*key).to_owned()).collect();
        let (taken, waiting) = split(owned(), |_| true);
        assert_eq!(taken, keys[..3]);
        assert_eq!(waiting, keys[3..]);
        // Nothing says any more what the level is to be.
        let (taken, _) = split(owned(), |_| false);
        assert_eq!(taken, [keys[0], keys[2]]);
    }
}
