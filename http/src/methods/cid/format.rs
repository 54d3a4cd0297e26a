//! `cid format` and `cid base32`: CIDs in another form.

use ipfs_kit_node::cid::{Base, Cid, Version, base_name};
use ipfs_kit_node::{codec, hash};
use schemars::JsonSchema;
use serde::Serialize;

use crate::bases;
use crate::command::{Argument, Command, Opt, Reply, Run, Shape};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::Record;

/// `ipfs-kit cid format`
pub const FORMAT: Command = Command {
    name: "format",
    tagline: "Format and convert a CID in various useful ways",
    about: "For a human-readable breakdown of a CID, see 'ipfs-kit cid inspect'.\n\
            \n\
            The optional format string is a printf style format string:\n\
            \n\
            \x20  %% literal %\n\
            \x20  %b multibase name\n\
            \x20  %B multibase code\n\
            \x20  %v version string\n\
            \x20  %V version number\n\
            \x20  %c codec name\n\
            \x20  %C codec code\n\
            \x20  %h multihash name\n\
            \x20  %H multihash code\n\
            \x20  %L hash digest length\n\
            \x20  %m multihash encoded in base %b (with multibase prefix)\n\
            \x20  %M multihash encoded in base %b without multibase prefix\n\
            \x20  %d hash digest encoded in base %b (with multibase prefix)\n\
            \x20  %D hash digest encoded in base %b without multibase prefix\n\
            \x20  %s cid string encoded in base %b (1)\n\
            \x20  %S cid string encoded in base %b without multibase prefix\n\
            \x20  %P cid prefix: %v-%c-%h-%L\n\
            \n\
            (1) For CID version 0 the multibase must be base58btc and no prefix is used. For CID\n\
            version 1 the multibase prefix is included.",
    arguments: &[Argument::line("cid", "CIDs to format").many()],
    options: &[
        Opt::text(&["f"], "Printf style format string").default("%s"),
        Opt::text(&["v"], "CID version to convert to"),
        Opt::text(&["mc"], "CID multicodec to convert to"),
        Opt::text(&["b"], "Multibase to display CID in"),
    ],
    reply: Reply::Many,
    records: &[Shape::of::<Formatted>()],
    run: Some(Run::Anywhere(run_format)),
    ..Command::EMPTY
};

/// `ipfs-kit cid base32`
pub const BASE32: Command = Command {
    name: "base32",
    tagline: "Convert CIDs to Base32 CID version 1",
    about: "Normalizes passed CIDs to their canonical case-insensitive encoding.",
    arguments: &[Argument::line("cid", "CIDs to convert").many()],
    reply: Reply::Many,
    records: &[Shape::of::<Formatted>()],
    run: Some(Run::Anywhere(run_base32)),
    ..Command::EMPTY
};

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct Formatted {
    cid_str: String,
    formatted: String,
    error_msg: String,
}

impl Record for Formatted {
    const NAME: &'static str = "CidFormatRes";
}

/// What to make of each CID.
struct Conversion {
    pieces: Vec<Piece>,
    version: Option<Version>,
    codec: Option<u64>,
    base: Option<Base>,
}

/// A part of a format string.
enum Piece {
    Literal(String),
    Field(char),
}

fn run_base32(invocation: &mut Invocation) -> Result<(), Failure> {
    let conversion = Conversion {
        pieces: vec![Piece::Field('s')],
        version: Some(Version::V1),
        codec: None,
        base: Some(Base::Base32Lower),
    };
    convert_all(invocation, &conversion)
}

fn run_format(invocation: &mut Invocation) -> Result<(), Failure> {
    let format = invocation.text("f").unwrap_or_default();
    if !format.contains('%') {
        return Err(Failure::failed(format_args!(
            "invalid format string: {format:?}"
        )));
    }
    let codec = match invocation.text("mc").filter(|name| !name.is_empty()) {
        Some(name) => Some(
            codec::code(&name)
                .ok_or_else(|| Failure::failed(format_args!("unknown multicodec: {name:?}")))?,
        ),
        None => None,
    };
    let base_text = invocation.text("b").filter(|name| !name.is_empty());
    let version = match invocation.text("v").unwrap_or_default().as_str() {
        "" => base_text.is_some().then_some(Version::V1),
        "0" => {
            refuse_v0(codec, base_text.as_deref())?;
            Some(Version::V0)
        }
        "1" => Some(Version::V1),
        other => {
            return Err(Failure::failed(format_args!(
                "invalid cid version: {other:?}"
            )));
        }
    };
    let conversion = Conversion {
        pieces: pieces(&format)?,
        version,
        codec,
        base: base_text.as_deref().map(bases::by_name).transpose()?,
    };
    convert_all(invocation, &conversion)
}

fn refuse_v0(codec: Option<u64>, base: Option<&str>) -> Result<(), Failure> {
    if codec.is_some_and(|codec| codec != codec::DAG_PB) {
        return Err(Failure::failed(
            "cannot convert to CIDv0 with any codec other than dag-pb",
        ));
    }
    if base.is_some_and(|base| base != "base58btc") {
        return Err(Failure::failed(
            "cannot convert to CIDv0 with any multibase other than the implicit base58btc",
        ));
    }
    Ok(())
}

fn pieces(format: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            literal.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => literal.push('%'),
            Some(field) if "bBvVcChHLmMdDsSP".contains(field) => {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                pieces.push(Piece::Field(field));
            }
            Some(other) => {
                return Err(Failure::failed(format_args!(
                    "unrecognized specifier in format string: %{other}"
                )));
            }
            None => return Err(Failure::failed("premature end of format string")),
        }
    }
    pieces.push(Piece::Literal(literal));
    Ok(pieces)
}

fn convert_all(invocation: &mut Invocation, conversion: &Conversion) -> Result<(), Failure> {
    let mut failed = false;
    let mut arguments = Vec::new();
    invocation.each_argument(|argument| {
        arguments.push(argument);
        Ok(())
    })?;
    for text in arguments {
        let (formatted, error_msg) = match conversion.convert(&text) {
            Ok(formatted) => (formatted, String::new()),
            Err(error) => (String::new(), error),
        };
        if !error_msg.is_empty() && invocation.is_text() {
            failed = true;
            let name = crate::escape::printable(text.as_bytes());
            invocation.note(&format!("{name}: {error_msg}"));
            continue;
        }
        let line = format!("{formatted}\n");
        invocation.out.emit(
            || Formatted {
                cid_str: text,
                formatted,
                error_msg,
            },
            |out| out.extend_from_slice(line.as_bytes()),
        )?;
    }
    if failed {
        return Err(Failure::failed("errors while displaying some entries"));
    }
    Ok(())
}

impl Conversion {
    fn convert(&self, text: &str) -> Result<String, String> {
        let (mut cid, given) = Cid::parse_with_base(text).map_err(|error| error.to_string())?;
        if let Some(codec) = self.codec.filter(|codec| *codec != cid.codec()) {
            cid = Cid::v1(codec, cid.hash().clone());
        }
        match self.version {
            Some(Version::V1) => cid = cid.to_v1(),
            Some(Version::V0) if cid.codec() != codec::DAG_PB => {
                return Err("can't convert non-dag-pb nodes to cidv0".to_owned());
            }
            Some(Version::V0) => {
                cid = cid
                    .to_v0()
                    .ok_or("can't convert to cidv0: it needs a 32 byte sha2-256")?;
            }
            None => {}
        }
        let base = match self.base {
            Some(base) => base,
            None if cid.version() == Version::V0 => Base::Base58Btc,
            None => given,
        };
        if base == Base::Identity {
            return Err("the identity base has no text form".to_owned());
        }
        Ok(self.fill(&cid, base))
    }

    fn fill(&self, cid: &Cid, base: Base) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Field(field) => out.push_str(&field_text(*field, cid, base)),
            }
        }
        out
    }
}

fn field_text(field: char, cid: &Cid, base: Base) -> String {
    let version = match cid.version() {
        Version::V0 => 0,
        Version::V1 => 1,
    };
    let codec = || codec_name(cid.codec());
    let hash = || hash_name(cid.hash().code());
    let length = cid.hash().digest().len();
    let prefixed = |bytes: &[u8]| format!("{}{}", base.code(), base.encode(bytes));
    match field {
        'b' => base_name(base).to_owned(),
        'B' => base.code().to_string(),
        'v' => format!("cidv{version}"),
        'V' => version.to_string(),
        'c' => codec(),
        'C' => cid.codec().to_string(),
        'h' => hash(),
        'H' => cid.hash().code().to_string(),
        'L' => length.to_string(),
        'm' => prefixed(&cid.hash().to_bytes()),
        'M' => base.encode(cid.hash().to_bytes()),
        'd' => prefixed(cid.hash().digest()),
        'D' => base.encode(cid.hash().digest()),
        's' => cid.to_string_of_base(base),
        'S' => base.encode(cid.to_bytes()),
        _ => format!("cidv{version}-{}-{}-{length}", codec(), hash()),
    }
}

/// As go-multicodec writes a code, also an unknown one.
fn codec_name(code: u64) -> String {
    codec::name(code).map_or_else(|| format!("Code({code})"), str::to_owned)
}

/// As go-cidutil writes a hash function, also an unknown one.
fn hash_name(code: u64) -> String {
    hash::name(code).map_or_else(|| format!("hash?{code}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP";

    fn converted(format: &str, text: &str) -> String {
        let pieces = pieces(format).unwrap();
        Conversion {
            pieces,
            version: None,
            codec: None,
            base: None,
        }
        .convert(text)
        .unwrap()
    }

    #[test]
    fn every_field() {
        assert_eq!(
            converted("%b-%B-%v-%V-%c-%C-%h-%H-%L-%P-%%", V0),
            "base58btc-z-cidv0-0-dag-pb-112-sha2-256-18-32-cidv0-dag-pb-sha2-256-32-%"
        );
        assert_eq!(converted("%s %S", V0), format!("{V0} {V0}"));
        assert!(converted("%m", V0).starts_with("zQm"));
    }

    #[test]
    fn bad_formats() {
        for format in ["%x", "a%", "%p"] {
            assert!(pieces(format).is_err(), "{format}");
        }
    }
}
