//! Origins whose pages may ask, and what their browsers are told (CORS).

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::{Door, Face};

/// Origins of the browser extension that every Kubo lets in: release and beta of IPFS Companion.
pub const EXTENSIONS: [&str; 2] = [
    "chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
    "chrome-extension://hjoieblefckbooibpepigmacodalfndh",
];

/// What the answer to a preflight depends on, besides the origin.
const ASKED: &str = "Access-Control-Request-Method, Access-Control-Request-Headers";

/// Headers that a page of another origin may ask to send, in order; those of Kubo.
const SENT: [&str; 4] = ["accept", "content-type", "origin", "x-requested-with"];
/// Those of the port of `serve`, whose tokens stand in a header.
const SENT_TO_SEED: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "origin",
    "range",
    "x-correlation-id",
    "x-request-id",
    "x-requested-with",
];

/// Headers that a page of another origin may send and see.
pub const EXPOSED: &str = "X-Stream-Output, X-Chunked-Output, X-Content-Length";

/// What `API.HTTPHeaders` says about other origins.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    pub(super) known: Vec<String>,
    pub(super) methods: Option<String>,
    pub(super) credentials: bool,
}

impl Origins {
    fn any(&self) -> bool {
        self.known.iter().any(|known| known == "*")
    }

    /// Whether pages of `origin` may ask at a listener of this port.
    pub fn know(&self, origin: &str, port: Option<u16>) -> bool {
        self.any()
            || EXTENSIONS.contains(&origin)
            || self.known.iter().any(|known| known == origin)
            || port.is_some_and(|port| is_own(origin, port))
    }

    /// Whether the page of this URL may ask.
    pub fn know_page(&self, url: &str, port: Option<u16>) -> bool {
        self.any() || origin_of(url).is_some_and(|origin| self.know(origin, port))
    }

    /// Whether pages may use this method.
    fn have(&self, method: &str) -> bool {
        let allowed = self.methods.as_deref().unwrap_or("POST");
        allowed.split(',').any(|known| known.trim() == method)
    }

    /// Answers the question of a browser: what a page may do.
    pub fn preflight(
        &self,
        headers: &HeaderMap,
        door: Door,
        allow: &'static str,
    ) -> Vec<(HeaderName, String)> {
        let mut answer = vec![(header::VARY, ASKED.to_owned())];
        let Some(asked) = wanted_method(headers) else {
            return vec![(header::ALLOW, allow.to_owned())];
        };
        let port = door.place.port();
        let origin = super::text(headers, ORIGIN).filter(|origin| self.know(origin, port));
        let wanted = super::text(headers, header::ACCESS_CONTROL_REQUEST_HEADERS);
        let may = self.have(asked) && wanted.is_none_or(|wanted| may_send(wanted, door.face));
        let Some(origin) = origin.filter(|_| may) else {
            return answer;
        };
        answer.push((header::ACCESS_CONTROL_ALLOW_METHODS, asked.to_owned()));
        // Never the origin itself: with credentials that would let in everybody as the user.
        let shown = if self.any() { "*" } else { origin };
        answer.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, shown.to_owned()));
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
            answer.push((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.to_owned()));
        }
        if self.credentials {
            answer.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".to_owned()));
        }
        answer
    }

    /// What every answer to a page says about its origin.
    pub fn mark(
        &self,
        method: &Method,
        origin: Option<&HeaderValue>,
        port: Option<u16>,
        answer: &mut HeaderMap,
    ) {
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
        let known = |origin: &&HeaderValue| {
            let text = origin.to_str().unwrap_or_default();
            let may = method == Method::OPTIONS || self.have(method.as_str());
            may && !text.is_empty() && self.know(text, port)
        };
        let any = HeaderValue::from_static("*");
        let origin = origin.filter(known);
        let Some(origin) = origin.map(|origin| if self.any() { &any } else { origin }) else {
            return;
        };
        answer
            .entry(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            .or_insert_with(|| origin.clone());
        if self.credentials {
            answer.insert(
                header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }
}

/// Whether a page may send the headers of this list. Browsers write them small and in order, and so it has to be.
fn may_send(wanted: &str, face: Face) -> bool {
    let known: &[&str] = match face {
        Face::Rpc => &SENT,
        Face::Seed => &SENT_TO_SEED,
    };
    let names = wanted.split(',').map(|name| name.trim_matches([' ', '\t']));
    let mut left = known.iter();
    names
        .filter(|name| !name.is_empty())
        .all(|name| left.any(|known| *known == name))
}

/// Whether a browser asks what a page may do.
pub fn asks_for_permission(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && wanted_method(headers).is_some()
}

fn wanted_method(headers: &HeaderMap) -> Option<&str> {
    let asked = super::text(headers, header::ACCESS_CONTROL_REQUEST_METHOD);
    asked.filter(|asked| !asked.is_empty())
}

/// Whether it is a page of this listener, by a name that leads to this machine wherever it is read.
fn is_own(origin: &str, port: u16) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let Some((host, text)) = authority.rsplit_once(':') else {
        return false;
    };
    matches!(scheme, "http" | "https")
        && matches!(host, "127.0.0.1" | "[::1]" | "localhost")
        && text == port.to_string()
}

/// Scheme and host of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let host = url.find("://")? + 3;
    let end = url[host..]
        .find(['/', '?', '#'])
        .map_or(url.len(), |end| host + end);
    Some(&url[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kubo 0.43 was asked each of these.
    #[test]
    fn pages_may_send_the_headers_that_kubo_lets_through() {
        for (wanted, may) in [
            ("", true),
            ("content-type", true),
            (" content-type", true),
            ("accept,origin", true),
            ("x-requested-with", true),
            ("Content-Type", false),
            ("origin,accept", false),
            ("x-foo", false),
            ("content-type,x-foo", false),
            ("content-type, range", false),
            ("authorization", false),
        ] {
            assert_eq!(may_send(wanted, Face::Rpc), may, "{wanted:?}");
        }
        assert!(may_send("authorization,content-type", Face::Seed));
        assert!(!may_send("x-foo", Face::Seed));
    }
}
