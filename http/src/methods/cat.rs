//! `cat`: the content of files.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use ipfs_kit_node::{FileStream, Node};

use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::host::{Bar, Counting};
use crate::invocation::Invocation;

/// `ipfs-kit cat`
pub const COMMAND: Command = Command {
    name: "cat",
    tagline: "Show IPFS object data",
    about: "Displays the data contained by the files at the given paths, one after the other.\n\
            --offset and --length count over all of them.",
    arguments: &[Argument::line(
        "ipfs-path",
        "The path to the IPFS object(s) to be outputted",
    )
    .many()],
    options: &[
        Opt::int(&["offset", "o"], "Byte offset to begin reading from").wide(),
        Opt::int(&["length", "l"], "Maximum number of bytes to read").wide(),
        Opt::flag(
            &["progress", "p"],
            "Show progress; by default when stderr is a terminal",
        ),
    ],
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Node(run)),
    ..Command::EMPTY
};

/// Below this the output is there before a bar could be read.
const BAR_FROM: u64 = 8 << 20;

fn run(invocation: &mut Invocation) -> Result<(), Failure> {
    let mut offset = invocation.size("offset")?.unwrap_or(0);
    let length = invocation.size("length")?;
    let paths = invocation.arguments()?;
    let node = invocation.node()?;
    // All of them are opened before the first byte goes out: a wrong path spoils no output.
    let mut parts: Vec<(Part, u64)> = Vec::new();
    let mut left = length.unwrap_or(u64::MAX);
    let mut whole = 0;
    for path in &paths {
        if left == 0 {
            break;
        }
        let mut part = Part::open(&node, path)?;
        let size = part.size();
        whole += size;
        if offset >= size && size > 0 {
            offset -= size;
            continue;
        }
        part.skip(offset)?;
        let wanted = (size - offset.min(size)).min(left);
        offset = 0;
        left -= wanted;
        parts.push((part, wanted));
    }
    let total: u64 = parts.iter().map(|(_, wanted)| wanted).sum();
    invocation.out.set_length(total, whole);
    // Of nothing too: it is content and no list.
    invocation.out.write_all(&[])?;
    let bar = (total >= BAR_FROM)
        .then(|| invocation.bar(Counting::Bytes(Some(total))))
        .flatten();
    for (part, wanted) in &mut parts {
        let mut output = Counted {
            inner: &mut invocation.out,
            bar: bar.as_deref(),
        };
        part.copy_to(&mut output, *wanted)?;
    }
    invocation.out.flush()?;
    invocation.close(node)?;
    Ok(())
}

/// One of the objects to show.
enum Part {
    File(FileStream),
    /// The target of a symbolic link, which Kubo shows as its content.
    Link(Cursor<Vec<u8>>),
}

impl Part {
    fn open(node: &Node, path: &str) -> Result<Part, Failure> {
        match node.files().cat(path) {
            Ok(file) => Ok(Part::File(file)),
            Err(ipfs_kit_node::Error::Read(error)) => match node.files().stat(path)?.target {
                Some(target) => Ok(Part::Link(Cursor::new(target))),
                None => Err(Failure::failed(error)),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn size(&self) -> u64 {
        match self {
            Part::File(file) => file.size(),
            Part::Link(target) => target.get_ref().len() as u64,
        }
    }

    fn skip(&mut self, offset: u64) -> Result<(), Failure> {
        let skipped = match self {
            Part::File(file) => file.seek(SeekFrom::Start(offset)),
            Part::Link(target) => target.seek(SeekFrom::Start(offset)),
        };
        skipped.map(drop).map_err(Failure::failed)
    }

    fn copy_to(&mut self, output: &mut dyn Write, length: u64) -> Result<(), Failure> {
        match self {
            Part::File(file) => drop(file.copy_to(output, Some(length))?),
            Part::Link(target) => drop(io::copy(&mut target.take(length), &mut &mut *output)?),
        }
        Ok(())
    }
}

/// Tells a bar what passes.
struct Counted<'a, W> {
    /// Where the bytes go.
    inner: &'a mut W,
    /// The bar, if there is one.
    bar: Option<&'a dyn Bar>,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        if let Some(bar) = self.bar {
            bar.advance(written as u64);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
