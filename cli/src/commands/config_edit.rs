//! `config edit`: the configuration in the user's editor.

use std::env;
use std::path::PathBuf;
use std::process;

use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::invocation::Invocation;
use ipfs_kit_http::methods::config::load;
use ipfs_kit_http::output::os_reason;

/// Starts the editor and waits for it.
///
/// # Errors
/// When there is none, it fails, or it leaves a configuration that cannot be read.
pub fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let editor = env::var("EDITOR").unwrap_or_default();
    let mut words = shell_words(&editor).ok_or_else(|| {
        Failure::failed(format_args!(
            "cannot parse $EDITOR value: {editor:?} ends in a quote"
        ))
    })?;
    if words.is_empty() {
        return Err(Failure::failed("ENV variable $EDITOR not set"));
    }
    let path: PathBuf = load(invocation)?.path().to_owned();
    let program = words.remove(0);
    let status = process::Command::new(&program)
        .args(words)
        .arg(&path)
        .status()
        .map_err(|error| {
            Failure::failed(format_args!(
                "cannot start {program}: {}",
                os_reason(&error)
            ))
        })?;
    if !status.success() {
        return Err(Failure::failed(format_args!(
            "{program} ended with {status}"
        )));
    }
    // An unreadable result is told now, not at the next command.
    load(invocation)?;
    Ok(())
}

/// The words of a command line with quotes and backslashes; `None` when a quote is left open.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editor_words() {
        let words = |text| shell_words(text).unwrap();
        assert_eq!(words("vi"), ["vi"]);
        assert_eq!(words("code  --wait"), ["code", "--wait"]);
        assert_eq!(words("'a b' \"c d\" e\\ f"), ["a b", "c d", "e f"]);
        assert_eq!(words(""), [] as [&str; 0]);
        assert_eq!(words("''"), [""]);
        assert_eq!(shell_words("'a"), None);
    }
}
