//! What is fetched, over what, from how many, and the goals of the design.

use crate::Side;
use crate::bench::rows::{Sizes, bytes};
use std::time::Duration;

/// What the providers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// The large file in blocks of so many bytes.
    File {
        /// Bytes of a block.
        block: u64,
    },
    /// The tree of small files.
    Tree,
}

/// The only transport of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP with Noise or TLS and Yamux.
    Tcp,
    /// QUIC v1.
    Quic,
}

impl Transport {
    /// The name in reports and options.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "TCP",
            Transport::Quic => "QUIC",
        }
    }
}

/// Who fetches from whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Who asks.
    pub fetcher: Side,
    /// Who answers.
    pub provider: Side,
}

impl Pair {
    /// All four, first the one that the others are compared with.
    pub const ALL: [Pair; 4] = [
        Pair::of(Side::Kubo, Side::Kubo),
        Pair::of(Side::Ours, Side::Ours),
        Pair::of(Side::Ours, Side::Kubo),
        Pair::of(Side::Kubo, Side::Ours),
    ];

    /// What the others are compared with.
    pub const KUBO: Pair = Pair::ALL[0];

    const fn of(fetcher: Side, provider: Side) -> Self {
        Self { fetcher, provider }
    }

    /// The name in tables.
    pub fn title(self) -> String {
        let name = |side| match side {
            Side::Ours => "ours",
            Side::Kubo => "Kubo",
        };
        format!("{} from {}", name(self.fetcher), name(self.provider))
    }

    /// The name for `--pairs`.
    pub fn name(self) -> String {
        self.title().to_lowercase().replace(" from ", "-")
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// What is fetched.
    pub content: Content,
    /// Over what.
    pub transport: Transport,
    /// The round trip; zero for no proxy at all.
    pub round_trip: Duration,
    /// Providers that hold everything.
    pub providers: usize,
    /// The limit of the link to each provider, in bytes a second.
    pub rate: Option<u64>,
}

/// How much of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// Bytes of a file.
    Bytes(u64),
    /// Files of a tree.
    Files(usize),
}

impl Amount {
    /// As it is told in a table.
    pub fn title(self) -> String {
        match self {
            Amount::Bytes(length) => bytes(length),
            Amount::Files(count) => format!("{count} files"),
        }
    }

    /// So much in so many seconds.
    pub fn speed(self, seconds: f64) -> f64 {
        match self {
            Amount::Bytes(length) => length as f64 / f64::from(1 << 20) / seconds,
            Amount::Files(count) => count as f64 / seconds,
        }
    }

    /// The unit of [`Amount::speed`].
    pub fn unit(self) -> &'static str {
        match self {
            Amount::Bytes(_) => "MiB/s",
            Amount::Files(_) => "files/s",
        }
    }
}

impl Cell {
    /// How much `pair` fetches: less where it would take minutes, so that a run ends.
    ///
    /// Kubo fetches some 18 MiB/s over TCP at 50 ms and 4 MiB/s at 200 ms. Not much less: what a
    /// transfer loses at its begin and by congestion must not look like speed.
    pub fn amount(&self, pair: Pair, sizes: &Sizes) -> Amount {
        /// Enough for a window to open.
        const LEAST: u64 = 16 << 20;
        const LEAST_FILES: usize = 500;
        let most = self.most(sizes);
        let part = match (pair.fetcher, pair.provider, self.round_trip.as_millis()) {
            _ if self.rate.is_some() => 1,
            (_, _, 0..=5) | (Side::Ours, Side::Ours, _) => 1,
            (_, _, 6..=100) | (Side::Ours, Side::Kubo, _) => 4,
            (Side::Kubo, ..) => 16,
        };
        match most {
            Amount::Bytes(length) => Amount::Bytes((length / part).max(length.min(LEAST))),
            Amount::Files(count) => {
                Amount::Files((count / part as usize).max(count.min(LEAST_FILES)))
            }
        }
    }

    /// How much the fast pairs fetch.
    pub fn most(&self, sizes: &Sizes) -> Amount {
        /// Seconds over a slow link.
        const LIMITED: u64 = 128 << 20;
        match (self.content, self.rate) {
            (Content::Tree, _) => Amount::Files(sizes.files),
            (Content::File { .. }, None) => Amount::Bytes(sizes.file),
            (Content::File { .. }, Some(_)) => Amount::Bytes(sizes.file.min(LIMITED)),
        }
    }

    /// What the line is called.
    pub fn title(&self, sizes: &Sizes) -> String {
        let most = self.most(sizes).title();
        let content = match self.content {
            Content::File { block } => format!("{most} in blocks of {}", bytes(block)),
            Content::Tree => format!("{most} of {} B", sizes.file_size),
        };
        let path = if self.round_trip.is_zero() {
            "loopback".to_owned()
        } else {
            format!("{} ms", self.round_trip.as_millis())
        };
        let rate = self
            .rate
            .map_or_else(String::new, |rate| format!(", {}/s a link", bytes(rate)));
        let providers = match self.providers {
            1 => String::new(),
            count => format!(", {count} providers"),
        };
        format!(
            "{content}, {}, {path}{rate}{providers}",
            self.transport.name()
        )
    }

    /// How many times faster than Kubo from Kubo the design wants `pair`.
    pub fn goal(&self, pair: Pair, in_memory: bool) -> Option<f64> {
        if pair == Pair::KUBO || self.rate.is_some() {
            return None;
        }
        match (pair.fetcher, pair.provider) {
            (Side::Ours, Side::Kubo) => return Some(1.5),
            (Side::Kubo, _) => return Some(1.0),
            (Side::Ours, Side::Ours) => {}
        }
        // Goals are stated for a file and one provider.
        let (Content::File { .. }, 1) = (self.content, self.providers) else {
            return None;
        };
        match (self.round_trip.as_millis(), self.transport, in_memory) {
            (0, Transport::Tcp, false) => Some(6.0),
            (0, Transport::Quic, false) | (0, Transport::Tcp, true) => Some(4.0),
            (0, Transport::Quic, true) => Some(3.0),
            (50, _, true) => Some(25.0),
            (200, _, true) => Some(40.0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_pairs_fetch_less_and_titles_tell_the_cell() {
        let cell = Cell {
            content: Content::File { block: 256 << 10 },
            transport: Transport::Quic,
            round_trip: Duration::from_millis(200),
            providers: 4,
            rate: None,
        };
        let sizes = Sizes::FULL;
        assert_eq!(cell.amount(Pair::KUBO, &sizes), Amount::Bytes(64 << 20));
        assert_eq!(
            cell.title(&sizes),
            "1 GiB in blocks of 256 KiB, QUIC, 200 ms, 4 providers"
        );
        let ours = Pair::ALL[1];
        assert_eq!(cell.amount(ours, &sizes), Amount::Bytes(1 << 30));
        let near = Cell {
            round_trip: Duration::ZERO,
            ..cell
        };
        assert_eq!(near.amount(Pair::KUBO, &sizes), Amount::Bytes(1 << 30));
        let small = Sizes {
            file: 1 << 20,
            ..sizes
        };
        assert_eq!(cell.amount(Pair::KUBO, &small), Amount::Bytes(1 << 20));
    }

    #[test]
    fn pairs_have_names_for_the_command_line() {
        assert_eq!(
            Pair::ALL.map(Pair::name),
            ["kubo-kubo", "ours-ours", "ours-kubo", "kubo-ours"]
        );
    }
}
