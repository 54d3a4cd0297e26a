//! `multibase`: data in text of many alphabets.

use std::io::Write as _;

use ipfs_kit_node::cid::{Base, decode_multibase};

use super::{cid, whole};
use crate::bases;
use crate::command::{Argument, Command, Opt, Reply, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;

/// `ipfs-kit multibase`
pub const COMMAND: Command = Command {
    name: "multibase",
    tagline: "Encode and decode files or stdin with multibase format",
    subcommands: &[&ENCODE, &DECODE, &TRANSCODE, &LIST],
    ..Command::EMPTY
};

const BASE: &[Opt] = &[Opt::text(&["b"], "multibase encoding").default("base64url")];

const ENCODE: Command = Command {
    name: "encode",
    tagline: "Encode data into multibase string",
    about: "This command expects a file name or data provided via stdin.\n\
            \n\
            \x20 > echo hello | ipfs-kit multibase encode -b base16\n\
            \x20 f68656c6c6f0a",
    arguments: &[Argument::file("file", "data to encode")],
    options: BASE,
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Anywhere(encode)),
    ..Command::EMPTY
};

const DECODE: Command = Command {
    name: "decode",
    tagline: "Decode multibase string",
    about: "This command expects multibase inside of a file or via stdin:\n\
            \n\
            \x20 > echo -n f68656c6c6f | ipfs-kit multibase decode\n\
            \x20 hello",
    arguments: &[Argument::file("encoded_file", "encoded data to decode")],
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Anywhere(decode)),
    ..Command::EMPTY
};

const TRANSCODE: Command = Command {
    name: "transcode",
    tagline: "Transcode multibase string between bases",
    about: "This command expects multibase inside of a file or via stdin:\n\
            \n\
            \x20 > echo -n uaGVsbG8 | ipfs-kit multibase transcode -b base16\n\
            \x20 f68656c6c6f",
    arguments: &[Argument::file("encoded_file", "encoded data to decode")],
    options: BASE,
    reply: Reply::Bytes("text/plain"),
    run: Some(Run::Anywhere(transcode)),
    ..Command::EMPTY
};

const LIST: Command = Command {
    name: "list",
    ..cid::BASES
};

/// Input that is encoded whole in memory, in bytes.
const MAX_INPUT: u64 = 256 << 20;
/// The same for bases whose cost grows with the square of the length.
const MAX_INPUT_SLOW: u64 = 64 << 10;

fn input(invocation: &Invocation, limit: u64) -> Result<Vec<u8>, Failure> {
    whole::read_one(
        invocation,
        limit,
        "the data is too long for this base: use one of 2, 16, 32 or 64",
    )
}

fn limit(base: Base) -> u64 {
    match base {
        Base::Base10
        | Base::Base36Lower
        | Base::Base36Upper
        | Base::Base45
        | Base::Base58Btc
        | Base::Base58Flickr => MAX_INPUT_SLOW,
        _ => MAX_INPUT,
    }
}

fn base_of(invocation: &Invocation) -> Result<Base, Failure> {
    bases::by_name(&invocation.text("b").unwrap_or_default())
}

fn encode(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = base_of(invocation)?;
    let data = input(invocation, limit(base))?;
    write_encoded(invocation, base, &data)
}

fn write_encoded(invocation: &mut Invocation, base: Base, data: &[u8]) -> Result<(), Failure> {
    let mut prefix = [0; 4];
    if base != Base::Identity {
        invocation
            .out
            .write_all(base.code().encode_utf8(&mut prefix).as_bytes())?;
        invocation.out.write_all(base.encode(data).as_bytes())?;
    } else {
        // The identity base is the data itself behind a zero byte, and need not be text.
        invocation.out.write_all(&[0])?;
        invocation.out.write_all(data)?;
    }
    Ok(())
}

fn decoded(invocation: &Invocation) -> Result<Vec<u8>, Failure> {
    let data = input(invocation, MAX_INPUT)?;
    if let Some(rest) = data.strip_prefix(&[0]) {
        return Ok(rest.to_vec());
    }
    let failed =
        |reason: &str| Failure::failed(format_args!("failed to decode multibase: {reason}"));
    let text = std::str::from_utf8(&data).map_err(|_| failed("the input is not UTF-8"))?;
    let first = text
        .chars()
        .next()
        .ok_or_else(|| failed("cannot decode multibase for zero length string"))?;
    let base = bases::by_prefix(first)
        .ok_or_else(|| failed(&format!("no multibase has the prefix {first:?}")))?;
    if text.len() as u64 > limit(base).saturating_mul(4) {
        return Err(failed("the input is too long for this base"));
    }
    let (_, bytes) = decode_multibase(text).map_err(|error| failed(&error.to_string()))?;
    Ok(bytes)
}

fn decode(invocation: &mut Invocation) -> Result<(), Failure> {
    let data = decoded(invocation)?;
    invocation.out.write_all(&data)?;
    Ok(())
}

fn transcode(invocation: &mut Invocation) -> Result<(), Failure> {
    let base = base_of(invocation)?;
    let data = decoded(invocation)?;
    if data.len() as u64 > limit(base) {
        return Err(Failure::failed(format_args!(
            "the data is longer than {} bytes: use a base of 2, 16, 32 or 64",
            limit(base)
        )));
    }
    write_encoded(invocation, base, &data)
}
