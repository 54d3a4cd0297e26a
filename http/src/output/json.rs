//! JSON with the escapes of Go's encoder, so that output is equal to Kubo's byte for byte.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use crate::failure::Failure;

/// Appends one document on one line, without the line end.
pub fn go_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Failure> {
    let mut serializer = Serializer::with_formatter(out, GoFormatter(CompactFormatter));
    value.serialize(&mut serializer).map_err(Failure::failed)
}

/// Appends one document indented by two spaces, as Kubo shows its configuration: without the HTML
/// escapes of the compact form.
pub fn go_json_pretty<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Failure> {
    let mut serializer = Serializer::with_formatter(out, PrettyFormatter::with_indent(b"  "));
    value.serialize(&mut serializer).map_err(Failure::failed)
}

/// Go escapes `<`, `>`, `&` and two line separators inside strings.
struct GoFormatter(CompactFormatter);

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let special = rest[at..].chars().next().unwrap_or_default();
            write!(writer, "\\u{:04x}", u32::from(special))?;
            rest = &rest[at + special.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        // Go writes whole numbers without a fraction.
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return write!(writer, "{value:.0}");
        }
        self.0.write_f32(writer, value)
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            return write!(writer, "{value:.0}");
        }
        self.0.write_f64(writer, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json<T: Serialize>(value: &T) -> String {
        let mut out = Vec::new();
        go_json(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_go_does() {
        assert_eq!(
            json(&"a<b>&c\u{2028}d"),
            r#""a\u003cb\u003e\u0026c\u2028d""#
        );
        assert_eq!(
            json(&"plain \"q\" \\ \n\t\u{1}"),
            r#""plain \"q\" \\ \n\t\u0001""#
        );
        assert_eq!(json(&"gr\u{fc}n"), "\"gr\u{fc}n\"");
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        assert_eq!(json(&1.0f32), "1");
        assert_eq!(json(&1.5f32), "1.5");
        assert_eq!(json(&7u64), "7");
    }
}
