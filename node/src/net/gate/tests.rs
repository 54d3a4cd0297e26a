//! The gate without a swarm.

use super::*;
use crate::net::filter::IpRange;
use crate::net::limits::Allowed;
use libp2p::swarm::derive_prelude::ListenFailure;
use libp2p::swarm::{DialError, ListenError};

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn id(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

fn begin(gate: &mut Behaviour, n: usize, remote: &str) -> Result<(), String> {
    let (local, remote) = (address("/ip4/1.1.1.1/tcp/1"), address(remote));
    gate.handle_pending_inbound_connection(id(n), &local, &remote)
        .map_err(|denied| denied.to_string() + &cause(&denied))
}

fn finish(gate: &mut Behaviour, n: usize, remote: &str, peer: PeerId) -> Result<(), String> {
    let (local, remote) = (address("/ip4/1.1.1.1/tcp/1"), address(remote));
    gate.handle_established_inbound_connection(id(n), peer, &local, &remote)
        .map(|_| ())
        .map_err(|denied| cause(&denied))
}

fn cause(denied: &ConnectionDenied) -> String {
    std::error::Error::source(denied).map_or_else(String::new, ToString::to_string)
}

fn end(gate: &mut Behaviour, n: usize) {
    let (local, remote) = (address("/ip4/1.1.1.1/tcp/1"), address("/ip4/1.1.1.1/tcp/1"));
    gate.on_swarm_event(FromSwarm::ListenFailure(ListenFailure {
        local_addr: &local,
        send_back_addr: &remote,
        error: &ListenError::Aborted,
        connection_id: id(n),
        peer_id: None,
    }));
}

#[test]
fn connections_of_one_address_are_counted_until_they_end() {
    let caps = Caps {
        per_ip: Some(3),
        ..Caps::default()
    };
    let mut gate = Behaviour::new(Filters::default(), caps);
    for n in 0..3 {
        begin(&mut gate, n, "/ip4/9.9.9.9/tcp/1").unwrap();
    }
    // One that is through its handshake is not counted twice.
    finish(&mut gate, 0, "/ip4/9.9.9.9/tcp/1", PeerId::random()).unwrap();
    let refused = begin(&mut gate, 3, "/ip4/9.9.9.9/tcp/2").unwrap_err();
    assert!(
        refused.contains("too many connections from 9.9.9.9"),
        "{refused}"
    );
    begin(&mut gate, 4, "/ip4/9.9.9.8/tcp/1").unwrap();
    for n in 10..30 {
        begin(&mut gate, n, "/ip4/127.0.0.1/tcp/1").unwrap();
    }
    end(&mut gate, 1);
    begin(&mut gate, 5, "/ip4/9.9.9.9/tcp/2").unwrap();
    for n in 0..30 {
        end(&mut gate, n);
    }
    assert!(gate.per_ip.is_empty() && gate.per_subnet.is_empty());
    assert_eq!((gate.inbound, gate.descriptors), (0, 0));
}

#[test]
fn connections_of_one_subnet_are_counted() {
    let caps = Caps {
        per_subnet: Some(2),
        ..Caps::default()
    };
    let mut gate = Behaviour::new(Filters::default(), caps);
    for (n, ip) in ["/ip4/9.9.9.1", "/ip4/9.9.9.2"].into_iter().enumerate() {
        begin(&mut gate, n, ip).unwrap();
    }
    let refused = begin(&mut gate, 3, "/ip4/9.9.9.3").unwrap_err();
    assert!(refused.contains("the network 9.9.9.0/24"), "{refused}");
    begin(&mut gate, 4, "/ip4/9.9.8.3").unwrap();
    begin(&mut gate, 5, "/ip6/2001:db8:0:1::1").unwrap();
    begin(&mut gate, 6, "/ip6/2001:db8:0:2::1").unwrap();
    let refused = begin(&mut gate, 7, "/ip6/2001:db8:0:ff::1").unwrap_err();
    assert!(refused.contains("2001:db8::/56"), "{refused}");
    begin(&mut gate, 8, "/ip6/2001:db8:0:100::1").unwrap();
}

#[test]
fn a_full_node_has_room_for_the_trusted_and_the_listed() {
    let range = IpRange::parse("/ip4/7.0.0.0/ipcidr/8").unwrap();
    let named = PeerId::random();
    let caps = Caps {
        inbound: Some(2),
        descriptors: Some(4),
        allowlist: vec![
            Allowed { range, peer: None },
            Allowed {
                range: IpRange::parse("/ip4/6.0.0.0/ipcidr/8").unwrap(),
                peer: Some(named),
            },
        ],
        ..Caps::default()
    };
    let mut gate = Behaviour::new(Filters::default(), caps);
    let (stranger, friend) = (PeerId::random(), PeerId::random());
    gate.trust(friend);
    let quic = "/ip4/9.9.9.9/udp/1/quic-v1";
    for n in 0..2 {
        begin(&mut gate, n, quic).unwrap();
        finish(&mut gate, n, quic, stranger).unwrap();
    }
    begin(&mut gate, 2, quic).unwrap();
    let refused = finish(&mut gate, 2, quic, stranger).unwrap_err();
    assert_eq!(refused, Refused::Full(2).to_string());
    finish(&mut gate, 2, quic, friend).unwrap();
    finish(&mut gate, 3, "/ip4/7.1.1.1/tcp/1", stranger).unwrap();
    let listed = "/ip4/6.1.1.1/tcp/1";
    finish(&mut gate, 4, listed, named).unwrap();
    finish(&mut gate, 5, listed, stranger).unwrap_err();
    gate.distrust(&friend);
    finish(&mut gate, 6, quic, friend).unwrap_err();
    assert_eq!(gate.descriptors(), 2, "QUIC connections share one");
    // So many that not even a trusted peer's handshake may begin.
    for n in 100..300 {
        if begin(&mut gate, n, quic).is_ok() {
            gate.count(id(n), &address(quic), true, true);
        }
    }
    assert_eq!(gate.inbound, 2 + RESERVED);
}

#[test]
fn descriptors_and_memory_refuse_both_ways() {
    let outbound = |gate: &mut Behaviour, peer| {
        let addresses = [address("/ip4/9.9.9.9/tcp/1")];
        gate.handle_pending_outbound_connection(id(99), Some(peer), &addresses, Endpoint::Dialer)
            .map_err(|denied| cause(&denied))
    };
    let caps = Caps {
        descriptors: Some(1),
        ..Caps::default()
    };
    let mut gate = Behaviour::new(Filters::default(), caps);
    let friend = PeerId::random();
    gate.trust(friend);
    outbound(&mut gate, PeerId::random()).unwrap();
    begin(&mut gate, 1, "/ip4/9.9.9.9/tcp/1").unwrap();
    let refused = outbound(&mut gate, PeerId::random()).unwrap_err();
    assert_eq!(refused, Refused::Descriptors(1).to_string());
    begin(&mut gate, 2, "/ip4/9.9.9.9/tcp/1").unwrap_err();
    outbound(&mut gate, friend).unwrap();

    let caps = Caps {
        memory: Some(1),
        ..Caps::default()
    };
    let mut gate = Behaviour::new(Filters::default(), caps);
    let refused = begin(&mut gate, 1, "/ip4/9.9.9.9/tcp/1").unwrap_err();
    assert!(
        refused.contains("bytes of memory are in use: at most 1"),
        "{refused}"
    );
    outbound(&mut gate, PeerId::random()).unwrap_err();
}

#[test]
fn a_dial_that_is_denied_later_is_not_counted() {
    let mut gate = Behaviour::new(Filters::default(), Caps::default());
    let remote = address("/ip4/9.9.9.9/tcp/1");
    let peer = PeerId::random();
    gate.handle_established_outbound_connection(
        id(1),
        peer,
        &remote,
        Endpoint::Dialer,
        PortUse::Reuse,
    )
    .unwrap();
    assert_eq!(gate.descriptors(), 1);
    gate.on_swarm_event(FromSwarm::DialFailure(
        libp2p::swarm::derive_prelude::DialFailure {
            peer_id: Some(peer),
            error: &DialError::Aborted,
            connection_id: id(1),
        },
    ));
    assert_eq!(gate.descriptors(), 0);
}

#[test]
fn filtered_ranges_are_refused_both_ways() {
    let range = IpRange::parse("/ip4/9.0.0.0/ipcidr/8").unwrap();
    let mut gate = Behaviour::new(Filters::new(vec![range]), Caps::default());
    begin(&mut gate, 1, "/ip4/9.9.9.9/tcp/1").unwrap_err();
    let outbound = gate.handle_established_outbound_connection(
        id(1),
        PeerId::random(),
        &address("/ip4/9.9.9.9/tcp/1"),
        Endpoint::Dialer,
        PortUse::Reuse,
    );
    assert!(outbound.is_err());
}
