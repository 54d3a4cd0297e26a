//! Path resolution: names to roots, then over the local blocks.

use std::str::FromStr;

use ipfs_kit_blockstore::cid::{Cid, CidError};
use ipfs_kit_unixfs::{Namespace, PathResolver, Resolved, run};

use crate::dag::DagResolved;
use crate::error::{Error, Result};
use crate::node::Node;

/// A parsed path: where it starts and the names to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedPath {
    /// The first block.
    pub root: Cid,
    /// Names below it.
    pub segments: Vec<String>,
    /// Whether the path began with `/ipld`.
    pub ipld: bool,
}

impl FromStr for ParsedPath {
    type Err = Error;

    /// Reads `CID`, `CID/a`, `/ipfs/CID/a`, `/ipld/CID/a`, `ipfs://CID/a` and `ipfs:CID`. Empty segments do not count.
    /// Names are resolved before.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |reason: String| Error::BadPath {
            path: text.to_owned(),
            reason,
        };
        let lower = text.get(..5).map(str::to_ascii_lowercase);
        let rest = match lower.as_deref() {
            Some("ipns:" | "/ipns") => return Err(Error::NeedsNetwork(text.to_owned())),
            Some("ipfs:" | "ipld:") => text[5..].trim_start_matches('/'),
            Some("/ipfs" | "/ipld") if text[5..].starts_with('/') => &text[5..],
            _ if text.starts_with('/') => {
                return Err(bad("it must start with a CID, /ipfs/ or /ipld/".to_owned()));
            }
            _ => text,
        };
        let ipld = matches!(lower.as_deref(), Some("/ipld" | "ipld:"));
        let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
        let first = segments.next().ok_or_else(|| {
            bad("path does not have enough components: it names no CID".to_owned())
        })?;
        let root: Cid = first.parse().map_err(|error: CidError| {
            // Kubo's words for what is neither a path nor a CID, which its clients look for.
            bad(match text.starts_with('/') || text.contains(':') {
                true => error.to_string(),
                false => format!("path does not have enough components: {error}"),
            })
        })?;
        root.check().map_err(|error| bad(error.to_string()))?;
        Ok(Self {
            root,
            segments: segments.map(str::to_owned).collect(),
            ipld,
        })
    }
}

/// Follows a path to a whole block.
pub fn whole(node: &Node, path: &str) -> Result<Cid> {
    let resolved = follow(node, path)?;
    if resolved.remainder.is_empty() {
        return Ok(resolved.cid);
    }
    Err(Error::InsideBlock {
        path: path.to_owned(),
        remainder: resolved.remainder.join("/"),
    })
}

/// Follows a path as far as blocks go.
pub fn partial(node: &Node, path: &str) -> Result<DagResolved> {
    let resolved = follow(node, path)?;
    Ok(DagResolved {
        cid: resolved.cid,
        remainder: resolved.remainder.join("/"),
    })
}

fn follow(node: &Node, path: &str) -> Result<Resolved> {
    let path = node.names().immutable(path)?;
    let parsed: ParsedPath = path.parse()?;
    let namespace = if parsed.ipld {
        Namespace::Ipld
    } else {
        Namespace::Ipfs
    };
    let mut resolver = PathResolver::new(namespace, parsed.root, &parsed.segments)?;
    let mut found = None;
    run::<_, Error>(
        &mut resolver,
        |cid| {
            node.cancel().check()?;
            node.block(cid)
        },
        |resolved| {
            found = Some(resolved);
            Ok(())
        },
    )?;
    found.ok_or(Error::Internal("a path was followed to no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";

    #[test]
    fn forms_of_a_path() {
        for text in [
            "CID/a/b",
            "/ipfs/CID/a/b",
            "/ipfs/CID//a/b/",
            "ipfs://CID/a/b",
            "ipfs:CID/a/b",
            "IPFS://CID/a/b",
        ] {
            let parsed: ParsedPath = text.replace("CID", CID).parse().unwrap();
            assert_eq!(
                (
                    parsed.root.to_string().as_str(),
                    parsed.segments.join("/").as_str()
                ),
                (CID, "a/b"),
                "{text}"
            );
            assert!(!parsed.ipld);
        }
        assert!(format!("/ipld/{CID}").parse::<ParsedPath>().unwrap().ipld);
    }

    #[test]
    fn bad_paths_say_why() {
        for text in ["", "/", "/ipfs/", "/ipfs", "/etc/passwd", "nope", "ipfs://"] {
            assert!(
                matches!(text.parse::<ParsedPath>(), Err(Error::BadPath { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            "/ipns/example.com".parse::<ParsedPath>(),
            Err(Error::NeedsNetwork(_))
        ));
    }
}
