//! The result of a command: one place that knows the encodings and when to write.
//!
//! A command emits records; whether they become Kubo's text, JSON lines, YAML, XML or a table is
//! decided here. Lines collect in a large buffer that is written when it is full, when a moment has
//! passed since the last write, and at the end, so that streams arrive promptly and twenty thousand
//! lines cost a handful of system calls.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use crate::command::Shape;
use crate::failure::Failure;

mod both_names;
mod json;
mod table;
pub mod xml;

pub use both_names::add as add_both_names;
pub use json::{go_json, go_json_pretty};
pub use table::push_columns;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Kubo's text.
    #[default]
    Text,
    /// One JSON document a line.
    Json,
    /// One XML element a record.
    Xml,
    /// One YAML document a record.
    Yaml,
    /// Aligned columns under a header.
    Table,
}

impl Encoding {
    /// The encoding of that name, as given to `--encoding` or `--format`.
    pub fn from_name(name: &str) -> Option<Encoding> {
        Some(match name {
            "text" => Encoding::Text,
            "json" => Encoding::Json,
            "xml" => Encoding::Xml,
            "yaml" => Encoding::Yaml,
            "table" => Encoding::Table,
            _ => return None,
        })
    }
}

/// Something a command reports.
pub trait Record: Serialize + JsonSchema + 'static {
    /// Name of its XML element: the name of Kubo's type.
    const NAME: &'static str;
}

impl<T: Record> Record for Vec<T> {
    const NAME: &'static str = T::NAME;
}

/// What a result is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Records or text in an encoding.
    Records(Encoding),
    /// Bytes as they are.
    Raw,
}

/// Where a result goes: standard output, or the body of a response.
pub trait Sink {
    /// Told once, before the first byte.
    fn begin(&mut self, content: Content);

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when nobody reads any more.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Told once, when a result is whole.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The media type of raw bytes, when it is not that of the command.
    fn set_media_type(&mut self, _media_type: &'static str) {}

    /// How much there will be, before the first byte of it, and of how much that is a part.
    fn set_length(&mut self, _bytes: u64, _whole: u64) {}

    /// Whether people read the output.
    fn is_terminal(&self) -> bool {
        false
    }

    /// Whether a line must not wait for more lines.
    fn at_once(&self) -> bool {
        false
    }
}

/// The buffered result.
pub struct Output {
    encoding: Encoding,
    buffer: Vec<u8>,
    sink: Box<dyn Sink>,
    begun: bool,
    last_write: Instant,
    documents: u64,
    table: table::Table,
    both_names: bool,
    records: Option<&'static [Shape]>,
}

/// Bytes that collect before a write.
const BUFFER: usize = 64 * 1024;

/// How long a line may wait for more lines.
const PATIENCE: Duration = Duration::from_millis(50);

impl Output {
    /// A result in that encoding.
    pub fn new(encoding: Encoding, sink: Box<dyn Sink>) -> Output {
        Output {
            encoding,
            buffer: Vec::new(),
            sink,
            begun: false,
            last_write: Instant::now(),
            documents: 0,
            table: table::Table::default(),
            both_names: false,
            records: None,
        }
    }

    /// Gives what Kubo calls `Hash` and the Python kit `cid` by both names, in JSON.
    pub fn with_both_names(mut self, both_names: bool) -> Output {
        self.both_names = both_names;
        self
    }

    /// Says which records there will be. A debug build ends where a command emits others, so that the documents, which
    /// are made from the same table, tell the truth.
    pub fn expect(&mut self, records: &'static [Shape]) {
        self.records = Some(records);
    }

    fn check<R: Record>(&self) {
        debug_assert!(
            self.records
                .is_none_or(|records| records.iter().any(Shape::is::<R>)),
            "{} is not among the records of its command",
            std::any::type_name::<R>()
        );
    }

    /// How records are written.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Changes how records are written, before the first one.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// Whether people read the output.
    pub fn is_terminal(&self) -> bool {
        self.sink.is_terminal()
    }

    /// The media type of the raw bytes that follow, when it is not that of the command.
    pub fn set_media_type(&mut self, media_type: &'static str) {
        self.sink.set_media_type(media_type);
    }

    /// How many raw bytes will follow, and of how many they are a part.
    pub fn set_length(&mut self, bytes: u64, whole: u64) {
        self.sink.set_length(bytes, whole);
    }

    fn begin(&mut self, content: Content) {
        if !self.begun {
            self.begun = true;
            self.sink.begin(content);
        }
    }

    /// Tells the receiver that a result will come, though there is none yet.
    pub fn announce(&mut self) -> Result<(), Failure> {
        self.begin(Content::Records(self.encoding));
        Ok(self.sink.write(&[])?)
    }

    /// [`Output::announce`] for bytes.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn announce_bytes(&mut self) -> Result<(), Failure> {
        self.begin(Content::Raw);
        Ok(self.sink.write(&[])?)
    }

    /// Writes one record; only the form that is needed is made.
    pub fn emit<R: Record>(
        &mut self,
        record: impl FnOnce() -> R,
        text: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        self.check::<R>();
        self.begin(Content::Records(self.encoding));
        match self.encoding {
            Encoding::Text => text(&mut self.buffer),
            Encoding::Json => {
                if self.both_names {
                    let mut value = serde_json::to_value(record()).map_err(Failure::failed)?;
                    both_names::add(&mut value);
                    go_json(&mut self.buffer, &value)?;
                } else {
                    go_json(&mut self.buffer, &record())?;
                }
                self.buffer.push(b'\n');
            }
            Encoding::Yaml => {
                if self.documents > 0 {
                    self.buffer.extend_from_slice(b"---\n");
                }
                let yaml = serde_saphyr::to_string(&record()).map_err(Failure::failed)?;
                self.buffer.extend_from_slice(yaml.as_bytes());
                if !yaml.ends_with('\n') {
                    self.buffer.push(b'\n');
                }
            }
            Encoding::Xml => {
                let value = serde_json::to_value(record()).map_err(Failure::failed)?;
                xml::push(&mut self.buffer, R::NAME, &value)?;
            }
            Encoding::Table => {
                let value = serde_json::to_value(record()).map_err(Failure::failed)?;
                self.table.push(value, &mut self.buffer);
            }
        }
        self.documents += 1;
        self.settle()?;
        Ok(())
    }

    /// Writes one record that is a list, entry by entry: `{"head":[…]}` in JSON, where it need not be held whole. `None`
    /// when the list must come as one record `R`.
    pub fn list<R: Record>(&mut self, head: &'static str) -> Option<ListWriter<'_>> {
        self.check::<R>();
        if self.encoding != Encoding::Json {
            return None;
        }
        self.begin(Content::Records(self.encoding));
        Some(ListWriter {
            out: self,
            head,
            entries: 0,
        })
    }

    /// Appends text as it is, in every encoding.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.begin(Content::Records(Encoding::Text));
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
        self.settle()?;
        Ok(())
    }

    /// Writes what has collected, if it is much or has waited.
    fn settle(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER {
            return self.write_buffer();
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        if self.sink.at_once() || self.last_write.elapsed() >= PATIENCE {
            return self.write_buffer();
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.sink.write(&self.buffer);
        self.buffer.clear();
        self.last_write = Instant::now();
        written
    }

    /// Writes everything that is left, and tells that the result is whole.
    pub fn end(&mut self) -> Result<(), Failure> {
        self.finish()?;
        Ok(self.sink.end()?)
    }

    /// Writes everything that is left.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.table.finish(&mut self.buffer);
        self.write_buffer()?;
        Ok(())
    }
}

/// A list that is written entry by entry; see [`Output::list`].
pub struct ListWriter<'a> {
    out: &'a mut Output,
    head: &'static str,
    entries: u64,
}

impl ListWriter<'_> {
    /// Writes the next entry.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn push<T: Serialize>(&mut self, entry: &T) -> Result<(), Failure> {
        let buffer = &mut self.out.buffer;
        match self.entries {
            0 => {
                buffer.extend_from_slice(b"{\"");
                buffer.extend_from_slice(self.head.as_bytes());
                buffer.extend_from_slice(b"\":[");
            }
            _ => buffer.push(b','),
        }
        go_json(buffer, entry)?;
        self.entries += 1;
        Ok(self.out.settle()?)
    }

    /// Ends the list; an empty one is null, as Go writes it.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn finish(self) -> Result<(), Failure> {
        let buffer = &mut self.out.buffer;
        if self.entries == 0 {
            buffer.extend_from_slice(b"{\"");
            buffer.extend_from_slice(self.head.as_bytes());
            buffer.extend_from_slice(b"\":null}\n");
        } else {
            buffer.extend_from_slice(b"]}\n");
        }
        self.out.documents += 1;
        Ok(self.out.settle()?)
    }
}

/// What the operating system said, in Kubo's words: without the number, starting small.
pub fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Raw bytes, for commands whose output is content.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.begin(Content::Raw);
        if self.buffer.len() + bytes.len() < BUFFER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.write_buffer()?;
        if bytes.len() >= BUFFER {
            return self.sink.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_buffer()
    }
}
