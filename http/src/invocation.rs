//! One run of one command: what was asked, where output goes, and the node it works on.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipfs_kit_node::{AddOptions, MfsError, NetError, Node};
use tokio::runtime::Handle;

use crate::cid_style::CidStyle;
use crate::command::{Command, Opt, Source};
use crate::failure::Failure;
use crate::host::{Bar, Counting, Host, Inputs, Need, Sources};
use crate::observed::Observed;
use crate::output::{Encoding, Output};
use crate::request::Request;
use crate::value::{Value, parse_value};

/// What a command's function gets.
pub struct Invocation {
    request: Request,
    host: Box<dyn Host>,
    /// Where the result goes.
    pub out: Output,
}

/// Between two looks at whether the command is to stop, while it waits for the network.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The longest line that is taken as an argument.
const MAX_ARGUMENT: u64 = 1 << 20;

impl Invocation {
    /// Puts the parts together.
    pub fn new(request: Request, host: Box<dyn Host>, mut out: Output) -> Invocation {
        out.expect(request.command().records);
        Invocation { request, host, out }
    }

    /// The selected command.
    pub fn command(&self) -> &'static Command {
        self.request.command()
    }

    /// The commands from the root to the selected one.
    pub fn command_path(&self) -> &[&'static Command] {
        &self.request.path
    }

    /// How CIDs are written.
    pub fn cid_style(&self) -> CidStyle {
        self.request.common.cid_style
    }

    /// Whether `--offline=false` was given.
    pub fn online_asked(&self) -> bool {
        self.request.common.online_asked
    }

    /// Whether Kubo's text is asked for.
    pub fn is_text(&self) -> bool {
        self.out.encoding() == Encoding::Text
    }

    /// Whether only the essential result is wanted: the command's own `--quiet` or the global one.
    pub fn quiet(&self) -> bool {
        self.request.common.quiet || self.given_flag("quiet").unwrap_or(false)
    }

    /// A line beside the result: what could not be done.
    pub fn note(&self, text: &str) {
        self.host.note(text);
    }

    fn option(&self, name: &str) -> Option<&'static Opt> {
        let option = self.command().option(name);
        debug_assert!(
            option.is_some() || matches!(name, "quiet" | "progress"),
            "{} has no option {name}",
            self.command().name
        );
        option
    }

    fn value(&self, name: &str) -> Option<Value> {
        let option = self.option(name)?;
        if let Some(value) = self.request.options.get(option.name()) {
            return Some(value.clone());
        }
        if option.default.is_empty() {
            return None;
        }
        parse_value(option, option.default.as_ref()).ok()
    }

    /// A flag, by its default when it was not given.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    /// A flag, if it was given.
    pub fn given_flag(&self, name: &str) -> Option<bool> {
        match self.request.options.get(self.option(name)?.name()) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// A signed number.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Value::Int(value)) => Some(value),
            _ => None,
        }
    }

    /// An unsigned number.
    pub fn uint(&self, name: &str) -> Option<u64> {
        match self.value(name) {
            Some(Value::Uint(value)) => Some(value),
            _ => None,
        }
    }

    /// A signed number that must not be negative, as an index or limit.
    ///
    /// # Errors
    /// When it is negative.
    pub fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(value) = self.int(name) else {
            return Ok(None);
        };
        u64::try_from(value)
            .map(Some)
            .map_err(|_| Failure::failed(format_args!("cannot specify negative {name}")))
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A local path.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match self.value(name) {
            Some(Value::Path(path)) => Some(PathBuf::from(path)),
            _ => None,
        }
    }

    /// A repeated text.
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        }
    }

    /// The words after the command, as they are.
    pub fn words(&self) -> &[OsString] {
        &self.request.words
    }

    /// Checks the number of words against the command's arguments.
    ///
    /// # Errors
    /// Too many of them, or a required one is missing and standard input does not stand in.
    pub fn check_arguments(&self) -> Result<(), Failure> {
        let arguments = self.command().arguments;
        let words = self.request.words.len();
        let variadic = arguments.last().is_some_and(|argument| argument.variadic);
        if words > arguments.len() && !variadic {
            return Err(Failure::usage(format!(
                "expected {} argument(s), got {words}",
                arguments.len()
            )));
        }
        let missing = arguments
            .iter()
            .skip(words)
            .find(|argument| argument.required && !argument.reads_stdin());
        match missing {
            Some(argument) => Err(missing_argument(argument.name)),
            None => Ok(()),
        }
    }

    /// All arguments as text; without any, the lines of standard input where the command allows it.
    ///
    /// # Errors
    /// Words that are not UTF-8, an unreadable standard input, or no argument at all where one is
    /// required.
    pub fn arguments(&self) -> Result<Vec<String>, Failure> {
        let mut all = Vec::new();
        self.each_argument(|argument| {
            all.push(argument);
            Ok(())
        })?;
        Ok(all)
    }

    /// Calls `visit` with each argument, as [`Invocation::arguments`] but without collecting them.
    pub fn each_argument(
        &self,
        mut visit: impl FnMut(String) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.request.words.is_empty() {
            for word in &self.request.words {
                let text = word.to_str().ok_or_else(|| {
                    Failure::failed(format_args!("argument {word:?} is not UTF-8"))
                })?;
                visit(text.to_owned())?;
            }
            return Ok(());
        }
        let Some(argument) = self.command().arguments.last() else {
            return Ok(());
        };
        let mut seen = false;
        if argument.source == Source::Lines {
            let mut lines = BufReader::new(self.host.lines()?);
            while let Some(line) = next_line(&mut lines, &*self.host)? {
                if line.is_empty() {
                    continue;
                }
                seen = true;
                visit(line)?;
                if !argument.variadic {
                    break;
                }
            }
        }
        if argument.required && !seen {
            return Err(missing_argument(argument.name));
        }
        Ok(())
    }

    /// The one argument of a command that takes one.
    ///
    /// # Errors
    /// As [`Invocation::arguments`].
    pub fn argument(&self) -> Result<String, Failure> {
        let mut first = None;
        self.each_argument(|argument| {
            first.get_or_insert(argument);
            Ok(())
        })?;
        first.ok_or_else(|| Failure::usage("an argument is required"))
    }

    /// The file arguments; without any, standard input where the command allows it.
    ///
    /// # Errors
    /// The first that is not there, by name.
    pub fn inputs(&self) -> Result<Inputs, Failure> {
        let argument = self.command().arguments.last();
        let argument = argument.ok_or_else(|| Failure::usage("no file is expected"))?;
        self.host.inputs(argument, self.request.file_words())
    }

    /// What is to be added.
    ///
    /// # Errors
    /// As [`Invocation::inputs`].
    pub fn sources(&self, options: &AddOptions) -> Result<Sources, Failure> {
        let name = self.text("stdin-name").filter(|name| !name.is_empty());
        self.host.sources(&self.request.words, name, options)
    }

    /// The repo's directory.
    ///
    /// # Errors
    /// When no home directory is known and no path was given.
    pub fn repo_path(&self) -> Result<PathBuf, Failure> {
        self.host.repo_path()
    }

    /// The node. Where it is opened for this command, signals cancel from here on instead of killing.
    ///
    /// # Errors
    /// Why the repo cannot be used.
    pub fn node(&self) -> Result<Node, Failure> {
        self.host.node(Need::Repo)
    }

    /// [`Invocation::node`] for a command that needs less or more than a repo that is there.
    ///
    /// # Errors
    /// As [`Invocation::node`].
    pub fn node_for(&self, need: Need) -> Result<Node, Failure> {
        self.host.node(need)
    }

    /// Waits for the network, until the command is to stop. Commands have threads of their own, so this may block; one
    /// that is tried without a thread is tried again with one.
    ///
    /// # Errors
    /// What the network says, or why the command is to stop.
    pub fn wait<T>(&self, work: impl Future<Output = Result<T, NetError>>) -> Result<T, Failure> {
        // A node without a runtime is not online.
        let runtime = Handle::try_current().map_err(|_| NetError::Offline)?;
        if let Some(at_once) = self.host.at_once() {
            // Nothing was asked for yet.
            at_once.miss();
            return Err(ipfs_kit_node::Error::NotAtHand.into());
        }
        runtime.block_on(async {
            let mut work = pin!(work);
            loop {
                match tokio::time::timeout(LOOK_EVERY, work.as_mut()).await {
                    Ok(done) => return Ok(done?),
                    Err(_) => self.host.check()?,
                }
            }
        })
    }

    /// Fails when the command is to stop.
    ///
    /// # Errors
    /// Why.
    pub fn check(&self) -> Result<(), Failure> {
        self.host.check()
    }

    /// What the daemon knows of itself; none where there is no daemon.
    pub fn observed(&self) -> Option<&Arc<Observed>> {
        self.host.observed()
    }

    /// [`Invocation::observed`] for a command that makes no sense without a daemon.
    ///
    /// # Errors
    /// When there is none.
    pub fn watched(&self) -> Result<&Arc<Observed>, Failure> {
        self.observed()
            .ok_or_else(|| Failure::failed("command must be run with a running daemon"))
    }

    /// Ends the daemon.
    ///
    /// # Errors
    /// When this is none.
    pub fn shutdown(&self) -> Result<(), Failure> {
        self.host.shutdown()
    }

    /// Gives the node back.
    ///
    /// # Errors
    /// When the disk did not keep what was written.
    pub fn close(&self, node: Node) -> Result<(), Failure> {
        self.host.close(node)
    }

    /// A bar, if one is wanted: as `--progress` says, else if people watch.
    pub fn bar(&self, counting: Counting) -> Option<Arc<dyn Bar>> {
        self.host.bar(counting, self.given_flag("progress"))
    }

    /// Takes the bar off.
    pub fn clear_bar(&self) {
        self.host.clear_bar();
    }
}

fn missing_argument(name: &str) -> Failure {
    Failure::usage(format!("argument {name:?} is required"))
}

/// The next line without its end and the spaces around it.
fn next_line(reader: &mut impl BufRead, host: &dyn Host) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let read = reader
        .by_ref()
        .take(MAX_ARGUMENT)
        .read_until(b'\n', &mut line);
    host.check()?;
    let read =
        read.map_err(|error| Failure::failed(format_args!("cannot read standard input: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if read as u64 == MAX_ARGUMENT {
        return Err(Failure::failed(format_args!(
            "standard input: a line is longer than {MAX_ARGUMENT} bytes"
        )));
    }
    let line = String::from_utf8(line)
        .map_err(|_| Failure::failed("standard input: a line is not UTF-8"))?;
    Ok(Some(line.trim().to_owned()))
}

/// Node errors keep their text; a closed pipe stays recognisable.
impl From<ipfs_kit_node::Error> for Failure {
    fn from(error: ipfs_kit_node::Error) -> Failure {
        if let ipfs_kit_node::Error::Output(source) = &error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return Failure::BrokenPipe;
        }
        match error {
            ipfs_kit_node::Error::Net(error) => error.into(),
            late @ ipfs_kit_node::Error::NotFetched { .. } => Failure::Late(late.to_string()),
            missing @ (ipfs_kit_node::Error::NotFound(_)
            | ipfs_kit_node::Error::Mfs(MfsError::NotFound)) => {
                Failure::Missing(missing.to_string())
            }
            error => Failure::failed(error),
        }
    }
}

/// What Kubo says where a command needs the network.
pub const OFFLINE: &str =
    "this command must be run in online mode. Try running 'ipfs-kit daemon' first";

/// What Kubo says where a command is wrong without the network.
///
/// # Errors
/// When it is.
pub fn online<T>(found: Result<T, NetError>) -> Result<T, Failure> {
    found.map_err(|error| match error {
        NetError::Offline => Failure::usage(format!("unable to run offline: {OFFLINE}")),
        error => error.into(),
    })
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Failure {
        match error {
            NetError::Offline => Failure::failed(OFFLINE),
            error => Failure::failed(error),
        }
    }
}

/// Emitting inside a node operation speaks `io::Result`; the failure's text travels inside.
pub fn to_io(failure: Failure) -> io::Error {
    match failure {
        Failure::BrokenPipe => io::ErrorKind::BrokenPipe.into(),
        failure => io::Error::other(failure.to_string()),
    }
}
