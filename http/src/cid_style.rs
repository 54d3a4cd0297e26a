//! How CIDs are written: `--cid-base`, and the base of the CID in a path.

use std::fmt::Write as _;

use ipfs_kit_node::cid::{Base, Cid, Version};

use crate::bases;
use crate::failure::Failure;

/// A multibase for CIDs, and whether version 0 is upgraded to fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CidStyle {
    base: Option<Base>,
    upgrade: bool,
}

impl CidStyle {
    /// The style of `--cid-base` and `--upgrade-cidv0-in-output`.
    ///
    /// # Errors
    /// A base that does not exist.
    pub fn new(base: Option<&str>, upgrade: Option<bool>) -> Result<CidStyle, Failure> {
        let base = base.map(bases::by_name).transpose()?;
        let implied = base.is_some_and(|base| base != Base::Base58Btc);
        Ok(CidStyle {
            base,
            upgrade: upgrade.unwrap_or(implied),
        })
    }

    /// The style of the CID that a path starts with, when no base was asked for.
    pub fn or_of_path(self, path: &str) -> CidStyle {
        if self.base.is_some() {
            return self;
        }
        let Some(first) = root_of(path) else {
            return self;
        };
        match first.parse::<Cid>() {
            Ok(cid) if cid.version() == Version::V1 => {
                let base = first.chars().next().and_then(bases::by_prefix);
                CidStyle {
                    base,
                    upgrade: true,
                }
            }
            _ => self,
        }
    }

    /// Appends `cid`.
    pub fn push(self, out: &mut Vec<u8>, cid: &Cid) {
        match self.base {
            None if !self.upgrade => cid.write_text(out),
            _ => out.extend_from_slice(self.text(cid).as_bytes()),
        }
    }

    /// `cid` as text.
    pub fn text(self, cid: &Cid) -> String {
        let mut text = String::with_capacity(64);
        let _ = match self.base {
            // Version 0 has one spelling only.
            _ if cid.version() == Version::V0 && !self.upgrade => write!(text, "{cid}"),
            None => write!(text, "{}", cid.to_v1()),
            Some(base) => write!(text, "{}", cid.to_v1().to_string_of_base(base)),
        };
        text
    }
}

/// The part of a path where a CID stands: the first of a bare path, the second after `/ipfs/`.
fn root_of(path: &str) -> Option<&str> {
    let path = match path.split_once("://") {
        Some((_, rest)) => rest,
        None => path.strip_prefix("ipfs:").unwrap_or(path),
    };
    match path.strip_prefix('/') {
        Some(rooted) => rooted.split('/').nth(1),
        None => path.split('/').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP";
    const V1: &str = "bafybeigyuzeptqc3orbsrqwzhqwde3tgztdwhdie5z2v27a4j4ir2hzs3i";

    fn written(style: CidStyle, text: &str) -> String {
        let cid: Cid = text.parse().unwrap();
        let mut pushed = Vec::new();
        style.push(&mut pushed, &cid);
        assert_eq!(pushed, style.text(&cid).as_bytes());
        style.text(&cid)
    }

    #[test]
    fn the_base_upgrades_version_0() {
        assert_eq!(written(CidStyle::default(), V0), V0);
        assert_eq!(
            written(CidStyle::new(Some("base32"), None).unwrap(), V0),
            V1
        );
        assert_eq!(
            written(CidStyle::new(Some("base58btc"), None).unwrap(), V0),
            V0
        );
        assert_eq!(written(CidStyle::new(None, Some(true)).unwrap(), V0), V1);
        let kept = CidStyle::new(Some("base32"), Some(false)).unwrap();
        assert_eq!(written(kept, V0), V0);
    }

    #[test]
    fn the_path_decides_when_nothing_was_asked() {
        let upper = V1.to_uppercase();
        for path in [
            upper.clone(),
            format!("/ipfs/{upper}/a"),
            format!("ipfs://{upper}/a/b"),
        ] {
            let style = CidStyle::default().or_of_path(&path);
            assert_eq!(written(style, V0), upper, "{path}");
        }
        assert_eq!(written(CidStyle::default().or_of_path(V0), V1), V1);
        let asked = CidStyle::new(Some("base16"), None).unwrap();
        assert_eq!(asked.or_of_path(&upper), asked);
    }
}
