//! Who may ask: the rules of Kubo's RPC, in its order. No IO.
//!
//! 1. method: `OPTIONS` is answered, `POST` passes, everything else is 405;
//! 2. `Origin`, if there is one, has to be in the list;
//! 3. `Referer`, if there is one, has to belong to an origin of the list;
//! 4. without both a browser is told by its `User-Agent` and refused, except for Electron;
//! 5. with `API.Authorizations` set, the `Authorization` has to be one of them, and its paths to lead
//!    here.
//!
//! One difference: an allowed path covers whole segments, so that `/api/v0/pin` does not cover
//! `/api/v0/pinata`.

use hyper::header::{AUTHORIZATION, HeaderMap, ORIGIN, REFERER, USER_AGENT};
use hyper::{Method, header};
use serde_json::Value;

/// Origins of the browser extension that every Kubo lets in: release and beta of IPFS Companion.
const EXTENSIONS: [&str; 2] = [
    "chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
    "chrome-extension://hjoieblefckbooibpepigmacodalfndh",
];

/// Headers that a page of another origin may send and see.
pub const EXPOSED: &str = "X-Stream-Output, X-Chunked-Output, X-Content-Length";

/// What the configuration says about who may ask.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    origins: Vec<String>,
    methods: Option<String>,
    credentials: bool,
    /// Headers of every answer.
    pub headers: Vec<(String, String)>,
    authorizations: Vec<Authorization>,
}

#[derive(Debug, Clone)]
struct Authorization {
    header: String,
    paths: Vec<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is run.
    Pass,
    /// It asked what is allowed.
    Preflight,
    /// 405.
    WrongMethod,
    /// 403.
    Forbidden,
}

impl Policy {
    /// The policy of `API.HTTPHeaders` and `API.Authorizations`.
    pub fn new(headers: Option<&Value>, authorizations: Option<&Value>) -> Policy {
        let mut policy = Policy::default();
        for (name, values) in headers.and_then(Value::as_object).into_iter().flatten() {
            let values: Vec<&str> = match values {
                Value::String(value) => vec![value],
                Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            match name.to_ascii_lowercase().as_str() {
                "access-control-allow-origin" => {
                    policy.origins.extend(values.into_iter().map(str::to_owned));
                }
                "access-control-allow-methods" => policy.methods = Some(values.join(", ")),
                "access-control-allow-credentials" => policy.credentials = values.contains(&"true"),
                _ => policy.headers.extend(
                    values
                        .into_iter()
                        .map(|value| (name.clone(), value.to_owned())),
                ),
            }
        }
        let entries = authorizations.and_then(Value::as_object);
        for (_, entry) in entries.into_iter().flatten() {
            let paths = entry["AllowedPaths"].as_array();
            policy.authorizations.push(Authorization {
                header: header_of(entry["AuthSecret"].as_str().unwrap_or_default()),
                paths: paths
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            });
        }
        policy
    }

    /// Judges a request that came in at `port`; `None` is the repo's own socket, whose file mode says
    /// who may ask, so that no secret is needed there.
    pub fn judge(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        port: Option<u16>,
    ) -> Verdict {
        match *method {
            Method::OPTIONS => return Verdict::Preflight,
            Method::POST => {}
            _ => return Verdict::WrongMethod,
        }
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let origin = text(ORIGIN).filter(|origin| !origin.is_empty());
        let referer = text(REFERER).filter(|referer| !referer.is_empty());
        if origin.is_some_and(|origin| !self.knows(origin, port)) {
            return Verdict::Forbidden;
        }
        if referer.is_some_and(|referer| !origin_of(referer).is_some_and(|of| self.knows(of, port)))
        {
            return Verdict::Forbidden;
        }
        if origin.is_none() && referer.is_none() {
            let agent = text(USER_AGENT).unwrap_or_default();
            if agent.starts_with("Mozilla") && !agent.contains("Electron") {
                return Verdict::Forbidden;
            }
        }
        if port.is_some() && !self.authorized(path, text(AUTHORIZATION).unwrap_or_default()) {
            return Verdict::Forbidden;
        }
        Verdict::Pass
    }

    /// Whether pages of `origin` may ask.
    pub fn knows(&self, origin: &str, port: Option<u16>) -> bool {
        if EXTENSIONS.contains(&origin)
            || self
                .origins
                .iter()
                .any(|known| known == "*" || known == origin)
        {
            return true;
        }
        let (Some(port), Some((scheme, host))) = (port, origin.split_once("://")) else {
            return false;
        };
        let own = ["127.0.0.1", "[::1]", "localhost"];
        matches!(scheme, "http" | "https")
            && own.iter().any(|own| {
                host.strip_prefix(own)
                    .and_then(|rest| rest.strip_prefix(':'))
                    .is_some_and(|text| text == port.to_string())
            })
    }

    /// Answers the question of a browser about `origin`.
    pub fn preflight(
        &self,
        headers: &HeaderMap,
        port: Option<u16>,
    ) -> Vec<(header::HeaderName, String)> {
        let mut answer = Vec::new();
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let Some(asked) = asked.and_then(|method| method.to_str().ok()) else {
            answer.push((header::ALLOW, "OPTIONS, POST".to_owned()));
            return answer;
        };
        let allowed = self.methods.as_deref().unwrap_or("POST");
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        let Some(origin) = origin.filter(|origin| {
            self.knows(origin, port) && allowed.split(',').any(|known| known.trim() == asked)
        }) else {
            return answer;
        };
        answer.push((header::ACCESS_CONTROL_ALLOW_METHODS, asked.to_owned()));
        answer.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.to_owned()));
        let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        if let Some(wanted) = wanted.and_then(|wanted| wanted.to_str().ok()) {
            answer.push((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.to_owned()));
        }
        if self.credentials {
            answer.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".to_owned()));
        }
        answer
    }

    fn authorized(&self, path: &str, given: &str) -> bool {
        if self.authorizations.is_empty() {
            return true;
        }
        // All are compared, so that the time tells nothing about which one was near.
        let mut passes = false;
        for known in &self.authorizations {
            let open =
                path == "/api/v0/version" || known.paths.iter().any(|known| covers(known, path));
            passes |= same(known.header.as_bytes(), given.as_bytes()) & open;
        }
        passes
    }
}

/// The header that a secret of the configuration stands for.
fn header_of(secret: &str) -> String {
    if let Some(pair) = secret.strip_prefix("basic:") {
        return format!("Basic {}", base64(pair.as_bytes()));
    }
    format!(
        "Bearer {}",
        secret.strip_prefix("bearer:").unwrap_or(secret)
    )
}

/// The value of `Authorization` for a secret written as `--api-auth` takes it.
pub fn authorization(secret: &str) -> String {
    header_of(secret)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn covers(known: &str, path: &str) -> bool {
    let known = known.trim_end_matches('/');
    path.strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Compares in a time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
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
    use serde_json::json;

    fn verdict(policy: &Policy, method: Method, headers: &[(&'static str, &str)]) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        policy.judge(&method, "/api/v0/id", &map, Some(5001))
    }

    #[test]
    fn methods_come_first() {
        let policy = Policy::default();
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let refused = verdict(&policy, method, &[("origin", "http://evil.example")]);
            assert_eq!(refused, Verdict::WrongMethod);
        }
        assert_eq!(verdict(&policy, Method::OPTIONS, &[]), Verdict::Preflight);
        assert_eq!(verdict(&policy, Method::POST, &[]), Verdict::Pass);
    }

    #[test]
    fn origins_and_referers() {
        let policy = Policy::default();
        let post = |headers: &[(&'static str, &str)]| verdict(&policy, Method::POST, headers);
        for origin in [
            "http://127.0.0.1:5001",
            "https://localhost:5001",
            "http://[::1]:5001",
            EXTENSIONS[0],
        ] {
            assert_eq!(post(&[("origin", origin)]), Verdict::Pass, "{origin}");
        }
        for origin in [
            "http://evil.example",
            "http://127.0.0.1",
            "http://127.0.0.1:50011",
            "http://127.0.0.1:5001.evil.example",
            "null",
        ] {
            assert_eq!(post(&[("origin", origin)]), Verdict::Forbidden, "{origin}");
        }
        let own = ("referer", "http://localhost:5001/webui?x#y");
        assert_eq!(post(&[own]), Verdict::Pass);
        for referer in ["http://evil.example/", "nonsense", "/api"] {
            assert_eq!(
                post(&[("referer", referer)]),
                Verdict::Forbidden,
                "{referer}"
            );
        }
        let any = json!({"Access-Control-Allow-Origin": ["*"]});
        let policy = Policy::new(Some(&any), None);
        let origin = ("origin", "http://evil.example");
        assert_eq!(verdict(&policy, Method::POST, &[origin]), Verdict::Pass);
    }

    #[test]
    fn browsers_are_told_by_their_name() {
        let policy = Policy::default();
        let post = |agent| verdict(&policy, Method::POST, &[("user-agent", agent)]);
        assert_eq!(post("Mozilla/5.0 (X11)"), Verdict::Forbidden);
        assert_eq!(post("Mozilla/5.0 Electron/30"), Verdict::Pass);
        assert_eq!(post("curl/8"), Verdict::Pass);
        let own = [
            ("user-agent", "Mozilla/5.0"),
            ("origin", "http://localhost:5001"),
        ];
        assert_eq!(verdict(&policy, Method::POST, &own), Verdict::Pass);
    }

    #[test]
    fn secrets_open_their_paths() {
        let config = json!({
            "alice": {"AuthSecret": "basic:alice:pw", "AllowedPaths": ["/api/v0/pin"]},
            "bob": {"AuthSecret": "bearer:tok", "AllowedPaths": ["/api/v0"]},
        });
        let policy = Policy::new(None, Some(&config));
        let ask = |path: &str, header: &str, port| {
            let mut map = HeaderMap::new();
            map.insert(AUTHORIZATION, header.parse().unwrap());
            policy.judge(&Method::POST, path, &map, port)
        };
        let alice = "Basic YWxpY2U6cHc=";
        assert_eq!(ask("/api/v0/pin/ls", alice, Some(1)), Verdict::Pass);
        assert_eq!(ask("/api/v0/version", alice, Some(1)), Verdict::Pass);
        assert_eq!(ask("/api/v0/pinata", alice, Some(1)), Verdict::Forbidden);
        assert_eq!(ask("/api/v0/id", "Bearer tok", Some(1)), Verdict::Pass);
        assert_eq!(ask("/api/v0/id", "Bearer to", Some(1)), Verdict::Forbidden);
        assert_eq!(ask("/api/v0/id", "", None), Verdict::Pass);
    }
}
