//! `dag stat`: sizes of DAGs.

use std::fmt::Write as _;

use ipfs_kit_node::DagStatReport;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cid_style::CidStyle;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::host::Counting;
use crate::human;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit dag stat`
pub const COMMAND: Command = Command {
    name: "stat",
    tagline: "Gets stats for a DAG",
    about: "Walks a DAG and returns its size and number of blocks. Blocks that occur several times\n\
            are counted once per DAG.",
    arguments: &[Argument::line("root", "CID of a DAG root to get statistics for").many()],
    options: &[Opt::flag(
        &["progress", "p"],
        "Show progress; by default when stderr is a terminal",
    )],
    reply: Reply::Many,
    records: &[Shape::of::<Summary>()],
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DagStat")]
#[serde(rename_all = "PascalCase")]
struct Stat {
    cid: String,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    num_blocks: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Summary {
    #[serde(skip_serializing_if = "is_zero")]
    unique_blocks: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    shared_size: u64,
    #[serde(skip_serializing_if = "is_zero_ratio")]
    ratio: f32,
    dag_stats: Vec<Stat>,
}

impl Record for Summary {
    const NAME: &'static str = "DagStatSummary";
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn is_zero_ratio(value: &f32) -> bool {
    *value == 0.0
}

impl Summary {
    fn new(report: &DagStatReport, style: CidStyle) -> Summary {
        let counted = report.total_size + report.shared_size;
        Summary {
            unique_blocks: report.unique_blocks,
            total_size: report.total_size,
            shared_size: report.shared_size,
            ratio: if report.total_size == 0 {
                0.0
            } else {
                counted as f32 / report.total_size as f32
            },
            dag_stats: report
                .dags
                .iter()
                .map(|dag| Stat {
                    cid: style.text(&dag.cid),
                    size: dag.size,
                    num_blocks: dag.blocks,
                })
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let width = self.dag_stats.first().map_or(3, |dag| dag.cid.len());
        let _ = writeln!(text, "\n{:width$}\t{:15}\tSize", "CID", "Blocks");
        for dag in &self.dag_stats {
            let _ = writeln!(text, "{}\t{:<15}\t{}", dag.cid, dag.num_blocks, dag.size);
        }
        let _ = write!(
            text,
            "\nSummary\nTotal Size: {} ({})\nUnique Blocks: {}\nShared Size: {} ({})\n\
             Ratio: {:.6}\n\n\n",
            self.total_size,
            human::bytes(self.total_size),
            self.unique_blocks,
            self.shared_size,
            human::bytes(self.shared_size),
            self.ratio
        );
        text
    }
}

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let paths = invocation.arguments()?;
    let node = invocation.node()?;
    let bar = invocation.bar(Counting::Things("blocks"));
    let report = node.dag().stat(&paths, &mut |running| {
        if let Some(bar) = &bar {
            bar.set(running.dags.iter().map(|dag| dag.blocks).sum());
        }
        Ok(())
    })?;
    invocation.clear_bar();
    let style = invocation.cid_style();
    invocation.out.emit(
        || Summary::new(&report, style),
        |out| out.extend_from_slice(Summary::new(&report, style).text().as_bytes()),
    )?;
    invocation.close(node)?;
    Ok(())
}
