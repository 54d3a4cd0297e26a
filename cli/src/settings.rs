//! Options that every command takes, merged from flags, environment and file, in that order.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipfs_kit_http::cid_style::CidStyle;
use ipfs_kit_http::client::Client;
use ipfs_kit_http::command::Opt;
use ipfs_kit_http::duration;
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::output::Encoding;
use ipfs_kit_http::request::Common;
use ipfs_kit_http::value::{Value, Values};
use ipfs_kit_node::config::{self, Role};

/// The global options.
pub const GLOBALS: &[Opt] = &[
    Opt::path(&["repo-dir"], "Path to the repository directory to use"),
    Opt::path(
        &["config", "c"],
        "YAML or JSON file that lies over the repo's configuration",
    ),
    Opt::path(
        &["config-file"],
        "Another file in place of the repo's own; not supported",
    ),
    Opt::text(&["format"], "Output format: json, yaml, table or text"),
    Opt::text(
        &["encoding", "enc"],
        "The encoding of the output: json, xml or text",
    )
    .default("text"),
    Opt::text(
        &["timeout"],
        "Time limit for the command, as seconds or as 1m30s; exit status 124",
    ),
    Opt::flag(
        &["verbose", "v"],
        "Say on standard error what is being done",
    ),
    Opt::flag(&["debug", "D"], "The same as --verbose"),
    Opt::flag(&["quiet", "q"], "Print nothing but the essential result"),
    Opt::text(
        &["role"],
        "Role of the node: master, worker, leecher, gateway or observer",
    ),
    Opt::text(
        &["cid-base"],
        "Multibase for CIDs in the output; other than base58btc means CIDv1",
    ),
    Opt::flag(
        &["upgrade-cidv0-in-output"],
        "Upgrade version 0 CIDs in the output (deprecated)",
    ),
    Opt::flag(&["offline"], "Run the command offline: nothing is fetched"),
    Opt::flag(&["local", "L"], "The same as --offline (deprecated)"),
    Opt::text(
        &["api"],
        "Address of a running daemon, as /ip4/127.0.0.1/tcp/5001 or /unix/PATH",
    ),
    Opt::text(
        &["api-url"],
        "URL of a running daemon, as http://127.0.0.1:5001 or unix:///PATH",
    ),
    Opt::text(
        &["api-auth"],
        "Secret for a running daemon: bearer:TOKEN or basic:USER:PASSWORD",
    ),
    Opt::flag(
        &["stream-channels"],
        "Stream output as it comes, which is always done",
    ),
    Opt::flag(&["no-color"], "No colours, which are never used"),
    Opt::flag(&["help"], "Show the full help of the command"),
    Opt::flag(&["h"], "Show a short help of the command"),
];

/// What the global options come to.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What every command takes, here and in a daemon.
    pub common: Common,
    /// Say on standard error what is being done.
    pub verbose: bool,
    /// How long the command may take.
    pub timeout: Option<Duration>,
    /// The repo, when it was named.
    pub repo: Option<PathBuf>,
    /// A configuration file over the repo's own.
    pub config: Option<PathBuf>,
    /// The role, when it was named.
    pub role: Option<Role>,
    /// The daemon to ask, when one was named: a multiaddress or a URL.
    pub api: Option<String>,
    /// What proves to it who asks.
    pub api_auth: Option<String>,
    /// Options of every command that a daemon is told of as they were given.
    pub passed_on: Vec<(&'static str, String)>,
}

impl Settings {
    /// Merges flags, environment and file.
    ///
    /// # Errors
    /// A value that does not fit, naming the flag, the variable or the file's key.
    pub fn resolve(flags: &Values) -> Result<Settings, Failure> {
        let config = match flags.get("config") {
            Some(Value::Path(path)) => Some(PathBuf::from(path)),
            _ => variable("IPFS_KIT_CONFIG").map(PathBuf::from),
        };
        let file = FileLayer::read(config.as_deref())?;
        refuse_unsupported(flags)?;
        let encoding = encoding(flags, &file)?;
        let flag = |name| matches!(flags.get(name), Some(Value::Bool(true)));
        let common = Common {
            encoding: encoding.unwrap_or_default(),
            cid_style: cid_style(flags)?,
            quiet: flag("quiet"),
            offline: flag("offline") || flag("local"),
            online_asked: matches!(flags.get("offline"), Some(Value::Bool(false))),
        };
        let timeout = layered(flags, "timeout", "IPFS_KIT_TIMEOUT", &file, duration::parse)?;
        Ok(Settings {
            common,
            verbose: flag("verbose") || flag("debug"),
            timeout,
            passed_on: passed_on(flags, timeout),
            role: layered(flags, "role", "IPFS_KIT_ROLE", &file, |text| {
                Role::from_str(text).map_err(|error| error.to_string())
            })?,
            repo: match flags.get("repo-dir") {
                Some(Value::Path(path)) => Some(PathBuf::from(path)),
                _ => None,
            },
            config,
            api: api(flags, &file)?,
            api_auth: text(flags, "api-auth"),
        })
    }
}

/// A variable of the environment; an empty one counts as not set.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn refuse_unsupported(flags: &Values) -> Result<(), Failure> {
    if flags.contains_key("config-file") {
        return Err(Failure::failed(
            "--config-file is not supported: use --repo-dir for another repo, or --config for a \
             file that lies over its configuration",
        ));
    }
    Ok(())
}

fn passed_on(flags: &Values, timeout: Option<Duration>) -> Vec<(&'static str, String)> {
    let mut passed = Vec::new();
    for name in ["cid-base", "upgrade-cidv0-in-output", "offline"] {
        match flags.get(name) {
            Some(Value::Text(text)) => passed.push((name, text.clone())),
            Some(Value::Bool(flag)) => passed.push((name, flag.to_string())),
            _ => {}
        }
    }
    if flags.get("local") == Some(&Value::Bool(true)) && !flags.contains_key("offline") {
        passed.push(("offline", "true".to_owned()));
    }
    if let Some(timeout) = timeout {
        passed.push(("timeout", timeout.as_secs_f64().to_string()));
    }
    passed
}

fn text(flags: &Values, name: &str) -> Option<String> {
    match flags.get(name) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The daemon to ask: `--api`, `--api-url`, then the variable, then the file.
fn api(flags: &Values, file: &FileLayer) -> Result<Option<String>, Failure> {
    match (text(flags, "api"), text(flags, "api-url")) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "--api and --api-url cannot be used together",
        )),
        (Some(api), None) => {
            Client::new(&api, None)?;
            Ok(Some(api))
        }
        (None, _) => layered(flags, "api-url", "IPFS_KIT_API_URL", file, |url| {
            Client::new(url, None).map_err(|failure| failure.to_string())?;
            Ok(url.to_owned())
        }),
    }
}

fn encoding(flags: &Values, file: &FileLayer) -> Result<Option<Encoding>, Failure> {
    if let Some(Value::Text(name)) = flags.get("encoding") {
        if flags.contains_key("format") {
            return Err(Failure::usage(
                "--format and --encoding cannot be used together",
            ));
        }
        let encoding = Encoding::from_name(name);
        return encoding
            .map(Some)
            .ok_or_else(|| Failure::failed(format_args!("invalid encoding: {name}")));
    }
    layered(
        flags,
        "format",
        "IPFS_KIT_FORMAT",
        file,
        |name| match name {
            "xml" => Err("use json, yaml, table or text".to_owned()),
            name => {
                Encoding::from_name(name).ok_or_else(|| "use json, yaml, table or text".to_owned())
            }
        },
    )
}

/// One value by flag, else by variable, else by key of the file.
fn layered<T>(
    flags: &Values,
    name: &'static str,
    env_name: &str,
    file: &FileLayer,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let (text, origin) = if let Some(Value::Text(text)) = flags.get(name) {
        (text.clone(), format!("--{name}"))
    } else if let Some(text) = variable(env_name) {
        (
            text.to_string_lossy().into_owned(),
            format!("environment variable {env_name}"),
        )
    } else if let Some((text, path)) = file.get(name) {
        (text, format!("{}: key {name:?}", path.display()))
    } else {
        return Ok(None);
    };
    parse(&text).map(Some).map_err(|reason| {
        Failure::failed(format_args!("{origin}: invalid value {text:?}: {reason}"))
    })
}

fn cid_style(flags: &Values) -> Result<CidStyle, Failure> {
    let base = match flags.get("cid-base") {
        Some(Value::Text(name)) if !name.is_empty() => Some(name.as_str()),
        _ => None,
    };
    let upgrade = match flags.get("upgrade-cidv0-in-output") {
        Some(Value::Bool(upgrade)) => Some(*upgrade),
        _ => None,
    };
    CidStyle::new(base, upgrade)
}

/// The keys of the configuration file that concern the command line itself.
#[derive(Debug, Default)]
struct FileLayer {
    found: Option<(PathBuf, serde_json::Value)>,
}

impl FileLayer {
    fn read(named: Option<&Path>) -> Result<FileLayer, Failure> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => match config::find_short_form() {
                Some(path) => path,
                None => return Ok(FileLayer::default()),
            },
        };
        let document = config::read_short_form(&path).map_err(Failure::failed)?;
        Ok(FileLayer {
            found: Some((path, document)),
        })
    }

    fn get(&self, name: &str) -> Option<(String, &Path)> {
        let (path, document) = self.found.as_ref()?;
        let value = match name {
            "format" => &document["CommandLine"]["Format"],
            "timeout" => &document["CommandLine"]["Timeout"],
            "role" => &document["Role"],
            "api-url" => &document["CommandLine"]["APIURL"],
            _ => return None,
        };
        let text = match value {
            serde_json::Value::Null => return None,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((text, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(values: &[(&'static str, &str)]) -> Values {
        values
            .iter()
            .map(|(name, text)| (*name, Value::Text((*text).to_owned())))
            .collect()
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        let file = FileLayer {
            found: Some((
                PathBuf::from("f"),
                serde_json::json!({"CommandLine": {"Format": "yaml", "Timeout": 5}}),
            )),
        };
        let none = Values::new();
        let json = flags(&[("format", "json")]);
        assert_eq!(encoding(&json, &file).unwrap(), Some(Encoding::Json));
        assert_eq!(encoding(&none, &file).unwrap(), Some(Encoding::Yaml));
        assert_eq!(encoding(&none, &FileLayer::default()).unwrap(), None);
        let timeout = layered(&none, "timeout", "IPFS_KIT_NO_SUCH", &file, duration::parse);
        assert_eq!(timeout.unwrap(), Some(Duration::from_secs(5)));
    }

    #[test]
    fn bad_values_name_their_origin() {
        let file = FileLayer::default();
        let error = encoding(&flags(&[("format", "ini")]), &file)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--format") && error.contains("yaml"),
            "{error}"
        );
        let error = encoding(&flags(&[("encoding", "ini")]), &file)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "invalid encoding: ini");
        let file = FileLayer {
            found: Some((
                PathBuf::from("conf.yaml"),
                serde_json::json!({"CommandLine": {"Timeout": "soon"}}),
            )),
        };
        let error = layered(
            &Values::new(),
            "timeout",
            "IPFS_KIT_NO_SUCH",
            &file,
            duration::parse,
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("conf.yaml") && error.contains("timeout"),
            "{error}"
        );
    }
}
