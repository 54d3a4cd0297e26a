//! The keys that mean something, with the kind of value each takes. A `null` means "the default" everywhere.

use serde_json::Value;

use super::size::{parse_duration, parse_size};
use super::{ConfigError, document};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A string.
    Text,
    /// True or false.
    Flag,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A list of strings.
    Texts,
    /// A string or a list of strings.
    TextOrTexts,
    /// A size such as `10GB`, or a number of bytes.
    Size,
    /// A duration such as `1h30m`; empty is the default.
    Duration,
    /// An object or list with content of its own.
    Any,
}

/// Checks a value that is to be set at `key`, and everything below it.
///
/// # Errors
/// [`ConfigError::UnknownKey`] for a key of no meaning, [`ConfigError::BadValue`] for a value of the wrong kind.
pub fn check(key: &str, value: &Value) -> Result<(), ConfigError> {
    let mut unknown = Vec::new();
    walk(key, value, &mut unknown)?;
    match unknown.into_iter().next() {
        Some(key) => Err(ConfigError::UnknownKey(key)),
        None => Ok(()),
    }
}

/// Checks a whole document; returns the keys in it that mean nothing here.
///
/// # Errors
/// [`ConfigError::BadValue`] for a value of the wrong kind.
pub fn check_document(document: &Value) -> Result<Vec<String>, ConfigError> {
    let mut unknown = Vec::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        walk(key, value, &mut unknown)?;
    }
    Ok(unknown)
}

fn walk(key: &str, value: &Value, unknown: &mut Vec<String>) -> Result<(), ConfigError> {
    if value.is_null() && is_section_or_key(key) {
        return Ok(());
    }
    if let Some((_, kind)) = TABLE.iter().find(|(name, _)| *name == key) {
        return check_kind(key, *kind, value);
    }
    let below_any = |(name, kind): &(&str, Kind)| *kind == Kind::Any && is_below(key, name);
    if TABLE.iter().any(below_any) {
        return Ok(());
    }
    if !is_section_or_key(key) {
        unknown.push(key.to_owned());
        return Ok(());
    }
    let Value::Object(map) = value else {
        return Err(ConfigError::BadValue {
            key: key.to_owned(),
            reason: "this section takes a JSON object".to_owned(),
        });
    };
    map.iter()
        .try_for_each(|(name, value)| walk(&format!("{key}.{name}"), value, unknown))
}

/// The keys of a document of Kubo's, sorted out; see [`taken`].
#[derive(Debug, Default)]
pub struct Sorted {
    /// Those that mean something here, with their values.
    pub taken: Vec<(String, Value)>,
    /// Those that do not, each with the reason.
    pub refused: Vec<(String, String)>,
}

/// Which keys of another program's document mean something here. A key that is not set is neither.
pub fn taken(document: &Value) -> Sorted {
    let mut sorted = Sorted::default();
    for (key, value) in document.as_object().into_iter().flatten() {
        sort(key, value, &mut sorted);
    }
    sorted
}

fn sort(key: &str, value: &Value, sorted: &mut Sorted) {
    if value.is_null() {
        return;
    }
    let kind = TABLE.iter().find(|(name, _)| *name == key);
    if let (None, Value::Object(map), true) = (kind, value, is_section_or_key(key)) {
        for (name, value) in map {
            sort(&format!("{key}.{name}"), value, sorted);
        }
        return;
    }
    match check(key, value) {
        Ok(()) => sorted.taken.push((key.to_owned(), value.clone())),
        Err(ConfigError::UnknownKey(key)) => {
            let reason = "it has no counterpart here".to_owned();
            sorted.refused.push((key, reason));
        }
        Err(error) => sorted.refused.push((key.to_owned(), error.to_string())),
    }
}

fn is_section_or_key(key: &str) -> bool {
    SECTIONS_WITHOUT_KEYS.contains(&key)
        || TABLE
            .iter()
            .any(|(name, _)| *name == key || is_below(name, key))
}

fn is_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn check_kind(key: &str, kind: Kind, value: &Value) -> Result<(), ConfigError> {
    let texts = |value: &Value| {
        value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_string))
    };
    let (fits, expected) = match kind {
        Kind::Text => (value.is_string(), "takes a string"),
        Kind::Flag => (value.is_boolean(), "takes true or false"),
        Kind::Integer => (value.is_i64() || value.is_u64(), "takes a whole number"),
        Kind::Number => (value.is_number(), "takes a number"),
        Kind::Texts => (texts(value), "takes a list of strings"),
        Kind::TextOrTexts => (
            value.is_string() || texts(value),
            "takes a string or a list of strings",
        ),
        Kind::Size => (
            size(value).is_some(),
            "takes a size such as 10GB, 512MiB or a number of bytes",
        ),
        Kind::Duration => (
            value
                .as_str()
                .is_some_and(|text| text.is_empty() || parse_duration(text).is_some()),
            "takes a duration such as 1h30m or 500ms",
        ),
        Kind::Any => (true, ""),
    };
    if fits {
        Ok(())
    } else {
        Err(ConfigError::BadValue {
            key: key.to_owned(),
            reason: expected.to_owned(),
        })
    }
}

/// A size in bytes from a string or a number.
pub fn size(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(parse_size))
}

/// The size at `key`, or `None` when it is not set.
pub fn size_at(config: &Value, key: &str) -> Option<u64> {
    document::get(config, key).ok().and_then(size)
}

/// Sections that Kubo writes though they hold no key of their own by default.
const SECTIONS_WITHOUT_KEYS: &[&str] = &["Identity", "Migration", "Provider", "Reprovider"];

#[rustfmt::skip]
const TABLE: &[(&str, Kind)] = &[
    ("Identity.PeerID", Kind::Text),
    ("Identity.PrivKey", Kind::Text),
    ("Datastore.StorageMax", Kind::Size),
    ("Datastore.StorageGCWatermark", Kind::Integer),
    ("Datastore.GCPeriod", Kind::Duration),
    ("Datastore.Spec", Kind::Any),
    ("Datastore.HashOnRead", Kind::Flag),
    ("Datastore.BloomFilterSize", Kind::Integer),
    ("Datastore.BlockKeyCacheSize", Kind::Integer),
    ("Datastore.WriteThrough", Kind::Flag),
    ("Datastore.SegmentSize", Kind::Size),
    ("Datastore.IndexMergeAfter", Kind::Integer),
    ("Addresses.Swarm", Kind::Texts),
    ("Addresses.Announce", Kind::Texts),
    ("Addresses.AppendAnnounce", Kind::Texts),
    ("Addresses.NoAnnounce", Kind::Texts),
    ("Addresses.API", Kind::TextOrTexts),
    ("Addresses.Gateway", Kind::TextOrTexts),
    ("Mounts.IPFS", Kind::Text),
    ("Mounts.IPNS", Kind::Text),
    ("Mounts.MFS", Kind::Text),
    ("Mounts.FuseAllowOther", Kind::Flag),
    ("Mounts.StoreMtime", Kind::Flag),
    ("Mounts.StoreMode", Kind::Flag),
    ("Discovery.MDNS.Enabled", Kind::Flag),
    ("Routing.Type", Kind::Text),
    ("Routing.AcceleratedDHTClient", Kind::Flag),
    ("Routing.LoopbackAddressesOnLanDHT", Kind::Flag),
    ("Routing.IgnoreProviders", Kind::Texts),
    ("Routing.DelegatedRouters", Kind::Texts),
    ("Routing.Routers", Kind::Any),
    ("Routing.Methods", Kind::Any),
    ("Ipns.RepublishPeriod", Kind::Duration),
    ("Ipns.RecordLifetime", Kind::Duration),
    ("Ipns.ResolveCacheSize", Kind::Integer),
    ("Ipns.MaxCacheTTL", Kind::Duration),
    ("Ipns.UsePubsub", Kind::Flag),
    ("Ipns.DelegatedPublishers", Kind::Texts),
    ("Bootstrap", Kind::Texts),
    ("Gateway.HTTPHeaders", Kind::Any),
    ("Gateway.RootRedirect", Kind::Text),
    ("Gateway.NoFetch", Kind::Flag),
    ("Gateway.NoDNSLink", Kind::Flag),
    ("Gateway.DeserializedResponses", Kind::Flag),
    ("Gateway.AllowCodecConversion", Kind::Flag),
    ("Gateway.DisableHTMLErrors", Kind::Flag),
    ("Gateway.PublicGateways", Kind::Any),
    ("Gateway.ExposeRoutingAPI", Kind::Flag),
    ("Gateway.RetrievalTimeout", Kind::Duration),
    ("Gateway.MaxRequestDuration", Kind::Duration),
    ("Gateway.MaxConcurrentRequests", Kind::Integer),
    ("Gateway.MaxRangeRequestFileSize", Kind::Size),
    ("Gateway.DiagnosticServiceURL", Kind::Text),
    ("API.HTTPHeaders", Kind::Any),
    ("API.Authorizations", Kind::Any),
    // Our own: names by which the RPC may be called, besides its addresses and those of loopback; * is any.
    ("API.AllowedHosts", Kind::Texts),
    // Our own: lets the RPC listen where others reach it, though nothing asks them for a secret.
    ("API.AllowUnguarded", Kind::Flag),
    // Our own: what clients of the RPC may take.
    ("API.Limits.HeaderTimeout", Kind::Duration),
    ("API.Limits.BodyTimeout", Kind::Duration),
    ("API.Limits.ReplyTimeout", Kind::Duration),
    ("API.Limits.IdleTimeout", Kind::Duration),
    ("API.Limits.MaxConnections", Kind::Integer),
    ("API.Limits.MaxConcurrentRequests", Kind::Integer),
    // Our own: certificate and key, in PEM files, of addresses that end in /https.
    ("API.TLS.Certificate", Kind::Text),
    ("API.TLS.Key", Kind::Text),
    ("Swarm.AddrFilters", Kind::Texts),
    ("Swarm.DisableBandwidthMetrics", Kind::Flag),
    ("Swarm.DisableNatPortMap", Kind::Flag),
    ("Swarm.EnableHolePunching", Kind::Flag),
    ("Swarm.RelayClient.Enabled", Kind::Flag),
    ("Swarm.RelayClient.StaticRelays", Kind::Texts),
    ("Swarm.RelayService.Enabled", Kind::Flag),
    ("Swarm.RelayService.ConnectionDurationLimit", Kind::Duration),
    ("Swarm.RelayService.ConnectionDataLimit", Kind::Integer),
    ("Swarm.RelayService.ReservationTTL", Kind::Duration),
    ("Swarm.RelayService.MaxReservations", Kind::Integer),
    ("Swarm.RelayService.MaxCircuits", Kind::Integer),
    ("Swarm.RelayService.BufferSize", Kind::Integer),
    ("Swarm.RelayService.MaxReservationsPerIP", Kind::Integer),
    ("Swarm.RelayService.MaxReservationsPerASN", Kind::Integer),
    ("Swarm.Transports.Network", Kind::Any),
    ("Swarm.Transports.Security", Kind::Any),
    ("Swarm.Transports.Multiplexers", Kind::Any),
    ("Swarm.ConnMgr.Type", Kind::Text),
    ("Swarm.ConnMgr.LowWater", Kind::Integer),
    ("Swarm.ConnMgr.HighWater", Kind::Integer),
    ("Swarm.ConnMgr.GracePeriod", Kind::Duration),
    ("Swarm.ConnMgr.SilencePeriod", Kind::Duration),
    ("Swarm.ResourceMgr.Enabled", Kind::Flag),
    ("Swarm.ResourceMgr.Limits", Kind::Any),
    ("Swarm.ResourceMgr.MaxMemory", Kind::Size),
    ("Swarm.ResourceMgr.MaxFileDescriptors", Kind::Integer),
    ("Swarm.ResourceMgr.Allowlist", Kind::Texts),
    // Our own: inbound connections of one IP address, and of one /24 or IPv6 /56; 0 has no limit.
    ("Swarm.ResourceMgr.MaxConnsPerIP", Kind::Integer),
    ("Swarm.ResourceMgr.MaxConnsPerSubnet", Kind::Integer),
    // Our own: bytes in a second to and from peers, as 2MB or a number; 0 has no limit.
    ("Swarm.Bandwidth.Up", Kind::Size),
    ("Swarm.Bandwidth.Down", Kind::Size),
    ("AutoNAT.ServiceMode", Kind::Text),
    ("AutoNAT.Throttle", Kind::Any),
    ("AutoTLS.Enabled", Kind::Flag),
    ("AutoTLS.AutoWSS", Kind::Flag),
    ("AutoTLS.SkipDNSLookup", Kind::Flag),
    ("AutoTLS.DomainSuffix", Kind::Text),
    ("AutoTLS.RegistrationEndpoint", Kind::Text),
    ("AutoTLS.RegistrationToken", Kind::Text),
    ("AutoTLS.RegistrationDelay", Kind::Duration),
    ("AutoTLS.CAEndpoint", Kind::Text),
    ("AutoTLS.ShortAddrs", Kind::Flag),
    ("Pubsub.Router", Kind::Text),
    ("Pubsub.DisableSigning", Kind::Flag),
    ("Pubsub.Enabled", Kind::Flag),
    ("Pubsub.SeenMessagesTTL", Kind::Duration),
    ("Pubsub.SeenMessagesStrategy", Kind::Text),
    ("Peering.Peers", Kind::Any),
    ("DNS.Resolvers", Kind::Any),
    ("DNS.MaxCacheTTL", Kind::Duration),
    ("Migration.DownloadSources", Kind::Texts),
    ("Migration.Keep", Kind::Text),
    ("AutoConf.URL", Kind::Text),
    ("AutoConf.Enabled", Kind::Flag),
    ("AutoConf.RefreshInterval", Kind::Duration),
    ("AutoConf.TLSInsecureSkipVerify", Kind::Flag),
    ("Provide.Enabled", Kind::Flag),
    ("Provide.Strategy", Kind::Text),
    ("Provide.BloomFPRate", Kind::Integer),
    ("Provide.DHT.Interval", Kind::Duration),
    ("Provide.DHT.MaxWorkers", Kind::Integer),
    ("Provide.DHT.SweepEnabled", Kind::Flag),
    ("Provide.DHT.DedicatedPeriodicWorkers", Kind::Integer),
    ("Provide.DHT.DedicatedBurstWorkers", Kind::Integer),
    ("Provide.DHT.MaxProvideConnsPerWorker", Kind::Integer),
    ("Provide.DHT.KeystoreBatchSize", Kind::Integer),
    ("Provide.DHT.OfflineDelay", Kind::Duration),
    ("Provide.DHT.SendProviderRecordTimeout", Kind::Duration),
    ("Provide.DHT.ResumeEnabled", Kind::Flag),
    ("Provider.Enabled", Kind::Flag),
    ("Provider.Strategy", Kind::Text),
    ("Provider.WorkerCount", Kind::Integer),
    ("Reprovider.Interval", Kind::Duration),
    ("Reprovider.Strategy", Kind::Text),
    ("HTTPRetrieval.Enabled", Kind::Flag),
    ("HTTPRetrieval.Allowlist", Kind::Texts),
    ("HTTPRetrieval.Denylist", Kind::Texts),
    ("HTTPRetrieval.NumWorkers", Kind::Integer),
    ("HTTPRetrieval.MaxBlockSize", Kind::Size),
    ("HTTPRetrieval.TLSInsecureSkipVerify", Kind::Flag),
    // Our own: gateways that are asked for what nobody is found for, as https://gateway.example.
    ("HTTPRetrieval.Gateways", Kind::Texts),
    ("Experimental.FilestoreEnabled", Kind::Flag),
    ("Experimental.UrlstoreEnabled", Kind::Flag),
    ("Experimental.ShardingEnabled", Kind::Flag),
    ("Experimental.Libp2pStreamMounting", Kind::Flag),
    ("Experimental.P2pHttpProxy", Kind::Flag),
    ("Experimental.StrategicProviding", Kind::Flag),
    ("Experimental.OptimisticProvide", Kind::Flag),
    ("Experimental.OptimisticProvideJobsPoolSize", Kind::Integer),
    ("Experimental.GatewayOverLibp2p", Kind::Flag),
    ("Plugins.Plugins", Kind::Any),
    ("Pinning.RemoteServices", Kind::Any),
    ("Import.CidVersion", Kind::Integer),
    ("Import.UnixFSRawLeaves", Kind::Flag),
    ("Import.UnixFSChunker", Kind::Text),
    ("Import.HashFunction", Kind::Text),
    ("Import.UnixFSFileMaxLinks", Kind::Integer),
    ("Import.UnixFSDirectoryMaxLinks", Kind::Integer),
    ("Import.UnixFSHAMTDirectoryMaxFanout", Kind::Integer),
    ("Import.UnixFSHAMTDirectorySizeThreshold", Kind::Size),
    ("Import.UnixFSHAMTDirectorySizeEstimation", Kind::Text),
    ("Import.UnixFSDAGLayout", Kind::Text),
    ("Import.BatchMaxNodes", Kind::Integer),
    ("Import.BatchMaxSize", Kind::Integer),
    ("Import.FastProvideRoot", Kind::Flag),
    ("Import.FastProvideDAG", Kind::Flag),
    ("Import.FastProvideWait", Kind::Flag),
    ("Version.AgentSuffix", Kind::Text),
    ("Version.SwarmCheckEnabled", Kind::Flag),
    ("Version.SwarmCheckPercentThreshold", Kind::Integer),
    ("Internal.Bitswap", Kind::Any),
    ("Internal.UnixFSShardingSizeThreshold", Kind::Size),
    ("Internal.Libp2pForceReachability", Kind::Text),
    ("Internal.BackupBootstrapInterval", Kind::Duration),
    ("Internal.MFSNoFlushLimit", Kind::Integer),
    ("Internal.ShutdownTimeout", Kind::Duration),
    ("Internal.CGNATCheck", Kind::Flag),
    ("Internal.DeadListenerCheck", Kind::Flag),
    ("Internal.NonPublicAddrPublishing", Kind::Flag),
    ("Bitswap.Libp2pEnabled", Kind::Flag),
    ("Bitswap.ServerEnabled", Kind::Flag),

    // Sections of our own.
    ("Role", Kind::Text),
    ("Resources.MaxMemory", Kind::Size),
    ("Cache.MemorySize", Kind::Size),
    ("Cache.DiskSize", Kind::Size),
    ("Cache.DiskPath", Kind::Text),
    ("Timeouts.API", Kind::Number),
    ("Timeouts.Gateway", Kind::Number),
    ("Timeouts.PeerConnect", Kind::Number),
    ("Logging.Level", Kind::Text),
    ("Logging.File", Kind::Text),
    ("Extensions", Kind::Any),
    ("Metadata", Kind::Any),
    ("CommandLine", Kind::Any),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_default_document_is_known_and_well_formed() {
        assert_eq!(
            check_document(&super::super::defaults::document()).unwrap(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn kinds_are_checked_and_unknown_keys_named() {
        check("Datastore.StorageMax", &json!("5 GiB")).unwrap();
        check("Swarm.ConnMgr", &json!({"LowWater": 5})).unwrap();
        check(
            "Gateway.PublicGateways.example.com",
            &json!({"Paths": ["/ipfs"]}),
        )
        .unwrap();
        check("Import.CidVersion", &json!(null)).unwrap();
        assert!(matches!(
            check("Import.CidVersion", &json!("x")),
            Err(ConfigError::BadValue { .. })
        ));
        assert!(matches!(
            check("Datastore.StorageMax", &json!("5XB")),
            Err(ConfigError::BadValue { .. })
        ));
        assert!(matches!(
            check("Swarm", &json!(3)),
            Err(ConfigError::BadValue { .. })
        ));
        assert!(
            matches!(check("Foo.Bar", &json!(3)), Err(ConfigError::UnknownKey(key)) if key == "Foo.Bar")
        );
        assert_eq!(
            check_document(&json!({"Swarm": {"Nope": 1}, "X": {}})).unwrap(),
            ["Swarm.Nope", "X"]
        );
    }
}
