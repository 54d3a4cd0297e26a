//! The figures in the text that Prometheus reads.
//!
//! What is counted all the time is in a registry; everything else is asked for when somebody looks, and
//! costs nothing until then.

use std::fmt::{self, Write as _};
use std::time::Instant;

use ipfs_kit_node::{Figures, NetFigures};
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
        &[("version", VERSION)],
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
    rows.gauge("store_blocks", "Blocks in the store", store.blocks as f64);
    rows.gauge(
        "store_block_bytes",
        "Bytes of the blocks in the store",
        store.bytes as f64,
    );
    rows.gauge(
        "store_dead_bytes",
        "Bytes on disk of blocks that were deleted",
        store.dead_bytes as f64,
    );
    rows.gauge("store_disk_bytes", "Bytes on disk", store.disk_bytes as f64);
    rows.gauge(
        "store_segments",
        "Files of the store",
        store.segments as f64,
    );
    rows.gauge(
        "store_quarantined_blocks",
        "Blocks that are damaged and not served",
        store.quarantined as f64,
    );
    if let Some(capacity) = store.capacity {
        rows.gauge(
            "store_capacity_bytes",
            "Limit of the bytes on disk",
            capacity as f64,
        );
    }
    for (outcome, count) in [("hit", store.hits), ("miss", store.misses)] {
        let labels = [("outcome", outcome)];
        rows.labelled(
            "store_lookups",
            "Blocks asked for, by whether they were there",
            &labels,
            true,
            count as f64,
        );
    }
    rows.counter("store_put_blocks", "Blocks put", store.put_blocks as f64);
    rows.counter(
        "store_put_bytes",
        "Bytes of blocks put",
        store.put_bytes as f64,
    );
    let gc = &figures.gc;
    rows.counter("gc_runs", "Garbage collections", gc.runs as f64);
    rows.counter(
        "gc_failures",
        "Garbage collections that failed",
        gc.failures as f64,
    );
    rows.counter(
        "gc_removed_blocks",
        "Blocks removed",
        gc.removed_blocks as f64,
    );
    rows.counter(
        "gc_removed_bytes",
        "Bytes of blocks removed",
        gc.removed_bytes as f64,
    );
    rows.counter(
        "gc_seconds",
        "Time of garbage collections",
        gc.time.as_secs_f64(),
    );
    if let Some(pins) = figures.pins {
        rows.gauge("pins", "Recursive and direct pins", pins as f64);
    }
    for (outcome, count) in [("hit", figures.names.0), ("miss", figures.names.1)] {
        let labels = [("outcome", outcome)];
        rows.labelled(
            "name_cache_lookups",
            "Names looked for, by whether they were known",
            &labels,
            true,
            count as f64,
        );
    }
    rows.counter(
        "mfs_commits",
        "Commits of the mutable file system",
        figures.mfs.0 as f64,
    );
    rows.gauge(
        "mfs_unflushed_operations",
        "Operations since the last flush",
        figures.mfs.1 as f64,
    );
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
        let labels = [("direction", direction)];
        rows.labelled(
            "swarm_connections",
            "Open connections",
            &labels,
            false,
            f64::from(connections),
        );
        rows.labelled(
            "swarm_streams",
            "Open streams",
            &labels,
            false,
            f64::from(streams),
        );
    }
    if let Some(bandwidth) = net.bandwidth {
        for (direction, bytes) in [("in", bandwidth.total_in), ("out", bandwidth.total_out)] {
            let labels = [("direction", direction)];
            rows.labelled(
                "swarm_bytes",
                "Bytes over connections",
                &labels,
                true,
                bytes as f64,
            );
        }
    }
    if let Some(bitswap) = &net.bitswap {
        rows.gauge(
            "bitswap_peers",
            "Connected peers that speak Bitswap",
            bitswap.peers.len() as f64,
        );
        rows.gauge(
            "bitswap_wantlist",
            "Blocks that are wanted",
            bitswap.wantlist.len() as f64,
        );
        for (name, about, count) in [
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
                "bitswap_duplicate_blocks",
                "Blocks that came again",
                bitswap.dup_blks_received,
            ),
            (
                "bitswap_duplicate_bytes",
                "Bytes of blocks that came again",
                bitswap.dup_data_received,
            ),
            (
                "bitswap_unsolicited_blocks",
                "Blocks that nobody asked for",
                bitswap.unsolicited_blocks,
            ),
            ("bitswap_sent_blocks", "Blocks sent", bitswap.blocks_sent),
            (
                "bitswap_sent_bytes",
                "Bytes of blocks sent",
                bitswap.data_sent,
            ),
            (
                "bitswap_received_messages",
                "Messages received",
                bitswap.messages_received,
            ),
        ] {
            rows.counter(name, about, count as f64);
        }
    }
    for table in &net.tables {
        let labels = [("dht", table.name)];
        rows.labelled(
            "dht_peers",
            "Peers in the routing table",
            &labels,
            false,
            table.peers.len() as f64,
        );
        rows.labelled(
            "dht_server",
            "Whether this node serves the DHT",
            &labels,
            false,
            f64::from(u8::from(table.server)),
        );
        rows.labelled(
            "dht_records",
            "Records kept for others",
            &labels,
            false,
            table.records as f64,
        );
        rows.labelled(
            "dht_provider_keys",
            "Keys with providers kept for others",
            &labels,
            false,
            table.provider_keys as f64,
        );
    }
    for (name, stat) in &net.provide {
        let labels = [("dht", *name)];
        let counts = &stat.counts;
        rows.labelled(
            "provide_keys",
            "Keys announced",
            &labels,
            true,
            counts.keys as f64,
        );
        rows.labelled(
            "provide_failed_keys",
            "Keys that nobody took",
            &labels,
            true,
            counts.failed as f64,
        );
        rows.labelled(
            "provide_records",
            "Announcements that peers took",
            &labels,
            true,
            counts.records as f64,
        );
        rows.labelled(
            "provide_lookups",
            "Lookups for announcing",
            &labels,
            true,
            counts.lookups as f64,
        );
    }
    // The roots that wait are told to every DHT.
    if let Some((_, stat)) = net.provide.first() {
        rows.gauge(
            "provide_waiting_roots",
            "Roots that wait to be announced",
            stat.waiting as f64,
        );
        rows.gauge(
            "provide_scheduled_keys",
            "Keys announced again and again",
            stat.keys as f64,
        );
    }
}

fn process(rows: &mut Rows) {
    let process = Process::look();
    rows.counter(
        "process_cpu_seconds",
        "Time of processors",
        process.cpu_seconds,
    );
    rows.gauge(
        "process_resident_memory_bytes",
        "Memory in use",
        process.resident_bytes as f64,
    );
    rows.gauge(
        "process_virtual_memory_bytes",
        "Address space",
        process.virtual_bytes as f64,
    );
    rows.gauge("process_threads", "Threads", process.threads as f64);
    rows.gauge("process_open_fds", "Open files", process.open_files as f64);
    if let Some(limit) = process.open_files_max {
        rows.gauge("process_max_fds", "Open files at most", limit as f64);
    }
    rows.gauge(
        "process_start_time_seconds",
        "When the process was started",
        process.started,
    );
}

/// Figures of one look, in families: all of one name stand together.
#[derive(Debug, Default)]
struct Rows(Vec<Family>);

#[derive(Debug)]
struct Family {
    name: &'static str,
    about: &'static str,
    counts: bool,
    values: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Rows {
    fn gauge(&mut self, name: &'static str, about: &'static str, value: f64) {
        self.labelled(name, about, &[], false, value);
    }

    fn counter(&mut self, name: &'static str, about: &'static str, value: f64) {
        self.labelled(name, about, &[], true, value);
    }

    fn labelled(
        &mut self,
        name: &'static str,
        about: &'static str,
        labels: &[(&'static str, &str)],
        counts: bool,
        value: f64,
    ) {
        let labels = labels
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family.values.push((labels, value)),
            None => self.0.push(Family {
                name,
                about,
                counts,
                values: vec![(labels, value)],
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
                [(labels, value)] if labels.is_empty() => encode(metric, family.counts, *value)?,
                values => {
                    for (labels, value) in values {
                        encode(metric.encode_family(labels)?, family.counts, *value)?;
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
