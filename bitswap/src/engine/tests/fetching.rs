//! What the fetching side must do, over simulated links.

use std::time::Duration;

use super::sim::{Manners, Sim, cids};

const MB: f64 = 1e6;
const BLOCK: usize = 256 << 10;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn fills_a_long_fat_link() {
    for (latency, rate) in [(5, 100.0), (25, 100.0), (100, 100.0), (100, 400.0)] {
        let mut sim = Sim::new(1);
        sim.latency = Duration::from_millis(latency);
        let (client, server) = (
            sim.node(100.0 * MB, Manners::Honest),
            sim.node(rate * MB, Manners::Honest),
        );
        let blocks = sim.blocks(1024, BLOCK);
        sim.store(server, &blocks);
        sim.connect(client, server);
        let session = sim.want(client, &blocks);
        let took = sim.finish(client, session, seconds(60)).as_secs_f64();
        let ideal = (1024 * BLOCK) as f64 / (rate * MB);
        // Eight round trips to find the speed of the link.
        let allowed = 1.25 * ideal + 16.0 * latency as f64 / 1e3;
        assert!(
            took < allowed,
            "{latency} ms, {rate} MB/s: {took:.2} s, ideal {ideal:.2}"
        );
        let stat = sim.nodes[client].engine.stat();
        assert_eq!((stat.blocks_received, stat.dup_blks_received), (1024, 0));
    }
}

#[test]
fn small_blocks_do_not_wait_for_each_other() {
    let mut sim = Sim::new(2);
    sim.latency = Duration::from_millis(25);
    let (client, server) = (
        sim.node(50.0 * MB, Manners::Honest),
        sim.node(50.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(20_000, 2000);
    sim.store(server, &blocks);
    sim.connect(client, server);
    let session = sim.want(client, &blocks);
    let took = sim.finish(client, session, seconds(30)).as_secs_f64();
    // 960 wants at a time and 50 ms: about 21 round trips, with a few to begin.
    assert!(took < 2.0, "{took:.2} s");
}

#[test]
fn splits_blocks_by_speed_without_duplicates() {
    let mut sim = Sim::new(3);
    let client = sim.node(100.0 * MB, Manners::Honest);
    let rates = [40.0, 20.0, 10.0, 5.0];
    let servers = rates.map(|rate| sim.node(rate * MB, Manners::Honest));
    let blocks = sim.blocks(1000, BLOCK);
    for server in servers {
        sim.store(server, &blocks);
        sim.connect(client, server);
    }
    let session = sim.want(client, &blocks);
    let took = sim.finish(client, session, seconds(60)).as_secs_f64();
    let ideal = (1000 * BLOCK) as f64 / (75.0 * MB);
    assert!(took < 1.5 * ideal + 0.5, "{took:.2} s, ideal {ideal:.2}");
    let stat = sim.nodes[client].engine.stat();
    assert!(stat.dup_blks_received <= 20, "{stat:?}");
    let received = servers.map(|server| sim.nodes[client].engine.ledger(&sim.id(server)).received);
    assert!(
        received[0] > received[2] && received[1] > received[3],
        "{received:?}"
    );
}

#[test]
fn whoever_has_the_root_is_asked_for_the_rest() {
    // A root that all send at once, and one that they say they have after it came from the first.
    for root in [100, 2000] {
        let mut sim = Sim::new(11);
        let client = sim.node(100.0 * MB, Manners::Honest);
        let servers = [(); 4].map(|()| sim.node(10.0 * MB, Manners::Honest));
        let mut blocks = sim.blocks(1, root);
        blocks.extend(sim.blocks(400, BLOCK));
        for server in servers {
            sim.store(server, &blocks);
            sim.connect(client, server);
        }
        let session = sim.want(client, &blocks[..1]);
        sim.finish(client, session, seconds(5));
        sim.run_for(seconds(1));
        sim.call(client, |engine, now| {
            engine.want(now, session, &cids(&blocks[1..]));
        });
        let took = sim.finish(client, session, seconds(60)).as_secs_f64();
        let ideal = (400 * BLOCK) as f64 / (40.0 * MB);
        assert!(took < 1.5 * ideal + 0.5, "{took:.2} s, ideal {ideal:.2}");
        let stat = sim.nodes[client].engine.stat();
        assert!(stat.dup_blks_received <= 20, "{stat:?}");
    }
}

#[test]
fn finds_blocks_that_are_scattered() {
    let mut sim = Sim::new(4);
    let client = sim.node(100.0 * MB, Manners::Honest);
    let servers = [(); 5].map(|()| sim.node(20.0 * MB, Manners::Honest));
    let blocks = sim.blocks(500, 50_000);
    for block in &blocks {
        let holders = [sim.random() as usize % 5, sim.random() as usize % 5];
        for holder in holders {
            sim.store(servers[holder], std::slice::from_ref(block));
        }
    }
    for server in servers {
        sim.connect(client, server);
    }
    let session = sim.want(client, &blocks);
    sim.finish(client, session, seconds(20));
    let stat = sim.nodes[client].engine.stat();
    assert!(stat.dup_blks_received <= 10, "{stat:?}");
}

#[test]
fn liars_and_losses_only_cost_time() {
    for seed in 0..40 {
        let mut sim = Sim::new(seed);
        sim.loss = [0, 10, 50][seed as usize % 3];
        sim.latency = Duration::from_millis(1 + sim.random() % 100);
        let client = sim.node(50.0 * MB, Manners::Honest);
        let blocks = sim.blocks(150, 60_000);
        let silent = Manners::FallsSilent(sim.random() as u32 % 20);
        let manners = [
            Manners::Honest,
            Manners::Corrupts,
            Manners::Promises,
            silent,
        ];
        for manners in manners {
            let rate = 1.0 + (sim.random() % 30) as f64;
            let server = sim.node(rate * MB, manners);
            sim.store(server, &blocks);
            sim.connect(client, server);
        }
        let session = sim.want(client, &blocks);
        sim.finish(client, session, seconds(600));
        let mut got = cids(&sim.nodes[client].got[&session]);
        let mut wanted = cids(&blocks);
        got.sort();
        wanted.sort();
        assert_eq!(got, wanted, "seed {seed}");
        assert!(sim.nodes[client].engine.is_clean(), "seed {seed}");
    }
}

#[test]
fn a_peer_that_corrupts_is_not_asked_again() {
    let mut sim = Sim::new(5);
    let client = sim.node(50.0 * MB, Manners::Honest);
    let (liar, honest) = (
        sim.node(50.0 * MB, Manners::Corrupts),
        sim.node(1.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(300, 60_000);
    for server in [liar, honest] {
        sim.store(server, &blocks);
        sim.connect(client, server);
    }
    let session = sim.want(client, &blocks);
    sim.finish(client, session, seconds(200));
    let stat = sim.nodes[client].engine.stat();
    assert!((1..20).contains(&stat.unsolicited_blocks), "{stat:?}");
    let ledger = sim.nodes[client].engine.ledger(&sim.id(liar));
    assert_eq!(ledger.received, 0);
}

#[test]
fn goes_on_elsewhere_after_a_disconnect() {
    let mut sim = Sim::new(6);
    let client = sim.node(50.0 * MB, Manners::Honest);
    let (fast, slow) = (
        sim.node(50.0 * MB, Manners::Honest),
        sim.node(10.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(400, BLOCK);
    for server in [fast, slow] {
        sim.store(server, &blocks);
        sim.connect(client, server);
    }
    let session = sim.want(client, &blocks);
    sim.run_for(Duration::from_millis(500));
    let before = sim.got(client, session);
    assert!(before > 20 && before < 400, "{before}");
    sim.disconnect(client, fast);
    sim.finish(client, session, seconds(30));
    assert_eq!(sim.nodes[client].engine.stat().dup_blks_received, 0);

    // And with the last peer gone, as soon as one comes back.
    let blocks = sim.blocks(40, BLOCK);
    sim.store(fast, &blocks);
    let session = sim.want(client, &blocks);
    sim.disconnect(client, slow);
    sim.run_for(seconds(5));
    assert_eq!(sim.got(client, session), 0);
    assert!(!sim.nodes[client].need_providers.is_empty());
    sim.connect(client, fast);
    sim.finish(client, session, seconds(10));
}

#[test]
fn a_silent_peer_is_replaced_within_seconds() {
    let mut sim = Sim::new(7);
    let client = sim.node(50.0 * MB, Manners::Honest);
    let silent = sim.node(50.0 * MB, Manners::FallsSilent(10));
    let honest = sim.node(50.0 * MB, Manners::Honest);
    let blocks = sim.blocks(400, BLOCK);
    for server in [silent, honest] {
        sim.store(server, &blocks);
        sim.connect(client, server);
    }
    let session = sim.want(client, &blocks);
    let took = sim.finish(client, session, seconds(30));
    assert!(took < seconds(6), "{took:?}");
}

#[test]
fn routing_is_asked_less_and_less() {
    let mut sim = Sim::new(8);
    let client = sim.node(MB, Manners::Honest);
    let other = sim.node(MB, Manners::Honest);
    sim.connect(client, other);
    let blocks = sim.blocks(100, 1000);
    let session = sim.want(client, &blocks);
    sim.run_for(seconds(1));
    let first = sim.nodes[client].need_providers.len();
    assert!((1..=5).contains(&first), "{first}");
    sim.run_for(seconds(600));
    let asked = sim.nodes[client].need_providers.len();
    assert!(asked < 100 * 20, "{asked}");

    sim.store(other, &blocks);
    sim.call(other, |engine, now| engine.handle_new_blocks(now, &blocks));
    sim.finish(client, session, seconds(60));
}

#[test]
fn untaken_blocks_stop_the_fetch() {
    let mut sim = Sim::new(9);
    let (client, server) = (
        sim.node(50.0 * MB, Manners::Honest),
        sim.node(500.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(600, BLOCK);
    sim.store(server, &blocks);
    sim.connect(client, server);
    sim.nodes[client].lazy = true;
    let session = sim.want(client, &blocks);
    sim.run_for(seconds(20));
    let held = sim.got(client, session) * BLOCK;
    assert!(held <= (64 << 20) + BLOCK, "{held}");
    sim.nodes[client].lazy = false;
    sim.call(client, |engine, now| {
        engine.taken(now, session, held as u64)
    });
    sim.finish(client, session, seconds(20));
}

#[test]
fn sessions_share_wants_and_cancel_alone() {
    let mut sim = Sim::new(10);
    let (client, server) = (
        sim.node(50.0 * MB, Manners::Honest),
        sim.node(5.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(50, BLOCK);
    sim.store(server, &blocks);
    sim.connect(client, server);
    let one = sim.want(client, &blocks);
    let two = sim.want(client, &blocks[20..]);
    let three = sim.want(client, &blocks[40..]);
    sim.run_for(Duration::from_millis(300));
    sim.call(client, |engine, now| engine.close_session(now, one));
    sim.call(client, |engine, now| {
        engine.cancel(now, three, &cids(&blocks[45..]));
    });
    sim.finish(client, two, seconds(20));
    assert_eq!(sim.got(client, two), 30);
    assert_eq!(sim.got(client, three), 5);
    let stat = sim.nodes[client].engine.stat();
    assert!(
        stat.wantlist.is_empty() && stat.dup_blks_received == 0,
        "{stat:?}"
    );
    sim.run_for(seconds(5));
    assert!(sim.nodes[client].engine.is_clean());
    assert!(sim.elapsed() < seconds(30));
}

#[test]
fn what_is_prioritized_comes_before_what_was_wanted_earlier() {
    let mut sim = Sim::new(12);
    let (client, server) = (
        sim.node(20.0 * MB, Manners::Honest),
        sim.node(20.0 * MB, Manners::Honest),
    );
    let blocks = sim.blocks(2000, BLOCK);
    sim.store(server, &blocks);
    sim.connect(client, server);
    let session = sim.want(client, &blocks);
    sim.run_for(Duration::from_millis(300));
    let last = cids(&blocks[1990..]);
    let stranger = sim.blocks(1, BLOCK);
    sim.call(client, |engine, now| {
        engine.prioritize(now, session, &last);
        engine.prioritize(now, session, &cids(&stranger));
    });
    // 500 MB take 25 s; what was asked for before is far less.
    sim.run_for(seconds(5));
    let wanted = sim.nodes[client].engine.stat().wantlist;
    assert!(last.iter().all(|cid| !wanted.contains(cid)));
    assert!(
        !wanted.contains(stranger[0].cid()),
        "it was never wanted, and is not now"
    );
    sim.finish(client, session, seconds(60));
    assert_eq!(sim.got(client, session), 2000);
    assert_eq!(sim.nodes[client].engine.stat().dup_blks_received, 0);
}
