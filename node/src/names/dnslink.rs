//! DNSLink: domains that name content by a TXT record `dnslink=/ipfs/...`.
//!
//! Spec: <https://dnslink.org/>. Only `_dnslink.DOMAIN` is asked, as Kubo does.

use std::collections::BTreeMap;

use super::NameError;
use super::path::NamePath;
use super::routing::{Dns, DnsError, TxtAnswer};
use crate::cancel::CancelToken;
use crate::error::Result;

/// Texts above are no DNSLink.
const MAX_TEXTS: usize = 64;

/// Looks up where a domain leads.
pub fn lookup(
    dns: &dyn Dns,
    domain: &str,
    cancel: &CancelToken,
) -> Result<(NamePath, std::time::Duration)> {
    let domain = domain.trim_end_matches('.');
    check_domain(domain)?;
    let answer = match dns.txt(&format!("_dnslink.{domain}."), cancel) {
        Err(DnsError::NoRecords) => return Err(NameError::NoDnsLink(domain.to_owned()).into()),
        Err(DnsError::Failed(reason)) => {
            cancel.check()?;
            let domain = domain.to_owned();
            return Err(NameError::Dns { domain, reason }.into());
        }
        Ok(answer) => answer,
    };
    let path = select(domain, &answer)?;
    Ok((path, answer.ttl))
}

/// The one path among the texts.
fn select(domain: &str, answer: &TxtAnswer) -> Result<NamePath, NameError> {
    let links = answer.texts.iter().take(MAX_TEXTS);
    let mut paths = links.filter_map(|text| {
        let value = text.strip_prefix("dnslink=").unwrap_or(text);
        // Old entries are a CID alone.
        NamePath::parse(value).ok()
    });
    let first = paths
        .next()
        .ok_or_else(|| NameError::NoDnsLink(domain.to_owned()))?;
    match paths.next() {
        None => Ok(first),
        Some(_) => Err(NameError::ManyDnsLinks(domain.to_owned())),
    }
}

/// The rules of RFC 1035 for lengths; letters, digits, `-` and `_`.
pub fn check_domain(domain: &str) -> Result<(), NameError> {
    let bad = |reason: &str| NameError::BadName {
        name: domain.chars().take(200).collect(),
        reason: reason.to_owned(),
    };
    if domain.is_empty() || domain.len() > 240 {
        return Err(bad(
            "neither a key id nor a domain name of at most 240 characters",
        ));
    }
    let fits = |label: &str| !label.is_empty() && label.len() <= 63;
    if !domain.split('.').all(fits) {
        return Err(bad("the parts of a domain name have 1 to 63 characters"));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !domain.split('.').all(|label| label.bytes().all(letter)) {
        return Err(bad(
            "a domain name has letters, digits, '-' and '_'; others in punycode",
        ));
    }
    Ok(())
}

/// Reads `IPFS_NS_MAP`: `host:path,host:path`.
///
/// # Errors
/// [`NameError::NameMap`] with the part that cannot be read.
pub fn parse_map(text: &str) -> Result<BTreeMap<String, NamePath>, NameError> {
    let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
    entries
        .map(|entry| {
            let bad = || NameError::NameMap(entry.to_owned());
            let (host, path) = entry.trim().split_once(':').ok_or_else(bad)?;
            let rooted = path.starts_with("/ipfs/") || path.starts_with("/ipns/");
            let path = NamePath::parse(path)
                .ok()
                .filter(|_| rooted)
                .ok_or_else(bad)?;
            Ok((host.trim_end_matches('.').to_ascii_lowercase(), path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CID: &str = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";

    fn answer(texts: &[&str]) -> TxtAnswer {
        TxtAnswer {
            texts: texts.iter().map(|text| text.replace("CID", CID)).collect(),
            ttl: Duration::from_secs(60),
        }
    }

    #[test]
    fn the_one_path_is_found_among_other_texts() {
        let texts = [
            "v=spf1 -all",
            "dnslink=/ipfs/CID/a",
            "dnslink=/foo/x",
            "dnslink=",
        ];
        let path = select("x.org", &answer(&texts)).unwrap();
        assert_eq!(path.to_string(), format!("/ipfs/{CID}/a"));
        for text in ["dnslink=/ipns/y.org", "dnslink=CID", "CID"] {
            select("x.org", &answer(&[text])).unwrap();
        }
        let two = answer(&["dnslink=/ipfs/CID", "dnslink=/ipns/y.org"]);
        assert!(matches!(
            select("x.org", &two),
            Err(NameError::ManyDnsLinks(_))
        ));
        assert!(matches!(
            select("x.org", &answer(&["x"])),
            Err(NameError::NoDnsLink(_))
        ));
    }

    #[test]
    fn domains_and_the_map() {
        check_domain("a-b.example_1.org").unwrap();
        for bad in [
            "",
            "a..b",
            "ä.org",
            "a b.org",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert!(check_domain(bad).is_err(), "{bad}");
        }
        let map = parse_map(&format!(
            "A.example:/ipfs/{CID},b.example:/ipns/a.example/x,"
        ))
        .unwrap();
        assert_eq!(map.len(), 2);
        assert_eq!(map["b.example"].to_string(), "/ipns/a.example/x");
        for bad in ["foo", "foo:bar", &format!("foo:{CID}")] {
            assert!(
                matches!(parse_map(bad), Err(NameError::NameMap(_))),
                "{bad}"
            );
        }
    }
}
