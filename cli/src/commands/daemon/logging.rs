//! What a daemon says about itself: started before anything happens, told the rest by the configuration.

use std::path::Path;

use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::logs::{self, Form, Level};
use ipfs_kit_node::config::Config;

use crate::host::Local;
use crate::terminal::note;

/// Starts logging, as the options and the environment say.
///
/// # Errors
/// An option that is wrong.
pub fn start(local: &Local, invocation: &Invocation) -> Result<(), Failure> {
    let given = |name: &str| {
        invocation.command().option(name)?;
        invocation.text(name).filter(|text| !text.is_empty())
    };
    let form = match given("log-format") {
        None => None,
        Some(name) => Some(Form::from_name(&name).ok_or_else(|| {
            Failure::failed(format_args!(
                "--log-format: {name:?} is none of json, color and text"
            ))
        })?),
    };
    let level = match given("log-level") {
        Some(name) => Some(
            name.parse::<Level>()
                .map_err(|error| Failure::failed(format_args!("--log-level: {error}")))?,
        ),
        None => local.settings.verbose.then_some(Level::Debug),
    };
    let warnings = logs::start(&logs::Options { form, level });
    warnings.iter().for_each(|warning| note(warning));
    Ok(())
}

/// Tells the logs what the configuration says: `Logging.Level` and `Logging.File`.
pub fn configure(config: &Config) {
    let Some(logs) = logs::logs() else {
        return;
    };
    let text = |key: &str| config.text(key).filter(|text| !text.is_empty());
    let warnings = logs.configure(text("Logging.Level"), text("Logging.File").map(Path::new));
    warnings.iter().for_each(|warning| note(warning));
}
