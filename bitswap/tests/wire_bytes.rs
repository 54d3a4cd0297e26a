//! What broken bytes of a message cost: never a panic, and never more memory than a small multiple of what was sent. The
//! allocator counts, so this is a binary of its own.
#![allow(unsafe_code)]
// The functions that tests share are tests too.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use ipfs_kit_bitswap::wire::{
    Message, Outgoing, Protocol, WantEntry, WantKind, WireError, read_len,
};
use ipfs_kit_blockstore::{Block, Cid, HashSpec, Version};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends has no counter any more; what it allocates then is not of interest.
        let _ = ALLOCATED.try_with(|sum| sum.set(sum.get() + layout.size()));
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What tiny blocks may take, whatever the length of the message is.
const ROOM: usize = 64 << 10;

/// Decodes and asserts what it costs, everything that is freed again included.
fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    let body = Bytes::copy_from_slice(bytes);
    let before = ALLOCATED.get();
    let decoded = Message::decode(&body);
    let allocated = ALLOCATED.get() - before;
    assert!(
        allocated <= 4 * bytes.len() + ROOM,
        "{allocated} bytes allocated for {}",
        bytes.len()
    );
    decoded
}

fn block(version: Version, seed: u8, len: usize) -> Block {
    let codec = if version == Version::V0 { 0x70 } else { 0x55 };
    let data = Bytes::from(vec![seed; len]);
    Block::new(version, codec, HashSpec::SHA2_256, data).unwrap()
}

fn want(cid: &Cid, priority: i32, kind: WantKind) -> WantEntry {
    WantEntry {
        cid: cid.clone(),
        priority,
        cancel: priority % 2 == 0,
        kind,
        send_dont_have: priority % 3 == 0,
    }
}

/// Messages with everything that there is in one, of all versions.
fn samples() -> Vec<Vec<u8>> {
    let (v0, v1) = (block(Version::V0, 1, 40), block(Version::V1, 2, 200));
    let blocks = [&v0, &v1].map(|block| (block.cid().clone(), block.data().clone()));
    let presences = [&v0, &v1].map(|block| (block.cid().clone(), block.data().len() > 100));
    let whole = Outgoing {
        full: true,
        wants: vec![
            want(v0.cid(), 1, WantKind::Block),
            want(v1.cid(), i32::MAX, WantKind::Have),
            want(v1.cid(), -6, WantKind::Have),
        ],
        blocks: blocks.to_vec(),
        presences: presences.to_vec(),
        pending_bytes: i32::MAX,
    };
    let wants = Outgoing {
        wants: whole.wants.clone(),
        ..Outgoing::default()
    };
    let presences = Outgoing {
        presences: whole.presences.clone(),
        ..Outgoing::default()
    };
    let mut all = Vec::new();
    for message in [&whole, &wants, &presences] {
        for protocol in Protocol::ALL {
            let framed = message.encode(protocol).concat();
            let (len, head) = read_len(&framed).unwrap().unwrap();
            assert_eq!(framed.len(), head + len);
            // The older ones have no presences.
            if len > 0 {
                all.push(framed[head..].to_vec());
            }
        }
    }
    all
}

/// Where the varints of a message are: its tags, lengths and numbers, at every depth that has the form of a message.
fn varints(bytes: &[u8], base: usize, found: &mut Vec<(usize, usize)>) -> bool {
    let mut at = 0;
    let mut here = Vec::new();
    let read = |at: usize| -> Option<(u64, usize)> {
        let mut value = 0_u64;
        for (n, byte) in bytes.get(at..)?.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * n).min(63);
            if byte & 0x80 == 0 {
                return Some((value, n + 1));
            }
        }
        None
    };
    while at < bytes.len() {
        let Some((tag, tag_len)) = read(at) else {
            return false;
        };
        here.push((base + at, tag_len));
        at += tag_len;
        let Some((value, value_len)) = read(at) else {
            return false;
        };
        here.push((base + at, value_len));
        at += value_len;
        match tag & 7 {
            0 => {}
            2 => {
                let Some(inner) = usize::try_from(value)
                    .ok()
                    .and_then(|len| bytes.get(at..at.checked_add(len)?))
                else {
                    return false;
                };
                // What is a CID or data has no such form, or happens to.
                varints(inner, base + at, &mut here);
                at += inner.len();
            }
            _ => return false,
        }
    }
    found.append(&mut here);
    true
}

#[test]
fn messages_are_cut_at_every_byte() {
    let (mut cases, mut shorter) = (0, 0);
    for whole in samples() {
        let message = decode(&whole).unwrap();
        for cut in 0..whole.len() {
            if let Ok(read) = decode(&whole[..cut]) {
                // Between two fields: a message with less in it.
                assert_ne!(read, message, "{cut}");
                shorter += 1;
            }
            cases += 1;
        }
    }
    assert!(cases > 1500 && shorter < cases / 10, "{shorter} of {cases}");
}

#[test]
fn every_varint_is_made_longer_and_greater() {
    // In place of a varint: one of ten bytes with too many bits, of eleven bytes, and the greatest numbers.
    let replacements: [&[u8]; 6] = [
        &[0xff; 10],
        &[0x80; 11],
        &[0xff; 11],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    ];
    let (mut cases, mut refused) = (0, 0);
    for whole in samples() {
        let mut places = Vec::new();
        assert!(varints(&whole, 0, &mut places));
        assert!(places.len() >= 6, "{}", places.len());
        for (at, len) in places {
            for with in replacements {
                let changed = [&whole[..at], with, &whole[at + len..]].concat();
                refused += usize::from(decode(&changed).is_err());
                cases += 1;
            }
            for by in [1, 0xff] {
                let mut changed = whole.clone();
                changed[at] = changed[at].wrapping_add(by);
                refused += usize::from(decode(&changed).is_err());
                cases += 1;
            }
        }
    }
    assert!(cases > 1000 && refused > cases / 2, "{refused} of {cases}");
}

#[test]
fn every_byte_takes_every_value() {
    let whole = &samples()[0];
    for at in 0..whole.len() {
        for value in 0..=u8::MAX {
            let mut changed = whole.clone();
            changed[at] = value;
            drop(decode(&changed));
        }
    }
}

/// The shortest entries of every list, as many as there may be and more.
#[test]
fn lists_of_the_shortest_entries_cost_no_more() {
    let cid = block(Version::V1, 3, 1).cid().to_bytes();
    let field = |number: u8, bytes: &[u8]| {
        let mut field = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        field.extend_from_slice(bytes);
        field
    };
    let presence = field(4, &field(1, &cid));
    let want = field(1, &field(1, &cid));
    let identity = field(1, &field(1, &[1, 0x55, 0, 0]));
    let empty_block = field(3, &field(1, &[1, 0x55, 0x12, 32]));
    let oldest_block = field(2, &[]);
    for (entry, in_list) in [
        (&presence, false),
        (&want, true),
        (&identity, true),
        (&empty_block, false),
        (&oldest_block, false),
        (&field(4, &[]), false),
        (&field(1, &[]), true),
    ] {
        for count in [1, 100, 4096, 8192, 9000, 60_000] {
            let all = entry.repeat(count);
            let body = if in_list {
                let mut list = vec![0x0a];
                let mut len = all.len();
                while len >= 0x80 {
                    list.push(len as u8 | 0x80);
                    len >>= 7;
                }
                list.push(len as u8);
                list.extend_from_slice(&all);
                list
            } else {
                all
            };
            drop(decode(&body));
        }
    }
}

#[test]
fn lengths_before_messages_cost_nothing() {
    for bytes in [
        &[0x80, 0x80, 0x80, 0x02][..],
        &[0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0xff; 4],
        &[0x80, 0x00],
        &[],
    ] {
        let before = ALLOCATED.get();
        let _ = read_len(bytes);
        assert_eq!(ALLOCATED.get(), before, "{bytes:?}");
    }
}
