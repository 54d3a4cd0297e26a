//! What the serving side must do.

use std::time::Duration;

use super::sim::{Manners, Sim};

const MB: f64 = 1e6;

#[test]
fn peers_are_served_at_the_same_speed() {
    let mut sim = Sim::new(1);
    let server = sim.node(20.0 * MB, Manners::Honest);
    let clients = [(); 4].map(|()| sim.node(10.0 * MB, Manners::Honest));
    let mut sessions = Vec::new();
    for (at, client) in clients.into_iter().enumerate() {
        // The first asks for more than the others, in larger blocks.
        let blocks = if at == 0 {
            sim.blocks(150, 1 << 20)
        } else {
            sim.blocks(800, 128 << 10)
        };
        sim.store(server, &blocks);
        sim.connect(client, server);
        sessions.push((client, sim.want(client, &blocks)));
    }
    sim.run_for(Duration::from_secs(10));
    let bytes = sessions
        .iter()
        .map(|(client, session)| sim.stats(*client, *session).bytes);
    let bytes = bytes.collect::<Vec<_>>();
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(*most < least * 3 / 2, "{bytes:?}");
}

#[test]
fn a_peer_that_never_reads_holds_little() {
    let mut sim = Sim::new(2);
    let server = sim.node(100.0 * MB, Manners::Honest);
    let blocks = sim.blocks(100, 256 << 10);
    sim.store(server, &blocks);
    let stuck = super::sim::peer_id(99);
    sim.call(server, |engine, now| {
        engine.handle_connected(now, stuck);
        let wants = super::advisories::entries(&blocks, false);
        engine.handle_message(now, &stuck, false, wants, &[]);
    });
    let ledger = sim.nodes[server].engine.ledger(&stuck);
    assert_eq!(ledger.sent, 0);
    // What was handed out and never written: at most the limit of a new peer.
    let outstanding = sim.nodes[server].engine.outstanding();
    assert!(outstanding <= 1 << 20, "{outstanding}");
    sim.call(server, |engine, now| {
        engine.handle_disconnected(now, &stuck)
    });
    assert_eq!(sim.nodes[server].engine.outstanding(), 0);
}
