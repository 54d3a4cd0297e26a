//! Names that come from a DAG: which ones may become names of files, and how to show any of them.
//!
//! A link name is whatever bytes its author wrote. Joined to a local path without a check it
//! leaves the target directory (CVE-2020-26279); printed without escaping it drives the terminal
//! (CVE-2020-26283).

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

/// Longest name of one path component on the file systems in use, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Why a name cannot be used as the name of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// It has no bytes.
    Empty,
    /// It is `.`, the directory itself.
    Dot,
    /// It is `..`, the parent directory.
    DotDot,
    /// It holds a `/`, so it is a path and not a name.
    Slash,
    /// It holds a zero byte.
    Nul,
    /// It is longer than [`MAX_NAME_BYTES`].
    TooLong,
    /// It means something else than a plain file on Windows.
    Reserved,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Dot => "it is \".\"",
            Self::DotDot => "it is \"..\"",
            Self::Slash => "it contains a slash",
            Self::Nul => "it contains a zero byte",
            Self::TooLong => "it is longer than 255 bytes",
            Self::Reserved => "it is not a plain file name on Windows",
        })
    }
}

/// Which file systems a name has to be harmless on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRules {
    /// POSIX: every byte but `/` and zero is an ordinary character, a backslash too.
    #[default]
    Posix,
    /// Windows as well: no backslash, colon or other reserved character, no device name, no
    /// trailing dot or space.
    Windows,
}

impl NameRules {
    /// The rules of the system this was compiled for.
    pub const fn native() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else {
            Self::Posix
        }
    }

    /// Accepts a name that stays one component of a path whatever it is joined to.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn check(self, name: &[u8]) -> Result<(), NameFault> {
        match name {
            b"" => return Err(NameFault::Empty),
            b"." => return Err(NameFault::Dot),
            b".." => return Err(NameFault::DotDot),
            _ => {}
        }
        for &byte in name {
            match byte {
                b'/' => return Err(NameFault::Slash),
                0 => return Err(NameFault::Nul),
                _ => {}
            }
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(NameFault::TooLong);
        }
        match self {
            Self::Windows if reserved_on_windows(name) => Err(NameFault::Reserved),
            _ => Ok(()),
        }
    }
}

fn reserved_on_windows(name: &[u8]) -> bool {
    let odd = |byte: &u8| *byte < 0x20 || b"<>:\"\\|?*".contains(byte);
    if name.iter().any(odd) || matches!(name.last(), Some(b'.' | b' ')) {
        return true;
    }
    let stem = name
        .split(|byte| *byte == b'.')
        .next()
        .unwrap_or(name)
        .trim_ascii_end();
    let stem = stem.to_ascii_uppercase();
    match stem.as_slice() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CONIN$" | b"CONOUT$" => true,
        [b'C', b'O', b'M', rest @ ..] | [b'L', b'P', b'T', rest @ ..] => {
            // The superscript digits one to three are device numbers too.
            matches!(rest, [b'0'..=b'9'] | [0xc2, 0xb9 | 0xb2 | 0xb3])
        }
        _ => false,
    }
}

/// A name that can be printed on a terminal or in a log line: control characters (C0, DEL, C1),
/// line separators, bidirectional controls, invisible characters, backslashes and bytes that are
/// not UTF-8 become escapes of the Go form that Kubo prints (`\n`, `\x1b`, `\u202e`, `\xff`).
///
/// The escaped form is unambiguous, and it is the name itself when nothing needed escaping.
pub fn escape(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name)
        && text.chars().all(is_plain)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(name.len() + 8);
    for chunk in name.utf8_chunks() {
        for char in chunk.valid().chars() {
            push_escaped(&mut out, char);
        }
        for byte in chunk.invalid() {
            push_formatted(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(out)
}

fn is_plain(char: char) -> bool {
    match char {
        ' '..='~' => char != '\\',
        // Spaces other than U+0020 look like it.
        _ if char.is_control() || char.is_whitespace() => false,
        _ => !is_invisible(char),
    }
}

/// Characters that show nothing, or change how others are shown: bidirectional controls, joiners,
/// fillers, tags, private use and noncharacters. Variation selectors stay, since emoji need them.
fn is_invisible(char: char) -> bool {
    matches!(u32::from(char),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x115f..=0x1160 | 0x180e
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164
        | 0xe000..=0xf8ff | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
        | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0x10ffff)
        || u32::from(char) & 0xfffe == 0xfffe
        || matches!(u32::from(char), 0xfdd0..=0xfdef)
}

fn push_escaped(out: &mut String, char: char) {
    match char {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        _ if is_plain(char) => out.push(char),
        _ => match u32::from(char) {
            code @ (0..=0x1f | 0x7f) => push_formatted(out, format_args!("\\x{code:02x}")),
            code @ 0..=0xffff => push_formatted(out, format_args!("\\u{code:04x}")),
            code => push_formatted(out, format_args!("\\U{code:08x}")),
        },
    }
}

fn push_formatted(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_ordinary_names() {
        for name in [
            "a", "...", "..a", "a..", ".hidden", "a b", "a\\..\\b", "\u{e9}", "con",
        ] {
            assert_eq!(NameRules::Posix.check(name.as_bytes()), Ok(()), "{name:?}");
        }
        assert_eq!(NameRules::Posix.check(b"\xff\xfe"), Ok(()));
        assert_eq!(NameRules::Posix.check(&[b'a'; 255]), Ok(()));
    }

    /// CVE-2020-26279: names that leave the directory they are joined to.
    #[test]
    fn refuses_names_that_are_paths() {
        let cases: &[(&[u8], NameFault)] = &[
            (b"", NameFault::Empty),
            (b".", NameFault::Dot),
            (b"..", NameFault::DotDot),
            (b"/", NameFault::Slash),
            (b"/etc/passwd", NameFault::Slash),
            (b"a/b", NameFault::Slash),
            (b"a/../../x", NameFault::Slash),
            (b"../x", NameFault::Slash),
            (b"a/", NameFault::Slash),
            (b"a\0b", NameFault::Nul),
            (b"\0", NameFault::Nul),
            (&[b'a'; 256], NameFault::TooLong),
        ];
        for (name, fault) in cases {
            assert_eq!(NameRules::Posix.check(name), Err(*fault), "{name:?}");
            assert_eq!(NameRules::Windows.check(name), Err(*fault), "{name:?}");
        }
    }

    #[test]
    fn windows_rules_refuse_devices_and_separators() {
        let cases = [
            "a\\b",
            "..\\x",
            "C:",
            "a:stream",
            "CON",
            "con.txt",
            "nul",
            "LPT1",
            "com9.log",
            "AUX ",
            "a.",
            "a ",
            "a?",
            "a\u{1}",
            "COM\u{b9}",
            "CONOUT$",
            "prn.tar.gz",
        ];
        for name in cases {
            assert_eq!(
                NameRules::Windows.check(name.as_bytes()),
                Err(NameFault::Reserved),
                "{name}"
            );
        }
        for name in ["console", "com", "com10", "a.b", "nul1"] {
            assert_eq!(NameRules::Windows.check(name.as_bytes()), Ok(()), "{name}");
        }
    }

    /// CVE-2020-26283: control characters that reach a terminal.
    #[test]
    fn escapes_everything_that_could_drive_a_terminal() {
        assert_eq!(escape(b"plain name.txt"), "plain name.txt");
        assert_eq!(
            escape("\u{e9}\u{4e2d}\u{1f600}".as_bytes()),
            "\u{e9}\u{4e2d}\u{1f600}"
        );
        assert_eq!(escape(b"a\x1b[2Jb"), "a\\x1b[2Jb");
        assert_eq!(escape(b"\x07\x08\t\n\x0b\x0c\r"), "\\a\\b\\t\\n\\v\\f\\r");
        assert_eq!(escape(b"a\\b\x7f"), "a\\\\b\\x7f");
        assert_eq!(escape("\u{85}\u{9b}31m".as_bytes()), "\\u0085\\u009b31m");
        assert_eq!(
            escape("\u{202e}gpj.exe\u{2066}".as_bytes()),
            "\\u202egpj.exe\\u2066"
        );
        assert_eq!(
            escape("\u{2028}\u{200b}\u{feff}".as_bytes()),
            "\\u2028\\u200b\\ufeff"
        );
        assert_eq!(escape("\u{e0041}".as_bytes()), "\\U000e0041");
        assert_eq!(escape(b"ok\xff\xc3"), "ok\\xff\\xc3");
        assert_eq!(escape(b"\x9b31m"), "\\x9b31m");
    }

    #[test]
    fn escaped_text_holds_no_control_character() {
        for code in 0..0x11_0000_u32 {
            let Some(char) = char::from_u32(code) else {
                continue;
            };
            let mut utf8 = [0; 4];
            let text = escape(char.encode_utf8(&mut utf8).as_bytes()).into_owned();
            assert!(text.chars().all(is_plain_or_backslash), "{code:x}");
        }
    }

    fn is_plain_or_backslash(char: char) -> bool {
        char == '\\' || is_plain(char)
    }
}
