use std::fs;

use super::*;
use crate::error::Error;
use crate::repo::{self, InitOptions};

fn scope(paths: &[&str]) -> Scope {
    Scope {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        ..Scope::default()
    }
}

fn reason(error: Error) -> TokenError {
    match error {
        Error::Token(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn tokens_are_kept_and_their_secrets_are_not() {
    let place = tempfile::tempdir().unwrap();
    let repo = place.path().join("repo");
    repo::init(&repo, &InitOptions::default()).unwrap();
    let open = || Node::builder().repo(&repo).open().unwrap();
    let node = open();
    assert!(!node.tokens().list().unwrap().asked());
    let wanted = Scope {
        methods: vec!["POST".to_owned()],
        max_bytes: Some(1000),
        rate: Some(Rate {
            requests: 2,
            seconds: 60,
        }),
        expires: Some(u64::MAX),
        ..scope(&["/api/v0/add", "/metrics"])
    };
    let (token, secret) = node.tokens().add("ci", wanted.clone()).unwrap();
    assert_eq!(token.scope, wanted);
    node.close().unwrap();

    for entry in fs::read_dir(&repo).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let shown = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!shown, "{} holds the secret", path.display());
        }
    }
    let node = open();
    let list = node.tokens().list().unwrap();
    assert!(list.asked());
    assert_eq!(list.find(&secret), Some(&token));
    for wrong in [
        "",
        "ipfs-kit-",
        &secret[1..],
        &secret[..secret.len() - 1],
        &format!("{}A", *secret),
    ] {
        assert_eq!(list.find(wrong), None, "{wrong}");
    }
    let twice = reason(node.tokens().add("ci", Scope::default()).unwrap_err());
    assert_eq!(twice, TokenError::Exists("ci".to_owned()));
    assert_eq!(node.tokens().remove("ci").unwrap(), token);
    let list = node.tokens().list().unwrap();
    assert!(list.all().is_empty() && list.find(&secret).is_none());
    assert!(list.asked(), "the last removal must not open the ports");
    let unknown = reason(node.tokens().remove("ci").unwrap_err());
    assert_eq!(unknown, TokenError::Unknown("ci".to_owned()));
    node.close().unwrap();
    assert!(open().tokens().list().unwrap().all().is_empty());
}

#[test]
fn scopes_cover_whole_segments() {
    let pins = scope(&["/api/v0/pin", "/metrics/"]);
    for inside in ["/api/v0/pin", "/api/v0/pin/ls", "/metrics", "/metrics/x"] {
        assert!(pins.covers("POST", inside), "{inside}");
    }
    for outside in [
        "/api/v0/pinata",
        "/api/v0",
        "/",
        "",
        "/api/v0/",
        "//api/v0/pin",
    ] {
        assert!(!pins.covers("POST", outside), "{outside}");
    }
    assert!(scope(&[]).covers("POST", "/x") && scope(&["/"]).covers("GET", "/x"));
    let reads = Scope {
        methods: vec!["GET".to_owned()],
        ..Scope::default()
    };
    assert!(reads.covers("GET", "/x") && !reads.covers("POST", "/x") && !reads.covers("get", "/x"));
    let ends = Scope {
        expires: Some(100),
        ..Scope::default()
    };
    assert!(!ends.has_ended(99) && ends.has_ended(100));
}

#[test]
fn scopes_that_make_no_sense_are_refused() {
    let node = Node::builder().in_memory().open().unwrap();
    let rate = |requests, seconds| Scope {
        rate: Some(Rate { requests, seconds }),
        ..Scope::default()
    };
    let method = |method: &str| Scope {
        methods: vec![method.to_owned()],
        ..Scope::default()
    };
    for bad in [
        scope(&["api/v0"]),
        scope(&[""]),
        rate(0, 1),
        rate(1, 0),
        method(""),
        method("get"),
        Scope {
            paths: vec!["/x".to_owned(); MAX_ENTRIES + 1],
            ..Scope::default()
        },
    ] {
        let error = reason(node.tokens().add("x", bad).unwrap_err());
        assert!(matches!(error, TokenError::BadScope(_)), "{error}");
    }
    for name in ["", "a\nb", &"x".repeat(MAX_NAME + 1)] {
        let error = reason(node.tokens().add(name, Scope::default()).unwrap_err());
        assert_eq!(error, TokenError::BadName);
    }
}
