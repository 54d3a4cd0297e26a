//! The project's own commands.
//!
//! `cargo xtask test` is the whole of CI; the other commands are its parts and what is too long
//! for it. Everything that is downloaded or built lies under `target/`.

mod bench;
mod debian;
mod dist;
mod fuzz;
mod layers;
mod peers;
mod run;
mod test;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [STEP...]        install what the tests need and run them all (or only the named steps)
  setup                 install what the tests need: Kubo, Helia, RPC clients, Debian packages, real trees
  dist                  build the static release binary
  bench [ARGS...]       measure the static binary against Kubo; `bench --help` lists the rows
  faults KIND [ARGS...] break things on purpose; `faults --help` lists the kinds
  layers                check the direction of dependencies between the crates
";

fn main() -> ExitCode {
    match command(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: Vec<String>) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        bail!("no command\n\n{USAGE}")
    };
    match command.as_str() {
        "test" => test::run(rest),
        "setup" => peers::setup().map(|()| ExitCode::SUCCESS),
        "dist" => dist::build().map(|path| {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }),
        "bench" => bench::run("bench", rest),
        "faults" => bench::run("faults", rest),
        "layers" => layers::check().map(|()| ExitCode::SUCCESS),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("unknown command `{other}`\n\n{USAGE}"),
    }
}
