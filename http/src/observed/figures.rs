//! The figures in the text that Prometheus reads.
//!
//! What is counted all the time is in a registry; everything else is asked for when somebody looks, and
//! costs nothing until then.

use std::fmt;
use std::time::Instant;

use ipfs_kit_node::{BitswapStat, Figures, NetFigures};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Condition, Observed, Process};
use crate::methods::version::VERSION;

/// The type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What all names begin with.
const PREFIX: &str = "ipfs_kit";

/// The figures as text.
pub fn text(observed: &Observed, figures: &Figures, looked: Instant) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    observed.requests.register(&mut registry);
    let mut rows = Rows::default();
    store(&mut rows, figures);
    rows.gauge(
        "ready",
        "Whether the daemon is ready",
        f64::from(u8::from(observed.condition() == Condition::Ready)),
    );
    rows.labelled(
        "build_info",
        "The program",
        ("version", VERSION),
        false,
        1.0,
    );
    if let Some(net) = &figures.net {
        network(&mut rows, net);
    }
    process(&mut rows);
    rows.gauge(
        "scrape_seconds",
        "Time that it took to look",
        looked.elapsed().as_secs_f64(),
    );
    registry.register_collector(Box::new(rows));
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode_registry(&mut text, &registry);
    let _ = encode_eof(&mut text);
    text
}

fn store(rows: &mut Rows, figures: &Figures) {
    let store = &figures.store;
    rows.gauges(&[
        ("store_blocks", "Blocks in the store", store.blocks),
        (
            "store_block_bytes",
            "Bytes of the blocks in the store",
            store.bytes,
        ),
        (
            "store_dead_bytes",
            "Bytes on disk of deleted blocks",
            store.dead_bytes,
        ),
        ("store_disk_bytes", "Bytes on disk", store.disk_bytes),
        ("store_segments", "Files of the store", store.segments),
        (
            "store_quarantined_blocks",
            "Damaged blocks, not served",
            store.quarantined,
        ),
    ]);
    if let Some(capacity) = store.capacity {
        rows.gauges(&[(
            "store_capacity_bytes",
            "Limit of the bytes on disk",
            capacity,
        )]);
    }
    rows.counters(&[
        ("store_put_blocks", "Blocks put", store.put_blocks),
        ("store_put_bytes", "Bytes of blocks put", store.put_bytes),
    ]);
    rows.lookups(
        "store_lookups",
        "Blocks asked for",
        (store.hits, store.misses),
    );
    rows.lookups("name_cache_lookups", "Names looked for", figures.names);
    collected(rows, figures);
}

fn collected(rows: &mut Rows, figures: &Figures) {
    let gc = &figures.gc;
    rows.counters(&[
        ("gc_runs", "Garbage collections", gc.runs),
        (
            "gc_failures",
            "Garbage collections that failed",
            gc.failures,
        ),
        ("gc_removed_blocks", "Blocks removed", gc.removed_blocks),
        (
            "gc_removed_bytes",
            "Bytes of blocks removed",
            gc.removed_bytes,
        ),
    ]);
    rows.counter(
        "gc_seconds",
        "Time of garbage collections",
        gc.time.as_secs_f64(),
    );
    if let Some(pins) = figures.pins {
        rows.gauges(&[("pins", "Recursive and direct pins", pins)]);
    }
    rows.counters(&[(
        "mfs_commits",
        "Commits of the mutable file system",
        figures.mfs.0,
    )]);
    rows.gauges(&[(
        "mfs_unflushed_operations",
        "Operations since the last flush",
        figures.mfs.1,
    )]);
}

fn network(rows: &mut Rows, net: &NetFigures) {
    let system = &net.resources.system;
    rows.gauge(
        "swarm_peers",
        "Connected peers",
        net.resources.by_peer.len() as f64,
    );
    for (direction, connections, streams) in [
        ("inbound", system.inbound, system.streams.inbound),
        ("outbound", system.outbound, system.streams.outbound),
    ] {
        let to = ("direction", direction);
        rows.labelled(
            "swarm_connections",
            "Open connections",
            to,
            false,
            connections.into(),
        );
        rows.labelled("swarm_streams", "Open streams", to, false, streams.into());
    }
    if let Some(bandwidth) = net.bandwidth {
        for (direction, bytes) in [("in", bandwidth.total_in), ("out", bandwidth.total_out)] {
            let to = ("direction", direction);
            rows.labelled(
                "swarm_bytes",
                "Bytes over connections",
                to,
                true,
                bytes as f64,
            );
        }
    }
    if let Some(bitswap) = &net.bitswap {
        exchanged(rows, bitswap);
    }
    routed(rows, net);
}

fn routed(rows: &mut Rows, net: &NetFigures) {
    for table in &net.tables {
        for (name, about, value) in [
            ("dht_peers", "Peers in the routing table", table.peers.len()),
            (
                "dht_server",
                "Whether this node serves the DHT",
                table.server.into(),
            ),
            ("dht_records", "Records kept for others", table.records),
            (
                "dht_provider_keys",
                "Keys with providers kept for others",
                table.provider_keys,
            ),
        ] {
            rows.labelled(name, about, ("dht", table.name), false, value as f64);
        }
    }
    for (dht, stat) in &net.provide {
        let counts = &stat.counts;
        for (name, about, value) in [
            ("provide_keys", "Keys announced", counts.keys),
            (
                "provide_failed_keys",
                "Keys that nobody took",
                counts.failed,
            ),
            (
                "provide_records",
                "Announcements that peers took",
                counts.records,
            ),
            ("provide_lookups", "Lookups for announcing", counts.lookups),
        ] {
            rows.labelled(name, about, ("dht", dht), true, value as f64);
        }
    }
    // What waits is told to every DHT.
    if let Some((_, stat)) = net.provide.first() {
        rows.gauges(&[
            (
                "provide_waiting_roots",
                "Roots that wait to be announced",
                stat.waiting as u64,
            ),
            (
                "provide_scheduled_keys",
                "Keys announced again and again",
                stat.keys,
            ),
        ]);
    }
}

fn exchanged(rows: &mut Rows, bitswap: &BitswapStat) {
    rows.gauges(&[
        (
            "bitswap_peers",
            "Connected peers that speak Bitswap",
            bitswap.peers.len() as u64,
        ),
        (
            "bitswap_wantlist",
            "Blocks that are wanted",
            bitswap.wantlist.len() as u64,
        ),
    ]);
    rows.counters(&[
        (
            "bitswap_received_blocks",
            "Blocks received",
            bitswap.blocks_received,
        ),
        (
            "bitswap_received_bytes",
            "Bytes of blocks received",
            bitswap.data_received,
        ),
        (
            "bitswap_received_messages",
            "Messages received",
            bitswap.messages_received,
        ),
        (
            "bitswap_duplicate_blocks",
            "Blocks that came again",
            bitswap.dup_blks_received,
        ),
        (
            "bitswap_duplicate_bytes",
            "Bytes that came again",
            bitswap.dup_data_received,
        ),
        (
            "bitswap_unsolicited_blocks",
            "Blocks not asked for",
            bitswap.unsolicited_blocks,
        ),
        ("bitswap_sent_blocks", "Blocks sent", bitswap.blocks_sent),
        (
            "bitswap_sent_bytes",
            "Bytes of blocks sent",
            bitswap.data_sent,
        ),
    ]);
}

fn process(rows: &mut Rows) {
    let process = Process::look();
    rows.counter(
        "process_cpu_seconds",
        "Time of processors",
        process.cpu_seconds,
    );
    rows.gauges(&[
        (
            "process_resident_memory_bytes",
            "Memory in use",
            process.resident_bytes,
        ),
        (
            "process_virtual_memory_bytes",
            "Address space",
            process.virtual_bytes,
        ),
        ("process_threads", "Threads", process.threads),
        ("process_open_fds", "Open files", process.open_files),
    ]);
    if let Some(limit) = process.open_files_max {
        rows.gauges(&[("process_max_fds", "Open files at most", limit)]);
    }
    let started = "When the process was started";
    rows.gauge("process_start_time_seconds", started, process.started);
}

/// Figures of one look, in families: all of one name stand together.
#[derive(Debug, Default)]
struct Rows(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    about: &'static str,
    counts: bool,
    values: Vec<(Option<(&'static str, String)>, f64)>,
}

impl Rows {
    fn gauge(&mut self, name: &'static str, about: &'static str, value: f64) {
        self.push(name, about, None, false, value);
    }

    fn counter(&mut self, name: &'static str, about: &'static str, value: f64) {
        self.push(name, about, None, true, value);
    }

    fn gauges(&mut self, all: &[(&'static str, &'static str, u64)]) {
        all.iter()
            .for_each(|(name, about, value)| self.gauge(name, about, *value as f64));
    }

    fn counters(&mut self, all: &[(&'static str, &'static str, u64)]) {
        all.iter()
            .for_each(|(name, about, value)| self.counter(name, about, *value as f64));
    }

    /// What was there and what was not.
    fn lookups(&mut self, name: &'static str, about: &'static str, found: (u64, u64)) {
        self.labelled(name, about, ("outcome", "hit"), true, found.0 as f64);
        self.labelled(name, about, ("outcome", "miss"), true, found.1 as f64);
    }

    fn labelled(
        &mut self,
        name: &'static str,
        about: &'static str,
        label: (&'static str, &str),
        counts: bool,
        value: f64,
    ) {
        self.push(
            name,
            about,
            Some((label.0, label.1.to_owned())),
            counts,
            value,
        );
    }

    fn push(
        &mut self,
        name: &'static str,
        about: &'static str,
        label: Option<(&'static str, String)>,
        counts: bool,
        value: f64,
    ) {
        match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family.values.push((label, value)),
            None => self.0.push(Family {
                name,
                about,
                counts,
                values: vec![(label, value)],
            }),
        }
    }
}

impl Collector for Rows {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let kind = if family.counts {
                MetricType::Counter
            } else {
                MetricType::Gauge
            };
            let mut metric = encoder.encode_descriptor(family.name, family.about, None, kind)?;
            match family.values.as_slice() {
                [(None, value)] => encode(metric, family.counts, *value)?,
                values => {
                    for (label, value) in values {
                        let labels: Vec<_> = label.iter().cloned().collect();
                        encode(metric.encode_family(&labels)?, family.counts, *value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn encode(metric: MetricEncoder<'_>, counts: bool, value: f64) -> fmt::Result {
    match counts {
        true => ConstCounter::new(value).encode(metric),
        false => ConstGauge::new(value).encode(metric),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let observed = Observed::default();
        observed.requests.begin();
        observed
            .requests
            .end("files/ls".into(), Duration::from_millis(3));
        observed.requests.answered("files/ls".into(), 200);
        observed.requests.answered("a\"b\\c\n".into(), 500);
        let mut figures = Figures::default();
        figures.store.hits = 3;
        figures.net = Some(NetFigures::default());
        let text = text(&observed, &figures, Instant::now());
        for line in [
            "ipfs_kit_rpc_requests_total{method=\"files/ls\",status=\"200\"} 1",
            "ipfs_kit_rpc_requests_total{method=\"a\\\"b\\\\c\\n\",status=\"500\"} 1",
            "ipfs_kit_rpc_request_duration_seconds_count{method=\"files/ls\"} 1",
            "ipfs_kit_rpc_request_duration_seconds_bucket{le=\"0.005\",method=\"files/ls\"} 1",
            "ipfs_kit_store_lookups_total{outcome=\"hit\"} 3.0",
            "# TYPE ipfs_kit_store_blocks gauge",
            "ipfs_kit_swarm_connections{direction=\"inbound\"} 0.0",
            "ipfs_kit_rpc_running 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let mut types: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count, "every family once");
    }
}
