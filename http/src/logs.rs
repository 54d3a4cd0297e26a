//! What the program says about itself while it runs: a line an event, in text or JSON, to standard error and
//! to whoever asks with `log tail`.
//!
//! Every event belongs to a subsystem, by the module it comes from, and every subsystem has a level that can
//! be changed at any time. Names, levels and forms are those of Kubo's logs, and so are the variables
//! `GOLOG_LOG_LEVEL` (`error,bitswap=debug`), `GOLOG_LOG_FMT` (`json`, `nocolor`, `color`), `GOLOG_FILE` and
//! `GOLOG_OUTPUT` (`stderr+file`).

mod format;
mod layer;
mod level;
mod subsystem;
mod tail;
mod target;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::RwLock;
use tracing_subscriber::layer::SubscriberExt;

pub use format::Form;
pub use level::{Level, NoLevel};
pub use subsystem::NoSubsystem;
pub use tail::Tail;

use layer::Lines;
use subsystem::Levels;
use target::Target;

/// The variable with the levels.
const LEVELS: &str = "GOLOG_LOG_LEVEL";
/// The variable with the form.
const FORM: &str = "GOLOG_LOG_FMT";

/// The variable with the file.
const FILE: &str = "GOLOG_FILE";
/// The variable with the places: `stderr+file`.
const OUTPUT: &str = "GOLOG_OUTPUT";

/// The logs of this process.
static LOGS: OnceLock<Logs> = OnceLock::new();

/// Levels and listeners of the process's logs.
#[derive(Debug)]
pub struct Logs {
    levels: Levels,
    tails: tail::Tails,
    form: Form,
    target: RwLock<Target>,
    /// Whether a level was chosen by somebody who is nearer than the configuration.
    chosen: bool,
}

/// How to log.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The form, when it was chosen; else the variable says it.
    pub form: Option<Form>,
    /// The level of everything, when it was chosen; else the variable says it.
    pub level: Option<Level>,
}

/// Starts logging; once in a process. What the variables hold that is no level or form is told and ignored.
pub fn start(options: &Options) -> Vec<String> {
    let mut warnings = Vec::new();
    let levels = Levels::default();
    let asked = given(LEVELS);
    let chosen = asked.is_some() || options.level.is_some();
    if let Some(text) = asked {
        warnings.extend(
            levels
                .read(&text)
                .map(|reason| format!("{LEVELS}: {reason}")),
        );
    }
    if let Some(level) = options.level {
        levels.set_all(level);
    }
    let form = options.form.or_else(|| {
        let text = given(FORM)?;
        let form = Form::from_name(&text);
        if form.is_none() {
            warnings.push(format!(
                "{FORM}: {text:?} is none of json, color and nocolor"
            ));
        }
        form
    });
    let file = given(FILE).map(PathBuf::from);
    let (target, trouble) = Target::of(given(OUTPUT).as_deref(), file.as_deref());
    warnings.extend(trouble);
    let logs = Logs {
        levels,
        tails: tail::Tails::default(),
        form: form.unwrap_or_default(),
        target: RwLock::new(target),
        chosen,
    };
    if LOGS.set(logs).is_ok()
        && let Some(logs) = LOGS.get()
    {
        let subscriber = tracing_subscriber::registry().with(Lines::new(logs));
        // Whoever embeds this and has a subscriber keeps it.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
    warnings
}

/// A variable that says something.
fn given(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}

/// Whether the environment asks for logs.
pub fn asked_for() -> bool {
    env::var_os(LEVELS).is_some_and(|text| !text.is_empty())
}

/// The logs of this process, once they have been started.
pub fn logs() -> Option<&'static Logs> {
    LOGS.get()
}

/// Names of all subsystems.
pub fn subsystems() -> Vec<&'static str> {
    subsystem::names()
}

impl Logs {
    /// The level that subsystems have which were given none.
    pub fn default_level(&self) -> Level {
        self.levels.default_level()
    }

    /// The level of one subsystem.
    ///
    /// # Errors
    /// [`NoSubsystem`].
    pub fn level(&self, subsystem: &str) -> Result<Level, NoSubsystem> {
        self.levels.level(subsystem)
    }

    /// Changes the level of one subsystem.
    ///
    /// # Errors
    /// [`NoSubsystem`].
    pub fn set(&self, subsystem: &str, level: Level) -> Result<(), NoSubsystem> {
        self.levels.set(subsystem, level)?;
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Changes the level of all of them, and that of those to come.
    pub fn set_all(&self, level: Level) {
        self.levels.set_all(level);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Takes what the configuration says, unless the command line or the environment says something else: levels
    /// as in `error,bitswap=debug`, and a file. What makes no sense is told and ignored.
    pub fn configure(&self, levels: Option<&str>, file: Option<&Path>) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(text) = levels.filter(|_| !self.chosen) {
            let read = self.levels.read(text);
            warnings.extend(read.map(|reason| format!("Logging.Level: {reason}")));
            tracing::callsite::rebuild_interest_cache();
        }
        if let Some(file) = file.filter(|_| given(FILE).is_none()) {
            let (target, trouble) = Target::of(given(OUTPUT).as_deref(), Some(file));
            warnings.extend(trouble);
            *self.target.write() = target;
        }
        let wants_file = given(OUTPUT).is_some_and(|output| target::names_file(&output));
        if wants_file && file.is_none() && given(FILE).is_none() {
            warnings.push("logs are to go to a file, and none is named".to_owned());
        }
        warnings
    }

    /// Lines from now on, of this level and above.
    pub fn tail(&self, level: Level) -> Tail {
        self.tails.open(level)
    }
}
