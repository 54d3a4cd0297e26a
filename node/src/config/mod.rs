//! Configuration: one document with Kubo's keys, layered from defaults to flags.
//!
//! The layers, each over the one before: defaults, the role's preset, the repo's `config` file, a YAML or JSON
//! file of the short form (`role`, `resources`, `cache`, ...), the environment, single values set by the caller.
//! A value in the repo's file that equals the default does not hide a preset.
//!
//! [`Config`] is the merged result, [`ConfigFile`] the repo's own file for `config get|set|show|replace`.

mod defaults;
mod document;
mod effective;
mod error;
mod file;
mod keys;
mod profile;
mod role;
mod secrets;
mod short_form;
mod size;

pub use effective::{Config, Layers};
pub use error::ConfigError;
pub use file::{ConfigFile, ProfileChange};
pub use profile::profiles;
pub use role::Role;
pub use short_form::{SEARCH_PATH, find as find_short_form, read as read_short_form};
pub use size::{format_size, parse_duration, parse_size};

pub(crate) use file::initial_document;
pub(crate) use keys::taken as taken_keys;
