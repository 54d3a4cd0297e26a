//! What comes before a command: methods, targets, origins and what a browser asks first.

use super::Case;
use super::compare::Depth;
use super::wire::Ask;
use super::world::World;

/// The cases.
pub fn cases(world: &World) -> Vec<Case> {
    let mut asks = Vec::new();
    for target in [
        "id",
        "cat?arg={hello}",
        "nothing",
        "",
        "/api/v0",
        "/api/v1/id",
        "/",
    ] {
        for method in [
            "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "TRACE",
        ] {
            asks.push(Ask::post(world.fill(target)).method(method));
        }
    }
    asks.extend(TARGETS.iter().map(|target| Ask::post(world.fill(target))));
    asks.extend(origins());
    asks.extend(preflights());
    asks.extend(trailers(world));
    let label = |ask: Ask| {
        let headers: Vec<String> = ask
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Case::new(ask, Depth::Shape).told(&format!("({})", headers.join(" ")))
    };
    asks.into_iter().map(label).collect()
}

/// Paths and queries.
const TARGETS: &[&str] = &[
    "",
    "nothing",
    "nothing/at/all",
    "version/",
    "/api/v0//version",
    "Version",
    "VERSION",
    "pin",
    "pin/",
    "pin/nothing",
    "files",
    "files/",
    "config/edit",
    "update",
    "update/check",
    "key/export",
    "repo/migrate",
    "init",
    "daemon",
    "object/get",
    "version?",
    "version?&&&",
    "version?=",
    "version?=x",
    "version?encoding=",
    "version?encoding=json&encoding=text",
    "version?enc=json",
    "version?encoding=JSON",
    "version?encoding=yaml",
    "version?encoding=protobuf",
    "version?stream-channels=false",
    "version?stream-channels=x",
    "version?timeout=1m",
    "version?timeout=1",
    "version?timeout=x",
    "version?timeout=-1s",
    "version?timeout=",
    "version?offline=true",
    "version?offline=x",
    "version?local=x",
    "version?help=true",
    "version?h=true",
    "version?debug=true",
    "version?api=/ip4/1.2.3.4/tcp/5",
    "version?repo-dir=/nothing",
    "version?config=/nothing",
    "version?number=True",
    "version?number=T",
    "version?number=tRUE",
    "version?number=yes",
    "version?number=1&n=1",
    "version?number=%zz",
    "version?%zz=1",
    "version?number=1;n=2",
    "version?arg=%",
    "cat?arg=%zz",
    "cat?arg=%00",
    "cat?arg={hello}%00",
    "cat?arg=%20{hello}%20",
    "cat?arg=/ipfs/{hello}/",
    "cat?arg=//ipfs/{hello}",
    "cat?arg=/ipfs//{hello}",
    "cat?arg=/ipfs/{tree}/../{hello}",
    "cat?arg=/ipfs/{tree}/./file",
    "cat?arg=/ipfs/{tree}/sub/deep+file",
    "cat?arg=/ipfs/{tree}/sub/deep%20file",
    "cat?arg=ipfs://{hello}",
    "cat?arg=ipfs:{hello}",
    "cat?arg=/ipns/{key}",
    "cat?arg=ipns://{key}",
    "cat?arg=/ipld/{hello}",
    "cat?arg=/ipfs",
    "cat?arg=/ipfs/",
    "cat?arg=/",
    "cat?arg=Qm",
    "cat?arg={hello}x",
    "cat?arg=QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
    "cat?arg=bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    "cat?arg=bafkqablimvwgy3y",
    "cat?arg={hello}&offset=0x2&length=0b11",
    "cat?arg={hello}&offset=1_0",
    "cat?arg={hello}&offset=010",
    "cat?arg={hello}&offset=1.5",
    "cat?arg={hello}&offset=9223372036854775807",
    "cat?arg={hello}&offset=9223372036854775808",
    "cat?arg={hello}&length=+3",
    "cat?arg={hello}&progress=false",
    "version?cid-base=nothing",
    "ls?arg={hello}&cid-base=base58btc",
    "ls?arg={tree}&cid-base=base32",
    "ls?arg={tree}&cid-base=base32&upgrade-cidv0-in-output=false",
    "ls?arg={tree}&upgrade-cidv0-in-output=true",
    "ls?arg={tree}&cid-base=base64url&upgrade-cidv0-in-output=true",
];

fn origins() -> Vec<Ask> {
    let mut asks = Vec::new();
    for origin in [
        "http://127.0.0.1:PORT",
        "https://127.0.0.1:PORT",
        "http://localhost:PORT",
        "https://localhost:PORT",
        "http://[::1]:PORT",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://127.0.0.1:PORT/",
        "HTTP://127.0.0.1:PORT",
        "http://localhost:PORT.evil.example",
        "http://evil.example",
        "null",
        "*",
        "chrome-extension://nibjojkomfdiaoajekhjakgkdhaomnch",
        "chrome-extension://hjoieblefckbooibpepigmacodalfndh",
        "chrome-extension://other",
    ] {
        asks.push(Ask::post("id").header("Origin", origin));
        asks.push(Ask::post("id").method("GET").header("Origin", origin));
        asks.push(Ask::post("nothing").header("Origin", origin));
        for path in ["", "/webui", "/?x=y#z"] {
            asks.push(Ask::post("id").header("Referer", format!("{origin}{path}")));
        }
        let own = "http://127.0.0.1:PORT";
        asks.push(
            Ask::post("id")
                .header("Origin", own)
                .header("Referer", origin),
        );
        asks.push(
            Ask::post("id")
                .header("Origin", origin)
                .header("Referer", own),
        );
    }
    for agent in [
        "curl/8.0",
        "Mozilla/5.0 (X11; Linux x86_64)",
        "mozilla/5.0",
        "x Mozilla/5.0",
        "Mozilla/5.0 Electron/30",
        "Electron",
        "",
        "go-ipfs-http-client",
    ] {
        asks.push(Ask::post("id").header("User-Agent", agent));
        let own = "http://127.0.0.1:PORT";
        asks.push(
            Ask::post("id")
                .header("User-Agent", agent)
                .header("Origin", own),
        );
        asks.push(
            Ask::post("id")
                .header("User-Agent", agent)
                .header("Referer", own),
        );
    }
    asks
}

fn preflights() -> Vec<Ask> {
    let mut asks = Vec::new();
    for origin in ["http://127.0.0.1:PORT", "http://evil.example", "null"] {
        for method in ["POST", "GET", "PUT", "DELETE", "post"] {
            for headers in ["", "Content-Type", "X-Other", "x-requested-with, origin"] {
                let mut ask = Ask::post("id")
                    .method("OPTIONS")
                    .header("Origin", origin)
                    .header("Access-Control-Request-Method", method);
                if !headers.is_empty() {
                    ask = ask.header("Access-Control-Request-Headers", headers);
                }
                asks.push(ask);
            }
        }
    }
    for ask in [
        Ask::post("id").header("Origin", "http://127.0.0.1:PORT"),
        Ask::post("id").header("Access-Control-Request-Method", "POST"),
        Ask::post("nothing").header("Origin", "http://evil.example"),
    ] {
        asks.push(ask.method("OPTIONS"));
    }
    asks
}

/// Errors that come when the answer has begun.
fn trailers(world: &World) -> Vec<Ask> {
    [
        "cat?arg={hello}&arg={tree}",
        "ls?arg={tree}&arg=nothing&stream=true",
        "refs?arg={tree}&arg=nothing",
        "get?arg={cbor}",
        "dag/export?arg={cbor}&progress=true",
        "cid/format?arg={hello}&arg=nothing",
        "cid/base32?arg={hello}&arg=nothing",
        "block/rm?arg={hello}&arg=nothing",
        "block/rm?arg={hello}&force=true&quiet=true",
        "pin/ls?arg={hello}&arg=nothing&stream=true",
    ]
    .map(|target| Ask::post(world.fill(target)))
    .into()
}
