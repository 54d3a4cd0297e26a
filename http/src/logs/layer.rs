//! From events to lines.

use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::format::Line;
use super::level::Level;
use super::{Logs, subsystem};

/// Writes what the levels let through.
pub struct Lines {
    logs: &'static Logs,
}

/// What a span has told; it belongs to every line inside.
struct Told(Map<String, Value>);

impl Lines {
    /// Lines of these logs.
    pub fn new(logs: &'static Logs) -> Lines {
        Lines { logs }
    }

    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        self.logs
            .levels
            .lets_through(metadata.target(), *metadata.level())
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Asked again whenever a level changes.
        match self.lets_through(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.lets_through(metadata)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.logs.levels.finest())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        if let Some(span) = context.span(id).filter(|_| !line.fields.is_empty()) {
            span.extensions_mut().insert(Told(line.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let file = metadata.file().unwrap_or_default();
        let mut parts = file.rsplit('/');
        let (name, folder) = (parts.next().unwrap_or_default(), parts.next());
        let place = match folder {
            Some(folder) => format!("{folder}/{name}:{}", metadata.line().unwrap_or(0)),
            None => format!("{name}:{}", metadata.line().unwrap_or(0)),
        };
        let mut line = Line {
            time: Some(SystemTime::now()),
            level: Level::of(*metadata.level()),
            subsystem: subsystem::of(metadata.target()),
            place,
            ..Line::default()
        };
        event.record(&mut line);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(Told(fields)) = span.extensions().get::<Told>() {
                for (name, value) in fields {
                    line.fields.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        let level = line.level;
        let line = line.shown(self.logs.form);
        self.logs.target.read().write(line.as_bytes());
        self.logs.tails.send(level, &line);
    }
}
