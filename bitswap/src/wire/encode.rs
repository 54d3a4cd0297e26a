//! [`Outgoing`] to pieces of bytes.

use bytes::Bytes;
use ipfs_kit_blockstore::{Cid, Version, varint};

use super::{Outgoing, Protocol, WantEntry, WantKind};

impl Outgoing {
    /// The message with its length in front, as pieces to be written one after the other. Block
    /// data are the same bytes, not copies.
    ///
    /// Older protocols cannot say everything: presences are left out below 1.2, a want-have
    /// becomes a want-block, and 1.0 carries only blocks with CIDv0.
    #[must_use]
    pub fn encode(&self, protocol: Protocol) -> Vec<Bytes> {
        let wantlist = self.encode_wantlist(protocol);
        let mut tail = Vec::new();
        if protocol == Protocol::V1_2 {
            self.encode_presences(&mut tail);
        }
        let blocks = self.blocks.iter().filter_map(|(cid, data)| {
            let mut head = Vec::with_capacity(24);
            match protocol {
                Protocol::V1_0 if cid.version() == Version::V1 => return None,
                Protocol::V1_0 => put_len(2, data.len(), &mut head),
                _ => put_payload_head(cid, data.len(), &mut head),
            }
            Some((head, data))
        });
        let blocks = blocks.collect::<Vec<_>>();

        let body = wantlist.len() + tail.len();
        let body = blocks
            .iter()
            .fold(body, |len, (head, data)| len + head.len() + data.len());
        let mut pieces = Vec::with_capacity(2 * blocks.len() + 2);
        let mut open = Vec::with_capacity(4 + wantlist.len() + 24);
        varint::write(body as u64, &mut open);
        open.extend_from_slice(&wantlist);
        for (head, data) in blocks {
            open.extend_from_slice(&head);
            pieces.push(Bytes::from(std::mem::take(&mut open)));
            if !data.is_empty() {
                pieces.push(data.clone());
            }
        }
        open.extend_from_slice(&tail);
        if !open.is_empty() {
            pieces.push(Bytes::from(open));
        }
        pieces
    }

    fn encode_wantlist(&self, protocol: Protocol) -> Vec<u8> {
        let mut list = Vec::with_capacity(self.wants.len() * 48);
        let mut entry = Vec::with_capacity(64);
        for want in &self.wants {
            entry.clear();
            put_entry(want, protocol, &mut entry);
            put_bytes(1, &entry, &mut list);
        }
        if self.full {
            put_varint(2, 1, &mut list);
        }
        let mut field = Vec::with_capacity(list.len() + 5);
        if !list.is_empty() {
            put_bytes(1, &list, &mut field);
        }
        field
    }

    fn encode_presences(&self, out: &mut Vec<u8>) {
        let (mut presence, mut bytes) = (Vec::with_capacity(48), Vec::with_capacity(40));
        for (cid, have) in &self.presences {
            presence.clear();
            bytes.clear();
            cid.write_to(&mut bytes);
            put_bytes(1, &bytes, &mut presence);
            if !have {
                put_varint(2, 1, &mut presence);
            }
            put_bytes(4, &presence, out);
        }
        if self.pending_bytes != 0 {
            put_varint(5, i64::from(self.pending_bytes) as u64, out);
        }
    }
}

fn put_entry(want: &WantEntry, protocol: Protocol, out: &mut Vec<u8>) {
    put_len(1, want.cid.encoded_len(), out);
    want.cid.write_to(out);
    if want.priority != 0 {
        put_varint(2, i64::from(want.priority) as u64, out);
    }
    if want.cancel {
        put_varint(3, 1, out);
    }
    if protocol == Protocol::V1_2 {
        if want.kind == WantKind::Have {
            put_varint(4, 1, out);
        }
        if want.send_dont_have {
            put_varint(5, 1, out);
        }
    }
}

fn put_payload_head(cid: &Cid, data_len: usize, out: &mut Vec<u8>) {
    let mut prefix = Vec::with_capacity(12);
    let version = match cid.version() {
        Version::V0 => 0,
        Version::V1 => 1,
    };
    varint::write(version, &mut prefix);
    varint::write(cid.codec(), &mut prefix);
    varint::write(cid.hash().code(), &mut prefix);
    varint::write(cid.hash().digest().len() as u64, &mut prefix);
    let payload = 1 + varint::len(prefix.len() as u64) + prefix.len();
    let payload = payload + 1 + varint::len(data_len as u64) + data_len;
    put_len(3, payload, out);
    put_bytes(1, &prefix, out);
    put_len(2, data_len, out);
}

fn put_len(field: u64, len: usize, out: &mut Vec<u8>) {
    varint::write(field << 3 | 2, out);
    varint::write(len as u64, out);
}

fn put_bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    put_len(field, bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_varint(field: u64, value: u64, out: &mut Vec<u8>) {
    varint::write(field << 3, out);
    varint::write(value, out);
}
