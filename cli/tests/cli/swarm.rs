//! Daemons told what to let through: bandwidth, filters, peering, resources, tunnels.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::harness::{json, ndjson, noise};
use super::network::{Peer, eventually};

/// A peer that nobody is.
const NOBODY: &str = "12D3KooWQyCYjjzMcPvzyH5CSRKJLVTVfgeLwrSvrf7wB3GgeXqW";

#[test]
fn bandwidth_is_told_in_total_by_peer_and_by_protocol() {
    const SIZE: u64 = 3 << 20;
    let (a, b) = Peer::pair();
    let cid = b.home.add(noise(5, SIZE as usize));
    assert_eq!(a.home.run(["cat", &cid]).code, 0);
    let bandwidth = |args: &[&str]| {
        let args = [&["stats", "bw", "--enc=json"], args].concat();
        json(&a.home.ok(args))
    };
    for scope in [
        &[][..],
        &["--peer", &b.id],
        &["-p", &b.id],
        &["--proto=/ipfs/bitswap/1.2.0"],
        &["-t", "/ipfs/bitswap/1.2.0"],
    ] {
        let told = bandwidth(scope);
        let total = told["TotalIn"].as_u64().unwrap();
        // A block may come twice.
        assert!((SIZE..SIZE * 2).contains(&total), "{scope:?} {told}");
        let mut keys: Vec<&str> = told.as_object().unwrap().keys().map(|k| &**k).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["RateIn", "RateOut", "TotalIn", "TotalOut"]);
    }
    assert_eq!(bandwidth(&["-p", NOBODY])["TotalIn"], 0);
    let text = a.home.ok(["stats", "bw"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "Bandwidth", "{text}");
    assert!(
        lines[1].starts_with("TotalIn: ") && lines[1].ends_with(" MB"),
        "{text}"
    );
    assert!(lines[3].starts_with("RateIn: ") && lines[3].ends_with("B/s"));
    assert_eq!(lines.len(), 5, "{text}");
    let answer = a.daemon.post("stats/bw");
    assert!(json(&answer.text())["TotalIn"].as_u64() >= Some(SIZE));

    let args = ["stats", "bw", "--poll", "-i100ms", "--timeout=1s"];
    let polled = a.home.run([&args[..], &["--enc=json"]].concat());
    assert_eq!(polled.code, 124, "{}", polled.stderr);
    let count = ndjson(&polled.text()).len();
    assert!((5..=12).contains(&count), "{count}");
    let polled = a.home.run(args).text();
    let header = "Total Up    Total Down  Rate Up     Rate Down\n";
    assert!(polled.starts_with(header) && polled.ends_with('\r'));
    assert_eq!(polled.matches("Total Up").count(), 1, "{polled}");

    let both = ["stats", "bw", "-p", &b.id, "-t", "/ipfs/ping/1.0.0"];
    let error = a.home.fails(both);
    assert!(error.contains("specify peer OR protocol"), "{error}");
    for (args, text) in [
        (["-p", "nonsense"], "invalid peer id"),
        (["-t", "ping"], "use its full name"),
        (["-i", "soon"], "duration"),
        (["-i", "0s"], "too short"),
    ] {
        let error = a.home.fails([&["stats", "bw"][..], &args].concat());
        assert!(error.contains(text), "{args:?}: {error}");
    }
    let quiet = Peer::with(&[("Swarm.DisableBandwidthMetrics", "true")]);
    let error = quiet.home.fails(["stats", "bw"]);
    assert!(error.contains("bandwidth reporter disabled"), "{error}");
}

#[test]
fn filters_act_at_once_and_stay_in_the_config() {
    const RANGE: &str = "/ip4/127.0.0.0/ipcidr/8";
    let (a, b) = (Peer::new(), Peer::new());
    let config = || json(&a.home.ok(["config", "Swarm.AddrFilters"]));
    assert_eq!(a.home.ok(["swarm", "filters"]), "");
    let six = "/ip6/fc00::/ipcidr/7";
    let added = a
        .home
        .ok(["swarm", "filters", "add", "/ip4/127.9.9.9/ipcidr/8", six]);
    assert_eq!(added, format!("{RANGE}\n{six}"));
    let listed = json(&a.home.ok(["swarm", "filters", "ls", "--enc=json"]));
    assert_eq!(listed, json!({"Strings": [RANGE, six]}));
    assert_eq!(config(), json!([RANGE, six]));
    let out = a.home.fails(["swarm", "connect", &b.address]);
    assert!(out.contains(&format!("filtered by {RANGE}")), "{out}");
    b.home.fails(["swarm", "connect", &a.address]);

    let removed = a.home.ok(["swarm", "filters", "rm", RANGE]);
    assert_eq!(removed, RANGE);
    assert_eq!(config(), json!([six]));
    b.home.ok(["swarm", "connect", &a.address]);
    assert_eq!(a.home.ok(["swarm", "filters", "rm", RANGE]), "");
    assert_eq!(a.home.ok(["swarm", "filters", "rm", "all"]), six);
    assert_eq!(a.home.ok(["swarm", "filters"]), "");
    for command in ["add", "rm"] {
        let args = ["swarm", "filters", command, RANGE, "10.0.0.0/8"];
        let error = a.home.fails(args);
        assert!(error.contains("a range looks like"), "{error}");
    }
    let none = a.home.ok(["swarm", "filters"]);
    assert_eq!(none, "", "nothing is added beside what is wrong");
}

#[test]
fn a_peer_is_kept_connected_from_command_and_config() {
    let b = Peer::new();
    let bare = b.address.split("/p2p/").next().unwrap();
    let peers = json!([{"ID": b.id, "Addrs": [bare]}]).to_string();
    let a = Peer::with(&[("Peering.Peers", &peers)]);
    eventually("the configured peer is connected", || {
        a.home.ok(["swarm", "peers"]) == b.address
    });
    let listed = json(&a.home.ok(["swarm", "peering", "ls", "--enc=json"]));
    assert_eq!(listed, json!({"Peers": [{"ID": b.id, "Addrs": [bare]}]}));
    let removed = a.home.ok(["swarm", "peering", "rm", &b.id]);
    assert_eq!(removed, format!("remove {} success", b.id));
    assert_eq!(a.home.ok(["swarm", "peering", "ls"]), "");

    let c = Peer::new();
    let added = a.home.ok(["swarm", "peering", "add", &c.address]);
    assert_eq!(added, format!("add {} success", c.id));
    eventually("the added peer is connected", || {
        a.home.ok(["swarm", "peers"]).contains(&c.id)
    });
    let bare = c.address.split("/p2p/").next().unwrap();
    let listed = a.home.ok(["swarm", "peering", "ls"]);
    assert_eq!(listed, format!("{}\n\t{bare}", c.id));
    let own = format!("/p2p/{}", a.id);
    c.home.ok(["swarm", "disconnect", &own]);
    eventually("it is dialled again", || {
        c.home.ok(["swarm", "peers"]).contains(&a.id)
    });
    for (args, text) in [
        (["add", "/ip4/127.0.0.1/tcp/1"], "names no peer"),
        (["add", "nonsense"], "invalid peer id"),
        (["rm", "nonsense"], "invalid peer id"),
    ] {
        let error = a.home.fails([&["swarm", "peering"][..], &args].concat());
        assert!(error.contains(text), "{args:?}: {error}");
    }
    let mixed = ["swarm", "peering", "add", &b.address, "nonsense"];
    a.home.fails(mixed);
    let listed = a.home.ok(["swarm", "peering", "ls"]);
    assert!(
        !listed.contains(&b.id),
        "nothing is added beside what is wrong"
    );
}

#[test]
fn resources_have_kubos_shape() {
    let (a, b) = Peer::pair();
    let report = json(&a.home.ok(["swarm", "resources", "--enc=json"]));
    let system = &report["System"];
    assert_eq!(system["ConnsOutboundUsage"], 1, "{report}");
    assert_eq!(system["ConnsUsage"], 1);
    assert!(system["MemoryUsage"].as_u64().unwrap() > 1 << 20);
    assert!(system["ConnsInbound"].is_u64(), "{report}");
    assert!(report["Transient"]["ConnsInbound"].is_u64(), "{report}");
    assert_eq!(report["Peers"][&b.id]["ConnsOutboundUsage"], 1, "{report}");
    let text = a.home.ok(["swarm", "resources"]);
    let header = "Scope\t\t\tLimit Name\t\tLimit Value\t\tLimit Usage Amount\tLimit Usage Percent";
    // The table is as wide as the names of peers in it.
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(squeeze(text.lines().next().unwrap()), squeeze(header));
    assert!(text.contains("ConnsInbound"), "{text}");
}

#[test]
fn limits_come_from_the_config() {
    let a = Peer::with(&[
        ("Swarm.ResourceMgr.MaxMemory", "\"3GiB\""),
        ("Swarm.ResourceMgr.MaxFileDescriptors", "77"),
    ]);
    let report = json(&a.home.ok(["swarm", "resources", "--enc=json"]));
    let system = &report["System"];
    assert_eq!(system["Memory"], (3_u64 << 30).to_string());
    assert_eq!(
        (&system["FD"], &system["ConnsInbound"]),
        (&json!(77), &json!(3072))
    );
    let off = Peer::with(&[("Swarm.ResourceMgr.Enabled", "false")]);
    let report = json(&off.home.ok(["swarm", "resources", "--enc=json"]));
    assert_eq!(report["System"]["ConnsInbound"], "unlimited");

    let home = &a.home;
    for (key, value, text) in [
        ("Swarm.Bandwidth.Up", "\"1kB\"", "too few to connect"),
        (
            "Swarm.ResourceMgr.MaxMemory",
            "0",
            "no room for any connection",
        ),
    ] {
        let broken = super::harness::Home::bare();
        broken.ok(["init", "--profile=test"]);
        broken.ok(["config", "--json", key, value]);
        let error = broken.fails(["daemon"]);
        assert!(error.contains(key) && error.contains(text), "{error}");
    }
    for value in ["\"fast\"", "[1]", "true"] {
        let error = home.fails(["config", "--json", "Swarm.Bandwidth.Down", value]);
        assert!(error.contains("takes a size"), "{error}");
    }
}

/// A server that sends back what comes; its address.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            std::thread::spawn(move || {
                let mut data = Vec::new();
                tcp.read_to_end(&mut data).unwrap();
                tcp.write_all(&data).unwrap();
            });
        }
    });
    format!("/ip4/127.0.0.1/tcp/{port}")
}

fn through(address: &str, data: &[u8]) -> Vec<u8> {
    let port = address.rsplit('/').next().unwrap();
    let mut tcp = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    tcp.write_all(data).unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    tcp.read_to_end(&mut got).unwrap();
    got
}

const MOUNTING: (&str, &str) = ("Experimental.Libp2pStreamMounting", "true");

#[test]
fn tunnels_carry_connections_between_daemons() {
    let (a, b) = (Peer::with(&[MOUNTING]), Peer::with(&[MOUNTING]));
    assert_eq!(a.home.ok(["p2p", "ls", "-v"]), "");
    let none = json(&a.home.ok(["p2p", "ls", "--enc=json"]));
    assert_eq!(none, json!({"Listeners": null}));
    let target = echo();
    b.home.ok(["p2p", "listen", "/x/echo", &target]);
    let any = "/ip4/127.0.0.1/tcp/0";
    a.home.ok(["p2p", "forward", "/x/echo", any, &b.address]);
    let listed = json(&a.home.ok(["p2p", "ls", "--enc=json"]));
    let listener = &listed["Listeners"][0];
    let at = listener["ListenAddress"].as_str().unwrap().to_owned();
    let peer = format!("/p2p/{}", b.id);
    let shape = json!({"Protocol": "/x/echo", "ListenAddress": at, "TargetAddress": peer});
    assert_eq!(listener, &shape);
    let data = noise(3, 1 << 20);
    assert!(through(&at, &data) == data);

    let text = b.home.ok(["p2p", "ls", "-v"]);
    let own = format!("/p2p/{}", b.id);
    let row = format!("/x/echo  {own} {target}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Protocol Listen Address"), "{text}");
    assert_eq!(lines[1], row);

    let port = at.rsplit('/').next().unwrap();
    let tcp = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    eventually("the connection is listed", || {
        let streams = json(&b.home.ok(["p2p", "stream", "ls", "--enc=json"]));
        streams["Streams"][0]["OriginAddress"] == format!("/p2p/{}", a.id)
    });
    let text = a.home.ok(["p2p", "stream", "ls", "-v"]);
    assert!(text.starts_with("ID Protocol Origin"), "{text}");
    let id = text.lines().nth(1).unwrap().split(' ').next().unwrap();
    a.home.ok(["p2p", "stream", "close", id]);
    assert_eq!((&tcp).read(&mut [0; 8]).unwrap_or(0), 0, "it is cut");
    let error = a.home.fails(["p2p", "stream", "close", id]);
    assert!(error.contains("there is no stream"), "{error}");
    a.home.ok(["p2p", "stream", "close", "--all"]);

    let closed = a.home.ok(["p2p", "close", "-p=/x/echo", "-t", &peer]);
    assert_eq!(closed, "Closed 1 stream(s)");
    assert_eq!(b.home.ok(["p2p", "close", "--all", "--enc=json"]), "1");
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
}

#[test]
fn a_tunnel_in_the_foreground_ends_with_its_command() {
    let a = Peer::with(&[MOUNTING]);
    let target = "/ip4/127.0.0.1/tcp/9";
    let start = || {
        let args = ["p2p", "listen", "-f", "/x/held", target];
        let mut command = a.home.command(args);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        eventually("it listens", || {
            a.home.ok(["p2p", "ls"]).contains("/x/held")
        });
        child
    };
    let mut child = start();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    eventually("it is removed", || a.home.ok(["p2p", "ls"]).is_empty());

    let child = start();
    assert_eq!(a.home.ok(["p2p", "close", "-a"]), "Closed 1 stream(s)");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let active = format!("Listening on /x/held, forwarding to {target}, waiting for interrupt...");
    let closing = "Received interrupt, removing listener for /x/held";
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, format!("{active}\n{closing}\n"));
}

#[test]
fn tunnels_that_cannot_be() {
    let plain = Peer::new();
    for args in [
        &["ls"][..],
        &["listen", "/x/t", "/ip4/127.0.0.1/tcp/1"],
        &["forward", "/x/t", "/ip4/127.0.0.1/tcp/0", "/p2p/x"],
        &["close", "-a"],
        &["stream", "ls"],
    ] {
        let error = plain.home.fails([&["p2p"], args].concat());
        let text = "libp2p stream mounting not enabled";
        assert!(error.contains(text), "{args:?}: {error}");
    }
    let a = Peer::with(&[MOUNTING]);
    let target = "/ip4/127.0.0.1/tcp/9";
    let somebody = format!("/p2p/{NOBODY}");
    a.home.ok(["p2p", "listen", "/x/t", target]);
    a.home
        .ok(["p2p", "listen", "--allow-custom-protocol", "/own", target]);
    for (args, text) in [
        (&["listen", "/x/t", target][..], "already registered"),
        (&["listen", "t", target], "within '/x/' namespace"),
        (
            &["listen", "/x/u", "/ip4/127.0.0.1/tcp/0"],
            "port can not be 0",
        ),
        (&["listen", "/x/u", "/ip4/127.0.0.1/udp/9"], "end at TCP"),
        (&["listen", "/x/u", "nonsense"], "invalid peer address"),
        (&["listen", "/x/u"], "is required"),
        (
            &["forward", "/x/u", target, "/ip4/127.0.0.1/tcp/1"],
            "names no peer",
        ),
        (
            &["forward", "t", target, &somebody],
            "within '/x/' namespace",
        ),
        (&["close"], "no matching options given"),
        (&["close", "-a", "-p", "/x/t"], "can't combine --all"),
        (&["close", "-l", "nonsense"], "invalid address"),
        (&["stream", "close"], "no id specified"),
        (&["stream", "close", "x"], "invalid stream id"),
    ] {
        let error = a.home.fails([&["p2p"], args].concat());
        assert!(error.contains(text), "{args:?}: {error}");
    }
    assert_eq!(a.home.ok(["p2p", "ls"]).lines().count(), 2);
}

#[test]
fn routing_tables_are_shown_by_bucket() {
    let (a, b) = Peer::pair();
    let loopback = [("Routing.LoopbackAddressesOnLanDHT", "true")];
    assert_eq!(json(&a.home.ok(["config", loopback[0].0])), true);
    eventually("the peer is in the table", || {
        a.home.ok(["stats", "dht", "lan"]).contains(&b.id)
    });
    let tables = ndjson(&a.home.ok(["stats", "dht", "--enc=json"]));
    assert_eq!(
        (&tables[0]["Name"], &tables[1]["Name"]),
        (&json!("wan"), &json!("lan"))
    );
    assert_eq!(tables[0]["Buckets"], json!([]));
    let buckets = tables[1]["Buckets"].as_array().unwrap();
    let peer = &buckets.last().unwrap()["Peers"][0];
    assert_eq!(peer["ID"], b.id.as_str());
    assert_eq!(peer["Connected"], true);
    assert_eq!(peer["AgentVersion"], "ipfs-kit/0.1.0");
    let text = a.home.ok(["stats", "dht", "lanserver"]);
    assert!(text.starts_with("DHT lanserver (1 peers):"), "{text}");
    assert!(text.contains(&format!("  @ {}", b.id)), "{text}");
    let error = a.home.fails(["stats", "dht", "moon"]);
    assert!(error.contains("unknown dht type: moon"), "{error}");
    let off = Peer::with(&[("Routing.Type", "\"none\"")]);
    let error = off.home.fails(["stats", "dht"]);
    assert!(error.contains("routing is off"), "{error}");
}
