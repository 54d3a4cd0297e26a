//! Routes of the kit's cluster, which this version does not have: whoever asks is told so.

use futures::FutureExt;
use hyper::{Request, StatusCode};

use super::refusal::Refusal;
use crate::server::body::RequestBody;
use crate::server::route::Answer;
use crate::server::service::Service;

/// Where the cluster will be.
pub const CLUSTER: [&str; 2] = ["/api/v0/cluster/", "/api/v1/cluster/"];

/// Refuses.
pub fn cluster(_: Service, _: Request<RequestBody>) -> Answer {
    let text = "this version of ipfs-kit has no cluster: pin on each node with /api/v0/pin/add, or on a pinning \
                service with /api/v0/pin/remote/add";
    let refusal = Refusal::new(StatusCode::NOT_IMPLEMENTED, text);
    async move { refusal.response() }.boxed()
}
