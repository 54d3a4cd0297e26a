//! Looks for providers where Bitswap's sessions find nobody among the connected peers, and dials them. Those who give
//! blocks over HTTP are told to the session's fetch instead.

use std::sync::{Arc, Weak};
use std::time::Duration;

use ipfs_kit_bitswap::NeedProviders;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::Semaphore;

use super::{Net, Peers, Routing};

/// Searches at the same time.
const SEARCHES_MAX: usize = 16;

/// Providers taken of one search (Kubo's value).
const PROVIDERS_MAX: usize = 10;

/// Longest search.
const SEARCH_MAX: Duration = Duration::from_secs(30);

/// Longest dial of a provider.
const DIAL_MAX: Duration = Duration::from_secs(15);

/// Starts the search service of a node; it ends with Bitswap.
pub fn spawn(net: &Arc<Net>) {
    let bitswap = net.bitswap().clone();
    let weak = Arc::downgrade(net);
    let running = Arc::new(Semaphore::new(SEARCHES_MAX));
    net.runtime().spawn(async move {
        while let Some(need) = bitswap.need_providers().await {
            let Ok(permit) = Arc::clone(&running).acquire_owned().await else {
                return;
            };
            let weak = Weak::clone(&weak);
            tokio::spawn(async move {
                // A search that finds nobody is asked for again by Bitswap, later and later.
                let _ = tokio::time::timeout(SEARCH_MAX, search(weak, need)).await;
                drop(permit);
            });
        }
    });
}

/// An address of a web server: no peer to dial.
pub fn is_http(address: &Multiaddr) -> bool {
    let is_http = |part| matches!(part, Protocol::Http | Protocol::Https);
    address.iter().any(is_http)
}

async fn search(net: Weak<Net>, need: NeedProviders) -> Option<()> {
    let net = net.upgrade()?;
    let bitswap = net.bitswap().clone();
    let retrieval = net.retrieval().cloned();
    if let Some(retrieval) = &retrieval {
        retrieval.offer_gateways(need.session);
    }
    let routing = Routing {
        net: Arc::clone(&net),
    };
    let peers = Peers {
        net: Arc::clone(&net),
    };
    let mut found = routing.find_sources(&need.cid, PROVIDERS_MAX).await.ok()?;
    while let Some(mut provider) = found.recv().await {
        if net.ignores(&provider.peer) {
            continue;
        }
        if let Some(retrieval) = &retrieval {
            retrieval.offer(need.session, &provider);
        }
        if !net.asks_peers() {
            continue;
        }
        let told = !provider.addresses.is_empty();
        provider.addresses.retain(|address| !is_http(address));
        if told && provider.addresses.is_empty() {
            continue;
        }
        bitswap.add_providers(need.session, &[provider.peer]);
        let peers = peers.clone();
        tokio::spawn(async move {
            let dial = peers.connect_to(provider.peer, provider.addresses);
            // One that cannot be reached is one provider less.
            let _ = tokio::time::timeout(DIAL_MAX, dial).await;
        });
    }
    Some(())
}
