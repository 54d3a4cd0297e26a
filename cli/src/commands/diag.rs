//! `diag profile`: the daemon collects, this process keeps.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use ipfs_kit_http::client::Call;
use ipfs_kit_http::command::{Command, Run};
use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods;
use ipfs_kit_http::output::os_reason;

use crate::attach;
use crate::host::Local;

/// `ipfs-kit diag profile`
pub const PROFILE: Command = Command {
    run: Some(Run::Local),
    ..methods::diag::PROFILE
};

/// Asks the daemon for a profile and writes it into a file.
///
/// # Errors
/// Without a daemon, what it says, and when the file cannot be written.
pub fn profile(local: &Local, invocation: &mut Invocation) -> Result<(), Failure> {
    let client = attach::daemon(local)?;
    let client =
        client.ok_or_else(|| Failure::failed("command must be run with a running daemon"))?;
    local.stop.exit_on_signals()?;
    let path = invocation.path("output").unwrap_or_else(default_path);
    let mut query = Vec::new();
    for text in invocation.list("collectors") {
        query.push(("collectors".to_owned(), text));
    }
    query.extend(
        invocation
            .text("profile-time")
            .map(|text| ("profile-time".to_owned(), text)),
    );
    let mut reply = client.send(Call {
        path: &["diag", "profile"],
        query,
        terminal: false,
        body: None,
    })?;
    let failed = |error: std::io::Error| {
        Failure::failed(format_args!(
            "write {}: {}",
            path.display(),
            os_reason(&error)
        ))
    };
    let mut file = File::create_new(&path).map_err(failed)?;
    while let Some(piece) = reply.next_piece()? {
        file.write_all(&piece).map_err(failed)?;
    }
    attach::finish(local, &reply)?;
    invocation
        .out
        .line(&format!("Wrote profiles to: {}", path.display()))
}

fn default_path() -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |now| now.as_secs());
    PathBuf::from(format!("ipfs-profile-{seconds}.zip"))
}
