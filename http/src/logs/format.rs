//! One event as one line, in the forms of Kubo's logs.

use std::fmt::{Debug, Write as _};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};

use super::level::Level;

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Columns between tabs.
    #[default]
    Text,
    /// The same with the level in colour.
    Color,
    /// One JSON object.
    Json,
}

impl Form {
    /// The form of that name.
    pub fn from_name(name: &str) -> Option<Form> {
        match name {
            "json" => Some(Form::Json),
            "color" | "colour" => Some(Form::Color),
            "nocolor" | "text" => Some(Form::Text),
            _ => None,
        }
    }
}

/// An event, read.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// When.
    pub time: Option<SystemTime>,
    /// How bad.
    pub level: Level,
    /// Its subsystem.
    pub subsystem: &'static str,
    /// File and line it comes from.
    pub place: String,
    /// The text.
    pub message: String,
    /// What belongs to it.
    pub fields: Map<String, Value>,
}

impl Line {
    /// The line, with its end.
    pub fn shown(&self, form: Form) -> String {
        let time = OffsetDateTime::from(self.time.unwrap_or(SystemTime::UNIX_EPOCH));
        let time = time.replace_millisecond(time.millisecond()).unwrap_or(time);
        let time = time.format(&Rfc3339).unwrap_or_default();
        let mut line = String::new();
        match form {
            Form::Json => {
                let mut object = Map::new();
                for (name, value) in [
                    ("level", json!(self.level.name())),
                    ("ts", json!(time)),
                    ("logger", json!(self.subsystem)),
                    ("caller", json!(self.place)),
                    ("msg", json!(self.message)),
                ] {
                    object.insert(name.to_owned(), value);
                }
                // A field never takes the place of what every line has.
                for (name, value) in &self.fields {
                    object.entry(name).or_insert_with(|| value.clone());
                }
                let _ = write!(line, "{}", Value::Object(object));
            }
            Form::Text | Form::Color => {
                let level = self.level.name().to_uppercase();
                let level = match (form, self.level) {
                    (Form::Color, Level::Debug) => format!("\x1b[35m{level}\x1b[0m"),
                    (Form::Color, Level::Info) => format!("\x1b[34m{level}\x1b[0m"),
                    (Form::Color, Level::Warn) => format!("\x1b[33m{level}\x1b[0m"),
                    (Form::Color, _) => format!("\x1b[31m{level}\x1b[0m"),
                    _ => level,
                };
                let _ = write!(
                    line,
                    "{time}\t{level}\t{}\t{}\t",
                    self.subsystem, self.place
                );
                // A peer's text must not make a line of its own.
                for c in self.message.chars() {
                    match c.is_control() {
                        true => line.extend(c.escape_default()),
                        false => line.push(c),
                    }
                }
                if !self.fields.is_empty() {
                    let _ = write!(line, "\t{}", Value::Object(self.fields.clone()));
                }
            }
        }
        line.push('\n');
        line
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.keep(field, json!(text));
    }
}

impl Line {
    fn keep(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.as_str().unwrap_or_default().to_owned();
        } else {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        let mut line = Line {
            time: Some(SystemTime::UNIX_EPOCH),
            level: Level::Warn,
            subsystem: "net",
            place: "a.rs:7".to_owned(),
            message: "one\ntwo\x1b[0m".to_owned(),
            fields: Map::new(),
        };
        line.fields.insert("msg".to_owned(), json!("forged"));
        line.fields.insert("peer".to_owned(), json!("a\nb"));
        let text = line.shown(Form::Text);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains('\x1b'));
        assert!(
            text.starts_with("1970-01-01T00:00:00Z\tWARN\tnet\ta.rs:7\tone\\ntwo"),
            "{text}"
        );
        let json: Value = serde_json::from_str(&line.shown(Form::Json)).unwrap();
        assert_eq!(json["msg"], "one\ntwo\x1b[0m");
        assert_eq!(
            (&json["level"], &json["logger"]),
            (&json!("warn"), &json!("net"))
        );
        assert_eq!(json["peer"], "a\nb");
    }
}
