//! CAR files in and out.

use std::io::{BufReader, Read, Write};
use std::thread;

use ipfs_kit_blockstore::block::{Block, BlockError, MAX_BLOCK_LEN};
use ipfs_kit_blockstore::car::{CarError, CarLimits, CarReader, CarWriter, Section};
use ipfs_kit_blockstore::hash;
use ipfs_kit_blockstore::store::Guard;
use ipfs_kit_unixfs::{DagWalk, Step, Steps};

use super::{CarImport, CarImportEvent, CarImportReport, CarImportRoot};
use crate::error::{Emit, Error, Result};
use crate::fetch::Reach;
use crate::node::Node;
use crate::pins::PinAdd;

/// Bytes of blocks that are hashed and stored in one step.
const BATCH_BYTES: usize = 4 << 20;

/// Size of the buffer over an input, in bytes.
const READ_BUFFER: usize = 1 << 20;

pub(super) fn export(
    node: &Node,
    path: &str,
    output: &mut dyn Write,
    local_only: bool,
    emit: Emit<'_, u64>,
) -> Result<()> {
    let root = node.resolve(path)?;
    let node = &if local_only {
        node.offline()
    } else {
        node.fetching(Reach::Ahead(vec![root.clone()]))
    };
    // Nothing is written for a root that is not here: an empty CAR would look like success.
    node.block(&root)?;
    let mut car = CarWriter::new(output, std::slice::from_ref(&root)).map_err(Error::Output)?;
    let mut written = 0;
    let mut walk = DagWalk::new(root);
    loop {
        match walk.step()? {
            Step::Done => break,
            Step::Need(cid) => {
                node.cancel().check()?;
                match node.block(&cid) {
                    Err(Error::NotFound(_)) if local_only => {
                        walk.skip();
                    }
                    block => walk.supply(&cid, block?)?,
                }
            }
            Step::Item(visit) => {
                if let Some(block) = visit.block {
                    car.put(&visit.cid, &block).map_err(Error::Output)?;
                    written += block.len() as u64;
                    emit(written).map_err(Error::Output)?;
                }
            }
        }
    }
    car.finish().map_err(Error::Output)?;
    Ok(())
}

pub(super) fn import(
    node: &Node,
    inputs: &mut dyn Iterator<Item = Box<dyn Read + Send>>,
    options: &CarImport,
    emit: Emit<'_, CarImportEvent>,
) -> Result<CarImportReport> {
    let mut report = CarImportReport::default();
    let guard = node.store().guard();
    for input in inputs {
        import_one(node, &guard, input, options, &mut report, emit)?;
    }
    node.store().sync()?;
    if options.pin_roots && !options.local_only {
        for root in &mut report.roots {
            let path = [root.cid.to_string()];
            root.pin_error = node
                .pins()
                .add(&path, &PinAdd::default(), &mut |_| Ok(()))
                .err();
            node.cancel().check()?;
        }
    } else {
        // A header may name roots whose blocks the file does not have.
        let roots = report.roots.iter().map(|root| root.cid.clone());
        let present = roots.filter(|root| node.local_block(root).is_ok());
        node.announce(&present.collect::<Vec<_>>(), false);
    }
    Ok(report)
}

fn import_one(
    node: &Node,
    guard: &Guard,
    input: Box<dyn Read + Send>,
    options: &CarImport,
    report: &mut CarImportReport,
    emit: Emit<'_, CarImportEvent>,
) -> Result<()> {
    let input = BufReader::with_capacity(READ_BUFFER, input);
    let mut reader = CarReader::new(input, CarLimits::default())?;
    for root in reader.roots() {
        if !report.roots.iter().any(|known| known.cid == *root) {
            report.roots.push(CarImportRoot {
                cid: root.clone(),
                pin_error: None,
            });
        }
    }
    let mut batch = Vec::new();
    let mut batch_bytes = 0;
    loop {
        let section = reader.next_section()?;
        let at_end = section.is_none();
        if let Some(section) = section {
            if section.data.len() > MAX_BLOCK_LEN && !options.allow_big {
                return Err(Error::BlockTooBig);
            }
            report.blocks += 1;
            report.bytes += section.data.len() as u64;
            batch_bytes += section.data.len();
            batch.push(section);
        }
        if batch_bytes >= BATCH_BYTES || (at_end && !batch.is_empty()) {
            node.cancel().check()?;
            let blocks = verify(std::mem::take(&mut batch))?;
            node.put(guard, &blocks)?;
            batch_bytes = 0;
            let (blocks, bytes) = (report.blocks, report.bytes);
            emit(CarImportEvent::Progress { blocks, bytes }).map_err(Error::Output)?;
        }
        if at_end {
            return Ok(());
        }
    }
}

/// Checks sections against their CIDs, on two threads when there is work for them.
fn verify(sections: Vec<Section>) -> Result<Vec<Block>> {
    let (first, second) = sections.split_at(sections.len() / 2);
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(|| check(first));
        let here = check(second);
        (other.join(), here)
    });
    first.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    second?;
    Ok(sections
        .into_iter()
        .filter(|section| !section.cid.hash().is_identity())
        .map(|section| Block::trusted(section.cid, section.data))
        .collect())
}

fn check(sections: &[Section]) -> Result<()> {
    for section in sections {
        hash::verify(&section.cid, &section.data).map_err(|error: BlockError| {
            Error::Car(CarError::Block {
                offset: section.offset,
                error,
            })
        })?;
    }
    Ok(())
}
