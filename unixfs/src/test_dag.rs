//! Blocks in memory for tests, and ways to make DAGs that no importer would make.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use ipfs_kit_blockstore::cid::{Cid, Multihash};
use ipfs_kit_blockstore::codec::dag_pb::{PbLink, PbNode};
use ipfs_kit_blockstore::{Block, HashSpec, codec};

use crate::directory::DirectoryBuilder;
use crate::hamt::Fanout;
use crate::node::{Kind, UnixFs};
use crate::{DirectoryOptions, ReadError, Steps, run};

/// A block store that remembers what it was asked for.
#[derive(Default)]
pub(crate) struct Dag {
    blocks: BTreeMap<Cid, Bytes>,
    asked: RefCell<Vec<Cid>>,
}

impl Dag {
    pub(crate) fn put(&mut self, codec: u64, data: impl Into<Bytes>) -> Cid {
        let data = data.into();
        let cid = Cid::v1(codec, HashSpec::SHA2_256.digest(&data).unwrap());
        self.blocks.insert(cid.clone(), data);
        cid
    }

    pub(crate) fn put_block(&mut self, block: Block) {
        let (cid, data) = block.into_parts();
        self.blocks.insert(cid, data);
    }

    pub(crate) fn raw(&mut self, data: &[u8]) -> Cid {
        self.put(codec::RAW, data.to_vec())
    }

    /// A node with links in the given order, whatever their names.
    pub(crate) fn node(&mut self, message: &UnixFs, links: Vec<PbLink>) -> Cid {
        let mut block = Vec::new();
        links.iter().for_each(|link| link.write_to(&mut block));
        codec::dag_pb::write_data(&message.encode(), &mut block);
        self.put(codec::DAG_PB, block)
    }

    /// A file node: bytes of its own and children with their sizes.
    pub(crate) fn file(&mut self, inline: &[u8], children: &[(Cid, u64)]) -> Cid {
        let mut message = UnixFs::new(Kind::File);
        message.data = (!inline.is_empty()).then(|| Bytes::copy_from_slice(inline));
        message.block_sizes = children.iter().map(|(_, size)| *size).collect();
        message.file_size = Some(inline.len() as u64 + message.block_sizes.iter().sum::<u64>());
        let links = children
            .iter()
            .map(|(cid, size)| link(cid, None, *size))
            .collect();
        self.node(&message, links)
    }

    /// A directory in one block, with its entries in the given order.
    pub(crate) fn directory(&mut self, entries: &[(&[u8], &Cid)]) -> Cid {
        let links = entries
            .iter()
            .map(|(name, cid)| link(cid, Some(name), 1))
            .collect();
        self.node(&UnixFs::new(Kind::Directory), links)
    }

    pub(crate) fn symlink(&mut self, target: &[u8]) -> Cid {
        let mut message = UnixFs::new(Kind::Symlink);
        message.data = Some(Bytes::copy_from_slice(target));
        self.node(&message, Vec::new())
    }

    /// A sharded directory.
    pub(crate) fn sharded(&mut self, fanout: u64, entries: &[(Vec<u8>, Cid)]) -> Cid {
        let options = DirectoryOptions {
            fanout: Fanout::new(fanout).unwrap(),
            threshold: 1,
            ..DirectoryOptions::default()
        };
        let mut builder = DirectoryBuilder::new(options);
        for (name, cid) in entries {
            builder.insert(name, cid.clone(), 1).unwrap();
        }
        builder
            .finish(&mut |block| self.put_block(block))
            .unwrap()
            .cid
    }

    pub(crate) fn get(&self, cid: &Cid) -> Bytes {
        self.blocks
            .get(cid)
            .unwrap_or_else(|| panic!("no block {cid}"))
            .clone()
    }

    /// Runs a machine to its end.
    pub(crate) fn run<M: Steps>(&self, mut machine: M) -> Result<Vec<M::Item>, ReadError> {
        self.drive(&mut machine)
    }

    pub(crate) fn drive<M: Steps>(&self, machine: &mut M) -> Result<Vec<M::Item>, ReadError> {
        let mut items = Vec::new();
        let source = |cid: &Cid| {
            self.asked.borrow_mut().push(cid.clone());
            Ok::<_, ReadError>(self.get(cid))
        };
        run(machine, source, |item| {
            items.push(item);
            Ok(())
        })?;
        Ok(items)
    }

    /// The blocks that were asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<Cid> {
        self.asked.take()
    }
}

pub(crate) fn link(cid: &Cid, name: Option<&[u8]>, tsize: u64) -> PbLink {
    PbLink {
        cid: cid.clone(),
        name: name.map(Bytes::copy_from_slice),
        tsize: Some(tsize),
    }
}

/// A CID of no block.
pub(crate) fn nowhere() -> Cid {
    Cid::v1(codec::RAW, Multihash::sha2_256(&[7; 32]))
}

pub(crate) fn pb(links: Vec<PbLink>, data: Option<&'static [u8]>) -> Vec<u8> {
    let data = data.map(Bytes::from_static);
    PbNode { links, data }.encode()
}
