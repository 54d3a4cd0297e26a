//! The documents of the API.

use ipfs_kit_blockstore::cid::Cid;
use serde::{Deserialize, Serialize};

use super::RemoteError;

/// State of a pin at a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemoteStatus {
    /// Taken, and not begun.
    Queued,
    /// Being fetched.
    Pinning,
    /// Kept.
    Pinned,
    /// Given up.
    Failed,
    /// Something that this program does not know.
    #[serde(other)]
    Unknown,
}

impl RemoteStatus {
    /// All that a service may be asked for.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Pinning, Self::Pinned, Self::Failed];

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Its name; empty for one that is not known.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pinning => "pinning",
            Self::Pinned => "pinned",
            Self::Failed => "failed",
            Self::Unknown => "",
        }
    }
}

/// A pin at a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePin {
    /// By which the service knows it.
    pub request_id: String,
    /// Its state.
    pub status: RemoteStatus,
    /// When it was asked for, as the service writes it.
    pub created: String,
    /// What is pinned.
    pub cid: Cid,
    /// The name it was given.
    pub name: String,
    /// Addresses of the peers that fetch it.
    pub delegates: Vec<String>,
}

/// How many pins a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemotePinCounts {
    /// Taken, and not begun.
    pub queued: u64,
    /// Being fetched.
    pub pinning: u64,
    /// Kept.
    pub pinned: u64,
    /// Given up.
    pub failed: u64,
}

/// Which pins of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemotePinFilter {
    /// Of exactly this name.
    pub name: Option<String>,
    /// Of one of these CIDs, if there are any.
    pub cids: Vec<Cid>,
    /// In one of these states, if there are any.
    pub statuses: Vec<RemoteStatus>,
}

/// A pin in a request.
#[derive(Debug, Serialize)]
pub struct PinRequest<'a> {
    pub cid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct PinReply {
    #[serde(default)]
    cid: String,
    #[serde(default)]
    name: Option<String>,
}

/// A reply about one pin.
#[derive(Debug, Deserialize)]
pub struct StatusReply {
    #[serde(default)]
    requestid: String,
    #[serde(default = "unknown")]
    status: RemoteStatus,
    #[serde(default)]
    created: String,
    pin: PinReply,
    #[serde(default)]
    delegates: Option<Vec<String>>,
}

/// A reply with pins.
#[derive(Debug, Deserialize)]
pub struct ListReply {
    #[serde(default)]
    pub count: u64,
    #[serde(default)]
    pub results: Option<Vec<StatusReply>>,
}

/// A reply that says what is wrong.
#[derive(Debug, Deserialize)]
pub struct FailureReply {
    #[serde(default)]
    pub error: FailureDetails,
}

#[derive(Debug, Default, Deserialize)]
pub struct FailureDetails {
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub details: Option<String>,
}

fn unknown() -> RemoteStatus {
    RemoteStatus::Unknown
}

impl TryFrom<StatusReply> for RemotePin {
    type Error = RemoteError;

    fn try_from(reply: StatusReply) -> Result<Self, RemoteError> {
        let cid = reply.pin.cid.parse().map_err(|_| {
            let shown: String = reply.pin.cid.chars().take(80).collect();
            RemoteError::BadPages(format!("{shown:?} is no CID"))
        })?;
        Ok(Self {
            request_id: reply.requestid,
            status: reply.status,
            created: reply.created,
            cid,
            name: reply.pin.name.unwrap_or_default(),
            delegates: reply.delegates.unwrap_or_default(),
        })
    }
}
