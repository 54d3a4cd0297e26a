use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::network::Network;
use crate::keys::{KeyFormat, KeyType, PrivateKey};
use crate::names::record::{NewRecord, Record};
use crate::names::{
    NameError, PublishOptions, Published, PutOptions, ResolveOptions, inspect, publisher,
};
use crate::{Error, Node, Result};

const A: &str = "/ipfs/bafkqaaa";
const B: &str = "/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
const HOUR: Duration = Duration::from_secs(3600);

fn node() -> Node {
    let node = Node::builder().in_memory().open().unwrap();
    node.keys().generate("k", KeyType::Ed25519, None).unwrap();
    node
}

fn options() -> PublishOptions {
    PublishOptions {
        key: "k".to_owned(),
        resolve: false,
        allow_offline: true,
        ..PublishOptions::default()
    }
}

fn name_error<T: std::fmt::Debug>(result: Result<T>) -> NameError {
    match result.unwrap_err() {
        Error::Name(error) => error,
        other => panic!("{other}"),
    }
}

fn publish(node: &Node, path: &str, now: SystemTime) -> Published {
    node.names().publish_at(path, &options(), now).unwrap()
}

/// A record that another node with the same key made.
fn signed(key: &PrivateKey, value: &str, sequence: u64) -> Record {
    let new = NewRecord {
        value: value.to_owned(),
        sequence,
        eol: SystemTime::now() + 24 * HOUR,
        ttl: Duration::ZERO,
        v1_compatible: true,
    };
    Record::create(key, &new).unwrap()
}

#[test]
fn sequences_follow_the_value() {
    let node = node();
    let now = SystemTime::now();
    let second = Duration::from_secs(1);
    let sequence = |path: &str, options: &PublishOptions, now| {
        let published = node.names().publish_at(path, options, now).unwrap();
        published.record.sequence()
    };
    assert_eq!(sequence(A, &options(), now), 0);
    assert_eq!(
        sequence(A, &options(), now + second),
        0,
        "the same value, living longer"
    );
    assert_eq!(sequence(B, &options(), now + 2 * second), 1);
    let short = PublishOptions {
        lifetime: Some(HOUR),
        ..options()
    };
    assert_eq!(
        sequence(B, &short, now + 3 * second),
        2,
        "else the longer one would win"
    );
    assert_eq!(sequence(B, &options(), now - HOUR), 2);
    assert_eq!(
        sequence(B, &options(), now - 2 * HOUR),
        3,
        "the clock was set back"
    );
    let asked = |sequence| PublishOptions {
        sequence: Some(sequence),
        ..options()
    };
    for low in [0, 3] {
        let error = name_error(node.names().publish(A, &asked(low)));
        assert!(
            matches!(error, NameError::SequenceNotAbove { current: 3, .. }),
            "{error}"
        );
    }
    assert_eq!(sequence(A, &asked(u64::MAX), now), u64::MAX);
    let error = name_error(node.names().publish(B, &options()));
    assert!(matches!(error, NameError::SequenceExhausted), "{error}");
}

#[test]
fn options_are_checked() {
    let node = node();
    let names = node.names();
    let with = |change: fn(&mut PublishOptions)| {
        let mut options = options();
        change(&mut options);
        options
    };
    let zero = with(|options| options.lifetime = Some(Duration::ZERO));
    let long_ttl = with(|options| options.ttl = Some(72 * HOUR));
    for options in [zero, long_ttl] {
        assert!(matches!(
            name_error(names.publish(A, &options)),
            NameError::BadSpan { .. }
        ));
    }
    let capped = with(|options| options.lifetime = Some(Duration::from_secs(60)));
    let record = names.publish(A, &capped).unwrap().record;
    assert_eq!(record.ttl(), Some(Duration::from_secs(60)));
    let online = with(|options| options.allow_offline = false);
    assert!(matches!(
        name_error(names.publish(A, &online)),
        NameError::Offline
    ));
    let unknown = with(|options| options.key = "nope".to_owned());
    assert!(matches!(names.publish(A, &unknown), Err(Error::Key(_))));
    assert!(matches!(
        names.publish("foo", &options()),
        Err(Error::BadPath { .. })
    ));
    let checked = with(|options| options.resolve = true);
    assert!(names.publish("/ipfs/bafkqaaa/x", &checked).is_err());
    names.publish(A, &checked).unwrap();
    let v2 = with(|options| options.v1_compatible = false);
    assert!(!names.publish(A, &v2).unwrap().record.v1_compatible());

    let too_often = Node::builder()
        .in_memory()
        .set("Ipns.RepublishPeriod", "1s")
        .open()
        .unwrap();
    let error = name_error(too_often.names().publish(A, &PublishOptions::default()));
    assert!(
        error.to_string().contains("Ipns.RepublishPeriod"),
        "{error}"
    );
}

#[test]
fn the_network_is_asked_before_and_told_after() {
    let node = node();
    let network = Network::of(&node);
    let (key_info, key) = node.keys().find("k").unwrap();
    network.add(&key_info.id, Bytes::from_static(b"no record"));
    network.add(&key_info.id, signed(&key, B, 41).bytes().clone());
    let published = node.names().publish(A, &options()).unwrap();
    assert_eq!(
        (published.record.sequence(), published.not_sent),
        (42, None)
    );
    assert_eq!(*network.puts.lock(), [published.record.bytes().clone()]);

    // Broken: with --allow-offline the record is kept and sent later, else it is an error, and kept all the same.
    *network.broken.lock() = true;
    let published = node.names().publish(B, &options()).unwrap();
    assert!(published.not_sent.unwrap().contains("no peers"));
    assert_eq!(published.record.sequence(), 43);
    let online = PublishOptions {
        allow_offline: false,
        ..options()
    };
    assert!(matches!(
        name_error(node.names().publish(A, &online)),
        NameError::Routing { .. }
    ));
    let report = node.names().republish().unwrap();
    assert_eq!((report.published.len(), report.failed.len()), (0, 1));
    assert_eq!(report.next, Duration::from_secs(300));
    *network.broken.lock() = false;
    let report = node.names().republish().unwrap();
    assert_eq!(report.published, [key_info.id]);
    let sent = network.puts.lock().last().cloned().unwrap();
    let sent = Record::validate(sent, &key_info.id, SystemTime::now()).unwrap();
    assert_eq!((sent.value(), sent.sequence()), (B, 43));
}

#[test]
fn records_are_put_again_when_they_are_due() {
    let node = node();
    let network = Network::of(&node);
    let now = SystemTime::now();
    let published = publish(&node, A, now);
    assert_eq!(
        node.names()
            .republish_at(now + HOUR)
            .unwrap()
            .published
            .len(),
        0
    );
    let report = node.names().republish_at(now + HOUR).unwrap();
    assert!(report.next <= 3 * HOUR && report.next > 3 * HOUR - Duration::from_secs(2));
    let report = node.names().republish_at(now + 4 * HOUR).unwrap();
    assert_eq!(report.published.len(), 1);
    let name = published.key.id;
    let renewed = network.puts.lock().last().cloned().unwrap();
    let renewed = Record::validate(renewed, &name, now).unwrap();
    assert_eq!((renewed.value(), renewed.sequence()), (A, 0));
    assert_eq!(renewed.eol(), now + 52 * HOUR);
    assert_eq!(renewed.ttl(), published.record.ttl());
    assert_eq!(
        node.names()
            .republish_at(now + 5 * HOUR)
            .unwrap()
            .published
            .len(),
        0
    );
    assert_eq!(
        node.names().republish_at(now).unwrap().published.len(),
        1,
        "the clock was set back"
    );

    // Many names, in several batches; those whose key is gone are not signed.
    for index in 0..150 {
        let key = format!("key-{index}");
        node.keys().generate(&key, KeyType::Ed25519, None).unwrap();
        let options = PublishOptions { key, ..options() };
        node.names().publish_at(A, &options, now).unwrap();
    }
    node.keys().remove(&["key-7".to_owned()]).unwrap();
    let report = node.names().republish_at(now + 6 * HOUR).unwrap();
    assert_eq!((report.published.len(), report.failed.len()), (150, 0));
}

#[test]
fn due_times() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let wait =
        |put_at, now| publisher::until_due(put_at, Duration::from_secs(100), at(now)).as_secs();
    assert_eq!(wait(0, 50), 0, "never sent");
    assert_eq!(wait(1_000, 1_000), 100);
    assert_eq!(wait(1_000, 1_099), 1);
    assert_eq!(wait(1_000, 1_100), 0);
    assert_eq!(wait(1_000, 999), 0, "the clock was set back");
}

#[test]
fn foreign_records_are_put_with_checks() {
    let node = node();
    let offline = PutOptions {
        allow_offline: true,
        ..PutOptions::default()
    };
    let force = PutOptions {
        force: true,
        ..offline
    };
    let key = PrivateKey::generate(KeyType::Rsa, None).unwrap();
    let name = key.peer_id().to_base58();
    let put = |record: &Record, options| node.names().put(&name, record.bytes().clone(), options);
    let (low, high) = (signed(&key, A, 3), signed(&key, B, 4));
    assert!(matches!(
        name_error(put(&low, PutOptions::default())),
        NameError::Offline
    ));
    put(&high, offline).unwrap();
    put(&high, offline).unwrap();
    assert!(matches!(
        name_error(put(&low, offline)),
        NameError::NotAbove {
            existing: 4,
            new: 3
        }
    ));
    let same_sequence = signed(&key, A, 4);
    assert!(matches!(
        name_error(put(&same_sequence, offline)),
        NameError::NotAbove { .. }
    ));
    assert_eq!(node.names().get(&name).unwrap(), high.bytes());
    put(&low, force).unwrap();
    assert_eq!(
        node.names().get(&format!("/ipns/{name}")).unwrap(),
        low.bytes()
    );

    let other = PrivateKey::generate(KeyType::Ed25519, None)
        .unwrap()
        .peer_id()
        .to_base58();
    for options in [offline, force] {
        let error = name_error(node.names().put(&other, low.bytes().clone(), options));
        assert!(matches!(error, NameError::Record(_)), "{error}");
        let error = name_error(node.names().put(&name, vec![0; 10_241].into(), options));
        assert!(error.to_string().contains("limit"), "{error}");
    }
    assert!(matches!(
        name_error(node.names().put("foo", Bytes::new(), force)),
        NameError::BadName { .. }
    ));

    // With a network an invalid record is its business, and is not kept here.
    let network = Network::of(&node);
    node.names()
        .put(&other, low.bytes().clone(), force)
        .unwrap();
    assert_eq!(*network.puts.lock(), [low.bytes().clone()]);
    node.names().set_routing(None);
    assert!(matches!(
        node.names().get(&other),
        Err(Error::NeedsNetwork(_))
    ));
}

#[test]
fn the_sequence_of_an_own_name_never_goes_back() {
    let node = node();
    let (info, key) = node.keys().find("k").unwrap();
    let name = info.id_text();
    let force = PutOptions {
        force: true,
        allow_offline: true,
    };
    let now = SystemTime::now();
    publish(&node, A, now);
    publish(&node, B, now);
    let old = signed(&key, A, 0);
    let error = name_error(node.names().put(&name, old.bytes().clone(), force));
    assert!(
        matches!(
            error,
            NameError::OwnNameBack {
                existing: 1,
                new: 0
            }
        ),
        "{error}"
    );
    // A record that another node with the same key made moves it on.
    node.names()
        .put(&name, signed(&key, A, 9).bytes().clone(), force)
        .unwrap();
    assert_eq!(publish(&node, B, now).record.sequence(), 10);

    let backup = node.keys().export("k", KeyFormat::Protobuf).unwrap();
    node.keys().remove(&["k".to_owned()]).unwrap();
    node.keys()
        .import("k", &backup, KeyFormat::Protobuf)
        .unwrap();
    assert_eq!(publish(&node, A, now).record.sequence(), 11);

    // A name that was put here before its key came.
    let foreign = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let record = signed(&foreign, A, 70);
    node.names()
        .put(
            &foreign.peer_id().to_base58(),
            record.bytes().clone(),
            force,
        )
        .unwrap();
    node.keys()
        .import("late", &foreign.to_protobuf(), KeyFormat::Protobuf)
        .unwrap();
    let options = PublishOptions {
        key: "late".to_owned(),
        ..options()
    };
    assert_eq!(
        node.names().publish(B, &options).unwrap().record.sequence(),
        71
    );
}

#[test]
fn published_names_outlive_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    crate::repo::init(&repo, &crate::repo::InitOptions::default()).unwrap();
    let own = PublishOptions {
        allow_offline: true,
        ..PublishOptions::default()
    };
    for round in 0..3 {
        let node = Node::builder().repo(&repo).open().unwrap();
        let path = [A, B][round % 2];
        let published = node.names().publish(path, &own).unwrap();
        assert_eq!(published.record.sequence(), round as u64);
        let node = {
            drop(node);
            Node::builder().repo(&repo).open().unwrap()
        };
        let resolved = node
            .names()
            .resolve("self", &ResolveOptions::default())
            .unwrap();
        assert_eq!(resolved.path.to_string(), path);
    }
}

#[test]
fn inspecting_tells_what_is_wrong() {
    let node = node();
    let published = publish(&node, A, SystemTime::now());
    let bytes = published.record.bytes();
    let name = published.key.id_text();
    let inspected = inspect(bytes.clone(), Some(&name)).unwrap();
    assert_eq!(inspected.verified, Some(Ok(())));
    assert_eq!(inspected.fields.value.as_deref(), Some(A));
    assert_eq!(
        (inspected.fields.size, inspected.fields.sequence),
        (bytes.len(), Some(0))
    );
    let own = node.keys().identity().unwrap().peer_id().to_base58();
    let reason = inspect(bytes.clone(), Some(&own))
        .unwrap()
        .verified
        .unwrap()
        .unwrap_err();
    assert_eq!(reason, "signature verification failed");
    assert_eq!(inspect(bytes.clone(), None).unwrap().verified, None);
    assert!(inspect(bytes.slice(..100), None).is_err());
}
