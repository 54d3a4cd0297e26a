//! Dotted keys and merging on JSON documents.

use serde_json::{Map, Value};

use super::ConfigError;

/// The value at a dotted key; the error holds the part of the key that is missing.
pub fn get<'a>(document: &'a Value, key: &str) -> Result<&'a Value, String> {
    let mut cursor = document;
    for (end, part) in parts(key) {
        cursor = cursor.get(part).ok_or_else(|| key[..end].to_owned())?;
    }
    Ok(cursor)
}

/// Sets a dotted key, making objects on the way where there is nothing or null.
pub fn set(document: &mut Value, key: &str, value: Value) -> Result<(), ConfigError> {
    let mut cursor = document;
    for (end, part) in parts(key) {
        if cursor.is_null() {
            *cursor = Value::Object(Map::new());
        }
        let before = key[..end - part.len()].trim_end_matches('.');
        let map = cursor
            .as_object_mut()
            .ok_or_else(|| ConfigError::NotAMap(before.to_owned()))?;
        cursor = map.entry(part).or_insert(Value::Null);
    }
    *cursor = value;
    Ok(())
}

/// Lays `over` on `base`: objects merge key by key, everything else is replaced.
pub fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// What of `document` differs from `defaults`, or `None` when nothing does.
pub fn difference(document: &Value, defaults: &Value) -> Option<Value> {
    match (document, defaults) {
        (Value::Object(document), Value::Object(defaults)) => {
            let differing: Map<String, Value> = document
                .iter()
                .filter_map(|(key, value)| {
                    let default = defaults.get(key).unwrap_or(&Value::Null);
                    difference(value, default).map(|difference| (key.clone(), difference))
                })
                .collect();
            (!differing.is_empty()).then_some(Value::Object(differing))
        }
        (document, defaults) => (document != defaults).then(|| document.clone()),
    }
}

/// The document without what must never be shown: the private key, API secrets, pinning service keys.
pub fn scrubbed(document: &Value) -> Value {
    let mut shown = document.clone();
    remove(&mut shown, &["Identity", "PrivKey"]);
    remove(&mut shown, &["API", "Authorizations"]);
    remove(
        &mut shown,
        &["Pinning", "RemoteServices", "*", "API", "Key"],
    );
    shown
}

/// Removes every value at `path`, where `*` stands for any key and letter case does not matter.
fn remove(value: &mut Value, path: &[&str]) {
    let (Some(map), Some((first, rest))) = (value.as_object_mut(), path.split_first()) else {
        return;
    };
    if rest.is_empty() {
        map.retain(|key, _| !matches(first, key));
    } else {
        map.iter_mut()
            .filter(|(key, _)| matches(first, key))
            .for_each(|(_, value)| remove(value, rest));
    }
}

fn matches(pattern: &str, key: &str) -> bool {
    pattern == "*" || pattern.eq_ignore_ascii_case(key)
}

/// The parts of a dotted key, each with the offset where it ends.
fn parts(key: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    key.split('.').map(move |part| {
        let start = if end == 0 { 0 } else { end + 1 };
        end = start + part.len();
        (end, part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn dotted_keys() {
        let mut document = json!({"A": {"B": 1}, "N": null});
        assert_eq!(get(&document, "A.B"), Ok(&json!(1)));
        assert_eq!(get(&document, "A.C.D"), Err("A.C".to_owned()));
        set(&mut document, "N.x.y", json!(true)).unwrap();
        assert_eq!(get(&document, "N.x.y"), Ok(&json!(true)));
        let error = set(&mut document, "A.B.C", json!(1)).unwrap_err();
        assert!(
            error.to_string().contains("A.B key is not a map"),
            "{error}"
        );
    }

    #[test]
    fn merging_and_its_inverse() {
        let defaults = json!({"A": {"x": 1, "y": 2}, "L": [1]});
        let changed = json!({"A": {"x": 1, "y": 3}, "L": [1], "Z": 0});
        let over = difference(&changed, &defaults).unwrap();
        assert_eq!(over, json!({"A": {"y": 3}, "Z": 0}));
        let mut merged = defaults.clone();
        merge(&mut merged, &over);
        assert_eq!(merged, changed);
        assert_eq!(difference(&defaults, &defaults), None);
    }

    #[test]
    fn secrets_are_left_out() {
        let document = json!({"Identity": {"PeerID": "p", "privkey": "s"}, "API": {"Authorizations": {}},
            "Pinning": {"RemoteServices": {"a": {"API": {"Key": "s", "Endpoint": "e"}}}}});
        let shown = scrubbed(&document);
        assert_eq!(
            shown,
            json!({"Identity": {"PeerID": "p"}, "API": {},
            "Pinning": {"RemoteServices": {"a": {"API": {"Endpoint": "e"}}}}})
        );
    }
}
