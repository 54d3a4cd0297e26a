//! The policy of MFS: a service keeps the tree pinned as it changes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::future::join_all;
use ipfs_kit_blockstore::cid::Cid;

use super::client::{Client, Pages};
use super::settings::{self, Service};
use super::{RemoteError, RemotePinFilter, RemoteStatus, origins};
use crate::config::ConfigFile;
use crate::error::Result;
use crate::node::Node;

/// What was pinned last at a service, under which settings.
struct Last {
    at: Instant,
    service: Service,
    root: Cid,
}

/// Keeps MFS pinned at the services whose `Policies.MFS.Enable` is set, looking at the configuration and the tree every
/// `poll`, until it is dropped. `tell` hears of what fails, once while it stays the same.
pub async fn keep_mfs_pinned(node: Node, poll: Duration, tell: impl Fn(&str) + Send) {
    let mut last: HashMap<String, Last> = HashMap::new();
    let mut told: HashMap<String, String> = HashMap::new();
    loop {
        tokio::time::sleep(poll).await;
        let look = node.clone();
        let due = tokio::task::spawn_blocking(move || wanted(&look)).await;
        let failed = match due {
            Ok(Ok(None)) => continue,
            Ok(Ok(Some((root, services)))) => pin_all(&node, &root, services, &mut last).await,
            Ok(Err(error)) => vec![(String::new(), format!("pinning MFS: {error}"))],
            // The process is ending.
            Err(_) => return,
        };
        told.retain(|name, _| failed.iter().any(|(failing, _)| failing == name));
        for (name, reason) in failed {
            if told.get(&name) != Some(&reason) {
                tell(&reason);
                told.insert(name, reason);
            }
        }
    }
}

/// The root of MFS and the services that want it; `None` when there are none.
fn wanted(node: &Node) -> Result<Option<(Cid, Vec<Service>)>> {
    let Some(repo) = node.path() else {
        return Ok(None);
    };
    let mut services = settings::all(&ConfigFile::load(repo)?);
    services.retain(|service| service.mfs.enabled);
    if services.is_empty() {
        return Ok(None);
    }
    let root = node.mfs().entry("/")?.cid;
    Ok(Some((root, services)))
}

/// Pins at all services at once: one that hangs keeps no other waiting. The names of those that failed, and why.
async fn pin_all(
    node: &Node,
    root: &Cid,
    services: Vec<Service>,
    last: &mut HashMap<String, Last>,
) -> Vec<(String, String)> {
    let mut failed = Vec::new();
    let mut due = Vec::new();
    for service in services {
        let name = &service.name;
        match &service.mfs.interval {
            Err(text) => {
                let reason = format!(
                    "remote pinning service {name:?} has invalid MFS.RepinInterval ({text:?})"
                );
                failed.push((name.clone(), reason));
            }
            Ok(interval) => {
                let rests = last.get(name).is_some_and(|last| {
                    last.service == service && (last.root == *root || last.at.elapsed() < *interval)
                });
                if !rests {
                    due.push(service);
                }
            }
        }
    }
    let pinning = due.iter().map(|service| pin(node, root, service));
    let done = join_all(pinning).await;
    for (service, done) in due.into_iter().zip(done) {
        let name = service.name.clone();
        match done {
            Ok(()) => {
                let pinned = Last {
                    at: Instant::now(),
                    service,
                    root: root.clone(),
                };
                last.insert(name, pinned);
            }
            Err(error) => {
                let reason = format!("pinning MFS root {root} to {name:?}: {error}");
                failed.push((name, reason));
            }
        }
    }
    failed
}

async fn pin(node: &Node, root: &Cid, service: &Service) -> Result<(), RemoteError> {
    let client = Client::new(&settings::normalize(&service.endpoint)?, &service.key)?;
    let name = match service.mfs.name.is_empty() {
        false => service.mfs.name.clone(),
        true => {
            let own = node.keys().identity();
            let own = own.map_err(|error| RemoteError::Runtime(error.to_string()))?;
            format!("policy/{}/mfs", own.peer_id())
        }
    };
    let mut pages = Pages::new(RemotePinFilter {
        name: Some(name.clone()),
        cids: Vec::new(),
        statuses: RemoteStatus::ALL.to_vec(),
    });
    let mut existing = None;
    while let Some(pins) = pages
        .next(&client)
        .await
        .map_err(|error| RemoteError::Listing(Box::new(error)))?
    {
        for pin in pins {
            if pin.cid == *root && pin.status != RemoteStatus::Failed {
                return Ok(());
            }
            existing = Some(pin.request_id);
        }
    }
    let origins = origins(node).await;
    match existing {
        Some(request) => client.replace(&request, root, Some(&name), &origins).await,
        None => client.add(root, Some(&name), &origins).await,
    }
    .map(drop)
}
