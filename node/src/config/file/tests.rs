use super::*;
use serde_json::json;

fn file() -> (tempfile::TempDir, ConfigFile) {
    let dir = tempfile::tempdir().unwrap();
    let mut document = initial_document(None, &["test".to_owned()]).unwrap();
    document["Identity"] = json!({"PeerID": "12D3", "PrivKey": "secret"});
    let file = ConfigFile::create(dir.path(), document).unwrap();
    (dir, file)
}

#[test]
fn get_and_set_as_kubo() {
    let (dir, mut file) = file();
    assert_eq!(file.get("Datastore.StorageMax").unwrap(), json!("10GB"));
    assert_eq!(
        file.get("Nope").unwrap_err().to_string(),
        "failed to get config value: \"Nope not found\""
    );
    assert_eq!(
        file.get("datastore.x").unwrap_err().to_string(),
        "failed to get config value: \"datastore not found\""
    );
    file.set("Swarm.ConnMgr.LowWater", json!(5)).unwrap();
    let again = ConfigFile::load(dir.path()).unwrap();
    assert_eq!(again.get("Swarm.ConnMgr").unwrap(), json!({"LowWater": 5}));
    let error = file.set("Foo.Bar", json!("3")).unwrap_err().to_string();
    assert_eq!(
        error,
        "failed to set config value: Foo.Bar not found (maybe use --json?)"
    );
    assert!(file.set("Import.CidVersion", json!("x")).is_err());
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[test]
fn the_private_key_is_never_shown_set_or_replaced() {
    let (dir, mut file) = file();
    for key in ["Identity", "identity.privkey", "Identity.PrivKey"] {
        assert!(
            matches!(file.get(key), Err(ConfigError::PrivateKey)),
            "{key}"
        );
        assert!(
            matches!(file.set(key, json!("x")), Err(ConfigError::PrivateKey)),
            "{key}"
        );
    }
    assert!(!file.show().to_string().contains("secret"));
    assert!(matches!(
        file.set("Identity.PeerID", json!("other")),
        Err(ConfigError::ForeignPeerId)
    ));
    let shown = file.show().to_string();
    assert!(matches!(
        file.replace(r#"{"Identity": {"PrivKey": "mine"}}"#),
        Err(ConfigError::PrivateKeyInReplacement)
    ));
    file.replace(&shown).unwrap();
    let on_disk = fs::read_to_string(dir.path().join("config")).unwrap();
    assert!(on_disk.contains("secret"), "the key is kept");
    assert!(matches!(
        file.replace("[1]"),
        Err(ConfigError::BadDocument(_))
    ));
    assert!(matches!(
        file.replace("{"),
        Err(ConfigError::BadDocument(_))
    ));
}

#[test]
fn secrets_of_the_rpc_are_set_and_never_shown() {
    let (_dir, mut file) = file();
    let secrets = json!({"ci": {"AuthSecret": "bearer:hush", "AllowedPaths": ["/"]}});
    let answer = file.set("API.Authorizations", secrets).unwrap();
    assert_eq!(answer, Value::Null);
    for key in [
        "API.Authorizations",
        "api.authorizations",
        "API.Authorizations.ci.AuthSecret",
    ] {
        assert!(
            matches!(file.get(key), Err(ConfigError::ApiSecrets)),
            "{key}"
        );
    }
    let shown = [file.get("API").unwrap(), file.show()];
    assert!(
        shown
            .iter()
            .all(|shown| !shown.to_string().contains("hush"))
    );
}

#[test]
fn profiles_are_applied_with_a_backup_or_dry() {
    let (dir, mut file) = file();
    let change = file.apply_profile("unixfs-v1-2025", true).unwrap();
    assert_eq!(change.after["Import"]["CidVersion"], json!(1));
    assert_eq!(file.get("Import.CidVersion").unwrap(), Value::Null);
    file.apply_profile("unixfs-v1-2025", false).unwrap();
    assert_eq!(file.get("Import.CidVersion").unwrap(), json!(1));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "the config and its backup"
    );
}
