//! What names need from a network, so that everything else can do without one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use libp2p::PeerId;

use crate::cancel::CancelToken;

/// What a network says when it fails.
pub type RoutingError = Box<dyn std::error::Error + Send + Sync>;

/// How long and how far to look for records.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// Stop looking then.
    pub deadline: Option<Instant>,
    /// Stop looking when it fires.
    pub cancel: CancelToken,
}

/// Where records are put and found: a DHT, pubsub, delegated routers, or several of them. Calls block.
pub trait NameRouting: Send + Sync {
    /// Stores a record at the peers that are responsible for the name.
    ///
    /// # Errors
    /// When no peer took it.
    fn put(&self, name: &PeerId, record: &Bytes, cancel: &CancelToken) -> Result<(), RoutingError>;

    /// Looks for records and gives each to `found` as it comes, valid or not; `found` tells when there are enough.
    /// Finding none is no error.
    ///
    /// # Errors
    /// When nobody could be asked.
    fn get(
        &self,
        name: &PeerId,
        query: &RecordQuery,
        found: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RoutingError>;

    /// The names that are followed over pubsub; `None` where none can be.
    fn followed(&self) -> Option<Vec<PeerId>> {
        None
    }

    /// Follows a name no more; `false` when it was not followed.
    fn unfollow(&self, _name: &PeerId) -> bool {
        false
    }
}

/// The TXT records of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtAnswer {
    /// Their texts; the pieces of one record are joined.
    pub texts: Vec<String>,
    /// How long they may be kept.
    pub ttl: Duration,
}

/// Why a domain has no TXT records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The domain, or the record, is not there.
    #[error("no TXT record")]
    NoRecords,
    /// It is not known whether it is there.
    #[error("{0}")]
    Failed(String),
}

/// Looks up TXT records. Calls block.
pub trait Dns: Send + Sync {
    /// The TXT records at exactly this name.
    ///
    /// # Errors
    /// [`DnsError`].
    fn txt(&self, domain: &str, cancel: &CancelToken) -> Result<TxtAnswer, DnsError>;
}
