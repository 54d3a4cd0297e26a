use super::node::{Part, fitting, spec_of};
use super::{BlockAccess, EditError, FileEditor};
use crate::options::CidSpec;

impl FileEditor {
    /// Keeps the first `len` bytes, fewer than there are.
    pub(super) fn cut<S: BlockAccess>(
        &self,
        store: &mut S,
        part: Part,
        len: u64,
        depth: usize,
    ) -> Result<Part, S::Error> {
        let mut node = match part {
            Part::Raw { cid, data } => {
                let data = data.slice(..usize::try_from(len).unwrap_or(usize::MAX).min(data.len()));
                let spec = spec_of(&cid).and_then(|spec| fitting(spec, data.len()));
                let cid = spec.and_then(|spec| spec.cid(cid.codec(), &data));
                let cid = cid.map_err(EditError::from)?;
                return Ok(Part::Raw { cid, data });
            }
            Part::Node(node) => node,
        };
        let inline = node.inline().len() as u64;
        if node.children.is_empty() || len < inline {
            if let Some(data) = &mut node.message.data {
                data.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            }
            // boxo makes a new node of a leaf that it cuts, and forgets how the old one was named.
            node.spec = CidSpec::V0;
            node.children.clear();
            self.touch(&mut node.message);
            node.resized();
            return Ok(Part::Node(node));
        }
        let mut start = inline;
        // The first part that does not stay whole; a part of which nothing stays leaves an empty one.
        let last = node.children.iter().position(|child| {
            let end = start + child.file_size;
            let cut = len < end;
            if !cut {
                start = end;
            }
            cut
        });
        if let Some(last) = last {
            let child = self.load(store, &node.children[last], depth)?;
            let mut child = self.cut(store, child, len - start, depth + 1)?;
            node.children.truncate(last);
            node.push(child.write(store)?);
        }
        Ok(Part::Node(node))
    }
}
