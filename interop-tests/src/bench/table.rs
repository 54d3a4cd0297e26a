//! The figures as Markdown.

use super::alone::Answer;
use super::contest::Outcome;
use super::limits::Limits;
use super::measure::Sample;
use super::rows::{Row, Sizes, Work, bytes};

/// The head of the comparison.
pub fn head() -> &'static str {
    "| work | ours | Kubo | ratio | goal | | ours: spread, CPU, memory | Kubo: spread, CPU, memory |\n\
     |---|---|---|---|---|---|---|---|"
}

/// One row of the comparison.
pub fn row(outcome: &Outcome, sizes: &Sizes, in_memory: bool) -> String {
    let work = outcome.row.work(sizes);
    let goal = outcome.row.goal(in_memory);
    let (goal, met) = match goal {
        Some(goal) if outcome.ratio() >= goal => (format!("{goal} x"), "met"),
        Some(goal) => (format!("{goal} x"), "**missed**"),
        None => ("-".to_owned(), ""),
    };
    let detail = |figure: &super::contest::Figure| {
        format!(
            "{:.2}-{:.2} s, {:.2} s, {:.0} MiB",
            figure.spread.0,
            figure.spread.1,
            figure.cpu,
            mib(figure.peak)
        )
    };
    format!(
        "| {} | {} | {} | {:.1} x | {goal} | {met} | {} | {} |",
        outcome.row.title(sizes),
        outcome.ours.shown(work),
        outcome.kubo.shown(work),
        outcome.ratio(),
        detail(&outcome.ours),
        detail(&outcome.kubo),
    )
}

/// The machine's limits, and how near the import came to them.
pub fn limits(limits: &Limits, outcomes: &[Outcome], sizes: &Sizes) -> String {
    let direct = limits
        .direct
        .map_or("refused".to_owned(), |speed| format!("{speed:.0} MiB/s"));
    let mut text = format!(
        "| limit of the machine | |\n|---|---|\n\
         | SHA-256 on all cores | {:.0} MiB/s |\n\
         | durable write, direct | {direct} |\n\
         | durable write, buffered | {:.0} MiB/s |\n\
         | memory copy, one core | {:.0} MiB/s |",
        limits.hash, limits.buffered, limits.copy
    );
    if let Some(add) = outcomes.iter().find(|outcome| outcome.row == Row::Add)
        && let Work::Bytes(length) = add.row.work(sizes)
    {
        let speed = length as f64 / f64::from(1 << 20) / add.ours.seconds;
        let share = 100.0 * speed / limits.import();
        text.push_str(&format!(
            "\n| add, of min(SHA-256, durable write) | {share:.0} % (goal on a disk: 70 %) |"
        ));
    }
    text
}

/// The answers at many blocks.
pub fn answers(blocks: u64, answers: &[Answer]) -> String {
    let mut text =
        format!("| at {blocks} blocks | median | slowest | goal | |\n|---|---|---|---|---|");
    for answer in answers {
        let met = if answer.milliseconds <= 50.0 {
            "met"
        } else {
            "**missed**"
        };
        text.push_str(&format!(
            "\n| {} | {:.1} ms | {:.1} ms | 50 ms | {met} |",
            answer.command, answer.milliseconds, answer.slowest
        ));
    }
    text
}

/// Memory while a long stream is added.
pub fn memory(ours: &Sample, kubo: Option<&Sample>, sizes: &Sizes) -> String {
    let speed =
        |sample: &Sample| sizes.stream as f64 / f64::from(1 << 20) / sample.wall.as_secs_f64();
    let mut text = format!(
        "| add {} from stdin | peak memory | goal | | speed |\n|---|---|---|---|---|\n\
         | ours | {:.0} MiB | 128 MiB | {} | {:.0} MiB/s |",
        bytes(sizes.stream),
        mib(ours.peak),
        if mib(ours.peak) <= 128.0 {
            "met"
        } else {
            "**missed**"
        },
        speed(ours)
    );
    if let Some(kubo) = kubo {
        text.push_str(&format!(
            "\n| Kubo | {:.0} MiB | | | {:.0} MiB/s |",
            mib(kubo.peak),
            speed(kubo)
        ));
    }
    text
}

/// Disk space by payload.
pub fn disk(ours: [f64; 2], kubo: [f64; 2], sizes: &Sizes) -> String {
    let file = bytes(sizes.file);
    let met = if ours[0] <= 1.03 { "met" } else { "**missed**" };
    format!(
        "| disk space / payload | ours | Kubo | goal | |\n|---|---|---|---|---|\n\
         | {file} | {:.4} | {:.4} | 1.03 | {met} |\n\
         | {} files of {} B | {:.3} | {:.3} | - | |",
        ours[0], kubo[0], sizes.files, sizes.file_size, ours[1], kubo[1]
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
