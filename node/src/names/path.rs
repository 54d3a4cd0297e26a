//! Content paths as names carry them: a namespace, a root, what is below it.

use std::fmt;

use ipfs_kit_blockstore::cid::{Cid, CidError};

/// Longest path that is followed or published, in bytes; a record holds no longer one.
const MAX_LEN: usize = 8 << 10;

/// Where a content path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSpace {
    /// `/ipfs`: the root is a CID.
    Ipfs,
    /// `/ipns`: the root is a key id, the name of a key, or a domain.
    Ipns,
}

/// A content path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePath {
    /// What the root is.
    pub namespace: NameSpace,
    /// A CID, a key id or a domain.
    pub root: String,
    /// What is below, empty or with a leading slash.
    pub rest: String,
}

impl fmt::Display for NamePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = match self.namespace {
            NameSpace::Ipfs => "ipfs",
            NameSpace::Ipns => "ipns",
        };
        write!(f, "/{namespace}/{}{}", self.root, self.rest)
    }
}

impl NamePath {
    /// Reads `/ipfs/CID/a`, `/ipns/NAME/a`, `ipfs://CID/a`, `ipns://NAME/a` and a bare `CID/a`. Empty segments do not
    /// count; one slash at the end is kept, as it says that a directory is meant.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LEN {
            return Err(format!("it is longer than {MAX_LEN} bytes"));
        }
        let lower = text.get(..5).map(str::to_ascii_lowercase);
        let (namespace, rest) = match lower.as_deref() {
            Some("/ipns") if text[5..].starts_with('/') => (NameSpace::Ipns, &text[5..]),
            Some("/ipfs") if text[5..].starts_with('/') => (NameSpace::Ipfs, &text[5..]),
            Some("ipns:") => (NameSpace::Ipns, &text[5..]),
            Some("ipfs:") => (NameSpace::Ipfs, &text[5..]),
            _ if text.starts_with('/') => {
                return Err("it must start with a CID, /ipfs/ or /ipns/".to_owned());
            }
            _ => (NameSpace::Ipfs, text),
        };
        let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
        let root = segments
            .next()
            .ok_or("path does not have enough components: it names no root")?
            .to_owned();
        if namespace == NameSpace::Ipfs {
            let cid: Cid = root.parse().map_err(|error: CidError| {
                match text.starts_with('/') || text.contains(':') {
                    true => error.to_string(),
                    false => format!("path does not have enough components: {error}"),
                }
            })?;
            cid.check().map_err(|error| error.to_string())?;
        }
        let mut below = String::new();
        for segment in segments {
            below.push('/');
            below.push_str(segment);
        }
        if rest.ends_with('/') {
            below.push('/');
        }
        Ok(Self {
            namespace,
            root,
            rest: below,
        })
    }

    /// Whether a text is in the namespace of names, whatever follows.
    pub fn is_name(text: &str) -> bool {
        let start = text.get(..5).map(str::to_ascii_lowercase);
        matches!(start.as_deref(), Some("ipns:"))
            || (matches!(start.as_deref(), Some("/ipns"))
                && text[5..].chars().next().is_none_or(|next| next == '/'))
    }

    /// The path that continues below this one.
    pub fn join(&self, below: &str) -> Self {
        let rest = if below.is_empty() {
            self.rest.clone()
        } else {
            format!("{}{below}", self.rest.trim_end_matches('/'))
        };
        Self {
            rest,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

    #[test]
    fn forms() {
        for (text, expected) in [
            (CID.to_owned(), format!("/ipfs/{CID}")),
            (format!("{CID}/a//b"), format!("/ipfs/{CID}/a/b")),
            (format!("/ipfs/{CID}/"), format!("/ipfs/{CID}/")),
            (format!("ipfs://{CID}/a"), format!("/ipfs/{CID}/a")),
            (
                "ipns://example.com/a".to_owned(),
                "/ipns/example.com/a".to_owned(),
            ),
            (
                "/IPNS/example.com".to_owned(),
                "/ipns/example.com".to_owned(),
            ),
        ] {
            assert_eq!(
                NamePath::parse(&text).unwrap().to_string(),
                expected,
                "{text}"
            );
        }
        for text in [
            "",
            "/",
            "/ipns",
            "/ipns/",
            "foo",
            "/ipld/x",
            "/ipfs/foo",
            "ipns://",
        ] {
            assert!(NamePath::parse(text).is_err(), "{text}");
        }
        assert!(NamePath::parse(&format!("{CID}/{}", "a".repeat(MAX_LEN))).is_err());
    }

    #[test]
    fn joining() {
        let path = NamePath::parse(&format!("/ipfs/{CID}/a/")).unwrap();
        assert_eq!(path.join("/b/").to_string(), format!("/ipfs/{CID}/a/b/"));
        assert_eq!(path.join("").to_string(), format!("/ipfs/{CID}/a/"));
        assert!(NamePath::is_name("/ipns") && NamePath::is_name("IPNS://x"));
        assert!(!NamePath::is_name("/ipnsx/a") && !NamePath::is_name(CID));
    }
}
