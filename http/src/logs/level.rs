//! Levels, by the names that Kubo's logs have for them.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// A level. The last three let nothing through: no event is that bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What may need somebody's attention.
    Warn,
    /// What went wrong.
    #[default]
    Error,
    /// Nothing.
    Dpanic,
    /// Nothing.
    Panic,
    /// Nothing.
    Fatal,
}

/// A text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unrecognized level: {0:?}: use debug, info, warn, error, dpanic, panic or fatal")]
pub struct NoLevel(String);

const NAMES: [(&str, Level); 7] = [
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("error", Level::Error),
    ("dpanic", Level::Dpanic),
    ("panic", Level::Panic),
    ("fatal", Level::Fatal),
];

impl Level {
    /// The level with that number; what is out of range is none.
    pub(super) fn from_number(number: u8) -> Level {
        NAMES
            .get(usize::from(number))
            .map_or(Level::Fatal, |(_, level)| *level)
    }

    /// The level that an event has. Traces are the finest there is, which Kubo calls debug.
    pub(super) fn of(level: tracing::Level) -> Level {
        match level {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        }
    }

    /// What it lets through.
    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Level::Debug => LevelFilter::DEBUG,
            Level::Info => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error => LevelFilter::ERROR,
            _ => LevelFilter::OFF,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES[self as usize].0
    }
}

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Level, NoLevel> {
        let found = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        found
            .map(|(_, level)| *level)
            .ok_or_else(|| NoLevel(text.to_owned()))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (at, (name, level)) in NAMES.iter().enumerate() {
            assert_eq!(*level as usize, at);
            assert_eq!(Level::from_number(at as u8), *level);
            assert_eq!(name.to_uppercase().parse(), Ok(*level));
        }
        assert!("loud".parse::<Level>().is_err());
        assert_eq!(Level::from_number(200), Level::Fatal);
    }
}
