//! Files that come whole.

use std::io::Read;

use crate::failure::Failure;
use crate::host::Input;
use crate::invocation::Invocation;
use crate::output::os_reason;

/// Reads one input whole.
///
/// # Errors
/// When it cannot be read; `too_long` when it has more than `limit` bytes.
pub fn read_all(input: &mut Input, limit: u64, too_long: &str) -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    input
        .reader
        .by_ref()
        .take(limit + 1)
        .read_to_end(&mut data)
        .map_err(|error| {
            Failure::failed(format_args!("read {}: {}", input.name, os_reason(&error)))
        })?;
    if data.len() as u64 > limit {
        return Err(Failure::failed(too_long));
    }
    Ok(data)
}

/// Reads the one file argument of a command whole.
///
/// # Errors
/// As [`read_all`], and when there is none.
pub fn read_one(invocation: &Invocation, limit: u64, too_long: &str) -> Result<Vec<u8>, Failure> {
    match invocation.inputs()?.next().transpose()? {
        Some(mut input) => read_all(&mut input, limit, too_long),
        None => Err(Failure::usage("a file is required")),
    }
}
