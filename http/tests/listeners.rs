//! The server at real sockets: deadlines, limits, secrets, TLS, HTTP/2.

// What fails in a helper fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used)]
#![allow(clippy::result_large_err, reason = "the error is the node's")]

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ipfs_kit_http::server::{Server, Stopper};
use ipfs_kit_node::Node;
use ipfs_kit_node::tokens::{Rate, Scope};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longest wait for anything that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server of a node in memory, on a port of its own.
struct Running {
    node: Node,
    at: SocketAddr,
    stopper: Stopper,
    serving: JoinHandle<()>,
}

/// A node in memory.
fn node(settings: &[(&str, Value)]) -> Node {
    let mut builder = Node::builder().in_memory();
    for (key, value) in settings {
        builder = builder.set(*key, value.clone());
    }
    builder.open().unwrap()
}

impl Running {
    fn start(settings: &[(&str, Value)]) -> Running {
        Running::at("/ip4/127.0.0.1/tcp/0", settings)
    }

    fn at(address: &str, settings: &[(&str, Value)]) -> Running {
        Running::of(node(settings), address, None)
    }

    /// With the repo's own socket.
    fn with_socket(settings: &[(&str, Value)], socket: &Path) -> Running {
        Running::of(node(settings), "/ip4/127.0.0.1/tcp/0", Some(socket))
    }

    fn of(node: Node, address: &str, socket: Option<&Path>) -> Running {
        let server = Server::bind(node.clone(), &[address.to_owned()], socket).unwrap();
        let bound = server.addresses().remove(0);
        let port = bound.split('/').nth(4).unwrap();
        Running {
            node,
            at: format!("127.0.0.1:{port}").parse().unwrap(),
            stopper: server.stopper(),
            serving: tokio::spawn(server.run()),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    /// One request on a connection of its own.
    async fn ask(&self, path: &str, headers: &str) -> Answer {
        let mut stream = self.connect().await;
        let head = format!(
            "POST /api/v0/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        Answer::read(&mut stream).await
    }

    async fn is_served(&self) {
        let answer = self.ask("version", "").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    async fn stop(self) {
        self.stopper.stop();
        within("the server stops", self.serving).await.unwrap();
    }
}

/// A response, to the end of the connection.
#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    async fn read(stream: &mut TcpStream) -> Answer {
        let mut bytes = Vec::new();
        within("an answer", stream.read_to_end(&mut bytes))
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let status = text.get(9..12).and_then(|digits| digits.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("no status: {text:?}")),
            text,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

async fn within<T>(what: &str, act: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, act).await;
    done.unwrap_or_else(|_| panic!("waited too long: {what}"))
}

/// Reads until the server closes the connection.
async fn closed(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = within("the server closes", stream.read_to_end(&mut bytes)).await;
}

/// A request with a body of which the first bytes are there and the others never come.
fn upload(path: &str) -> String {
    format!(
        "POST /api/v0/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nsome"
    )
}

fn millis(count: u64) -> Value {
    json!(format!("{count}ms"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_hold_for_heads_bodies_and_idle_connections() {
    let server = Running::start(&[
        ("API.Limits.HeaderTimeout", millis(300)),
        ("API.Limits.BodyTimeout", millis(300)),
        ("API.Limits.IdleTimeout", millis(300)),
    ]);
    let mut silent = server.connect().await;
    let mut slow_head = server.connect().await;
    slow_head
        .write_all(b"POST /api/v0/version HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let mut slow_body = server.connect().await;
    slow_body.write_all(upload("add").as_bytes()).await.unwrap();
    let mut idle = server.connect().await;
    let whole = b"POST /api/v0/version HTTP/1.1\r\nHost: localhost\r\n\r\n";
    idle.write_all(whole).await.unwrap();
    let mut second_head = server.connect().await;
    second_head.write_all(whole).await.unwrap();
    second_head.write_all(b"POST /api").await.unwrap();
    // Bytes that trickle do not help.
    let mut trickle = server.connect().await;
    trickle.write_all(upload("add").as_bytes()).await.unwrap();
    let trickling = tokio::spawn(async move {
        while trickle.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for stream in [
        &mut silent,
        &mut slow_head,
        &mut slow_body,
        &mut idle,
        &mut second_head,
    ] {
        closed(stream).await;
    }
    within("the trickle ends", trickling).await.unwrap();
    server.is_served().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_nobody_takes_ends() {
    let server = Running::start(&[
        ("API.Limits.ReplyTimeout", millis(300)),
        ("API.Limits.MaxConcurrentRequests", json!(1)),
    ]);
    // More than the buffers of two sockets hold.
    let bytes = vec![7; 64 << 20];
    let source = ipfs_kit_node::Source::Reader {
        name: None,
        reader: Box::new(io::Cursor::new(bytes)),
    };
    let node = server.node.clone();
    let added = tokio::task::spawn_blocking(move || {
        let options = ipfs_kit_node::AddOptions::default();
        node.files().add(vec![source], &options, &mut |_| Ok(()))
    });
    let cid = added.await.unwrap().unwrap().roots[0].cid.to_string();
    let mut reader = server.connect().await;
    let head = format!("POST /api/v0/cat?arg={cid} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    reader.write_all(head.as_bytes()).await.unwrap();
    // Its head is there, so its command has the only room.
    let mut first = [0; 1];
    within("the reply begins", reader.read_exact(&mut first))
        .await
        .unwrap();
    let start = Instant::now();
    loop {
        // Not one of those that need no room.
        let answer = server.ask("repo/stat", "").await;
        if answer.status == 200 {
            break;
        }
        assert_eq!(answer.status, 429, "{}", answer.text);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(start.elapsed() < PATIENCE, "the room is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_requests_are_served_beside_slow_sockets() {
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    // Both ends of every socket are files of this process.
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let slow = usize::try_from(files.saturating_sub(256) / 2)
        .unwrap()
        .min(2_000);
    let server = Running::start(&[
        ("API.Limits.MaxConnections", json!(4096)),
        ("API.Limits.MaxConcurrentRequests", json!(16)),
        ("API.Limits.BodyTimeout", json!("60s")),
    ]);
    let mut standing = Vec::new();
    for number in 0..slow {
        let mut stream = server.connect().await;
        let text = match number % 4 {
            0 => String::new(),
            1 => "POST /api/v0/version HTTP/1.1\r\nHost: ".to_owned(),
            2 => "P".to_owned(),
            // More of them than there is room for commands.
            _ => upload("add"),
        };
        // One that was evicted already is no failure.
        let _ = stream.write_all(text.as_bytes()).await;
        standing.push(stream);
    }
    assert_eq!(standing.len(), slow);
    let mut served = 0;
    let start = Instant::now();
    while served < 100 {
        // Every other one needs room among the commands.
        let call = if served % 2 == 0 {
            "repo/stat"
        } else {
            "version"
        };
        let answer = server.ask(call, "").await;
        match answer.status {
            200 => served += 1,
            // What an honest client does.
            429 => tokio::time::sleep(Duration::from_millis(100)).await,
            other => panic!("{other}: {}", answer.text),
        }
        assert!(start.elapsed() < PATIENCE, "{served} served");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brief_calls_are_answered_while_all_room_is_taken() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("own.sock");
    let settings = [("API.Limits.MaxConcurrentRequests", json!(1))];
    let server = Running::with_socket(&settings, &socket);
    let put = ipfs_kit_node::BlockPut::default();
    let stat = server.node.blocks().put(Bytes::from_static(b"here"), &put);
    let cid = stat.unwrap().cid;
    // The owner's own pipe may take any time, so it keeps its place.
    let mut pipe = tokio::net::UnixStream::connect(&socket).await.unwrap();
    pipe.write_all(upload("add").as_bytes()).await.unwrap();
    let start = Instant::now();
    while server.ask("repo/stat", "").await.status != 429 {
        assert!(start.elapsed() < PATIENCE, "the upload takes no room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for call in ["id", "version"] {
        let answer = server.ask(call, "").await;
        assert_eq!(answer.status, 200, "{call}: {}", answer.text);
    }
    let answer = server.ask(&format!("block/get?arg={cid}"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("here"), "{}", answer.text);
    // What is not there has to be looked for, for which there is no room.
    let absent = "block/get?arg=bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    assert_eq!(server.ask(absent, "").await.status, 429);
    assert_eq!(server.ask("repo/stat", "").await.status, 429);
    drop(pipe);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_reply_gives_his_place() {
    let server = Running::start(&[("API.Limits.MaxConnections", json!(1))]);
    let put = ipfs_kit_node::BlockPut::default();
    let block = Bytes::from(vec![7; 256 << 10]);
    let cid = server.node.blocks().put(block, &put).unwrap().cid;
    let mut greedy = server.connect().await;
    // More than the buffers of two sockets hold, and each of it all there at once.
    let one = format!("POST /api/v0/block/get?arg={cid} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    greedy.write_all(one.repeat(400).as_bytes()).await.unwrap();
    let mut first = [0; 1];
    within("the first reply begins", greedy.read_exact(&mut first))
        .await
        .unwrap();
    server.is_served().await;
    drop(greedy);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_gives_the_place_of_who_is_idle_longest() {
    let server = Running::start(&[("API.Limits.MaxConnections", json!(8))]);
    let mut busy = server.connect().await;
    busy.write_all(upload("add").as_bytes()).await.unwrap();
    let mut first = server.connect().await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(server.connect().await);
    }
    for _ in 0..20 {
        server.is_served().await;
    }
    closed(&mut first).await;
    // Who is being served keeps his place.
    let rest = "x".repeat(100_000);
    busy.write_all(rest.as_bytes()).await.unwrap();
    let mut byte = [0; 1];
    within("the busy one is answered", busy.read_exact(&mut byte))
        .await
        .unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_held_to_their_limits_and_revoked_at_once() {
    let server = Running::start(&[]);
    server.is_served().await;
    let scope = Scope {
        paths: vec!["/api/v0/block/put".to_owned(), "/api/v0/id".to_owned()],
        max_bytes: Some(1_000),
        rate: Some(Rate {
            requests: 3,
            seconds: 3600,
        }),
        ..Scope::default()
    };
    let add = |name: &str, scope: Scope| {
        let (_, secret) = server.node.tokens().add(name, scope).unwrap();
        format!("Authorization: Bearer {}\r\n", *secret)
    };
    let token = add("ci", scope);
    let admin = add("admin", Scope::default());
    assert_eq!(server.ask("version", "").await.status, 403);
    assert_eq!(server.ask("version", &admin).await.status, 200);
    assert_eq!(server.ask("repo/stat", &token).await.status, 403);

    let body = "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nblock\r\n--b--\r\n";
    let form = |length: usize| {
        format!(
            "{token}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n"
        )
    };
    // Requests that were refused for their path have not been counted.
    let answer = server
        .ask("block/put", &format!("{}\r\n{body}", form(body.len())))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(server.ask("block/put", &form(1_001)).await.status, 413);
    // A length that is not told does not get around it.
    let chunked = format!(
        "{token}Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n\
         7d0\r\n{}\r\n0\r\n\r\n",
        "y".repeat(2_000)
    );
    let answer = server.ask("block/put", &chunked).await;
    assert!(
        answer.text.contains("longer than this token allows"),
        "{}",
        answer.text
    );
    let answer = server.ask("version", &token).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");

    server.node.tokens().remove("admin").unwrap();
    assert_eq!(server.ask("version", &admin).await.status, 403);
    server.node.tokens().remove("ci").unwrap();
    assert_eq!(
        server.ask("version", "").await.status,
        403,
        "the last one does not open the port"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_spoken_with_and_without_tls() {
    let place = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(place.path());
    let settings = [
        ("API.TLS.Certificate", json!(place.path().join("cert.pem"))),
        ("API.TLS.Key", json!(place.path().join("key.pem"))),
    ];
    let plain = Running::start(&[]);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        TokioExecutor::new(),
        TokioIo::new(plain.connect().await),
    )
    .await
    .unwrap();
    let driving = tokio::spawn(connection);
    let uri = format!("http://{}/api/v0/version", plain.at);
    let request = Request::post(&uri).body(Empty::<Bytes>::new()).unwrap();
    let response = within("an answer", sender.send_request(request))
        .await
        .unwrap();
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, Version::HTTP_2)
    );
    let foreign = Request::post("http://evil.example/api/v0/version");
    let foreign = foreign.body(Empty::<Bytes>::new()).unwrap();
    let response = within("an answer", sender.send_request(foreign))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    drop(sender);
    let _ = within("the connection ends", driving).await;
    plain.stop().await;

    let tls = Running::at("/ip4/127.0.0.1/tcp/0/https", &settings);
    for (protocol, version) in [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)] {
        let answered = over_tls(&tls, &certificate, protocol).await;
        assert_eq!(answered, (StatusCode::OK, version));
    }
    // Without TLS nothing is answered there.
    let mut bare = tls.connect().await;
    bare.write_all(b"POST /api/v0/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    let _ = within("the server closes", bare.read_to_end(&mut bytes)).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("HTTP/1.1 200"));
    drop(key);
    tls.stop().await;
}

/// Writes a certificate for this machine and its key.
fn certificate(place: &Path) -> (rcgen::Certificate, rcgen::KeyPair) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, key_pair } = rcgen::generate_simple_self_signed(names).unwrap();
    std::fs::write(place.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(place.join("key.pem"), key_pair.serialize_pem()).unwrap();
    (cert, key_pair)
}

async fn over_tls(
    server: &Running,
    certificate: &rcgen::Certificate,
    protocol: &str,
) -> (StatusCode, Version) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(
        "a handshake",
        connector.connect(name, server.connect().await),
    );
    let stream = TokioIo::new(stream.await.unwrap());
    let request = Request::post("https://localhost/api/v0/version").header("host", "localhost");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = if protocol == "h2" {
        let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
        let (mut sender, connection) = shaken.await.unwrap();
        tokio::spawn(connection);
        within("an answer", sender.send_request(request))
            .await
            .unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        within("an answer", sender.send_request(request))
            .await
            .unwrap()
    };
    let told = (response.status(), response.version());
    let body = within("a body", response.into_body().collect())
        .await
        .unwrap();
    assert!(body.to_bytes().starts_with(b"{\"Version\""));
    told
}

#[test]
fn nothing_listens_for_others_without_secrets() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let address = ["/ip4/0.0.0.0/tcp/0".to_owned()];
    let bind = |node: &Node| Server::bind(node.clone(), &address, None).map(|_| ());
    let open = |settings: &[(&str, Value)]| {
        let mut builder = Node::builder().in_memory();
        for (key, value) in settings {
            builder = builder.set(*key, value.clone());
        }
        builder.open().unwrap()
    };
    let node = open(&[]);
    let refused = bind(&node).unwrap_err().to_string();
    for remedy in [
        "auth token add",
        "API.Authorizations",
        "127.0.0.1",
        "--allow-unguarded",
    ] {
        assert!(refused.contains(remedy), "{refused}");
    }
    node.tokens().add("ci", Scope::default()).unwrap();
    bind(&node).unwrap();
    bind(&open(&[("API.AllowUnguarded", json!(true))])).unwrap();
    let secrets = json!({"ci": {"AuthSecret": "bearer:x", "AllowedPaths": ["/api/v0"]}});
    bind(&open(&[("API.Authorizations", secrets)])).unwrap();
}
