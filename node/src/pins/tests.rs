use super::*;
use crate::files::{AddOptions, Source};

fn node() -> Node {
    Node::builder().in_memory().open().unwrap()
}

/// A directory of two files of several blocks each; gives the CIDs of the directory and of the files.
fn tree(node: &Node, salt: &str) -> (Cid, Vec<Cid>) {
    let options = AddOptions {
        wrap: true,
        pin: false,
        chunker: Some("size-10".to_owned()),
        max_file_links: Some(3),
        ..AddOptions::default()
    };
    let sources = vec![
        Source::bytes("x", format!("{salt} {}", "x".repeat(100))),
        Source::bytes("y", "the same in every tree, over and over"),
    ];
    let mut files = Vec::new();
    let report = node
        .files()
        .add(sources, &options, &mut |event| {
            if let crate::AddEvent::Added { cid, name, .. } = event
                && !name.is_empty()
            {
                files.push(cid);
            }
            Ok(())
        })
        .unwrap();
    (report.roots[0].cid.clone(), files)
}

fn text(cid: &Cid) -> Vec<String> {
    vec![cid.to_string()]
}

fn quiet() -> impl FnMut(u64) -> std::io::Result<()> {
    |_| Ok(())
}

fn listed(node: &Node, filter: PinFilter) -> Vec<(Cid, String)> {
    let mut seen = Vec::new();
    node.pins()
        .list(&PinList { filter, name: None }, &mut |pin| {
            seen.push((pin.cid, format!("{:?}", pin.kind)));
            Ok(())
        })
        .unwrap();
    seen
}

#[test]
fn kubos_rules_for_adding_and_removing() {
    let node = node();
    let (root, files) = tree(&node, "a");
    let pins = node.pins();
    let direct = PinAdd {
        recursive: false,
        name: None,
    };
    assert_eq!(
        pins.remove(&text(&root), true).unwrap_err().to_string(),
        "not pinned or pinned indirectly"
    );
    pins.add(&text(&root), &direct, &mut quiet()).unwrap();
    let named = PinAdd {
        recursive: true,
        name: Some("n".to_owned()),
    };
    pins.add(&text(&root), &named, &mut quiet()).unwrap();
    let pin = &pins.check(&text(&root), PinFilter::All).unwrap()[0];
    assert_eq!(
        (pin.kind.clone(), pin.name.as_deref()),
        (PinKind::Recursive, Some("n"))
    );
    let error = pins
        .add(&text(&root), &direct, &mut quiet())
        .unwrap_err()
        .to_string();
    assert_eq!(error, format!("pin: {root} already pinned recursively"));
    let error = pins.remove(&text(&root), false).unwrap_err().to_string();
    assert_eq!(error, format!("{root} is pinned recursively"));
    assert_eq!(
        pins.remove(&text(&files[0]), true).unwrap_err().to_string(),
        "not pinned or pinned indirectly"
    );

    let mixed = vec![root.to_string(), files[0].to_string()];
    assert!(pins.remove(&mixed, true).is_err());
    assert_eq!(pins.count().unwrap(), 1, "all or none are removed");
    pins.remove(&text(&root), true).unwrap();
    assert_eq!(pins.count().unwrap(), 0);

    let long = PinAdd {
        recursive: true,
        name: Some("x".repeat(256)),
    };
    let error = pins
        .add(&text(&root), &long, &mut quiet())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "pin name is 256 bytes (max 255 bytes)");
}

#[test]
fn indirect_pins_are_found_from_below_and_from_above() {
    let node = node();
    let (root, files) = tree(&node, "a");
    let (other, _) = tree(&node, "b");
    let pins = node.pins();
    let unpinned = pins
        .check(&text(&files[0]), PinFilter::All)
        .unwrap_err()
        .to_string();
    assert_eq!(unpinned, format!("path '{}' is not pinned", files[0]));
    pins.add(&text(&root), &PinAdd::default(), &mut quiet())
        .unwrap();
    let mut leaves = Vec::new();
    let all = crate::RefsOptions {
        recursive: true,
        unique: true,
        max_depth: None,
    };
    node.refs(&text(&root), &all, &mut |event| {
        if let crate::RefEvent::Link { target, .. } = event {
            leaves.push(target);
        }
        Ok(())
    })
    .unwrap();
    assert!(leaves.len() > 10);
    for leaf in &leaves {
        let pin = &pins.check(&text(leaf), PinFilter::Indirect).unwrap()[0];
        assert_eq!(
            pin.kind,
            PinKind::Indirect {
                through: Some(root.clone())
            }
        );
    }
    assert!(
        pins.check(&text(&root), PinFilter::Indirect).is_err(),
        "a root is not below itself"
    );
    assert!(pins.check(&text(&other), PinFilter::All).is_err());

    let mut indirect: Vec<Cid> = listed(&node, PinFilter::Indirect)
        .into_iter()
        .map(|(cid, _)| cid)
        .collect();
    let everything = listed(&node, PinFilter::All);
    assert_eq!(everything[0], (root.clone(), "Recursive".to_owned()));
    assert_eq!(everything.len(), indirect.len() + 1);
    indirect.sort();
    leaves.sort();
    assert_eq!(indirect, leaves);

    let held = |cid: &Cid| {
        let mut outcome = String::new();
        node.blocks()
            .remove(std::slice::from_ref(cid), false, &mut |(_, result)| {
                outcome = result.unwrap_err().to_string();
                Ok(())
            })
            .unwrap();
        outcome
    };
    assert_eq!(held(&leaves[0]), format!("pinned via {root}"));
    assert_eq!(held(&root), "pinned: recursive");
}

#[test]
fn update_keeps_the_name() {
    let node = node();
    let (from, _) = tree(&node, "a");
    let (to, _) = tree(&node, "b");
    let pins = node.pins();
    let update = |unpin| pins.update(&from.to_string(), &to.to_string(), unpin);
    assert_eq!(
        update(true).unwrap_err().to_string(),
        "'from' cid was not recursively pinned already"
    );
    pins.add(
        &text(&from),
        &PinAdd {
            recursive: true,
            name: Some("n".to_owned()),
        },
        &mut quiet(),
    )
    .unwrap();
    update(false).unwrap();
    assert_eq!(pins.count().unwrap(), 2);
    assert_eq!(
        update(true).unwrap_err().to_string(),
        "'to' cid was already recursively pinned"
    );
    pins.remove(&text(&to), true).unwrap();
    update(true).unwrap();
    let pin = &pins.check(&text(&to), PinFilter::Recursive).unwrap()[0];
    assert_eq!(pin.name.as_deref(), Some("n"));
    assert_eq!(pins.count().unwrap(), 1);
}

#[test]
fn names_filter_and_verify_names_what_is_missing() {
    let node = node();
    let (root, files) = tree(&node, "a");
    let (other, _) = tree(&node, "b");
    let pins = node.pins();
    pins.add(
        &text(&root),
        &PinAdd {
            recursive: true,
            name: Some("holiday".to_owned()),
        },
        &mut quiet(),
    )
    .unwrap();
    pins.add(&text(&other), &PinAdd::default(), &mut quiet())
        .unwrap();
    let mut seen = Vec::new();
    let options = PinList {
        filter: PinFilter::All,
        name: Some("lida".to_owned()),
    };
    pins.list(&options, &mut |pin| {
        seen.push(pin.cid);
        Ok(())
    })
    .unwrap();
    assert_eq!(seen, std::slice::from_ref(&root));

    node.store()
        .delete_many(&[files[0].hash().clone()])
        .unwrap();
    let mut bad = Vec::new();
    pins.verify(&mut |verified| {
        bad.extend(
            verified
                .bad
                .into_iter()
                .map(|(cid, error)| (verified.cid.clone(), cid, error.to_string())),
        );
        Ok(())
    })
    .unwrap();
    assert_eq!(bad.len(), 1);
    assert_eq!((&bad[0].0, &bad[0].1), (&root, &files[0]));
    assert!(bad[0].2.contains("could not find"), "{}", bad[0].2);
    assert!(
        pins.list(&PinList::default(), &mut |_| Ok(())).is_err(),
        "an incomplete listing is not passed off as whole"
    );
}
