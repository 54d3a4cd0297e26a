//! Messages by topic over gossipsub 1.2: every message is signed and checked before it is passed on.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use libp2p::PeerId;
use libp2p::gossipsub::{
    self, ConfigBuilder, IdentTopic, IdentityTransform, MaxCountSubscriptionFilter,
    MessageAcceptance, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    PublishError, TopicHash, TopicSubscriptionFilter, ValidationMode,
};
use libp2p::identity::Keypair;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::command::Command;
use super::settings::PubsubSettings;
use super::sieve::TOPIC_LEN_MAX;
use super::task::SwarmTask;
use super::{Net, NetError};

/// Bytes of one message's data.
const DATA_MAX: usize = 256 << 10;

/// Bytes of one exchange between two peers, which may hold several messages; go-libp2p's limit.
const TRANSMIT_MAX: usize = 1 << 20;

/// Bytes of control messages in one exchange; above the library's value, so that 5,000 ids of messages fit.
const CONTROL_MAX: usize = 256 << 10;

/// Messages that a subscriber may leave waiting. When it is full, new ones are dropped for that subscriber.
const WAITING_MAX: usize = 1024;

/// Topics subscribed to at the same time.
const TOPICS_MAX: usize = 1024;

/// Topics that are noted of one peer: 64 KiB with the longest names.
const PEER_TOPICS_MAX: usize = 128;

/// Gossipsub that bounds what it notes of peers.
pub type Gossip = gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<ShortNames>>;

/// Topics with names, but not too long ones. The library bounds their number alone, and reads a topic that was left out
/// as one without a name.
pub struct ShortNames;

impl TopicSubscriptionFilter for ShortNames {
    fn can_subscribe(&mut self, topic: &TopicHash) -> bool {
        (1..=TOPIC_LEN_MAX).contains(&topic.as_str().len())
    }
}

/// A message that arrived, or that this node published itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PubsubMessage {
    /// Who published it.
    pub from: PeerId,
    /// Its content.
    pub data: Bytes,
    /// The publisher's sequence number.
    pub sequence: u64,
    /// The topic.
    pub topic: String,
}

/// Verbs on pubsub, from [`crate::Node::pubsub`]. Clones are cheap.
#[derive(Clone)]
pub struct Pubsub {
    pub(crate) net: Arc<Net>,
}

impl Pubsub {
    /// Publishes to a topic. That nobody listens is no error; this node's own subscribers get it too.
    ///
    /// # Errors
    /// [`NetError::NoPubsub`], [`NetError::Publish`] for more than 256 KiB or when every peer is too slow.
    pub async fn publish(&self, topic: &str, data: Bytes) -> Result<(), NetError> {
        check_topic(topic)?;
        if data.len() > DATA_MAX {
            let reason = format!("{} bytes are too many: the limit is {DATA_MAX}", data.len());
            return Err(NetError::Publish(reason));
        }
        let topic = topic.to_owned();
        self.net
            .ask(|reply| Command::Publish { topic, data, reply })
            .await?
    }

    /// Subscribes to a topic until the receiver is dropped. A receiver that falls 1,024 messages behind loses new ones.
    ///
    /// # Errors
    /// [`NetError::NoPubsub`], [`NetError::BadTopic`].
    pub async fn subscribe(&self, topic: &str) -> Result<mpsc::Receiver<PubsubMessage>, NetError> {
        check_topic(topic)?;
        let (sink, messages) = mpsc::channel(WAITING_MAX);
        let topic = topic.to_owned();
        self.net
            .ask(|reply| Command::Subscribe { topic, sink, reply })
            .await??;
        Ok(messages)
    }

    /// The topics this node is subscribed to, sorted.
    ///
    /// # Errors
    /// [`NetError::NoPubsub`].
    pub async fn ls(&self) -> Result<Vec<String>, NetError> {
        self.net.ask(|reply| Command::Topics { reply }).await?
    }

    /// Connected peers that are subscribed to a topic, or with `None` to any.
    ///
    /// # Errors
    /// [`NetError::NoPubsub`].
    pub async fn peers(&self, topic: Option<&str>) -> Result<Vec<PeerId>, NetError> {
        let topic = topic.map(str::to_owned);
        self.net
            .ask(|reply| Command::TopicPeers { topic, reply })
            .await?
    }
}

fn check_topic(topic: &str) -> Result<(), NetError> {
    match topic.len() {
        0 => Err(NetError::BadTopic("the name is empty".to_owned())),
        len if len > TOPIC_LEN_MAX => Err(NetError::BadTopic(format!(
            "a name of {len} bytes is too long: the limit is {TOPIC_LEN_MAX}"
        ))),
        _ => Ok(()),
    }
}

/// Builds the behaviour.
pub fn behaviour(key: &Keypair, settings: &PubsubSettings) -> Result<Gossip, NetError> {
    let failed = |reason: String| NetError::Transport {
        what: "pubsub",
        reason,
    };
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(TRANSMIT_MAX)
        .max_control_message_size(CONTROL_MAX)
        .duplicate_cache_time(settings.seen)
        .message_id_fn(message_id)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let signed = MessageAuthenticity::Signed(key.clone());
    let filter = MaxCountSubscriptionFilter {
        filter: ShortNames,
        max_subscribed_topics: PEER_TOPICS_MAX,
        max_subscriptions_per_request: PEER_TOPICS_MAX,
    };
    let mut behaviour = Gossip::new_with_subscription_filter(signed, config, filter)
        .map_err(|error| failed(error.to_owned()))?;
    let here = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let score = PeerScoreParams {
        // Many nodes on one machine are no attack.
        ip_colocation_factor_whitelist: HashSet::from(here),
        ..PeerScoreParams::default()
    };
    behaviour
        .with_peer_score(score, PeerScoreThresholds::default())
        .map_err(failed)?;
    Ok(behaviour)
}

/// Publisher and sequence number, as go-libp2p's default.
fn message_id(message: &gossipsub::Message) -> MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend_from_slice(&message.sequence_number.unwrap_or_default().to_be_bytes());
    MessageId(id)
}

/// Who listens to what.
#[derive(Default)]
pub struct Topics {
    sinks: FxHashMap<TopicHash, Vec<mpsc::Sender<PubsubMessage>>>,
}

impl Topics {
    fn deliver(&mut self, topic: &TopicHash, message: &PubsubMessage) {
        for sink in self.sinks.get(topic).into_iter().flatten() {
            // A full one loses the message, as documented; a closed one is found by the next tick.
            let _ = sink.try_send(message.clone());
        }
    }

    /// Topics that nobody listens to any more.
    fn prune(&mut self) -> Vec<TopicHash> {
        let mut deserted = Vec::new();
        self.sinks.retain(|topic, sinks| {
            sinks.retain(|sink| !sink.is_closed());
            if sinks.is_empty() {
                deserted.push(topic.clone());
            }
            !sinks.is_empty()
        });
        deserted
    }
}

impl SwarmTask {
    fn gossip(&mut self) -> Result<&mut Gossip, NetError> {
        let pubsub = &mut self.swarm.behaviour_mut().pubsub;
        pubsub.as_mut().ok_or(NetError::NoPubsub)
    }

    pub(super) fn publish(&mut self, topic: String, data: Bytes) -> Result<(), NetError> {
        let hash = IdentTopic::new(topic.as_str()).hash();
        let sequence = match self.gossip()?.publish(hash.clone(), data.to_vec()) {
            Ok(MessageId(id)) => id
                .last_chunk::<8>()
                .map_or(0, |number| u64::from_be_bytes(*number)),
            Err(PublishError::NoPeersSubscribedToTopic) => nanos(),
            Err(error) => return Err(NetError::Publish(error.to_string())),
        };
        let message = PubsubMessage {
            from: *self.swarm.local_peer_id(),
            data,
            sequence,
            topic,
        };
        self.topics.deliver(&hash, &message);
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        topic: &str,
        sink: mpsc::Sender<PubsubMessage>,
    ) -> Result<(), NetError> {
        let topic = IdentTopic::new(topic);
        let known = self.topics.sinks.contains_key(&topic.hash());
        if !known && self.topics.sinks.len() >= TOPICS_MAX {
            let reason = format!("more than {TOPICS_MAX} topics at a time");
            return Err(NetError::BadTopic(reason));
        }
        self.gossip()?
            .subscribe(&topic)
            .map_err(|error| NetError::BadTopic(error.to_string()))?;
        self.topics
            .sinks
            .entry(topic.hash())
            .or_default()
            .push(sink);
        Ok(())
    }

    pub(super) fn topic_names(&mut self) -> Result<Vec<String>, NetError> {
        self.gossip()?;
        let mut names: Vec<String> = self.topics.sinks.keys().map(ToString::to_string).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn topic_peers(&mut self, topic: Option<String>) -> Result<Vec<PeerId>, NetError> {
        let wanted = topic.map(|topic| IdentTopic::new(topic).hash());
        let peers = self.gossip()?.all_peers();
        let listening = peers.filter(|(_, topics)| match &wanted {
            Some(wanted) => topics.contains(&wanted),
            None => !topics.is_empty(),
        });
        Ok(listening.map(|(peer, _)| *peer).collect())
    }

    pub(super) fn handle_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message {
            propagation_source,
            message_id,
            message,
        } = event
        else {
            return;
        };
        let fits = message.data.len() <= DATA_MAX;
        let verdict = if fits {
            MessageAcceptance::Accept
        } else {
            MessageAcceptance::Reject
        };
        if let Ok(gossip) = self.gossip() {
            gossip.report_message_validation_result(&message_id, &propagation_source, verdict);
        }
        // Strict validation lets nothing through without a source.
        if let Some(from) = message.source.filter(|_| fits) {
            let told = PubsubMessage {
                from,
                data: message.data.into(),
                sequence: message.sequence_number.unwrap_or_default(),
                topic: message.topic.to_string(),
            };
            self.topics.deliver(&message.topic, &told);
        }
    }

    /// Unsubscribes from what nobody here listens to any more.
    pub(super) fn tend_topics(&mut self) {
        for topic in self.topics.prune() {
            if let Ok(gossip) = self.gossip() {
                gossip.unsubscribe(&IdentTopic::new(topic.into_string()));
            }
        }
    }
}

fn nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
