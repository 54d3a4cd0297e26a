//! A command that runs in this process, on a repo that it opens itself.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipfs_kit_http::command::Argument;
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::host::{Bar, Counting, Host, Inputs, Need, Sources};
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::output::Output;
use ipfs_kit_http::request::Request;
use ipfs_kit_node::repo::{self, Kind};
use ipfs_kit_node::{AddOptions, Node, NodeBuilder, Source};

use crate::commands::init;
use crate::files;
use crate::progress::Bars;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::terminal::{Stdout, note};

/// This process: its settings, its stop button and its terminal. Clones share all of them.
#[derive(Clone)]
pub struct Local {
    /// The merged global options.
    pub settings: Arc<Settings>,
    /// The stop button.
    pub stop: Stop,
    /// The progress bar.
    pub bars: Bars,
    /// Whether the repo has been named, with `--verbose`.
    told: Arc<AtomicBool>,
}

impl Local {
    /// Starts the clock, if there is a limit.
    pub fn new(settings: Settings) -> Local {
        let stop = Stop::new(settings.timeout);
        Local {
            settings: Arc::new(settings),
            stop,
            bars: Bars::default(),
            told: Arc::default(),
        }
    }

    /// A run of a command in this process.
    ///
    /// # Errors
    /// When the process has no standard output.
    pub fn invocation(&self, request: Request) -> Result<Invocation, Failure> {
        let stdout = Stdout::new(self.bars.clone())?;
        let out = Output::new(request.common.encoding, Box::new(stdout));
        Ok(Invocation::new(request, Box::new(self.clone()), out))
    }

    /// The repo's directory.
    ///
    /// # Errors
    /// When no home directory is known and no path was given.
    pub fn repo_path(&self) -> Result<PathBuf, Failure> {
        let path = repo::locate(self.settings.repo.as_deref()).map_err(Failure::failed)?;
        if self.settings.verbose && !self.told.swap(true, Ordering::Relaxed) {
            note(&format!("repo {}", path.display()));
        }
        Ok(path)
    }

    /// The node as the settings describe it.
    ///
    /// # Errors
    /// As [`Local::repo_path`].
    pub fn builder(&self) -> Result<NodeBuilder, Failure> {
        let mut builder = Node::builder()
            .repo(self.repo_path()?)
            .with_environment()
            .cancel(self.stop.token().clone());
        if let Some(file) = &self.settings.config {
            builder = builder.config_file(file);
        }
        if let Some(role) = self.settings.role {
            builder = builder.role(role);
        }
        Ok(builder)
    }

    /// Opens the repo.
    ///
    /// # Errors
    /// [`repo::RepoError`] as text.
    pub fn open(&self) -> Result<Node, Failure> {
        let node = self.builder()?.open().map_err(Failure::failed)?;
        if !self.settings.common.quiet {
            for warning in node.config().warnings() {
                note(warning);
            }
        }
        Ok(node)
    }

    /// What a daemon says when the time is up is more than that it is up.
    pub fn keep_reason(&self, failure: Failure) -> Failure {
        match (failure, self.stop.check()) {
            (Failure::Failed(reason), Err(Failure::TimedOut)) => Failure::Late(reason),
            (failure, _) => failure,
        }
    }

    /// What the failure of a command means once signals and the deadline are considered.
    pub fn explain(&self, failure: Failure) -> Failure {
        match (failure, self.stop.check()) {
            (told @ (Failure::BrokenPipe | Failure::Late(_)), _) => told,
            (_, Err(stopped)) => stopped,
            (failure, Ok(())) => failure,
        }
    }
}

impl Host for Local {
    fn node(&self, need: Need) -> Result<Node, Failure> {
        let path = self.repo_path()?;
        let absent =
            need != Need::Repo && repo::kind(&path).map_err(Failure::failed)? == Kind::Absent;
        if absent && need == Need::Hashing {
            self.stop.watch_signals()?;
            let cancel = self.stop.token().clone();
            return Ok(Node::builder().in_memory().cancel(cancel).open()?);
        }
        if absent {
            init::first_use(&path, self.settings.common.quiet)?;
        }
        self.stop.watch_signals()?;
        self.open()
    }

    fn close(&self, node: Node) -> Result<(), Failure> {
        Ok(node.close()?)
    }

    fn repo_path(&self) -> Result<PathBuf, Failure> {
        Local::repo_path(self)
    }

    fn inputs(&self, argument: &Argument, words: &[OsString]) -> Result<Inputs, Failure> {
        let inputs = files::open_all(argument, words, &self.stop)?;
        Ok(Box::new(inputs.into_iter().map(Ok)))
    }

    fn sources(
        &self,
        words: &[OsString],
        stdin_name: Option<String>,
        options: &AddOptions,
    ) -> Result<Sources, Failure> {
        let named = files::named(words, stdin_name.as_deref(), options)?;
        let paths = named.iter().filter_map(|named| named.path.clone());
        Ok(Sources {
            paths: paths.collect(),
            sources: named
                .into_iter()
                .map(|named| match named.path {
                    Some(path) => Source::Path(path),
                    None => Source::Reader {
                        name: stdin_name.clone(),
                        reader: Box::new(files::stdin(&self.stop)),
                    },
                })
                .collect(),
        })
    }

    fn lines(&self) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(Box::new(files::stdin(&self.stop)))
    }

    fn check(&self) -> Result<(), Failure> {
        self.stop.check()
    }

    fn bar(&self, counting: Counting, asked: Option<bool>) -> Option<Arc<dyn Bar>> {
        self.bars.show(counting, asked, self.settings.common.quiet)
    }

    fn clear_bar(&self) {
        self.bars.clear();
    }

    fn note(&self, text: &str) {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}
