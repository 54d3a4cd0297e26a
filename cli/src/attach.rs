//! Running a command in the daemon.
//!
//! The daemon runs the same function and sends what it writes; here its bytes go to standard output.
//! What concerns this machine stays here: local files, standard input, the progress bar. When this
//! process ends, the connection does, and the daemon stops working on it.

use std::ffi::OsString;
use std::sync::Arc;

use ipfs_kit_http::client::{BodyWriter, Call, Client, Reply, WriteBody};
use ipfs_kit_http::command::{self, Command, Source};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::host::{Bar, Counting, Host};
use ipfs_kit_http::methods;
use ipfs_kit_http::output::{Encoding, Sink};
use ipfs_kit_http::request::Request;
use ipfs_kit_http::value::Value;
use ipfs_kit_node::cid::{Base, encode_multibase};
use ipfs_kit_node::{EntryKind, LocalItem, LocalWalk, StreamedEntry};

use crate::files::{self, Named};
use crate::host::Local;
use crate::terminal::Stdout;

/// The daemon to ask: the one that was named, else the one that runs on the repo.
///
/// # Errors
/// A named one that is no address.
pub fn daemon(local: &Local) -> Result<Option<Client>, Failure> {
    let secret = local.settings.api_auth.as_deref();
    if let Some(address) = &local.settings.api {
        return Client::new(address, secret).map(Some);
    }
    let repo = local.repo_path()?;
    if let Some(client) = Client::at_socket(&repo.join("api.sock")) {
        return Ok(Some(client));
    }
    // A daemon that was killed leaves its address behind.
    let address = std::fs::read_to_string(repo.join("api")).unwrap_or_default();
    let client = Client::new(address.trim(), secret).ok();
    Ok(client.filter(Client::answers))
}

/// Runs a command in the daemon.
///
/// # Errors
/// What the daemon says, and what is wrong here.
pub fn run(local: &Local, client: &Client, request: &Request) -> Result<(), Failure> {
    local.stop.exit_on_signals()?;
    let mut out = Stdout::new(local.bars.clone())?;
    let (body, words) = body(local, request)?;
    let names: Vec<&str> = request
        .path
        .iter()
        .skip(1)
        .map(|command| command.name)
        .collect();
    let mut query = query(local, request)?;
    for word in words {
        query.push(("arg".to_owned(), word));
    }
    let mut reply = client.send(Call {
        path: &names,
        query,
        terminal: out.is_terminal(),
        body,
    })?;
    let shown = download_bar(local, request, &reply);
    while let Some(piece) = reply.next_piece()? {
        out.write(&piece)?;
        if let Some(shown) = &shown {
            shown.advance(piece.len() as u64);
        }
    }
    finish(local, &reply)
}

/// Below this the output is there before a bar could be read.
const BAR_FROM: u64 = 8 << 20;

/// The bar of a command whose output is content.
fn download_bar(local: &Local, request: &Request, reply: &Reply) -> Option<Arc<dyn Bar>> {
    let command = request.command();
    let content = matches!(command.reply, command::Reply::Bytes(_));
    if !content
        || command.option("progress").is_none()
        || reply.length.is_some_and(|length| length < BAR_FROM)
    {
        return None;
    }
    let asked = match request.options.get("progress") {
        Some(Value::Bool(asked)) => Some(*asked),
        _ => None,
    };
    local.bar(Counting::Bytes(reply.length), asked)
}

/// Says on standard error what the daemon wanted said there, and how it went.
///
/// # Errors
/// What the daemon says.
pub fn finish(local: &Local, reply: &Reply) -> Result<(), Failure> {
    let (notes, end) = reply.end();
    for note in notes {
        local.note(&note);
    }
    end
}

/// Options as they were given, and those that every command takes.
///
/// # Errors
/// Values that do not fit into a query.
pub fn query(local: &Local, request: &Request) -> Result<Vec<(String, String)>, Failure> {
    let mut query = Vec::new();
    for (name, value) in &request.options {
        let mut push = |text: String| query.push(((*name).to_owned(), text));
        match value {
            Value::Bool(value) => push(value.to_string()),
            Value::Int(value) => push(value.to_string()),
            Value::Uint(value) => push(value.to_string()),
            Value::Text(text) => push(text.clone()),
            Value::List(texts) => texts.iter().cloned().for_each(push),
            // Of this machine.
            Value::Path(_) => {}
        }
    }
    let common = &local.settings.common;
    let encoding = match common.encoding {
        Encoding::Text => "text",
        Encoding::Json => "json",
        Encoding::Xml => "xml",
        Encoding::Yaml => "yaml",
        Encoding::Table => "table",
    };
    if common.quiet && !request.options.contains_key("quiet") {
        query.push(("quiet".to_owned(), "true".to_owned()));
    }
    let own = |name: &str| request.command().option(name).is_some();
    let mut global = |name: &str, text: &str| {
        if !own(name) {
            query.push((name.to_owned(), text.to_owned()));
        }
    };
    global("encoding", encoding);
    for (name, text) in &local.settings.passed_on {
        global(name, text);
    }
    Ok(query)
}

/// What goes along, and the arguments that stay in the query.
fn body(local: &Local, request: &Request) -> Result<(Option<WriteBody>, Vec<String>), Failure> {
    let command = request.command();
    let text = |word: &OsString| {
        let text = word.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure::failed(format_args!("argument {word:?} is not UTF-8")))
    };
    let words = || {
        request
            .words
            .iter()
            .enumerate()
            .map(|(at, word)| match command.arguments.get(at) {
                Some(argument) if argument.multibase => {
                    Ok(encode_multibase(Base::Base64Url, word.as_encoded_bytes()))
                }
                _ => text(word),
            })
            .collect::<Result<Vec<_>, _>>()
    };
    if is_file(command) && command.name == methods::add::COMMAND.name {
        return Ok((Some(tree(local, request)?), Vec::new()));
    }
    if is_file(command) {
        let mut words = words()?;
        words.truncate(request.split());
        return Ok((Some(inputs(local, request)?), words));
    }
    let reads = command
        .arguments
        .last()
        .is_some_and(|last| last.source == Source::Lines && last.required);
    if request.words.is_empty() && reads {
        return Ok((Some(lines(local)), Vec::new()));
    }
    Ok((None, words()?))
}

fn is_file(command: &Command) -> bool {
    command
        .arguments
        .last()
        .is_some_and(|last| matches!(last.source, Source::Files | Source::FilesOnly))
}

/// Standard input, whose lines are the arguments.
fn lines(local: &Local) -> WriteBody {
    let stop = local.stop.clone();
    Box::new(move |writer| {
        let stdin = files::stdin(&stop);
        writer.file(&file_entry(b""), "standard input", stdin, &mut |_| {})
    })
}

/// The file arguments.
fn inputs(local: &Local, request: &Request) -> Result<WriteBody, Failure> {
    let argument = request.command().arguments.last();
    let argument = argument.ok_or_else(|| Failure::usage("no file is expected"))?;
    let inputs = files::open_all(argument, request.file_words(), &local.stop)?;
    Ok(Box::new(move |writer| {
        for input in inputs {
            writer.file(
                &file_entry(input.name.as_bytes()),
                &input.name,
                input.reader,
                &mut |_| {},
            )?;
        }
        Ok(())
    }))
}

fn file_entry(path: &[u8]) -> StreamedEntry {
    StreamedEntry {
        path: path.to_vec(),
        kind: EntryKind::File,
        mode: None,
        mtime: None,
    }
}

/// What `add` adds.
fn tree(local: &Local, request: &Request) -> Result<WriteBody, Failure> {
    // An invocation reads the options as the command itself would.
    let invocation = local.invocation(request.clone())?;
    let options = methods::add::options::from_flags(&invocation)?;
    let stdin_name = invocation
        .text("stdin-name")
        .filter(|name| !name.is_empty());
    let named = files::named(&request.words, stdin_name.as_deref(), &options)?;
    let silent = invocation.quiet() || invocation.flag("quieter") || invocation.flag("silent");
    let asked = invocation.given_flag("progress");
    let paths: Vec<_> = named
        .iter()
        .filter_map(|named| named.path.clone())
        .collect();
    let shown = (!silent || asked.is_some())
        .then(|| local.bar(Counting::Bytes(None), asked))
        .flatten();
    let total = shown
        .as_ref()
        .map(|_| methods::add::meter::measure(paths, options.hidden));
    let walk = LocalWalk::new(&options)?;
    let stop = local.stop.clone();
    Ok(Box::new(move |writer| {
        let mut sent = |bytes| {
            if let Some(shown) = &shown {
                if let Some(Ok(total)) = total.as_ref().map(|total| total.try_recv()) {
                    shown.set_total(total);
                }
                shown.advance(bytes);
            }
        };
        for Named { name, path } in named {
            let name = name.as_encoded_bytes();
            let Some(path) = path else {
                let stdin = files::stdin(&stop);
                writer.file(&file_entry(name), "standard input", stdin, &mut sent)?;
                continue;
            };
            walk.walk::<Failure>(name, &path, &mut |item| send(writer, &item, &mut sent))?;
        }
        Ok(())
    }))
}

fn send(
    writer: &mut BodyWriter,
    item: &LocalItem,
    sent: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    match (&item.entry.kind, &item.file) {
        (EntryKind::Directory, _) => writer.directory(&item.entry),
        (EntryKind::Symlink, _) => writer.symlink(&item.entry, &item.target),
        (_, Some(path)) => writer.local_file(&item.entry, path, sent),
        (_, None) => Ok(()),
    }
}
