//! Names for terminals: bytes of a DAG may hold escape sequences, line breaks or no UTF-8 at all.

use std::fmt::Write as _;

/// Appends `name` as Kubo prints it: as it is when every character is printable, else with the
/// escapes of a Go string, so that one entry stays one line and cannot command the terminal.
pub fn push_printable(out: &mut Vec<u8>, name: &[u8]) {
    if name
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\')
    {
        out.extend_from_slice(name);
        return;
    }
    match std::str::from_utf8(name) {
        Ok(text) if text.chars().all(|c| c != '\\' && is_printable(c)) => {
            out.extend_from_slice(name);
        }
        _ => out.extend_from_slice(quoted(name).as_bytes()),
    }
}

/// Appends `name` as a Go string in quotes.
pub fn push_quoted(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(quoted(name).replace('"', "\\\"").as_bytes());
    out.push(b'"');
}

/// [`push_printable`] as a string.
pub fn printable(name: &[u8]) -> String {
    let mut out = Vec::with_capacity(name.len());
    push_printable(&mut out, name);
    String::from_utf8_lossy(&out).into_owned()
}

fn quoted(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len() * 2);
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push_char(out: &mut String, c: char) {
    let _ = match c {
        '\\' => out.write_str("\\\\"),
        '\u{7}' => out.write_str("\\a"),
        '\u{8}' => out.write_str("\\b"),
        '\u{c}' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\u{b}' => out.write_str("\\v"),
        c if is_printable(c) => out.write_char(c),
        c if u32::from(c) < 0x80 => write!(out, "\\x{:02x}", u32::from(c)),
        c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

/// Whether a terminal shows the character without side effects: no controls, no separators other
/// than the plain space, none of the invisible formatting and direction marks, nothing unassigned
/// for private use.
fn is_printable(c: char) -> bool {
    if c == ' ' {
        return true;
    }
    !c.is_control()
        && !c.is_whitespace()
        && !matches!(u32::from(c),
            0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f
            | 0xd800..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff
            | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff | 0xf_0000..=0x10_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay() {
        for name in ["a b.txt", "it's \"x\"", "gr\u{fc}n", "\u{1f680}", ""] {
            assert_eq!(printable(name.as_bytes()), name);
        }
    }

    #[test]
    fn controls_are_escaped() {
        assert_eq!(printable(b"a\nb"), "a\\nb");
        assert_eq!(printable(b"\x1b[31m"), "\\x1b[31m");
        assert_eq!(printable(b"a\\b"), "a\\\\b");
        assert_eq!(printable(b"x\xffy"), "x\\xffy");
        assert_eq!(printable("\u{202e}x".as_bytes()), "\\u202ex");
        assert_eq!(printable("a\u{a0}b".as_bytes()), "a\\u00a0b");
        assert_eq!(printable("\u{e0001}".as_bytes()), "\\U000e0001");
        assert_eq!(printable(b"\x7f"), "\\x7f");
    }

    #[test]
    fn nothing_but_printable_bytes_comes_out() {
        for byte in 0..=u8::MAX {
            let text = printable(&[byte, b'x']);
            assert!(text.chars().all(is_printable), "{byte}: {text:?}");
        }
    }
}
