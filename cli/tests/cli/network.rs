//! Two daemons on loopback, and what goes wrong between peers.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::harness::{Daemon, Home, json, ndjson, noise};

/// Not in any repo here.
pub const ABSENT: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEJ";
/// A peer that nobody is.
const NOBODY: &str = "12D3KooWQyCYjjzMcPvzyH5CSRKJLVTVfgeLwrSvrf7wB3GgeXqW";
pub const OFFLINE: &str =
    "this command must be run in online mode. Try running 'ipfs-kit daemon' first";

/// A node of the profile `test`, which keeps to loopback.
pub struct Peer {
    pub daemon: Daemon,
    pub home: Home,
    pub id: String,
    /// Its address with its id.
    pub address: String,
}

impl Peer {
    pub fn new() -> Peer {
        Peer::with(&[])
    }

    /// One with config keys set, in JSON.
    pub fn with(config: &[(&str, &str)]) -> Peer {
        let home = Home::bare();
        home.ok(["init", "--profile=test"]);
        for (key, value) in config {
            home.ok(["config", "--json", key, value]);
        }
        let daemon = Daemon::start_with(&home, &["--enable-pubsub-experiment"]);
        let info = json(&home.ok(["id", "--enc=json"]));
        Peer {
            id: info["ID"].as_str().unwrap().to_owned(),
            address: info["Addresses"][0].as_str().unwrap().to_owned(),
            daemon,
            home,
        }
    }

    pub fn pair() -> (Peer, Peer) {
        let (a, b) = (Peer::new(), Peer::new());
        let said = a.home.ok(["swarm", "connect", &b.address]);
        assert_eq!(said, format!("connect {} success", b.id));
        (a, b)
    }
}

/// Runs `check` until it holds.
#[track_caller]
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_file_comes_from_the_other() {
    let (a, b) = Peer::pair();
    let said = a.daemon.lines.join("\n");
    assert!(said.contains("Swarm listening on 127.0.0.1:"), "{said}");
    let data = noise(8, 20 << 20);
    let cid = b.home.add(&data);
    let alone = a.home.fails(["cat", "--offline", &cid]);
    assert!(alone.contains("not found locally (offline)"), "{alone}");
    let ran = a.home.run(["cat", &cid]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout == data,
        "{} bytes are not the same",
        ran.stdout.len()
    );
    let stat = json(&a.home.ok(["bitswap", "stat", "--enc=json"]));
    assert!(stat["DataReceived"].as_u64().unwrap() >= 20 << 20, "{stat}");
    assert_eq!(stat["Wantlist"], json!([]));
    let text = b.home.ok(["stats", "bitswap", "-v"]);
    assert!(
        text.starts_with("bitswap status\n\tblocks received: 0\n"),
        "{text}"
    );
    let ledger = json(&b.home.ok(["bitswap", "ledger", &a.id, "--enc=json"]));
    assert!(ledger["Sent"].as_u64().unwrap() >= 20 << 20, "{ledger}");
    assert_eq!(a.home.ok(["bitswap", "wantlist"]), "");
    let open = a.home.ok(["swarm", "peers", "--streams"]);
    assert!(open.starts_with(&b.address), "{open}");
    let streams: Vec<&str> = open.lines().skip(1).collect();
    assert!(streams.contains(&"  /ipfs/bitswap/1.2.0"), "{open}");
    let listed = json(&a.home.ok(["swarm", "peers", "--streams", "--enc=json"]));
    assert!(listed["Peers"][0]["Streams"][0]["Protocol"].is_string());
    a.home.assert_sound();
}

#[test]
fn peers_are_known_and_let_go() {
    let (a, b) = Peer::pair();
    assert_eq!(a.home.ok(["swarm", "peers"]), b.address);
    assert_eq!(a.home.ok(["peers"]), b.address);
    let listed = json(&a.home.ok(["swarm", "peers", "--enc=json", "--direction"]));
    assert_eq!(listed["Peers"][0]["Peer"], b.id.as_str());
    assert_eq!(listed["Peers"][0]["Direction"], 2);
    eventually("the peer tells who it is", || {
        let listed = json(&b.home.ok(["swarm", "peers", "--enc=json", "-v"]));
        let peer = &listed["Peers"][0];
        peer["Direction"] == 1 && peer["Identify"]["ID"] == a.id.as_str()
    });
    let info = json(&a.home.ok(["id", &b.id, "--enc=json"]));
    assert_eq!(info["ID"], b.id.as_str());
    assert_eq!(info["AgentVersion"], "ipfs-kit/0.1.0");
    let protocols = info["Protocols"].as_array().unwrap();
    assert!(protocols.contains(&json!("/ipfs/bitswap/1.2.0")), "{info}");
    let bare = b.address.split("/p2p/").next().unwrap();
    assert_eq!(b.home.ok(["swarm", "addrs", "local"]), bare);
    assert_eq!(b.home.ok(["swarm", "addrs", "local", "--id"]), b.address);
    assert_eq!(b.home.ok(["swarm", "addrs", "listen"]), bare);
    let known = json(&a.home.ok(["swarm", "addrs", "--enc=json"]));
    assert_eq!(known["Addrs"][&b.id], json!([bare]));

    let pings = a.home.ok(["ping", "-n", "2", &b.id]);
    assert_eq!(pings.matches("Pong received: time=").count(), 2, "{pings}");
    assert!(pings.contains("Average latency: "), "{pings}");
    let pongs = ndjson(&a.home.ok(["ping", "-n1", &b.address, "--enc=json"]));
    assert_eq!(pongs[0]["Text"], format!("PING {}.", b.id));
    assert!(pongs[1]["Time"].as_u64().unwrap() > 0);

    let named = format!("/p2p/{}", b.id);
    let said = a.home.ok(["swarm", "disconnect", &named]);
    assert_eq!(said, format!("disconnect {} success", b.id));
    eventually("the connection closes", || {
        a.home.ok(["swarm", "peers"]).is_empty()
    });
    let said = a.home.ok(["swarm", "disconnect", &named]);
    assert_eq!(said, format!("disconnect {} failure: not connected", b.id));
    let said = a.home.ok(["connect", bare]);
    assert_eq!(said, format!("connect {} success", b.id));
}

#[test]
fn routing_finds_what_is_provided() {
    let (a, b) = Peer::pair();
    let cid = b.home.add("found");
    eventually("the provider is found", || {
        b.home.run(["routing", "provide", &cid]).code == 0
            && a.home.ok(["routing", "findprovs", &cid]) == b.id
    });
    let events = ndjson(&a.home.ok(["routing", "findprovs", &cid, "--enc=json"]));
    assert_eq!(events[0]["Type"], 4);
    assert_eq!(events[0]["Responses"][0]["ID"], b.id.as_str());
    let bare = b.address.split("/p2p/").next().unwrap();
    let found = a.home.ok(["routing", "findpeer", &b.id]);
    assert!(found.lines().any(|line| line.starts_with(bare)), "{found}");
    assert!(a.home.ok(["dht", "query", &b.id]).contains(&b.id));
    let missing = a.home.fails(["routing", "provide", ABSENT]);
    assert!(missing.contains("cannot provide"), "{missing}");
    let nothing = a.home.fails(["routing", "get", &format!("/pk/{NOBODY}")]);
    assert!(nothing.contains("routing: not found"), "{nothing}");
}

#[test]
fn announcing_can_be_asked_for_and_watched() {
    let (a, b) = Peer::pair();
    b.home.write("tree/one", "1");
    b.home.write("tree/two", "2");
    let add = [
        "add",
        "-rQ",
        "--raw-leaves",
        "--fast-provide-root=false",
        "tree",
    ];
    let root = b.home.ok(add);
    let leaf = b
        .home
        .ok(["refs", &root])
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(a.home.ok(["routing", "findprovs", &leaf]), "");
    eventually("the whole tree is announced", || {
        b.home.run(["provide", "once", "-r", &root]).code == 0
            && a.home.ok(["routing", "findprovs", &leaf]) == b.id
    });
    let told = b.home.ok(["provide", "once", "-r", &root]);
    assert_eq!(told, "queued 3 CID(s) for immediate provide");
    let events = ndjson(&b.home.ok(["provide", "once", &root, &root, "--enc=json"]));
    assert_eq!(events, [serde_json::json!({"Queued": root})]);
    b.home.ok(["routing", "provide", "-r", &root]);
    b.home.ok(["routing", "reprovide"]);
    let stat = b.home.ok(["provide", "stat", "--lan", "--enc=json"]);
    let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
    assert_eq!(stat["Sweep"]["connectivity"]["status"], "online");
    assert!(stat["Sweep"]["schedule"]["keys"].as_u64().unwrap() >= 3);
    let past = &stat["Sweep"]["operations"]["past"];
    assert!(past["keys_provided"].as_u64().unwrap() >= 3, "{stat}");
    let brief = b.home.ok(["stats", "provide", "--lan"]);
    assert!(
        brief.starts_with("Provide queue:       0 CIDs, 0 regions"),
        "{brief}"
    );
    assert_eq!(
        b.home.ok(["provide", "clear"]),
        "removed 0 items from provide queue"
    );
    assert_eq!(b.home.ok(["provide", "clear", "-q"]), "");
    for (args, why) in [
        (
            &["provide", "stat", "--compact"][..],
            "--compact requires --all",
        ),
        (&["provide", "once", "nonsense"], "invalid CID \"nonsense\""),
        (
            &["provide", "once", ABSENT],
            "not found locally, cannot provide",
        ),
        (&["routing", "provide", "nonsense"], "invalid CID"),
    ] {
        let error = b.home.fails(args);
        assert!(error.contains(why), "{args:?}: {error}");
    }
}

#[test]
fn what_is_added_is_announced_as_the_flags_say() {
    let (a, b) = Peer::pair();
    // Where a node has just started nobody is in its tables.
    let probe = b.home.add("probe");
    eventually("routing works", || {
        b.home.run(["provide", "once", &probe]).code == 0
    });
    let add = |name: &str, flags: &[&str]| {
        b.home.write(format!("{name}/leaf"), name);
        let args = [
            &["add", "-rQ", "--raw-leaves", "--fast-provide-wait", name],
            flags,
        ]
        .concat();
        let root = b.home.ok(args);
        let leaf = b.home.ok(["refs", &root]);
        let found = |cid: &str| a.home.ok(["routing", "findprovs", cid]) == b.id;
        (found(&root), found(&leaf))
    };
    assert_eq!(add("root", &[]), (true, false));
    assert_eq!(add("dag", &["--fast-provide-dag"]), (true, true));
    assert_eq!(add("none", &["--fast-provide-root=false"]), (false, false));
}

#[test]
fn messages_go_both_ways() {
    let (a, b) = Peer::pair();
    for (from, to, text) in [(&a, &b, "hello"), (&b, &a, "hello back")] {
        let mut command = to.home.command(["pubsub", "sub", "t/ö", "--enc=json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        eventually("the subscription is known", || {
            from.home.ok(["pubsub", "peers", "t/ö"]) == to.id
        });
        assert_eq!(to.home.ok(["pubsub", "ls"]), "t/ö");
        from.home.ok_with(["pubsub", "pub", "t/ö"], text);
        let mut line = Vec::new();
        let stdout = child.stdout.as_mut().unwrap();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        let message = json(&String::from_utf8(line).unwrap());
        assert_eq!(message["from"], from.id.as_str());
        let data = message["data"].as_str().unwrap();
        assert_eq!(to.home.ok_with(["multibase", "decode"], data), text);
        assert_eq!(message["topicIDs"], json!(["udC_Dtg"]));
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        child.wait().unwrap();
        eventually("the subscription ends", || {
            to.home.ok(["pubsub", "ls"]).is_empty()
        });
    }
    let long = a.home.run_with(["pubsub", "pub", "t"], noise(1, 300 << 10));
    assert!(long.stderr.contains("the limit is"), "{}", long.stderr);
    let plain = a.daemon.post("pubsub/peers?arg=!");
    assert!(plain.text().contains("multibase"), "{}", plain.text());
}

#[test]
fn bad_input() {
    let (a, b) = Peer::pair();
    for (args, text) in [
        (
            &["swarm", "connect", "/ip4/nonsense"][..],
            "invalid peer address",
        ),
        (&["swarm", "connect", "nonsense"], "invalid peer id"),
        (
            &["swarm", "disconnect", "/ip4/127.0.0.1/tcp/1"],
            "names no peer",
        ),
        (&["ping", "nonsense"], "invalid peer id"),
        (&["ping", &a.id], "can't ping self"),
        (
            &["ping", "-n0", &b.id],
            "ping count must be greater than 0, was 0",
        ),
        (&["id", "nonsense"], "invalid peer id"),
        (&["routing", "findprovs", "nonsense"], "invalid key"),
        (&["routing", "findprovs", "-n0", ABSENT], "greater than 0"),
        (&["routing", "get", "/x/y"], "invalid key"),
        (&["bitswap", "ledger", "nonsense"], "invalid peer id"),
    ] {
        let error = a.home.fails(args);
        assert!(error.contains(text), "{args:?}: {error}");
    }
    // Right address, wrong peer.
    let bare = b.address.split("/p2p/").next().unwrap();
    let wrong = a
        .home
        .fails(["swarm", "connect", &format!("{bare}/p2p/{NOBODY}")]);
    assert!(
        wrong.contains(&format!("connect {NOBODY} failure: ")),
        "{wrong}"
    );
    assert!(wrong.contains(&b.id), "{wrong}");
    let refused = format!("/ip4/127.0.0.1/tcp/1/p2p/{NOBODY}");
    let error = a.home.fails(["swarm", "connect", &refused]);
    assert!(error.contains("failure: failed to dial"), "{error}");
    let ping = a.home.run(["ping", &refused]);
    assert!(ping.text().contains("Ping error: "), "{}", ping.text());
    assert!(ping.stderr.contains("ping failed"), "{}", ping.stderr);

    let start = Instant::now();
    let ran = a.home.run(["cat", "--timeout=2s", ABSENT]);
    let took = start.elapsed();
    assert_eq!(ran.code, 124, "{}", ran.stderr);
    let error = format!("could not fetch {ABSENT}: the time is up");
    assert!(ran.stderr.contains(&error), "{}", ran.stderr);
    assert!((2.0..4.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[test]
fn without_network_they_say_so() {
    let home = Home::bare();
    home.ok(["init", "--profile=test"]);
    let check = || {
        for args in [
            &["swarm", "peers"][..],
            &["swarm", "connect", "/ip4/127.0.0.1/tcp/1"],
            &["swarm", "disconnect", "/ip4/127.0.0.1/tcp/1"],
            &["swarm", "addrs"],
            &["swarm", "addrs", "local"],
            &["peers"],
            &["ping", NOBODY],
            &["routing", "findprovs", ABSENT],
            &["routing", "findpeer", NOBODY],
            &["routing", "get", "/pk/x"],
            &["routing", "provide", ABSENT],
            &["routing", "reprovide"],
            &["provide", "stat"],
            &["provide", "clear"],
            &["provide", "once", ABSENT],
            &["stats", "provide"],
            &["dht", "query", NOBODY],
            &["bitswap", "stat"],
            &["bitswap", "wantlist"],
            &["bitswap", "ledger", NOBODY],
            &["stats", "bitswap"],
            &["stats", "bw"],
            &["swarm", "filters"],
            &["swarm", "filters", "add", "/ip4/10.0.0.0/ipcidr/8"],
            &["swarm", "peering", "ls"],
            &["swarm", "resources"],
            &["p2p", "ls"],
            &["p2p", "listen", "/x/t", "/ip4/127.0.0.1/tcp/1"],
            &["p2p", "close", "-a"],
            &["stats", "dht"],
            &["pubsub", "ls"],
            &["pubsub", "sub", "t"],
        ] {
            let error = home.fails(args);
            assert!(error.contains(OFFLINE), "{args:?}: {error}");
        }
        let error = home.fails(["id", NOBODY]);
        assert!(error.contains("without a running daemon"), "{error}");
    };
    check();
    let _daemon = Daemon::start(&home);
    check();
}

#[test]
fn it_stops_while_something_waits_for_the_network() {
    let a = Peer::new();
    let mut command = a.home.command(["cat", ABSENT]);
    let mut waiting = command.stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    kill_process(Pid::from_child(a.daemon.child()), Signal::TERM).unwrap();
    assert_eq!(a.daemon.end(), 0);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(!waiting.wait().unwrap().success());
    assert!(!a.home.repo().join("api.sock").exists());
    a.home.assert_sound();
}
