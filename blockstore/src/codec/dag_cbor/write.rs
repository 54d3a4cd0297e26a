//! Writing dag-cbor.

use crate::codec::value::{MAX_DEPTH, Value};

use super::{CborError, LINK_TAG};

/// Encodes a value in the canonical form: map keys sorted by length and bytes, the shortest
/// integers, 64-bit floats.
///
/// # Errors
/// [`CborError`] when the value is nested too deep, has a key twice, or holds a number that
/// dag-cbor cannot say.
pub fn encode(value: &Value) -> Result<Vec<u8>, CborError> {
    let mut out = Vec::new();
    write(value, true, 0, &mut out)?;
    Ok(out)
}

/// Encodes a value without links as cbor; maps keep their order.
///
/// # Errors
/// As [`encode`], and [`CborError::NoLinks`].
pub fn encode_plain(value: &Value) -> Result<Vec<u8>, CborError> {
    let mut out = Vec::new();
    write(value, false, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, dag: bool, depth: usize, out: &mut Vec<u8>) -> Result<(), CborError> {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Int(int) => write_int(*int, out)?,
        Value::Float(float) if float.is_finite() => {
            out.push(0xfb);
            out.extend_from_slice(&float.to_be_bytes());
        }
        Value::Float(_) => return Err(CborError::NotFinite),
        Value::String(text) => {
            write_head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            write_head(2, bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Value::List(values) => {
            enter(depth)?;
            write_head(4, values.len() as u64, out);
            for value in values {
                write(value, dag, depth + 1, out)?;
            }
        }
        Value::Map(entries) => {
            enter(depth)?;
            write_map(entries, dag, depth, out)?;
        }
        Value::Link(_) if !dag => return Err(CborError::NoLinks),
        Value::Link(cid) => {
            write_head(6, LINK_TAG, out);
            write_head(2, cid.encoded_len() as u64 + 1, out);
            out.push(0);
            cid.write_to(out);
        }
    }
    Ok(())
}

fn write_map(
    entries: &[(String, Value)],
    dag: bool,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), CborError> {
    let mut sorted: Vec<&(String, Value)> = entries.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(CborError::DuplicateKey(pair[0].0.clone()));
    }
    write_head(5, entries.len() as u64, out);
    for (at, entry) in entries.iter().enumerate() {
        let (key, value) = if dag { sorted[at] } else { entry };
        write_head(3, key.len() as u64, out);
        out.extend_from_slice(key.as_bytes());
        write(value, dag, depth + 1, out)?;
    }
    Ok(())
}

fn write_int(int: i128, out: &mut Vec<u8>) -> Result<(), CborError> {
    let (major, argument) = if int < 0 { (1, -1 - int) } else { (0, int) };
    let argument = u64::try_from(argument).map_err(|_| CborError::IntRange(int))?;
    write_head(major, argument, out);
    Ok(())
}

/// A major type with its argument in the shortest form.
pub(crate) fn write_head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match argument {
        0..=0x17 => out.push(major | argument as u8),
        0x18..=0xff => out.extend_from_slice(&[major | 0x18, argument as u8]),
        0x100..=0xffff => {
            out.push(major | 0x19);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 0x1a);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 0x1b);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

const fn enter(depth: usize) -> Result<(), CborError> {
    if depth < MAX_DEPTH {
        Ok(())
    } else {
        Err(CborError::TooDeep)
    }
}
