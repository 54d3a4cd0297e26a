//! The methods as a page of Markdown.

use std::fmt::Write as _;

use super::Method;
use crate::command::{Argument, Kind, Opt, Reply, Source};
use crate::methods::ROOT;
use crate::server::GLOBALS;

const HEAD: &str = "# RPC reference

Made by `ipfs-kit commands reference`; do not edit.

The daemon serves Kubo's RPC at `/api/v0` of `Addresses.API` and at the socket `api.sock` in the repo. Every call is a
`POST`; arguments are given as `arg`, in order and repeated, options as query parameters, files as the parts of a
`multipart/form-data` body:

```console
$ curl -X POST 'http://127.0.0.1:5001/api/v0/pin/ls?type=recursive'
$ curl -X POST -F file=@photo.jpg 'http://127.0.0.1:5001/api/v0/add?cid-version=1'
```

A failed call is answered with 500, a wrong one with 400, both with `{\"Message\",\"Code\",\"Type\":\"error\"}` or the reason as
text; 403 refuses, 404 knows no such method, 429 has too many of them running. An error after the first byte is in the
trailer `X-Stream-Error` for clients that send `TE: trailers`; for others the connection breaks.

Below `/api/v1` the same methods answer with one JSON document, always `application/json`: the record of a method that
reports one, an array where it streams records, `null` where there is nothing to report; bytes stay bytes. What fails
there has a status that fits (400, 404, 429, 500, 503, 504) and the body
`{\"success\":false,\"error\",\"error_type\",\"status_code\"}`; after the first bytes the connection breaks. A secret or
token that opens `/api/v0/add` opens `/api/v1/add`. Every answer says which version it speaks: `X-API-Version: v0` or `v1`.

The same as data: `/api/methods` and `/api/openapi.json`.

";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("## Options of every method\n\n");
    push_options(&mut page, &GLOBALS.iter().collect::<Vec<_>>());
    let methods = Method::all();
    for group in ROOT.subcommands {
        let below: Vec<&Method> = methods
            .iter()
            .filter(|method| method.words[0] == group.name)
            .collect();
        if below.is_empty() {
            continue;
        }
        let _ = writeln!(
            page,
            "## {}\n\n{}.\n",
            group.name,
            cell(group.tagline.trim_end_matches('.'))
        );
        for method in below {
            push_method(&mut page, method);
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn push_method(page: &mut String, method: &Method) {
    let command = method.command;
    let _ = writeln!(page, "### {}\n", method.path());
    if method.words.len() > 1 {
        let _ = writeln!(page, "{}.\n", cell(command.tagline.trim_end_matches('.')));
    }
    if !command.about.is_empty() {
        let _ = writeln!(page, "```text\n{}\n```\n", command.about.trim_end());
    }
    if !command.arguments.is_empty() {
        page.push_str("| argument | given as | |\n|---|---|---|\n");
        command
            .arguments
            .iter()
            .for_each(|argument| push_argument(page, argument));
        page.push('\n');
    }
    let options: Vec<&Opt> = command
        .options
        .iter()
        .filter(|option| option.kind != Kind::Path)
        .collect();
    if !options.is_empty() {
        push_options(page, &options);
    }
    let reply = match command.reply {
        Reply::One => "one record".to_owned(),
        Reply::Many => "records, one JSON document a line".to_owned(),
        Reply::ManyIf(flag) => {
            format!("one record; with `{flag}` records, one JSON document a line")
        }
        Reply::Bytes(media_type) => format!("bytes, `{media_type}`"),
    };
    let _ = writeln!(page, "Reply: {reply}.\n");
}

fn push_argument(page: &mut String, argument: &Argument) {
    let mut given = match argument.source {
        _ if argument.is_file() => "body".to_owned(),
        Source::Lines => "`arg`, or lines of the body".to_owned(),
        _ => "`arg`".to_owned(),
    };
    if argument.multibase {
        given.push_str(" in multibase");
    }
    if argument.variadic {
        given.push_str(", repeated");
    }
    if !argument.required {
        given.push_str(", optional");
    }
    let _ = writeln!(
        page,
        "| `{}` | {given} | {} |",
        argument.name,
        cell(argument.about)
    );
}

fn push_options(page: &mut String, options: &[&Opt]) {
    page.push_str("| option | type | default | |\n|---|---|---|---|\n");
    for option in options {
        let names: Vec<String> = option
            .names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let default = match option.default {
            "" => String::new(),
            text => format!("`{text}`"),
        };
        let _ = writeln!(
            page,
            "| {} | {} | {default} | {} |",
            names.join(", "),
            option.type_name(),
            cell(option.about)
        );
    }
    page.push('\n');
}

/// Text that stays what it is inside a table.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '*' | '_' => {
                cell.push('\\');
                cell.push(c);
            }
            '\n' => cell.push(' '),
            c => cell.push(c),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_part() {
        let page = reference();
        for method in Method::all() {
            assert!(
                page.contains(&format!("\n### {}\n", method.path())),
                "{}",
                method.path()
            );
        }
        assert!(page.contains("| `offset`, `o` | int64 |"));
        assert_eq!(cell("a|b <c>\nd"), "a\\|b \\<c> d");
    }
}
