//! The record of `provide stat`, with Kubo's names.

use std::time::{Duration, SystemTime};

use ipfs_kit_node::ProvideStat;
use schemars::JsonSchema;
use serde::Serialize;

use super::{REPLICAS, seconds};
use crate::methods::ls::meta::rfc3339;
use crate::output::Record;

/// The whole answer.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProvideStats")]
#[serde(rename_all = "PascalCase")]
pub struct Stats {
    sweep: Sweep,
    legacy: Option<()>,
    #[serde(rename = "FullRT")]
    full_rt: bool,
}

impl Record for Stats {
    const NAME: &'static str = "provideStats";
}

#[derive(Debug, Serialize, JsonSchema)]
struct Sweep {
    closed: bool,
    connectivity: Connectivity,
    queues: Queues,
    schedule: Schedule,
    workers: Workers,
    timing: Timing,
    operations: Operations,
    network: Network,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Connectivity {
    status: &'static str,
    since: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Queues {
    pending_key_provides: u64,
    pending_region_provides: u64,
    pending_region_reprovides: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Schedule {
    keys: u64,
    regions: u64,
    avg_prefix_length: f64,
    next_reprovide_at: String,
    next_reprovide_prefix: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Workers {
    max: u64,
    active: u64,
    active_periodic: u64,
    active_burst: u64,
    dedicated_periodic: u64,
    dedicated_burst: u64,
    queued_periodic: u64,
    queued_burst: u64,
    max_provide_conns_per_worker: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Timing {
    uptime: u64,
    reprovides_interval: u64,
    cycle_start: String,
    current_time_offset: u64,
    max_reprovide_delay: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Operations {
    ongoing: Ongoing,
    past: Past,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ongoing {
    region_provides: u64,
    key_provides: u64,
    region_reprovides: u64,
    key_reprovides: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Past {
    records_provided: u64,
    keys_provided: u64,
    keys_failed: u64,
    keys_provided_per_minute: f64,
    keys_reprovided_per_minute: f64,
    reprovide_duration: u64,
    avg_keys_per_reprovide: f64,
    regions_reprovided_last_cycle: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Network {
    peers: u64,
    reachable: u64,
    complete_keyspace_coverage: bool,
    avg_region_size: f64,
    avg_holders: f64,
    replication_factor: u64,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn go_time(seconds: Option<u64>) -> String {
    rfc3339(seconds.map(|seconds| (seconds as i64, 0)))
}

/// Fills it in.
pub fn record(stat: &ProvideStat, now: SystemTime) -> Stats {
    let counts = &stat.counts;
    let (periodic, burst) = counts.active;
    let offset = stat
        .began
        .map_or(0, |began| seconds(now).saturating_sub(began));
    let due = stat.next.as_ref().map(|(_, due)| *due);
    let prefix = stat.next.as_ref().map(|(bits, _)| bits.clone());
    Stats {
        legacy: None,
        full_rt: false,
        sweep: Sweep {
            closed: false,
            connectivity: Connectivity {
                status: if stat.peers > 0 { "online" } else { "offline" },
                since: rfc3339(None),
            },
            queues: Queues {
                pending_key_provides: stat.waiting as u64,
                pending_region_provides: 0,
                pending_region_reprovides: 0,
            },
            schedule: Schedule {
                keys: stat.keys,
                regions: counts.lap.regions,
                avg_prefix_length: counts.bits.unwrap_or(-1.0),
                next_reprovide_at: go_time(due),
                next_reprovide_prefix: prefix.unwrap_or_default(),
            },
            workers: Workers {
                max: stat.workers as u64,
                active: periodic + burst,
                active_periodic: periodic,
                active_burst: burst,
                dedicated_periodic: stat.dedicated.0 as u64,
                dedicated_burst: stat.dedicated.1 as u64,
                queued_periodic: 0,
                queued_burst: 0,
                max_provide_conns_per_worker: stat.connections as u64,
            },
            timing: Timing {
                uptime: nanos(stat.uptime),
                reprovides_interval: nanos(stat.interval),
                cycle_start: go_time(stat.began),
                current_time_offset: nanos(Duration::from_secs(offset)),
                max_reprovide_delay: 0,
            },
            operations: operations(stat),
            network: Network {
                peers: counts.lap.peers,
                reachable: counts.lap.reached,
                complete_keyspace_coverage: counts.whole_lap,
                avg_region_size: counts.region_peers,
                avg_holders: counts.holders,
                replication_factor: REPLICAS,
            },
        },
    }
}

fn operations(stat: &ProvideStat) -> Operations {
    let counts = &stat.counts;
    let (periodic, burst) = counts.active;
    Operations {
        ongoing: Ongoing {
            region_provides: burst,
            key_provides: counts.ongoing.1,
            region_reprovides: periodic,
            key_reprovides: counts.ongoing.0,
        },
        past: Past {
            records_provided: counts.records,
            keys_provided: counts.keys,
            keys_failed: counts.failed,
            keys_provided_per_minute: counts.keys_per_minute.1,
            keys_reprovided_per_minute: counts.keys_per_minute.0,
            reprovide_duration: nanos(counts.region_time),
            avg_keys_per_reprovide: counts.region_keys,
            regions_reprovided_last_cycle: counts.lap.regions,
        },
    }
}
