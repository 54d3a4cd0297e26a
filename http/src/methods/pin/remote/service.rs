//! `pin remote service`: which services there are.

use ipfs_kit_node::RemotePinCounts;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::{Record, push_columns};

/// `ipfs-kit pin remote service`
pub const COMMAND: Command = Command {
    name: "service",
    tagline: "Configure remote pinning services",
    subcommands: &[&ADD, &LS, &RM],
    ..Command::EMPTY
};

const ADD: Command = Command {
    name: "add",
    tagline: "Add remote pinning service",
    about: "Adds credentials for access to a remote pinning service and stores them in the config\n\
            under Pinning.RemoteServices. The key is never shown again.\n\
            \n\
            \x20 $ ipfs-kit pin remote service add goodsrv https://pin-api.example.com secret-key\n\
            \x20 $ ipfs-kit pin remote service ls --stat\n\
            \n\
            To have the service keep MFS pinned as it changes, set\n\
            Pinning.RemoteServices.NAME.Policies.MFS.Enable; PinName and RepinInterval (5m) are\n\
            beside it. A running daemon sees to it.",
    arguments: &[
        Argument::word("service", "Service name"),
        Argument::word("endpoint", "Service endpoint"),
        Argument::word("key", "Service key"),
    ],
    run: Some(Run::Node(add)),
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List remote pinning services",
    about: "By default, only a name and an endpoint are listed; however, one can pass '--stat' to\n\
            test each endpoint by fetching pin counts for each state (queued/pinning/pinned/failed).",
    options: &[Opt::flag(
        &["stat"],
        "Try to fetch and display current pin count on remote service \
         (queued/pinning/pinned/failed)",
    )],
    records: &[Shape::of::<Services>()],
    run: Some(Run::Node(list)),
    ..Command::EMPTY
};

const RM: Command = Command {
    name: "rm",
    tagline: "Remove remote pinning service",
    about: "Removes credentials for access to a remote pinning service.",
    arguments: &[Argument::word(
        "service",
        "Name of remote pinning service to remove",
    )],
    run: Some(Run::Node(remove)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Services {
    remote_services: Vec<Service>,
}

impl Record for Services {
    const NAME: &'static str = "PinServicesList";
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Service {
    service: String,
    api_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stat: Option<Stat>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PinServiceStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin_count: Option<Counts>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    queued: u64,
    pinning: u64,
    pinned: u64,
    failed: u64,
}

impl From<RemotePinCounts> for Counts {
    fn from(counts: RemotePinCounts) -> Counts {
        Counts {
            queued: counts.queued,
            pinning: counts.pinning,
            pinned: counts.pinned,
            failed: counts.failed,
        }
    }
}

fn add(invocation: &mut Invocation) -> Result<(), Failure> {
    let arguments = invocation.arguments()?;
    let [name, endpoint, key] = arguments.as_slice() else {
        return Err(Failure::failed(
            "expecting three arguments: service name, endpoint and key",
        ));
    };
    let node = invocation.node()?;
    node.remote_pins().add_service(name, endpoint, key)?;
    invocation.close(node)
}

fn remove(invocation: &mut Invocation) -> Result<(), Failure> {
    let name = invocation.argument()?;
    let node = invocation.node()?;
    node.remote_pins().remove_service(&name)?;
    invocation.close(node)
}

fn list(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let mut services = Vec::new();
    for service in node.remote_pins().services()? {
        // What is wrong with one service keeps no other from being listed; `pin remote ls` tells it.
        let stat = invocation.flag("stat").then(|| {
            let counts = node.remote_pins().counts(&service.name).ok();
            Stat {
                status: if counts.is_some() { "valid" } else { "invalid" },
                pin_count: counts.map(Counts::from),
            }
        });
        services.push(Service {
            service: service.name,
            api_endpoint: service.endpoint,
            stat,
        });
    }
    let rows: Vec<Vec<String>> = services.iter().map(row).collect();
    invocation.out.emit(
        || Services {
            remote_services: services,
        },
        |out| push_columns(out, &rows, 1),
    )?;
    invocation.close(node)
}

fn row(service: &Service) -> Vec<String> {
    let mut row = vec![service.service.clone(), service.api_endpoint.clone()];
    if let Some(stat) = &service.stat {
        row.push(match &stat.pin_count {
            Some(counts) => format!(
                "{}/{}/{}/{}",
                counts.queued, counts.pinning, counts.pinned, counts.failed
            ),
            None => stat.status.to_owned(),
        });
    }
    row
}
