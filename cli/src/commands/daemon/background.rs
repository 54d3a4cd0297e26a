//! What a daemon does by itself beside the network: collecting garbage, keeping MFS pinned elsewhere.

use std::env;
use std::time::Duration;

use ipfs_kit_node::config::parse_duration;
use ipfs_kit_node::{CancelToken, Node, PeriodicGc, keep_mfs_pinned};
use tokio::task::JoinHandle;

use crate::terminal::note;

/// Time between two looks at the policies of MFS (Kubo's value), and Kubo's variable for another, which is for tests.
const POLL: Duration = Duration::from_secs(30);
const POLL_VARIABLE: &str = "MFS_PIN_POLL_INTERVAL";

/// The tasks; they end with [`Background::stop`].
pub struct Background {
    tasks: Vec<JoinHandle<()>>,
    cancel: CancelToken,
}

impl Background {
    /// Starts them on the current runtime.
    pub fn start(node: &Node, gc: Option<PeriodicGc>) -> Background {
        let cancel = CancelToken::new();
        let node = node.with_cancel(cancel.clone());
        let mut tasks = vec![tokio::spawn(keep_mfs_pinned(node.clone(), poll(), note))];
        tasks.extend(gc.map(|gc| tokio::spawn(gc.run(node, note))));
        Background { tasks, cancel }
    }

    /// Ends them. What works on a thread ends at its next look.
    pub fn stop(self) {
        self.cancel.cancel();
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn poll() -> Duration {
    let Some(text) = env::var_os(POLL_VARIABLE) else {
        return POLL;
    };
    let poll = parse_duration(&text.to_string_lossy()).filter(|poll| !poll.is_zero());
    poll.unwrap_or_else(|| {
        note(&format!(
            "{POLL_VARIABLE}: {text:?} is no duration such as 30s; using 30s"
        ));
        POLL
    })
}
