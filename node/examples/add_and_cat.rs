//! Makes a repo, adds a directory, reads a file of it back: `cargo run --example add_and_cat -- DIRECTORY`.

use std::path::PathBuf;

use ipfs_kit_node::repo::{InitOptions, init};
use ipfs_kit_node::{AddEvent, AddOptions, EntryKind, LsOptions, Node, Source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("examples"), PathBuf::from);
    let repo = std::env::temp_dir().join(format!("ipfs-kit-example-{}", std::process::id()));
    let made = init(
        &repo,
        &InitOptions {
            profiles: vec!["unixfs-v1-2025".to_owned()],
            ..InitOptions::default()
        },
    )?;
    println!("repo of {} in {}", made.peer_id, made.path.display());

    let node = Node::builder().repo(&repo).open()?;
    let report = node.files().add(
        vec![Source::path(directory)],
        &AddOptions::default(),
        &mut |event| {
            if let AddEvent::Added { name, cid, .. } = event {
                println!("added {cid} {name}");
            }
            Ok(())
        },
    )?;

    let root = report.roots[0].cid.to_string();
    let mut first_file = None;
    node.files()
        .ls(&root, &LsOptions::default(), &mut |entry| {
            if first_file.is_none() && entry.kind == EntryKind::File {
                first_file = Some(entry.name);
            }
            Ok(())
        })?;
    if let Some(name) = first_file {
        println!("{name} begins with:");
        let mut content = node.files().cat(&format!("{root}/{name}"))?;
        content.copy_to(&mut std::io::stdout().lock(), Some(200))?;
        println!();
    }
    node.close()?;
    std::fs::remove_dir_all(&repo)?;
    Ok(())
}
