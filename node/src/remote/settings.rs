//! `Pinning.RemoteServices` of the configuration.

use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::RemoteError;
use crate::config::{ConfigFile, parse_duration};
use crate::error::Result;

pub const NO_URL: &str = "service endpoint must be a valid HTTP URL";

/// How often MFS is pinned anew at most (Kubo's value).
const REPIN: Duration = Duration::from_secs(5 * 60);

/// A service as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteServiceInfo {
    /// Its name.
    pub name: String,
    /// Its address.
    pub endpoint: String,
}

/// A service as it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub endpoint: String,
    pub key: Zeroizing<String>,
    pub mfs: MfsPolicy,
}

/// Whether and how MFS is kept pinned at a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfsPolicy {
    pub enabled: bool,
    pub name: String,
    /// The reason when it is no duration.
    pub interval: Result<Duration, String>,
}

/// Every service, by name.
pub fn list(file: &ConfigFile) -> Vec<RemoteServiceInfo> {
    let mut services: Vec<RemoteServiceInfo> = entries(file)
        .map(|(name, entry)| RemoteServiceInfo {
            name: name.clone(),
            endpoint: text(entry, "API", "Endpoint"),
        })
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

/// Every service with all that is configured.
pub fn all(file: &ConfigFile) -> Vec<Service> {
    entries(file)
        .map(|(name, entry)| service(name, entry))
        .collect()
}

/// The service of that name, its address brought into form.
pub fn find(file: &ConfigFile, name: &str) -> Result<Service, RemoteError> {
    if name.is_empty() {
        return Err(RemoteError::NoName);
    }
    let entry = entries(file).find(|(known, _)| *known == name);
    let (name, entry) = entry.ok_or(RemoteError::Unknown)?;
    let service = service(name, entry);
    Ok(Service {
        endpoint: normalize(&service.endpoint)?,
        ..service
    })
}

/// Adds a service.
pub fn add(file: &mut ConfigFile, name: &str, endpoint: &str, key: &str) -> Result<()> {
    let endpoint = normalize(endpoint)?;
    if entries(file).any(|(known, _)| known == name) {
        return Err(RemoteError::Exists.into());
    }
    let entry = json!({
        "API": {"Endpoint": endpoint, "Key": key},
        "Policies": {"MFS": {"Enable": false, "PinName": "", "RepinInterval": ""}}
    });
    Ok(file.set_remote_service(name, Some(entry))?)
}

/// Removes a service.
pub fn remove(file: &mut ConfigFile, name: &str) -> Result<()> {
    if entries(file).any(|(known, _)| known == name) {
        file.set_remote_service(name, None)?;
    }
    Ok(())
}

fn entries(file: &ConfigFile) -> impl Iterator<Item = (&String, &Value)> {
    let services = &file.document()["Pinning"]["RemoteServices"];
    services.as_object().into_iter().flatten()
}

fn service(name: &str, entry: &Value) -> Service {
    let policy = &entry["Policies"]["MFS"];
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let interval = text_of(&policy["RepinInterval"]);
    let interval = match interval.is_empty() {
        true => Ok(REPIN),
        false => parse_duration(&interval).ok_or(interval),
    };
    Service {
        name: name.to_owned(),
        endpoint: text(entry, "API", "Endpoint"),
        key: Zeroizing::new(text(entry, "API", "Key")),
        mfs: MfsPolicy {
            enabled: policy["Enable"].as_bool().unwrap_or(false),
            name: text_of(&policy["PinName"]),
            interval,
        },
    }
}

fn text(entry: &Value, section: &str, key: &str) -> String {
    entry[section][key].as_str().unwrap_or_default().to_owned()
}

/// An address without slashes too many, as Kubo keeps it.
pub fn normalize(endpoint: &str) -> Result<String, RemoteError> {
    let bad = RemoteError::BadEndpoint(NO_URL);
    let Some((scheme, rest)) = endpoint.split_once("://") else {
        return Err(bad);
    };
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") || endpoint.parse::<hyper::Uri>().is_err() {
        return Err(bad);
    }
    let (place, query) = match rest.split_once('?') {
        Some((place, query)) => (place, query),
        None => (rest, ""),
    };
    if !query.is_empty() {
        return Err(RemoteError::BadEndpoint(
            "service endpoint should be provided without any query parameters",
        ));
    }
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    if host.is_empty() {
        return Err(bad);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.last() == Some(&"pins") {
        return Err(RemoteError::BadEndpoint(
            "service endpoint should be provided without the /pins suffix",
        ));
    }
    let path: String = parts.iter().map(|part| format!("/{part}")).collect();
    Ok(format!("{scheme}://{host}{path}"))
}
