//! What a daemon tells of itself: logs, reports, jobs.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Daemon, Home, json, ndjson, noise};

/// Not in any repo here.
const ABSENT: &str = "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEJ";

/// Asks until it is as wanted.
fn wait(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !look() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A daemon without network whose standard error goes to `stderr`.
fn logging(home: &Home, options: &[&str], variables: &[(&str, &str)]) -> Daemon {
    home.ok(["config", "Addresses.API", "/ip4/127.0.0.1/tcp/0"]);
    let mut command = home.command([&["daemon", "--offline"], options].concat());
    command.stderr(File::create(home.work("stderr")).unwrap());
    command.envs(variables.iter().copied());
    Daemon::launch(command)
}

#[test]
fn levels_change_while_it_runs() {
    let home = Home::alone();
    assert!(home.fails(["log", "level"]).contains("running daemon"));
    let levels = ("GOLOG_LOG_LEVEL", "warn,gc=error");
    let daemon = logging(&home, &["--log-format=json"], &[levels]);
    let get = |call: &str| json(&daemon.post(call).text());
    assert_eq!(get("log/level"), json!({"Levels": {"": "warn"}}));
    assert_eq!(get("log/level?arg=gc"), json!({"Levels": {"gc": "error"}}));
    assert_eq!(get("log/level?arg=all")["Levels"]["(default)"], "warn");
    assert_eq!(daemon.post("log/level?arg=nosuch").status, 500);
    assert_eq!(daemon.post("log/level?arg=gc&arg=loud").status, 500);
    let said = || fs::read_to_string(home.work("stderr")).unwrap();
    home.ok(["repo", "gc"]);
    assert!(!said().contains("garbage collected"), "{}", said());
    assert_eq!(
        home.ok(["log", "level", "gc", "info"]),
        "Changed log level of 'gc' to 'info'"
    );
    assert_eq!(home.ok(["log", "level", "gc"]), "info");
    home.ok(["repo", "gc"]);
    let lines = said();
    let line = lines
        .lines()
        .find(|line| line.contains("garbage collected"));
    let line = json(line.unwrap_or_else(|| panic!("{lines}")));
    assert_eq!(line["logger"], "gc");
    assert_eq!(line["level"], "info");
    assert!(line["removed"].is_u64() && line["ts"].is_string());
    home.ok(["log", "level", "all", "error"]);
    assert_eq!(home.ok(["log", "level"]), "error");
    let names = home.ok(["log", "ls"]);
    assert!(names.lines().any(|name| name == "bitswap"), "{names}");
}

#[test]
fn the_log_can_be_followed() {
    let home = Home::alone();
    let daemon = logging(&home, &[], &[("GOLOG_LOG_LEVEL", "gc=info")]);
    let answer = std::thread::scope(|scope| {
        let tail = scope.spawn(|| daemon.post("log/tail?timeout=3s"));
        // Until the one who follows is there, nobody hears.
        wait("the log is followed", || {
            let calls = daemon.post("diag/cmds").text();
            calls.contains("log/tail")
        });
        home.ok(["repo", "gc"]);
        home.ok(["repo", "gc"]);
        tail.join().unwrap()
    });
    let text = answer.text();
    assert!(text.contains("INFO\tgc\t"), "{text}");
}

#[test]
fn calls_are_listed_without_secrets() {
    let home = Home::alone();
    let daemon = Daemon::start(&home);
    daemon.post("config?arg=Gateway.RootRedirect&arg=canary-secret");
    daemon.post("version");
    let text = daemon.post("diag/cmds").text();
    let calls = json(&text);
    let find = |name: &str| {
        let mut calls = calls.as_array().unwrap().iter();
        calls.find(|call| call["Command"] == name).cloned()
    };
    let version = find("version").unwrap();
    assert_eq!(version["Active"], false);
    assert!(version["ID"].is_u64() && version["StartTime"].is_string());
    assert_eq!(find("diag/cmds").unwrap()["Active"], true);
    assert_eq!(find("config").unwrap()["Args"][0], "Gateway.RootRedirect");
    assert!(!text.contains("canary-secret"), "{text}");
    let shown = home.ok(["diag", "cmds", "-v"]);
    assert!(
        shown.starts_with("ID") && shown.contains("version"),
        "{shown}"
    );
    home.ok(["diag", "cmds", "set-time", "0s"]);
    let left = json(&daemon.post("diag/cmds").text());
    assert_eq!(left.as_array().unwrap().len(), 1, "{left}");
}

#[test]
fn reports() {
    let home = Home::alone();
    let sys = json(&home.ok(["diag", "sys"]));
    assert_eq!(sys["net"]["online"], false);
    assert!(sys["diskinfo"]["total_space"].as_u64().unwrap() > 0);
    assert_eq!(home.ok(["diag", "healthy"]), "ok");
    assert!(home.fails(["diag", "profile"]).contains("running daemon"));
    let daemon = Daemon::start(&home);
    assert_eq!(daemon.post("diag/healthy").text(), "\"ok\"\n");
    assert_eq!(
        home.ok(["diag", "profile", "-o", "p.zip", "--profile-time=50ms"]),
        "Wrote profiles to: p.zip"
    );
    let archive = fs::read(home.work("p.zip")).unwrap();
    assert!(archive.starts_with(b"PK\x03\x04"));
    for name in ["cpu.tsv", "threads.txt", "metrics.txt", "sys.json"] {
        let found = archive
            .windows(name.len())
            .any(|window| window == name.as_bytes());
        assert!(found, "{name}");
    }
    let error = daemon.post("diag/profile?collectors=nosuch").error();
    assert!(
        error["Message"]
            .as_str()
            .unwrap()
            .contains("unknown collector")
    );
}

#[test]
fn a_supervisor_is_told() {
    let home = Home::alone();
    let socket = UnixDatagram::bind(home.work("notify")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let path = home.work("notify");
    let daemon = logging(&home, &[], &[("NOTIFY_SOCKET", path.to_str().unwrap())]);
    let mut told = [0; 256];
    let len = socket.recv(&mut told).unwrap();
    assert!(told[..len].starts_with(b"READY=1"), "{:?}", &told[..len]);
    assert_eq!(daemon.post("shutdown").status, 200);
    assert_eq!(daemon.end(), 0);
}

fn state(home: &Home, id: u64) -> Value {
    json(&home.ok(["job", "show", &id.to_string(), "--enc=json"]))
}

#[test]
fn jobs_outlive_the_daemon() {
    let home = Home::alone();
    let root = home.ok_with(["add", "-Q", "--pin=false"], noise(1, 700_000));
    assert!(
        home.fails(["pin", "add", "--background", &root])
            .contains("daemon")
    );
    let daemon = Daemon::start(&home);
    assert_eq!(
        home.ok(["pin", "add", "--background", &root]),
        "started job 1"
    );
    let text = home.ok(["job", "show", "--follow", "1"]);
    assert!(
        text.contains("state     done") && text.contains(&root),
        "{text}"
    );
    home.ok(["pin", "ls", "--type=recursive", &root]);
    assert_eq!(
        home.ok(["pin", "add", "--background", ABSENT]),
        "started job 2"
    );
    wait("it waits for the network", || {
        state(&home, 2)["Reason"].is_string()
    });
    assert_eq!(state(&home, 2)["State"], "queued");
    assert_eq!(ndjson(&daemon.post("job/ls").text())[0]["ID"], 2);
    // Killed, as by drop.
    drop(daemon);
    let _daemon = Daemon::start(&home);
    wait("it is begun again", || state(&home, 2)["Runs"] == 2);
    wait("it waits again", || state(&home, 2)["State"] == "queued");
    assert_eq!(home.ok(["job", "cancel", "2"]), "cancelled job 2");
    assert!(home.fails(["job", "cancel", "2"]).contains("ended"));
    assert!(home.fails(["job", "show", "-f", "2"]).contains("cancelled"));
    assert!(home.fails(["job", "show", "7"]).contains("no job 7"));
    let all = home.ok(["job", "ls", "--all"]);
    assert_eq!(all.lines().count(), 3, "{all}");
    home.assert_sound();
}

#[test]
fn figures_health_and_documents_are_pages() {
    let home = Home::alone();
    let daemon = Daemon::start(&home);
    let get = |path: &str| daemon.ask("GET", path, &[], b"");
    for path in ["/health", "/ready"] {
        assert_eq!(get(path).status, 200, "{path}");
        assert_eq!(daemon.ask("POST", path, &[], b"").status, 405, "{path}");
    }
    assert_eq!(json(&get("/ready").text())["status"], "ready");
    home.add("counted");
    assert_eq!(daemon.post("cat?arg=nonsense").status, 500);
    for path in ["/metrics", "/debug/metrics/prometheus"] {
        let answer = get(path);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/openmetrics-text")
        );
        let text = answer.text();
        for line in [
            "ipfs_kit_rpc_requests_total{method=\"add\",status=\"200\"} 1",
            "ipfs_kit_rpc_requests_total{method=\"cat\",status=\"500\"} 1",
            "ipfs_kit_rpc_request_duration_seconds_count{method=\"add\"} 1",
            "ipfs_kit_ready 1.0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}: {text}");
        }
        assert!(text.contains("ipfs_kit_store_blocks "), "{text}");
    }
    let document = json(&get("/api/openapi.json").text());
    assert_eq!(document, json(&home.ok(["commands", "openapi"])));
    let methods = json(&get("/api/methods").text());
    let count = document["paths"].as_object().unwrap().len();
    assert_eq!(
        2 * methods.as_array().unwrap().len(),
        count,
        "each in two versions"
    );
    let page = daemon.post("commands/reference");
    assert_eq!(page.header("content-type"), "text/markdown");
    assert!(page.text().starts_with("# RPC reference"));
}

#[test]
fn figures_are_behind_the_secret_and_health_is_not() {
    let home = Home::alone();
    let secrets = r#"{"a": {"AuthSecret": "bearer:tok", "AllowedPaths": ["/metrics"]}}"#;
    home.ok(["config", "--json", "API.Authorizations", secrets]);
    let daemon = Daemon::start(&home);
    let get = |path: &str, headers: &[(&str, &str)]| daemon.ask("GET", path, headers, b"").status;
    let token = [("Authorization", "Bearer tok")];
    for path in ["/metrics", "/debug/metrics/prometheus", "/api/methods"] {
        assert_eq!(get(path, &[]), 403, "{path}");
    }
    assert_eq!(get("/metrics", &token), 200);
    assert_eq!(get("/api/methods", &token), 403);
    assert_eq!(get("/health", &[]), 200);
    assert_eq!(get("/ready", &[]), 200);
}

#[test]
fn requests_have_ids() {
    let home = Home::alone();
    let levels = [("GOLOG_LOG_LEVEL", "gc=info")];
    let daemon = logging(&home, &["--log-format=json"], &levels);
    let id = [("X-Request-Id", "my-own.id_1")];
    let answer = daemon.ask("POST", "/api/v0/repo/gc", &id, b"");
    assert_eq!(answer.header("x-request-id"), "my-own.id_1");
    let said = fs::read_to_string(home.work("stderr")).unwrap();
    let line = said.lines().find(|line| line.contains("garbage collected"));
    let line = json(line.unwrap_or_else(|| panic!("{said}")));
    assert_eq!(line["request_id"], "my-own.id_1");
    let evil = [("X-Request-Id", "a b<script>")];
    let made = daemon.ask("POST", "/api/v0/id", &evil, b"");
    let made = made.header("x-request-id");
    assert!(made.len() >= 18 && !made.contains('<'), "{made}");
    assert_ne!(daemon.post("id").header("x-request-id"), made);
}
