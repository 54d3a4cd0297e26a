//! The settings of one import: what the caller asked for over what the configuration says over Kubo's defaults.

use ipfs_kit_blockstore::{HashFunction, HashSpec, Version};
use ipfs_kit_unixfs::hamt::Fanout;
use ipfs_kit_unixfs::options::{
    DEFAULT_FILE_MAX_LINKS, DEFAULT_SHARDING_THRESHOLD, ImportOptions, Layout, SizeEstimate,
};
use ipfs_kit_unixfs::{Chunker, CidSpec};

use super::AddOptions;
use crate::config::{Config, ConfigError};
use crate::error::{Error, Result};

/// Works out the import settings.
///
/// # Errors
/// A value that is not known or not allowed, or two that contradict each other.
pub fn resolve(config: &Config, options: &AddOptions) -> Result<ImportOptions> {
    let text = |key: &str| config.text(key).map(str::to_owned);
    let chunker = options
        .chunker
        .clone()
        .or_else(|| text("Import.UnixFSChunker"));
    let chunker: Chunker = chunker.map_or(Ok(Chunker::default()), |text| text.parse())?;
    let hash = options.hash.clone().or_else(|| text("Import.HashFunction"));
    let hash = hash.map_or(Ok(HashFunction::SHA2_256), |name| {
        HashFunction::from_name(&name.to_lowercase())
    })?;
    let hash = HashSpec::new(hash, None)?;
    let version = version(
        options
            .cid_version
            .or_else(|| config.integer("Import.CidVersion")),
        hash,
    )?;
    let raw_leaves = raw_leaves(config, options, version)?;
    let fanout = number(
        config,
        options.max_hamt_fanout,
        "Import.UnixFSHAMTDirectoryMaxFanout",
    )?;
    Ok(ImportOptions {
        cid: CidSpec::new(version, hash, options.inline_limit)?,
        raw_leaves,
        chunker,
        layout: layout(config, options)?,
        file_max_links: number(config, options.max_file_links, "Import.UnixFSFileMaxLinks")?
            .filter(|links| *links > 0)
            .unwrap_or(DEFAULT_FILE_MAX_LINKS),
        directory_max_links: number(
            config,
            options.max_directory_links,
            "Import.UnixFSDirectoryMaxLinks",
        )?
        .unwrap_or(0),
        fanout: fanout.map_or(Ok(Fanout::DEFAULT), |slots| Fanout::new(slots as u64))?,
        threshold: config
            .size("Import.UnixFSHAMTDirectorySizeThreshold")
            .unwrap_or(DEFAULT_SHARDING_THRESHOLD),
        estimate: estimate(config)?,
    })
}

fn version(asked: Option<u64>, hash: HashSpec) -> Result<Version> {
    match asked {
        Some(0) => Ok(Version::V0),
        Some(1) => Ok(Version::V1),
        None if hash == HashSpec::SHA2_256 => Ok(Version::V0),
        None => Ok(Version::V1),
        Some(other) => Err(Error::BadOption {
            option: "cid-version",
            reason: format!("unknown CID version: {other}"),
        }),
    }
}

/// Mode and time stand in the root, which a raw leaf has no place for.
fn raw_leaves(config: &Config, options: &AddOptions, version: Version) -> Result<bool> {
    let asked = options
        .raw_leaves
        .or_else(|| config.flag("Import.UnixFSRawLeaves"));
    let attributes = options.preserve_mode
        || options.preserve_mtime
        || options.mode.is_some()
        || options.mtime.is_some();
    match asked {
        Some(true) if attributes => Err(Error::BadOption {
            option: "raw-leaves",
            reason: "raw-leaves can't be used with UnixFS metadata like mode or modification time"
                .to_owned(),
        }),
        _ if attributes => Ok(false),
        Some(asked) => Ok(asked),
        None => Ok(version == Version::V1),
    }
}

fn layout(config: &Config, options: &AddOptions) -> Result<Layout> {
    match (options.trickle, config.text("Import.UnixFSDAGLayout")) {
        (Some(true), _) | (None, Some("trickle")) => Ok(Layout::Trickle),
        (Some(false), _) | (None, None | Some("balanced")) => Ok(Layout::Balanced),
        (None, Some(other)) => Err(bad_config(
            "Import.UnixFSDAGLayout",
            other,
            "balanced or trickle",
        )),
    }
}

fn estimate(config: &Config) -> Result<SizeEstimate> {
    const KEY: &str = "Import.UnixFSHAMTDirectorySizeEstimation";
    match config.text(KEY) {
        None | Some("links") => Ok(SizeEstimate::Links),
        Some("block") => Ok(SizeEstimate::Block),
        Some("disabled") => Ok(SizeEstimate::Disabled),
        Some(other) => Err(bad_config(KEY, other, "links, block or disabled")),
    }
}

fn number(config: &Config, asked: Option<usize>, key: &'static str) -> Result<Option<usize>> {
    let Some(configured) = config.integer(key).filter(|_| asked.is_none()) else {
        return Ok(asked);
    };
    usize::try_from(configured)
        .map(Some)
        .map_err(|_| bad_config(key, &configured.to_string(), "a smaller number"))
}

fn bad_config(key: &str, value: &str, allowed: &str) -> Error {
    ConfigError::BadValue {
        key: key.to_owned(),
        reason: format!("{value:?} is not allowed, use {allowed}"),
    }
    .into()
}
