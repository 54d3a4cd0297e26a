//! Every combination of what the rules look at, against an oracle that reads labels and no texts.

use hyper::Request;
use hyper::header::HOST;
use ipfs_kit_node::tokens::Scope;
use serde_json::json;

use super::super::route;
use super::*;

/// Whose page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    None,
    /// At the listener's own port, by a name of loopback.
    Own,
    Extension,
    Listed,
    Foreign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agent {
    Browser,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Own,
    Listed,
    Foreign,
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secret {
    None,
    Wrong,
    /// Opens `/api/v0/id` and what is below it.
    Id,
    /// Opens everything.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    Plain,
    Listed,
    Any,
    Secrets,
}

const METHODS: &[&str] = &["POST", "OPTIONS", "GET", "HEAD", "PUT", "DELETE", "BREW"];

const ORIGINS: &[(&str, Page)] = &[
    ("", Page::None),
    ("http://127.0.0.1:5001", Page::Own),
    ("https://localhost:5001", Page::Own),
    ("http://[::1]:5001", Page::Own),
    (
        "chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
        Page::Extension,
    ),
    ("http://app.example", Page::Listed),
    ("http://evil.example", Page::Foreign),
    ("http://127.0.0.1", Page::Foreign),
    ("http://127.0.0.1:5001.evil.example", Page::Foreign),
    ("http://localhost:50011", Page::Foreign),
    ("ftp://localhost:5001", Page::Foreign),
    ("null", Page::Foreign),
];

const REFERERS: &[(&str, Page)] = &[
    ("", Page::None),
    ("http://localhost:5001/webui?a#b", Page::Own),
    ("http://app.example/page", Page::Listed),
    ("http://evil.example/?http://localhost:5001", Page::Foreign),
    ("http://localhost:5001@evil.example/", Page::Foreign),
    ("nonsense", Page::Foreign),
];

const AGENTS: &[(&str, Agent)] = &[
    ("", Agent::Other),
    ("curl/8.5.0", Agent::Other),
    ("Mozilla/5.0 (X11; Linux)", Agent::Browser),
    ("Mozilla/5.0 Electron/30.0", Agent::Other),
];

const HOSTS: &[(&[&str], Called)] = &[
    (&["127.0.0.1:5001"], Called::Own),
    (&["LOCALHOST"], Called::Own),
    (&["192.0.2.7:80"], Called::Own),
    (&["node.example"], Called::Listed),
    (&["evil.example:5001"], Called::Foreign),
    (&["192.0.2.8"], Called::Foreign),
    (&[], Called::Broken),
    (&["localhost", "localhost"], Called::Broken),
];

const SECRETS: &[(&str, Secret)] = &[
    ("", Secret::None),
    ("Bearer nearly", Secret::Wrong),
    ("Basic aWQ6cHc=", Secret::Id),
    ("Bearer all", Secret::All),
];

const RULES: &[Rules] = &[Rules::Plain, Rules::Listed, Rules::Any, Rules::Secrets];

const PATHS: &[&str] = &["/api/v0/id", "/api/v0/idle", "/elsewhere"];

fn policy(rules: Rules) -> Policy {
    let origins = match rules {
        Rules::Plain | Rules::Secrets => json!({}),
        Rules::Listed => json!({"Access-Control-Allow-Origin": ["http://app.example"]}),
        Rules::Any => json!({"Access-Control-Allow-Origin": "*"}),
    };
    let secrets = json!({
        "id": {"AuthSecret": "basic:id:pw", "AllowedPaths": ["/api/v0/id"]},
        "all": {"AuthSecret": "bearer:all", "AllowedPaths": ["/"]},
    });
    let secrets = (rules == Rules::Secrets).then_some(&secrets);
    Policy::new(Some(&origins), secrets).with_hosts(["node.example".to_owned()])
}

fn places() -> [Place; 3] {
    let at = "192.0.2.7:5001".parse().unwrap();
    [Place::OwnSocket, Place::Unix, Place::Tcp(at)]
}

/// One combination.
#[derive(Debug, Clone, Copy)]
struct Case {
    method: &'static str,
    path: &'static str,
    origin: (&'static str, Page),
    referer: (&'static str, Page),
    agent: (&'static str, Agent),
    host: (&'static [&'static str], Called),
    secret: (&'static str, Secret),
    rules: Rules,
    place: Place,
}

/// What the rules say, written once more.
fn expected(case: &Case) -> Verdict<'static> {
    let tcp = matches!(case.place, Place::Tcp(_));
    match case.host.1 {
        Called::Broken if tcp && case.host.0.is_empty() => {
            return Verdict::Bad("missing required Host header");
        }
        Called::Broken if tcp => return Verdict::Bad("too many Host headers"),
        Called::Foreign if tcp => return Verdict::ForeignHost,
        _ => {}
    }
    let asks = case.method == "OPTIONS";
    if case.rules == Rules::Secrets && case.place != Place::OwnSocket && !asks {
        let opened = match case.secret.1 {
            Secret::All => true,
            Secret::Id => case.path == "/api/v0/id",
            Secret::None | Secret::Wrong => false,
        };
        if !opened {
            return Verdict::Unauthorized;
        }
    }
    if case.path == "/elsewhere" {
        return Verdict::NotFound;
    }
    if asks {
        return Verdict::Preflight;
    }
    if case.method != "POST" {
        return Verdict::WrongMethod;
    }
    let stranger = |page| match (page, case.rules) {
        (Page::None | Page::Extension, _) | (_, Rules::Any) | (Page::Listed, Rules::Listed) => {
            false
        }
        (Page::Own, _) => !tcp,
        (Page::Listed | Page::Foreign, _) => true,
    };
    if stranger(case.origin.1) || stranger(case.referer.1) {
        return Verdict::Forbidden;
    }
    let unmarked = case.origin.1 == Page::None && case.referer.1 == Page::None;
    if unmarked && case.agent.1 == Agent::Browser {
        return Verdict::Forbidden;
    }
    Verdict::Pass(None)
}

fn no_tokens() -> Secrets<'static> {
    static NONE: std::sync::LazyLock<TokenList> = std::sync::LazyLock::new(TokenList::default);
    Secrets {
        tokens: &NONE,
        now: 0,
    }
}

fn judged(case: &Case, policy: &Policy) -> Verdict<'static> {
    let mut request = Request::builder().method(case.method).uri(case.path);
    for host in case.host.0 {
        request = request.header(HOST, *host);
    }
    for (name, text) in [
        (ORIGIN, case.origin.0),
        (REFERER, case.referer.0),
        (USER_AGENT, case.agent.0),
        (AUTHORIZATION, case.secret.0),
    ] {
        if !text.is_empty() {
            request = request.header(name, text);
        }
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let face = Face::Rpc;
    let route = route::find(face, case.path);
    let place = case.place;
    decide(&parts, route, policy, no_tokens(), &Door { face, place })
}

fn each(rules: Rules, mut check: impl FnMut(&Case)) {
    for &method in METHODS {
        for &path in PATHS {
            for &origin in ORIGINS {
                for &referer in REFERERS {
                    for &agent in AGENTS {
                        for &host in HOSTS {
                            for &secret in SECRETS {
                                for place in places() {
                                    check(&Case {
                                        method,
                                        path,
                                        origin,
                                        referer,
                                        agent,
                                        host,
                                        secret,
                                        rules,
                                        place,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn every_combination_is_judged_as_the_rules_say() {
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for &rules in RULES {
        let policy = policy(rules);
        each(rules, |case| {
            let verdict = judged(case, &policy);
            assert_eq!(verdict, expected(case), "{case:?}");
            *seen.entry(format!("{verdict:?}")).or_default() += 1;
        });
    }
    assert_eq!(seen.values().sum::<usize>(), 2_322_432, "{seen:?}");
    assert!(
        seen.len() >= 9 && seen.values().all(|&count| count > 1000),
        "{seen:?}"
    );
}

#[test]
fn a_target_that_is_a_whole_url_names_the_host() {
    let policy = policy(Rules::Plain);
    let verdict = |target: &str, host: Option<&str>| {
        let mut request = Request::builder().method("POST").uri(target);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let [.., place] = places();
        let face = Face::Rpc;
        let route = route::find(face, parts.uri.path());
        decide(&parts, route, &policy, no_tokens(), &Door { face, place })
    };
    assert_eq!(
        verdict("http://localhost:5001/api/v0/id", None),
        Verdict::Pass(None)
    );
    assert_eq!(
        verdict("http://evil.example/api/v0/id", None),
        Verdict::ForeignHost
    );
    let both = verdict("http://evil.example/api/v0/id", Some("localhost"));
    assert_eq!(both, Verdict::ForeignHost);
    let both = verdict("http://localhost/api/v0/id", Some("evil.example"));
    assert_eq!(both, Verdict::ForeignHost);
}

#[test]
fn tokens_open_what_their_scope_says() {
    let node = ipfs_kit_node::Node::builder().in_memory().open().unwrap();
    let scope = Scope {
        paths: vec!["/api/v0/pin".to_owned()],
        methods: vec!["POST".to_owned()],
        expires: Some(1_000),
        ..Scope::default()
    };
    let (_, secret) = node.tokens().add("pins", scope).unwrap();
    let tokens = node.tokens().list().unwrap();
    let verdict = |method: &str, path: &str, header: String, now| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost");
        let (parts, ()) = request
            .header(AUTHORIZATION, header)
            .body(())
            .unwrap()
            .into_parts();
        let [.., place] = places();
        let face = Face::Rpc;
        let secrets = Secrets {
            tokens: &tokens,
            now,
        };
        let route = route::find(face, path);
        match decide(
            &parts,
            route,
            &Policy::default(),
            secrets,
            &Door { face, place },
        ) {
            Verdict::Pass(token) => token.map_or("open", |token| token.name.as_str()).to_owned(),
            other => format!("{other:?}"),
        }
    };
    let bearer = || format!("Bearer {}", *secret);
    for open in ["/api/v0/pin/ls", "/api/v0/version"] {
        assert_eq!(verdict("POST", open, bearer(), 999), "pins", "{open}");
    }
    for closed in ["/api/v0/pinata", "/api/v0/id", "/metrics", "/"] {
        assert_eq!(
            verdict("POST", closed, bearer(), 999),
            "Unauthorized",
            "{closed}"
        );
    }
    assert_eq!(
        verdict("POST", "/api/v0/pin/ls", bearer(), 1_000),
        "Unauthorized"
    );
    assert_eq!(
        verdict("GET", "/api/v0/pin/ls", bearer(), 999),
        "Unauthorized"
    );
    for wrong in [
        String::new(),
        (*secret).clone(),
        format!("{}x", bearer()),
        format!("Basic {}", *secret),
    ] {
        assert_eq!(
            verdict("POST", "/api/v0/pin/ls", wrong, 999),
            "Unauthorized"
        );
    }
}

#[test]
fn the_seeds_port_answers_reads_to_get() {
    let policy = policy(Rules::Listed);
    let verdict = |method: &str, path: &str, origin: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost");
        // A browser that was told an address by its user.
        request = request.header(USER_AGENT, "Mozilla/5.0");
        if !origin.is_empty() {
            request = request.header(ORIGIN, origin);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let [.., place] = places();
        let face = Face::Seed;
        let route = route::find(face, path);
        decide(&parts, route, &policy, no_tokens(), &Door { face, place })
    };
    for read in [
        "/api/v0/cat",
        "/api/v0/pin/ls",
        "/api/config",
        "/api/download/bafy",
    ] {
        assert_eq!(verdict("GET", read, ""), Verdict::Pass(None), "{read}");
        assert_eq!(
            verdict("GET", read, "http://app.example"),
            Verdict::Pass(None)
        );
        assert_eq!(
            verdict("GET", read, "http://evil.example"),
            Verdict::Forbidden
        );
    }
    for change in [
        "/api/v0/add",
        "/api/v0/pin/rm",
        "/api/v0/shutdown",
        "/api/v0/repo/gc",
    ] {
        assert_eq!(verdict("GET", change, ""), Verdict::WrongMethod, "{change}");
        assert_eq!(verdict("POST", change, ""), Verdict::Forbidden, "{change}");
        let known = verdict("POST", change, "http://app.example");
        assert_eq!(known, Verdict::Pass(None), "{change}");
    }
    assert_eq!(
        verdict("POST", "/api/config", "http://app.example"),
        Verdict::WrongMethod
    );
}

#[test]
fn paths_that_only_look_allowed_are_not_opened() {
    let policy = policy(Rules::Secrets);
    for path in [
        "/api/v0/id/../add",
        "/api/v0//id",
        "//api/v0/id",
        "/api/v0/%69d",
        "/api/v0/ID",
        "/api/v0/id%2f..%2fadd",
        "/api/v0/idx",
        "/api/v0/add?arg=/api/v0/id",
        "/API/v0/id",
    ] {
        let request = Request::builder().method("POST").uri(path);
        let request = request.header(AUTHORIZATION, "Basic aWQ6cHc=");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let door = Door {
            face: Face::Rpc,
            place: Place::Unix,
        };
        let route = route::find(door.face, parts.uri.path());
        let verdict = decide(&parts, route, &policy, no_tokens(), &door);
        // What is below an allowed path is the table's to find; these are no commands.
        let below = path.starts_with("/api/v0/id/");
        let wanted = if below {
            Verdict::Pass(None)
        } else {
            Verdict::Unauthorized
        };
        assert_eq!(verdict, wanted, "{path}");
        if below {
            let root = &crate::methods::ROOT;
            assert!(
                super::super::parse::parse(root, path, "", false).is_err(),
                "{path}"
            );
        }
    }
}
