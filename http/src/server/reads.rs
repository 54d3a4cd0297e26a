//! Methods that only read, which the seed's port answers to `GET`, too.
//!
//! What is asked by `GET` any page can cause by a link, so nothing is here that changes, publishes, or keeps the
//! node busy for long.

use super::version;

/// Paths of methods below the root of the RPC.
const READS: &[&str] = &[
    "bitswap/stat",
    "bitswap/wantlist",
    "block/get",
    "block/stat",
    "bootstrap/list",
    "cat",
    "commands",
    "config/show",
    "dag/get",
    "dag/resolve",
    "exists",
    "files/ls",
    "files/read",
    "files/stat",
    "get",
    "id",
    "key/list",
    "key/ls",
    "list-pins",
    "ls",
    "name/resolve",
    "peers",
    "pin/ls",
    "refs",
    "repo/stat",
    "repo/version",
    "resolve",
    "routing/findpeer",
    "routing/findprovs",
    "stat",
    "stats/bw",
    "stats/repo",
    "swarm/addrs",
    "swarm/peers",
    "version",
];

/// Whether the method at this path of the port reads only.
pub fn is_read(path: &str) -> bool {
    version::method(path).is_some_and(|(_, method)| READS.binary_search(&method).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::ROOT;

    #[test]
    fn they_are_methods_in_order() {
        assert!(READS.is_sorted());
        for method in READS {
            let found = method
                .split('/')
                .try_fold(&ROOT, |command, word| command.subcommand(word));
            assert!(
                found.is_some_and(|command| command.run.is_some()),
                "{method}"
            );
        }
        assert!(is_read("/api/v0/cat") && is_read("/api/v1/pin/ls"));
        for none in [
            "/api/v0/add",
            "/api/v0/pin/rm",
            "/api/v0/",
            "cat",
            "/api/v0/cat/",
        ] {
            assert!(!is_read(none), "{none}");
        }
    }
}
