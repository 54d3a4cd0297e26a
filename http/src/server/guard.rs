//! Who may ask: one decision for every request of every port. No IO.
//!
//! In this order, the first that refuses decides:
//!
//! 1. `Host` has to name this listener, so that a page whose name was bound anew to this address (DNS
//!    rebinding) does not get in; not at a Unix socket, which no page reaches;
//! 2. with secrets or tokens set, `Authorization` has to be one of them and its paths to lead here; not
//!    for the question of a browser what is allowed, which cannot carry one, and not at the repo's own
//!    socket, whose file mode says who may ask;
//! 3. the path has to lead somewhere: 404;
//! 4. method: `OPTIONS` is answered, else the route has to take it: 405;
//! 5. `Origin`, if there is one, has to be in the list;
//! 6. `Referer`, if there is one, has to belong to an origin of the list;
//! 7. a `POST` without both that a browser sent, told by its `User-Agent`, is refused, but not of Electron.
//!
//! 2 to 7 are Kubo's rules. Differences: secrets guard the whole port and not the RPC alone; an allowed path
//! covers whole segments, so that `/api/v0/pin` does not cover `/api/v0/pinata`; a preflight passes
//! without a secret.

mod host;
mod origin;
mod policy;
mod rate;
mod secret;

use std::net::SocketAddr;

use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, ORIGIN, REFERER, USER_AGENT};
use hyper::http::request::Parts;
use ipfs_kit_node::tokens::{Token, TokenList};

pub use origin::{EXPOSED, asks_for_permission};
pub use policy::Policy;
pub use rate::Rates;
pub use secret::authorization;

use super::route::Route;
use super::version;

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Kubo's RPC.
    Rpc,
    /// The port of `serve`: the RPC, whose reading methods are answered to `GET` too, and the Python kit's pages.
    Seed,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// What is served there.
    pub face: Face,
    /// How it is reached.
    pub place: Place,
}

/// How a door is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The repo's own socket.
    OwnSocket,
    /// A Unix socket that the configuration names.
    Unix,
    /// TCP, at this address of this machine.
    Tcp(SocketAddr),
}

impl Place {
    /// The port whose pages may ask.
    pub fn port(self) -> Option<u16> {
        match self {
            Place::Tcp(at) => Some(at.port()),
            Place::OwnSocket | Place::Unix => None,
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'t> {
    /// It is served, within the limits of the token that opened it.
    Pass(Option<&'t Token>),
    /// It asked what is allowed.
    Preflight,
    /// 400 with this reason.
    Bad(&'static str),
    /// 403: the host is none of this listener's.
    ForeignHost,
    /// 403: no secret, or one that does not open this path.
    Unauthorized,
    /// 404.
    NotFound,
    /// 405.
    WrongMethod,
    /// 403: it comes from a page of another origin.
    Forbidden,
}

/// The secrets at the time of a request.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'t> {
    /// Tokens.
    pub tokens: &'t TokenList,
    /// The time, in seconds since 1970.
    pub now: u64,
}

/// Judges a request for `route`, that came in at `door`.
pub fn decide<'t>(
    parts: &Parts,
    route: Option<&Route>,
    policy: &Policy,
    secrets: Secrets<'t>,
    door: &Door,
) -> Verdict<'t> {
    let preflight = parts.method == Method::OPTIONS;
    if let Place::Tcp(at) = door.place {
        match host::judge(parts, at, &policy.hosts) {
            host::Host::Own => {}
            host::Host::Foreign => return Verdict::ForeignHost,
            host::Host::Bad(reason) => return Verdict::Bad(reason),
        }
    }
    let open = preflight || route.is_some_and(|route| route.open);
    let mut token = None;
    if door.place != Place::OwnSocket && !open {
        match admit(parts, policy, secrets) {
            Some(admitted) => token = admitted,
            None => return Verdict::Unauthorized,
        }
    }
    let Some(route) = route else {
        return Verdict::NotFound;
    };
    if preflight {
        return Verdict::Preflight;
    }
    if !route.methods.have(&parts.method, parts.uri.path()) {
        return Verdict::WrongMethod;
    }
    if from_elsewhere(parts, policy, door.place.port()) {
        return Verdict::Forbidden;
    }
    Verdict::Pass(token)
}

/// Whether the secret of a request, or no secret, opens its path; and the token that does.
fn admit<'t>(parts: &Parts, policy: &Policy, secrets: Secrets<'t>) -> Option<Option<&'t Token>> {
    let tokens = secrets.tokens;
    if !policy.asks() && !tokens.asked() {
        return Some(None);
    }
    let given = text(&parts.headers, AUTHORIZATION).unwrap_or_default();
    let path = parts.uri.path();
    // A method has two paths, and what opens the first opens both.
    let known_as = version::known_as(path);
    if policy.opens(given, path) | policy.opens(given, &known_as) {
        return Some(None);
    }
    let token = given
        .strip_prefix("Bearer ")
        .and_then(|secret| tokens.find(secret))
        .filter(|token| !token.scope.has_ended(secrets.now))?;
    let covers = |path| token.scope.covers(parts.method.as_str(), path);
    let opens = known_as == secret::ALWAYS || covers(path) || covers(&known_as);
    opens.then_some(Some(token))
}

/// Whether a browser sent it for a page that may not ask.
fn from_elsewhere(parts: &Parts, policy: &Policy, port: Option<u16>) -> bool {
    let given = |name| text(&parts.headers, name).filter(|text| !text.is_empty());
    let (origin, referer) = (given(ORIGIN), given(REFERER));
    if origin.is_some_and(|origin| !policy.origins.know(origin, port)) {
        return true;
    }
    if referer.is_some_and(|referer| !policy.origins.know_page(referer, port)) {
        return true;
    }
    let agent = given(USER_AGENT).unwrap_or_default();
    parts.method == Method::POST
        && origin.is_none()
        && referer.is_none()
        && agent.starts_with("Mozilla")
        && !agent.contains("Electron")
}

/// The first header of the name. One that is no text is none that anybody allows.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests;
