//! `init`: a new repo with an identity.

use std::path::Path;

use ipfs_kit_http::command::{Argument, Command, Opt, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods::whole;
use ipfs_kit_node::repo::{self, InitOptions, Initialised};

use crate::terminal::note;

/// `ipfs-kit init`
pub const COMMAND: Command = Command {
    name: "init",
    tagline: "Initializes ipfs config file",
    about: "Creates the repo: its configuration and a new keypair. The commands that add data do\n\
            the same by themselves when there is no repo yet.\n\
            \n\
            'ipfs-kit config profile --help' lists the profiles.",
    arguments: &[
        Argument::file("default-config", "Initialize with the given configuration")
            .optional()
            .without_stdin(),
    ],
    options: &[
        Opt::text(
            &["algorithm", "a"],
            "Cryptographic algorithm to use for key generation",
        )
        .default("ed25519"),
        Opt::int(&["bits", "b"], "Number of bits of a generated RSA key"),
        Opt::flag(
            &["empty-repo", "e"],
            "Don't add and pin help files to the local storage",
        )
        .default("true"),
        Opt::text(
            &["profile", "p"],
            "Profiles to apply to the config, separated by ','",
        ),
    ],
    run: Some(Run::Anywhere(run)),
    ..Command::EMPTY
};

/// A configuration larger than this is none.
const MAX_CONFIG: u64 = 4 << 20;

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let config = if invocation.words().is_empty() {
        None
    } else {
        let mut inputs = invocation.inputs()?;
        let text = match inputs.next().transpose()? {
            Some(mut input) => whole::read_all(
                &mut input,
                MAX_CONFIG,
                "the file is larger than 4 MiB: this is no configuration",
            )?,
            None => Vec::new(),
        };
        Some(String::from_utf8(text).map_err(|_| Failure::failed("the config is not UTF-8"))?)
    };
    let bits = invocation.size("bits")?.map(u32::try_from).transpose();
    let profiles = invocation.text("profile").unwrap_or_default();
    let options = InitOptions {
        algorithm: invocation.text("algorithm").unwrap_or_default(),
        bits: bits.map_err(|_| Failure::failed("--bits is out of range"))?,
        empty_repo: invocation.flag("empty-repo"),
        profiles: profiles
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
        config,
    };
    let path = invocation.repo_path()?;
    let made = repo::init(&path, &options)?;
    if invocation.quiet() {
        return Ok(());
    }
    invocation.out.line("generating ED25519 keypair...done")?;
    invocation
        .out
        .line(&format!("peer identity: {}", made.peer_id))?;
    invocation.out.line(&format!(
        "initializing IPFS node at {}",
        made.path.display()
    ))?;
    if let Some(welcome) = made.welcome {
        invocation.out.line("to get started, enter:\n")?;
        invocation
            .out
            .line(&format!("\tipfs-kit cat /ipfs/{welcome}/readme\n"))?;
    }
    Ok(())
}

/// Makes a repo for a command that needs one to store something, and says so.
///
/// # Errors
/// As [`repo::init`]; a repo that another process has made meanwhile is none.
pub fn first_use(path: &Path, quiet: bool) -> Result<(), Failure> {
    match repo::init(path, &InitOptions::default()) {
        Ok(Initialised { path, peer_id, .. }) => {
            if !quiet {
                note(&format!(
                    "no repo yet: initialized one at {} (peer identity: {peer_id})",
                    path.display()
                ));
            }
            Ok(())
        }
        Err(ipfs_kit_node::Error::Repo(repo::RepoError::AlreadyInitialised(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
