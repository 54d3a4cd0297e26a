//! Spans for a collector of OpenTelemetry, which is this test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::{Daemon, Home};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A batch: its path and its bytes.
type Batch = (String, Vec<u8>);

/// A collector that takes everything.
fn collector() -> (String, Receiver<Batch>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (send, batches) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let send = send.clone();
            thread::spawn(move || take(stream, &send));
        }
    });
    (address, batches)
}

fn take(mut stream: TcpStream, send: &Sender<Batch>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => lines.push(line.to_lowercase()),
        }
    }
    let length = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    // The test may have ended.
    let _ = send.send((path, body));
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

fn start(home: &Home, variables: &[(&str, &str)]) -> Daemon {
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let mut command = home.command(["daemon", "--offline"]);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OTEL_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    Daemon::launch(command)
}

fn has(body: &[u8], wanted: &[u8]) -> bool {
    body.windows(wanted.len()).any(|window| window == wanted)
}

#[test]
fn a_collector_gets_the_spans_of_requests() {
    let home = Home::alone();
    let (address, batches) = collector();
    let variables = [
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_SERVICE_NAME", "a node"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let daemon = start(&home, &variables);
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let asked = [("traceparent", parent.as_str()), ("X-Request-Id", "mine-7")];
    assert_eq!(
        daemon.ask("POST", "/api/v0/key/list", &asked, b"").status,
        200
    );
    assert_eq!(daemon.post("cat?arg=nonsense").status, 500);
    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&TRACE[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let (mut first, mut second) = (false, false);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !(first && second) {
        let left = deadline.saturating_duration_since(Instant::now());
        let (path, body) = batches.recv_timeout(left).expect("the spans come");
        assert_eq!(path, "/v1/traces");
        assert!(has(&body, b"a node") && has(&body, b"service.version"));
        first |= has(&body, b"key/list") && has(&body, &id) && has(&body, b"mine-7");
        second |= has(&body, b"rpc.method") && has(&body, b"nonsense");
    }
    assert_eq!(home.ok(["shutdown"]), "");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_collector_that_is_not_there_keeps_nobody_waiting() {
    let home = Home::alone();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", address.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
    ];
    let daemon = start(&home, &variables);
    for _ in 0..200 {
        assert_eq!(daemon.post("version").status, 200);
    }
    assert_eq!(home.ok(["shutdown"]), "");
    assert_eq!(daemon.end(), 0);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let home = Home::alone();
    for (name, value) in [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ] {
        let mut command = home.command(["daemon", "--offline"]);
        command.env("OTEL_TRACES_EXPORTER", "otlp").env(name, value);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(value), "{told}");
    }
}
