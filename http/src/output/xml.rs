//! XML of records in the form of Go's encoder: an element per field, lists as repeated elements.

use serde_json::Value;

use crate::failure::Failure;

/// Appends `value` as element `name`, without a line end.
pub fn push(out: &mut Vec<u8>, name: &str, value: &Value) -> Result<(), Failure> {
    if !is_name(name) {
        return Err(Failure::failed(format_args!(
            "xml cannot name an element {name:?}: use --encoding=json for this command"
        )));
    }
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| push(out, name, item)),
        Value::Object(fields) => {
            tag(out, "<", name);
            fields
                .iter()
                .try_for_each(|(field, value)| push(out, field, value))?;
            tag(out, "</", name);
            Ok(())
        }
        Value::String(text) => {
            leaf(out, name, text);
            Ok(())
        }
        Value::Bool(_) | Value::Number(_) => {
            leaf(out, name, &value.to_string());
            Ok(())
        }
    }
}

/// Go names elements after the fields of its types, which start with a capital also where JSON does not.
fn tag(out: &mut Vec<u8>, open: &str, name: &str) {
    out.extend_from_slice(open.as_bytes());
    let (first, rest) = name.as_bytes().split_at(1);
    out.push(first[0].to_ascii_uppercase());
    out.extend_from_slice(rest);
    out.push(b'>');
}

fn leaf(out: &mut Vec<u8>, name: &str, text: &str) {
    tag(out, "<", name);
    for c in text.chars() {
        let escape = match c {
            '"' => "&#34;",
            '\'' => "&#39;",
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '\t' => "&#x9;",
            '\n' => "&#xA;",
            '\r' => "&#xD;",
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => "\u{fffd}",
            c => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        out.extend_from_slice(escape.as_bytes());
    }
    tag(out, "</", name);
}

/// Keys of maps (CIDs, or the `/` of a link) need not be names in the sense of XML.
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn xml(name: &str, value: &Value) -> String {
        let mut out = Vec::new();
        push(&mut out, name, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_go_writes_it() {
        assert_eq!(
            xml("BlockStat", &json!({"Key": "Qm", "Size": 142})),
            "<BlockStat><Key>Qm</Key><Size>142</Size></BlockStat>"
        );
        assert_eq!(xml("R", &json!({"cidV0": 1})), "<R><CidV0>1</CidV0></R>");
        assert_eq!(
            xml("S", &json!({"A": [1, 2], "N": null})),
            "<S><A>1</A><A>2</A></S>"
        );
        assert_eq!(
            xml("S", &json!("a<b&\"\n\u{1}")),
            "<S>a&lt;b&amp;&#34;&#xA;\u{fffd}</S>"
        );
    }

    #[test]
    fn keys_that_are_no_names_are_refused() {
        assert!(push(&mut Vec::new(), "S", &json!({"/": "Qm"})).is_err());
        assert!(push(&mut Vec::new(), "S", &json!({"1a": 1})).is_err());
    }
}
