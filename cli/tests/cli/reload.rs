//! `serve --reload`: a changed configuration is taken up while the node runs.

use std::fs::{self, File};
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::harness::{Daemon, Home};
use super::network::eventually;

const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

/// A node that serves with `--reload`, and what it says.
struct Served {
    daemon: Daemon,
    config: PathBuf,
    said: PathBuf,
}

impl Served {
    fn start(home: &Home, words: &[&str]) -> Served {
        let said = home.work("said");
        let words = [&["serve", "--port=0", "--offline", "--reload"], words].concat();
        let mut command = home.command(words);
        command.stderr(File::create(&said).unwrap());
        let mut daemon = Daemon::launch(command);
        // Reached at any address, also at this one, whose name is always allowed.
        daemon.address = daemon.address.replace("0.0.0.0", "127.0.0.1");
        Served {
            daemon,
            config: home.repo().join("config"),
            said,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut config: Value = serde_json::from_slice(&fs::read(&self.config).unwrap()).unwrap();
        change(&mut config);
        fs::write(&self.config, config.to_string()).unwrap();
    }

    fn hang_up(&self) {
        let id = i32::try_from(self.daemon.child().id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::HUP).unwrap();
    }

    /// The status for a page of an origin, and the origin that may read it.
    fn page(&self, origin: &str) -> (u16, String) {
        let answer = self
            .daemon
            .ask("GET", "/api/v0/version", &[("Origin", origin)], b"");
        (
            answer.status,
            answer.header("access-control-allow-origin").to_owned(),
        )
    }

    fn status(&self, headers: &[(&str, &str)]) -> u16 {
        self.daemon.ask("GET", "/api/v0/id", headers, b"").status
    }
}

fn origins(config: &mut Value, origin: &str) {
    config["API"]["HTTPHeaders"] = json!({
        "Access-Control-Allow-Origin": [origin],
        "Access-Control-Allow-Methods": ["GET", "POST"],
    });
}

#[test]
fn f90_a_changed_origin_is_taken_up_and_a_broken_file_is_not() {
    let home = Home::alone();
    let served = Served::start(&home, &[]);
    assert_eq!(served.page(ONE), (403, String::new()));
    served.change(|config| origins(config, ONE));
    eventually("the first origin is taken up", || {
        served.page(ONE) == (200, ONE.to_owned())
    });
    served.change(|config| origins(config, TWO));
    eventually("the second origin is taken up", || {
        served.page(TWO) == (200, TWO.to_owned())
    });
    assert_eq!(served.page(ONE), (403, String::new()));
    assert!(
        served
            .said()
            .contains("API.HTTPHeaders.Access-Control-Allow-Origin taken up"),
        "{}",
        served.said()
    );

    let good = fs::read(&served.config).unwrap();
    for (broken, reason) in [
        ("{", "config"),
        (r#"{"Pubsub": {"Enabled": 7}}"#, "Pubsub.Enabled"),
    ] {
        let before = served.said().len();
        fs::write(&served.config, broken).unwrap();
        eventually("a broken file is refused", || {
            let said = served.said();
            said[before..]
                .lines()
                .any(|line| line.contains("refused, the old one stays") && line.contains(reason))
        });
        assert_eq!(
            served.page(TWO),
            (200, TWO.to_owned()),
            "the old settings hold"
        );
    }
    fs::write(&served.config, good).unwrap();
    served.change(|config| config["Pubsub"]["Enabled"] = json!(true));
    eventually("what needs a restart is named", || {
        served
            .said()
            .contains("a restart is needed for Pubsub.Enabled")
    });
    served.change(|config| config["Logging"] = json!({"Level": "debug"}));
    eventually("a level is taken up", || {
        let levels = served.daemon.post("log/level?arg=core").error();
        levels["Levels"]["core"] == "debug"
    });
    served.change(|config| origins(config, ONE));
    eventually("it goes on", || served.page(ONE) == (200, ONE.to_owned()));
}

#[test]
fn f90_sighup_reads_the_configuration_again() {
    let home = Home::alone();
    let served = Served::start(&home, &["--cors-origins", TWO]);
    served.hang_up();
    eventually("it is read", || {
        served.said().contains("nothing to take up")
    });
    served.change(|config| {
        origins(config, ONE);
        config["API"]["AllowedHosts"] = json!(["node.example"]);
    });
    served.hang_up();
    eventually("another host is taken up", || {
        served.said().contains("API.AllowedHosts taken up")
    });
    // What the command line says stays.
    assert_eq!(served.page(TWO), (200, TWO.to_owned()));
    assert_eq!(served.page(ONE), (403, String::new()));
    assert_eq!(home.ok(["shutdown"]), "");
    assert_eq!(served.daemon.end(), 0);
}

#[test]
fn f90_secrets_are_taken_up_but_never_the_last_one_away() {
    let home = Home::alone();
    let secrets = |secret: &str| json!({"app": {"AuthSecret": format!("bearer:{secret}"), "AllowedPaths": ["/"]}});
    let config = |served: &Served, secrets: Value| {
        served.change(|config| config["API"]["Authorizations"] = secrets);
    };
    home.ok([
        "config",
        "--json",
        "API.Authorizations",
        &secrets("one").to_string(),
    ]);
    for words in [&["--auth-enabled"][..], &["--host=0.0.0.0"]] {
        let served = Served::start(&home, words);
        let status =
            |secret: &str| served.status(&[("Authorization", &format!("Bearer {secret}"))]);
        assert_eq!(
            (status("one"), status("two"), served.status(&[])),
            (200, 401, 401)
        );
        config(&served, secrets("two"));
        eventually("the second secret is taken up", || {
            (status("one"), status("two")) == (401, 200)
        });
        config(&served, json!({}));
        eventually("an open door is refused", || {
            served.said().contains("refused, the old one stays")
        });
        assert_eq!((status("two"), served.status(&[])), (200, 401));
        config(&served, secrets("one"));
        eventually("the first secret is taken up", || status("one") == 200);
    }
}
