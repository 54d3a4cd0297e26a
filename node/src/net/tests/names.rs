//! Names and announcements through the DHT of private addresses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::fetch::{add, cat};
use super::routing::{line, routed};
use super::{TCP, address, builder, node, node_with};
use crate::names::record::{NewRecord, Record};
use crate::names::{PublishOptions, ResolveOptions};
use crate::net::{NetError, RecordValidator, Validators};
use crate::{Error, KeyType, Node, PeerId, PrivateKey};

async fn publish(node: &Node, path: &'static str) -> String {
    let node = node.clone();
    let publish = move || node.names().publish(path, &PublishOptions::default());
    let published = tokio::task::spawn_blocking(publish).await.unwrap().unwrap();
    assert_eq!(published.not_sent, None);
    published.key.id_text()
}

async fn resolve(node: &Node, name: &str) -> Result<String, Error> {
    let (node, name) = (node.clone(), name.to_owned());
    let options = ResolveOptions {
        no_cache: true,
        ..ResolveOptions::default()
    };
    let resolve = move || node.names().resolve(&name, &options);
    let resolved = tokio::task::spawn_blocking(resolve).await.unwrap()?;
    Ok(resolved.path.to_string())
}

fn key_of(name: &PeerId) -> Vec<u8> {
    [b"/ipns/".as_slice(), &name.to_bytes()].concat()
}

fn record(key: &PrivateKey, sequence: u64, eol: SystemTime) -> Record {
    let new = NewRecord {
        value: "/ipfs/bafkqaaa".to_owned(),
        sequence,
        eol,
        ttl: Duration::from_secs(60),
        v1_compatible: true,
    };
    Record::create(key, &new).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_resolved_through_a_third_node_and_follows_its_publisher() {
    let [one, _two, three] = line().await;
    let name = publish(&one, "/ipfs/bafkqaaa").await;
    assert_eq!(resolve(&three, &name).await.unwrap(), "/ipfs/bafkqaaa");
    publish(&one, "/ipfs/bafkqaalb").await;
    assert_eq!(resolve(&three, &name).await.unwrap(), "/ipfs/bafkqaalb");
    one.shutdown().await.unwrap();
    let kept = resolve(&three, &name).await.unwrap();
    assert_eq!(kept, "/ipfs/bafkqaalb", "the third node keeps the record");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_put_by_hand_are_refused_when_forged_expired_or_older() {
    let [one, two, three] = line().await;
    let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let foreign = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let place = key_of(&key.peer_id());
    let routing = one.routing().unwrap();
    let now = SystemTime::now();
    let later = now + Duration::from_secs(600);
    for (bad, why) in [
        (record(&foreign, 9, later), "signature"),
        (record(&key, 9, now - Duration::from_secs(1)), "expired"),
    ] {
        let refused = routing.put(place.clone(), bad.bytes().to_vec()).await;
        let Err(NetError::BadRecord(reason)) = refused else {
            panic!("{why}: {refused:?}");
        };
        assert!(reason.contains(why), "{reason}");
    }
    let (old, new) = (record(&key, 1, later), record(&key, 2, later));
    for record in [&new, &old] {
        let put = routing.put(place.clone(), record.bytes().to_vec()).await;
        put.unwrap();
    }
    let found = three.routing().unwrap().get(place).await.unwrap();
    assert_eq!(found, new.bytes().to_vec(), "others keep the better one");
    drop(two);
}

/// Believes everything.
struct Credulous;

impl RecordValidator for Credulous {
    fn validate(&self, _: &[u8], _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn is_better(&self, _: &[u8], _: &[u8], _: &[u8]) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_of_a_peer_is_neither_kept_nor_believed() {
    let liar = builder(&[TCP], &[]).open().unwrap();
    let mut validators = Validators::default();
    validators.add("/ipns/", Arc::new(Credulous));
    liar.go_online_with(validators).await.unwrap();
    let (middle, reader) = (node(&[TCP]).await, node(&[TCP]).await);
    let known = address(&middle).await;
    for end in [&liar, &reader] {
        end.peers().unwrap().connect(&known).await.unwrap();
        routed(end, 1).await;
    }
    routed(&middle, 2).await;

    let victim = PrivateKey::generate(KeyType::Ed25519, None)
        .unwrap()
        .peer_id();
    let foreign = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let forged = record(&foreign, 1, SystemTime::now() + Duration::from_secs(600));
    // Whether the others' refusal is told is up to the protocol.
    let _ = liar
        .routing()
        .unwrap()
        .put(key_of(&victim), forged.bytes().to_vec())
        .await;
    for honest in [&middle, &reader] {
        let tables = honest.routing().unwrap().tables().await.unwrap();
        assert!(tables.iter().all(|table| table.records == 0), "{tables:?}");
    }
    let error = resolve(&reader, &victim.to_string()).await.unwrap_err();
    assert!(matches!(error, Error::Name(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_file_is_announced_and_fetched_by_a_node_that_knows_only_another() {
    let [one, _two, three] = line().await;
    let data = b"announced by itself".repeat(40_000);
    let cid = add(&one, data.clone()).await;
    let announced = async {
        let routing = three.routing().unwrap();
        loop {
            let mut found = routing.find_providers(&cid, 1).await.unwrap();
            if found.recv().await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, announced).await.unwrap();
    let got = tokio::time::timeout(patience, cat(&three, &cid)).await;
    assert!(got.unwrap().unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_announced_where_that_is_switched_off() {
    for (key, value) in [
        ("Provide.Enabled", serde_json::json!(false)),
        ("Provide.Strategy", "mfs".into()),
        ("Provide.DHT.Interval", "0s".into()),
    ] {
        let node = node_with(&[TCP], &[(key, value)]).await.unwrap();
        add(&node, b"kept to oneself".to_vec()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let tables = node.routing().unwrap().tables().await.unwrap();
        assert!(tables.iter().all(|table| table.provided == 0), "{key}");
    }
    let refused = node_with(&[TCP], &[("Provide.Strategy", "some".into())]).await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_go_over_pubsub_where_there_is_no_dht() {
    let on = [
        ("Ipns.UsePubsub", serde_json::json!(true)),
        ("Routing.Type", serde_json::json!("none")),
    ];
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node_with(&[TCP], &on).await.unwrap());
    }
    let [one, two, three] = <[Node; 3]>::try_from(nodes).ok().unwrap();
    one.peers()
        .unwrap()
        .connect(&address(&two).await)
        .await
        .unwrap();
    // Nobody listens yet: the record is kept, and whoever comes asks for it.
    let publish = |path: &'static str| {
        let node = one.clone();
        tokio::task::spawn_blocking(move || {
            let options = PublishOptions {
                allow_offline: true,
                ..PublishOptions::default()
            };
            node.names().publish(path, &options).unwrap().key.id_text()
        })
    };
    let name = publish("/ipfs/bafkqaaa").await.unwrap();
    let follows = |node: &Node, name: &str, path: &'static str| {
        let (node, name) = (node.clone(), name.to_owned());
        async move {
            let came = async {
                while !resolve(&node, &name).await.is_ok_and(|found| found == path) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let waited = tokio::time::timeout(Duration::from_secs(40), came).await;
            assert!(waited.is_ok(), "{path} did not come");
        }
    };
    follows(&two, &name, "/ipfs/bafkqaaa").await;
    // What is new comes over the topic, and from a neighbour to who is not connected to the publisher.
    publish("/ipfs/bafkqaalb").await.unwrap();
    follows(&two, &name, "/ipfs/bafkqaalb").await;
    three
        .peers()
        .unwrap()
        .connect(&address(&two).await)
        .await
        .unwrap();
    follows(&three, &name, "/ipfs/bafkqaalb").await;
    publish("/ipfs/bafkqaalc").await.unwrap();
    follows(&three, &name, "/ipfs/bafkqaalc").await;

    let names = three.names().followed().unwrap();
    assert_eq!(names.len(), 1);
    assert!(three.names().unfollow(&names[0]));
    assert!(!three.names().unfollow(&names[0]));
    assert_eq!(three.names().followed(), Some(Vec::new()));
    let plain = node(&[TCP]).await;
    assert_eq!(plain.names().followed(), None);
}
