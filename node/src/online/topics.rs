//! IPNS over pubsub, as go-libp2p-pubsub-router has it: the records of a name go over a topic of their own, and whoever
//! comes later asks the peers of the topic for the last one.
//!
//! A topic is joined when its name is published or resolved, and left by [`TopicNames::leave`].

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use super::names::{DhtNames, key_of, name_of};
use crate::cancel::CancelToken;
use crate::names::record::{Record, better};
use crate::names::{NameRouting, RecordQuery, RoutingError};
use crate::net::{Fetching, Net, Pubsub, PubsubMessage};

/// Names that are followed at the same time: nodes of ours note no more topics of a peer than 128.
const TOPICS_MAX: usize = 100;

/// Between two looks for peers that joined a topic.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The first looks at a topic are nearer to each other: its peers are heard of within moments.
const LOOK_FIRST: Duration = Duration::from_millis(250);
const FIRST_LOOKS: u32 = 20;

/// Peers of a topic that are asked in one look.
const ASKED_MAX: usize = 8;

/// How long a lookup waits for a topic that it has just joined, when nothing else answers.
const WAIT_MAX: Duration = Duration::from_secs(5);
const WAIT_STEP: Duration = Duration::from_millis(50);

fn topic_of(name: &PeerId) -> String {
    format!("/record/{}", URL_SAFE_NO_PAD.encode(key_of(name)))
}

/// One name that is followed.
struct Topic {
    latest: Option<Record>,
    task: AbortHandle,
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The last record of every name that is followed.
#[derive(Default)]
struct Followed(Mutex<FxHashMap<PeerId, Topic>>);

impl Followed {
    /// Keeps a record that is valid and better than what is there.
    fn offer(&self, name: &PeerId, bytes: Bytes) {
        let Ok(record) = Record::validate(bytes, name, SystemTime::now()) else {
            return;
        };
        if let Some(topic) = self.0.lock().get_mut(name) {
            let old = topic.latest.as_ref();
            if old.is_none_or(|old| better(&record, old) == Ordering::Greater) {
                topic.latest = Some(record);
            }
        }
    }

    /// The last record, while it is valid.
    fn latest(&self, name: &PeerId) -> Option<Bytes> {
        let topics = self.0.lock();
        let record = topics.get(name)?.latest.as_ref()?;
        let valid = !record.is_expired(SystemTime::now());
        valid.then(|| record.bytes().clone())
    }
}

/// [`NameRouting`] over pubsub and the DHTs.
pub struct TopicNames {
    net: Arc<Net>,
    dht: DhtNames,
    followed: Arc<Followed>,
}

impl TopicNames {
    /// Serves the last records of the names that are followed from now on.
    pub fn start(net: &Arc<Net>, dht: DhtNames) -> Self {
        let followed = Arc::new(Followed::default());
        let records = Arc::clone(&followed);
        net.serve_fetch(move |key| records.latest(&name_of(key)?));
        Self {
            net: Arc::clone(net),
            dht,
            followed,
        }
    }

    /// `false` when the name was followed already, or cannot be.
    fn follow(&self, name: &PeerId) -> bool {
        let mut topics = self.followed.0.lock();
        if topics.contains_key(name) || topics.len() >= TOPICS_MAX {
            return false;
        }
        let follow = follow(
            Pubsub {
                net: Arc::clone(&self.net),
            },
            self.net.fetching(),
            Arc::clone(&self.followed),
            *name,
        );
        let topic = Topic {
            latest: None,
            task: self.net.runtime().spawn(follow).abort_handle(),
        };
        topics.insert(*name, topic);
        true
    }
}

/// Takes what comes over the topic, and asks peers that join it, until the topic is left.
async fn follow(pubsub: Pubsub, fetching: Fetching, followed: Arc<Followed>, name: PeerId) {
    let topic = topic_of(&name);
    let Ok(mut messages) = pubsub.subscribe(&topic).await else {
        return;
    };
    let mut asked = FxHashSet::default();
    let mut looks = 0_u32;
    loop {
        let pause = if looks < FIRST_LOOKS {
            LOOK_FIRST
        } else {
            LOOK_EVERY
        };
        if !take(&mut messages, &followed, &name, pause).await {
            return;
        }
        looks = looks.saturating_add(1);
        let Ok(peers) = pubsub.peers(Some(&topic)).await else {
            return;
        };
        asked.retain(|peer| peers.contains(peer));
        let new = peers.iter().filter(|peer| !asked.contains(*peer));
        let new: Vec<PeerId> = new.copied().take(ASKED_MAX).collect();
        let answers = new.iter().map(|peer| fetching.fetch(*peer, key_of(&name)));
        for record in futures::future::join_all(answers)
            .await
            .into_iter()
            .flatten()
        {
            followed.offer(&name, record);
        }
        asked.extend(new);
    }
}

/// Takes messages for so long; `false` at their end.
async fn take(
    messages: &mut mpsc::Receiver<PubsubMessage>,
    followed: &Followed,
    name: &PeerId,
    pause: Duration,
) -> bool {
    let mut end = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
    end.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(message) => followed.offer(name, message.data),
                None => return false,
            },
            _ = end.tick() => return true,
        }
    }
}

impl NameRouting for TopicNames {
    fn put(&self, name: &PeerId, record: &Bytes, cancel: &CancelToken) -> Result<(), RoutingError> {
        self.follow(name);
        self.followed.offer(name, record.clone());
        let pubsub = Pubsub {
            net: Arc::clone(&self.net),
        };
        let (topic, data) = (topic_of(name), record.clone());
        let (told, heard) = std::sync::mpsc::channel();
        self.net.runtime().spawn(async move {
            let listening = pubsub.peers(Some(&topic)).await;
            let published = pubsub.publish(&topic, data).await;
            // Whoever asked may have been cancelled.
            let _ = told.send(published.is_ok() && listening.is_ok_and(|peers| !peers.is_empty()));
        });
        let stored = self.dht.put(name, record, cancel);
        // A record that somebody heard of is published, also where no DHT took it.
        match heard.recv_timeout(WAIT_MAX) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => stored,
        }
    }

    fn get(
        &self,
        name: &PeerId,
        query: &RecordQuery,
        found: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RoutingError> {
        self.follow(name);
        let before = self.followed.latest(name);
        if let Some(record) = &before
            && found(record.clone()).is_break()
        {
            return Ok(());
        }
        let mut nothing = before.is_none();
        let mut ended = false;
        let outcome = self.dht.get(name, query, &mut |record| {
            nothing = false;
            let flow = found(record);
            ended = flow.is_break();
            flow
        });
        if ended {
            return Ok(());
        }
        let until = Instant::now() + WAIT_MAX;
        let until = query.deadline.map_or(until, |deadline| deadline.min(until));
        loop {
            let now = self.followed.latest(name);
            if now.is_some() && now != before {
                // It is the last one anyway.
                let _ = now.map(found);
                return Ok(());
            }
            if !nothing {
                return Ok(());
            }
            if Instant::now() >= until {
                return outcome;
            }
            query.cancel.check()?;
            std::thread::sleep(WAIT_STEP);
        }
    }

    fn followed(&self) -> Option<Vec<PeerId>> {
        Some(self.followed.0.lock().keys().copied().collect())
    }

    fn unfollow(&self, name: &PeerId) -> bool {
        self.followed.0.lock().remove(name).is_some()
    }
}
