//! Writing a DAG to the local disk or as an archive.

use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_unixfs::{Mtime, TarReader, run};

use super::FileStream;
use crate::error::{Emit, Error, Result};
use crate::export::{ExportError, ExportOptions, export};
use crate::fetch::Reach;
use crate::node::Node;

/// Bytes between two calls with the count.
const TELL_EVERY: u64 = 1 << 20;

/// See [`super::Files::get`].
pub fn to_disk(node: &Node, path: &str, target: &Path, emit: Emit<'_, u64>) -> Result<()> {
    let root = node.resolve(path)?;
    let node = &node.fetching(Reach::Ahead(vec![root.clone()]));
    let name = name_of(path, &root);
    let source = |cid: &Cid| -> std::result::Result<_, Box<dyn std::error::Error + Send + Sync>> {
        node.cancel().check().map_err(Error::from)?;
        Ok(node.block(cid)?)
    };
    export(
        &root,
        name.as_bytes(),
        target,
        &ExportOptions::default(),
        &source,
        emit,
    )
    .map_err(own_error)?;
    Ok(())
}

/// An error of our own block source comes back as what it was.
fn own_error(error: ExportError) -> Error {
    match error {
        ExportError::Block { cid, source } => match source.downcast::<Error>() {
            Ok(own) => *own,
            Err(source) => ExportError::Block { cid, source }.into(),
        },
        ExportError::Progress(source) => Error::Output(source),
        error => error.into(),
    }
}

/// See [`super::Files::get_tar`].
pub fn as_tar(
    node: &Node,
    path: &str,
    name: Option<&str>,
    gzip: Option<u32>,
    output: &mut dyn Write,
    emit: Emit<'_, u64>,
) -> Result<()> {
    let root = node.resolve(path)?;
    let node = &node.fetching(Reach::Ahead(vec![root.clone()]));
    let name = name.map_or_else(|| name_of(path, &root), str::to_owned);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let now = Mtime {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanos: now.subsec_nanos(),
    };
    let mut tar = TarReader::new(root, name.as_bytes(), now)?;
    let mut counted = Counted {
        output: Compressed::new(output, gzip)?,
        count: 0,
        told: 0,
        emit,
    };
    run::<_, Error>(
        &mut tar,
        |cid| {
            node.cancel().check()?;
            node.block(cid)
        },
        |piece| counted.write(&piece),
    )?;
    counted.finish()
}

/// See [`super::Files::get_gzip`].
pub fn as_gzip(
    node: &Node,
    path: &str,
    level: u32,
    output: &mut dyn Write,
    emit: Emit<'_, u64>,
) -> Result<()> {
    let root = node.resolve(path)?;
    let node = &node.fetching(Reach::Ahead(vec![root.clone()]));
    let mut stream = FileStream::open(node, root)?;
    let mut counted = Counted {
        output: Compressed::new(output, Some(level))?,
        count: 0,
        told: 0,
        emit,
    };
    while stream.copy_to(&mut Piecewise(&mut counted), Some(TELL_EVERY))? > 0 {}
    counted.finish()
}

/// The last segment of a path, or the CID when there is none.
fn name_of(path: &str, root: &Cid) -> String {
    match path.parse::<crate::resolve::ParsedPath>() {
        Ok(parsed) => parsed
            .segments
            .last()
            .cloned()
            .unwrap_or_else(|| parsed.root.to_string()),
        Err(_) => {
            let last = path.rsplit('/').find(|segment| !segment.is_empty());
            last.map_or_else(|| root.to_string(), str::to_owned)
        }
    }
}

enum Compressed<'a> {
    Plain(&'a mut dyn Write),
    Gzip(GzEncoder<&'a mut dyn Write>),
}

impl<'a> Compressed<'a> {
    fn new(output: &'a mut dyn Write, gzip: Option<u32>) -> Result<Self> {
        match gzip {
            None => Ok(Self::Plain(output)),
            Some(level @ 0..=9) => Ok(Self::Gzip(GzEncoder::new(output, Compression::new(level)))),
            Some(level) => {
                let reason = format!("compression level must be between 1 and 9, not {level}");
                Err(Error::BadOption {
                    option: "compression-level",
                    reason,
                })
            }
        }
    }
}

/// Tells how much has been written.
struct Counted<'a> {
    output: Compressed<'a>,
    count: u64,
    told: u64,
    emit: Emit<'a, u64>,
}

impl Counted<'_> {
    fn write(&mut self, piece: &[u8]) -> Result<()> {
        match &mut self.output {
            Compressed::Plain(output) => output.write_all(piece),
            Compressed::Gzip(output) => output.write_all(piece),
        }
        .map_err(Error::Output)?;
        self.count += piece.len() as u64;
        if self.count - self.told >= TELL_EVERY {
            self.told = self.count;
            (self.emit)(self.count).map_err(Error::Output)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self.output {
            Compressed::Plain(output) => output.flush(),
            Compressed::Gzip(output) => output.finish().and_then(Write::flush),
        }
        .map_err(Error::Output)?;
        (self.emit)(self.count).map_err(Error::Output)
    }
}

struct Piecewise<'a, 'b>(&'a mut Counted<'b>);

impl Write for Piecewise<'_, '_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0.write(piece).map_err(io::Error::other)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
