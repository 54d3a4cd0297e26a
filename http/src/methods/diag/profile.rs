//! `diag profile`: what the daemon does, packed for whoever is to find out why.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::sys;
use crate::command::{Command, Opt, Reply, Run};
use crate::duration;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::methods::version;

/// `ipfs-kit diag profile`
pub const COMMAND: Command = Command {
    name: "profile",
    tagline: "Collect a performance profile for debugging",
    about: "Collects what a running daemon does into a single zip file:\n\
            \n\
            \x20 version  the program and the libraries in it\n\
            \x20 sys      the machine, as 'diag sys' shows it\n\
            \x20 cpu      processor time of every thread while it looks, --profile-time long\n\
            \x20 threads  what every thread does or waits for at the end\n\
            \x20 memory   the memory of the process by kind\n\
            \x20 metrics  everything that is counted, as /metrics shows it\n\
            \x20 cmds     names of the commands that run and ran, without their arguments\n\
            \n\
            Neither data nor configuration nor keys are in it; addresses of this machine are.",
    options: &[
        Opt::path(
            &["output", "o"],
            "The path where the output .zip should be stored; default ./ipfs-profile-[timestamp].zip",
        ),
        Opt::list(
            &["collectors"],
            "What to collect, separated by ','; everything unless given",
        ),
        Opt::text(
            &["profile-time"],
            "The time to look at processors; 0 leaves that out",
        )
        .default("30s"),
    ],
    reply: Reply::Bytes("application/zip"),
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

const COLLECTORS: [&str; 7] = [
    "version", "sys", "cpu", "threads", "memory", "metrics", "cmds",
];

/// Longest look.
const TIME_MAX: Duration = Duration::from_secs(600);
/// Between two looks at whether anybody still waits.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    invocation.watched()?;
    let lists = invocation.list("collectors");
    let mut wanted: Vec<&str> = lists.iter().flat_map(|list| list.split(',')).collect();
    wanted.retain(|name| !name.is_empty());
    if let Some(unknown) = wanted.iter().find(|name| !COLLECTORS.contains(*name)) {
        return Err(Failure::failed(format_args!(
            "unknown collector {unknown:?}: use {}",
            COLLECTORS.join(", ")
        )));
    }
    if wanted.is_empty() {
        wanted = COLLECTORS.to_vec();
    }
    let text = invocation.text("profile-time").unwrap_or_default();
    let time = duration::parse(&text).map_err(|reason| {
        Failure::failed(format_args!(
            "failed to parse profile duration {text:?}: {reason}"
        ))
    })?;
    let archive = collect(invocation, &wanted, time.min(TIME_MAX))?;
    let length = archive.len() as u64;
    invocation.out.set_length(length, length);
    Ok(invocation.out.write_all(&archive)?)
}

fn collect(invocation: &Invocation, wanted: &[&str], time: Duration) -> Result<Vec<u8>, Failure> {
    let node = invocation.node()?;
    let observed = invocation.watched()?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for name in COLLECTORS.iter().filter(|name| wanted.contains(name)) {
        let (file, content) = match *name {
            "version" => {
                let about = json!({"version": version::VERSION, "system": version::system()});
                ("version.json", about.to_string())
            }
            "sys" => {
                let report = sys::report(node.path(), node.is_online());
                ("sys.json", report.to_string())
            }
            "cpu" if time.is_zero() => continue,
            "cpu" => ("cpu.tsv", cpu(invocation, time)?),
            "threads" => ("threads.txt", threads()),
            "memory" => ("memory.txt", memory()),
            "metrics" => {
                let text = async { Ok(observed.prometheus(&node).await) };
                ("metrics.txt", invocation.wait(text)?)
            }
            _ => {
                let calls = observed.calls.list();
                let lines = calls.iter().map(|call| {
                    let state = if call.ended.is_none() {
                        "running"
                    } else {
                        "ended"
                    };
                    format!(
                        "{}\t{}\t{state}\t{:?}\n",
                        call.number,
                        call.command,
                        call.time()
                    )
                });
                ("cmds.tsv", lines.collect())
            }
        };
        let written = archive
            .start_file(file, SimpleFileOptions::default())
            .map_err(Failure::failed);
        written.and_then(|()| Ok(archive.write_all(content.as_bytes())?))?;
    }
    Ok(archive.finish().map_err(Failure::failed)?.into_inner())
}

/// Called with the number of a thread, and what reads a file that the system has about it.
type Visit<'a> = dyn FnMut(&str, &dyn Fn(&str) -> String) + 'a;

/// The threads of this process.
fn each_thread(visit: &mut Visit<'_>) {
    for entry in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        // A thread that ends meanwhile has nothing to tell.
        let path = entry.path();
        let read = |file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
        visit(&entry.file_name().to_string_lossy(), &read);
    }
}

/// Name of a thread, and ticks in the program and in the system.
type Ticks = (String, u64, u64);

fn ticks() -> BTreeMap<String, Ticks> {
    let mut all = BTreeMap::new();
    each_thread(&mut |id, read| {
        let stat = read("stat");
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            return;
        };
        let name = name.split_once('(').map_or("", |(_, name)| name);
        let mut fields = rest
            .split(' ')
            .skip(11)
            .map(|field| field.parse().unwrap_or(0));
        let (user, system) = (fields.next().unwrap_or(0), fields.next().unwrap_or(0));
        all.insert(id.to_owned(), (name.to_owned(), user, system));
    });
    all
}

fn cpu(invocation: &Invocation, time: Duration) -> Result<String, Failure> {
    let before = ticks();
    let started = Instant::now();
    while let Some(left) = time
        .checked_sub(started.elapsed())
        .filter(|left| !left.is_zero())
    {
        invocation.check()?;
        std::thread::sleep(left.min(LOOK_EVERY));
    }
    let looked = started.elapsed().as_secs_f64();
    let millis = 1000 / rustix::param::clock_ticks_per_second().max(1);
    let mut rows: Vec<(u64, String)> = ticks()
        .into_iter()
        .map(|(id, (name, user, system))| {
            let (_, user_before, system_before) = before.get(&id).cloned().unwrap_or_default();
            let user = user.saturating_sub(user_before) * millis;
            let system = system.saturating_sub(system_before) * millis;
            let share = (user + system) as f64 / 10.0 / looked;
            (
                user + system,
                format!("{id}\t{name}\t{user}\t{system}\t{share:.1}\n"),
            )
        })
        .collect();
    rows.sort_by(|a, b| b.cmp(a));
    let head = format!("# {looked:.3} s\nthread\tname\tuser_ms\tsystem_ms\tpercent\n");
    Ok(head + &rows.into_iter().map(|(_, row)| row).collect::<String>())
}

fn threads() -> String {
    let mut text = String::new();
    each_thread(&mut |id, read| {
        let status = read("status");
        let of = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
            lines
                .find(|(known, _)| *known == name)
                .map_or("", |(_, value)| value.trim())
        };
        text += &format!(
            "thread {id} {:?}\n  state {}\n  waits in {:?}\n  switches {} voluntary, {} not\n",
            of("Name"),
            of("State"),
            read("wchan"),
            of("voluntary_ctxt_switches"),
            of("nonvoluntary_ctxt_switches"),
        );
    });
    text
}

fn memory() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let own: Vec<&str> = status
        .lines()
        .filter(|line| line.starts_with("Vm") || line.starts_with("Rss"))
        .collect();
    format!("{}\n\n{}", own.join("\n"), read("/proc/self/smaps_rollup"))
}
