//! What a command is: its name, arguments, options and the function behind it.
//!
//! Everything that has to know the commands reads these tables: the parser, `--help`, `commands` and
//! the shell completions. A new command is one file under `commands/` and one line in its parent's
//! list of subcommands.

use std::any::TypeId;

use schemars::{Schema, SchemaGenerator};

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// One command or group of commands.
#[derive(Debug)]
pub struct Command {
    /// The word that selects it.
    pub name: &'static str,
    /// One line for lists of commands.
    pub tagline: &'static str,
    /// Further paragraphs for `--help`; may be empty.
    pub about: &'static str,
    /// Positional arguments, in order.
    pub arguments: &'static [Argument],
    /// Options beside the global ones.
    pub options: &'static [Opt],
    /// Commands below this one.
    pub subcommands: &'static [&'static Command],
    /// What its result looks like in a response.
    pub reply: Reply,
    /// The records that it may consist of, for the documents; a debug build holds the command to them.
    pub records: &'static [Shape],
    /// Whether it only reads, and mostly what is in memory: the server then tries it where the request came in, without a
    /// thread.
    pub brief: bool,
    /// What it does; `None` for a pure group, which prints its help.
    pub run: Option<Run>,
}

/// The function behind a command.
pub type Function = fn(&mut Invocation) -> Result<(), Failure>;

/// Where a command runs.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// Where the node is: in the daemon when there is one.
    Node(Function),
    /// In the process that was asked: it needs no repo.
    Anywhere(Function),
    /// On the command line only, which has the function.
    Local,
}

impl Run {
    /// The function, unless the command line has it.
    pub fn function(self) -> Option<Function> {
        match self {
            Run::Node(function) | Run::Anywhere(function) => Some(function),
            Run::Local => None,
        }
    }
}

/// What a result looks like in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// One record.
    One,
    /// Records one after the other.
    Many,
    /// Records one after the other if this flag is given, else one.
    ManyIf(&'static str),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// What a record looks like: its JSON schema, made from the type that is written.
#[derive(Clone, Copy)]
pub struct Shape {
    id: TypeId,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Shape {
    /// The shape of records of a type.
    pub const fn of<R: Record>() -> Shape {
        Shape {
            id: TypeId::of::<R>(),
            schema: |generator| generator.subschema_for::<R>(),
        }
    }

    /// Whether records of this type have it.
    pub fn is<R: Record>(&self) -> bool {
        self.id == TypeId::of::<R>()
    }

    /// Its schema: a reference to one that is kept by `generator`, or what is too simple to have a name.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shape").finish_non_exhaustive()
    }
}

impl Command {
    /// A command without arguments, options or subcommands, to be completed with `..`.
    pub const EMPTY: Command = Command {
        name: "",
        tagline: "",
        about: "",
        arguments: &[],
        options: &[],
        subcommands: &[],
        reply: Reply::One,
        records: &[],
        brief: false,
        run: None,
    };

    /// The direct subcommand of that name.
    pub fn subcommand(&self, name: &str) -> Option<&'static Command> {
        self.subcommands
            .iter()
            .copied()
            .find(|command| command.name == name)
    }

    /// The option of that name, long or short, among this command's own.
    pub fn option(&self, name: &str) -> Option<&'static Opt> {
        self.options
            .iter()
            .find(|option| option.names.contains(&name))
    }
}

/// One positional argument.
#[derive(Debug)]
pub struct Argument {
    /// Name in usage lines and errors.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Whether the command refuses to run without it.
    pub required: bool,
    /// Whether it takes all remaining words.
    pub variadic: bool,
    /// What it is read from when it is missing on the command line.
    pub source: Source,
    /// Whether it goes to a daemon in multibase, because it may be any bytes.
    pub multibase: bool,
}

/// Where an argument may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The command line only.
    Words,
    /// The command line, else one value per line of standard input.
    Lines,
    /// Paths of files; `-` or nothing is standard input.
    Files,
    /// Paths of files, never standard input.
    FilesOnly,
}

impl Argument {
    /// A required argument given as a word.
    pub const fn word(name: &'static str, about: &'static str) -> Argument {
        Argument {
            name,
            about,
            required: true,
            variadic: false,
            source: Source::Words,
            multibase: false,
        }
    }

    /// A required argument that may come from standard input, one value a line.
    pub const fn line(name: &'static str, about: &'static str) -> Argument {
        Argument {
            name,
            about,
            required: true,
            variadic: false,
            source: Source::Lines,
            multibase: false,
        }
    }

    /// A required file, or standard input.
    pub const fn file(name: &'static str, about: &'static str) -> Argument {
        Argument {
            name,
            about,
            required: true,
            variadic: false,
            source: Source::Files,
            multibase: false,
        }
    }

    /// The same argument, any number of times.
    pub const fn many(mut self) -> Argument {
        self.variadic = true;
        self
    }

    /// The same argument, not required.
    pub const fn optional(mut self) -> Argument {
        self.required = false;
        self
    }

    /// The same argument, in multibase on its way to a daemon.
    pub const fn in_multibase(mut self) -> Argument {
        self.multibase = true;
        self
    }

    /// The same argument, never read from standard input.
    pub const fn without_stdin(mut self) -> Argument {
        self.source = match self.source {
            Source::Files | Source::FilesOnly => Source::FilesOnly,
            Source::Lines | Source::Words => Source::Words,
        };
        self
    }

    /// Whether it is a file, not a word.
    pub fn is_file(&self) -> bool {
        matches!(self.source, Source::Files | Source::FilesOnly)
    }

    /// Whether standard input stands in when the argument is missing.
    pub fn reads_stdin(&self) -> bool {
        matches!(self.source, Source::Lines | Source::Files)
    }
}

/// One option.
#[derive(Debug)]
pub struct Opt {
    /// Its names without dashes; the first is the one errors and lookups use. One letter is a short
    /// option.
    pub names: &'static [&'static str],
    /// What its value is.
    pub kind: Kind,
    /// Whether a number may be longer than 32 bits.
    pub wide: bool,
    /// The value used when it is not given; empty if there is none.
    pub default: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
}

/// The type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Bool,
    /// A signed number; 0x and 0 prefixes are understood.
    Int,
    /// An unsigned number.
    Uint,
    /// Text.
    Text,
    /// A path of the local file system, which need not be UTF-8.
    Path,
    /// Text that may be given several times.
    List,
}

/// Short constructors, so that a table of options stays one line each.
impl Opt {
    const fn new(kind: Kind, names: &'static [&'static str], about: &'static str) -> Opt {
        Opt {
            names,
            kind,
            wide: false,
            default: "",
            about,
        }
    }

    /// A flag that is off unless given.
    pub const fn flag(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::Bool, names, about)
    }

    /// A signed number of 32 bits.
    pub const fn int(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::Int, names, about)
    }

    /// An unsigned number of 32 bits.
    pub const fn uint(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::Uint, names, about)
    }

    /// A text.
    pub const fn text(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::Text, names, about)
    }

    /// A local path.
    pub const fn path(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::Path, names, about)
    }

    /// A text that may be repeated.
    pub const fn list(names: &'static [&'static str], about: &'static str) -> Opt {
        Opt::new(Kind::List, names, about)
    }

    /// The same number with 64 bits.
    pub const fn wide(mut self) -> Opt {
        self.wide = true;
        self
    }

    /// The same option with a default, written as the user would.
    pub const fn default(mut self, value: &'static str) -> Opt {
        self.default = value;
        self
    }

    /// The type shown by `--help` and in errors, as Kubo writes it.
    pub fn type_name(&self) -> &'static str {
        match (self.kind, self.wide) {
            (Kind::Bool, _) => "bool",
            (Kind::Int, false) => "int",
            (Kind::Int, true) => "int64",
            (Kind::Uint, false) => "uint",
            (Kind::Uint, true) => "uint64",
            (Kind::Text | Kind::Path, _) => "string",
            (Kind::List, _) => "array",
        }
    }

    /// The name that errors and lookups use.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }
}

/// An option name with its dashes.
pub fn dashed(name: &str) -> String {
    if name.len() == 1 {
        format!("-{name}")
    } else {
        format!("--{name}")
    }
}
