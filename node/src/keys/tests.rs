use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::Error;
use crate::repo::{InitOptions, init};

fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/kubo-0.43.0");
    std::fs::read(path.join(name)).unwrap()
}

fn memory() -> Node {
    Node::builder().in_memory().open().unwrap()
}

fn key_error(error: Error) -> KeyError {
    match error {
        Error::Key(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn keys_and_signatures_of_kubo_are_ours() {
    let node = memory();
    let keys = node.keys();
    let mut count = 0;
    for kind in ["ed25519", "rsa", "secp256k1"] {
        let (protobuf, pem) = (
            vector(&format!("{kind}.key")),
            vector(&format!("{kind}.pem")),
        );
        let from_protobuf = format!("{kind}-protobuf");
        let from_pem = format!("{kind}-pem");
        let first = keys
            .import(&from_protobuf, &protobuf, KeyFormat::Protobuf)
            .unwrap();
        let second = keys.import(&from_pem, &pem, KeyFormat::Pem).unwrap();
        assert_eq!(first.id, second.id);
        for name in [&from_protobuf, &from_pem] {
            assert_eq!(*keys.export(name, KeyFormat::Protobuf).unwrap(), protobuf);
            assert_eq!(*keys.export(name, KeyFormat::Pem).unwrap(), pem, "{kind}");
            count += 1;
        }
        let theirs = String::from_utf8(vector(&format!("{kind}.signature"))).unwrap();
        let id = first.id_text();
        assert!(keys.verify(&id, &theirs, b"hello").unwrap().valid, "{kind}");
        assert!(
            !keys.verify(&id, &theirs, b"hallo").unwrap().valid,
            "{kind}"
        );
        // All three signature schemes are deterministic.
        assert_eq!(keys.sign(&from_pem, b"hello").unwrap().1, theirs, "{kind}");
        assert_eq!(keys.find(&id).unwrap().1.kind().name(), kind);
    }
    assert_eq!(count, 6);
}

#[test]
fn every_type_is_made_and_bad_sizes_are_not() {
    let node = memory();
    for (kind, bits) in [
        (KeyType::Ed25519, None),
        (KeyType::Ed25519, Some(256)),
        (KeyType::Secp256k1, None),
        (KeyType::Rsa, None),
    ] {
        let name = format!("{}-{bits:?}", kind.name());
        let made = node.keys().generate(&name, kind, bits).unwrap();
        for format in [KeyFormat::Protobuf, KeyFormat::Pem] {
            let exported = node.keys().export(&name, format).unwrap();
            assert_eq!(format.read(&exported).unwrap().peer_id(), made.id);
        }
        let (_, signature) = node.keys().sign(&made.id.to_base58(), b"x").unwrap();
        assert!(node.keys().verify(&name, &signature, b"x").unwrap().valid);
    }
    for (kind, bits) in [
        (KeyType::Rsa, 1024),
        (KeyType::Rsa, 2049),
        (KeyType::Rsa, 16384),
        (KeyType::Ed25519, 1024),
        (KeyType::Secp256k1, 255),
    ] {
        let error = key_error(node.keys().generate("x", kind, Some(bits)).unwrap_err());
        assert!(matches!(error, KeyError::Size { .. }), "{error}");
    }
    assert!(matches!(
        "foo".parse::<KeyType>(),
        Err(KeyError::Algorithm(_))
    ));
}

#[test]
fn files_are_named_and_protected_as_in_kubo() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    init(&repo, &InitOptions::default()).unwrap();
    let node = Node::builder().repo(&repo).open().unwrap();
    node.keys()
        .import("ed", &vector("ed25519.key"), KeyFormat::Protobuf)
        .unwrap();
    let file = repo.join("keystore/key_mvsa");
    assert_eq!(std::fs::read(&file).unwrap(), vector("ed25519.key"));
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // What Kubo, an editor or a kill left behind.
    std::fs::copy(&file, repo.join("keystore/key_mexwe")).unwrap();
    std::fs::write(repo.join("keystore/.unfinished"), "half").unwrap();
    std::fs::write(repo.join("keystore/notes.txt"), "x").unwrap();
    let names: Vec<String> = node
        .keys()
        .list()
        .unwrap()
        .into_iter()
        .map(|key| key.name)
        .collect();
    assert_eq!(names, ["self", "a/b", "ed"]);
    node.keys().remove(&["a/b".to_owned()]).unwrap();

    std::fs::write(&file, "no key").unwrap();
    let error = node.keys().list().unwrap_err().to_string();
    assert!(error.contains("\"ed\" is damaged"), "{error}");
    node.keys()
        .generate("other", KeyType::Ed25519, None)
        .unwrap();
    assert!(!repo.join("keystore/.unfinished").exists());
}

#[test]
fn names_follow_rules() {
    let node = memory();
    let keys = node.keys();
    let long = "x".repeat(MAX_NAME_LEN);
    keys.generate(&long, KeyType::Ed25519, None).unwrap();
    keys.generate(" Ünï.x y ", KeyType::Ed25519, None).unwrap();
    for name in ["", "a/b", "a\nb", &format!("{long}x")] {
        let error = key_error(keys.generate(name, KeyType::Ed25519, None).unwrap_err());
        assert!(matches!(error, KeyError::BadName { .. }), "{error}");
    }
    let own =
        |result: Result<()>| matches!(key_error(result.unwrap_err()), KeyError::OwnIdentity { .. });
    assert!(own(keys.generate("self", KeyType::Ed25519, None).map(drop)));
    assert!(own(keys.rename("self", "a", true).map(drop)));
    assert!(own(keys.rename(&long, "self", true).map(drop)));
    assert!(own(keys.remove(&["self".to_owned()]).map(drop)));
    assert!(own(keys.export("self", KeyFormat::Pem).map(drop)));
    assert!(own(keys
        .import("self", &vector("rsa.pem"), KeyFormat::Pem)
        .map(drop)));
    assert!(own(keys.rotate("self", KeyType::Ed25519, None).map(drop)));
}

#[test]
fn renaming_and_removing() {
    for node in [memory(), on_disk()] {
        let keys = node.keys();
        let a = keys.generate("a", KeyType::Ed25519, None).unwrap().id;
        let b = keys.generate("b", KeyType::Ed25519, None).unwrap().id;
        assert!(matches!(
            key_error(keys.generate("a", KeyType::Ed25519, None).unwrap_err()),
            KeyError::Exists(_)
        ));
        assert!(matches!(
            key_error(keys.rename("a", "b", false).unwrap_err()),
            KeyError::Exists(_)
        ));
        assert!(matches!(
            key_error(keys.rename("x", "y", false).unwrap_err()),
            KeyError::NotFound(_)
        ));
        assert!(!keys.rename("a", "a", true).unwrap().overwritten);
        let renamed = keys.rename("a", "b", true).unwrap();
        assert!(renamed.overwritten && renamed.now.id == a);
        assert!(matches!(
            key_error(keys.find(&b.to_base58()).unwrap_err()),
            KeyError::Unknown(_)
        ));
        let missing = ["b".to_owned(), "nope".to_owned()];
        assert!(matches!(
            key_error(keys.remove(&missing).unwrap_err()),
            KeyError::NotFound(_)
        ));
        assert_eq!(keys.list().unwrap().len(), 2, "nothing was removed");
        assert_eq!(
            keys.remove(&["b".to_owned(), "b".to_owned()])
                .unwrap()
                .len(),
            2
        );
        assert_eq!(keys.list().unwrap().len(), 1);
    }
}

/// The directory of a repo may go while the repo is open; it ends with the test.
fn on_disk() -> Node {
    let dir = tempfile::tempdir().unwrap().keep();
    init(&dir.join("repo"), &InitOptions::default()).unwrap();
    Node::builder().repo(dir.join("repo")).open().unwrap()
}

#[test]
fn the_identity_is_rotated_and_the_old_one_kept() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    let first = init(&repo, &InitOptions::default()).unwrap().peer_id;
    let open = || Node::builder().repo(&repo).open().unwrap();
    let node = open();
    assert_eq!(node.keys().identity().unwrap().peer_id().to_base58(), first);
    let rotated = node.keys().rotate("old", KeyType::Secp256k1, None).unwrap();
    assert_eq!(rotated.old.id.to_base58(), first);
    drop(node);
    let node = open();
    let keys = node.keys().list().unwrap();
    assert_eq!(
        keys,
        [
            KeyInfo {
                name: "self".to_owned(),
                ..rotated.new.clone()
            },
            rotated.old
        ]
    );
    assert_eq!(
        node.config().text("Identity.PeerID"),
        Some(rotated.new.id.to_base58().as_str())
    );
    let error = key_error(
        node.keys()
            .rotate("old", KeyType::Ed25519, None)
            .unwrap_err(),
    );
    assert!(matches!(error, KeyError::Exists(_)), "{error}");

    // A kill after the old key was kept: the same command is given again.
    let own = node.keys().identity().unwrap();
    node.keys().add("kept", &own).unwrap();
    node.keys()
        .rotate("kept", KeyType::Rsa, Some(2048))
        .unwrap();
    assert_eq!(node.keys().identity().unwrap().kind(), KeyType::Rsa);
}

#[test]
fn no_secret_is_shown() {
    let key = PrivateKey::from_protobuf(&vector("rsa.key")).unwrap();
    let shown = format!("{key:?}");
    assert!(
        shown.contains(&key.peer_id().to_base58()) && shown.len() < 150,
        "{shown}"
    );
    let bytes = vector("ed25519.key");
    for (format, bytes) in [
        (KeyFormat::Protobuf, b"hello".to_vec()),
        (KeyFormat::Protobuf, bytes[..60].to_vec()),
        (KeyFormat::Protobuf, [&bytes[..40], &[7; 28]].concat()),
        (KeyFormat::Protobuf, vec![0x08, 3, 0x12, 0]),
        (KeyFormat::Protobuf, vector("rsa.pem")),
        (KeyFormat::Protobuf, vec![0x12; 20_000]),
        (KeyFormat::Pem, b"hello".to_vec()),
        (KeyFormat::Pem, vector("rsa.key")),
        (
            KeyFormat::Pem,
            b"-----BEGIN PRIVATE KEY-----\naGVsbG8=\n-----END PRIVATE KEY-----\n".to_vec(),
        ),
    ] {
        let error = format.read(&bytes).unwrap_err();
        assert!(matches!(error, KeyError::Format { .. }), "{error}");
        let text = error.to_string();
        assert!(!text.contains("hello") && text.len() < 200, "{text}");
    }
    for len in 0..bytes.len() {
        assert!(PrivateKey::from_protobuf(&bytes[..len]).is_err());
    }
}

#[test]
fn verifying_needs_a_public_key() {
    let node = memory();
    let rsa = PrivateKey::from_protobuf(&vector("rsa.key"))
        .unwrap()
        .peer_id()
        .to_base58();
    let verify = |key: &str, signature: &str| node.keys().verify(key, signature, b"x");
    assert!(matches!(
        key_error(verify(&rsa, "u1234").unwrap_err()),
        KeyError::NoPublicKey(_)
    ));
    assert!(matches!(
        key_error(verify("nope", "u1234").unwrap_err()),
        KeyError::Unknown(_)
    ));
    assert!(matches!(
        key_error(verify("self", "!x").unwrap_err()),
        KeyError::Signature(_)
    ));
    assert!(!verify("self", "u1234").unwrap().valid);
}
