//! `add`: files and directories into the repo.

use ipfs_kit_node::AddEvent;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::{Argument, Command, Reply, Run, Shape};
use crate::failure::Failure;
use crate::host::{Need, Sources};
use crate::invocation::{Invocation, to_io};
use crate::output::Record;

pub mod meter;
pub mod options;

use meter::Meter;

/// `ipfs-kit add`
pub const COMMAND: Command = Command {
    name: "add",
    tagline: "Add a file or directory to IPFS",
    about: "Adds the content of <path> to IPFS. Use -r to add directories (recursively).\n\
            \n\
            Every line `added CID name` stands for data that is on stable storage already. The\n\
            first use without a repo makes one, and says so on standard error.\n\
            \n\
            --nocopy is refused: content is always copied into the repo.",
    arguments: &[Argument::file("path", "The path to a file to be added to IPFS").many()],
    options: options::OPTIONS,
    reply: Reply::Many,
    records: &[Shape::of::<Added>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// What one added entry or one step of progress looks like in JSON.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Added {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime_nsecs: Option<u32>,
}

impl Record for Added {
    const NAME: &'static str = "AddEvent";
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let mut options = options::from_flags(invocation)?;
    let Sources { sources, paths } = invocation.sources(&options)?;
    let node = invocation.node_for(if options.only_hash {
        Need::Hashing
    } else {
        Need::Storage
    })?;
    let node = node.announcing(super::fast_provide::given(invocation));
    let quiet = invocation.quiet() || invocation.flag("quieter");
    let silent = invocation.flag("silent");
    let meter = Meter::start(invocation, paths, quiet || silent, &options);
    // JSON carries progress only when it was asked for by name, as over the RPC.
    let events = !invocation.is_text() && invocation.given_flag("progress") == Some(true);
    options.progress = meter.is_some() || events;
    let mut printer = Printer {
        quiet,
        silent,
        // Records leave it to the client what to show.
        quieter: invocation.flag("quieter") && invocation.is_text(),
        events,
        meter,
        last: None,
    };
    let report = node.files().add(sources, &options, &mut |event| {
        printer.event(invocation, event).map_err(to_io)
    })?;
    if let Some(meter) = &printer.meter {
        meter.finish(report.bytes);
    }
    if report.roots.is_empty() {
        return Err(Failure::failed("expected a file argument"));
    }
    printer.finish(invocation)?;
    invocation.close(node)?;
    Ok(())
}

/// Turns events into lines.
struct Printer {
    quiet: bool,
    silent: bool,
    quieter: bool,
    events: bool,
    meter: Option<Meter>,
    last: Option<ipfs_kit_node::Cid>,
}

impl Printer {
    fn event(&mut self, invocation: &mut Invocation, event: AddEvent) -> Result<(), Failure> {
        match event {
            AddEvent::Progress { name, bytes } => {
                if let Some(meter) = &mut self.meter {
                    meter.progress(&name, bytes);
                }
                if self.events && !self.silent {
                    let record = || Added {
                        name,
                        bytes: Some(bytes),
                        ..Added::default()
                    };
                    invocation.out.emit(record, |_| {})?;
                }
                Ok(())
            }
            AddEvent::Added {
                name,
                cid,
                size,
                mode,
                mtime,
            } => {
                if let Some(meter) = &mut self.meter {
                    meter.added(&name);
                }
                if self.quieter {
                    self.last = Some(cid);
                    return Ok(());
                }
                if self.silent {
                    return Ok(());
                }
                let style = invocation.cid_style();
                let quiet = self.quiet;
                let record = || Added {
                    name: name.clone(),
                    hash: Some(style.text(&cid)),
                    size: Some(size.to_string()),
                    mode: mode.map(|mode| format!("0{mode:o}")),
                    mtime: mtime
                        .map(|(seconds, _)| seconds)
                        .filter(|seconds| *seconds > 0),
                    mtime_nsecs: mtime.map(|(_, nanos)| nanos).filter(|nanos| *nanos > 0),
                    ..Added::default()
                };
                invocation.out.emit(record, |out| {
                    if quiet {
                        style.push(out, &cid);
                    } else {
                        out.extend_from_slice(b"added ");
                        style.push(out, &cid);
                        out.push(b' ');
                        crate::escape::push_printable(out, name.as_bytes());
                    }
                    out.push(b'\n');
                })
            }
        }
    }

    fn finish(&self, invocation: &mut Invocation) -> Result<(), Failure> {
        let (Some(cid), false) = (&self.last, self.silent) else {
            return Ok(());
        };
        let style = invocation.cid_style();
        let record = || Added {
            hash: Some(style.text(cid)),
            ..Added::default()
        };
        invocation.out.emit(record, |out| {
            style.push(out, cid);
            out.push(b'\n');
        })
    }
}
