//! Content by `GET`, whole or a part of it that `Range` names.

use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE, TE};
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::refusal::Refusal;
use crate::server::answers::Length;
use crate::server::body::RequestBody;
use crate::server::call;
use crate::server::guard::{Door, Face, Place};
use crate::server::reply::ReplyBody;
use crate::server::service::Service;

/// A part of a content: from a byte on, and how many of them if that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    first: u64,
    length: Option<u64>,
}

/// Answers a request for `cat`, whose `Range` counts if it comes by `GET`.
pub async fn cat(service: &Service, mut request: Request<RequestBody>) -> Response<ReplyBody> {
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let given = request.headers().get(RANGE).filter(|_| read);
    let part = given.and_then(|range| part(range.to_str().ok()?));
    let part = part.filter(|_| takes_part(request.uri().query().unwrap_or_default()));
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
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("there are {} bytes", length.whole),
            );
            let mut response = refusal.response();
            insert_range(&mut response, &format!("bytes */{}", length.whole));
            return response;
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

fn insert_range(response: &mut Response<ReplyBody>, range: &str) {
    if let Ok(value) = range.parse() {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
}

/// The part that a header names. One that names several, or the end of the content, is passed over, as a
/// server may.
fn part(range: &str) -> Option<Part> {
    let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    // As options are 64 bits with a sign.
    let first: u64 = first.parse().ok().filter(|first| *first < 1 << 62)?;
    let length = match last {
        "" => None,
        last => Some(
            last.parse::<u64>()
                .ok()?
                .checked_sub(first)?
                .saturating_add(1)
                .min(1 << 62),
        ),
    };
    Some(Part { first, length })
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
        let some = |first, length| Some(Part { first, length });
        for (text, wanted) in [
            ("bytes=0-0", some(0, Some(1))),
            ("bytes=3-", some(3, None)),
            (" bytes=3-9 ", some(3, Some(7))),
            ("bytes=0-18446744073709551615", some(0, Some(1 << 62))),
            ("bytes=-3", None),
            ("bytes=9-3", None),
            ("bytes=1-2,4-5", None),
            ("bytes=+1-2", None),
            ("bytes=18446744073709551615-", None),
            ("lines=1-2", None),
            ("bytes=", None),
            ("", None),
        ] {
            assert_eq!(part(text), wanted, "{text:?}");
        }
        assert!(takes_part("arg=Qm") && takes_part("arg=Qm&offline=true"));
        for not in ["", "arg=a&arg=b", "arg=a&offset=1", "arg=a&l=1"] {
            assert!(!takes_part(not), "{not}");
        }
    }
}
