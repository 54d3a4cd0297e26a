//! `refs`: links of objects.

use ipfs_kit_node::{Cid, RefEvent, RefsOptions};
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::escape;
use crate::failure::Failure;
use crate::invocation::{Invocation, to_io};
use crate::output::{Encoding, Record};

/// `ipfs-kit refs`
pub const COMMAND: Command = Command {
    name: "refs",
    tagline: "List links (references) from an object",
    about: "Lists the CIDs of all the links an IPFS object(s) contains.\n\
            \n\
            List all references recursively by using the flag '-r'. A value of --format without a\n\
            token that is json, yaml, table or text is the output format instead.",
    arguments: &[Argument::line("ipfs-path", "Path to the object(s) to list refs from").many()],
    options: &[
        Opt::text(
            &["format"],
            "Emit edges in this form; tokens: <src> <dst> <linkname>",
        )
        .default("<dst>"),
        Opt::flag(&["edges", "e"], "Emit edge format: `<from> -> <to>`"),
        Opt::flag(&["unique", "u"], "Omit duplicate refs from output"),
        Opt::flag(&["recursive", "r"], "Recursively list links of child nodes"),
        Opt::int(
            &["max-depth"],
            "Only for recursive refs, limits listing to the given depth",
        )
        .default("-1"),
    ],
    subcommands: &[&LOCAL],
    reply: Reply::Many,
    records: &[Shape::of::<Ref>()],
    brief: false,
    run: Some(Run::Node(run)),
};

/// `ipfs-kit refs local`
const LOCAL: Command = Command {
    name: "local",
    tagline: "List all local references",
    about: "Displays all local blocks, as CIDv1 with the codec raw.",
    reply: Reply::Many,
    records: &[Shape::of::<Ref>()],
    run: Some(Run::Node(run_local)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Ref {
    r#ref: String,
    err: String,
}

impl Record for Ref {
    const NAME: &'static str = "RefWrapper";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let template = template(invocation)?;
    let recursive = invocation.flag("recursive");
    let options = RefsOptions {
        recursive,
        unique: invocation.flag("unique"),
        max_depth: if recursive {
            invocation
                .int("max-depth")
                .and_then(|depth| u32::try_from(depth).ok())
        } else {
            Some(1)
        },
    };
    let paths = invocation.arguments()?;
    let style = invocation.cid_style();
    let node = invocation.node()?;
    let mut failures = Vec::new();
    node.refs(&paths, &options, &mut |event| {
        let line = match event {
            RefEvent::Link {
                source,
                target,
                name,
            } => template.fill(&style.text(&source), &style.text(&target), &name),
            RefEvent::Failed(error) if invocation.is_text() => {
                failures.push(error.to_string());
                return Ok(());
            }
            RefEvent::Failed(error) => {
                let record = Ref {
                    r#ref: String::new(),
                    err: error.to_string(),
                };
                failures.push(record.err.clone());
                return invocation.out.emit(|| record, |_| {}).map_err(to_io);
            }
        };
        let record = || Ref {
            r#ref: line.clone(),
            err: String::new(),
        };
        invocation
            .out
            .emit(record, |out| {
                escape::push_printable(out, line.as_bytes());
                out.push(b'\n');
            })
            .map_err(to_io)
    })?;
    invocation.close(node)?;
    match failures.first() {
        Some(first) if invocation.is_text() => Err(Failure::failed(first)),
        _ => Ok(()),
    }
}

fn run_local(invocation: &mut Invocation) -> Result<(), Failure> {
    let node = invocation.node()?;
    let style = invocation.cid_style();
    node.repo().ls(&mut |cid: Cid| {
        let record = || Ref {
            r#ref: style.text(&cid),
            err: String::new(),
        };
        invocation
            .out
            .emit(record, |out| {
                style.push(out, &cid);
                out.push(b'\n');
            })
            .map_err(to_io)
    })?;
    invocation.close(node)?;
    Ok(())
}

/// `repo ls` is `refs local`.
pub const REPO_LS: Command = Command {
    name: "ls",
    ..LOCAL
};

/// A line with places for the ends and the name of an edge.
struct Template(String);

fn template(invocation: &mut Invocation) -> Result<Template, Failure> {
    let mut format = invocation.text("format").unwrap_or_default();
    if let Some(encoding) = Encoding::from_name(&format).filter(|_| format != "xml") {
        invocation.out.set_encoding(encoding);
        format = "<dst>".to_owned();
    }
    if invocation.flag("edges") {
        if format != "<dst>" {
            return Err(Failure::failed(
                "using format argument with edges is not allowed",
            ));
        }
        format = "<src> -> <dst>".to_owned();
    }
    Ok(Template(if format.is_empty() {
        "<dst>".to_owned()
    } else {
        format
    }))
}

impl Template {
    fn fill(&self, source: &str, target: &str, name: &str) -> String {
        if self.0 == "<dst>" {
            return target.to_owned();
        }
        let mut line = String::with_capacity(self.0.len() + 128);
        let mut rest = self.0.as_str();
        // One pass: a name that spells a token must not be filled again.
        while let Some(at) = rest.find('<') {
            line.push_str(&rest[..at]);
            rest = &rest[at..];
            let tokens = [("<src>", source), ("<dst>", target), ("<linkname>", name)];
            match tokens.iter().find(|(token, _)| rest.starts_with(token)) {
                Some((token, value)) => {
                    line.push_str(value);
                    rest = &rest[token.len()..];
                }
                None => {
                    line.push('<');
                    rest = &rest[1..];
                }
            }
        }
        line.push_str(rest);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let fill = |template: &str| Template(template.to_owned()).fill("S", "D", "<src>");
        assert_eq!(fill("<dst>"), "D");
        assert_eq!(fill("<src> -> <dst>"), "S -> D");
        assert_eq!(fill("<<dst>> <linkname>!"), "<D> <src>!");
        assert_eq!(fill("a<b"), "a<b");
    }
}
