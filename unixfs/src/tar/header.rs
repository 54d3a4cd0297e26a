//! Headers of tar entries: ustar where it can say everything, else with a PAX header before it.
//! The choice and the bytes are those of Go's `archive/tar`.
//!
//! Spec: <https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html> and
//! <https://www.gnu.org/software/tar/manual/html_node/Standard.html>.

use std::borrow::Cow;

const BLOCK: usize = 512;
const NAME_LEN: usize = 100;
const PREFIX_LEN: usize = 155;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderKind {
    File,
    Directory,
    Symlink,
}

/// One entry. Path and target hold no zero byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) path: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) kind: HeaderKind,
    pub(super) size: u64,
    pub(super) mode: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
}

impl Header<'_> {
    /// All blocks that stand before the content.
    pub(super) fn encode(&self) -> Vec<u8> {
        let split = split_path(self.path);
        let mut records = Vec::new();
        // Sorted by key, as Go writes them.
        let long_target = !self.target.is_ascii() || self.target.len() > NAME_LEN;
        if long_target {
            push_record(&mut records, "linkpath", self.target);
        }
        let odd_mtime = !fits_octal(self.mtime, 12);
        if odd_mtime {
            push_record(&mut records, "mtime", self.mtime.to_string().as_bytes());
        }
        let odd_path = !self.path.is_ascii() || self.path.len() > NAME_LEN;
        if odd_path && (split.is_none() || long_target || odd_mtime || self.is_huge()) {
            push_record(&mut records, "path", self.path);
        }
        if self.is_huge() {
            push_record(&mut records, "size", self.size.to_string().as_bytes());
        }
        if records.is_empty() {
            let (prefix, name) = split.unwrap_or((b"", self.path));
            return self.block(prefix, name, self.target).to_vec();
        }
        let mut out = extended(self.path, &records);
        out.extend_from_slice(&self.block(b"", &to_ascii(self.path), &to_ascii(self.target)));
        out
    }

    /// Whether the size needs more than the eleven octal digits of the field.
    fn is_huge(&self) -> bool {
        i64::try_from(self.size).map_or(true, |size| !fits_octal(size, 12))
    }

    fn block(&self, prefix: &[u8], name: &[u8], target: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put_text(&mut block[0..100], name);
        put_octal(&mut block[100..108], i64::from(self.mode));
        put_octal(&mut block[108..116], 0);
        put_octal(&mut block[116..124], 0);
        put_octal(
            &mut block[124..136],
            i64::try_from(self.size).unwrap_or(i64::MAX),
        );
        put_octal(&mut block[136..148], self.mtime);
        block[156] = match self.kind {
            HeaderKind::File => b'0',
            HeaderKind::Symlink => b'2',
            HeaderKind::Directory => b'5',
        };
        put_text(&mut block[157..257], target);
        put_octal(&mut block[329..337], 0);
        put_octal(&mut block[337..345], 0);
        put_text(&mut block[345..500], prefix);
        seal(&mut block);
        block
    }
}

/// The entry that carries PAX records for the entry after it.
fn extended(path: &[u8], records: &[u8]) -> Vec<u8> {
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..=slash], &path[slash + 1..]),
        None => (&path[..0], path),
    };
    let full = [parent, b"PaxHeaders.0/", name].concat();
    let ascii = to_ascii(&full);
    let mut name = &ascii[..ascii.len().min(NAME_LEN)];
    while let [rest @ .., b'/'] = name {
        name = rest;
    }
    let mut block = [0; BLOCK];
    put_text(&mut block[0..100], name);
    put_octal(&mut block[100..108], 0);
    put_octal(&mut block[108..116], 0);
    put_octal(&mut block[116..124], 0);
    put_octal(&mut block[124..136], records.len() as i64);
    put_octal(&mut block[136..148], 0);
    block[156] = b'x';
    seal(&mut block);
    let mut out = block.to_vec();
    out.extend_from_slice(records);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}

/// Magic, version and checksum.
fn seal(block: &mut [u8; BLOCK]) {
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put_octal(&mut block[148..155], i64::from(sum));
    block[155] = b' ';
}

/// The two parts of a path that the ustar fields for prefix and name can hold, if it is too long
/// for the name alone.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_LEN || !path.is_ascii() {
        return None;
    }
    let slash = path[..path.len().min(PREFIX_LEN + 1)]
        .iter()
        .rposition(|byte| *byte == b'/')?;
    let name = &path[slash + 1..];
    (slash > 0 && !name.is_empty() && name.len() <= NAME_LEN).then(|| (&path[..slash], name))
}

/// `length key=value\n`, where the length counts itself.
fn push_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + digits(rest);
    len = rest + digits(len);
    out.extend_from_slice(format!("{len} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// The path without what is not ASCII, for readers that do not know PAX.
fn to_ascii(path: &[u8]) -> Cow<'_, [u8]> {
    if path.is_ascii() {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.iter().copied().filter(u8::is_ascii).collect())
}

/// As much of the text as the field holds. A regular file whose cut name ends in a slash would be
/// taken for a directory, so such slashes go too.
fn put_text(field: &mut [u8], text: &[u8]) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text[..len]);
    if text.len() > field.len() && field.last() == Some(&b'/') {
        let kept = field[..len - 1]
            .iter()
            .rposition(|byte| *byte != b'/')
            .map_or(0, |at| at + 1);
        field[kept] = 0;
    }
}

/// Octal digits with leading zeros and a final zero byte; zero if the number does not fit.
fn put_octal(field: &mut [u8], number: i64) {
    let number = if fits_octal(number, field.len()) {
        number
    } else {
        0
    };
    let width = field.len() - 1;
    field[..width].copy_from_slice(format!("{number:0width$o}").as_bytes());
    field[width] = 0;
}

fn fits_octal(number: i64, field_len: usize) -> bool {
    (0..1_i64 << (3 * (field_len - 1))).contains(&number)
}

#[cfg(test)]
mod tests;
