//! Publishes a path under a key and writes the signed record to a file, for `ipfs name put` of any node.
//!
//! `cargo run --example publish_name -- REPO KEY TYPE PATH FILE`; the repo and the key are made when they are not there.

use std::error::Error;
use std::path::Path;

use ipfs_kit_node::names::{PublishOptions, ResolveOptions};
use ipfs_kit_node::{Node, repo};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [repo, key, kind, path, file] = arguments.as_slice() else {
        return Err("usage: publish_name REPO KEY TYPE PATH FILE".into());
    };
    if repo::kind(Path::new(repo))? == repo::Kind::Absent {
        repo::init(Path::new(repo), &repo::InitOptions::default())?;
    }
    let node = Node::builder().repo(repo).open()?;
    if node.keys().find(key).is_err() {
        node.keys().generate(key, kind.parse()?, None)?;
    }
    let options = PublishOptions {
        key: key.clone(),
        resolve: false,
        // Without a network the record is kept in the repo, and republished when there is one.
        allow_offline: true,
        ..PublishOptions::default()
    };
    let published = node.names().publish(path, &options)?;
    std::fs::write(file, published.record.bytes())?;
    let name = published.key.id_text();
    let resolved = node.names().resolve(&name, &ResolveOptions::default())?;
    println!("/ipns/{name} -> {}", resolved.path);
    Ok(())
}
