//! The versions of the API: the same methods below `/api/v0`, answered as Kubo answers, and below `/api/v1`, always in
//! JSON. What opens a method below the first opens it below the second.

use std::borrow::Cow;

use hyper::header::{HeaderName, HeaderValue};

/// Where the methods are.
pub const ROOT_PATH: &str = "/api/v0";
/// Where they are answered strictly in JSON.
pub const STRICT_PATH: &str = "/api/v1";

/// Header of every answer to a method: which version it speaks.
pub const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");

/// How methods are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// As Kubo does.
    V0,
    /// One JSON document, whatever there is to say.
    V1,
}

impl ApiVersion {
    /// The version that a path is of.
    pub fn of(path: &str) -> Option<ApiVersion> {
        method(path).map(|(version, _)| version)
    }

    /// The value of [`API_VERSION`].
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            ApiVersion::V0 => "v0",
            ApiVersion::V1 => "v1",
        })
    }

    /// Where its methods are.
    pub fn root(self) -> &'static str {
        match self {
            ApiVersion::V0 => ROOT_PATH,
            ApiVersion::V1 => STRICT_PATH,
        }
    }
}

/// The version of a path, and the method, as `pin/ls`.
pub fn method(path: &str) -> Option<(ApiVersion, &str)> {
    [ApiVersion::V0, ApiVersion::V1]
        .into_iter()
        .find_map(|version| {
            let method = path.strip_prefix(version.root())?.strip_prefix('/')?;
            Some((version, method))
        })
}

/// The path by which secrets and tokens know a method.
pub fn known_as(path: &str) -> Cow<'_, str> {
    match method(path) {
        Some((ApiVersion::V1, method)) => Cow::Owned(format!("{ROOT_PATH}/{method}")),
        _ => Cow::Borrowed(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_a_version() {
        assert_eq!(method("/api/v0/pin/ls"), Some((ApiVersion::V0, "pin/ls")));
        assert_eq!(method("/api/v1/id"), Some((ApiVersion::V1, "id")));
        for none in [
            "/api/v0",
            "/api/v10/id",
            "/api/v2/id",
            "/api/v1x/id",
            "/api//v1/id",
            "/id",
        ] {
            assert_eq!(method(none), None, "{none}");
        }
        assert_eq!(known_as("/api/v1/pin/ls"), "/api/v0/pin/ls");
        assert_eq!(known_as("/api/v0/id"), "/api/v0/id");
        assert_eq!(known_as("/metrics"), "/metrics");
    }
}
