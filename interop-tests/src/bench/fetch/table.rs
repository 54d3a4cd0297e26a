//! The figures of the exchange as Markdown.

use super::cell::{Amount, Cell, Pair};
use super::contest::{Figure, Outcome};
use super::options::LINKS;
use crate::bench::rows::Sizes;

/// The head of the comparison.
pub fn head(pairs: &[Pair]) -> String {
    let titles: Vec<String> = pairs.iter().map(|pair| pair.title()).collect();
    format!(
        "| fetch | {} |\n|---|{}",
        titles.join(" | "),
        "---|".repeat(pairs.len())
    )
}

/// One line of the comparison; ratios are to Kubo from Kubo.
pub fn row(cell: &Cell, outcomes: &[Outcome], sizes: &Sizes, in_memory: bool) -> String {
    let base = outcomes
        .iter()
        .find(|outcome| outcome.pair == Pair::KUBO)
        .and_then(Outcome::speed);
    let most = cell.most(sizes);
    let shown: Vec<String> = outcomes
        .iter()
        .map(|outcome| {
            let Some(speed) = outcome.speed() else {
                return "**failed**".to_owned();
            };
            let mut text = format!("{} {}", number(speed), outcome.amount.unit());
            if outcome.amount != most {
                text.push_str(&format!(" of {}", outcome.amount.title()));
            }
            if outcome.pair != Pair::KUBO
                && let Some(base) = base
            {
                let goal = cell.goal(outcome.pair, in_memory);
                text.push_str(&format!(", {}", against(speed / base, goal)));
            }
            if !outcome.failures.is_empty() {
                text.push_str(&format!(", **{} failed**", outcome.failures.len()));
            }
            text
        })
        .collect();
    format!("| {} | {} |", cell.title(sizes), shown.join(" | "))
}

/// A ratio and whether it is good enough.
fn against(ratio: f64, goal: Option<f64>) -> String {
    match goal {
        Some(goal) if ratio >= goal => format!("{ratio:.1} x (goal {goal} x: met)"),
        Some(goal) => format!("{ratio:.1} x (goal {goal} x: **missed**)"),
        None => format!("{ratio:.1} x"),
    }
}

/// Everything else that was measured, and why runs failed.
pub fn details(measured: &[(Cell, Vec<Outcome>)], sizes: &Sizes) -> String {
    let mut text = "| fetch | pair | spread | CPU of the fetcher + the providers | peak memory of the fetcher | duplicates \
                    | bytes over the links / bytes of the blocks |\n|---|---|---|---|---|---|---|"
        .to_owned();
    let outcomes = || {
        measured
            .iter()
            .flat_map(|(cell, outcomes)| outcomes.iter().map(move |outcome| (cell, outcome)))
    };
    for (cell, outcome) in outcomes() {
        if let Some(figure) = &outcome.figure {
            text.push_str(&format!(
                "\n| {} | {} | {} |",
                cell.title(sizes),
                outcome.pair.title(),
                detail(figure, outcome.amount)
            ));
        }
    }
    for (cell, outcome) in outcomes() {
        for failure in &outcome.failures {
            text.push_str(&format!(
                "\n\nFAILED {}, {}: {failure}",
                cell.title(sizes),
                outcome.pair.title()
            ));
        }
    }
    text
}

fn detail(figure: &Figure, amount: Amount) -> String {
    let per = match amount {
        Amount::Bytes(length) => {
            let share = length as f64 / f64::from(1 << 30);
            format!(", {:.2} s a GiB", (figure.cpu + figure.served) / share)
        }
        Amount::Files(_) => String::new(),
    };
    let carried = figure
        .carried
        .map_or("-".to_owned(), |carried| format!("{carried:.3}"));
    format!(
        "{:.2}-{:.2} s | {:.2} + {:.2} s{per} | {:.0} MiB | {:.0} | {carried}",
        figure.spread.0,
        figure.spread.1,
        figure.cpu,
        figure.served,
        figure.peak as f64 / f64::from(1 << 20),
        figure.duplicates,
    )
}

/// What four links of a limited speed give against one.
pub fn links(measured: &[(Cell, Vec<Outcome>)], sizes: &Sizes) -> String {
    let mut text = format!(
        "| links with a limit | pair | 1 provider | {LINKS} providers | gain | used of the \
                    links |\n|---|---|---|---|---|---|"
    );
    let single = measured.iter().filter(|(cell, _)| cell.providers == 1);
    for (cell, ones) in single {
        let many = Cell {
            providers: LINKS,
            ..*cell
        };
        let Some((_, fours)) = measured.iter().find(|(cell, _)| *cell == many) else {
            continue;
        };
        let rate = cell.rate.unwrap_or(u64::MAX) as f64 / f64::from(1 << 20);
        for (one, four) in ones.iter().zip(fours) {
            let rest = match (one.speed(), four.speed()) {
                (Some(one), Some(four)) => format!(
                    "{one:.1} MiB/s | {four:.1} MiB/s | {:.1} x | {:.0} %, {:.0} %",
                    four / one,
                    100.0 * one / rate,
                    100.0 * four / rate / LINKS as f64
                ),
                _ => "**failed** | | | ".to_owned(),
            };
            text.push_str(&format!(
                "\n| {} | {} | {rest} |",
                cell.title(sizes),
                one.pair.title()
            ));
        }
    }
    text
}

/// Three figures of a number are enough.
fn number(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
