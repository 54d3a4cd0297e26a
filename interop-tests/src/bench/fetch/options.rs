//! Which cells are measured.

use super::cell::{Cell, Content, Pair, Transport};
use anyhow::{Result, bail, ensure};
use std::time::Duration;

/// Options of the rows `fetch-file`, `fetch-tree` and `fetch-links`.
#[derive(clap::Args, Debug, Clone)]
#[command(next_help_heading = "Options of the fetch rows")]
pub struct FetchOptions {
    /// Only these transports: tcp, quic.
    #[arg(long, value_delimiter = ',', value_parser = transport, default_value = "tcp,quic")]
    transport: Vec<Transport>,
    /// Round trips in milliseconds, 0 for no proxy. With this, --providers or --block, all
    /// combinations are measured; without them, the ones that the goals are about and some more.
    #[arg(long, value_delimiter = ',')]
    rtt: Vec<u64>,
    /// How many providers [1]
    #[arg(long, value_delimiter = ',')]
    providers: Vec<usize>,
    /// Sizes of the file's blocks [256KiB]
    #[arg(long, value_delimiter = ',', value_parser = size)]
    block: Vec<u64>,
    /// Only these pairs, fetcher first: kubo-kubo, ours-ours, ours-kubo, kubo-ours.
    #[arg(long, value_delimiter = ',', value_parser = pair)]
    pairs: Vec<Pair>,
    /// The limit of a link in fetch-links, bytes a second.
    #[arg(long, value_parser = size, default_value = "16MiB")]
    rate: u64,
    /// Seconds after which a measurement has failed.
    #[arg(long, default_value_t = 180)]
    limit: u64,
}

/// A kind of fetch row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The large file.
    File,
    /// The tree of small files.
    Tree,
    /// Four providers against one when the links are the limit.
    Links,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::File, Kind::Tree, Kind::Links];

    /// The name for `--only`; `fetch` means all of them.
    pub fn name(self) -> &'static str {
        match self {
            Kind::File => "fetch-file",
            Kind::Tree => "fetch-tree",
            Kind::Links => "fetch-links",
        }
    }
}

/// Providers of a `fetch-links` row; the same is measured with one.
pub const LINKS: usize = 4;

/// Blocks of Kubo's default profile.
const SMALL: u64 = 256 << 10;
/// Blocks of its newer profile.
const LARGE: u64 = 1 << 20;

impl FetchOptions {
    /// The pairs to measure.
    pub fn pairs(&self) -> Vec<Pair> {
        if self.pairs.is_empty() {
            Pair::ALL.to_vec()
        } else {
            self.pairs.clone()
        }
    }

    /// How long a measurement may take.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// The cells of a kind of row.
    pub fn cells(&self, kind: Kind, in_memory: bool) -> Vec<Cell> {
        let chosen = !(self.rtt.is_empty() && self.providers.is_empty() && self.block.is_empty());
        let or = |given: &[u64], all: &[u64], usual: &[u64]| {
            let default = if chosen { usual } else { all };
            if given.is_empty() { default } else { given }.to_vec()
        };
        let counts: Vec<u64> = self.providers.iter().map(|count| *count as u64).collect();
        let blocks = match kind {
            Kind::File => or(&self.block, &[SMALL, LARGE], &[SMALL]),
            Kind::Tree | Kind::Links => vec![SMALL],
        };
        let (counts, trips, rate) = match kind {
            Kind::Links => (vec![1, LINKS as u64], vec![20], Some(self.rate)),
            Kind::File | Kind::Tree => (
                or(&counts, &[1, 4], &[1]),
                or(&self.rtt, &[0, 10, 50, 200], &[0, 10, 50, 200]),
                None,
            ),
        };
        let mut cells = Vec::new();
        for block in blocks {
            for transport in &self.transport {
                for providers in &counts {
                    for trip in &trips {
                        let content = if kind == Kind::Tree {
                            Content::Tree
                        } else {
                            Content::File { block }
                        };
                        cells.push(Cell {
                            content,
                            transport: *transport,
                            round_trip: Duration::from_millis(*trip),
                            providers: *providers as usize,
                            rate,
                        });
                    }
                }
            }
        }
        if !chosen && kind != Kind::Links {
            cells.retain(|cell| is_usual(cell, in_memory));
        }
        cells
    }
}

/// Whether a cell is measured when nothing was chosen: all round trips for the case that the
/// goals are about, near and far for the others, and on a disk only where the disk matters.
fn is_usual(cell: &Cell, in_memory: bool) -> bool {
    let plain = cell.content == Content::File { block: SMALL } && cell.providers == 1;
    let single = plain || cell.providers == 1 || cell.content == Content::File { block: SMALL };
    match cell.round_trip.as_millis() {
        0 => single,
        50 => in_memory && single,
        _ => in_memory && plain,
    }
}

fn transport(text: &str) -> Result<Transport> {
    [Transport::Tcp, Transport::Quic]
        .into_iter()
        .find(|transport| transport.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| anyhow::anyhow!("tcp or quic"))
}

fn pair(text: &str) -> Result<Pair> {
    match Pair::ALL.into_iter().find(|pair| pair.name() == text) {
        Some(pair) => Ok(pair),
        None => bail!("one of {}", Pair::ALL.map(Pair::name).join(", ")),
    }
}

/// Bytes from a text such as `64MiB`.
pub fn size(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        other => bail!("no unit `{other}`: B, KiB, MiB or GiB"),
    };
    let number: u64 = digits.parse()?;
    ensure!(number > 0 && number <= u64::MAX >> shift, "out of range");
    Ok(number << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fetch: FetchOptions,
    }

    fn options(line: &str) -> FetchOptions {
        Line::parse_from(std::iter::once("bench").chain(line.split_whitespace())).fetch
    }

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(size("64MiB").unwrap(), 64 << 20);
        assert_eq!(size("12").unwrap(), 12);
        for wrong in ["", "MiB", "1MB", "0", "99999999999GiB", "1 MiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_chosen_is_measured_in_all_combinations() {
        let chosen = options("--rtt 0,50 --providers 1,4 --block 256KiB,1MiB --transport quic");
        assert_eq!(chosen.cells(Kind::File, true).len(), 8);
        assert_eq!(chosen.cells(Kind::Tree, false).len(), 4);
        let one = options("--rtt 200 --transport tcp");
        let cells = one.cells(Kind::File, false);
        assert_eq!(cells.len(), 1);
        assert_eq!(cells[0].content, Content::File { block: SMALL });
        assert_eq!(cells[0].providers, 1);
    }

    #[test]
    fn the_usual_cells_are_those_of_the_goals_and_some_more() {
        let usual = options("");
        let file = usual.cells(Kind::File, true);
        assert_eq!(file.len(), 2 * (4 + 2 + 2));
        assert_eq!(usual.cells(Kind::Tree, true).len(), 2 * 2);
        assert!(
            usual
                .cells(Kind::File, false)
                .iter()
                .all(|cell| cell.round_trip.is_zero())
        );
        let links = usual.cells(Kind::Links, true);
        assert_eq!(links.len(), 4);
        assert!(links.iter().all(|cell| cell.rate == Some(16 << 20)));
        assert_eq!(usual.pairs().len(), 4);
        assert_eq!(options("--pairs ours-kubo").pairs(), [Pair::ALL[2]]);
    }
}
