//! The text of `provide stat`, section by section.

use std::time::{Duration, SystemTime};

use ipfs_kit_node::ProvideStat;

use super::{REPLICAS, seconds};
use crate::methods::ls::meta::Civil;
use crate::methods::provide::human::{align, average, duration, full, number, si};

/// Fewer available workers are told in the summary.
const FEW_WORKERS: u64 = 2;

fn date(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else {
        return "N/A".to_owned();
    };
    let t = Civil::new(seconds as i64);
    let (day, time) = (
        format!("{:04}-{:02}-{:02}", t.year, t.month, t.day),
        clock(&t),
    );
    format!("{day} {time}")
}

fn clock(t: &Civil) -> String {
    format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second)
}

/// A part of the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Connectivity,
    Queues,
    Schedule,
    Timings,
    Network,
    Operations,
    Workers,
}

impl Section {
    /// In the order of the output.
    pub const ALL: [Section; 7] = [
        Section::Connectivity,
        Section::Queues,
        Section::Schedule,
        Section::Timings,
        Section::Network,
        Section::Operations,
        Section::Workers,
    ];

    /// The option that asks for it.
    pub fn flag(self) -> &'static str {
        match self {
            Section::Connectivity => "connectivity",
            Section::Queues => "queues",
            Section::Schedule => "schedule",
            Section::Timings => "timings",
            Section::Network => "network",
            Section::Operations => "operations",
            Section::Workers => "workers",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Section::Connectivity => "Connectivity",
            Section::Queues => "Queues",
            Section::Schedule => "Schedule",
            Section::Timings => "Timings",
            Section::Network => "Network",
            Section::Operations => "Operations",
            Section::Workers => "Workers",
        }
    }

    /// The column of the layout with two.
    fn is_left(self) -> bool {
        matches!(
            self,
            Section::Schedule | Section::Network | Section::Workers
        )
    }

    /// The lines, in full or for the summary. The first colon and the first comma end a cell, as in Kubo.
    fn lines(self, stat: &ProvideStat, brief: bool, compact: bool, now: SystemTime) -> Vec<String> {
        if self == Section::Workers {
            return workers(stat, brief, compact);
        }
        let lines = self.plain_lines(stat, brief, now).into_iter();
        lines.map(|line| cells(&line)).collect()
    }

    fn plain_lines(self, stat: &ProvideStat, brief: bool, now: SystemTime) -> Vec<String> {
        let counts = &stat.counts;
        match self {
            Section::Connectivity if brief && stat.peers > 0 => Vec::new(),
            Section::Connectivity if stat.peers > 0 => vec!["Status: online".to_owned()],
            Section::Connectivity => vec!["Status: offline".to_owned()],
            Section::Queues => vec![
                format!(
                    "Provide queue: {} CIDs, 0 regions",
                    si(stat.waiting as u64, 1)
                ),
                "Reprovide queue: 0 regions".to_owned(),
            ],
            Section::Schedule => schedule(stat, brief),
            Section::Timings if brief => Vec::new(),
            Section::Timings => timings(stat, now),
            Section::Network => network(stat, brief),
            Section::Operations => {
                let (due, asked) = counts.ongoing;
                let (periodic, burst) = counts.active;
                let mut lines = vec![
                    format!(
                        "Ongoing provides: {} CIDs, {} regions",
                        si(asked, 1),
                        si(burst, 1)
                    ),
                    format!(
                        "Ongoing reprovides: {} CIDs, {} regions",
                        si(due, 1),
                        si(periodic, 1)
                    ),
                    format!("Total CIDs provided: {}", number(counts.keys)),
                ];
                if !brief {
                    lines.extend(past(stat));
                }
                lines
            }
            Section::Workers => Vec::new(),
        }
    }
}

fn cells(line: &str) -> String {
    line.replacen(": ", ":\t", 1).replacen(", ", ",\t", 1)
}

fn schedule(stat: &ProvideStat, brief: bool) -> Vec<String> {
    let regions = stat.counts.lap.regions;
    let regions = if regions == 0 {
        "N/A".to_owned()
    } else {
        number(regions)
    };
    let mut lines = vec![
        format!("CIDs scheduled: {}", number(stat.keys)),
        format!("Regions scheduled: {regions}"),
    ];
    if !brief {
        let next = stat.next.as_ref().filter(|(bits, _)| !bits.is_empty());
        let (bits, due) = next.map_or(("N/A".to_owned(), "N/A".to_owned()), |(bits, due)| {
            (bits.clone(), clock(&Civil::new(*due as i64)))
        });
        lines.push(format!(
            "Avg prefix length: {}",
            average(stat.counts.bits.unwrap_or(-1.0))
        ));
        lines.push(format!("Next region prefix: {bits}"));
        lines.push(format!("Next region reprovide: {due}"));
    }
    lines
}

fn timings(stat: &ProvideStat, now: SystemTime) -> Vec<String> {
    let started = seconds(now).saturating_sub(stat.uptime.as_secs());
    let offset = stat
        .began
        .map_or(0, |began| seconds(now).saturating_sub(began));
    vec![
        format!(
            "Uptime: {} ({})",
            duration(stat.uptime),
            date(Some(started))
        ),
        format!(
            "Current time offset: {}",
            duration(Duration::from_secs(offset))
        ),
        format!("Cycle started: {}", date(stat.began)),
        format!("Reprovide interval: {}", duration(stat.interval)),
    ]
}

fn network(stat: &ProvideStat, brief: bool) -> Vec<String> {
    let counts = &stat.counts;
    let mut lines = vec![format!("Avg record holders: {}", average(counts.holders))];
    if !brief {
        let (peers, reached) = (counts.lap.peers, counts.lap.reached);
        let share = (100 * reached).checked_div(peers);
        let share = share.map_or(String::new(), |share| format!(" ({share}%)"));
        lines.push(format!("Peers swept: {}", full(peers as f64, 0)));
        lines.push(format!("Full keyspace coverage: {}", counts.whole_lap));
        lines.push(format!(
            "Reachable peers: {}{share}",
            full(reached as f64, 0)
        ));
        lines.push(format!("Avg region size: {}", average(counts.region_peers)));
        lines.push(format!("Replication factor: {REPLICAS}"));
    }
    lines
}

fn past(stat: &ProvideStat) -> Vec<String> {
    let counts = &stat.counts;
    let (due, asked) = counts.keys_per_minute;
    let took = match counts.region_time {
        Duration::ZERO => "N/A".to_owned(),
        took => duration(took),
    };
    vec![
        format!("Total records provided: {}", number(counts.records)),
        format!("Total provide errors: {}", number(counts.failed)),
        format!("CIDs provided/min/worker: {}", average(asked)),
        format!("CIDs reprovided/min/worker: {}", average(due)),
        format!("Region reprovide duration: {took}"),
        format!("Avg CIDs/reprovide: {}", average(counts.region_keys)),
        format!(
            "Regions reprovided (last cycle): {}",
            number(counts.lap.regions)
        ),
    ]
}

fn workers(stat: &ProvideStat, brief: bool, compact: bool) -> Vec<String> {
    let (periodic, burst) = stat.counts.active;
    let (for_periodic, for_burst) = (stat.dedicated.0 as u64, stat.dedicated.1 as u64);
    let max = stat.workers as u64;
    let free = max.saturating_sub(for_burst.max(burst) + for_periodic.max(periodic));
    let periodic_left = free + for_periodic.saturating_sub(periodic);
    let burst_left = free + for_burst.saturating_sub(burst);
    let word = if compact { "" } else { " workers" };
    let active = format!("Active{word}:\t{} / {max} (max)", periodic + burst);
    if brief {
        if burst_left > FEW_WORKERS && periodic_left > FEW_WORKERS {
            return Vec::new();
        }
        return vec![
            active,
            format!("Periodic{word}:\t{periodic} active,\t{periodic_left} available, 0 queued"),
            format!("Burst{word}:\t{burst} active,\t{burst_left} available, 0 queued"),
        ];
    }
    let row = |name: &str, one: &str, two: &str| format!("  {name:<14} {one:<9} {two}");
    let numbers = |name: &str, one: u64, two: u64| row(name, &one.to_string(), &two.to_string());
    vec![
        active,
        format!("Free{word}:\t{free}"),
        row("Workers stats:", "Periodic", "Burst"),
        numbers("Active:", periodic, burst),
        numbers("Dedicated:", for_periodic, for_burst),
        numbers("Available:", periodic_left, burst_left),
        numbers("Queued:", 0, 0),
        format!("Max connections/worker:\t{}", stat.connections),
    ]
}

/// What was asked for.
pub struct Sections {
    /// All of them.
    pub all: bool,
    /// These.
    pub chosen: Vec<Section>,
    /// In two columns.
    pub compact: bool,
}

/// Everything that was asked for.
pub fn text(stat: &ProvideStat, asked: &Sections, now: SystemTime) -> String {
    let brief = !asked.all && asked.chosen.is_empty();
    let headings = asked.all || asked.chosen.len() > 1;
    let mut columns = [Vec::new(), Vec::new()];
    for section in Section::ALL {
        if !brief && !asked.all && !asked.chosen.contains(&section) {
            continue;
        }
        let mut lines = section.lines(stat, brief, asked.compact, now);
        if headings {
            lines.iter_mut().for_each(|line| line.insert_str(0, "  "));
            lines.insert(0, format!("{}:", section.title()));
        }
        if !brief {
            lines.push(String::new());
        }
        let right = asked.compact && !section.is_left();
        columns[usize::from(right)].extend(lines);
    }
    if asked.compact {
        return beside(&columns);
    }
    let [mut lines, _] = columns;
    if !brief {
        lines.pop();
    }
    align(&lines)
}

/// Two columns; the last line of both is empty.
fn beside(columns: &[Vec<String>; 2]) -> String {
    let [left, right] = columns;
    let plain = |line: &String| line.replace('\t', " ");
    let (left, right): (Vec<_>, Vec<_>) = (
        left.iter().map(plain).collect(),
        right.iter().map(plain).collect(),
    );
    let width = left
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let rows = left.len().max(right.len()).saturating_sub(1);
    let mut out = String::new();
    for row in 0..rows {
        let cell = |column: &[String]| column.get(row).cloned().unwrap_or_default();
        out.push_str(&format!("{:<width$} {}\n", cell(&left), cell(&right)));
    }
    out
}
