//! What a node does by itself while it is online: its IPNS records are put again ([`Names::republish`]), new roots are
//! announced at once ([`announce`]) and everything by and by ([`crate::provide`]). Names go through the DHTs ([`names`]).
//!
//! [`Names::republish`]: crate::names::Names::republish

mod announce;
mod names;
mod topics;

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::cancel::CancelToken;
use crate::names::NameRouting;
use crate::net::{Net, Routing};
use crate::node::{Node, Shared};
use crate::provide::{ProvideSettings, Provider};

use announce::Announcer;
use names::DhtNames;
pub use names::IpnsRecords;
use topics::TopicNames;

/// Before anything is published again: the routing tables fill in the meantime.
const FIRST: Duration = Duration::from_secs(60);

/// After a republish that failed as a whole.
const RETRY: Duration = Duration::from_secs(5 * 60);

/// Longest wait for a task to end.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The background tasks of a node that is online; they end with [`Online::stop`] or with the node.
pub struct Online {
    announcer: Announcer,
    provider: Arc<Provider>,
    /// Ends the waiting of tasks, also when this is dropped.
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
    /// Ends the work of tasks.
    cancel: CancelToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Online {
    /// Puts names on the network and starts the tasks on its runtime.
    pub fn start(node: &Node, net: &Arc<Net>, settings: ProvideSettings) -> Self {
        let routing = Routing {
            net: Arc::clone(net),
        };
        let names = DhtNames::new(routing, net.runtime().clone());
        let names: Arc<dyn NameRouting> = if net.follows_names() {
            Arc::new(TopicNames::start(net, names))
        } else {
            Arc::new(names)
        };
        node.names().set_routing(Some(names));
        let (stop, cancel) = (CancellationToken::new(), CancelToken::new());
        let background = Background {
            node: node.weak(),
            stop: stop.clone(),
            cancel: cancel.clone(),
        };
        let mut tasks = vec![net.runtime().spawn(republish(background.clone(), FIRST))];
        let strategy = node.config().text("Provide.Strategy").unwrap_or_default();
        let repeats = settings.repeats();
        let provider = Provider::new(net, settings, strategy);
        let (announcer, announcing) = Announcer::start(net, &stop);
        tasks.push(announcing);
        if repeats {
            let again = Arc::clone(&provider).run(background, FIRST);
            tasks.push(net.runtime().spawn(again));
        }
        Self {
            announcer,
            provider,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
            cancel,
            tasks: Mutex::new(tasks),
        }
    }

    /// What a task needs that works for a caller of the node.
    pub(crate) fn background(&self, node: &Node) -> Background {
        Background {
            node: node.weak(),
            stop: self.stop.clone(),
            cancel: node.cancel().clone(),
        }
    }

    /// Roots that wait to be announced at once.
    pub fn announcer(&self) -> &Announcer {
        &self.announcer
    }

    /// What announces everything.
    pub fn provider(&self) -> &Arc<Provider> {
        &self.provider
    }

    /// Ends the tasks and waits for them.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.cancel.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for mut task in tasks {
            if tokio::time::timeout(STOP_MAX, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

/// What a task needs to work for a node that it does not keep open.
#[derive(Clone)]
pub(crate) struct Background {
    node: Weak<Shared>,
    stop: CancellationToken,
    cancel: CancelToken,
}

impl Background {
    /// `false` when the task is to end instead.
    pub(crate) async fn sleep(&self, span: Duration) -> bool {
        self.stop
            .run_until_cancelled(tokio::time::sleep(span))
            .await
            .is_some()
    }

    /// Works on a thread that may block; `None` when the node is gone.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Option<T> {
        let node = Node::upgrade(&self.node, self.cancel.clone())?;
        tokio::task::spawn_blocking(move || work(&node)).await.ok()
    }
}

/// Puts the node's own IPNS records again when they are due.
async fn republish(background: Background, first: Duration) {
    let mut wait = first;
    while background.sleep(wait).await {
        let report = background.work(|node| node.names().republish()).await;
        wait = match report {
            None => return,
            Some(Ok(report)) => report.next.max(Duration::from_secs(1)),
            Some(Err(_)) => RETRY,
        };
    }
}
