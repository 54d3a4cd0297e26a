//! Configuration keys with a counterpart here, and the identity.

use serde_json::{Map, Value};

use super::{KuboRepo, MigrateReport};
use crate::config::{ConfigFile, taken_keys};
use crate::error::{Error, Result};
use crate::keys::read_identity;
use crate::node::Node;

/// The name under which the identity is kept that another takes the place of.
const BEFORE: &str = "self-before-migrate";

/// What is about this machine's repo and not about how the node is to behave.
const NOT_TAKEN: &[&str] = &["Identity", "Datastore.Spec"];

/// Takes configuration keys into a repo: those that have a counterpart here and do not have a value of their own already.
/// With `identity` the node becomes the peer that Kubo was; its own key is kept under the name `self-before-migrate`
/// where `keep_own` says so. The node has to be opened again to see any of it.
///
/// # Errors
/// [`Error::Config`], [`Error::Key`].
pub fn take_config(
    node: &Node,
    kubo: &KuboRepo,
    identity: bool,
    keep_own: bool,
    report: &mut MigrateReport,
) -> Result<()> {
    let repo = node
        .path()
        .ok_or(Error::Internal("a node without a repo"))?;
    let mut document = kubo.config().clone();
    for key in NOT_TAKEN {
        remove(&mut document, key);
    }
    let found = taken_keys(&document);
    for (key, reason) in found.refused {
        report.config.leave(key, reason);
    }
    let mut file = ConfigFile::load(repo)?;
    let taken = file.take_over(found.taken)?;
    report.config.taken = taken.set;
    report.config.present = taken.same;
    for key in taken.own {
        report
            .config
            .leave(key, "this repo has a value of its own".to_owned());
    }
    if identity {
        take_identity(node, kubo, keep_own, file, report)?;
    }
    Ok(())
}

fn take_identity(
    node: &Node,
    kubo: &KuboRepo,
    keep_own: bool,
    mut file: ConfigFile,
    report: &mut MigrateReport,
) -> Result<()> {
    let part = &mut report.identity;
    let text = kubo.config()["Identity"]["PrivKey"].as_str();
    let key = match text.map(read_identity) {
        None => {
            part.leave("self", "Kubo's config has no private key".to_owned());
            return Ok(());
        }
        Some(Err(error)) => {
            part.leave("self", error.to_string());
            return Ok(());
        }
        Some(Ok(key)) => key,
    };
    let own = node.keys().identity()?;
    if own.peer_id() == key.peer_id() {
        part.present = 1;
        return Ok(());
    }
    if keep_own && node.keys().find_named(BEFORE)?.is_none() {
        node.keys().keep(BEFORE, &own)?;
    }
    let encoded = crate::repo::encode_identity(&key);
    file.set_identity(&encoded.peer_id, &encoded.private_key)?;
    part.taken = 1;
    Ok(())
}

/// Takes a dotted key out of a document.
fn remove(document: &mut Value, key: &str) {
    let mut cursor: Option<&mut Map<String, Value>> = document.as_object_mut();
    let mut parts = key.split('.').peekable();
    while let (Some(map), Some(part)) = (cursor, parts.next()) {
        if parts.peek().is_none() {
            map.remove(part);
            return;
        }
        cursor = map.get_mut(part).and_then(Value::as_object_mut);
    }
}
