use std::sync::Arc;
use std::thread::JoinHandle;

use proptest::prelude::*;

use super::super::disk::{self, Started};
use super::super::{RecordValidator, Validators};
use std::time::Duration;

use super::interface::PROVIDED_MAX;
use super::*;

const SMALL: Limits = Limits {
    value_bytes: 4096,
    provider_bytes: 16_384,
    address_bytes: 300,
    values_per_peer: 4,
    keys_per_peer: 16,
};

fn store(limits: Limits) -> Records {
    Records::new(PeerId::random(), limits)
}

fn key(key: u32) -> RecordKey {
    RecordKey::new(&key.to_be_bytes())
}

fn provider(number: u32, provider: PeerId, expires: Instant) -> ProviderRecord {
    ProviderRecord {
        key: key(number),
        provider,
        expires: Some(expires),
        addresses: vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap(); 3],
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1000)
}

/// Everything counted again.
fn check(store: &Records) {
    let mut counted: FxHashMap<PeerId, (usize, usize)> = FxHashMap::default();
    let (mut provider_bytes, mut value_bytes) = (0, 0);
    for held in store.keys.values() {
        assert!(!held.providers.is_empty() && held.providers.len() <= PROVIDERS_MAX);
        provider_bytes += ENTRY_BYTES * (1 + held.providers.len()) + held.key.as_ref().len();
        for (peer, _) in &held.providers {
            counted.entry(*peer).or_default().0 += 1;
        }
    }
    for value in store.values.values() {
        value_bytes += ENTRY_BYTES + value.key.as_ref().len() + value.value.len();
        if let Some(source) = value.source {
            counted.entry(source).or_default().1 += 1;
        }
    }
    assert_eq!(
        (store.provider_bytes, store.value_bytes),
        (provider_bytes, value_bytes)
    );
    assert!(
        provider_bytes <= store.limits.provider_bytes && value_bytes <= store.limits.value_bytes
    );
    let address_bytes: usize = store
        .publishers
        .values()
        .map(Publisher::address_bytes)
        .sum();
    assert_eq!(store.address_bytes, address_bytes);
    assert!(address_bytes <= store.limits.address_bytes);
    let known = store.publishers.iter();
    let known: FxHashMap<PeerId, (usize, usize)> = known
        .map(|(peer, known)| (*peer, (known.keys, known.values)))
        .collect();
    assert_eq!(known, counted);
    assert!(counted.values().all(|(keys, values)| {
        *keys <= store.limits.keys_per_peer && *values <= store.limits.values_per_peer
    }));
}

#[test]
fn newcomers_replace_whoever_expires_first() {
    let now = Instant::now();
    let mut store = store(Limits::default());
    let peers: Vec<PeerId> = (0..=PROVIDERS_MAX).map(|_| PeerId::random()).collect();
    for (age, peer) in peers.iter().enumerate() {
        let expires = now + Duration::from_secs(100 + age as u64);
        store.add_provider(provider(1, *peer, expires)).unwrap();
    }
    let kept = store.providers(&key(1));
    assert_eq!(kept.len(), PROVIDERS_MAX);
    assert!(kept.iter().all(|record| record.provider != peers[0]));
    assert!(
        kept.iter()
            .any(|record| record.provider == peers[PROVIDERS_MAX])
    );
    assert!(kept.iter().all(|record| record.addresses.len() == 3));
    check(&store);
    store.expire(now + Duration::from_secs(1000));
    assert_eq!(store.counts(), (0, 0, 0));
    check(&store);
    assert!(store.publishers.is_empty());
}

#[test]
fn one_publisher_cannot_fill_the_store() {
    let mut store = store(SMALL);
    let greedy = PeerId::random();
    let taken = (0..100).filter(|at| store.add_provider(provider(*at, greedy, soon())).is_ok());
    assert_eq!(taken.count(), SMALL.keys_per_peer);
    store
        .add_provider(provider(1000, PeerId::random(), soon()))
        .unwrap();
    let put = |store: &mut Records, at| store.put_from(Some(greedy), Record::new(key(at), vec![1]));
    let taken = (0..100).filter(|at| put(&mut store, *at).is_ok()).count();
    assert_eq!(taken, SMALL.values_per_peer);
    store
        .put_from(Some(greedy), Record::new(key(0), vec![2]))
        .unwrap();
    check(&store);
}

#[test]
fn addresses_have_limits_of_their_own() {
    let mut store = store(Limits::default());
    let long: Multiaddr = format!("/dns4/{}/tcp/1", "x".repeat(5000)).parse().unwrap();
    let short: Multiaddr = "/ip4/127.0.0.1/tcp/4001".parse().unwrap();
    let peer = PeerId::random();
    let mut record = provider(1, peer, soon());
    record.addresses = [vec![long], vec![short.clone(); 100]].concat();
    store.add_provider(record).unwrap();
    assert_eq!(
        store.providers(&key(1))[0].addresses,
        vec![short; ADDRESSES_MAX - 1]
    );
    let mut small = super::Records::new(PeerId::random(), SMALL);
    for at in 0..40 {
        let _ = small.add_provider(provider(at, PeerId::random(), soon()));
    }
    check(&small);
    assert!(small.address_bytes > SMALL.address_bytes / 2);
}

#[test]
fn what_is_far_makes_room_for_what_is_near() {
    let mut store = store(SMALL);
    for at in 0..1000 {
        // Refused where it is farther than everything else.
        let _ = store.add_provider(provider(at, PeerId::random(), soon()));
        let _ = store.put_from(Some(PeerId::random()), Record::new(key(at), vec![0; 300]));
    }
    check(&store);
    let mut near: Vec<Distance> = (0..1000).map(|at| store.distance(&key(at))).collect();
    near.sort();
    let kept: Vec<Distance> = store.keys.keys().copied().collect();
    assert!(kept.len() > 20);
    assert_eq!(kept, near[..kept.len()]);
    let kept: Vec<Distance> = store.values.keys().copied().collect();
    assert!(kept.len() > 5 && kept == near[..kept.len()]);
}

#[test]
fn values_are_limited_and_own_keys_kept_apart() {
    let mut store = store(Limits::default());
    let local = store.local;
    let long = Record::new(key(1), vec![0; VALUE_MAX + 1]);
    assert!(matches!(store.put(long), Err(Error::ValueTooLarge)));
    let long = Record::new(RecordKey::new(&[7; KEY_MAX + 1]), vec![0]);
    assert!(matches!(store.put(long), Err(Error::ValueTooLarge)));
    store.add_provider(provider(1, local, soon())).unwrap();
    assert_eq!((store.provided().count(), store.keys.len()), (1, 0));
    store.remove_provider(&key(1), &local);
    assert_eq!(store.provided().count(), 0);
    for at in 0..PROVIDED_MAX as u32 + 5 {
        store.add_provider(provider(at, local, soon())).unwrap();
    }
    assert_eq!(store.counts(), (0, 0, PROVIDED_MAX));
    assert!(store.providers(&key(4)).is_empty() && store.providers(&key(5)).len() == 1);
}

#[derive(Clone, Debug)]
enum Step {
    Provide(u32, u8, u16),
    Forget(u32, u8),
    Put(u32, u8, u16),
    Remove(u32),
    Expire(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0_u32..60;
    prop_oneof![
        4 => (number.clone(), 0_u8..30, 1_u16..100).prop_map(|(key, peer, for_)| Step::Provide(key, peer, for_)),
        1 => (number.clone(), 0_u8..30).prop_map(|(key, peer)| Step::Forget(key, peer)),
        4 => (number.clone(), 0_u8..30, 0_u16..600).prop_map(|(key, peer, len)| Step::Put(key, peer, len)),
        1 => number.prop_map(Step::Remove),
        1 => (0_u16..100).prop_map(Step::Expire),
    ]
}

proptest! {
    #[test]
    fn whatever_others_send_limits_hold_and_counts_are_right(
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut store = store(SMALL);
        let peers: Vec<PeerId> = (0..30).map(|_| PeerId::random()).collect();
        let start = Instant::now();
        let after = |seconds: u16| start + Duration::from_secs(seconds.into());
        for step in steps {
            match step {
                Step::Provide(at, peer, seconds) => {
                    let _ = store.add_provider(provider(at, peers[usize::from(peer)], after(seconds)));
                }
                Step::Forget(at, peer) => store.remove_provider(&key(at), &peers[usize::from(peer)]),
                Step::Put(at, peer, len) => {
                    let record = Record::new(key(at), vec![0; len.into()]);
                    let _ = store.put_from(Some(peers[usize::from(peer)]), record);
                }
                Step::Remove(at) => store.remove(&key(at)),
                Step::Expire(seconds) => {
                    store.expire(after(seconds));
                    let held = store.keys.values().flat_map(|held| &held.providers);
                    let mut left = held.map(|(_, expires)| *expires);
                    prop_assert!(left.all(|expires| expires > after(seconds)));
                }
            }
            check(&store);
        }
    }
}

/// Believes what does not begin with "bad".
struct NotBad;

impl RecordValidator for NotBad {
    fn validate(&self, _: &[u8], value: &[u8]) -> std::result::Result<(), String> {
        if value.starts_with(b"bad") {
            Err("bad".to_owned())
        } else {
            Ok(())
        }
    }

    fn is_better(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// Two stores of one node over a file.
fn open(path: &std::path::Path, local: PeerId, limits: Limits) -> ([Records; 2], JoinHandle<()>) {
    let mut validators = Validators::default();
    validators.add("/t/", Arc::new(NotBad));
    let Started { sides, thread } = disk::start(path.to_owned(), validators).unwrap();
    let stores = sides.map(|side| {
        let mut store = Records::new(local, limits);
        store.attach(side);
        store
    });
    (stores, thread)
}

fn close(mut stores: [Records; 2], thread: JoinHandle<()>) {
    stores.iter_mut().for_each(Records::flush);
    drop(stores);
    thread.join().unwrap();
}

fn until(store: &mut Records, counts: (usize, usize, usize)) {
    let began = Instant::now();
    while store.counts() != counts {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}",
            store.counts()
        );
        store.tend_disk(Instant::now());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn records_survive_a_restart_each_in_its_dht_until_they_expire() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dht.redb");
    let (local, peer, other) = (PeerId::random(), PeerId::random(), PeerId::random());
    let ([mut wan, mut lan], thread) = open(&path, local, Limits::default());
    for at in 0..10_000 {
        wan.add_provider(provider(at, peer, soon())).unwrap();
    }
    let past = Instant::now() + Duration::from_millis(1);
    wan.add_provider(provider(20_000, peer, past)).unwrap();
    wan.add_provider(provider(1, other, soon())).unwrap();
    wan.remove_provider(&key(2), &peer);
    let value = |name: &str, value: &[u8]| Record {
        expires: Some(soon()),
        ..Record::new(RecordKey::new(&name), value.to_vec())
    };
    lan.put_from(Some(peer), value("/t/good", b"good")).unwrap();
    lan.put_from(Some(peer), value("/t/bad", b"bad")).unwrap();
    lan.put_from(Some(peer), value("/u/none", b"no validator"))
        .unwrap();
    lan.put_from(None, value("/t/gone", b"gone")).unwrap();
    lan.remove(&RecordKey::new(&"/t/gone"));
    // In more than one batch.
    wan.flush();
    wan.add_provider(provider(30_000, peer, soon())).unwrap();
    close([wan, lan], thread);

    let ([mut wan, mut lan], thread) = open(&path, local, Limits::default());
    // Something newer came before the disk was read.
    lan.put_from(Some(other), value("/t/good", b"better"))
        .unwrap();
    until(&mut wan, (0, 10_000, 0));
    until(&mut lan, (1, 0, 0));
    assert_eq!(wan.providers(&key(1)).len(), 2);
    assert!(wan.providers(&key(2)).is_empty() && wan.providers(&key(20_000)).is_empty());
    let kept = wan.providers(&key(30_000));
    assert_eq!((kept[0].provider, kept[0].addresses.len()), (peer, 3));
    let left = kept[0].expires.unwrap() - Instant::now();
    assert!(
        left > Duration::from_secs(900) && left <= Duration::from_secs(1001),
        "{left:?}"
    );
    let good = lan.get(&RecordKey::new(&"/t/good")).unwrap().into_owned();
    assert_eq!(good.value, b"better");
    check(&wan);
    check(&lan);
    close([wan, lan], thread);

    let ([mut wan, lan], thread) = open(&path, local, SMALL);
    let began = Instant::now();
    while wan
        .publishers
        .get(&peer)
        .is_none_or(|known| known.addresses.is_empty())
    {
        assert!(began.elapsed() < Duration::from_secs(10));
        wan.tend_disk(Instant::now());
    }
    check(&wan);
    assert!(
        wan.keys.len() <= SMALL.keys_per_peer + 1,
        "smaller limits hold"
    );
    close([wan, lan], thread);
}

#[test]
fn a_damaged_file_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dht.redb");
    std::fs::write(&path, [7; 5000]).unwrap();
    let local = PeerId::random();
    for round in 0..2 {
        let ([mut wan, lan], thread) = open(&path, local, Limits::default());
        if round == 0 {
            wan.add_provider(provider(1, PeerId::random(), soon()))
                .unwrap();
        } else {
            until(&mut wan, (0, 1, 0));
        }
        close([wan, lan], thread);
    }
}
