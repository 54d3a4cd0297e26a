//! The client of one service.

use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use ipfs_kit_blockstore::cid::Cid;
use libp2p::Multiaddr;
use serde::de::DeserializeOwned;

use super::api::{FailureReply, ListReply, PinRequest, StatusReply};
use super::{RemoteError, RemotePin, RemotePinCounts, RemotePinFilter, RemoteStatus};
use crate::web::{Ask, WebClient, read};

/// Longest wait for the head of a reply, and for its body.
const REPLY_WAIT: Duration = Duration::from_secs(60);
/// Largest reply: a thousand pins with twenty origins each.
const REPLY_MAX: usize = 16 << 20;
/// Pins asked for at once, the most that the API allows.
const PAGE: u64 = 1000;
/// Addresses given along with a pin (the API's limit).
const ORIGINS_MAX: usize = 20;
/// Peers of a service that are connected to.
pub const DELEGATES_MAX: usize = 20;

const JSON: &str = "application/json";

/// A service that can be asked.
pub struct Client {
    web: WebClient,
    endpoint: String,
    host: String,
    authorization: HeaderValue,
}

impl Client {
    /// `endpoint` is normalized.
    pub fn new(endpoint: &str, key: &str) -> Result<Self, RemoteError> {
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| RemoteError::BadKey)?;
        authorization.set_sensitive(true);
        let uri: Uri = endpoint
            .parse()
            .map_err(|_| RemoteError::BadEndpoint(super::settings::NO_URL))?;
        let host = uri.host().unwrap_or_default().to_owned();
        Ok(Self {
            web: WebClient::new(true)?,
            endpoint: endpoint.to_owned(),
            host,
            authorization,
        })
    }

    /// Asks for a new pin.
    pub async fn add(
        &self,
        cid: &Cid,
        name: Option<&str>,
        origins: &[Multiaddr],
    ) -> Result<RemotePin, RemoteError> {
        self.post("/pins", cid, name, origins).await
    }

    /// Puts a pin in the place of another.
    pub async fn replace(
        &self,
        request: &str,
        cid: &Cid,
        name: Option<&str>,
        origins: &[Multiaddr],
    ) -> Result<RemotePin, RemoteError> {
        let path = format!("/pins/{}", encoded(request));
        self.post(&path, cid, name, origins).await
    }

    async fn post(
        &self,
        path: &str,
        cid: &Cid,
        name: Option<&str>,
        origins: &[Multiaddr],
    ) -> Result<RemotePin, RemoteError> {
        let pin = PinRequest {
            cid: cid.to_string(),
            name: name.filter(|name| !name.is_empty()),
            origins: origins
                .iter()
                .take(ORIGINS_MAX)
                .map(Multiaddr::to_string)
                .collect(),
        };
        let body =
            serde_json::to_vec(&pin).map_err(|error| RemoteError::Runtime(error.to_string()))?;
        let body = Some((JSON, Bytes::from(body)));
        self.ask::<StatusReply>(Method::POST, path, body)
            .await?
            .try_into()
    }

    /// How a pin is.
    pub async fn status(&self, request: &str) -> Result<RemotePin, RemoteError> {
        let path = format!("/pins/{}", encoded(request));
        let asked = self.ask::<StatusReply>(Method::GET, &path, None).await;
        let pin: RemotePin =
            asked
                .and_then(TryInto::try_into)
                .map_err(|error| RemoteError::Status {
                    request: request.to_owned(),
                    error: Box::new(error),
                })?;
        if pin.request_id != request {
            return Err(RemoteError::OtherRequest {
                asked: request.to_owned(),
                got: pin.request_id.chars().take(80).collect(),
            });
        }
        Ok(pin)
    }

    /// Removes a pin.
    pub async fn remove(&self, request: &str) -> Result<(), RemoteError> {
        let path = format!("/pins/{}", encoded(request));
        self.send(Method::DELETE, &path, None).await.map(drop)
    }

    /// How many pins of each status there are.
    pub async fn counts(&self) -> Result<RemotePinCounts, RemoteError> {
        let count = |status: RemoteStatus| async move {
            let query = format!("/pins?limit=1&status={}", status.name());
            let page = self.ask::<ListReply>(Method::GET, &query, None).await?;
            Ok::<_, RemoteError>(page.count)
        };
        let counts = try_join_all(RemoteStatus::ALL.map(count)).await?;
        let [queued, pinning, pinned, failed] = counts[..] else {
            return Err(RemoteError::BadPages("counts are missing".to_owned()));
        };
        Ok(RemotePinCounts {
            queued,
            pinning,
            pinned,
            failed,
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<T, RemoteError> {
        let (status, is_json, body) = self.send(method, path, body).await?;
        let bad = |reason: String| RemoteError::BadReply {
            status: status.as_u16(),
            reason,
        };
        if !is_json {
            return Err(bad("undefined response type".to_owned()));
        }
        serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))
    }

    /// A reply whose status says that it was done: the status, whether it is JSON, the body.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
    ) -> Result<(StatusCode, bool, Bytes), RemoteError> {
        let uri = format!("{}{path}", self.endpoint)
            .parse()
            .map_err(|_| RemoteError::BadEndpoint(super::settings::NO_URL))?;
        let ask = Ask {
            method,
            uri,
            accept: JSON,
            authorization: Some(&self.authorization),
            body,
            private: true,
            // The key is for this host.
            allows: &|host| host == self.host,
        };
        let reply = self.web.send(ask, REPLY_WAIT).await?;
        let status = reply.status();
        let is_json = reply
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(is_json);
        let body = read(reply.into_body(), REPLY_MAX, REPLY_WAIT).await?;
        if status.is_success() {
            return Ok((status, is_json, body));
        }
        if !is_json {
            return Err(RemoteError::BadReply {
                status: status.as_u16(),
                reason: "undefined response type".to_owned(),
            });
        }
        match serde_json::from_slice::<FailureReply>(&body) {
            Ok(FailureReply { error }) => Err(RemoteError::Refused {
                reason: bounded(error.reason),
                details: bounded(error.details.unwrap_or_default()),
                status: status.to_string(),
            }),
            Err(error) => Err(RemoteError::BadReply {
                status: status.as_u16(),
                reason: error.to_string(),
            }),
        }
    }
}

/// What a service says is shown, but not without end.
fn bounded(text: String) -> String {
    text.chars().take(1000).collect()
}

/// The pins that match, a page at a time, the newest first.
pub struct Pages {
    filter: RemotePinFilter,
    before: Option<String>,
    done: bool,
}

impl Pages {
    pub fn new(filter: RemotePinFilter) -> Self {
        Self {
            filter,
            before: None,
            done: false,
        }
    }

    /// The next page; `None` when there is none.
    pub async fn next(&mut self, client: &Client) -> Result<Option<Vec<RemotePin>>, RemoteError> {
        if self.done {
            return Ok(None);
        }
        let query = self.query();
        let page = client.ask::<ListReply>(Method::GET, &query, None).await?;
        let results = page.results.unwrap_or_default();
        let pins: Vec<RemotePin> = results
            .into_iter()
            .map(TryInto::try_into)
            .collect::<Result<_, RemoteError>>()?;
        self.done = page.count <= pins.len() as u64;
        match pins.last() {
            None if page.count > 0 => {
                return Err(RemoteError::BadPages(format!(
                    "PinResults.count={} but no PinResults.results",
                    page.count
                )));
            }
            Some(last) if !self.done => {
                // A service that does not go back in time would be asked for ever.
                if last.created.is_empty() || self.before.as_ref() == Some(&last.created) {
                    let reason = "the pages of PinResults do not go on".to_owned();
                    return Err(RemoteError::BadPages(reason));
                }
                self.before = Some(last.created.clone());
            }
            _ => {}
        }
        Ok(Some(pins))
    }

    fn query(&self) -> String {
        let mut query = Vec::new();
        if let Some(before) = &self.before {
            query.push(format!("before={}", encoded(before)));
        }
        if !self.filter.cids.is_empty() {
            let cids: Vec<String> = self.filter.cids.iter().map(Cid::to_string).collect();
            query.push(format!("cid={}", encoded(&cids.join(","))));
        }
        query.push(format!("limit={PAGE}"));
        if let Some(name) = self.filter.name.as_ref().filter(|name| !name.is_empty()) {
            query.push(format!("name={}", encoded(name)));
        }
        if !self.filter.statuses.is_empty() {
            let statuses: Vec<&str> = self.filter.statuses.iter().map(|s| s.name()).collect();
            query.push(format!("status={}", encoded(&statuses.join(","))));
        }
        format!("/pins?{}", query.join("&"))
    }
}

/// `application/json`, also with parameters or a vendor's prefix.
fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == JSON || kind == "text/json" || kind.ends_with("+json")
}

/// Text as it stands in a URL, where every character that means something there is escaped.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
