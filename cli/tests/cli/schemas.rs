//! The schemas of the OpenAPI document, and what the daemon says: every method is called, and each of its records
//! has to be what the document tells, with no field more.

use std::collections::BTreeSet;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use super::harness::{Daemon, Home, json};
use super::http::Answer;
use super::network::{ABSENT, Peer};

/// Methods that are not called here, and why.
const NOT_CALLED: &[(&str, &str)] = &[
    (
        "bootstrap/add/default",
        "AutoConf is off here, and there are none",
    ),
    ("dht/query", "there is no DHT of two"),
    ("p2p/forward", "its record comes in the foreground only"),
    ("p2p/listen", "its record comes in the foreground only"),
    ("pin/remote/add", "there is no pinning service"),
    ("pin/remote/ls", "there is no pinning service"),
    ("provide/once", "there is no DHT of two"),
    ("pubsub/sub", "it does not end"),
    ("routing/findprovs", "there is no DHT of two"),
    ("routing/get", "there is no DHT of two"),
    ("routing/provide", "it reports nothing"),
    ("routing/put", "it reports nothing"),
];

/// Calls without a body; `{…}` stands for what was made before. A method may be there several times.
const CALLS: &[&str] = &[
    "bitswap/stat",
    "bitswap/wantlist",
    "bitswap/ledger?arg={peer}",
    "block/stat?arg={cid}",
    "block/rm?arg={cid}&arg={block}",
    "bootstrap",
    "bootstrap/list",
    "bootstrap/add?arg={address}",
    "bootstrap/rm?arg={address}",
    "bootstrap/rm/all",
    "cid/base32?arg={cid}&arg=x",
    "cid/bases?prefix=true&numeric=true",
    "cid/codecs?supported=true",
    "cid/format?arg={cid}",
    "cid/hashes",
    "cid/inspect?arg={cid}",
    "cid/inspect?arg=nothing",
    "multibase/list",
    "commands",
    "commands/openapi",
    "config?arg=Addresses.API",
    "config/show",
    "config/profile/list",
    "config/profile/apply?arg=lowpower&dry-run=true",
    "connect?arg={address}",
    "dag/resolve?arg={cid}",
    "dag/stat?arg={dir}",
    "diag/cmds",
    "diag/healthy",
    "diag/sys",
    "exists?arg={cid}",
    "files/ls",
    "files/cp?arg=/ipfs/{dir}&arg=/d",
    "files/ls?arg=/d",
    "files/ls?arg=/d&long=true",
    "files/ls?arg=/d/a.txt",
    "files/stat?arg=/d",
    "files/stat?arg=/d/a.txt&with-local=true",
    "files/flush?arg=/",
    "files/rm?arg=/d&arg=/nothing&recursive=true",
    "id",
    "id?arg={peer}",
    "pin/add?arg={dir}",
    "pin/add?arg={dir}&progress=true",
    "pin/add?arg={dir}&background=true",
    "pin?arg={dir}",
    "pin/ls",
    "pin/ls?type=recursive&names=true",
    "pin/ls?stream=true",
    "list-pins",
    "pin/verify?verbose=true",
    "pin/update?arg={dir}&arg={cid}",
    "pin/remote/service/ls",
    "pin/rm?arg={cid}",
    "pin/add?arg={cid}",
    "unpin?arg={cid}",
    "job/ls?all=true",
    "job/show?arg=1",
    "pin/add?arg={absent}&background=true",
    "job/cancel?arg=2",
    "key/gen?arg=one",
    "key/ls",
    "key/list?l=true",
    "key/rename?arg=one&arg=two",
    "key/rm?arg=two",
    "log/level?arg=all",
    "log/level?arg=core&arg=info",
    "log/ls",
    "ls?arg={dir}",
    "ls?arg={dir}&stream=true",
    "name/publish?arg=/ipfs/{cid}&allow-offline=true",
    "name/resolve?arg={self}",
    "name/pubsub/state",
    "name/pubsub/subs",
    "name/pubsub/cancel?arg={self}",
    "object/patch/add-link?arg={dir}&arg=b&arg={cid}",
    "object/patch/rm-link?arg={dir}&arg=a.txt",
    "object/diff?arg={dir}&arg={empty}&verbose=true",
    "p2p/ls",
    "p2p/stream/ls",
    "p2p/close?all=true",
    "peers",
    "ping?arg={peer}&count=1",
    "provide/clear",
    "provide/stat?all=true",
    "pubsub/ls",
    "pubsub/peers",
    "pubsub/reset",
    "refs?arg={dir}",
    "refs/local",
    "repo/ls",
    "repo/stat",
    "repo/stat?size-only=true",
    "repo/verify",
    "repo/version",
    "resolve?arg=/ipfs/{dir}/a.txt",
    "routing/findpeer?arg={peer}",
    "stat?arg={dir}",
    "stats/bitswap",
    "stats/bw",
    "stats/dht",
    "stats/provide",
    "stats/repo",
    "stats/reprovide",
    "swarm/addrs",
    "swarm/addrs/autonat",
    "swarm/addrs/listen",
    "swarm/addrs/local",
    "swarm/connect?arg={address}",
    "swarm/filters",
    "swarm/filters/add?arg=/ip4/192.0.2.0/ipcidr/24",
    "swarm/filters/ls",
    "swarm/filters/rm?arg=all",
    "swarm/peering/add?arg={address}",
    "swarm/peering/ls",
    "swarm/peering/rm?arg={peer}",
    "swarm/peers",
    "swarm/peers?verbose=true&streams=true&latency=true&direction=true&identify=true",
    "swarm/resources",
    "swarm/disconnect?arg=/p2p/{peer}",
    "repo/gc",
    "version",
    "version/check",
    "version/deps",
];

/// Schemas of one document, without room for what they do not name.
struct Told {
    document: Value,
    compiler: Compiler,
    schemas: Schemas,
}

impl Told {
    fn of(mut document: Value) -> Told {
        close(&mut document);
        let mut compiler = Compiler::new();
        compiler
            .add_resource("mem:///openapi.json", document.clone())
            .unwrap();
        Told {
            document,
            compiler,
            schemas: Schemas::new(),
        }
    }

    /// Paths of methods that report records.
    fn paths(&self) -> BTreeSet<String> {
        let paths = self.document["paths"].as_object().unwrap();
        let reports = |path: &&String| path.starts_with("/api/v0/") && self.pointer(path).is_some();
        paths.keys().filter(reports).cloned().collect()
    }

    fn pointer(&self, path: &str) -> Option<String> {
        let path = path.replace('/', "~1");
        let pointer = format!("/paths/{path}/post/responses/200/content/application~1json/schema");
        self.document.pointer(&pointer).is_some().then_some(pointer)
    }

    fn schema(&mut self, path: &str) -> SchemaIndex {
        let pointer = self.pointer(path);
        let pointer = pointer.unwrap_or_else(|| panic!("{path} has no schema"));
        let place = format!("mem:///openapi.json#{pointer}");
        self.compiler.compile(&place, &mut self.schemas).unwrap()
    }

    /// Why a record is not what the document tells, if it is not.
    fn wrong(&mut self, path: &str, record: &Value) -> Option<String> {
        let schema = self.schema(path);
        let validated = self.schemas.validate(record, schema);
        validated.err().map(|error| format!("{error:#}"))
    }

    fn check(&mut self, path: &str, answer: &Answer) -> Result<(), String> {
        if answer.status != 200 {
            return Err(format!("{path}: {} {}", answer.status, answer.text()));
        }
        let records = serde_json::Deserializer::from_slice(&answer.body).into_iter::<Value>();
        let mut count = 0;
        for record in records {
            let record = record.map_err(|error| format!("{path}: {error}"))?;
            count += 1;
            if let Some(wrong) = self.wrong(path, &record) {
                return Err(format!("{path}: {record}\n{wrong}"));
            }
        }
        match count > 0 || self.pointer(path).is_none() {
            true => Ok(()),
            false => Err(format!("{path} said nothing")),
        }
    }
}

/// Lets objects have no field that is not told.
fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let record =
                fields.get("type") == Some(&json!("object")) && fields.contains_key("properties");
            if record {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(all) => all.iter_mut().for_each(close),
        _ => {}
    }
}

/// What is called so far, and the names of what was made.
struct Tour<'d> {
    daemon: &'d Daemon,
    told: Told,
    called: BTreeSet<String>,
    wrong: Vec<String>,
    names: Vec<(&'static str, String)>,
}

impl Tour<'_> {
    fn path(&mut self, call: &str) -> String {
        let method = call.split('?').next().unwrap();
        let path = format!("/api/v0/{method}");
        self.called.insert(path.clone());
        path
    }

    fn check(&mut self, path: &str, answer: &Answer) {
        self.wrong.extend(self.told.check(path, answer).err());
    }

    fn call(&mut self, call: &str) -> Answer {
        let mut target = call.to_owned();
        for (name, value) in &self.names {
            target = target.replace(&format!("{{{name}}}"), value);
        }
        let path = self.path(call);
        let answer = self.daemon.post(&target);
        self.check(&path, &answer);
        answer
    }

    fn upload(&mut self, call: &str, name: &str, content: &[u8]) -> Vec<Value> {
        let path = self.path(call);
        let answer = self
            .daemon
            .upload(call, &[(name, "application/octet-stream", content)]);
        self.check(&path, &answer);
        answer.text().lines().map(json).collect()
    }
}

/// What comes with a body, and what others need.
fn uploads(tour: &mut Tour<'_>) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let added = tour.upload(
        "add?progress=true&wrap-with-directory=true",
        "a.txt",
        b"hello",
    );
    let hashes: Vec<String> = added
        .iter()
        .filter(|added| added["Hash"].is_string())
        .map(|added| text(&added["Hash"]))
        .collect();
    tour.names.push(("cid", hashes[0].clone()));
    tour.names.push(("dir", hashes[1].clone()));
    let put = tour.upload("block/put", "b", b"a block");
    tour.names.push(("block", text(&put[0]["Key"])));
    let empty = tour.upload(
        "dag/put?store-codec=dag-pb",
        "e",
        br#"{"Data":{"/":{"bytes":"CAE"}},"Links":[]}"#,
    );
    tour.names.push(("empty", text(&empty[0]["Cid"]["/"])));
    let car = tour
        .daemon
        .post(&format!("dag/export?arg={}", hashes[1]))
        .body;
    tour.upload("dag/import?stats=true", "c.car", &car);
    tour.daemon
        .post("p2p/listen?arg=/x/test&arg=/ip4/127.0.0.1/tcp/9");
    let signed = tour.upload("key/sign", "d", b"data");
    let signature = text(&signed[0]["Signature"]);
    tour.upload(&format!("key/verify?signature={signature}"), "d", b"data");
}

/// Keys and records that were taken out come in again.
fn imports(tour: &mut Tour<'_>, home: &Home, own: &str) {
    let record = tour.daemon.post(&format!("name/get?arg={own}")).body;
    tour.upload(&format!("name/inspect?verify={own}"), "r", &record);
    tour.upload(&format!("name/put?arg={own}&force=true"), "r", &record);
    let key = Home::alone();
    key.ok(["key", "gen", "k"]);
    key.ok(["key", "export", "k", "--output=k.key"]);
    let key = std::fs::read(key.work("k.key")).unwrap();
    tour.upload("key/import?arg=k", "k.key", &key);
    assert!(home.ok(["key", "ls"]).contains('k'));
}

/// Tokens come last: from the first on, one is asked for.
fn tokens(tour: &mut Tour<'_>) {
    let made = tour.call("auth/token/add?arg=t&rate=1000/s&max-bytes=1000000");
    let secret = format!(
        "Bearer {}",
        made.error()["Secret"].as_str().unwrap_or_default()
    );
    for call in ["auth/token/ls", "auth/token/rm?arg=t"] {
        let path = tour.path(call);
        let bearer = ("Authorization", secret.as_str());
        let answer = tour
            .daemon
            .ask("POST", &format!("/api/v0/{call}"), &[bearer], b"");
        tour.check(&path, &answer);
    }
}

#[test]
fn records_are_what_the_document_tells() {
    let other = Peer::new();
    let peer = Peer::with(&[
        ("Experimental.Libp2pStreamMounting", "true"),
        ("Ipns.UsePubsub", "true"),
    ]);
    peer.home.ok(["swarm", "connect", &other.address]);
    let document = peer
        .daemon
        .ask("GET", "/api/openapi.json", &[], b"")
        .error();
    let mut tour = Tour {
        daemon: &peer.daemon,
        told: Told::of(document),
        called: BTreeSet::new(),
        wrong: Vec::new(),
        names: vec![
            ("peer", other.id.clone()),
            ("address", other.address.clone()),
            ("self", peer.id.clone()),
            ("absent", ABSENT.to_owned()),
        ],
    };
    uploads(&mut tour);
    for call in CALLS {
        tour.call(call);
    }
    imports(&mut tour, &peer.home, &peer.id);
    tokens(&mut tour);
    assert!(tour.wrong.is_empty(), "{}", tour.wrong.join("\n\n"));
    let known = NOT_CALLED
        .iter()
        .map(|(method, _)| format!("/api/v0/{method}"));
    let left: BTreeSet<String> = tour
        .told
        .paths()
        .difference(&tour.called)
        .cloned()
        .collect();
    let left: Vec<String> = left.difference(&known.collect()).cloned().collect();
    assert!(left.is_empty(), "nobody calls {left:?}");
}

/// At `/api/v1` the document tells the whole answer.
#[test]
fn f96_documents_are_what_the_document_tells() {
    let home = Home::alone();
    let daemon = Daemon::start(&home);
    let mut told = Told::of(json(&home.ok(["commands", "openapi"])));
    for call in [
        "id",
        "version",
        "version/deps",
        "pin/add?arg=bafkqaaa",
        "pin/add?arg=bafkqaaa&progress=true",
        "pin/ls",
        "pin/ls?stream=true",
        "refs?arg=bafkqaaa",
        "repo/stat",
        "repo/migrate",
        "files/mkdir?arg=/d",
        "files/ls",
        "cid/codecs",
        "config/profile/list",
    ] {
        let answer = daemon.ask("POST", &format!("/api/v1/{call}"), &[], b"");
        let path = format!("/api/v1/{}", call.split('?').next().unwrap());
        assert_eq!(answer.status, 200, "{call}: {}", answer.text());
        assert_eq!(
            told.wrong(&path, &answer.error()),
            None,
            "{call}: {}",
            answer.text()
        );
    }
}

/// The port of `serve` gives some fields by two names, and its document tells both.
#[test]
fn f91_records_of_the_kits_port_are_what_its_document_tells() {
    let home = Home::alone();
    let served = Daemon::run(&home, &["serve", "--port=0", "--offline"]);
    let get = |target: &str| served.ask("GET", target, &[], b"");
    let mut told = Told::of(get("/openapi.json").error());
    let added = served.upload("add", &[("a", "text/plain", b"hello")]);
    told.check("/api/v0/add", &added).unwrap();
    let cid = added.error()["cid"].as_str().unwrap().to_owned();
    for call in [
        "ls?arg=CID",
        "exists?arg=CID",
        "pin/ls",
        "resolve?arg=CID",
        "id",
        "stat?arg=CID",
    ] {
        let answer = get(&format!("/api/v0/{}", call.replace("CID", &cid)));
        let path = format!("/api/v0/{}", call.split('?').next().unwrap());
        told.check(&path, &answer).unwrap();
    }
}

/// The check can fail.
#[test]
fn records_with_other_fields_are_refused() {
    let home = Home::bare();
    let mut told = Told::of(json(&home.ok(["commands", "openapi"])));
    let path = "/api/v0/repo/version";
    assert_eq!(told.wrong(path, &json!({"Version": "17"})), None);
    for other in [
        json!({}),
        json!({"Version": 17}),
        json!({"Version": "17", "More": 1}),
        json!([]),
    ] {
        assert!(told.wrong(path, &other).is_some(), "{other}");
    }
}
