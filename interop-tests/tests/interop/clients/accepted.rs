//! Where clients get something else from ours than from Kubo, each with its reason. One that is not found
//! any more fails the test.

/// A step that may differ.
pub struct Accepted {
    /// The client.
    pub client: &'static str,
    /// The step of its script.
    pub step: &'static str,
    /// Why.
    pub reason: &'static str,
}

const fn accepted(client: &'static str, step: &'static str, reason: &'static str) -> Accepted {
    Accepted {
        client,
        step,
        reason,
    }
}

const WORDS: &str = "other words";
const BROKEN: &str =
    "an error in the middle breaks the connection of a client that takes no trailers";

/// All of them.
#[rustfmt::skip]
pub const ACCEPTED: &[Accepted] = &[
    accepted("kubo-rpc-client", "add mode and mtime", "modes and times are told where they are stored"),
    accepted("kubo-rpc-client", "block put with a bad hash", WORDS),
    accepted("kubo-rpc-client", "dag import nonsense", WORDS),
    accepted("kubo-rpc-client", "name publish with no key", WORDS),
    accepted("kubo-rpc-client", "config set", WORDS),
    accepted("kubo-rpc-client", "files rm a directory", BROKEN),
    accepted("ipfshttpclient", "dag put", WORDS),
    accepted("ipfshttpclient", "config set", WORDS),
    accepted("ipfshttpclient", "files rm a directory", BROKEN),
    accepted("ipfshttpclient", "pin ls", "two CIDs of one block are listed once"),
    accepted("ipfshttpclient", "pubsub ls", "an empty list is a list"),
    accepted("aioipfs", "cat nonsense", "it looks for words that stand in ours too"),
    accepted("aioipfs", "files rm a directory", BROKEN),
    accepted("aioipfs", "files stat after", "a file without a name was added to where it was to be"),
    accepted("ipfs", "dag get what is not there", WORDS),
    accepted("ipfs", "dag import nonsense", WORDS),
    accepted("ipfs", "files rm a directory", BROKEN),
    accepted("ipfs", "name resolve with no key", WORDS),
    accepted("ipfs", "config set", WORDS),
    accepted("curl", "dag import nonsense", WORDS),
    accepted("curl", "files rm", BROKEN),
    accepted("curl", "HTTP 1.0", "where there are no trailers, none is promised"),
];
