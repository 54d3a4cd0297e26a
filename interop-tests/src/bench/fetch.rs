//! Fetching from peers: ours and Kubo, each from itself and from the other.
//!
//! | module | what |
//! |---|---|
//! | [`cell`] | what is fetched, over what, from how many |
//! | [`options`] | which cells, from the command line |
//! | [`nodes`] | daemons that know only each other, through links with a delay |
//! | [`contest`] | runs of all pairs in turn |
//! | [`table`] | Markdown |
//!
//! A measurement: the providers hold the content and listen on one transport; the fetcher's repo
//! is new; all daemons run with `Routing.Type=none` and no bootstrap; the fetcher is connected to
//! the providers, and then one `pin/add` of the root is timed, from the request to the end of the
//! answer. `pin add` is what both do best: Kubo walks with 32 fetches at once there (its `cat`
//! reads ten blocks ahead), and the RPC leaves out the start of a command, which is slower with
//! Kubo. Ours has everything synced when it answers.
//!
//! A delay is made by a [`crate::proxy`] in this program, on the same cores as the nodes.

pub mod cell;
pub mod contest;
pub mod nodes;
pub mod options;
pub mod table;
