//! Many peers with large want lists, and many that never read. The engine alone, whose memory the allocator counts.
#![allow(unsafe_code)]
// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Instant;

use ipfs_kit_bitswap::Config;
use ipfs_kit_bitswap::engine::Engine;
use ipfs_kit_bitswap::wire::{MAX_WANTS, WantEntry, WantKind};
use ipfs_kit_blockstore::{Cid, Multihash};
use libp2p::PeerId;
use libp2p::multihash::Multihash as PeerHash;

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MIB: isize = 1 << 20;

fn peer(number: u64) -> PeerId {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    PeerId::from_multihash(PeerHash::wrap(0, &key).unwrap()).unwrap()
}

/// A CID that no other pair of numbers gives.
fn cid(peer: u64, number: u64) -> Cid {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&peer.to_le_bytes());
    digest[8..16].copy_from_slice(&number.to_le_bytes());
    Cid::v1(0x55, Multihash::sha2_256(&digest))
}

fn want(cid: Cid, kind: WantKind) -> WantEntry {
    WantEntry {
        cid,
        priority: 1,
        cancel: false,
        kind,
        send_dont_have: true,
    }
}

/// Answers what can be looked up; `size` is that of every block.
fn look_up(engine: &mut Engine, size: Option<u32>) {
    loop {
        let lookups = engine.poll_lookups(4096);
        if lookups.is_empty() {
            return;
        }
        let sizes = vec![size; lookups.len()];
        engine.handle_sizes(lookups, &sizes);
    }
}

/// So many peers want so many CIDs each that are not here, and leave.
fn flood(peers: u64, wants: u64) {
    let now = Instant::now();
    let mut engine = Engine::new(Config::default(), 7);
    let before = LIVE.get();
    PEAK.set(before);
    for number in 0..peers {
        engine.handle_connected(now, peer(number));
        let mut from = 0;
        while from < wants {
            let until = wants.min(from + MAX_WANTS as u64);
            let entries = (from..until).map(|at| want(cid(number, at), WantKind::Block));
            engine.handle_message(now, &peer(number), false, entries.collect(), &[]);
            look_up(&mut engine, None);
            from = until;
        }
    }
    let (full, peak) = (LIVE.get() - before, PEAK.get() - before);
    let kept: usize = (0..peers)
        .map(|number| engine.peer_wantlist(&peer(number)).len())
        .sum();
    println!("{peers} peers, {wants} wants each: {full} bytes for {kept} wants, {peak} at most");
    assert!(kept >= 1 << 16, "{kept}");
    assert!(peak <= 128 * MIB, "{peak} bytes");
    for number in 0..peers {
        engine.handle_disconnected(now, &peer(number));
    }
    let left = LIVE.get() - before;
    println!("{left} bytes are left");
    assert!(left <= 16 * MIB, "{left} bytes are left");
}

#[test]
fn a_thousand_peers_with_a_hundred_thousand_wants_each_are_bounded_and_freed() {
    flood(1000, 100_000);
}

/// Peers that ask for blocks and never read what they are sent hold little, and whoever reads is served meanwhile.
#[test]
fn five_hundred_peers_that_never_read_leave_the_others_served() {
    const STUCK: u64 = 500;
    const BLOCK: u32 = 256 << 10;
    const WANTED: u64 = 1000;
    let config = Config::default();
    let total = config.outstanding_total;
    let now = Instant::now();
    let mut engine = Engine::new(config, 7);
    let honest = [peer(1_000_000), peer(1_000_001), peer(1_000_002)];
    for id in honest {
        engine.handle_connected(now, id);
    }
    let mut served = [0_u64; 3];
    let mut next = [0_u64; 3];
    // Everyone asks for more as soon as there is less to come.
    let ask = |engine: &mut Engine, at: usize, next: &mut [u64; 3]| {
        let entries =
            (next[at]..next[at] + WANTED).map(|n| want(cid(at as u64, n), WantKind::Block));
        next[at] += WANTED;
        engine.handle_message(now, &honest[at], false, entries.collect(), &[]);
        look_up(engine, Some(BLOCK));
    };
    // They read before the others come.
    for at in 0..honest.len() {
        ask(&mut engine, at, &mut next);
    }
    let mut held = 0;
    let mut stuck_turns = 0;
    for turn in 0..4000_u64 {
        if turn == 100 {
            for number in 0..STUCK {
                engine.handle_connected(now, peer(number));
                let entries = (0..100).map(|n| want(cid(number, n), WantKind::Block));
                engine.handle_message(now, &peer(number), false, entries.collect(), &[]);
            }
            look_up(&mut engine, Some(BLOCK));
        }
        let Some(response) = engine.poll_response() else {
            panic!("turn {turn}: nobody is served, {held} bytes are held");
        };
        let blocks = response.blocks.len() as u64;
        let bytes = blocks * u64::from(BLOCK);
        match honest.iter().position(|id| *id == response.peer) {
            Some(at) => {
                engine.handle_sent(&response.peer, response.reserved, Some((blocks, bytes)));
                served[at] += blocks;
                if next[at] - served[at] < WANTED / 2 {
                    ask(&mut engine, at, &mut next);
                }
            }
            None => {
                stuck_turns += 1;
                held += response.reserved;
            }
        }
    }
    println!(
        "{stuck_turns} turns and {held} bytes for {STUCK} peers that never read; {served:?} blocks for the others"
    );
    assert!(held <= total / 2 + (4 << 20), "{held} bytes are held");
    // At least nine turns of ten.
    assert!(stuck_turns <= 400, "{stuck_turns}");
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(*least > 0 && most - least <= most / 5, "{served:?}");
}

/// So many peers that never read have been sent what they may have. Whether a new one gets its turn at once.
fn new_peer_is_served_beside(stuck: u64) -> (bool, Engine) {
    const BLOCK: u32 = 256 << 10;
    let now = Instant::now();
    let mut engine = Engine::new(Config::default(), 7);
    let ask = |engine: &mut Engine, number: u64| {
        engine.handle_connected(now, peer(number));
        let entries = (0..20).map(|n| want(cid(number, n), WantKind::Block));
        engine.handle_message(now, &peer(number), false, entries.collect(), &[]);
        look_up(engine, Some(BLOCK));
    };
    for number in 0..stuck {
        ask(&mut engine, number);
    }
    while engine.poll_response().is_some() {}
    ask(&mut engine, 1_000_000);
    let response = engine.poll_response();
    (
        response.is_some_and(|response| response.peer == peer(1_000_000)),
        engine,
    )
}

#[test]
fn a_new_peer_is_served_beside_many_that_never_read() {
    let (served, engine) = new_peer_is_served_beside(180);
    assert!(served && !engine.is_pressed());
    // There is an end. Then who does not read is given up soon, and the new one has its turn.
    let (served, mut engine) = new_peer_is_served_beside(400);
    assert!(!served && engine.is_pressed());
    for number in 0..400 {
        engine.handle_sent(&peer(number), u64::MAX, None);
    }
    let mut turns = std::iter::from_fn(|| engine.poll_response());
    assert!(turns.any(|response| response.peer == peer(1_000_000)));
}
