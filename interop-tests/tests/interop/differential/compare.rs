//! In what two answers to the same request differ.

use super::wire::Answer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Display;

/// Headers that clients look at.
const HEADERS: &[&str] = &[
    "content-type",
    "x-stream-output",
    "x-chunked-output",
    "x-content-length",
    "trailer",
    "allow",
    "vary",
    "retry-after",
    "content-disposition",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
    "access-control-expose-headers",
];

/// A side of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Facet {
    /// Answered at all, or whole.
    Whole,
    /// The status.
    Status,
    /// A header.
    Header,
    /// `Code` and `Type` of an error.
    Code,
    /// The words of an error, in the body or behind it.
    Text,
    /// Names and types of what is in a JSON answer.
    Shape,
    /// What is in an answer.
    Body,
}

/// How far two answers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Names and types; the values are of one node only.
    Shape,
    /// Values, with lines and elements in any order.
    Set,
    /// Values in order; the bytes, where they are no JSON.
    Values,
}

/// One difference.
#[derive(Debug)]
pub struct Difference {
    /// What differs.
    pub facet: Facet,
    /// How.
    pub detail: String,
}

/// Compares an answer with Kubo's.
pub fn differences(ours: &Answer, kubo: &Answer, depth: Depth) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    if ours.broken != kubo.broken {
        found.tell(Facet::Whole, ours.broken, kubo.broken);
    }
    if ours.status != kubo.status {
        let shown = |answer: &Answer| format!("{} {}", answer.status, answer.text().trim());
        found.tell(Facet::Status, shown(ours), shown(kubo));
        return found.0;
    }
    for name in HEADERS {
        let (a, b) = (ours.header(name), kubo.header(name));
        // More trailers may be promised.
        if a != b && !(*name == "trailer" && !b.is_empty() && a.starts_with(b)) {
            found.tell(Facet::Header, format_args!("{name}: {a}"), b);
        }
    }
    let error = |answer: &Answer| answer.trailers.get("x-stream-error").cloned();
    match (error(ours), error(kubo)) {
        (None, None) => {}
        (Some(a), Some(b)) => found.compare_texts(&a, &b),
        (a, b) => found.tell(Facet::Whole, format_args!("{a:?}"), format_args!("{b:?}")),
    }
    let (text_a, text_b) = (ours.text(), kubo.text());
    match (values(ours), values(kubo)) {
        (Some(a), Some(b)) if ours.status < 400 => {
            let (shape_a, shape_b) = (shape_of(&a), shape_of(&b));
            if !alike(&shape_a, &shape_b) {
                found.tell(Facet::Shape, list(&shape_a), list(&shape_b));
            } else if depth != Depth::Shape && !same(&a, &b, depth) {
                found.tell(Facet::Body, text_a.trim(), text_b.trim());
            }
        }
        (Some(a), Some(b)) => {
            for name in ["Code", "Type"] {
                if part(&a, name) != part(&b, name) {
                    found.tell(Facet::Code, text_a.trim(), text_b.trim());
                }
            }
            if shape_of(&a) != shape_of(&b) {
                found.tell(Facet::Shape, text_a.trim(), text_b.trim());
            }
            found.compare_texts(message(&a), message(&b));
        }
        _ if ours.status >= 400 => found.compare_texts(text_a.trim(), text_b.trim()),
        _ if ours.body != kubo.body && depth != Depth::Shape => {
            found.tell(Facet::Body, text_a.trim(), text_b.trim());
        }
        _ => {}
    }
    found.0
}

/// A field of the first value.
fn part<'v>(values: &'v [Value], name: &str) -> Option<&'v Value> {
    values.first()?.get(name)
}

fn message(values: &[Value]) -> &str {
    let message = part(values, "Message").and_then(Value::as_str);
    message.unwrap_or_default()
}

/// What was found.
struct Found(Vec<Difference>);

impl Found {
    fn tell(&mut self, facet: Facet, ours: impl Display, kubo: impl Display) {
        self.0.push(Difference {
            facet,
            detail: format!("ours {ours:.600}\n     kubo {kubo:.600}"),
        });
    }

    /// Words of errors: ours may say more than Kubo's, and our name for the program.
    fn compare_texts(&mut self, ours: &str, kubo: &str) {
        if !ours.replace("ipfs-kit", "ipfs").starts_with(kubo) {
            self.tell(Facet::Text, ours, kubo);
        }
    }
}

/// Every JSON value of a body that is JSON, and of one that says nothing about itself.
fn values(answer: &Answer) -> Option<Vec<Value>> {
    if !answer
        .header("content-type")
        .starts_with("application/json")
    {
        return None;
    }
    let values = serde_json::Deserializer::from_slice(&answer.body).into_iter();
    values.collect::<Result<_, _>>().ok()
}

fn same(a: &[Value], b: &[Value], depth: Depth) -> bool {
    if depth == Depth::Values {
        return a == b;
    }
    let sorted = |values: &[Value]| {
        let mut texts: Vec<String> = values
            .iter()
            .map(|value| canonical(value).to_string())
            .collect();
        texts.sort();
        texts
    };
    sorted(a) == sorted(b)
}

/// A value with its lists and objects sorted.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(canonical).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by_key(|pair| pair.0);
            pairs
                .into_iter()
                .map(|(name, value)| (name.clone(), canonical(value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// All paths with the types at their ends.
fn shape_of(values: &[Value]) -> BTreeSet<String> {
    let mut shape = BTreeSet::new();
    for value in values {
        push_shape(value, &mut String::new(), &mut shape);
    }
    shape
}

fn push_shape(value: &Value, path: &mut String, shape: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    shape.insert(format!("{path} {kind}"));
    let len = path.len();
    match value {
        Value::Array(items) => {
            path.push_str("[]");
            for item in items {
                push_shape(item, path, shape);
            }
        }
        Value::Object(map) => {
            // A map whose names are data: CIDs, peers, protocols.
            let data = map.keys().any(|name| name.len() > 40 || name.contains('/'));
            for (name, item) in map {
                path.push('.');
                path.push_str(if data { "*" } else { name });
                push_shape(item, path, shape);
                path.truncate(len);
            }
        }
        _ => {}
    }
    path.truncate(len);
}

/// Equal, apart from what stands in lists that are empty on one side.
fn alike(a: &BTreeSet<String>, b: &BTreeSet<String>) -> bool {
    if a.is_empty() || b.is_empty() {
        return true;
    }
    let covered = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        one.difference(other).all(|path| {
            let path = path.split(' ').next().unwrap_or_default();
            let below = |mark: &str| {
                path.match_indices(mark).any(|(at, _)| {
                    let holder = &path[..at];
                    let inside = format!("{holder}{mark}");
                    let known = ["list", "object"].map(|kind| format!("{holder} {kind}"));
                    known.iter().any(|known| other.contains(known))
                        && !other.iter().any(|path| path.starts_with(&inside))
                })
            };
            below("[]") || below(".*")
        })
    };
    covered(a, b) && covered(b, a)
}

fn list(shape: &BTreeSet<String>) -> String {
    shape.iter().cloned().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json_answer(value: &Value) -> Answer {
        Answer {
            status: 200,
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: value.to_string().into_bytes(),
            ..Answer::default()
        }
    }

    fn facets(a: &Value, b: &Value, depth: Depth) -> Vec<Facet> {
        let found = differences(&json_answer(a), &json_answer(b), depth);
        found.into_iter().map(|found| found.facet).collect()
    }

    #[test]
    fn what_counts_as_a_difference() {
        let one = json!({"a": [1, 2], "b": null});
        assert_eq!(facets(&one, &one, Depth::Values), []);
        let turned = json!({"b": null, "a": [2, 1]});
        assert_eq!(facets(&one, &turned, Depth::Values), [Facet::Body]);
        assert_eq!(facets(&one, &turned, Depth::Set), []);
        let other = json!({"a": [3], "b": null});
        assert_eq!(facets(&one, &other, Depth::Set), [Facet::Body]);
        assert_eq!(facets(&one, &other, Depth::Shape), []);
        let empty = json!({"a": [], "b": null});
        assert_eq!(facets(&one, &empty, Depth::Shape), []);
        for wrong in [
            json!({"a": null, "b": null}),
            json!({"a": ["1"], "b": null}),
            json!({"a": [1]}),
            json!({"a": [1], "b": []}),
        ] {
            assert_eq!(
                facets(&one, &wrong, Depth::Shape),
                [Facet::Shape],
                "{wrong}"
            );
        }
        let mut ours = json_answer(&one);
        ours.status = 500;
        assert_eq!(
            differences(&ours, &json_answer(&one), Depth::Shape)[0].facet,
            Facet::Status
        );
    }
}
