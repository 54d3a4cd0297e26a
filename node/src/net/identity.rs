//! The key that names this node.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libp2p::identity::Keypair;

use super::NetError;
use crate::config::Config;

/// The key pair of the configuration (Ed25519, RSA or secp256k1); a new one when there is none.
pub fn key_of(config: &Config) -> Result<Keypair, NetError> {
    let Some(text) = config.text("Identity.PrivKey") else {
        return Ok(Keypair::generate_ed25519());
    };
    let bad = |reason: String| NetError::BadKey(reason);
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| bad(error.to_string()))?;
    let key = Keypair::from_protobuf_encoding(&bytes).map_err(|error| bad(error.to_string()))?;
    let id = key.public().to_peer_id().to_string();
    match config.text("Identity.PeerID") {
        Some(stated) if stated != id => Err(bad(format!(
            "it belongs to {id}, but Identity.PeerID is {stated}"
        ))),
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layers;
    use serde_json::json;

    #[test]
    fn the_repos_key_gives_the_repos_peer_id() {
        let dir = tempfile::tempdir().unwrap();
        let made = crate::repo::init(dir.path(), &crate::repo::InitOptions::default()).unwrap();
        let file = crate::config::ConfigFile::load(dir.path()).unwrap();
        let config = Config::merged(file.document(), &Layers::default()).unwrap();
        let key = key_of(&config).unwrap();
        assert_eq!(key.public().to_peer_id().to_string(), made.peer_id);

        let mut other = file.document().clone();
        other["Identity"]["PeerID"] = json!("12D3KooWJDaB3mP92GVoaEhwd9Yyf33NLBHN5o9eZ3F1gXcCzvoG");
        let config = Config::merged(&other, &Layers::default()).unwrap();
        assert!(matches!(key_of(&config), Err(NetError::BadKey(_))));
    }
}
