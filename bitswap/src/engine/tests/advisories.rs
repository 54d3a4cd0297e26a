//! Holes that other implementations had.

use ipfs_kit_blockstore::Block;

use super::sim::{Manners, Sim, cids, peer_id};
use crate::wire::{MAX_WANTS, WantEntry, WantKind};

pub(super) fn entries(blocks: &[Block], cancel: bool) -> Vec<WantEntry> {
    let entry = |block: &Block| WantEntry {
        cid: block.cid().clone(),
        priority: 1,
        cancel,
        kind: WantKind::Block,
        send_dont_have: true,
    };
    blocks.iter().map(entry).collect()
}

/// CVE-2023-25568 (go-bitswap, Kubo before 0.19): want lists without a limit that stayed in memory
/// after the peer was gone. Fix: 1,024 entries a peer, freed on disconnect.
#[test]
fn cve_2023_25568_want_lists_are_bounded_and_freed() {
    let mut sim = Sim::new(1);
    let server = sim.node(1e6, Manners::Honest);
    let wanted = entries(&sim.blocks(6000, 8), false);
    let peers = (0..1000).map(|number| peer_id(1000 + number));
    let peers = peers.collect::<Vec<_>>();
    let engine = &mut sim.nodes[server].engine;
    for peer in &peers {
        engine.handle_connected(sim.now, *peer);
        // As the decoder gives them: the entries beyond its limit are skipped.
        for part in wanted[..3 * 1024].chunks(MAX_WANTS) {
            engine.handle_message(sim.now, peer, false, part.to_vec(), &[]);
        }
        let lookups = engine.poll_lookups(usize::MAX);
        let sizes = vec![None; lookups.len()];
        engine.handle_sizes(lookups, &sizes);
    }
    let kept = peers.iter().map(|peer| engine.peer_wantlist(peer).len());
    let kept = kept.collect::<Vec<_>>();
    assert!(
        kept.iter().all(|kept| (40..=1024).contains(kept)),
        "{kept:?}"
    );
    // Grows with the logarithm of the number of peers beyond the limit.
    assert!(kept.iter().sum::<usize>() <= (80 << 10) * 5 / 2);
    let memory = engine.ledger_memory();
    assert!(memory < 128 << 20, "{memory}");
    for peer in &peers {
        sim.call(server, |engine, now| engine.handle_disconnected(now, peer));
    }
    assert_eq!(sim.nodes[server].engine.ledger_memory(), 0);
    assert!(sim.nodes[server].engine.is_clean());
}

/// boxo 636, 756, 822, 829, 833: tables that kept growing while wants came and were cancelled.
#[test]
fn boxo_636_wants_that_come_and_go_leave_nothing() {
    let mut sim = Sim::new(2);
    let server = sim.node(1e6, Manners::Honest);
    let peer = peer_id(7);
    sim.call(server, |engine, now| engine.handle_connected(now, peer));
    for _ in 0..100 {
        let wanted = sim.blocks(500, 8);
        for cancel in [false, true] {
            let wants = entries(&wanted, cancel);
            sim.call(server, |engine, now| {
                engine.handle_message(now, &peer, false, wants, &[])
            });
        }
    }
    assert!(sim.nodes[server].engine.peer_wantlist(&peer).is_empty());
    assert!(sim.nodes[server].engine.is_clean());
}

/// js-ipfs-bitswap 194: blocks that nobody had asked for were stored.
#[test]
fn js_ipfs_bitswap_194_unsolicited_blocks_are_dropped() {
    let mut sim = Sim::new(3);
    let (client, sender) = (
        sim.node(1e6, Manners::Honest),
        sim.node(1e6, Manners::Honest),
    );
    sim.connect(client, sender);
    let id = sim.id(sender);
    assert!(!sim.nodes[client].engine.is_expected(&id));
    let (wanted, pushed) = (sim.blocks(1, 100), sim.blocks(200, 100));
    let session = sim.want(client, &wanted);
    assert!(sim.nodes[client].engine.is_expected(&id));
    sim.call(client, |engine, now| engine.handle_blocks(now, &id, pushed));
    assert_eq!(sim.got(client, session), 0);
    let stat = sim.nodes[client].engine.stat();
    assert_eq!(stat.unsolicited_blocks, 200);
    assert_eq!(sim.nodes[client].misbehaving, [id]);
    assert!(!sim.nodes[client].engine.is_expected(&id));
    assert_eq!(sim.nodes[client].engine.ledger(&id).received, 0);
}

/// A peer may not make us keep answers for it without end: it never reads, and asks for ever more.
#[test]
fn answers_for_a_peer_that_never_reads_are_bounded() {
    let mut sim = Sim::new(4);
    let server = sim.node(1e6, Manners::Honest);
    let peer = peer_id(7);
    sim.call(server, |engine, now| engine.handle_connected(now, peer));
    let engine = &mut sim.nodes[server].engine;
    let now = sim.now;
    for round in 0..50 {
        let wanted = {
            let mut other = Sim::new(100 + round);
            other.blocks(1000, 8)
        };
        let mut wants = entries(&wanted, false);
        for want in &mut wants {
            want.kind = WantKind::Have;
        }
        engine.handle_message(now, &peer, false, wants, &[]);
        let lookups = engine.poll_lookups(usize::MAX);
        let sizes = vec![Some(100_000); lookups.len()];
        engine.handle_sizes(lookups, &sizes);
    }
    let response = engine.poll_response().unwrap();
    assert!(
        response.presences.len() <= 4096,
        "{}",
        response.presences.len()
    );
    assert_eq!(cids(&[]).len(), engine.peer_wantlist(&peer).len());
}
