//! Bodies: forms that are right, strange and wrong, of every command that takes one.

use super::Case;
use super::compare::Depth;
use super::wire::{Ask, BOUNDARY};
use super::world::{World, tree_form};

/// The cases, in order: what they change is the same on both sides.
pub fn cases(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    for target in TARGETS {
        let depth = match *target {
            "id" | "version" => Depth::Shape,
            _ => Depth::Values,
        };
        for (word, ask) in bodies(&world.fill(target)) {
            cases.push(Case::new(ask, depth).told(&format!("({word})")));
        }
    }
    for query in ADDS {
        let mut add = |word: &str, ask: Ask| {
            cases.push(Case::new(ask, Depth::Values).told(&format!("({word})")));
        };
        let target = format!("add?{query}");
        add("a file", Ask::upload(&target, &[("file", b"some bytes\n")]));
        add(
            "two files",
            Ask::upload(&target, &[("a", b"1"), ("b", b"22")]),
        );
        add("a tree", Ask::post(&target).form(tree_form()));
        add("nothing", Ask::upload(&target, &[]));
    }
    for (word, form) in odd_forms() {
        let ask = Ask::post("add?pin=false").form(form);
        cases.push(Case::new(ask, Depth::Values).told(&format!("({word})")));
    }
    for (word, target, content) in CONTENTS {
        let ask = Ask::upload(world.fill(target), &[("file", content)]);
        cases.push(Case::new(ask, Depth::Values).told(&format!("({word})")));
    }
    cases
}

/// Commands that read a body, and some that read none.
const TARGETS: &[&str] = &[
    "add?pin=false",
    "block/put",
    "dag/put",
    "dag/import?pin-roots=false",
    "files/write?arg=/body&create=true",
    "config/replace",
    "key/import?arg=body",
    "name/put?arg={key}",
    "pubsub/pub?arg=dG9waWM",
    "routing/put?arg=/ipns/{key}",
    "multibase/encode",
    "multibase/decode",
    "multibase/transcode",
    "name/inspect",
    "cat",
    "pin/add",
    "cid/base32",
    "id",
    "version",
];

fn bodies(target: &str) -> Vec<(&'static str, Ask)> {
    let form = |text: &str| {
        let text = text.replace("BOUNDARY", BOUNDARY).replace('\n', "\r\n");
        Ask::post(target).form(text)
    };
    let typed = |media_type: &str, body: &str| {
        Ask::post(target)
            .header("Content-Type", media_type)
            .body(body.as_bytes())
    };
    let file = "--BOUNDARY\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\n\nabc\n";
    let whole = format!("{file}--BOUNDARY--\n");
    vec![
        ("no body", Ask::post(target)),
        ("no form", typed("application/octet-stream", "abc")),
        (
            "urlencoded",
            typed("application/x-www-form-urlencoded", "arg=x"),
        ),
        ("json", typed("application/json", "{\"a\":1}")),
        ("no boundary", typed("multipart/form-data", "abc")),
        (
            "an empty boundary",
            typed("multipart/form-data; boundary=", "abc"),
        ),
        (
            "multipart/mixed",
            typed("multipart/mixed; boundary=x", "--x\r\n\r\na\r\n--x--"),
        ),
        (
            "a broken type",
            typed("multipart/form-data; boundary", "abc"),
        ),
        ("an empty form", form("--BOUNDARY--\n")),
        ("text only", form("abc")),
        ("another boundary", form("--other\n\nabc\n--other--\n")),
        ("cut in the head", form("--BOUNDARY\nContent-Dispo")),
        ("cut in the content", form(&file[..file.len() - 2])),
        ("cut before the end", form(file)),
        (
            "a bad head",
            form("--BOUNDARY\nno colon here\n\nabc\n--BOUNDARY--\n"),
        ),
        ("no head", form("--BOUNDARY\n\nabc\n--BOUNDARY--\n")),
        (
            "no name",
            form("--BOUNDARY\nContent-Disposition: form-data\n\nabc\n--BOUNDARY--\n"),
        ),
        ("a file", form(&whole)),
        ("text behind", form(&format!("{whole}epilogue"))),
        ("text before", form(&format!("preamble\n{whole}"))),
    ]
}

/// Options of `add`.
const ADDS: &[&str] = &[
    "",
    "pin=false",
    "cid-version=1",
    "cid-version=1&raw-leaves=false",
    "cid-version=2",
    "raw-leaves=true",
    "hash=blake2b-256",
    "hash=nothing",
    "hash=sha2-512&cid-version=0",
    "chunker=size-5",
    "chunker=size-0",
    "chunker=rabin",
    "chunker=nothing",
    "trickle=true",
    "wrap-with-directory=true",
    "only-hash=true",
    "quiet=true",
    "quieter=true",
    "silent=true",
    "progress=true",
    "inline=true",
    "inline=true&inline-limit=200",
    "pin-name=x",
    "pin-name=x&pin=false",
    "to-files=/added/",
    "to-files=/",
    "to-files=no-slash",
    "mode=0640",
    "mode=x",
    "mtime=1700000000",
    "mtime=1700000000&mtime-nsecs=5",
    "mtime-nsecs=5",
    "preserve-mode=true",
    "preserve-mtime=true&raw-leaves=true",
    "nocopy=true",
    "fscache=true",
    "max-file-links=2&chunker=size-2",
    "max-directory-links=1&max-hamt-fanout=8",
    "max-hamt-fanout=7",
    "dereference-symlinks=true",
    "hidden=true",
    "empty-dirs=false",
    "encoding=text",
    "encoding=xml",
    "stream-channels=true",
    "arg=x",
];

fn part(disposition: &str, media_type: &str, content: &str) -> String {
    format!(
        "--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\
         Content-Type: {media_type}\r\n\r\n{content}\r\n"
    )
}

fn named(name: &str) -> String {
    let disposition = format!("form-data; name=\"file\"; filename=\"{name}\"");
    part(&disposition, "application/octet-stream", "x")
}

fn odd_forms() -> Vec<(&'static str, String)> {
    let folder = |name: &str| {
        let disposition = format!("form-data; name=\"file\"; filename=\"{name}\"");
        part(&disposition, "application/x-directory", "")
    };
    let end = format!("--{BOUNDARY}--\r\n");
    let mode = |query: &str| {
        let disposition = format!("form-data; name=\"file?{query}\"; filename=\"f\"");
        part(&disposition, "application/octet-stream", "x")
    };
    let all: Vec<(&'static str, String)> = vec![
        ("deep without folders", named("a%2Fb%2Fc")),
        ("dots", named("..%2Fup")),
        ("dots inside", named("a%2F..%2Fb")),
        ("a root", named("%2Fabs")),
        ("an empty name", named("")),
        ("a dot", named(".")),
        ("a slash", named("%2F")),
        ("a backslash", named("a%5Cb")),
        ("a zero", named("a%00b")),
        ("no UTF-8", named("a%ffb")),
        ("a bad escape", named("a%zzb")),
        ("a plus", named("a+b")),
        ("twice", named("a") + &named("a")),
        ("a file in a file", named("a") + &named("a%2Fb")),
        (
            "a folder that comes back",
            named("a%2F1") + &named("b") + &named("a%2F2"),
        ),
        ("an empty folder", folder("d")),
        ("a folder twice", folder("d") + &folder("d")),
        ("a folder after its file", named("d%2Ff") + &folder("d")),
        (
            "an unknown type",
            part("form-data; filename=f", "text/html", "x"),
        ),
        ("a bad type", part("form-data; filename=f", ";;;", "x")),
        (
            "an attachment",
            part("attachment; filename=f", "text/plain", "x"),
        ),
        (
            "a bad disposition",
            part("form-data; filename=\"f", "text/plain", "x"),
        ),
        (
            "an empty link",
            part("form-data; filename=l", "application/symlink", ""),
        ),
        (
            "a form inside",
            part("form-data; filename=l", "multipart/form-data", "x"),
        ),
        ("a mode", mode("mode=0644")),
        ("a bad mode", mode("mode=9")),
        ("a time", mode("mtime=1700000000&mtime-nsecs=7")),
        ("a bad time", mode("mtime=x")),
        ("nanoseconds alone", mode("mtime-nsecs=7")),
        (
            "too many nanoseconds",
            mode("mtime=1&mtime-nsecs=1000000000"),
        ),
    ];
    all.into_iter()
        .map(|(word, text)| (word, text + &end))
        .collect()
}

/// Contents that commands look into.
const CONTENTS: &[(&str, &str, &[u8])] = &[
    ("a block", "block/put", b"block"),
    ("a block", "block/put?cid-codec=dag-pb", b"not dag-pb"),
    ("a block", "block/put?cid-codec=dag-cbor", b"\xa0"),
    ("a block", "block/put?cid-codec=nothing", b"x"),
    ("a block", "block/put?format=v0", b"\x0a\x02\x08\x01"),
    ("a block", "block/put?format=protobuf", b"\x0a\x02\x08\x01"),
    ("a block", "block/put?format=v0&mhtype=sha2-512", b"x"),
    ("a block", "block/put?mhtype=nothing", b"x"),
    ("a block", "block/put?mhtype=sha1", b"x"),
    ("a block", "block/put?mhtype=sha2-256&mhlen=20", b"x"),
    ("a block", "block/put?mhlen=100", b"x"),
    ("a block", "block/put?mhlen=0", b"x"),
    ("a block", "block/put?pin=true", b"pinned"),
    ("a block", "block/put?encoding=text", b"text"),
    ("nothing", "block/put", b""),
    (
        "json",
        "dag/put",
        b"{\"x\":[1,2,{\"/\":{\"bytes\":\"AQ\"}}]}",
    ),
    ("json", "dag/put?pin=true", b"\"text\""),
    ("json", "dag/put?store-codec=dag-json", b"{\"b\":1,\"a\":2}"),
    ("json", "dag/put?store-codec=raw", b"{}"),
    ("json", "dag/put?store-codec=nothing", b"{}"),
    ("json", "dag/put?input-codec=nothing", b"{}"),
    ("json", "dag/put?hash=blake3", b"{}"),
    ("json", "dag/put?hash=nothing", b"{}"),
    ("json", "dag/put?encoding=text", b"{}"),
    ("no json", "dag/put", b"{"),
    ("no json", "dag/put", b""),
    ("a float", "dag/put", b"1.0"),
    ("a link", "dag/put", b"{\"/\":\"nothing\"}"),
    ("cbor", "dag/put?input-codec=dag-cbor", b"\xa1\x61\x61\x01"),
    ("no cbor", "dag/put?input-codec=dag-cbor", b"\xff"),
    (
        "dag-pb",
        "dag/put?input-codec=dag-json&store-codec=dag-pb",
        b"{\"Data\":{\"/\":{\"bytes\":\"AQ\"}},\"Links\":[]}",
    ),
    (
        "raw",
        "dag/put?input-codec=raw&store-codec=raw",
        b"raw bytes",
    ),
    ("no car", "dag/import", b"no car"),
    ("no car", "dag/import", b""),
    ("no car", "dag/import?silent=true", b"\x00"),
    (
        "an empty car",
        "dag/import",
        b"\x11\xa2eroots\x80gversion\x01",
    ),
    (
        "an empty car",
        "dag/import?stats=true",
        b"\x11\xa2eroots\x80gversion\x01",
    ),
    (
        "a cut car",
        "dag/import",
        b"\x11\xa2eroots\x80gversion\x01\x30",
    ),
    ("no config", "config/replace", b"{"),
    ("no config", "config/replace", b"[]"),
    ("no key", "key/import?arg=x", b"no key"),
    (
        "no key",
        "key/import?arg=x&format=pem-pkcs8-cleartext",
        b"no key",
    ),
    ("no key", "key/import?arg=x&format=nothing", b"no key"),
    ("no key", "key/import?arg=self", b"no key"),
    ("no key", "key/import?arg=probe", b"no key"),
    ("no record", "name/put?arg={key}", b"no record"),
    ("no record", "name/put?arg={key}&force=true", b"no record"),
    ("no record", "name/inspect", b"no record"),
    (
        "no record",
        "routing/put?arg=/ipns/{key}&allow-offline=true",
        b"no record",
    ),
    ("text", "multibase/encode", b"text"),
    ("text", "multibase/encode?b=base58btc", b"text"),
    ("text", "multibase/encode?b=nothing", b"text"),
    ("text", "multibase/decode", b"udGV4dA"),
    ("text", "multibase/decode", b"?"),
    ("text", "multibase/decode", b""),
    ("text", "multibase/transcode", b"udGV4dA"),
    ("text", "multibase/transcode?b=base16", b"udGV4dA"),
    ("a message", "pubsub/pub?arg=udG9waWM", b"data"),
    ("data", "key/sign?key=probe", b"data"),
    ("data", "key/verify?key=probe&signature=uAQ", b"data"),
    ("data", "key/verify?key=none&signature=uAQ", b"data"),
    ("a file", "files/write?arg=/w&create=true", b"data"),
    ("a file", "files/write?arg=/w&offset=2", b"XY"),
    ("a file", "files/write?arg=/w&offset=-2", b"XY"),
    ("a file", "files/write?arg=/w&count=1&truncate=true", b"123"),
    ("a file", "files/write?arg=/w/below&create=true", b"data"),
    (
        "a file",
        "files/write?arg=/new/w&create=true&parents=true",
        b"data",
    ),
    ("lines", "cat", b"{hello}\n"),
    (
        "lines",
        "cid/base32",
        b"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH\n\nnothing\n",
    ),
    (
        "lines",
        "cid/format",
        b"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH\n",
    ),
    ("lines", "pin/add", b"nothing\n"),
    ("lines", "pin/rm", b"\n"),
    ("lines", "block/rm", b"nothing\n"),
    ("lines", "refs", b"nothing\n"),
    ("lines", "dag/stat", b"nothing\n"),
    ("lines", "bootstrap/add", b"nothing\n"),
    ("lines", "swarm/connect", b"nothing\n"),
];
