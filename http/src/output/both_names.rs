//! Fields of records by two names: that of Kubo, and that of the Python kit.

use serde_json::Value;

/// Kubo's names, and the kit's.
const NAMES: &[(&str, &str)] = &[
    ("Hash", "cid"),
    ("Name", "name"),
    ("Value", "value"),
    ("Path", "path"),
    ("Peers", "peers"),
    ("Pins", "pins"),
    ("Size", "size"),
    ("Exists", "exists"),
];

/// Adds the kit's names to a record, where there are none yet.
pub fn add(record: &mut Value) {
    let Some(fields) = record.as_object_mut() else {
        return;
    };
    for (kubo, kit) in NAMES {
        if let Some(value) = fields.get(*kubo).cloned() {
            fields.entry(*kit).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_are_there_and_nothing_is_lost() {
        let mut record = json!({"Hash": "Qm", "Size": "3", "size": 7, "Other": null});
        add(&mut record);
        let wanted = json!({"Hash": "Qm", "Size": "3", "size": 7, "Other": null, "cid": "Qm"});
        assert_eq!(record, wanted);
        let mut list = json!(["Hash"]);
        add(&mut list);
        assert_eq!(list, json!(["Hash"]));
    }
}
