use bytes::Bytes;
use ipfs_kit_blockstore::hash::HashError;
use ipfs_kit_blockstore::{Block, Cid, HashFunction, HashSpec, Version, codec};

use super::{BlockAccess, EditError};
use crate::links::{Root, put_link};
use crate::node::{Kind, Mtime, UnixFs};
use crate::opened::{Opened, file_size};
use crate::options::{CidSpec, MAX_INLINE_LIMIT};
use crate::proto::put_bytes_header;

/// The root or a part of a file.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Raw { cid: Cid, data: Bytes },
    Node(FileNode),
}

/// A dag-pb node of a file.
#[derive(Debug, Clone)]
pub(super) struct FileNode {
    pub(super) spec: CidSpec,
    pub(super) children: Vec<Root>,
    /// Its sizes of parts are those of `children`.
    pub(super) message: UnixFs,
    /// Its block, as long as nothing has changed.
    stored: Option<Root>,
}

impl Part {
    pub(super) fn decode(cid: &Cid, block: Bytes) -> Result<Self, EditError> {
        let block_len = block.len() as u64;
        let (node, message) = match Opened::decode(cid, block)? {
            Opened::Raw(data) => {
                let cid = cid.clone();
                return Ok(Self::Raw { cid, data });
            }
            Opened::Node { node, message } => (node, message),
        };
        if !matches!(message.kind, Kind::File | Kind::Raw) {
            return Err(EditError::NotAFile(message.kind));
        }
        let size = file_size(cid, &node.links, &message)?;
        let sizes = message.block_sizes.iter();
        let children: Vec<Root> = node
            .links
            .into_iter()
            .zip(sizes)
            .map(|(link, &file_size)| Root {
                cid: link.cid,
                file_size,
                tsize: link.tsize.unwrap_or(0),
            })
            .collect();
        let below = children
            .iter()
            .fold(0u64, |sum, child| sum.wrapping_add(child.tsize));
        let stored = Root {
            cid: cid.clone(),
            file_size: size,
            tsize: below.wrapping_add(block_len),
        };
        Ok(Self::Node(FileNode {
            spec: spec_of(cid)?,
            children,
            message,
            stored: Some(stored),
        }))
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Raw { data, .. } => data.len() as u64,
            Self::Node(node) => node.size(),
        }
    }

    /// The leaf that can stand for the whole file.
    pub(super) fn sole_raw_leaf(&self) -> Option<Root> {
        let Self::Node(node) = self else {
            return None;
        };
        let plain = node.message.mtime.is_none()
            && node.message.mode.unwrap_or(0) & 0o7777 == 0
            && node.inline().is_empty();
        match &node.children[..] {
            [only] if plain && only.cid.codec() == codec::RAW => Some(only.clone()),
            _ => None,
        }
    }

    /// Puts the block of this node; what is below is there already.
    pub(super) fn write<S: BlockAccess>(&mut self, store: &mut S) -> Result<Root, S::Error> {
        match self {
            Self::Raw { cid, data } => {
                if !cid.hash().is_identity() {
                    store.put(Block::trusted(cid.clone(), data.clone()))?;
                }
                Ok(Root {
                    cid: cid.clone(),
                    file_size: data.len() as u64,
                    tsize: data.len() as u64,
                })
            }
            Self::Node(node) => node.write(store),
        }
    }
}

impl FileNode {
    /// A node without content.
    pub(super) fn new(spec: CidSpec) -> Self {
        let mut message = UnixFs::new(Kind::File);
        message.file_size = Some(0);
        Self {
            spec,
            children: Vec::new(),
            message,
            stored: None,
        }
    }

    pub(super) fn inline(&self) -> &[u8] {
        self.message.data.as_deref().unwrap_or_default()
    }

    pub(super) fn size(&self) -> u64 {
        let below: u64 = self.children.iter().map(|child| child.file_size).sum();
        self.inline().len() as u64 + below
    }

    /// To be called after a change.
    pub(super) fn changed(&mut self) {
        self.stored = None;
    }

    pub(super) fn push(&mut self, child: Root) {
        self.children.push(child);
        self.resized();
    }

    /// To be called after a change of its length.
    pub(super) fn resized(&mut self) {
        self.message.file_size = Some(self.size());
        self.changed();
    }

    pub(super) fn write<S: BlockAccess>(&mut self, store: &mut S) -> Result<Root, S::Error> {
        if let Some(stored) = &self.stored {
            return Ok(stored.clone());
        }
        let (root, block) = self.encode().map_err(EditError::from)?;
        if let Some(block) = block {
            store.put(block)?;
        }
        self.stored = Some(root.clone());
        Ok(root)
    }

    fn encode(&mut self) -> Result<(Root, Option<Block>), HashError> {
        self.message.block_sizes = self.children.iter().map(|child| child.file_size).collect();
        let mut block = Vec::with_capacity(64 * self.children.len() + self.inline().len() + 64);
        let mut tsize = 0u64;
        for child in &self.children {
            put_link(&mut block, &child.cid, [&[], &[]], child.tsize);
            tsize = tsize.wrapping_add(child.tsize);
        }
        let message = self.message.encode();
        put_bytes_header(&mut block, 1, message.len());
        block.extend_from_slice(&message);
        let tsize = tsize.wrapping_add(block.len() as u64);
        let cid = fitting(self.spec, block.len())?.cid(codec::DAG_PB, &block)?;
        let root = Root {
            cid: cid.clone(),
            file_size: self.size(),
            tsize,
        };
        let stored = !cid.hash().is_identity();
        Ok((root, stored.then(|| Block::trusted(cid, block.into()))))
    }
}

/// How the blocks of a DAG with this root are named.
///
/// # Errors
/// A hash function that is not known.
pub(crate) fn spec_of(cid: &Cid) -> Result<CidSpec, HashError> {
    if cid.version() == Version::V0 {
        return Ok(CidSpec::V0);
    }
    let code = cid.hash().code();
    let function = HashFunction::from_code(code)
        .ok_or_else(|| HashError::UnknownName(format!("0x{code:x}")))?;
    let len = (function != HashFunction::IDENTITY).then(|| cid.hash().digest().len());
    let hash = HashSpec::new(function, len)?;
    Ok(CidSpec::new(Version::V1, hash, None).unwrap_or(CidSpec::V1))
}

/// The same, unless the block is too long to stand in its CID.
pub(super) fn fitting(spec: CidSpec, block_len: usize) -> Result<CidSpec, HashError> {
    if spec.hash().function() == HashFunction::IDENTITY && block_len > MAX_INLINE_LIMIT {
        return Ok(CidSpec::V1);
    }
    Ok(spec)
}

pub(super) fn with_attributes(
    cid: &Cid,
    block: Bytes,
    change: &mut dyn FnMut(&mut Option<u32>, &mut Option<Mtime>),
) -> Result<(Root, Option<Block>), EditError> {
    let mut node = match Opened::decode(cid, block.clone())? {
        Opened::Node { message, .. } if message.kind == Kind::Symlink => FileNode {
            spec: spec_of(cid)?,
            children: Vec::new(),
            message,
            stored: None,
        },
        _ => match Part::decode(cid, block)? {
            Part::Node(node) => node,
            Part::Raw { data, .. } => {
                let mut node = FileNode::new(CidSpec::V0);
                node.message.file_size = Some(data.len() as u64);
                node.message.data = Some(data);
                node
            }
        },
    };
    change(&mut node.message.mode, &mut node.message.mtime);
    Ok(node.encode()?)
}
