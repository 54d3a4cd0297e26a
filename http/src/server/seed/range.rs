//! Content by `GET`, whole or a part of it that `Range` names.

use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, IF_RANGE, RANGE, TE,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::refusal::Refusal;
use crate::methods::ROOT;
use crate::server::answers::Length;
use crate::server::body::RequestBody;
use crate::server::call::{self, Came};
use crate::server::guard::{Door, Face, Place};
use crate::server::parse;
use crate::server::reply::{Message, ReplyBody};
use crate::server::request_id::RequestId;
use crate::server::service::Service;
use crate::server::waiting::Waiting;

/// Behind the end of any content; options are 64 bits with a sign.
const BEYOND: u64 = 1 << 62;

/// A part of a content: from a byte on, and how many of them if that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    first: u64,
    length: Option<u64>,
}

/// What a header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Part(Part),
    /// So many bytes at the end.
    Last(u64),
}

/// Answers a request for `cat`, whose `Range` counts if it comes by `GET`.
pub async fn cat(service: &Service, mut request: Request<RequestBody>) -> Response<ReplyBody> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    // Nothing here has a validator, so that the condition of `If-Range` never holds.
    let whole = !read || request.headers().contains_key(IF_RANGE);
    let given = request.headers().get(RANGE).filter(|_| !whole);
    let wanted = given.and_then(|range| wanted(range.to_str().ok()?));
    let wanted = wanted.filter(|_| takes_part(request.uri().query().unwrap_or_default()));
    let part = match wanted {
        None => None,
        Some(Wanted::Part(part)) => Some(part),
        Some(Wanted::Last(count)) => match (count, size(service, &request).await) {
            // What fails is told by the call itself.
            (_, None) => None,
            (0, Some(size)) => return unsatisfiable(size),
            // Of nothing there is no last byte to name, and all of it is nothing.
            (_, Some(0)) => None,
            (count, Some(size)) => Some(Part {
                first: size.saturating_sub(count),
                length: None,
            }),
        },
    };
    if let Some(part) = part {
        let Some(target) = with(request.uri(), part) else {
            return Refusal::bad("the path is too long").response();
        };
        *request.uri_mut() = target;
    }
    if read {
        // The length is told instead; what breaks off is shorter.
        request.headers_mut().remove(TE);
    }
    let door = Door {
        face: Face::Seed,
        place: Place::Unix,
    };
    let mut response = call::call(service, request, door).await;
    let length = response.extensions().get::<Length>().copied();
    let (Some(length), true) = (length, read && response.status() == StatusCode::OK) else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(Part { first, .. }) = part {
        if length.bytes == 0 {
            return unsatisfiable(length.whole);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let last = first + length.bytes - 1;
        insert_range(
            &mut response,
            &format!("bytes {first}-{last}/{}", length.whole),
        );
    }
    let length = HeaderValue::from(length.bytes);
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn unsatisfiable(size: u64) -> Response<ReplyBody> {
    let refusal = Refusal::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        format!("there are {size} bytes"),
    );
    let mut response = refusal.response();
    insert_range(&mut response, &format!("bytes */{size}"));
    response
}

/// How many bytes there are, for a request that names the end: the same call, which begins behind it. `None` where that
/// fails or there is no room for it.
async fn size(service: &Service, request: &Request<RequestBody>) -> Option<u64> {
    let behind = Part {
        first: BEYOND,
        length: None,
    };
    let target = with(request.uri(), behind)?;
    let query = target.query().unwrap_or_default();
    let call = parse::parse(&ROOT, target.path(), query, false).ok()?;
    let came = Came {
        id: request.extensions().get::<RequestId>().cloned(),
        terminal: false,
        trailers: false,
        both_names: false,
        slow: false,
        parent: None,
        waiting: Some(Arc::<Waiting>::default()),
        parts: None,
    };
    let mut started = call::admit(service, call, came).await.ok()?;
    let size = match started.pieces.recv().await? {
        Message::Head(head) => head.length.map(|(_, whole)| whole),
        Message::Data(_) | Message::End(..) => None,
    };
    // It gives its place back at its end, and the next call may need that.
    while started.pieces.recv().await.is_some() {}
    size
}

fn insert_range(response: &mut Response<ReplyBody>, range: &str) {
    if let Ok(value) = range.parse() {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
}

/// What a header asks for. One that names several parts is passed over, as a server may, and so is one that makes no
/// sense.
fn wanted(range: &str) -> Option<Wanted> {
    let (unit, range) = range.trim().split_once('=')?;
    let (first, last) = range.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !unit.eq_ignore_ascii_case("bytes") || !digits(first) || !digits(last) {
        return None;
    }
    if first.is_empty() {
        // More than there can be is all.
        let count = (!last.is_empty()).then(|| last.parse().unwrap_or(u64::MAX));
        return count.map(Wanted::Last);
    }
    let first: u64 = first.parse().ok().filter(|first| *first < BEYOND)?;
    let length = match last {
        "" => None,
        last => Some(
            last.parse::<u64>()
                .ok()?
                .checked_sub(first)?
                .saturating_add(1)
                .min(BEYOND),
        ),
    };
    Some(Wanted::Part(Part { first, length }))
}

/// Whether a query asks for one content, whole.
fn takes_part(query: &str) -> bool {
    let names: Vec<&str> = query
        .split('&')
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .collect();
    let one = names.iter().filter(|name| **name == "arg").count() == 1;
    one && !names
        .iter()
        .any(|name| matches!(*name, "offset" | "o" | "length" | "l"))
}

fn with(uri: &Uri, part: Part) -> Option<Uri> {
    let length = part.length.map(|length| format!("&length={length}"));
    format!(
        "{}?{}&offset={}{}",
        uri.path(),
        uri.query().unwrap_or_default(),
        part.first,
        length.unwrap_or_default()
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read() {
        let some = |first, length| Some(Wanted::Part(Part { first, length }));
        let last = |count| Some(Wanted::Last(count));
        for (text, wanted) in [
            ("bytes=0-0", some(0, Some(1))),
            ("bytes=3-", some(3, None)),
            (" bytes=3-9 ", some(3, Some(7))),
            ("bytes=0-18446744073709551615", some(0, Some(1 << 62))),
            ("bytes=-3", last(3)),
            ("BYTES=-0", last(0)),
            ("bytes=-99999999999999999999", last(u64::MAX)),
            ("bytes=-", None),
            ("bytes=-3-4", None),
            ("bytes=9-3", None),
            ("bytes=1-2,4-5", None),
            ("bytes=+1-2", None),
            ("bytes=18446744073709551615-", None),
            ("lines=1-2", None),
            ("bytes=", None),
            ("", None),
        ] {
            assert_eq!(super::wanted(text), wanted, "{text:?}");
        }
        assert!(takes_part("arg=Qm") && takes_part("arg=Qm&offline=true"));
        for not in ["", "arg=a&arg=b", "arg=a&offset=1", "arg=a&l=1"] {
            assert!(!takes_part(not), "{not}");
        }
    }
}
