//! The `ipfs-kit` command: Kubo's commands, flags, output and errors on a repo of its own.
//!
//! A run goes from words to a command ([`parse`]), from flags, environment and file to settings
//! ([`settings`]), to the command's function, which runs here ([`host`]) or in a daemon ([`attach`]), and
//! to an exit status ([`exit`]).

#[cfg(feature = "mimalloc")]
mod allocator;
mod attach;
mod commands;
mod exit;
mod files;
mod help;
mod host;
mod parse;
mod progress;
mod settings;
mod stop;
mod suggest;
mod terminal;

use std::env;
use std::io::{self, Write};
use std::process;

use ipfs_kit_http::command::{Command, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::request::Request;
use ipfs_kit_http::value::{Value, Values};

use crate::exit::EXIT_OK;
use crate::host::Local;
use crate::parse::Parsed;
use crate::settings::{GLOBALS, Settings};

fn main() {
    #[cfg(feature = "mimalloc")]
    allocator::give_back_at_once();
    let code = match run() {
        Ok(()) => EXIT_OK,
        Err(failure) => exit::code(&failure),
    };
    process::exit(code);
}

/// Runs what the command line says; whatever fails has been reported when this returns.
fn run() -> Result<(), Failure> {
    let parsed = match parse::parse(&commands::ROOT, GLOBALS, env::args_os().skip(1)) {
        Ok(parsed) => parsed,
        Err(rejected) => {
            if let Some(text) = help_text(&rejected.parsed) {
                return print_help(&text);
            }
            return Err(report(rejected.failure, &rejected.parsed.path));
        }
    };
    if let Some(text) = help_text(&parsed) {
        return print_help(&text);
    }
    let path = parsed.path.clone();
    match execute(parsed) {
        Err(Failure::Help) => print_help(&help::short(&path)),
        result => result.map_err(|failure| report(failure, &path)),
    }
}

fn execute(parsed: Parsed) -> Result<(), Failure> {
    let command = parsed.command();
    let Some(run) = command.run else {
        return Err(match parsed.words.first() {
            Some(word) => suggest::unknown_command(command, &word.to_string_lossy()),
            None => Failure::Help,
        });
    };
    if is_bare_group(&parsed) {
        return Err(Failure::Help);
    }
    let settings = Settings::resolve(&parsed.globals)?;
    let request = Request {
        path: parsed.path,
        options: parsed.options,
        words: parsed.words,
        common: settings.common,
    };
    let local = Local::new(settings);
    let result = dispatch(&local, run, request);
    match &result {
        Ok(()) => local.bars.finish(),
        Err(_) => local.bars.clear(),
    }
    result.map_err(|failure| local.explain(failure))
}

/// Whether a group that stands for one of its commands was given nothing to do.
fn is_bare_group(parsed: &Parsed) -> bool {
    let command = parsed.command();
    let first = command.arguments.first();
    parsed.words.is_empty()
        && parsed.options.is_empty()
        && !command.subcommands.is_empty()
        && first.is_some_and(|argument| !argument.required && !argument.reads_stdin())
}

/// Runs a command where it belongs.
fn dispatch(local: &Local, run: Run, request: Request) -> Result<(), Failure> {
    let path = request.path.clone();
    let mut invocation = local.invocation(request.clone())?;
    invocation.check_arguments()?;
    let function = match run {
        Run::Node(function) => match attach::daemon(local)? {
            Some(client) => {
                let ran = attach::run(local, &client, &request);
                return ran.map_err(|failure| local.keep_reason(failure));
            }
            None => function,
        },
        Run::Anywhere(function) => function,
        Run::Local => {
            let function = commands::local(&path)
                .ok_or_else(|| Failure::failed("this command has no function"))?;
            let result = function(local, &mut invocation);
            return result.and(invocation.out.finish());
        }
    };
    let result = function(&mut invocation);
    // What was emitted before a failure is true and belongs to the output.
    let written = invocation.out.finish();
    result.and(written)
}

fn help_text(parsed: &Parsed) -> Option<String> {
    let given = |values: &Values, name| values.get(name) == Some(&Value::Bool(true));
    if given(&parsed.globals, "help") {
        Some(help::long(&parsed.path))
    } else if given(&parsed.globals, "h") {
        Some(help::short(&parsed.path))
    } else {
        None
    }
}

fn print_help(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Writes a failure to standard error, as Kubo words it.
fn report(failure: Failure, path: &[&'static Command]) -> Failure {
    let message = match &failure {
        Failure::Reported | Failure::BrokenPipe => return failure,
        Failure::Usage(message) => format!("Error: {message}\n\n{}\n", help::usage(path)),
        other => format!("Error: {other}\n"),
    };
    // Nobody is left to tell when standard error is closed too.
    let _ = io::stderr().write_all(message.as_bytes());
    failure
}
