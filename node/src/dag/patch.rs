//! Links of dag-pb nodes: added, removed, compared. What `object patch` and `object diff` do.

use bytes::Bytes;
use ipfs_kit_blockstore::block::{Block, MAX_BLOCK_LEN};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::{HashFunction, HashSpec, Version};
use ipfs_kit_unixfs::node::{Kind, UnixFs};

use crate::error::{Error, Result};
use crate::node::Node;

/// Links on the way to the one that is changed, at most.
const DEPTH_MAX: usize = 1024;
/// Changes that are told of at most.
const CHANGES_MAX: usize = 1 << 20;

/// Bytes of the paths of all differences.
const PATHS_MAX: usize = 64 << 20;

/// Why links cannot be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// Only dag-pb nodes have links with names.
    #[error("expected protobuf dag node")]
    NotDagPb,
    /// A link on the way, or the one to be removed, is not there.
    #[error("no link by that name")]
    NoLink,
    /// Links are found by their names.
    #[error("cannot create link with no name")]
    NoName,
    /// The node is a part of a file or of a sharded directory, which would not be read with other links.
    #[error(
        "links of {0} cannot be changed one by one, only those of a directory: use 'files' instead, or --allow-non-unixfs"
    )]
    NotDirectory(&'static str),
    /// The path is longer than any that is meant.
    #[error("a path of more than {DEPTH_MAX} links")]
    TooDeep,
    /// The objects differ so much that the changes have no room.
    #[error(
        "the objects differ in more than {CHANGES_MAX} links, or in links with very long paths"
    )]
    TooMany,
}

/// Options of [`super::Dag::add_link`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchOptions {
    /// Make directories on the way that are not there.
    pub create: bool,
    /// Change nodes that are no directories, too.
    pub any_node: bool,
    /// Accept blocks above 2 MiB.
    pub allow_big: bool,
}

/// A difference between two DAGs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DagChange {
    /// The names of the links that lead to it.
    pub path: String,
    /// What is there in the first.
    pub before: Option<Cid>,
    /// What is there in the second.
    pub after: Option<Cid>,
}

/// A node that is being changed, and how its CIDs are made.
struct Changed {
    node: PbNode,
    version: Version,
    hash: HashSpec,
}

impl Changed {
    fn read(node: &Node, cid: &Cid) -> Result<Changed> {
        if cid.codec() != codec::DAG_PB {
            return Err(PatchError::NotDagPb.into());
        }
        let mut decoded = decode(&node.block(cid)?)?;
        for link in &mut decoded.links {
            // As Go writes a node that it has changed.
            link.name.get_or_insert_default();
            link.tsize.get_or_insert_default();
        }
        let code = cid.hash().code();
        let function = HashFunction::from_code(code).unwrap_or(HashFunction::SHA2_256);
        let len = cid.hash().digest().len();
        let len = (!cid.hash().is_identity()).then_some(len);
        Ok(Changed {
            node: decoded,
            version: cid.version(),
            hash: HashSpec::new(function, len)?,
        })
    }

    /// An empty directory, as Kubo makes them.
    fn directory() -> Changed {
        let data = UnixFs::new(Kind::Directory).encode().into();
        Changed {
            node: PbNode {
                links: Vec::new(),
                data: Some(data),
            },
            version: Version::V0,
            hash: HashSpec::SHA2_256,
        }
    }

    fn find(&self, name: &str) -> Option<&Cid> {
        let found = self.node.links.iter().find(|link| is(link, name));
        found.map(|link| &link.cid)
    }

    /// Removes every link of that name; whether there was one.
    fn remove(&mut self, name: &str) -> bool {
        let before = self.node.links.len();
        self.node.links.retain(|link| !is(link, name));
        self.node.links.len() < before
    }

    fn set(&mut self, name: &str, cid: Cid, tsize: u64) {
        self.remove(name);
        self.node.links.push(PbLink {
            cid,
            name: Some(Bytes::copy_from_slice(name.as_bytes())),
            tsize: Some(tsize),
        });
    }

    /// The block, and the size of everything below it.
    fn block(&self, options: PatchOptions) -> Result<(Block, u64)> {
        let data = self.node.encode();
        if data.len() > MAX_BLOCK_LEN && !options.allow_big {
            return Err(Error::BlockTooBig);
        }
        let size = total(data.len(), &self.node);
        let block = Block::new(self.version, codec::DAG_PB, self.hash, data.into())?;
        Ok((block, size))
    }
}

fn decode(bytes: &Bytes) -> Result<PbNode> {
    PbNode::decode(bytes).map_err(|error| Error::Codec(error.into()))
}

fn is(link: &PbLink, name: &str) -> bool {
    link.name.as_deref().unwrap_or_default() == name.as_bytes()
}

fn total(len: usize, node: &PbNode) -> u64 {
    let sizes = node.links.iter().map(|link| link.tsize.unwrap_or_default());
    sizes.fold(len as u64, u64::saturating_add)
}

pub(super) fn add_link(
    node: &Node,
    root: &str,
    name: &str,
    child: &str,
    options: PatchOptions,
) -> Result<Cid> {
    let root = node.resolve(root)?;
    let child = node.resolve(child)?;
    let data = node.block(&child)?;
    let size = match child.codec() {
        codec::DAG_PB => total(data.len(), &decode(&data)?),
        _ => data.len() as u64,
    };
    let (mut nodes, last) = descend(node, &root, name, options)?;
    if last.is_empty() {
        return Err(PatchError::NoName.into());
    }
    if let Some((changed, _)) = nodes.last_mut() {
        changed.set(last, child, size);
    }
    ascend(node, nodes, options)
}

pub(super) fn remove_link(
    node: &Node,
    root: &str,
    name: &str,
    options: PatchOptions,
) -> Result<Cid> {
    let root = node.resolve(root)?;
    let (mut nodes, last) = descend(node, &root, name, options)?;
    let removed = nodes
        .last_mut()
        .is_some_and(|(changed, _)| changed.remove(last));
    if !removed {
        return Err(PatchError::NoLink.into());
    }
    ascend(node, nodes, options)
}

/// The nodes from the root to the one whose link is changed, each with the name that leads on, and the name
/// of that link.
fn descend<'a>(
    node: &Node,
    root: &Cid,
    path: &'a str,
    options: PatchOptions,
) -> Result<(Vec<(Changed, &'a str)>, &'a str)> {
    let mut names: Vec<&str> = path.split('/').take(DEPTH_MAX + 1).collect();
    if names.len() > DEPTH_MAX {
        return Err(PatchError::TooDeep.into());
    }
    let last = names.pop().unwrap_or_default();
    let mut current = Changed::read(node, root)?;
    if !options.any_node {
        check_directory(&current.node)?;
    }
    let mut nodes = Vec::with_capacity(names.len() + 1);
    for name in names {
        let next = match current.find(name) {
            Some(cid) => Changed::read(node, cid)?,
            None if options.create => Changed::directory(),
            None => return Err(PatchError::NoLink.into()),
        };
        nodes.push((current, name));
        current = next;
    }
    nodes.push((current, last));
    Ok((nodes, last))
}

/// Stores the nodes from the last to the root, each linked by the one before it; the root's CID.
fn ascend(node: &Node, nodes: Vec<(Changed, &str)>, options: PatchOptions) -> Result<Cid> {
    let mut blocks = Vec::with_capacity(nodes.len());
    let mut below: Option<(Cid, u64)> = None;
    for (mut changed, name) in nodes.into_iter().rev() {
        if let Some((cid, size)) = below.take() {
            changed.set(name, cid, size);
        }
        let (block, size) = changed.block(options)?;
        below = Some((block.cid().clone(), size));
        blocks.push(block);
    }
    let guard = node.store().guard();
    node.put(&guard, &blocks)?;
    node.store().sync()?;
    below
        .map(|(cid, _)| cid)
        .ok_or(Error::Internal("a path without a node"))
}

/// Whether links can be changed one by one.
fn check_directory(node: &PbNode) -> Result<(), PatchError> {
    let unixfs = node.data.as_ref().map(UnixFs::decode);
    let kind = match unixfs {
        Some(Ok(unixfs)) => unixfs.kind,
        _ => return Err(PatchError::NotDirectory("a node that is no UnixFS")),
    };
    Err(PatchError::NotDirectory(match kind {
        Kind::Directory => return Ok(()),
        Kind::HamtShard => "a sharded directory",
        Kind::Symlink => "a symbolic link",
        Kind::File | Kind::Raw => "a file",
        Kind::Metadata => "metadata",
    }))
}

/// Two nodes to be compared.
struct Pair {
    path: String,
    before: Cid,
    after: Cid,
}

/// What is told, in this order; a pair is told of by what it leads to.
enum Step {
    Pair(Pair),
    Change(DagChange),
}

impl Step {
    fn path(&self) -> &str {
        match self {
            Self::Pair(pair) => &pair.path,
            Self::Change(change) => &change.path,
        }
    }
}

pub(super) fn diff(node: &Node, before: &str, after: &str) -> Result<Vec<DagChange>> {
    let (mut changes, mut bytes) = (Vec::new(), 0_usize);
    let mut steps = vec![Step::Pair(Pair {
        path: String::new(),
        before: node.resolve(before)?,
        after: node.resolve(after)?,
    })];
    while let Some(step) = steps.pop() {
        node.cancel().check()?;
        match step {
            Step::Change(change) => changes.push(change),
            Step::Pair(pair) => {
                bytes = bytes.saturating_sub(pair.path.len());
                let found = compare(node, pair, PATHS_MAX - bytes)?;
                bytes += found.iter().map(|step| step.path().len()).sum::<usize>();
                steps.extend(found.into_iter().rev());
            }
        }
        if changes.len() + steps.len() > CHANGES_MAX {
            return Err(PatchError::TooMany.into());
        }
    }
    Ok(changes)
}

/// The differences of two nodes, in the order of their links. There is `room` for so many bytes of paths.
fn compare(node: &Node, pair: Pair, room: usize) -> Result<Vec<Step>> {
    let Pair {
        path,
        before,
        after,
    } = pair;
    if before == after {
        return Ok(Vec::new());
    }
    let whole = |path, before, after| {
        vec![Step::Change(DagChange {
            path,
            before: Some(before),
            after: Some(after),
        })]
    };
    if before.codec() != codec::DAG_PB || after.codec() != codec::DAG_PB {
        // They have to be there, as all that is compared.
        node.block(&before)?;
        node.block(&after)?;
        return Ok(whole(path, before, after));
    }
    let mut left = decode(&node.block(&before)?)?.links;
    let mut right = decode(&node.block(&after)?)?.links;
    if left.is_empty() && right.is_empty() {
        return Ok(whole(path, before, after));
    }
    let lengths = left.iter().chain(&right).map(|link| {
        // Bytes that are no text become three each.
        path.len() + 1 + 3 * name_of(link).len()
    });
    if lengths.sum::<usize>() > room {
        return Err(PatchError::TooMany.into());
    }
    let mut steps = Vec::new();
    let other: std::collections::HashMap<Bytes, Cid> = right
        .iter()
        .rev()
        .map(|link| (name_of(link), link.cid.clone()))
        .collect();
    for link in &left {
        let Some(there) = other.get(&name_of(link)) else {
            continue;
        };
        if *there != link.cid {
            steps.push(Step::Pair(Pair {
                path: join(&path, link),
                before: link.cid.clone(),
                after: there.clone(),
            }));
        }
    }
    let here: std::collections::HashSet<Bytes> = left.iter().map(name_of).collect();
    left.retain(|link| !other.contains_key(&name_of(link)));
    right.retain(|link| !here.contains(&name_of(link)));
    let gone = left
        .into_iter()
        .map(|link| (join(&path, &link), Some(link.cid), None));
    let come = right
        .into_iter()
        .map(|link| (join(&path, &link), None, Some(link.cid)));
    steps.extend(gone.chain(come).map(|(path, before, after)| {
        Step::Change(DagChange {
            path,
            before,
            after,
        })
    }));
    Ok(steps)
}

fn name_of(link: &PbLink) -> Bytes {
    link.name.clone().unwrap_or_default()
}

fn join(path: &str, link: &PbLink) -> String {
    let name = name_of(link);
    let name = String::from_utf8_lossy(&name);
    match (path, &*name) {
        (path, "") => path.to_owned(),
        ("", name) => name.to_owned(),
        (path, name) => format!("{path}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddOptions, Source};
    use std::io::Cursor;

    const EMPTY: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

    fn empty() -> (Node, String) {
        let node = Node::builder().in_memory().open().unwrap();
        let directory = Changed::directory();
        let (block, _) = directory.block(PatchOptions::default()).unwrap();
        let cid = block.cid().to_string();
        node.put(&node.store().guard(), &[block]).unwrap();
        assert_eq!(cid, EMPTY);
        (node, cid)
    }

    fn file(node: &Node, content: &str) -> String {
        let source = Source::Reader {
            name: None,
            reader: Box::new(Cursor::new(content.as_bytes().to_vec())),
        };
        let report = node
            .files()
            .add(vec![source], &AddOptions::default(), &mut |_| Ok(()))
            .unwrap();
        report.roots[0].cid.to_string()
    }

    /// The CIDs are those of Kubo 0.43.
    #[test]
    fn links_come_and_go_as_in_kubo() {
        let (node, empty) = empty();
        let options = PatchOptions::default();
        let create = PatchOptions {
            create: true,
            ..options
        };
        let dag = node.dag();
        let one = dag.add_link(&empty, "x", &empty, options).unwrap();
        assert_eq!(
            one.to_string(),
            "QmV3SwRtyMFuN1vn37g76HvFtapDePF7cPA6TMgAKKdiXe"
        );
        let deep = dag.add_link(&empty, "a/b", &empty, create).unwrap();
        assert_eq!(
            deep.to_string(),
            "QmZD3r9cZjzU8huNY2JS9TC6n8daDfT8TmE8zBSqG31Wvq"
        );
        let back = dag.remove_link(&one.to_string(), "x", options).unwrap();
        assert_eq!(back.to_string(), empty);
        let gone = dag.remove_link(&deep.to_string(), "a/b", options).unwrap();
        let wanted = dag.add_link(&empty, "a", &empty, options).unwrap();
        assert_eq!(gone, wanted);
    }

    #[test]
    fn what_cannot_be_changed_says_why() {
        let (node, empty) = empty();
        let raw = file(&node, "x");
        let options = PatchOptions::default();
        let add = |root: &str, name: &str| match node.dag().add_link(root, name, &empty, options) {
            Err(Error::Patch(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(add(&empty, ""), PatchError::NoName);
        assert_eq!(add(&empty, "a/"), PatchError::NoLink);
        assert_eq!(add(&empty, "no/x"), PatchError::NoLink);
        assert_eq!(add(&raw, "x"), PatchError::NotDirectory("a file"));
        assert_eq!(add(&empty, &"a/".repeat(DEPTH_MAX)), PatchError::TooDeep);
        let any = PatchOptions {
            any_node: true,
            ..options
        };
        assert!(node.dag().add_link(&raw, "x", &empty, any).is_ok());
        let removed = node.dag().remove_link(&empty, "x", options);
        assert!(matches!(removed, Err(Error::Patch(PatchError::NoLink))));
    }

    #[test]
    fn differences_are_told_in_the_order_of_links() {
        let (node, empty) = empty();
        let [a, b] = ["a", "b"].map(|content| file(&node, content));
        let make = |links: &[(&str, &str)]| {
            let create = PatchOptions {
                create: true,
                ..PatchOptions::default()
            };
            links.iter().fold(empty.clone(), |root, (name, cid)| {
                node.dag()
                    .add_link(&root, name, cid, create)
                    .unwrap()
                    .to_string()
            })
        };
        let before = make(&[("d/x", &a), ("gone", &a), ("same", &a)]);
        let after = make(&[("come", &b), ("d/x", &b), ("d/y", &b), ("same", &a)]);
        let told: Vec<(String, bool, bool)> = node
            .dag()
            .diff(&before, &after)
            .unwrap()
            .into_iter()
            .map(|change| (change.path, change.before.is_some(), change.after.is_some()))
            .collect();
        let wanted = [
            ("d/x", true, true),
            ("d/y", false, true),
            ("gone", true, false),
            ("come", false, true),
        ];
        assert_eq!(told, wanted.map(|(path, b, a)| (path.to_owned(), b, a)));
        assert!(node.dag().diff(&before, &before).unwrap().is_empty());
        assert_eq!(node.dag().diff(&a, &b).unwrap()[0].path, "");
    }

    /// Two chains of nodes, longer than a stack would bear.
    #[test]
    fn depth_costs_no_stack() {
        let (node, _) = empty();
        let chain = |content: &str| {
            let end = file(&node, content).parse::<Cid>().unwrap();
            let mut below = (end, 1);
            let mut blocks = Vec::new();
            for _ in 0..20_000 {
                let mut directory = Changed::directory();
                directory.set("d", below.0, below.1);
                let (block, size) = directory.block(PatchOptions::default()).unwrap();
                below = (block.cid().clone(), size);
                blocks.push(block);
            }
            node.put(&node.store().guard(), &blocks).unwrap();
            below.0.to_string()
        };
        let changes = node.dag().diff(&chain("a"), &chain("b")).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path.len(), 2 * 20_000 - 1);
    }
}
