//! What the node counts, for whoever watches it. Counting costs an atomic addition; everything else is asked for
//! when somebody looks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ipfs_kit_bitswap::Stat as BitswapStat;
use ipfs_kit_blockstore::block::Block;

use crate::gc::GcReport;
use crate::net::{Bandwidth, Resources, RoutingTable};
use crate::node::Node;
use crate::provide::ProvideStat;

/// Counts since the node was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Blocks that were asked for and were in the store.
    pub hits: AtomicU64,
    /// Blocks that were asked for and were not.
    pub misses: AtomicU64,
    /// Blocks put, those that were there already too.
    pub put_blocks: AtomicU64,
    /// Their bytes.
    pub put_bytes: AtomicU64,
    /// Names that were looked for and known.
    pub name_hits: AtomicU64,
    /// Names that were looked for and not known.
    pub name_misses: AtomicU64,
    /// Commits of the mutable file system.
    pub mfs_commits: AtomicU64,
    gc_runs: AtomicU64,
    gc_failures: AtomicU64,
    gc_blocks: AtomicU64,
    gc_bytes: AtomicU64,
    gc_millis: AtomicU64,
}

/// Adds one.
pub(crate) fn tick(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    /// Blocks are put.
    pub fn handle_put(&self, blocks: &[Block]) {
        let bytes: usize = blocks.iter().map(|block| block.data().len()).sum();
        self.put_blocks.fetch_add(blocks.len() as u64, Relaxed);
        self.put_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A collection has ended.
    pub fn handle_gc(&self, started: Instant, report: Option<&GcReport>) {
        tick(&self.gc_runs);
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.gc_millis.fetch_add(millis, Relaxed);
        match report {
            Some(report) => {
                self.gc_blocks.fetch_add(report.removed_blocks, Relaxed);
                self.gc_bytes.fetch_add(report.removed_bytes, Relaxed);
            }
            None => tick(&self.gc_failures),
        }
    }
}

/// The store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Stored blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What deleted blocks still take on disk, in bytes.
    pub dead_bytes: u64,
    /// What the files take, in bytes.
    pub disk_bytes: u64,
    /// Files.
    pub segments: u64,
    /// Blocks that are not served because their bytes are damaged.
    pub quarantined: u64,
    /// The limit on `disk_bytes`.
    pub capacity: Option<u64>,
    /// Blocks that were asked for and there.
    pub hits: u64,
    /// Blocks that were asked for and not there.
    pub misses: u64,
    /// Blocks put, those that were there already too.
    pub put_blocks: u64,
    /// Their bytes.
    pub put_bytes: u64,
}

/// Garbage collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcFigures {
    /// Collections.
    pub runs: u64,
    /// Of these, the ones that failed.
    pub failures: u64,
    /// Blocks removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// The time they took.
    pub time: Duration,
}

/// The network.
#[derive(Clone, Debug, Default)]
pub struct NetFigures {
    /// Connections and streams against their limits.
    pub resources: Resources,
    /// Bytes over all connections, where they are counted.
    pub bandwidth: Option<Bandwidth>,
    /// Bitswap, where it is on.
    pub bitswap: Option<BitswapStat>,
    /// The DHTs' tables.
    pub tables: Vec<RoutingTable>,
    /// Announcing, by the name of the DHT.
    pub provide: Vec<(&'static str, ProvideStat)>,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// The store.
    pub store: StoreFigures,
    /// Garbage collection.
    pub gc: GcFigures,
    /// Pins, unless their table cannot be read.
    pub pins: Option<u64>,
    /// Names that were looked for and known, and not known.
    pub names: (u64, u64),
    /// Commits of the mutable file system, and operations since the last one.
    pub mfs: (u64, u64),
    /// The network, while the node is online.
    pub net: Option<NetFigures>,
}

impl Node {
    /// What the node counts, at this moment.
    pub async fn figures(&self) -> Figures {
        let counters = self.counters();
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let stats = self.store().stats();
        Figures {
            store: StoreFigures {
                blocks: stats.blocks,
                bytes: stats.bytes,
                dead_bytes: stats.dead_bytes,
                disk_bytes: stats.disk_bytes,
                segments: stats.segments,
                quarantined: stats.quarantined,
                capacity: stats.capacity,
                hits: get(&counters.hits),
                misses: get(&counters.misses),
                put_blocks: get(&counters.put_blocks),
                put_bytes: get(&counters.put_bytes),
            },
            gc: GcFigures {
                runs: get(&counters.gc_runs),
                failures: get(&counters.gc_failures),
                removed_blocks: get(&counters.gc_blocks),
                removed_bytes: get(&counters.gc_bytes),
                time: Duration::from_millis(get(&counters.gc_millis)),
            },
            pins: self.pins().count().ok(),
            names: (get(&counters.name_hits), get(&counters.name_misses)),
            mfs: (get(&counters.mfs_commits), get(&self.mfs_state().unflushed)),
            net: self.net_figures().await,
        }
    }

    async fn net_figures(&self) -> Option<NetFigures> {
        let peers = self.peers().ok()?;
        let mut provide = Vec::new();
        if let Ok(verbs) = self.provide() {
            for (name, wan) in [("wan", true), ("lan", false)] {
                provide.extend(verbs.stat(wan).await.ok().map(|stat| (name, stat)));
            }
        }
        Some(NetFigures {
            // Unreadable is a network that has just been stopped.
            resources: peers.resources().await.ok()?,
            bandwidth: peers.bandwidth().ok(),
            bitswap: self.bitswap().ok().map(|bitswap| bitswap.stat()),
            tables: match self.routing() {
                Ok(routing) => routing.tables().await.unwrap_or_default(),
                Err(_) => Vec::new(),
            },
            provide,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, Source};

    #[test]
    fn work_is_counted() {
        let node = Node::builder().in_memory().open().unwrap();
        let source = Source::Reader {
            name: None,
            reader: Box::new(std::io::Cursor::new(vec![7; 600_000])),
        };
        let added = node
            .files()
            .add(vec![source], &AddOptions::default(), &mut |_| Ok(()))
            .unwrap();
        let root = added.roots[0].cid.to_string();
        node.pins()
            .remove(std::slice::from_ref(&root), true)
            .unwrap();
        node.blocks().get(&root).unwrap();
        node.repo().gc(&mut |_| Ok(())).unwrap();
        assert!(node.blocks().get(&root).is_err());
        let figures = futures::executor::block_on(node.figures());
        let store = figures.store;
        assert!(
            store.put_blocks >= 2 && store.hits >= 1 && store.misses >= 1,
            "{store:?}"
        );
        assert_eq!(figures.gc.runs, 1);
        assert!(figures.gc.removed_blocks >= 2 && figures.gc.removed_bytes > 0);
        assert_eq!(figures.gc.failures, 0);
        assert_eq!(figures.pins, Some(0));
        assert!(figures.net.is_none());
    }
}
