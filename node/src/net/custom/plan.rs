//! `Routing.Routers` and `Routing.Methods`, read and checked: which routers are asked for what, and in which order.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{Config, parse_duration};
use crate::delegated::RouterAddress;
use crate::net::NetError;
use crate::net::kad::Scopes;
use crate::net::settings::{DhtModes, RoutingMode};

const ROUTERS: &str = "Routing.Routers";
const METHODS: &str = "Routing.Methods";

/// Routers of all methods together, each counted as often as it is reached.
const ROUTERS_MAX: usize = 256;

/// Who is asked. `H` is a router that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route<H> {
    /// One of the DHTs.
    Dht(Scopes),
    /// A router over HTTP.
    Http(H),
    /// Several, at once or one after the other.
    Group {
        at_once: bool,
        members: Vec<Member<H>>,
    },
}

/// One of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<H> {
    pub route: Route<H>,
    /// It waits so long before it begins, where the group works at once.
    pub after: Duration,
    pub timeout: Option<Duration>,
    /// That it fails does not make the group fail.
    pub ignore_errors: bool,
}

impl<H> Route<H> {
    /// The same with other routers over HTTP.
    pub fn map<G, E>(self, make: &mut impl FnMut(H) -> Result<G, E>) -> Result<Route<G>, E> {
        Ok(match self {
            Self::Dht(scopes) => Route::Dht(scopes),
            Self::Http(router) => Route::Http(make(router)?),
            Self::Group { at_once, members } => {
                let mut mapped = Vec::with_capacity(members.len());
                for member in members {
                    mapped.push(Member {
                        route: member.route.map(make)?,
                        after: member.after,
                        timeout: member.timeout,
                        ignore_errors: member.ignore_errors,
                    });
                }
                Route::Group {
                    at_once,
                    members: mapped,
                }
            }
        })
    }

    /// The DHTs in it.
    pub fn scopes(&self) -> Scopes {
        match self {
            Self::Dht(scopes) => *scopes,
            Self::Http(_) => Scopes::default(),
            Self::Group { members, .. } => {
                let each = members.iter().map(|member| member.route.scopes());
                each.fold(Scopes::default(), Scopes::or)
            }
        }
    }

    fn has_http(&self) -> bool {
        match self {
            Self::Dht(_) => false,
            Self::Http(_) => true,
            Self::Group { members, .. } => members.iter().any(|member| member.route.has_http()),
        }
    }
}

/// Who is asked for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods<H> {
    pub provide: Route<H>,
    pub find_providers: Route<H>,
    pub find_peers: Route<H>,
    pub get_ipns: Route<H>,
    pub put_ipns: Route<H>,
}

/// The methods as they are configured.
pub type Plan = Methods<RouterAddress>;

/// Reads both keys. What has no effect is told in `warnings`.
pub fn read(config: &Config, warnings: &mut Vec<String>) -> Result<(Plan, DhtModes), NetError> {
    let table = |key: &str| config.get(key).and_then(Value::as_object).cloned();
    let routers = table(ROUTERS).unwrap_or_default();
    let methods = table(METHODS).unwrap_or_default();
    const NAMES: [&str; 5] = [
        "provide",
        "find-peers",
        "find-providers",
        "get-ipns",
        "put-ipns",
    ];
    if let Some(name) = methods.keys().find(|name| !NAMES.contains(&name.as_str())) {
        return Err(bad(
            METHODS,
            format!("{name:?} is not one of {}", NAMES.join(", ")),
        ));
    }
    let mut reader = Reader {
        routers: &routers,
        path: Vec::new(),
        count: 0,
        modes: DhtModes::OFF,
    };
    let mut route = |name: &str| {
        let router = methods
            .get(name)
            .and_then(|method| method.get("RouterName"));
        let router = router.and_then(Value::as_str);
        let router = router
            .ok_or_else(|| bad(METHODS, format!("{name:?} is missing, or its RouterName")))?;
        reader.route(router)
    };
    let plan = Plan {
        provide: route("provide")?,
        find_providers: route("find-providers")?,
        find_peers: route("find-peers")?,
        get_ipns: route("get-ipns")?,
        put_ipns: route("put-ipns")?,
    };
    if plan.provide.has_http() {
        warnings.push(
            "Routing.Methods: no blocks are announced over HTTP, for which there is no standard: only its DHTs are told"
                .to_owned(),
        );
    }
    Ok((plan, reader.modes))
}

struct Reader<'a> {
    routers: &'a Map<String, Value>,
    /// The routers that are being read, the outermost first.
    path: Vec<String>,
    count: usize,
    modes: DhtModes,
}

impl Reader<'_> {
    fn route(&mut self, name: &str) -> Result<Route<RouterAddress>, NetError> {
        self.count += 1;
        if self.count > ROUTERS_MAX {
            let reason = format!("the methods reach more than {ROUTERS_MAX} routers");
            return Err(bad(ROUTERS, reason));
        }
        if self.path.iter().any(|outer| outer == name) {
            return Err(bad(ROUTERS, format!("{name:?} leads to itself")));
        }
        let router = self.routers.get(name);
        let router = router.ok_or_else(|| bad(ROUTERS, format!("there is no router {name:?}")))?;
        let parameters = router.get("Parameters").unwrap_or(&Value::Null);
        self.path.push(name.to_owned());
        let route = match router
            .get("Type")
            .and_then(Value::as_str)
            .unwrap_or_default()
        {
            "http" => http(name, parameters)?,
            "dht" => self.dht(name, parameters)?,
            "parallel" => self.group(name, parameters, true)?,
            "sequential" => self.group(name, parameters, false)?,
            other => {
                let reason = format!(
                    "{name:?} has the type {other:?}, which is not one of http, dht, parallel, sequential"
                );
                return Err(bad(ROUTERS, reason));
            }
        };
        self.path.pop();
        Ok(route)
    }

    fn dht(&mut self, name: &str, parameters: &Value) -> Result<Route<RouterAddress>, NetError> {
        let flag = |key: &str| parameters.get(key).and_then(Value::as_bool) == Some(true);
        let accelerated = flag("AcceleratedDHTClient");
        let mode = match parameters
            .get("Mode")
            .and_then(Value::as_str)
            .unwrap_or_default()
        {
            // Such a client is one of the public network.
            _ if accelerated => RoutingMode::Client,
            "auto" => RoutingMode::Auto,
            "client" => RoutingMode::Client,
            "server" => RoutingMode::Server,
            other => {
                let reason = format!(
                    "{name:?} has the mode {other:?}, which is not one of auto, client, server"
                );
                return Err(bad(ROUTERS, reason));
            }
        };
        let wan = accelerated || flag("PublicIPNetwork");
        self.modes.widen(wan, mode);
        Ok(Route::Dht(Scopes { wan, lan: !wan }))
    }

    fn group(
        &mut self,
        name: &str,
        parameters: &Value,
        at_once: bool,
    ) -> Result<Route<RouterAddress>, NetError> {
        let listed = parameters.get("Routers").and_then(Value::as_array);
        let mut members = Vec::new();
        for member in listed.into_iter().flatten() {
            let text = |key: &str| member.get(key).and_then(Value::as_str);
            let inner = text("RouterName").unwrap_or_default();
            let span = |key: &str| match text(key) {
                None | Some("") => Ok(Duration::ZERO),
                Some(span) => parse_duration(span).ok_or_else(|| {
                    bad(ROUTERS, format!("{name:?}: {key} {span:?} is no duration"))
                }),
            };
            let timeout = span("Timeout")?;
            members.push(Member {
                after: span("ExecuteAfter")?,
                timeout: (!timeout.is_zero()).then_some(timeout),
                ignore_errors: member.get("IgnoreErrors").and_then(Value::as_bool) == Some(true),
                route: self.route(inner)?,
            });
        }
        Ok(Route::Group { at_once, members })
    }
}

fn http(name: &str, parameters: &Value) -> Result<Route<RouterAddress>, NetError> {
    let endpoint = parameters.get("Endpoint").and_then(Value::as_str);
    match endpoint.unwrap_or_default() {
        "" => Err(bad(ROUTERS, format!("{name:?} has no Endpoint"))),
        endpoint => RouterAddress::parse(ROUTERS, endpoint).map(Route::Http),
    }
}

fn bad(key: &'static str, reason: String) -> NetError {
    NetError::BadSetting { key, reason }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Layers;

    fn plan(routers: Value, methods: Value) -> Result<(Plan, DhtModes, usize), String> {
        let values = [
            ("Routing.Routers".to_owned(), routers),
            ("Routing.Methods".to_owned(), methods),
        ];
        let layers = Layers {
            values: values.into_iter().collect(),
            ..Layers::default()
        };
        let config = Config::merged(&json!({}), &layers).unwrap();
        let mut warnings = Vec::new();
        let (plan, modes) = read(&config, &mut warnings).map_err(|error| error.to_string())?;
        Ok((plan, modes, warnings.len()))
    }

    fn all(name: &str) -> Value {
        json!({
            "provide": {"RouterName": name}, "find-providers": {"RouterName": name},
            "find-peers": {"RouterName": name}, "get-ipns": {"RouterName": name},
            "put-ipns": {"RouterName": name},
        })
    }

    /// The example of Kubo's documentation.
    #[test]
    fn kubos_example_is_read() {
        let routers = json!({
            "WanDHT": {"Type": "dht", "Parameters": {"Mode": "auto", "PublicIPNetwork": true, "AcceleratedDHTClient": false}},
            "LanDHT": {"Type": "dht", "Parameters": {"Mode": "server", "PublicIPNetwork": false}},
            "Http": {"Type": "http", "Parameters": {"Endpoint": "http://127.0.0.1:1"}},
            "ParallelHelper": {"Type": "parallel", "Parameters": {"Routers": [
                {"RouterName": "LanDHT", "IgnoreErrors": true, "Timeout": "3s"},
                {"RouterName": "WanDHT", "IgnoreErrors": false, "Timeout": "5m", "ExecuteAfter": "2s"},
                {"RouterName": "Http"}
            ]}}
        });
        let (plan, modes, warnings) = plan(routers, all("ParallelHelper")).unwrap();
        assert_eq!(
            (modes.wan, modes.lan),
            (RoutingMode::Auto, RoutingMode::Server)
        );
        assert_eq!(warnings, 1, "that HTTP takes no announcements");
        assert_eq!(plan.provide.scopes(), Scopes::BOTH);
        let Route::Group {
            at_once: true,
            members,
        } = plan.find_providers
        else {
            panic!("no group");
        };
        assert_eq!(members.len(), 3);
        assert!(members[0].ignore_errors && !members[1].ignore_errors);
        assert_eq!(members[0].timeout, Some(Duration::from_secs(3)));
        assert_eq!(members[1].after, Duration::from_secs(2));
        assert!(matches!(&members[2].route, Route::Http(at) if at.loopback));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let dht = |mode: &str| json!({"A": {"Type": "dht", "Parameters": {"Mode": mode}}});
        let error = |routers, methods| plan(routers, methods).unwrap_err();
        assert!(error(json!({}), json!({})).contains("\"provide\" is missing"));
        assert!(error(json!({}), json!({"x": {}})).contains("\"x\" is not one of"));
        assert!(error(json!({}), all("A")).contains("no router \"A\""));
        assert!(error(dht("fast"), all("A")).contains("mode \"fast\""));
        let kind = json!({"A": {"Type": "gossip"}});
        assert!(error(kind, all("A")).contains("type \"gossip\""));
        let circle = json!({
            "A": {"Type": "parallel", "Parameters": {"Routers": [{"RouterName": "B"}]}},
            "B": {"Type": "sequential", "Parameters": {"Routers": [{"RouterName": "A"}]}},
        });
        assert!(error(circle, all("A")).contains("leads to itself"));
        let http = json!({"A": {"Type": "http", "Parameters": {}}});
        assert!(error(http, all("A")).contains("no Endpoint"));
        let span = json!({"A": {"Type": "parallel", "Parameters": {"Routers": [{"RouterName": "A", "Timeout": "soon"}]}}});
        assert!(error(span, all("A")).contains("no duration"));
    }

    #[test]
    fn routers_that_double_do_not_grow_without_end() {
        let mut routers = Map::new();
        for at in 0..40 {
            let inner = format!("r{}", at + 1);
            let group = json!([{"RouterName": inner}, {"RouterName": inner}]);
            routers.insert(
                format!("r{at}"),
                json!({"Type": "parallel", "Parameters": {"Routers": group}}),
            );
        }
        routers.insert(
            "r40".to_owned(),
            json!({"Type": "dht", "Parameters": {"Mode": "auto"}}),
        );
        let error = plan(Value::Object(routers), all("r0")).unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
}
