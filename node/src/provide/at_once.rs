//! What is announced right after it was added or pinned.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ipfs_kit_blockstore::cid::Cid;

use super::source::Source;
use crate::config::Config;
use crate::net::Routing;
use crate::node::Node;
use crate::online::Online;

/// Longest wait for a root (Kubo's value).
const ROOT_MAX: Duration = Duration::from_secs(10);

/// Between two looks at the cancel token.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What of a new DAG is announced at once; what is left open is up to `Import.FastProvide*`. Blocks that
/// `Provide.Strategy` does not name are not announced in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnnounceNow {
    /// Its root.
    pub root: Option<bool>,
    /// All of it.
    pub dag: Option<bool>,
    /// The operation ends only after that.
    pub wait: Option<bool>,
}

/// The same with nothing left open.
#[derive(Clone, Copy)]
struct Asked {
    root: bool,
    dag: bool,
    wait: bool,
}

impl AnnounceNow {
    fn asked(self, config: &Config) -> Asked {
        let or = |given: Option<bool>, key, default| {
            given.or_else(|| config.flag(key)).unwrap_or(default)
        };
        Asked {
            root: or(self.root, "Import.FastProvideRoot", true),
            dag: or(self.dag, "Import.FastProvideDAG", false),
            wait: or(self.wait, "Import.FastProvideWait", false),
        }
    }
}

/// Announces roots that were just added or pinned. One that reaches nobody is no failure of what it was added by: its turn
/// comes again.
pub fn announce(node: &Node, online: &Online, roots: &[Cid], pinned: bool, now: AnnounceNow) {
    let settings = online.provider().settings();
    let asked = now.asked(node.config());
    if !settings.repeats() || !settings.strategy.has_root(pinned) || roots.is_empty() {
        return;
    }
    let Ok(net) = node.net_now().cloned() else {
        return;
    };
    let runtime = net.runtime().clone();
    let (done, ended) = mpsc::sync_channel(1);
    let whole = asked.dag && (settings.strategy.all || settings.strategy.pinned);
    let (task, patience) = if whole {
        let (background, provider) = (online.background(node), online.provider().clone());
        let source = Source::Dags(roots.to_vec());
        let announced = async move {
            // See above.
            let _ = provider.announce(&background, source).await;
            let _ = done.send(());
        };
        (runtime.spawn(announced), Duration::MAX)
    } else if asked.root && asked.wait {
        let roots = roots.to_vec();
        let announced = async move {
            let routing = Routing { net };
            for root in roots.iter().filter(|root| !root.hash().is_identity()) {
                let _ = routing.provide(root).await;
            }
            let _ = done.send(());
        };
        (runtime.spawn(announced), ROOT_MAX)
    } else {
        if asked.root {
            online.announcer().announce(roots);
        }
        return;
    };
    if !asked.wait {
        return;
    }
    // Not the runtime's own way to wait, which some threads must not use.
    let start = Instant::now();
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK_EVERY) {
        if node.cancel().check().is_err() || start.elapsed() >= patience {
            task.abort();
            return;
        }
    }
}
