//! `GET /api/download/CID?filename=NAME`: a file to be saved.

use futures::FutureExt;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use ipfs_kit_node::Cid;

use super::range;
use super::refusal::{Refusal, shape};
use crate::client::{escape, unescape};
use crate::server::body::RequestBody;
use crate::server::route::Answer;
use crate::server::service::Service;

/// Where downloads are.
pub const DOWNLOAD: &str = "/api/download/";

/// A file to be saved.
pub fn download(service: Service, request: Request<RequestBody>) -> Answer {
    async move {
        let rest = request.uri().path().strip_prefix(DOWNLOAD);
        let rest = rest.map(str::to_owned).unwrap_or_default();
        let first = rest.split('/').next().unwrap_or_default();
        if first.parse::<Cid>().is_err() {
            return Refusal::bad("no CID follows /api/download/").response();
        }
        let name = file_name(request.uri().query().unwrap_or_default(), &rest);
        let path = escape(format!("/ipfs/{}", unescape(&rest)));
        let Ok(target) = format!("/api/v0/cat?arg={path}").parse::<Uri>() else {
            return Refusal::bad("the path is too long").response();
        };
        let (mut parts, body) = request.into_parts();
        parts.uri = target;
        parts.headers.remove(CONTENT_TYPE);
        let mut response = range::cat(&service, Request::from_parts(parts, body)).await;
        if matches!(
            response.status(),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT
        ) {
            let headers = response.headers_mut();
            let bytes = HeaderValue::from_static("application/octet-stream");
            headers.insert(CONTENT_TYPE, bytes);
            let disposition = format!("attachment; filename*=UTF-8''{}", escape(&name));
            if let Ok(value) = disposition.parse() {
                headers.insert(CONTENT_DISPOSITION, value);
            }
        }
        shape(response)
    }
    .boxed()
}

/// The name to save under.
fn file_name(query: &str, path: &str) -> String {
    let given = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == "filename");
    let text = match given {
        Some((_, text)) if !text.is_empty() => text.replace('+', "%20"),
        _ => path.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    let name = unescape(&text);
    // A name, and no way out of the folder it is saved in.
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downloads_are_named() {
        assert_eq!(file_name("", "bafy/a/b%20c"), "b c");
        assert_eq!(file_name("x=1&filename=a+b.txt", "bafy"), "a b.txt");
        assert_eq!(
            file_name("filename=..%2f..%2fetc%2fpasswd", "bafy"),
            "passwd"
        );
        assert_eq!(file_name("filename=a%0d%0ab", "bafy"), "ab");
        assert_eq!(file_name("filename=", "bafy"), "bafy");
    }
}
