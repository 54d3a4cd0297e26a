//! The settings of names in the configuration.

use std::time::Duration;

use super::NameError;
use crate::config::Config;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How long a record may be cached when its publisher says nothing else.
pub const DEFAULT_TTL: Duration = Duration::from_secs(5 * 60);
/// How long a record is cached that does not say.
pub const UNSAID_TTL: Duration = MINUTE;

/// The keys of `Ipns`, with Kubo's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameSettings {
    /// `Ipns.RepublishPeriod`: how often records are put again; 4 h.
    pub republish_period: Duration,
    /// `Ipns.RecordLifetime`: how long a new record is valid; 48 h.
    pub record_lifetime: Duration,
    /// `Ipns.MaxCacheTTL`: cap on how long an answer is kept.
    pub max_cache_ttl: Option<Duration>,
    /// `Ipns.ResolveCacheSize`: how many answers are kept; 128.
    pub cache_size: usize,
}

impl NameSettings {
    /// Reads and checks them.
    ///
    /// # Errors
    /// [`NameError::BadSpan`] for a period outside 1 min to 24 h, or a lifetime of nothing.
    pub fn of(config: &Config) -> Result<Self, NameError> {
        let republish_period = config.duration("Ipns.RepublishPeriod").unwrap_or(4 * HOUR);
        if !(MINUTE..=24 * HOUR).contains(&republish_period) {
            return Err(NameError::BadSpan {
                option: "Ipns.RepublishPeriod",
                reason: format!("{republish_period:?} is not between 1m and 24h"),
            });
        }
        let record_lifetime = config.duration("Ipns.RecordLifetime").unwrap_or(48 * HOUR);
        if record_lifetime.is_zero() {
            return Err(NameError::BadSpan {
                option: "Ipns.RecordLifetime",
                reason: "a record must live for some time".to_owned(),
            });
        }
        Ok(Self {
            republish_period,
            record_lifetime,
            max_cache_ttl: config.duration("Ipns.MaxCacheTTL"),
            cache_size: cache_size(config),
        })
    }
}

/// 0 is the default, as in Kubo; more than 16,384 are not kept.
pub(super) fn cache_size(config: &Config) -> usize {
    match config.integer("Ipns.ResolveCacheSize") {
        None | Some(0) => 128,
        Some(size) => size.min(16_384) as usize,
    }
}
