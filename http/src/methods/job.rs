//! `job`: work of the daemon that goes on by itself.

use std::time::{Duration, SystemTime};

use ipfs_kit_node::{Job, JobState, JobWork};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::columns;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::human;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit job`
pub const COMMAND: Command = Command {
    name: "job",
    tagline: "Show and cancel jobs",
    about: "Jobs are work that takes long and goes on by itself in the daemon, as a download that\n\
            'pin add --background' began. They are kept in the repo: what a daemon leaves undone goes\n\
            on when one runs again.",
    subcommands: &[&LS, &SHOW, &CANCEL],
    ..Command::EMPTY
};

const LS: Command = Command {
    name: "ls",
    tagline: "List jobs",
    about: "Lists the jobs that have not ended; with --all also those that have.",
    options: &[Opt::flag(&["all", "a"], "List jobs that have ended, too")],
    reply: Reply::Many,
    records: &[Shape::of::<Shown>()],
    run: Some(Run::Node(ls)),
    ..Command::EMPTY
};

const SHOW: Command = Command {
    name: "show",
    tagline: "Show a job and how far it is",
    about: "With --follow, shows it again and again until it has ended; a job that failed is a failure\n\
            then.",
    arguments: &[ID],
    options: &[Opt::flag(
        &["follow", "f"],
        "Wait for the end and show what changes",
    )],
    reply: Reply::Many,
    records: &[Shape::of::<Shown>()],
    run: Some(Run::Node(show)),
    ..Command::EMPTY
};

const CANCEL: Command = Command {
    name: "cancel",
    tagline: "Cancel a job",
    about: "What it fetched stays until garbage is collected.",
    arguments: &[ID],
    records: &[Shape::of::<Shown>()],
    run: Some(Run::Node(cancel)),
    ..Command::EMPTY
};

const ID: Argument = Argument::word("id", "Number of the job");

/// Between two looks at a job that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A job as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Job")]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    #[serde(rename = "ID")]
    id: u64,
    kind: &'static str,
    state: &'static str,
    reason: Option<String>,
    paths: Vec<String>,
    name: Option<String>,
    roots: Vec<String>,
    created: String,
    ended: Option<String>,
    runs: u32,
    progress: Progress,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Progress {
    checked_blocks: u64,
    checked_bytes: u64,
    fetched_blocks: u64,
    fetched_bytes: u64,
    /// Bytes a second.
    rate: u64,
    providers: Vec<String>,
    searching: usize,
}

impl Record for Shown {
    const NAME: &'static str = "Job";
}

impl Shown {
    pub(super) fn new(job: Job) -> Shown {
        let JobWork::Pin { paths, name, .. } = job.work;
        let progress = job.progress;
        Shown {
            id: job.id,
            kind: "pin",
            state: match job.state {
                JobState::Queued => "queued",
                JobState::Running => "running",
                JobState::Done => "done",
                JobState::Failed => "failed",
                JobState::Cancelled => "cancelled",
            },
            reason: job.reason,
            paths,
            name,
            roots: job.roots,
            created: rfc3339(job.created),
            ended: job.ended.map(rfc3339),
            runs: job.runs,
            progress: Progress {
                checked_blocks: progress.checked_blocks,
                checked_bytes: progress.checked_bytes,
                fetched_blocks: progress.fetched_blocks,
                fetched_bytes: progress.fetched_bytes,
                rate: progress.rate as u64,
                providers: progress.providers,
                searching: progress.searching,
            },
        }
    }

    /// One line for a list.
    fn row(&self) -> Vec<String> {
        let progress = &self.progress;
        vec![
            self.id.to_string(),
            self.kind.to_owned(),
            self.state.to_owned(),
            progress.checked_blocks.to_string(),
            human::bytes(progress.checked_bytes),
            format!("{}/s", human::bytes(progress.rate)),
            progress.providers.len().to_string(),
            self.paths.join(" "),
        ]
    }

    /// Everything, a line each.
    fn text(&self) -> String {
        let progress = &self.progress;
        let mut text = format!("job {}: {} {}\n", self.id, self.kind, self.paths.join(" "));
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                text += &format!("  {name:<10}{value}\n");
            }
        };
        line("state", self.state);
        line("reason", self.reason.as_deref().unwrap_or_default());
        line("name", self.name.as_deref().unwrap_or_default());
        line("pinned", &self.roots.join(" "));
        line("begun", &format!("{} ({} runs)", self.created, self.runs));
        line("ended", self.ended.as_deref().unwrap_or_default());
        let bytes = human::bytes(progress.checked_bytes);
        line(
            "held",
            &format!("{} blocks, {bytes}", progress.checked_blocks),
        );
        let bytes = human::bytes(progress.fetched_bytes);
        let rate = human::bytes(progress.rate);
        line(
            "fetched",
            &format!("{} blocks, {bytes}, {rate}/s", progress.fetched_blocks),
        );
        line("searching", &progress.searching.to_string());
        line("providers", &progress.providers.join(" "));
        text
    }
}

fn rfc3339(at: SystemTime) -> String {
    OffsetDateTime::from(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}

fn ls(invocation: &mut Invocation) -> Result<(), Failure> {
    let all = invocation.flag("all");
    let node = invocation.node()?;
    let jobs = node.jobs().list()?;
    let wanted = jobs.into_iter().filter(|job| all || !job.state.has_ended());
    let shown: Vec<Shown> = wanted.map(Shown::new).collect();
    if invocation.is_text() {
        let head = [
            "ID", "Kind", "State", "Blocks", "Size", "Rate", "Peers", "Paths",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(shown.iter().map(Shown::row));
        invocation
            .out
            .line(columns::aligned(&rows, 1, 2).trim_end())?;
    } else {
        for job in shown {
            invocation.out.emit(|| job, |_| {})?;
        }
    }
    invocation.close(node)
}

/// The job that the argument names.
fn asked(invocation: &Invocation) -> Result<u64, Failure> {
    let text = invocation.argument()?;
    text.parse().map_err(|_| {
        Failure::failed(format_args!(
            "{text:?} is no number of a job: 'job ls' lists them"
        ))
    })
}

fn show(invocation: &mut Invocation) -> Result<(), Failure> {
    let id = asked(invocation)?;
    let follow = invocation.flag("follow");
    let node = invocation.node()?;
    let mut last = None;
    loop {
        let job = node.jobs().get(id)?;
        let (ended, state, reason) = (job.state.has_ended(), job.state, job.reason.clone());
        let shown = Shown::new(job);
        if last.as_ref() != Some(&shown) {
            last = Some(shown.clone());
            let text = shown.text();
            invocation
                .out
                .emit(|| shown, |out| out.extend_from_slice(text.as_bytes()))?;
            std::io::Write::flush(&mut invocation.out)?;
        }
        if !follow || state == JobState::Done {
            return invocation.close(node);
        }
        if ended {
            let reason = reason.unwrap_or_else(|| "it was cancelled".to_owned());
            return Err(Failure::failed(format_args!("job {id}: {reason}")));
        }
        invocation.check()?;
        std::thread::sleep(LOOK_EVERY);
    }
}

fn cancel(invocation: &mut Invocation) -> Result<(), Failure> {
    let id = asked(invocation)?;
    let node = invocation.node()?;
    let shown = Shown::new(node.jobs().cancel(id)?);
    let text = format!("cancelled job {id}\n");
    invocation
        .out
        .emit(|| shown, |out| out.extend_from_slice(text.as_bytes()))?;
    invocation.close(node)
}
