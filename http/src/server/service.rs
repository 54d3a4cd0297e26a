//! From a request to a response: the guard, then what serves the route.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, ORIGIN, SERVER, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use ipfs_kit_node::Node;
use ipfs_kit_node::tokens::{Token, seconds};
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answers::{no_content, not_found, plain};
use super::body::RequestBody;
use super::call::{self, busy};
use super::guard::{self, Door, Face, Policy, Rates, Secrets, Verdict};
use super::limits::Limits;
use super::reply::ReplyBody;
use super::request_id::{CORRELATION_ID, REQUEST_ID, RequestId};
use super::route::{self, Route, Serve};
use super::running::Registry;
use super::seed;
use super::version::{API_VERSION, ApiVersion};
use crate::methods::id;
use crate::observed::{Asked, Observed, UNKNOWN};

/// Longest sum of a request's headers, in bytes, its address apart.
const MAX_HEADERS: usize = 16 << 10;

/// Bodies that are held whole, at a time.
const LONG_BODIES: usize = 16;

const FOREIGN_HOST: &str = "403 - Forbidden: this is no name of the node. Use one of its addresses, or add \
                            the name to API.AllowedHosts of its configuration";

const UNAUTHORIZED: &str = "not authorized: give a token or a secret of API.Authorizations that opens this path, in the \
                            header Authorization";

const TOO_LONG: &str = "413 - Payload Too Large: the body is longer than this token allows";

/// Ends the daemon.
pub type Stop = Arc<dyn Fn() + Send + Sync>;

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    node: Node,
    policy: RwLock<Arc<Policy>>,
    rates: Rates,
    limits: RwLock<Limits>,
    room: Arc<Semaphore>,
    long_bodies: Arc<Semaphore>,
    running: Arc<Registry>,
    observed: Arc<Observed>,
    stop: Stop,
}

impl Service {
    /// A service of the node.
    pub fn new(node: Node, policy: Policy, limits: Limits, stop: Stop) -> Service {
        Service {
            shared: Arc::new(Shared {
                node,
                policy: RwLock::new(Arc::new(policy)),
                rates: Rates::default(),
                limits: RwLock::new(limits),
                room: Arc::new(Semaphore::new(limits.commands)),
                long_bodies: Arc::new(Semaphore::new(LONG_BODIES)),
                running: Arc::default(),
                observed: Observed::new(),
                stop,
            }),
        }
    }

    /// The node that is served.
    pub fn node(&self) -> &Node {
        &self.shared.node
    }

    /// What clients may take.
    pub fn limits(&self) -> Limits {
        *self.shared.limits.read()
    }

    /// Takes other rules for requests to come, and other deadlines for connections to come.
    pub fn set(&self, policy: Policy, limits: Limits) {
        *self.shared.policy.write() = Arc::new(policy);
        let mut now = self.shared.limits.write();
        // Room is made once.
        *now = Limits {
            connections: now.connections,
            commands: now.commands,
            ..limits
        };
    }

    /// The rules of now.
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.shared.policy.read())
    }

    /// Room for commands.
    pub fn room(&self) -> &Arc<Semaphore> {
        &self.shared.room
    }

    /// Room for a body that has to be held whole.
    ///
    /// # Errors
    /// When there is none.
    pub fn long_bodies(&self) -> Result<OwnedSemaphorePermit, ()> {
        let room = Arc::clone(&self.shared.long_bodies);
        room.try_acquire_owned().map_err(drop)
    }

    /// The commands that run.
    pub fn running(&self) -> &Arc<Registry> {
        &self.shared.running
    }

    /// What the daemon knows of itself.
    pub fn observed(&self) -> &Arc<Observed> {
        &self.shared.observed
    }

    /// What ends the daemon.
    pub fn stopper(&self) -> Stop {
        Arc::clone(&self.shared.stop)
    }

    /// Answers one request that came in at `door`.
    pub async fn answer(&self, mut request: Request<Incoming>, door: Door) -> Response<ReplyBody> {
        let id = RequestId::of(request.headers());
        request.extensions_mut().insert(id.clone());
        // One request has one policy, whatever comes meanwhile.
        let policy = self.policy();
        // The answer to a preflight says itself what it allows.
        let preflight = guard::asks_for_permission(request.method(), request.headers());
        let origin = request
            .headers()
            .get(ORIGIN)
            .filter(|_| !preflight)
            .cloned();
        let method = request.method().clone();
        let version = ApiVersion::of(request.uri().path());
        let kit = match version {
            Some(ApiVersion::V0) => false,
            Some(ApiVersion::V1) => true,
            None => door.face == Face::Seed,
        };
        let mut response = self.judge(request, door, &policy).await;
        if kit {
            response = seed::shape(response);
        }
        let asked = response.extensions_mut().remove::<Asked>();
        let name = asked.map_or(UNKNOWN.into(), |Asked(name)| name);
        let status = response.status().as_u16();
        self.shared.observed.requests.answered(name, status);
        let headers = response.headers_mut();
        for (name, value) in &policy.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(SERVER, HeaderValue::from_static(id::AGENT));
        headers.insert(REQUEST_ID, id.header());
        if let Some(version) = version {
            headers.insert(API_VERSION, version.header());
        }
        if door.face == Face::Seed {
            headers.insert(CORRELATION_ID, id.header());
        }
        let origins = &policy.origins;
        origins.mark(&method, origin.as_ref(), door.place.port(), headers);
        response
    }

    async fn judge(
        &self,
        request: Request<Incoming>,
        door: Door,
        policy: &Policy,
    ) -> Response<ReplyBody> {
        let size: usize = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if size > MAX_HEADERS {
            return plain(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "431 - Request Header Fields Too Large",
            );
        }
        let Ok(tokens) = self.shared.node.tokens().list() else {
            return plain(
                StatusCode::INTERNAL_SERVER_ERROR,
                "500 - the tokens cannot be read",
            );
        };
        let (parts, body) = request.into_parts();
        let route = route::find(door.face, parts.uri.path());
        let secrets = Secrets {
            tokens: &tokens,
            now: seconds(SystemTime::now()),
        };
        match (guard::decide(&parts, route, policy, secrets, &door), route) {
            (Verdict::Pass(token), Some(route)) => {
                let body = RequestBody::new(body, max_bytes(token));
                let request = Request::from_parts(parts, body);
                match self.spend(token, &request) {
                    Ok(()) => self.serve(route, request, door).await,
                    Err(refusal) => refusal,
                }
            }
            (Verdict::Pass(_) | Verdict::NotFound, _) => not_found(),
            (Verdict::Preflight, _) => {
                let allow = route.map_or("", |route| route.methods.allow());
                no_content(policy.origins.preflight(&parts.headers, door, allow))
            }
            (Verdict::WrongMethod, _) => {
                let mut response =
                    plain(StatusCode::METHOD_NOT_ALLOWED, "405 - Method Not Allowed");
                let allow = route.map_or("", |route| route.methods.allow());
                let allow = HeaderValue::from_static(allow);
                response.headers_mut().insert(ALLOW, allow);
                response
            }
            (Verdict::Bad(reason), _) => plain(
                StatusCode::BAD_REQUEST,
                &format!("400 Bad Request: {reason}"),
            ),
            (Verdict::Forbidden, _) => plain(StatusCode::FORBIDDEN, "403 - Forbidden"),
            (Verdict::ForeignHost, _) => plain(StatusCode::FORBIDDEN, FOREIGN_HOST),
            (Verdict::Unauthorized, _) => unauthorized(door.face),
        }
    }

    /// What a token's limits say to a request that it let in.
    #[expect(clippy::result_large_err, reason = "it is the answer")]
    fn spend(
        &self,
        token: Option<&Token>,
        request: &Request<RequestBody>,
    ) -> Result<(), Response<ReplyBody>> {
        let Some(token) = token else {
            return Ok(());
        };
        self.shared
            .rates
            .count(token, Instant::now())
            .map_err(busy)?;
        if request.body().is_too_long() {
            return Err(plain(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG));
        }
        Ok(())
    }

    async fn serve(
        &self,
        route: &Route,
        request: Request<RequestBody>,
        door: Door,
    ) -> Response<ReplyBody> {
        match route.serve {
            Serve::Methods => call::call(self, request, door).await,
            Serve::Page(page) => {
                let mut response = page(self.clone(), request).await;
                let asked = response.extensions_mut();
                // One that runs a method is counted with it.
                asked.get_or_insert_with(|| Asked(route.path.into()));
                response
            }
        }
    }
}

/// 403 as Kubo says it; at the other port what HTTP has for it.
fn unauthorized(face: Face) -> Response<ReplyBody> {
    match face {
        Face::Rpc => plain(StatusCode::FORBIDDEN, UNAUTHORIZED),
        Face::Seed => {
            let mut response = plain(StatusCode::UNAUTHORIZED, UNAUTHORIZED);
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
            response
        }
    }
}

fn max_bytes(token: Option<&Token>) -> u64 {
    token
        .and_then(|token| token.scope.max_bytes)
        .unwrap_or(u64::MAX)
}
