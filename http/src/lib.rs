//! HTTP faces of the node: the RPC of Kubo, its client, and the table of methods behind both and
//! behind the command line.

pub mod bases;
pub mod cid_style;
pub mod client;
pub mod columns;
pub mod command;
pub mod documents;
pub mod duration;
pub mod escape;
pub mod failure;
pub mod host;
pub mod human;
pub mod invocation;
pub mod logs;
pub mod methods;
pub mod observed;
pub mod output;
pub mod request;
pub mod server;
pub mod traces;
pub mod value;
