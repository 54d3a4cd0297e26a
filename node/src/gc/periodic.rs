//! Collections that a daemon makes by itself, when the repo has grown beyond its watermark.

use std::time::Duration;

use crate::config::{Config, ConfigError, parse_duration};
use crate::error::Result;
use crate::node::Node;

/// `Datastore.GCPeriod` and `Datastore.StorageGCWatermark` where they are not set.
const PERIOD: Duration = Duration::from_secs(60 * 60);
const WATERMARK: u64 = 90;

/// When a daemon collects by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodicGc {
    period: Duration,
    /// Bytes on disk from which on a look leads to a collection.
    above: u64,
}

impl PeriodicGc {
    /// `Datastore.GCPeriod`, `Datastore.StorageGCWatermark` (percent) and `Datastore.StorageMax`. `None` when the period
    /// is zero, which means never.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] for a period that is no duration.
    pub fn of(config: &Config) -> Result<Option<Self>, ConfigError> {
        let period = match config.text("Datastore.GCPeriod") {
            None | Some("") => PERIOD,
            Some(text) => parse_duration(text).ok_or_else(|| ConfigError::BadValue {
                key: "Datastore.GCPeriod".to_owned(),
                reason: "takes a duration such as 1h30m or 500ms".to_owned(),
            })?,
        };
        let watermark = config.integer("Datastore.StorageGCWatermark");
        let watermark = watermark
            .filter(|percent| *percent > 0)
            .unwrap_or(WATERMARK);
        let above = u128::from(config.storage_max()) * u128::from(watermark) / 100;
        Ok((!period.is_zero()).then_some(Self {
            period,
            above: u64::try_from(above).unwrap_or(u64::MAX),
        }))
    }

    /// Looks at the repo every period, and collects where it is too large, until it is dropped. `tell` hears of
    /// collections and of what fails.
    pub async fn run(self, node: Node, tell: impl Fn(&str) + Send) {
        loop {
            tokio::time::sleep(self.period).await;
            let node = node.clone();
            let look = tokio::task::spawn_blocking(move || self.look(&node)).await;
            match look {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(bytes))) => tell(&format!(
                    "the repo was above its watermark: garbage collection removed blocks of {bytes} bytes"
                )),
                Ok(Err(error)) => tell(&format!("garbage collection: {error}")),
                // The process is ending.
                Err(_) => return,
            }
        }
    }

    /// The bytes of the blocks that were removed, where a collection was due.
    pub(super) fn look(self, node: &Node) -> Result<Option<u64>> {
        if node.store().stats().disk_bytes <= self.above {
            return Ok(None);
        }
        let report = node.repo().gc(&mut |_| Ok(()))?;
        Ok(Some(report.removed_bytes))
    }
}
