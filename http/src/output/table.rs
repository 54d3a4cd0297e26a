//! Records as aligned columns, a page at a time so that long streams need no memory.

use serde_json::{Map, Value};

use crate::escape;

/// Rows that are aligned together.
const PAGE: usize = 1000;

/// Rows waiting for their page.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    header_written: bool,
}

impl Table {
    /// Adds a record: an object is a row, a list its elements, a map of objects a row per key.
    pub fn push(&mut self, value: Value, out: &mut Vec<u8>) {
        match value {
            Value::Array(items) => items.into_iter().for_each(|item| self.push(item, out)),
            Value::Object(fields) => self.push_object(fields, out),
            scalar => {
                let mut fields = Map::new();
                fields.insert("Value".to_owned(), scalar);
                self.row(&fields, out);
            }
        }
    }

    /// Writes the last page.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.write_page(out);
    }

    fn push_object(&mut self, mut fields: Map<String, Value>, out: &mut Vec<u8>) {
        if fields.len() == 1 {
            let only = fields.keys().next().cloned().unwrap_or_default();
            match fields.get_mut(&only).map(Value::take) {
                Some(Value::Array(items)) => {
                    for item in items {
                        if item.is_object() {
                            self.push(item, out);
                        } else {
                            self.row(&Map::from_iter([(only.clone(), item)]), out);
                        }
                    }
                    return;
                }
                Some(Value::Object(inner)) if inner.values().all(Value::is_object) => {
                    for (key, value) in inner {
                        let mut row = Map::from_iter([("Key".to_owned(), Value::String(key))]);
                        row.extend(value.as_object().cloned().unwrap_or_default());
                        self.row(&row, out);
                    }
                    return;
                }
                Some(value) => {
                    fields.insert(only, value);
                }
                None => {}
            }
        }
        self.row(&fields, out);
    }

    fn row(&mut self, fields: &Map<String, Value>, out: &mut Vec<u8>) {
        if fields.keys().any(|name| !self.columns.contains(name)) {
            // A new shape starts a table of its own, so that every value stands under its name.
            self.write_page(out);
            self.columns = fields.keys().cloned().collect();
            self.header_written = false;
        }
        let cells = self
            .columns
            .iter()
            .map(|name| cell(fields.get(name)))
            .collect();
        self.rows.push(cells);
        if self.rows.len() >= PAGE {
            self.write_page(out);
        }
    }

    fn write_page(&mut self, out: &mut Vec<u8>) {
        if self.rows.is_empty() {
            return;
        }
        let mut lines = Vec::with_capacity(self.rows.len() + 1);
        if !self.header_written {
            lines.push(self.columns.clone());
            self.header_written = true;
        }
        lines.append(&mut self.rows);
        push_aligned(out, &lines);
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => escape::printable(text.as_bytes()),
        Some(value) => escape::printable(value.to_string().as_bytes()),
    }
}

fn push_aligned(out: &mut Vec<u8>, rows: &[Vec<String>]) {
    let widths = widths(rows);
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.extend_from_slice(cell.as_bytes());
            if column + 1 < row.len() {
                let padding = widths[column] + 2 - cell.chars().count();
                out.resize(out.len() + padding, b' ');
            }
        }
        while out.last() == Some(&b' ') {
            out.pop();
        }
        out.push(b'\n');
    }
}

/// Appends rows as Go's `tabwriter` with a padding of one: every column but the last is as wide as
/// its widest cell and a space, at least `min_width`.
pub fn push_columns(out: &mut Vec<u8>, rows: &[Vec<String>], min_width: usize) {
    let widths = widths(rows);
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.extend_from_slice(cell.as_bytes());
            if column + 1 < row.len() {
                let width = (widths[column] + 1).max(min_width);
                out.resize(out.len() + width - cell.chars().count(), b' ');
            }
        }
        out.push(b'\n');
    }
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(values: impl IntoIterator<Item = Value>) -> String {
        let mut table = Table::default();
        let mut out = Vec::new();
        for value in values {
            table.push(value, &mut out);
        }
        table.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_become_rows() {
        let text = table([
            json!({"Name": "a", "Size": 1}),
            json!({"Name": "bcd", "Size": 22}),
        ]);
        assert_eq!(text, "Name  Size\na     1\nbcd   22\n");
    }

    #[test]
    fn a_new_shape_gets_its_own_header() {
        let text = table([json!({"A": 1, "B": 2}), json!({"C": 3})]);
        assert_eq!(text, "A  B\n1  2\nC\n3\n");
    }

    #[test]
    fn nested_forms_are_spread() {
        assert_eq!(table([json!({"Pins": ["x", "y"]})]), "Pins\nx\ny\n");
        assert_eq!(
            table([json!({"Keys": {"Qm": {"Type": "direct", "Name": ""}}})]),
            "Key  Type    Name\nQm   direct\n"
        );
        assert_eq!(table([json!({"L": [{"A": 1}]})]), "A\n1\n");
        assert_eq!(
            table([json!({"Cid": {"/": "Qm"}})]),
            "Cid\n{\"/\":\"Qm\"}\n"
        );
    }

    #[test]
    fn cells_cannot_break_the_table() {
        assert_eq!(table([json!({"A": "x\ny"})]), "A\nx\\ny\n");
    }

    #[test]
    fn long_tables_come_in_pages() {
        let mut table = Table::default();
        let mut out = Vec::new();
        for i in 0..PAGE {
            table.push(json!({"I": i}), &mut out);
        }
        assert!(out.starts_with(b"I\n0\n"));
    }
}
