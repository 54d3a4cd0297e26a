//! Why a name could not be published, stored or resolved.

use std::io;

use super::record::RecordError;

/// Why a name operation was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Publishing needs a network unless told otherwise.
    #[error("can't publish while offline: pass `--allow-offline` to override")]
    Offline,
    /// A span of time that cannot be.
    #[error("{option}: {reason}")]
    BadSpan {
        /// The option or configuration key.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A sequence number was asked for that is not above the current one.
    #[error(
        "sequence number must be greater than the current record sequence: {asked} is not above {current}"
    )]
    SequenceNotAbove {
        /// The number that was asked for.
        asked: u64,
        /// The number of the current record.
        current: u64,
    },
    /// There is no number after the last.
    #[error("the name has used up its sequence numbers: publish under another key")]
    SequenceExhausted,
    /// A record of the same name with a higher or equal sequence is there.
    #[error(
        "existing IPNS record has sequence {existing} >= new record sequence {new}, use 'ipfs-kit name put --force' to skip this check"
    )]
    NotAbove {
        /// The sequence of the record that is there.
        existing: u64,
        /// The sequence of the record that was to be put.
        new: u64,
    },
    /// The node owns the name, and its sequence must not go back.
    #[error(
        "this node publishes the name itself and has reached sequence {existing}: a record with sequence {new} is not taken, also not by force"
    )]
    OwnNameBack {
        /// The sequence that was reached.
        existing: u64,
        /// The sequence of the record that was to be put.
        new: u64,
    },
    /// The bytes are no valid record of the name.
    #[error("invalid IPNS record: {0}")]
    Record(#[from] RecordError),
    /// Text that is neither a key id nor a domain name.
    #[error("invalid IPNS name {name:?}: {reason}")]
    BadName {
        /// The text, cut to a line.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No record is known.
    #[error("could not resolve name {name}: no record was found{asked}")]
    NotFound {
        /// The name.
        name: String,
        /// Who was asked, with a leading space, or nothing.
        asked: &'static str,
    },
    /// The newest record that is known has expired, and no newer one was found.
    #[error(
        "could not resolve name {name}: its record with sequence {sequence} has expired, and the network has none that is as new"
    )]
    Expired {
        /// The name.
        name: String,
        /// The sequence of that record.
        sequence: u64,
    },
    /// Records point to each other.
    #[error("could not resolve name (recursion limit exceeded): {0} leads through more than {limit} names", limit = super::MAX_DEPTH)]
    TooDeep(String),
    /// The value of a record or TXT record is no content path.
    #[error("{name} points to {value:?}, which is no /ipfs or /ipns path")]
    BadValue {
        /// The name.
        name: String,
        /// Where it points, cut to a line.
        value: String,
    },
    /// The domain has no DNSLink.
    #[error(
        "DNSLink lookup for {0:?} failed: could not find a TXT record 'dnslink=/ipfs/...' at _dnslink.{0}"
    )]
    NoDnsLink(String),
    /// The domain has several.
    #[error(
        "DNSLink lookup for {0:?} returned more than one content path; ask the domain's owner to remove TXT records"
    )]
    ManyDnsLinks(String),
    /// The lookup itself failed.
    #[error("DNSLink lookup for {domain:?} failed: {reason}")]
    Dns {
        /// The domain.
        domain: String,
        /// What the resolver said.
        reason: String,
    },
    /// A resolver in the configuration that cannot be used.
    #[error("DNS.Resolvers: {0}")]
    Resolvers(String),
    /// `IPFS_NS_MAP` cannot be read.
    #[error("IPFS_NS_MAP: {0:?} is not of the form host:/ipfs/cid")]
    NameMap(String),
    /// The network failed.
    #[error("{action} name {name}: {reason}")]
    Routing {
        /// What was being done.
        action: &'static str,
        /// The name.
        name: String,
        /// What the network said.
        reason: String,
    },
    /// The table of names is full.
    #[error("the node keeps records of {0} names, which is the limit")]
    TooMany(u64),
    /// No thread for lookups.
    #[error("starting the DNS resolver: {0}")]
    Resolver(#[source] io::Error),
}
