use std::fmt;
use std::str::FromStr;

use super::{Chunker, DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE};

/// A chunker name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkerError {
    /// The part before the first dash is not a chunker.
    #[error(
        "unrecognized chunker option: {0} (use size-N, rabin, rabin-AVG, rabin-MIN-AVG-MAX or buzhash)"
    )]
    Unknown(String),
    /// `size` without exactly one number.
    #[error(
        "incorrect chunker string format: {0} (expected size-{{size}}, for example size-262144)"
    )]
    SizeFormat(String),
    /// `rabin` with another number of parts than none, one or three.
    #[error("incorrect format: {0} (expected 'rabin', 'rabin-[avg]' or 'rabin-[min]-[avg]-[max]')")]
    RabinFormat(String),
    /// `buzhash` with parameters.
    #[error("incorrect format: {0} (buzhash takes no parameters)")]
    BuzhashFormat(String),
    /// Not a decimal number.
    #[error("chunker parameter {0:?} is not a number of bytes")]
    Number(String),
    /// `size-0`.
    #[error("chunker size must be greater than 0")]
    SizeZero,
    /// Beyond [`MAX_CHUNK_SIZE`].
    #[error("chunker parameters may not exceed the maximum chunk size of {MAX_CHUNK_SIZE}")]
    TooLarge,
    /// `rabin` minimum below 16.
    #[error("rabin min must be at least 16")]
    RabinMin,
    /// `min >= avg`.
    #[error("incorrect format: rabin-min must be smaller than rabin-avg")]
    MinNotBelowAvg,
    /// `avg >= max`.
    #[error("incorrect format: rabin-avg must be smaller than rabin-max")]
    AvgNotBelowMax,
    /// A label other than the one that belongs at this place.
    #[error("label {found:?} in the rabin chunker must be {expected:?}")]
    Label {
        /// The label that belongs there.
        expected: &'static str,
        /// The label found.
        found: String,
    },
}

impl FromStr for Chunker {
    type Err = ChunkerError;

    /// Reads Kubo's chunker names; an empty one and `default` mean `size-262144`.
    fn from_str(text: &str) -> Result<Self, ChunkerError> {
        let mut parts = text.split('-');
        let name = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.take(4).collect();
        match (name, &parameters[..]) {
            ("" | "default", []) => Ok(Self::default()),
            ("size", &[size]) => parse_size(size),
            ("size", _) => Err(ChunkerError::SizeFormat(text.to_owned())),
            ("buzhash", []) => Ok(Self::Buzhash),
            ("buzhash", _) => Err(ChunkerError::BuzhashFormat(text.to_owned())),
            ("rabin", []) => Ok(rabin_around(DEFAULT_CHUNK_SIZE)),
            ("rabin", &[avg]) => parse_rabin_avg(avg),
            ("rabin", &[min, avg, max]) => parse_rabin(min, avg, max),
            ("rabin", _) => Err(ChunkerError::RabinFormat(text.to_owned())),
            _ => Err(ChunkerError::Unknown(text.to_owned())),
        }
    }
}

impl fmt::Display for Chunker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size(size) => write!(f, "size-{size}"),
            Self::Rabin { avg, .. } if *self == rabin_around(avg) => write!(f, "rabin-{avg}"),
            Self::Rabin { min, avg, max } => write!(f, "rabin-{min}-{avg}-{max}"),
            Self::Buzhash => f.write_str("buzhash"),
        }
    }
}

fn parse_size(size: &str) -> Result<Chunker, ChunkerError> {
    match number(size)? {
        0 => Err(ChunkerError::SizeZero),
        size => Ok(Chunker::Size(within_limit(size)?)),
    }
}

fn parse_rabin_avg(avg: &str) -> Result<Chunker, ChunkerError> {
    let avg = within_limit(number(avg)?)?;
    within_limit(u64::from(avg) + u64::from(avg / 2))?;
    Ok(rabin_around(avg))
}

fn rabin_around(avg: u32) -> Chunker {
    Chunker::Rabin {
        min: avg / 3,
        avg,
        max: avg + avg / 2,
    }
}

fn parse_rabin(min: &str, avg: &str, max: &str) -> Result<Chunker, ChunkerError> {
    let min = number(unlabelled(min, "min")?)?;
    if min < 16 {
        return Err(ChunkerError::RabinMin);
    }
    let avg = number(unlabelled(avg, "avg")?)?;
    let max = number(unlabelled(max, "max")?)?;
    if min >= avg {
        return Err(ChunkerError::MinNotBelowAvg);
    }
    if avg >= max {
        return Err(ChunkerError::AvgNotBelowMax);
    }
    Ok(Chunker::Rabin {
        min: within_limit(min)?,
        avg: within_limit(avg)?,
        max: within_limit(max)?,
    })
}

/// Takes the optional label off: `min:1024` is `1024`.
fn unlabelled<'a>(text: &'a str, expected: &'static str) -> Result<&'a str, ChunkerError> {
    match text.split_once(':') {
        None => Ok(text),
        Some((label, value)) if label == expected => Ok(value),
        Some((label, _)) => Err(ChunkerError::Label {
            expected,
            found: label.to_owned(),
        }),
    }
}

fn number(text: &str) -> Result<u64, ChunkerError> {
    text.parse()
        .map_err(|_| ChunkerError::Number(text.to_owned()))
}

fn within_limit(bytes: u64) -> Result<u32, ChunkerError> {
    u32::try_from(bytes)
        .ok()
        .filter(|&bytes| bytes <= MAX_CHUNK_SIZE)
        .ok_or(ChunkerError::TooLarge)
}
