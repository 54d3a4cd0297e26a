//! What can go wrong with a pinning service. No text has a key in it.

use crate::web::WebError;

/// Why a pinning service did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No service of that name is configured.
    #[error("service not known")]
    Unknown,
    /// No name was given.
    #[error("remote pinning service name not specified")]
    NoName,
    /// A service of that name is there.
    #[error("service already present")]
    Exists,
    /// Text that is no address of a service.
    #[error("{0}")]
    BadEndpoint(&'static str),
    /// A key that cannot be sent.
    #[error("the key of the service has characters that an HTTP header may not have")]
    BadKey,
    /// The service says why it refuses.
    #[error("reason: {reason:?}, details: {details:?}: {status}")]
    Refused {
        /// The kind of failure.
        reason: String,
        /// More about it.
        details: String,
        /// The HTTP status.
        status: String,
    },
    /// The service answers with something that is no answer of the API.
    #[error("remote pinning service returned http error {status}: {reason}")]
    BadReply {
        /// The HTTP status.
        status: u16,
        /// What is wrong.
        reason: String,
    },
    /// The service does not answer.
    #[error("empty response from remote pinning service: {0}")]
    NoReply(#[from] WebError),
    /// Pages that do not go on.
    #[error("invalid pinning service response: {0}")]
    BadPages(String),
    /// The service could not pin.
    #[error("remote service failed to pin requestid={0:?}")]
    PinFailed(String),
    /// The service could not tell how a pin is.
    #[error("failed to check pin status for requestid={request:?} due to error: {error}")]
    Status {
        /// The request.
        request: String,
        /// Why.
        error: Box<RemoteError>,
    },
    /// The service tells of another pin than asked for.
    #[error(
        "failed to check pin status for requestid={asked:?}, remote service sent unexpected requestid={got:?}"
    )]
    OtherRequest {
        /// The request.
        asked: String,
        /// Another one.
        got: String,
    },
    /// The pins to be removed could not be found out.
    #[error("error while listing remote pins: {0}")]
    Listing(Box<RemoteError>),
    /// More than one pin would be removed.
    #[error(
        "multiple remote pins are matching this query, add --force to confirm the bulk removal"
    )]
    Several,
    /// A pin could not be removed.
    #[error("removing pin identified by requestid={request:?} failed: {error}")]
    Removing {
        /// The request.
        request: String,
        /// Why.
        error: Box<RemoteError>,
    },
    /// The system gives no thread or socket to ask with.
    #[error("cannot ask the remote pinning service: {0}")]
    Runtime(String),
}
