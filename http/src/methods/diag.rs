//! `diag`: reports for whoever looks for a fault.

mod cmds;
mod profile;
mod sys;

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Command, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::observed::Condition;
use crate::output::Record;

pub use cmds::COMMAND as CMDS;
pub use profile::COMMAND as PROFILE;
pub use sys::COMMAND as SYS;

/// `ipfs-kit diag`
pub const COMMAND: Command = Command {
    name: "diag",
    tagline: "Generate diagnostic reports",
    subcommands: &[&SYS, &CMDS, &PROFILE, &HEALTHY],
    ..Command::EMPTY
};

/// `ipfs-kit diag healthy`
pub const HEALTHY: Command = Command {
    name: "healthy",
    tagline: "Report whether the daemon is operational",
    about: "Exits 0 if the daemon is running and can read the well-known empty directory. Exits with\n\
            another status if it is ending or its store is broken. For health checks of containers;\n\
            over HTTP there are also /health and /ready.",
    records: &[Shape::of::<Healthy>()],
    run: Some(Run::Node(healthy)),
    ..Command::EMPTY
};

/// The empty directory, which every repo has.
const PROBE: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
struct Healthy(&'static str);

impl Record for Healthy {
    const NAME: &'static str = "string";
}

fn healthy(invocation: &mut Invocation) -> Result<(), Failure> {
    if let Some(observed) = invocation.observed()
        && observed.condition() == Condition::Stopping
    {
        return Err(Failure::failed("daemon is shutting down"));
    }
    let node = invocation.node()?.offline();
    let read = node.blocks().get(PROBE);
    read.map_err(|error| Failure::failed(format_args!("probe fetch: {error}")))?;
    invocation
        .out
        .emit(|| Healthy("ok"), |out| out.extend_from_slice(b"ok\n"))?;
    invocation.close(node)
}
