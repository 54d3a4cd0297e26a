//! The section `Provide` of the configuration.

use std::time::Duration;

use crate::config::Config;
use crate::net::NetError;

/// Kubo's defaults.
const INTERVAL: Duration = Duration::from_secs(22 * 3600);
const WORKERS: u64 = 16;
const PERIODIC_WORKERS: u64 = 2;
const BURST_WORKERS: u64 = 1;
const CONNECTIONS: u64 = 20;
const SEND_MAX: Duration = Duration::from_secs(10);

/// Others forget a record after that long.
const INTERVAL_MAX: Duration = Duration::from_secs(48 * 3600);

/// Keys read from the store at once. Kubo's default is a quarter of that; every read is a pass over the store here.
const PAGE: u64 = 65_536;

/// Which blocks are announced again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strategy {
    /// Every block in the store.
    pub all: bool,
    /// What is pinned: the whole DAGs.
    pub pinned: bool,
    /// The roots of pins.
    pub roots: bool,
    /// What the file system holds.
    pub mfs: bool,
    /// Of files only the roots, not their chunks.
    pub entities: bool,
}

impl Strategy {
    /// Reads Kubo's names, joined by `+`.
    ///
    /// # Errors
    /// [`NetError::BadSetting`] for what is none of them, or for two that exclude each other.
    pub fn read(text: &str) -> Result<Self, NetError> {
        let bad = |reason: String| NetError::BadSetting {
            key: "Provide.Strategy",
            reason,
        };
        let mut strategy = Self {
            all: false,
            pinned: false,
            roots: false,
            mfs: false,
            entities: false,
        };
        let mut unique = false;
        for part in text.split('+') {
            match part {
                // "flat" is what Kubo called it before.
                "" | "all" | "flat" => strategy.all = true,
                "pinned" => strategy.pinned = true,
                "roots" => strategy.roots = true,
                "mfs" => strategy.mfs = true,
                "entities" => strategy.entities = true,
                // Here no block is announced twice in any case.
                "unique" => unique = true,
                other => {
                    return Err(bad(format!(
                        "{other:?} is none of all, pinned, roots, mfs, with +unique or +entities"
                    )));
                }
            }
        }
        let chosen = strategy.pinned || strategy.roots || strategy.mfs;
        if strategy.all && (chosen || strategy.entities || unique) {
            return Err(bad(format!("{text:?}: \"all\" stands alone")));
        }
        if !strategy.all && !chosen {
            return Err(bad(format!("{text:?} names nothing to announce")));
        }
        Ok(strategy)
    }

    /// Whether a root that was just added counts.
    pub fn has_root(self, pinned: bool) -> bool {
        self.all || (pinned && (self.pinned || self.roots))
    }
}

/// How announcing goes on.
#[derive(Clone, Debug)]
pub struct ProvideSettings {
    /// What is announced.
    pub strategy: Strategy,
    /// Whether anything is announced at all.
    pub enabled: bool,
    /// How often each key is announced; zero: only when asked to.
    pub interval: Duration,
    /// By region; otherwise each key by a lookup of its own.
    pub sweep: bool,
    /// Goes on after a restart where it was.
    pub resume: bool,
    /// Regions in work at the same time.
    pub workers: usize,
    /// Of these, those that only do what is due, and those that only do what was asked for.
    pub dedicated: (usize, usize),
    /// Peers that one worker tells at the same time.
    pub connections: usize,
    /// Longest wait for a peer to take a part.
    pub patience: Duration,
    /// Keys in memory at the same time.
    pub page: usize,
}

impl ProvideSettings {
    /// Reads them.
    ///
    /// # Errors
    /// [`NetError::BadSetting`] with the key.
    pub fn read(config: &Config) -> Result<Self, NetError> {
        let interval = config.duration("Provide.DHT.Interval").unwrap_or(INTERVAL);
        if interval > INTERVAL_MAX {
            return Err(NetError::BadSetting {
                key: "Provide.DHT.Interval",
                reason: "others keep records for 48h: at most 48h0m0s".to_owned(),
            });
        }
        let dedicated = (
            number(
                config,
                "Provide.DHT.DedicatedPeriodicWorkers",
                PERIODIC_WORKERS,
                0,
            )?,
            number(
                config,
                "Provide.DHT.DedicatedBurstWorkers",
                BURST_WORKERS,
                0,
            )?,
        );
        Ok(Self {
            strategy: Strategy::read(config.text("Provide.Strategy").unwrap_or_default())?,
            enabled: config.flag("Provide.Enabled").unwrap_or(true),
            interval,
            sweep: config.flag("Provide.DHT.SweepEnabled").unwrap_or(true),
            resume: config.flag("Provide.DHT.ResumeEnabled").unwrap_or(true),
            workers: number(config, "Provide.DHT.MaxWorkers", WORKERS, 1)?,
            dedicated,
            connections: number(
                config,
                "Provide.DHT.MaxProvideConnsPerWorker",
                CONNECTIONS,
                1,
            )?,
            patience: config
                .duration("Provide.DHT.SendProviderRecordTimeout")
                .unwrap_or(SEND_MAX),
            page: number(config, "Provide.DHT.KeystoreBatchSize", PAGE, 1)?,
        })
    }

    /// Whether keys are announced again and again.
    pub fn repeats(&self) -> bool {
        self.enabled && !self.interval.is_zero()
    }
}

fn number(config: &Config, key: &'static str, default: u64, least: u64) -> Result<usize, NetError> {
    const MOST: u64 = 1 << 20;
    let given = config.get(key).filter(|value| !value.is_null());
    let number = match given {
        None => default,
        Some(value) => value.as_u64().unwrap_or(u64::MAX),
    };
    if (least..=MOST).contains(&number) {
        return Ok(number as usize);
    }
    Err(NetError::BadSetting {
        key,
        reason: format!("it is a number from {least} to {MOST}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use serde_json::{Value, json};

    fn settings(values: &[(&str, Value)]) -> Result<ProvideSettings, NetError> {
        let values = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let layers = Layers {
            values: values.collect(),
            ..Layers::default()
        };
        ProvideSettings::read(&Config::merged(&json!({}), &layers).unwrap())
    }

    #[test]
    fn strategies_are_kubos() {
        for (text, root, pinned_root) in [
            ("", true, true),
            ("all", true, true),
            ("flat", true, true),
            ("pinned", false, true),
            ("roots", false, true),
            ("mfs", false, false),
            ("pinned+mfs", false, true),
            ("pinned+mfs+unique", false, true),
            ("pinned+entities", false, true),
        ] {
            let strategy = Strategy::read(text).unwrap();
            let has = (strategy.has_root(false), strategy.has_root(true));
            assert_eq!(has, (root, pinned_root), "{text}");
        }
        for text in [
            "everything",
            "all+pinned",
            "unique",
            "all+entities",
            "pinned,mfs",
        ] {
            let error = Strategy::read(text).unwrap_err().to_string();
            assert!(error.contains("Provide.Strategy"), "{text}: {error}");
        }
    }

    #[test]
    fn defaults_are_kubos_and_bad_values_name_their_key() {
        let read = settings(&[]).unwrap();
        assert!(read.repeats() && read.sweep && read.resume);
        assert_eq!(
            (read.workers, read.dedicated, read.connections),
            (16, (2, 1), 20)
        );
        assert_eq!(read.interval, Duration::from_secs(22 * 3600));
        assert!(
            !settings(&[("Provide.DHT.Interval", "0s".into())])
                .unwrap()
                .repeats()
        );
        assert!(
            !settings(&[("Provide.Enabled", false.into())])
                .unwrap()
                .repeats()
        );
        for (key, value) in [
            ("Provide.DHT.Interval", json!("49h")),
            ("Provide.DHT.MaxWorkers", json!(0)),
            ("Provide.DHT.MaxWorkers", json!(-1)),
            ("Provide.DHT.MaxProvideConnsPerWorker", json!(0)),
            ("Provide.DHT.KeystoreBatchSize", json!(0)),
            ("Provide.DHT.DedicatedBurstWorkers", json!(-3)),
        ] {
            let error = settings(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
