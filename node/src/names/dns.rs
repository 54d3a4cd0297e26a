//! The system's DNS resolver and those of `DNS.Resolvers`.
//!
//! `DNS.Resolvers` maps a domain (`.` for all, `eth.` for a top level) to `https://HOST/PATH` (RFC 8484), to `IP:PORT`
//! or to `auto`, which is the system's. The longest matching domain counts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::NameError;
use super::routing::{Dns, DnsError, TxtAnswer};
use crate::cancel::CancelToken;
use crate::config::Config;

/// A lookup that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the token is looked at while waiting.
const CHECK_EVERY: Duration = Duration::from_millis(50);
/// Answers that each resolver keeps.
const KEPT_ANSWERS: u64 = 256;
/// More resolvers are a mistake.
const MAX_RESOLVERS: usize = 64;

/// Where the questions for a domain go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Endpoint {
    System,
    Plain(SocketAddr),
    Https {
        host: String,
        port: u16,
        path: String,
    },
}

/// A [`Dns`] over hickory. It runs on a thread of its own, so that it can be used from anywhere.
pub struct SystemDns {
    /// Longest domain first.
    routes: Vec<(String, Endpoint)>,
    resolvers: Arc<Mutex<FxHashMap<Endpoint, TokioResolver>>>,
    runtime: Option<Runtime>,
}

impl SystemDns {
    /// Reads `DNS.Resolvers`; nothing is asked yet.
    ///
    /// # Errors
    /// [`NameError::Resolvers`] for an entry that cannot be used, [`NameError::Resolver`].
    pub fn new(config: &Config) -> Result<Self, NameError> {
        let routes = routes(config.get("DNS.Resolvers"))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("dns")
            .enable_all()
            .build()
            .map_err(NameError::Resolver)?;
        Ok(Self {
            routes,
            resolvers: Arc::default(),
            runtime: Some(runtime),
        })
    }

    fn endpoint(&self, domain: &str) -> Endpoint {
        let domain = format!(".{}.", domain.trim_end_matches('.').to_ascii_lowercase());
        let matching = |(suffix, _): &&(String, Endpoint)| domain.ends_with(suffix.as_str());
        self.routes
            .iter()
            .find(matching)
            .map_or(Endpoint::System, |(_, endpoint)| endpoint.clone())
    }
}

impl Drop for SystemDns {
    fn drop(&mut self) {
        // Waiting for the thread is not allowed inside of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Dns for SystemDns {
    fn txt(&self, domain: &str, cancel: &CancelToken) -> Result<TxtAnswer, DnsError> {
        let Some(runtime) = &self.runtime else {
            return Err(DnsError::Failed("the resolver is closed".to_owned()));
        };
        let (sender, receiver) = sync_channel(1);
        let (domain, endpoint) = (domain.to_owned(), self.endpoint(domain));
        let resolvers = Arc::clone(&self.resolvers);
        let task = runtime.spawn(async move {
            let answer = ask(&resolvers, endpoint, &domain).await;
            // Nobody waits any more when the time is over.
            drop(sender.send(answer));
        });
        let start = Instant::now();
        loop {
            match receiver.recv_timeout(CHECK_EVERY) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DnsError::Failed("the lookup was broken off".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let why = match cancel.check() {
                Err(cancelled) => cancelled.to_string(),
                Ok(()) if start.elapsed() > PATIENCE => format!("no answer in {PATIENCE:?}"),
                Ok(()) => continue,
            };
            task.abort();
            return Err(DnsError::Failed(why));
        }
    }
}

async fn ask(
    resolvers: &Mutex<FxHashMap<Endpoint, TokioResolver>>,
    endpoint: Endpoint,
    domain: &str,
) -> Result<TxtAnswer, DnsError> {
    let failed = |error: NetError| match error.is_no_records_found() || error.is_nx_domain() {
        true => DnsError::NoRecords,
        false => DnsError::Failed(error.to_string()),
    };
    let known = resolvers.lock().get(&endpoint).cloned();
    let resolver = match known {
        Some(resolver) => resolver,
        None => {
            let made = build(&endpoint).await.map_err(failed)?;
            resolvers.lock().insert(endpoint, made.clone());
            made
        }
    };
    let lookup = resolver.txt_lookup(domain).await.map_err(failed)?;
    let texts = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
    Ok(TxtAnswer {
        texts: texts.collect(),
        ttl: lookup
            .valid_until()
            .saturating_duration_since(Instant::now()),
    })
}

async fn build(endpoint: &Endpoint) -> Result<TokioResolver, NetError> {
    let mut builder = match endpoint {
        Endpoint::System => TokioResolver::builder_tokio()?,
        Endpoint::Plain(address) => {
            let on_port = |mut connection: ConnectionConfig| {
                connection.port = address.port();
                connection
            };
            let connections = vec![
                on_port(ConnectionConfig::udp()),
                on_port(ConnectionConfig::tcp()),
            ];
            let server = NameServerConfig::new(address.ip(), true, connections);
            of_servers(vec![server])
        }
        Endpoint::Https { host, port, path } => {
            let mut connection = ConnectionConfig::new(ProtocolConfig::Https {
                server_name: host.as_str().into(),
                path: path.as_str().into(),
            });
            connection.port = *port;
            let addresses: Vec<IpAddr> = match host.trim_matches(['[', ']']).parse() {
                Ok(address) => vec![address],
                // The server's own address comes from the system's resolver.
                Err(_) => {
                    let system = TokioResolver::builder_tokio()?.build()?;
                    system
                        .lookup_ip(host.as_str())
                        .await?
                        .iter()
                        .take(4)
                        .collect()
                }
            };
            let server = |address| NameServerConfig::new(address, true, vec![connection.clone()]);
            of_servers(addresses.into_iter().map(server).collect())
        }
    };
    builder.options_mut().cache_size = KEPT_ANSWERS;
    builder.build()
}

fn of_servers(
    servers: Vec<NameServerConfig>,
) -> hickory_resolver::ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

/// Suffixes with a dot on both ends, longest first; the root is `.`.
fn routes(configured: Option<&Value>) -> Result<Vec<(String, Endpoint)>, NameError> {
    let Some(configured) = configured else {
        return Ok(Vec::new());
    };
    let map = configured
        .as_object()
        .ok_or_else(|| NameError::Resolvers("takes an object of domain and resolver".to_owned()))?;
    if map.len() > MAX_RESOLVERS {
        return Err(NameError::Resolvers(format!(
            "takes {MAX_RESOLVERS} entries at most"
        )));
    }
    let mut routes = Vec::new();
    for (domain, url) in map {
        let bad = |reason: &str| NameError::Resolvers(format!("{domain:?}: {url}: {reason}"));
        let text = url.as_str().ok_or_else(|| bad("a resolver is a string"))?;
        let endpoint = endpoint(text)
            .ok_or_else(|| bad("a resolver is https://HOST/PATH, IP:PORT or auto"))?;
        let suffix = match domain.trim_matches('.').to_ascii_lowercase() {
            root if root.is_empty() => ".".to_owned(),
            domain => format!(".{domain}."),
        };
        routes.push((suffix, endpoint));
    }
    routes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    Ok(routes)
}

fn endpoint(text: &str) -> Option<Endpoint> {
    if text == "auto" || text.is_empty() {
        return Some(Endpoint::System);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(Endpoint::Plain(address));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Endpoint::Plain(SocketAddr::new(ip, 53)));
    }
    let rest = text.strip_prefix("https://")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => (&rest[..slash], &rest[slash..]),
        None => (rest, "/dns-query"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 443),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    (!host.is_empty() && host.bytes().all(fits)).then(|| Endpoint::Https {
        host: host.to_owned(),
        port,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longest_domain_chooses_the_resolver() {
        let configured =
            json!({".": "auto", "eth.": "https://dns.example:8443/q", "a.eth": "127.0.0.1:5353"});
        let dns = SystemDns {
            routes: routes(Some(&configured)).unwrap(),
            resolvers: Arc::default(),
            runtime: None,
        };
        let plain = Endpoint::Plain("127.0.0.1:5353".parse().unwrap());
        assert_eq!(dns.endpoint("_dnslink.A.eth."), plain);
        assert_eq!(dns.endpoint("example.org."), Endpoint::System);
        assert_eq!(dns.endpoint("xeth"), Endpoint::System);
        let https = Endpoint::Https {
            host: "dns.example".to_owned(),
            port: 8443,
            path: "/q".to_owned(),
        };
        assert_eq!(dns.endpoint("b.eth"), https);
        for bad in [
            "http://x/",
            "https://",
            "ftp://x",
            "https://a b/",
            "https://x:y/",
        ] {
            assert!(routes(Some(&json!({".": bad}))).is_err(), "{bad}");
        }
    }
}
