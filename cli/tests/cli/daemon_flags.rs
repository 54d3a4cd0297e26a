//! Options of `daemon`, and `migrate` and `pin remote` where no Kubo and no service is needed.

use super::harness::{Daemon, Home, json, noise};
use super::network::eventually;

#[test]
fn garbage_goes_by_itself_above_the_watermark() {
    let home = Home::new();
    for (key, value) in [
        ("Datastore.StorageMax", "50MB"),
        ("Datastore.GCPeriod", "100ms"),
    ] {
        home.ok(["config", key, value]);
    }
    home.ok(["config", "--json", "Datastore.StorageGCWatermark", "2"]);
    home.write("kept", noise(1, 200_000));
    home.write("dead", noise(2, 3_000_000));
    let kept = home.ok(["add", "-Q", "kept"]);
    let _daemon = Daemon::start_with(&home, &["--offline", "--enable-gc"]);
    home.ok(["add", "-Q", "--pin=false", "dead"]);
    eventually("the repo shrinks", || {
        let stat = json(&home.ok(["repo", "stat", "--enc=json"]));
        stat["RepoSize"].as_u64().unwrap() < 1_000_000
    });
    assert_eq!(home.run(["cat", &kept]).stdout, noise(1, 200_000));
}

#[test]
fn without_the_option_nothing_goes() {
    let home = Home::new();
    home.ok(["config", "Datastore.GCPeriod", "10ms"]);
    home.ok(["config", "--json", "Datastore.StorageGCWatermark", "1"]);
    home.ok(["config", "Datastore.StorageMax", "50MB"]);
    home.write("loose", noise(3, 1_000_000));
    let _daemon = Daemon::start(&home);
    let loose = home.ok(["add", "-Q", "--pin=false", "loose"]);
    // Many periods, and many looks.
    for _ in 0..20 {
        assert_eq!(home.run(["cat", &loose]).stdout, noise(3, 1_000_000));
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason() {
    let home = Home::new();
    for (option, reason) in [
        ("--mount", "FUSE"),
        ("--disable-transport-encryption", "always encrypted"),
        ("--routing=supernode", "has been removed"),
        ("--routing=magic", "unrecognized routing option: magic"),
    ] {
        let told = home.fails(["daemon", "--offline", option]);
        assert!(told.contains(reason), "{option}: {told}");
    }
    home.ok(["config", "Datastore.GCPeriod", "1h"]);
    let told = home.fails([
        "daemon",
        "--offline",
        "--init",
        "--init-config=/nowhere",
        "--mount",
    ]);
    assert!(told.contains("FUSE"), "{told}");
}

#[test]
fn a_suffix_of_the_agent_version_and_kinds_of_routing() {
    let home = Home::bare();
    home.ok(["init", "--profile=test"]);
    let agent = |home: &Home| {
        let id = json(&home.ok(["id", "--enc=json"]));
        id["AgentVersion"].as_str().unwrap().to_owned()
    };
    let daemon = Daemon::start_with(&home, &["--agent-version-suffix=mine", "--routing=none"]);
    assert!(agent(&home).ends_with("/mine"), "{}", agent(&home));
    let told = home.fails(["routing", "findprovs", "--timeout=5s", "bafkqaaa"]);
    assert!(told.contains("routing is off"), "{told}");
    drop(daemon);
    // The configuration goes before the command line, as in Kubo.
    home.ok(["config", "Version.AgentSuffix", "theirs"]);
    let _daemon = Daemon::start_with(&home, &["--agent-version-suffix=mine"]);
    assert!(agent(&home).ends_with("/theirs"), "{}", agent(&home));
}

#[test]
fn a_repo_made_by_the_daemon_from_a_configuration() {
    let home = Home::bare();
    let config = home.write(
        "config.json",
        r#"{"Addresses": {"API": "/ip4/127.0.0.1/tcp/0"}, "Import": {"CidVersion": 1}}"#,
    );
    let mut command = home.command(["daemon", "--offline", "--init", "--init-profile=test"]);
    command.arg(format!("--init-config={}", config.display()));
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the daemon answers", || {
        home.run(["id"]).code == 0 && home.repo().join("api").exists()
    });
    assert_eq!(home.ok(["config", "Import.CidVersion"]), "1");
    home.ok(["shutdown"]);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_migration_needs_a_repo_of_kubos() {
    let home = Home::new();
    let told = home.fails(["migrate"]);
    assert!(told.contains("--from is required"), "{told}");
    let told = home.fails(["migrate", "--from=nowhere"]);
    assert!(told.contains("nothing is there"), "{told}");
    let own = format!("--from={}", home.repo().display());
    let told = home.fails(["migrate", &own]);
    assert!(told.contains("a repo of ipfs-kit"), "{told}");
}

#[test]
fn keys_of_pinning_services_are_never_shown() {
    let home = Home::new();
    const SECRET: &str = "nobody-may-see-this";
    home.ok([
        "pin",
        "remote",
        "service",
        "add",
        "a.b",
        "http://127.0.0.1:1/x/",
        SECRET,
    ]);
    assert_eq!(
        home.ok(["pin", "remote", "service", "ls"]),
        "a.b http://127.0.0.1:1/x"
    );
    for command in [
        &["config", "show"][..],
        &["config", "Pinning"],
        &["config", "Pinning.RemoteServices"],
        &["pin", "remote", "ls", "--service=a.b"],
        &["pin", "remote", "add", "--service=a.b", "bafkqaaa"],
        &["pin", "remote", "service", "ls", "--stat", "--enc=json"],
    ] {
        let ran = home.run(command);
        let text = ran.text() + &ran.stderr;
        assert!(!text.contains(SECRET), "{command:?}: {text}");
    }
    let told = home.fails(["pin", "remote", "ls", "--service=a.b"]);
    assert!(
        told.contains("empty response from remote pinning service"),
        "{told}"
    );
    home.ok(["pin", "remote", "service", "rm", "a.b"]);
    assert_eq!(home.ok(["pin", "remote", "service", "ls"]), "");
}

#[test]
fn there_is_no_filestore_and_nothing_to_migrate() {
    let home = Home::new();
    home.write("f", "f");
    for command in [
        &["filestore", "ls"][..],
        &["filestore", "verify"],
        &["filestore", "dups"],
    ] {
        let told = home.fails(command);
        assert!(told.contains("filestore is not enabled"), "{told}");
    }
    let told = home.fails(["add", "--nocopy", "f"]);
    assert!(told.contains("must be enabled to use nocopy"), "{told}");
    // As in Kubo, nothing more than where blocks are looked for.
    assert_eq!(
        home.ok(["add", "-Q", "--fscache", "f"]),
        home.ok(["add", "-Q", "f"])
    );
    home.ok(["config", "--json", "Experimental.FilestoreEnabled", "true"]);
    let told = home.fails(["filestore", "ls"]);
    assert!(told.contains("has no effect"), "{told}");
    assert_eq!(
        home.ok(["repo", "migrate"]),
        "Repository is already at version 1."
    );
    let told = home.fails(["repo", "migrate", "--to=0"]);
    assert!(told.contains("requires --allow-downgrade"), "{told}");
    let told = home.fails(["repo", "migrate", "--to=2"]);
    assert!(told.contains("the only version"), "{told}");
}
