use bytes::{Bytes, BytesMut};

use super::node::{Part, fitting, spec_of};
use super::{BlockAccess, EditError, FileEditor};

impl FileEditor {
    /// Writes over what is there, as much of `data` as there is room for; what is left of it is left there.
    pub(super) fn overwrite<S: BlockAccess>(
        &self,
        store: &mut S,
        part: Part,
        offset: u64,
        data: &mut &[u8],
        depth: usize,
    ) -> Result<Part, S::Error> {
        let mut node = match part {
            Part::Raw { cid, data: old } => {
                let new = patch(&old, offset, data);
                if new == old {
                    return Ok(Part::Raw { cid, data: old });
                }
                let spec = spec_of(&cid).and_then(|spec| fitting(spec, new.len()));
                let cid = spec.and_then(|spec| spec.cid(cid.codec(), &new));
                return Ok(Part::Raw {
                    cid: cid.map_err(EditError::from)?,
                    data: new,
                });
            }
            Part::Node(node) => node,
        };
        let inline = node.inline().len() as u64;
        let mut offset = offset;
        if let Some(old) = &node.message.data
            && offset < inline
        {
            let new = patch(old, offset, data);
            node.message.data = Some(new);
            node.changed();
            offset = inline;
        }
        if node.children.is_empty() {
            self.touch(&mut node.message);
            node.changed();
            return Ok(Part::Node(node));
        }
        let mut start = inline;
        for at in 0..node.children.len() {
            let end = start + node.children[at].file_size;
            if data.is_empty() {
                break;
            }
            if end > offset {
                let child = self.load(store, &node.children[at], depth)?;
                let mut child = self.overwrite(store, child, offset - start, data, depth + 1)?;
                // The sizes are those that were: only bytes changed.
                node.children[at].cid = child.write(store)?.cid;
                node.changed();
                offset = end;
            }
            start = end;
        }
        Ok(Part::Node(node))
    }
}

fn patch(old: &Bytes, offset: u64, data: &mut &[u8]) -> Bytes {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(old.len());
    let len = data.len().min(old.len() - offset);
    if len == 0 {
        return old.clone();
    }
    let mut new = BytesMut::from(&old[..]);
    new[offset..offset + len].copy_from_slice(&data[..len]);
    *data = &data[len..];
    new.freeze()
}
