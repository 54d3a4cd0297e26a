//! Calls that come while a daemon is starting, and routers that its environment names.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::harness::Home;
use super::network::{Peer, eventually};

/// Not in any repo here.
const ABSENT: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEJ";

/// A daemon that nobody waited for.
struct Begun(Child);

impl Drop for Begun {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the daemon of `home` answers to a call that is sent as soon as its address can be read.
fn first_answer(home: &Home, call: &str) -> String {
    let file = home.repo().join("api");
    let (mut address, begun) = (String::new(), Instant::now());
    while address.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no address");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let port = text.trim().strip_prefix("/ip4/127.0.0.1/tcp/");
        address = port.map_or(String::new(), |port| format!("127.0.0.1:{port}"));
    }
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = format!("Host: {address}\r\nConnection: close\r\nContent-Length: 0");
    write!(stream, "POST /api/v0/{call} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn calls_that_need_the_network_wait_for_it_to_start() {
    let other = Peer::new();
    let home = Home::bare();
    home.ok(["init", "--profile=test"]);
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let connect = format!("swarm/connect?arg={}", other.address);
    for call in [&*connect, "swarm/addrs/listen", "id"].repeat(4) {
        let mut command = home.command(["daemon"]);
        let daemon = Begun(command.stdout(Stdio::null()).spawn().unwrap());
        let answer = first_answer(&home, call);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let expected = match call {
            "swarm/addrs/listen" | "id" => "/ip4/127.0.0.1/tcp/",
            _ => "success",
        };
        assert!(answer.contains(expected), "{call}: {answer}");
        drop(daemon);
        // That was killed, so its file is still there and would be taken for the next one's.
        let _ = std::fs::remove_file(home.repo().join("api"));
    }
}

#[test]
fn routers_of_the_environment_replace_those_of_the_configuration() {
    let router = TcpListener::bind("127.0.0.1:0").unwrap();
    router.set_nonblocking(true).unwrap();
    let home = Home::bare();
    home.ok(["init", "--profile=test"]);
    for (key, value) in [
        ("Addresses.API", "\"/ip4/127.0.0.1/tcp/0\""),
        ("Routing.Type", "\"auto\""),
        ("Routing.DelegatedRouters", "[\"http://127.0.0.1:1\"]"),
    ] {
        home.ok(["config", "--json", key, value]);
    }
    let mut command = home.command(["daemon"]);
    let at = format!(" http://{}, ", router.local_addr().unwrap());
    let _daemon = Begun(
        command
            .env("IPFS_HTTP_ROUTERS", at)
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    std::thread::scope(|scope| {
        let call = format!("routing/findprovs?arg={ABSENT}&timeout=10s");
        scope.spawn(move || first_answer(&home, &call));
        let mut asked = String::new();
        eventually("the router is asked", || {
            let Ok((stream, _)) = router.accept() else {
                return false;
            };
            stream.set_nonblocking(false).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let mut reader = BufReader::new(&stream);
            let _ = reader.read_line(&mut asked);
            let empty = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = (&stream).write_all(empty.as_bytes());
            asked.contains("/routing/v1/providers/")
        });
    });
}
