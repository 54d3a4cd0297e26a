//! The options that say what of new content is announced at once: the same for everything that adds or pins.

use ipfs_kit_node::AnnounceNow;

use crate::command::Opt;
use crate::invocation::Invocation;

/// `--fast-provide-root`
pub const ROOT: Opt = Opt::flag(
    &["fast-provide-root"],
    "Announce the root(s) at once where a daemon is online. Default: Import.FastProvideRoot",
);

/// `--fast-provide-dag`
pub const DAG: Opt = Opt::flag(
    &["fast-provide-dag"],
    "Announce the whole DAG(s) at once where a daemon is online. Default: Import.FastProvideDAG",
);

/// `--fast-provide-wait`
pub const WAIT: Opt = Opt::flag(
    &["fast-provide-wait"],
    "Wait until that is announced, for a root at most 10s. Default: Import.FastProvideWait",
);

/// What was asked for.
pub fn given(invocation: &Invocation) -> AnnounceNow {
    AnnounceNow {
        root: invocation.given_flag("fast-provide-root"),
        dag: invocation.given_flag("fast-provide-dag"),
        wait: invocation.given_flag("fast-provide-wait"),
    }
}
