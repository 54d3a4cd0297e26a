//! Who may use the RPC: origins, methods, hosts and secrets, beside Kubo where it has the rule.

use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, scratch};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Headers that say what a browser may do. `Vary` differs: ours says `Origin` with every answer.
const TOLD: &[&str] = &[
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-credentials",
];

/// The status of an answer and the headers that matter.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Sends one request; `{port}` in a header is that of the daemon.
fn ask(daemon: &Daemon, method: &str, path: &str, headers: &[&str]) -> Result<Judged> {
    let address = daemon.address();
    let (_, port) = address.rsplit_once(':').context("no port")?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str(&format!("Host: {address}\r\n"));
    }
    for header in headers {
        request.push_str(&header.replace("{port}", port));
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("no end of the head")?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let mut told: Vec<(String, String)> = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.replace(port, "PORT")))
        .filter(|(name, _)| TOLD.contains(&name.as_str()))
        .collect();
    told.sort();
    Ok(Judged {
        status: status.with_context(|| format!("no status: {head}"))?,
        headers: told,
        body: body.to_owned(),
    })
}

fn started(peer: &Peer, settings: &[(&str, Value)]) -> Result<Daemon> {
    for (key, value) in settings {
        peer.run(["config", "--json", key, &value.to_string()])?;
    }
    Daemon::start(peer, &["--offline"])
}

const ORIGINS: &[&str] = &[
    "",
    "Origin: http://127.0.0.1:{port}",
    "Origin: https://localhost:{port}",
    "Origin: http://[::1]:{port}",
    "Origin: http://app.example",
    "Origin: http://evil.example",
    "Origin: http://127.0.0.1",
    "Origin: null",
    "Origin: chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
];

const OTHERS: &[&str] = &[
    "",
    "Referer: http://localhost:{port}/webui",
    "Referer: http://app.example/page?x#y",
    "Referer: http://evil.example/",
    "Referer: nonsense",
    "User-Agent: Mozilla/5.0 (X11)",
    "User-Agent: Mozilla/5.0 Electron/30",
    "User-Agent: curl/8",
    "Access-Control-Request-Method: POST",
    "Access-Control-Request-Method: GET",
    "Access-Control-Request-Method: PUT",
];

const METHODS: &[&str] = &["POST", "OPTIONS", "GET", "HEAD", "PUT", "BREW"];

#[test]
fn origins_and_methods_are_judged_as_by_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    for (number, headers) in [
        json!({}),
        json!({
            "Access-Control-Allow-Origin": ["http://app.example"],
            "Access-Control-Allow-Methods": ["PUT", "POST"],
            "Access-Control-Allow-Credentials": ["true"],
        }),
        json!({"Access-Control-Allow-Origin": ["*"]}),
    ]
    .into_iter()
    .enumerate()
    {
        let place = place.path().join(number.to_string());
        fs::create_dir(&place)?;
        let (ours, kubo) = Peer::pair(&place)?;
        let settings = [("API.HTTPHeaders", headers.clone())];
        let (ours, kubo) = (started(&ours, &settings)?, started(&kubo, &settings)?);
        for method in METHODS {
            for path in ["/api/v0/version", "/api/v0/nothing", "/nowhere"] {
                for origin in ORIGINS {
                    for other in OTHERS {
                        let given = [*origin, *other];
                        let given: Vec<&str> = given
                            .into_iter()
                            .filter(|header| !header.is_empty())
                            .collect();
                        let got = ask(&ours, method, path, &given)?;
                        let wanted = ask(&kubo, method, path, &given)?;
                        // Outside of the RPC Kubo has other handlers, which have no rules.
                        let fits = match path {
                            "/nowhere" => got.status == 404 && wanted.status == 404,
                            _ => got.status == wanted.status && got.headers == wanted.headers,
                        };
                        ensure!(
                            fits,
                            "{headers} {method} {path} {given:?}: ours {got:?}, kubo {wanted:?}"
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn secrets_are_asked_for_as_by_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours_peer, kubo_peer) = Peer::pair(place.path())?;
    let secrets = json!({
        "alice": {"AuthSecret": "basic:alice:pw", "AllowedPaths": ["/api/v0/pin"]},
        "bob": {"AuthSecret": "bearer:tok", "AllowedPaths": ["/api/v0"]},
        "carol": {"AuthSecret": "bare", "AllowedPaths": ["/api/v0/id"]},
    });
    let settings = [("API.Authorizations", secrets)];
    let (ours, kubo) = (
        started(&ours_peer, &settings)?,
        started(&kubo_peer, &settings)?,
    );
    for header in [
        "",
        "Authorization: Basic YWxpY2U6cHc=",
        "Authorization: Bearer tok",
        "Authorization: bearer tok",
        "Authorization: Bearer bare",
        "Authorization: bare",
        "Authorization: Bearer to",
        "Authorization: Basic tok",
        "Authorization:",
    ] {
        for path in ["version", "id", "pin/ls", "key/list", "nothing"] {
            for method in ["POST", "GET"] {
                for origin in ["", "Origin: http://evil.example"] {
                    let given = [header, origin];
                    let given: Vec<&str> = given
                        .into_iter()
                        .filter(|header| !header.is_empty())
                        .collect();
                    let path = format!("/api/v0/{path}");
                    let got = ask(&ours, method, &path, &given)?;
                    let wanted = ask(&kubo, method, &path, &given)?;
                    ensure!(
                        got.status == wanted.status,
                        "{method} {path} {given:?}: ours {got:?}, kubo {wanted:?}"
                    );
                }
            }
        }
    }
    // Ours guards the whole port, and lets browsers ask what is allowed.
    ensure!(ask(&ours, "GET", "/version", &[])?.status == 403);
    ensure!(ask(&ours, "GET", "/nowhere", &[])?.status == 403);
    ensure!(ask(&ours, "OPTIONS", "/api/v0/id", &[])?.status == 204);
    // An allowed path covers whole words.
    let alice = "Authorization: Basic YWxpY2U6cHc=";
    ensure!(ask(&ours, "POST", "/api/v0/pinata", &[alice])?.status == 403);
    ensure!(ask(&kubo, "POST", "/api/v0/pinata", &[alice])?.status == 404);
    for shown in [
        ours_peer.text(["config", "show"])?,
        ours_peer.text(["config", "API"])?,
    ] {
        ensure!(
            !shown.contains("tok") && !shown.contains("alice:pw"),
            "{shown}"
        );
    }
    let refused = ours_peer.output(["config", "API.Authorizations"])?;
    ensure!(!refused.status.success());
    // The command line has the repo's own socket, and needs none.
    ours_peer.text(["id"])?;
    Ok(())
}

#[test]
fn names_that_others_may_bind_are_refused() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, _) = Peer::pair(place.path())?;
    let daemon = started(&ours, &[("API.AllowedHosts", json!(["node.example"]))])?;
    for own in [
        "localhost",
        "127.0.0.1:1",
        "[::1]:{port}",
        "node.example:80",
        "webui.localhost",
    ] {
        let host = format!("Host: {own}");
        let judged = ask(&daemon, "POST", "/api/v0/version", &[&host])?;
        ensure!(judged.status == 200, "{own}: {judged:?}");
    }
    for foreign in [
        "evil.example:{port}",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "localhost.evil",
    ] {
        let host = format!("Host: {foreign}");
        for (method, path) in [
            ("POST", "/api/v0/version"),
            ("GET", "/version"),
            ("OPTIONS", "/api/v0/version"),
        ] {
            let judged = ask(&daemon, method, path, &[&host])?;
            ensure!(judged.status == 403, "{foreign} {method}: {judged:?}");
            ensure!(judged.body.contains("API.AllowedHosts"), "{judged:?}");
        }
    }
    Ok(())
}

/// Whether a file below `place` has the text.
fn holds(place: &Path, text: &str) -> Result<bool> {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, text)?
        } else {
            path.is_file()
                && fs::read(&path)?
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn tokens_open_what_they_were_made_for_until_they_are_removed() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, _) = Peer::pair(place.path())?;
    // Made without a daemon, and kept for it.
    let first = ours.text(["auth", "token", "add", "first", "--path=id"])?;
    let daemon = Daemon::start(&ours, &["--offline"])?;
    let bearer = |secret: &str| format!("Authorization: Bearer {}", secret.trim());
    let status = |secret: &str, path: &str| -> Result<u16> {
        Ok(ask(&daemon, "POST", path, &[&bearer(secret)])?.status)
    };
    ensure!(status(&first, "/api/v0/id")? == 200);
    ensure!(status(&first, "/api/v0/version")? == 200);
    ensure!(status(&first, "/api/v0/repo/stat")? == 403);
    ensure!(ask(&daemon, "POST", "/api/v0/id", &[])?.status == 403);
    // Made in the daemon, by its own socket.
    let options = [
        "auth",
        "token",
        "add",
        "second",
        "--method=GET",
        "--path=/version",
        "--rate=2/h",
    ];
    let second = ours.text(options)?;
    let read = |secret: &str| ask(&daemon, "GET", "/version", &[&bearer(secret)]);
    ensure!(read(&second)?.status == 200);
    ensure!(status(&second, "/api/v0/id")? == 403);
    ensure!(read(&second)?.status == 200);
    ensure!(read(&second)?.status == 429);
    let listed = ours.json(["auth", "token", "ls"])?;
    ensure!(listed[0]["Tokens"][1]["Rate"] == json!("2/h"), "{listed:?}");
    ensure!(!listed[0].to_string().contains("ecret"), "{listed:?}");
    for secret in [&first, &second] {
        ensure!(secret.trim().len() > 40, "{secret}");
        ensure!(
            !holds(ours.repo(), secret.trim())?,
            "the repo holds a secret"
        );
    }
    ours.text(["auth", "token", "rm", "first", "second"])?;
    ensure!(status(&first, "/api/v0/id")? == 403);
    ensure!(read(&second)?.status == 403);
    Ok(())
}

#[test]
fn a_daemon_that_others_reach_asks_for_a_secret() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, _) = Peer::pair(place.path())?;
    let addresses = json!(["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"]);
    ours.run(["config", "--json", "Addresses.API", &addresses.to_string()])?;
    let refused = ours.output(["daemon", "--offline"])?;
    ensure!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for remedy in ["/ip4/0.0.0.0/tcp/0", "auth token add", "--allow-unguarded"] {
        ensure!(said.contains(remedy), "{said}");
    }
    let forced = Daemon::start(&ours, &["--offline", "--allow-unguarded"])?;
    ensure!(ask(&forced, "POST", "/api/v0/version", &[])?.status == 200);
    drop(forced);
    let secret = ours.text(["auth", "token", "add", "all"])?;
    let guarded = Daemon::start(&ours, &["--offline"])?;
    ensure!(ask(&guarded, "POST", "/api/v0/version", &[])?.status == 403);
    let bearer = format!("Authorization: Bearer {}", secret.trim());
    ensure!(ask(&guarded, "POST", "/api/v0/version", &[&bearer])?.status == 200);
    Ok(())
}
