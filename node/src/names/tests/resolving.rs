use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::network::{Network, Zone};
use crate::keys::{KeyType, PrivateKey};
use crate::names::record::{NewRecord, Record};
use crate::names::{NameError, NamesState, PublishOptions, ResolveOptions};
use crate::{AddOptions, Error, Node, Source};

const CID: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn publish(node: &Node, key: &str, path: &str) -> String {
    if key != "self" && node.keys().find(key).is_err() {
        node.keys().generate(key, KeyType::Ed25519, None).unwrap();
    }
    let options = PublishOptions {
        key: key.to_owned(),
        resolve: false,
        allow_offline: true,
        ..PublishOptions::default()
    };
    node.names().publish(path, &options).unwrap().key.id_text()
}

fn resolve(node: &Node, name: &str) -> Result<String, Error> {
    let resolved = node.names().resolve(name, &ResolveOptions::default())?;
    Ok(resolved.path.to_string())
}

fn signed(key: &PrivateKey, value: &str, sequence: u64, lifetime: u64, ttl: u64) -> Record {
    let new = NewRecord {
        value: value.to_owned(),
        sequence,
        eol: SystemTime::now() + Duration::from_secs(lifetime),
        ttl: Duration::from_secs(ttl),
        v1_compatible: false,
    };
    Record::create(key, &new).unwrap()
}

#[test]
fn chains_of_names_end_in_content() {
    let node = node();
    let first = publish(&node, "a", &format!("/ipfs/{CID}/x"));
    let second = publish(&node, "b", &format!("/ipns/{first}/y"));
    for name in [
        second.clone(),
        format!("/ipns/{second}"),
        format!("ipns://{second}"),
        "b".to_owned(),
    ] {
        assert_eq!(
            resolve(&node, &name).unwrap(),
            format!("/ipfs/{CID}/x/y"),
            "{name}"
        );
    }
    assert_eq!(
        resolve(&node, &format!("/ipns/{second}/z/")).unwrap(),
        format!("/ipfs/{CID}/x/y/z/")
    );
    let one_step = ResolveOptions {
        recursive: false,
        ..ResolveOptions::default()
    };
    let step = node.names().resolve(&second, &one_step).unwrap();
    assert_eq!(step.path.to_string(), format!("/ipns/{first}/y"));
    assert!(step.ttl <= Duration::from_secs(300) && step.ttl > Duration::from_secs(290));
    publish(&node, "a", "/ipfs/bafkqaaa");
    assert_eq!(
        resolve(&node, &second).unwrap(),
        "/ipfs/bafkqaaa/y",
        "publishing forgets the cache"
    );
}

#[test]
fn deep_chains_and_circles_end() {
    let node = node();
    let own = node.keys().identity().unwrap().peer_id().to_base58();
    publish(&node, "self", &format!("/ipns/{own}"));
    let error = resolve(&node, &own).unwrap_err();
    assert!(
        matches!(error, Error::Name(NameError::TooDeep(_))),
        "{error}"
    );
    let mut path = format!("/ipfs/{CID}");
    for index in 0..33 {
        path = format!("/ipns/{}", publish(&node, &format!("k{index}"), &path));
    }
    assert!(resolve(&node, &path).is_err(), "33 names");
    assert_eq!(
        resolve(&node, "k31").unwrap(),
        format!("/ipfs/{CID}"),
        "32 names"
    );
}

#[test]
fn unknown_names_say_what_was_tried() {
    let node = node();
    let other = PrivateKey::generate(KeyType::Ed25519, None)
        .unwrap()
        .peer_id()
        .to_base58();
    assert!(matches!(
        resolve(&node, &other),
        Err(Error::NeedsNetwork(_))
    ));
    assert!(matches!(
        node.resolve(&format!("/ipns/{other}")),
        Err(Error::NeedsNetwork(_))
    ));
    let network = Network::of(&node);
    assert!(matches!(
        resolve(&node, &other),
        Err(Error::Name(NameError::NotFound { .. }))
    ));
    *network.broken.lock() = true;
    assert!(matches!(
        resolve(&node, &other),
        Err(Error::Name(NameError::Routing { .. }))
    ));
    assert!(matches!(
        resolve(&node, "a b"),
        Err(Error::Name(NameError::BadName { .. }))
    ));
    assert!(matches!(
        resolve(&node, "/ipns/"),
        Err(Error::BadPath { .. })
    ));
}

#[test]
fn the_best_of_ten_routers_wins_in_every_order() {
    let node = node();
    let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let other = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
    let mut records: Vec<_> = (0..7)
        .map(|n| {
            signed(&key, &format!("/ipfs/{CID}/{n}"), n, 600, 0)
                .bytes()
                .clone()
        })
        .collect();
    records.push(signed(&other, "/ipns/forged", 99, 600, 0).bytes().clone());
    records.push(b"no record".to_vec().into());
    let old = NewRecord {
        value: "/ipns/expired".to_owned(),
        sequence: 99,
        eol: SystemTime::now() - Duration::from_secs(1),
        ttl: Duration::ZERO,
        v1_compatible: false,
    };
    records.push(Record::create(&key, &old).unwrap().bytes().clone());
    let name = key.peer_id();
    let best = format!("/ipfs/{CID}/6");
    let mut state = 7_u64;
    for _ in 0..500 {
        for at in (1..records.len()).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            records.swap(at, (state >> 33) as usize % (at + 1));
        }
        let network = Network::of(&node);
        for record in &records {
            network.add(&name, record.clone());
        }
        let mut told = Vec::new();
        let resolved = node.names().resolve_streaming(
            &name.to_base58(),
            &ResolveOptions::default(),
            &mut |path| {
                told.push(path.to_string());
                Ok(())
            },
        );
        assert_eq!(resolved.unwrap().path.to_string(), best);
        assert_eq!(told.last(), Some(&best));
        assert!(told.is_sorted(), "only better ones are told: {told:?}");
    }
}

#[test]
fn an_older_record_is_not_given_when_the_newer_one_has_expired() {
    let node = node();
    let network = Network::of(&node);
    let name = publish(&node, "k", &format!("/ipfs/{CID}/old"));
    let older = network.puts.lock().clone();
    let options = PublishOptions {
        key: "k".to_owned(),
        resolve: false,
        lifetime: Some(Duration::from_millis(1)),
        ttl: Some(Duration::ZERO),
        ..PublishOptions::default()
    };
    let path = format!("/ipfs/{CID}/new");
    let published = SystemTime::now();
    node.names().publish(&path, &options).unwrap();
    while published.elapsed().unwrap() < Duration::from_millis(20) {
        std::thread::yield_now();
    }
    // The network has forgotten the newer one.
    let id = crate::names::parse_name(&name).unwrap();
    network.records.lock().insert(id.to_bytes(), older);
    let fresh = ResolveOptions {
        no_cache: true,
        ..ResolveOptions::default()
    };
    let error = node.names().resolve(&name, &fresh).unwrap_err();
    assert!(
        matches!(error, Error::Name(NameError::Expired { sequence: 1, .. })),
        "{error}"
    );
    // A newer one is taken.
    let (key, _) = node.keys().find("k").unwrap();
    assert_eq!(key.id, id);
    let again = PublishOptions {
        lifetime: None,
        ttl: None,
        ..options
    };
    node.names().publish(&path, &again).unwrap();
    let resolved = node.names().resolve(&name, &fresh).unwrap();
    assert_eq!(resolved.path.to_string(), path);
}

#[test]
fn answers_are_kept_as_long_as_the_record_says() {
    let node = node();
    let network = Network::of(&node);
    let ask = |key: &PrivateKey, options: &ResolveOptions| {
        let name = key.peer_id().to_base58();
        node.names().resolve(&name, options).unwrap().ttl.as_secs()
    };
    let (plain, fresh) = (
        ResolveOptions::default(),
        ResolveOptions {
            no_cache: true,
            ..ResolveOptions::default()
        },
    );
    let make = |lifetime, ttl| {
        let key = PrivateKey::generate(KeyType::Ed25519, None).unwrap();
        let record = signed(&key, "/ipfs/bafkqaaa", 0, lifetime, ttl);
        network.add(&key.peer_id(), record.bytes().clone());
        key
    };
    let gets = |expected: usize| assert_eq!(std::mem::take(&mut *network.gets.lock()), expected);
    let key = make(600, 100);
    assert!((98..=100).contains(&ask(&key, &plain)));
    assert!((98..=100).contains(&ask(&key, &plain)));
    gets(1);
    ask(&key, &fresh);
    gets(1);
    let ends_soon = make(50, 100);
    assert!(
        (48..=50).contains(&ask(&ends_soon, &plain)),
        "not past the end of life"
    );
    let not_kept = make(600, 0);
    assert_eq!(ask(&not_kept, &plain) + ask(&not_kept, &plain), 0);
    gets(3);

    let capped = Node::builder()
        .in_memory()
        .set("Ipns.MaxCacheTTL", "10s")
        .open()
        .unwrap();
    capped.names().set_routing(Some(network.clone()));
    let ttl = capped
        .names()
        .resolve(&key.peer_id().to_base58(), &plain)
        .unwrap()
        .ttl;
    assert!(ttl <= Duration::from_secs(10) && ttl > Duration::from_secs(8));
}

#[test]
fn domains_lead_to_content() {
    let node = node();
    let key = publish(&node, "k", &format!("/ipfs/{CID}/site"));
    let texts = |text: &str| vec!["other".to_owned(), format!("dnslink={text}")];
    let zone = Zone(
        [
            (
                "_dnslink.example.org.".to_owned(),
                texts(&format!("/ipns/{key}/docs")),
            ),
            (
                "_dnslink.www.example.org.".to_owned(),
                texts("/ipns/example.org"),
            ),
            (
                "_dnslink.two.example.".to_owned(),
                [texts("/ipfs/bafkqaaa"), texts("/ipns/x.org")].concat(),
            ),
        ]
        .into(),
    );
    node.names().set_dns(Arc::new(zone));
    for name in ["example.org", "WWW.Example.org.", "/ipns/www.example.org"] {
        assert_eq!(
            resolve(&node, name).unwrap(),
            format!("/ipfs/{CID}/site/docs"),
            "{name}"
        );
    }
    let ttl = node
        .names()
        .resolve("www.example.org/a", &ResolveOptions::default())
        .unwrap()
        .ttl;
    assert!(ttl <= Duration::from_secs(60) && ttl > Duration::from_secs(50));
    assert!(matches!(
        resolve(&node, "two.example"),
        Err(Error::Name(NameError::ManyDnsLinks(_)))
    ));
    assert!(matches!(
        resolve(&node, "none.example"),
        Err(Error::Name(NameError::NoDnsLink(_)))
    ));
    assert!(matches!(
        resolve(&node, "broken.example"),
        Err(Error::Name(NameError::Dns { .. }))
    ));
}

#[test]
fn the_name_map_comes_first() {
    let node = node();
    let map = format!(
        "foo.example:/ipfs/{CID},Bar.example:/ipns/foo.example/x,a.example:/ipns/a.example"
    );
    let state = NamesState::new(node.config(), Some(&map)).unwrap();
    assert_eq!(state.fixed.len(), 3);
    let node = node.with_names(state);
    node.names().set_dns(Arc::new(Zone::default()));
    assert_eq!(
        resolve(&node, "bar.example/y").unwrap(),
        format!("/ipfs/{CID}/x/y")
    );
    assert!(matches!(
        resolve(&node, "a.example"),
        Err(Error::Name(NameError::TooDeep(_)))
    ));
    assert!(matches!(
        resolve(&node, "b.example"),
        Err(Error::Name(NameError::NoDnsLink(_)))
    ));
}

#[test]
fn every_verb_follows_names() {
    let node = node();
    let sources = vec![Source::bytes("f", "hello names")];
    let options = AddOptions {
        wrap: true,
        ..AddOptions::default()
    };
    let report = node
        .files()
        .add(sources, &options, &mut |_| Ok(()))
        .unwrap();
    let root = report.roots.last().unwrap().cid.clone();
    let name = publish(&node, "k", &format!("/ipfs/{root}"));
    assert_eq!(node.resolve(&format!("/ipns/{name}")).unwrap(), root);
    let mut text = String::new();
    let mut stream = node.files().cat(&format!("/ipns/{name}/f")).unwrap();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert_eq!(text, "hello names");
}

/// Answers each question with one TXT record, as a name server on the wire does.
fn serve_dns(socket: UdpSocket, texts: &'static [&'static str]) {
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 1500];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let query = &buffer[..len];
            let name_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend_from_slice(&query[12..name_end + 4]);
            answer.extend([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 120]);
            let pieces: Vec<u8> = texts
                .iter()
                .flat_map(|text| std::iter::once(text.len() as u8).chain(text.bytes()))
                .collect();
            answer.extend((pieces.len() as u16).to_be_bytes());
            answer.extend(pieces);
            socket.send_to(&answer, peer).unwrap();
        }
    });
}

#[test]
fn the_resolver_of_choice_is_asked_over_the_wire() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    serve_dns(socket, &["dnslink=/ipfs/", CID, "/wire"]);
    let resolvers = serde_json::json!({"wire.test.": address});
    let node = Node::builder()
        .in_memory()
        .set("DNS.Resolvers", resolvers)
        .open()
        .unwrap();
    let resolved = node
        .names()
        .resolve("a.wire.test", &ResolveOptions::default())
        .unwrap();
    assert_eq!(resolved.path.to_string(), format!("/ipfs/{CID}/wire"));
    assert!(resolved.ttl <= Duration::from_secs(120) && resolved.ttl > Duration::from_secs(100));
    // From inside another runtime, too.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let path = runtime.block_on(async { resolve(&node, "b.wire.test").unwrap() });
    assert_eq!(path, format!("/ipfs/{CID}/wire"));
}
