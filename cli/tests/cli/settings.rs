//! Global options: flag over variable over file over default.

use super::harness::{Home, Ran, json};

fn with(home: &Home, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = home.command(args);
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

#[test]
fn formats_before_and_after() {
    let home = Home::new();
    let cid = home.add("hello");
    for args in [
        ["--format", "json", "stat", &cid],
        ["stat", &cid, "--format", "json"],
    ] {
        assert_eq!(json(&home.ok(args))["Hash"], cid);
    }
    let yaml = home.ok(["--format=yaml", "block", "stat", &cid]);
    assert!(yaml.contains(&format!("Key: {cid}\nSize: ")), "{yaml}");
    let table = home.ok(["block", "stat", &cid, "--format=table"]);
    assert!(
        table.starts_with("Key ") && table.contains(" Size\n"),
        "{table}"
    );
    home.write("d/a", "1");
    home.write("d/b", "2");
    let dir = home.ok(["add", "-rQ", "d"]);
    let rows = home.ok(["ls", &dir, "--format=table"]);
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(
        home.ok(["add", "-r", "d", "--format=yaml"])
            .contains("---\n")
    );
    let text = home.ok(["--format=text", "block", "stat", &cid]);
    assert_eq!(text, home.ok(["block", "stat", &cid]));
    for args in [["--format=ini", "version"], ["--enc=ini", "version"]] {
        home.fails(args);
    }
    home.fails(["--format=json", "--enc=json", "version"]);
}

#[test]
fn flag_over_variable_over_file() {
    let home = Home::new();
    let file = home.write("c.yaml", "format: yaml\n");
    let file = file.to_str().unwrap();
    let kind = |ran: Ran| {
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let text = ran.text();
        match text.chars().next().unwrap() {
            '{' => "json",
            'V' => "yaml",
            _ => "text",
        }
    };
    let json = ("IPFS_KIT_FORMAT", "json");
    assert_eq!(kind(with(&home, &[], &["version"])), "text");
    assert_eq!(
        kind(with(&home, &[], &["version", "--config", file])),
        "yaml"
    );
    assert_eq!(
        kind(with(&home, &[("IPFS_KIT_CONFIG", file)], &["version"])),
        "yaml"
    );
    assert_eq!(kind(with(&home, &[json], &["version", "-c", file])), "json");
    assert_eq!(
        kind(with(
            &home,
            &[json],
            &["version", "-c", file, "--format=text"]
        )),
        "text"
    );
    home.write("ipfs_config.yaml", "format: json\n");
    assert_eq!(
        kind(with(&home, &[], &["version"])),
        "json",
        "found where it is searched"
    );
}

#[test]
fn bad_values_name_the_variable() {
    let home = Home::new();
    for (name, value) in [
        ("IPFS_KIT_FORMAT", "ini"),
        ("IPFS_KIT_TIMEOUT", "soon"),
        ("IPFS_KIT_ROLE", "king"),
        ("IPFS_KIT_API_URL", "ftp://127.0.0.1:5001"),
    ] {
        let ran = with(&home, &[(name, value)], &["version"]);
        assert_eq!(ran.code, 1, "{name}");
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
        let empty = with(&home, &[(name, "")], &["version"]);
        assert_eq!(empty.code, 0, "an empty {name} counts as not set");
    }
    let ran = with(&home, &[("IPFS_KIT_CONFIG", "missing.yaml")], &["version"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("missing.yaml"), "{}", ran.stderr);
}

#[test]
fn flags_that_need_a_daemon() {
    let home = Home::new();
    for flag in [
        "--api=/ip4/127.0.0.1/tcp/1",
        "--api-url=http://127.0.0.1:1",
        "--api-url=unix:///nowhere",
        "--api=nonsense",
        "--api-url=ftp://x",
    ] {
        let error = home.fails([flag, "repo", "stat"]);
        assert!(error.contains("daemon"), "{error}");
    }
    for flag in [
        "--offline",
        "-L",
        "--debug",
        "--no-color",
        "--stream-channels",
        "--role=worker",
    ] {
        home.ok([flag, "version"]);
    }
    assert!(home.fails(["--role=king", "version"]).contains("--role"));
    assert!(
        home.fails(["--config=missing.yaml", "version"])
            .contains("missing.yaml")
    );
}

#[test]
fn where_the_repo_is() {
    let home = Home::new();
    let elsewhere = home.work("elsewhere");
    let there = elsewhere.to_str().unwrap();
    home.ok(["--repo-dir", there, "init"]);
    let path = |ran: Ran| json(&ran.text())["RepoPath"].as_str().unwrap().to_owned();
    let stat = ["repo", "stat", "--enc=json"];
    assert_eq!(path(with(&home, &[("IPFS_KIT_PATH", there)], &stat)), there);
    assert_eq!(
        path(with(
            &home,
            &[],
            &[&stat[..], &["--repo-dir", there]].concat()
        )),
        there
    );
    let mut command = home.command(stat);
    command.env_remove("IPFS_KIT_PATH").env("IPFS_PATH", there);
    assert_eq!(path(command.output().unwrap().into()), there);
    let verbose = home.run(["-v", "repo", "stat"]);
    assert!(
        verbose.stderr.contains(home.repo().to_str().unwrap()),
        "{}",
        verbose.stderr
    );
}

#[test]
fn the_file_reaches_the_node() {
    let home = Home::alone();
    let file = home.write("c.yaml", "resources:\n  max_storage: 5GB\nsurprise: 1\n");
    let ran = home.run([
        "repo",
        "stat",
        "--enc=json",
        "--config",
        file.to_str().unwrap(),
    ]);
    assert_eq!(json(&ran.text())["StorageMax"], 5_000_000_000u64);
    assert!(
        ran.stderr.contains("surprise"),
        "unknown keys are told: {}",
        ran.stderr
    );
}
