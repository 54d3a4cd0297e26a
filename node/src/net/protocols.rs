//! The protocols that this node takes streams for, as `id` shows them.

use super::settings::{RoutingMode, Settings};

/// Sorted names. Whether the public DHT is served may change while the node runs.
pub fn of(settings: &Settings, serves_wan: bool) -> Vec<String> {
    let mut names = vec![
        "/ipfs/id/1.0.0",
        "/ipfs/id/push/1.0.0",
        "/ipfs/ping/1.0.0",
        "/libp2p/autonat/2/dial-back",
    ];
    if settings.autonat_service {
        names.push("/libp2p/autonat/2/dial-request");
    }
    if settings.relay_client {
        names.push("/libp2p/circuit/relay/0.2.0/stop");
    }
    if settings.relay_service.is_some() {
        names.push("/libp2p/circuit/relay/0.2.0/hop");
    }
    if settings.hole_punching {
        names.push("/libp2p/dcutr");
    }
    if serves_wan {
        names.push("/ipfs/kad/1.0.0");
    }
    if matches!(
        settings.routing.lan,
        RoutingMode::Server | RoutingMode::Auto
    ) {
        names.push("/ipfs/lan/kad/1.0.0");
    }
    if settings.bitswap {
        names.extend([
            "/ipfs/bitswap/1.0.0",
            "/ipfs/bitswap/1.1.0",
            "/ipfs/bitswap/1.2.0",
        ]);
    }
    if settings.name_topics {
        names.push("/libp2p/fetch/0.0.1");
    }
    if settings.pubsub.is_some() {
        names.extend(["/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0"]);
    }
    names.sort_unstable();
    names.into_iter().map(str::to_owned).collect()
}
