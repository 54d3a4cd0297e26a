//! `pin remote` beside Kubo's, each with a pinning service of its own: the same answers, and the same requests to the
//! service. Then the policy of MFS, which both daemons follow by themselves.

use crate::online::until;
use anyhow::{Context, Result, ensure};
use ipfs_kit_interop_tests::daemon::{Answer, Daemon};
use ipfs_kit_interop_tests::pinning::{KEY, PinningService};
use ipfs_kit_interop_tests::{Peer, Side as Kind, scratch};
use serde_json::Value;

const EMPTY: &str = "bafkqaaa";
const FILE: &str = "bafkreifv4dxonyuo7stnnlif264ksrrrk5qdp3e6l73ngbp6rh5kbyidfy";

/// One side: its daemon and its service.
struct Side {
    peer: Peer,
    daemon: Daemon,
    service: PinningService,
}

impl Side {
    fn start(peer: Peer) -> Result<Self> {
        peer.run_with(["block", "put"], b"loose")?;
        let daemon =
            Daemon::start_with(&peer, &["--offline"], &[("MFS_PIN_POLL_INTERVAL", "50ms")])?;
        Ok(Self {
            peer,
            daemon,
            service: PinningService::start()?,
        })
    }

    /// A call with `ENDPOINT` and `KEY` filled in. What differs from side to side is taken out of the answer.
    fn call(&self, call: &str) -> Result<Answer> {
        let endpoint = self.service.endpoint();
        let call = call.replace("ENDPOINT", &endpoint).replace("KEY", KEY);
        let mut answer = self.daemon.call(&call, None)?;
        let body = String::from_utf8_lossy(&answer.body).replace(&endpoint, "ENDPOINT");
        ensure!(!body.contains(KEY), "{call} shows the key: {body}");
        answer.body = body.into_bytes();
        Ok(answer)
    }

    /// The requests since the last time, without the sizes of pages, which each side chooses.
    fn requests(&self, seen: &mut usize) -> Vec<String> {
        let all = self.service.requests();
        // Counts are asked for four at once, and Kubo does not wait for the others when one fails.
        let new = all[*seen..]
            .iter()
            .filter(|request| !request.contains("limit=1&"));
        let new = new.map(|request| {
            // Both sides escape as they like.
            let request = request.replace("limit=1000", "limit=10");
            request.replace('+', "%20").replace("\\u0026", "&")
        });
        let new = new.collect();
        *seen = all.len();
        new
    }
}

/// Calls in order.
const CALLS: &[&str] = &[
    "pin/remote/service/ls",
    "pin/remote/service/add?arg=svc",
    "pin/remote/service/add?arg=svc&arg=ftp://host/&arg=k",
    "pin/remote/service/add?arg=svc&arg=host&arg=k",
    "pin/remote/service/add?arg=svc&arg=ENDPOINT/pins&arg=k",
    "pin/remote/service/add?arg=svc&arg=ENDPOINT?x=y&arg=k",
    "pin/remote/service/add?arg=svc&arg=ENDPOINT//./x/..//&arg=KEY",
    "pin/remote/service/add?arg=svc&arg=ENDPOINT&arg=KEY",
    "pin/remote/service/add?arg=other&arg=ENDPOINT&arg=wrong",
    "pin/remote/service/add?arg=deaf&arg=http://127.0.0.1:1&arg=k",
    "pin/remote/service/ls",
    "pin/remote/service/ls?stat=true",
    "pin/remote/service/ls?stat=true&encoding=text",
    "config?arg=Pinning.RemoteServices.svc.API.Key",
    "config?arg=Pinning.RemoteServices.svc.API.Endpoint",
    "config?arg=Pinning.RemoteServices.svc.Policies",
    "config?arg=Pinning.RemoteServices",
    "pin/remote/add?arg=bafkqaaa",
    "pin/remote/add?arg=bafkqaaa&service=none",
    "pin/remote/add?service=svc",
    "pin/remote/add?arg=nonsense&service=svc",
    "pin/remote/add?arg=bafkqaaa&service=other",
    "pin/remote/add?arg=bafkqaaa&service=svc",
    "pin/remote/add?arg=bafkqaaa&service=svc&name=too+much",
    "pin/remote/add?arg=bafkqaaa&service=svc&name=doomed",
    "pin/remote/add?arg=bafkqaaa&service=svc&name=a+name%26more&background=true",
    "pin/remote/add?arg=/ipfs/FILE&service=svc&name=file&background=true&encoding=text",
    "pin/remote/ls",
    "pin/remote/ls?service=none",
    "pin/remote/ls?service=other",
    "pin/remote/ls?service=svc",
    "pin/remote/ls?service=svc&status=queued&status=pinning&status=pinned&status=failed",
    "pin/remote/ls?service=svc&status=queued&status=failed&encoding=text",
    "pin/remote/ls?service=svc&status=lost",
    "pin/remote/ls?service=svc&cid=nonsense",
    "pin/remote/ls?service=svc&cid=bafkqaaa&cid=FILE&status=queued",
    "pin/remote/ls?service=svc&name=a+name%26more&status=queued",
    "pin/remote/ls?service=svc&cid-base=base58btc",
    "pin/remote/service/ls?stat=true",
    "pin/remote/rm?service=other",
    "pin/remote/rm?service=svc&status=queued",
    "pin/remote/rm?service=svc&name=file&status=queued",
    "pin/remote/rm?service=svc&name=file&status=queued",
    "pin/remote/rm?service=svc&status=queued&status=pinned&status=failed&force=true",
    "pin/remote/ls?service=svc&status=queued&status=pinning&status=pinned&status=failed",
    "pin/remote/service/rm?arg=none",
    "pin/remote/service/ls",
    "config/show",
];

#[test]
fn calls_are_answered_and_passed_on_as_by_kubo() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let (ours, kubo) = (Side::start(ours)?, Side::start(kubo)?);
    let (mut seen_ours, mut seen_kubo) = (0, 0);
    let mut differences = Vec::new();
    for call in CALLS {
        let call = call.replace("FILE", FILE);
        let (got, wanted) = (ours.call(&call)?, kubo.call(&call)?);
        // The whole configuration is each side's own: only the key is looked for.
        if call != "config/show" && comparable(&got) != comparable(&wanted) {
            let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
            differences.push(format!(
                "{call}: ours {} {}, kubo {} {}",
                got.status,
                text(&got),
                wanted.status,
                text(&wanted)
            ));
        }
        let (got, wanted) = (ours.requests(&mut seen_ours), kubo.requests(&mut seen_kubo));
        if got != wanted {
            differences.push(format!("{call}: ours asked {got:?}, kubo {wanted:?}"));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    ensure!(
        seen_ours > 30,
        "only {seen_ours} requests came to the service"
    );
    Ok(())
}

/// Status and body; reasons that no two programs word alike are left out.
fn comparable(answer: &Answer) -> (u16, String) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let reasons = [
        "invalid path",
        "cannot be parsed",
        "dial tcp",
        "tcp connect",
    ];
    let end = reasons.iter().filter_map(|reason| body.find(reason)).min();
    (answer.status, body[..end.unwrap_or(body.len())].to_owned())
}

#[test]
fn a_long_list_comes_whole() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let mut lists = Vec::new();
    for peer in [ours, kubo] {
        let side = Side::start(peer)?;
        side.call("pin/remote/service/add?arg=svc&arg=ENDPOINT&arg=KEY")?;
        for number in 0..25 {
            let answer = side.call(&format!(
                "pin/remote/add?arg={EMPTY}&service=svc&name=n{number}&background=true"
            ))?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        side.service.set_all("pinned");
        let listed = side.call("pin/remote/ls?service=svc&encoding=text")?;
        lists.push(String::from_utf8(listed.body)?);
        // By the command line as well, attached and, once the daemon has ended, by itself.
        let by_hand = side.peer.text(["pin", "remote", "ls", "--service=svc"])?;
        ensure!(by_hand.lines().count() == 25, "{by_hand}");
    }
    ensure!(
        lists[0].lines().count() == 25 && lists[0] == lists[1],
        "{lists:?}"
    );
    Ok(())
}

#[test]
fn without_a_daemon() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let mut outputs = Vec::new();
    for peer in [ours, kubo] {
        let service = PinningService::start()?;
        let endpoint = service.endpoint();
        let add = ["pin", "remote", "service", "add", "svc", &endpoint, KEY];
        peer.run(add)?;
        let mut told = Vec::new();
        for command in [
            "pin remote service ls --stat",
            "pin remote add --service=svc --name=mine bafkqaaa",
            "pin remote ls --service=svc",
            "pin remote ls --service=svc --enc=json",
            "pin remote ls --service=svc --status=queued,pinned --cid=bafkqaaa,bafkqabtimvwgy3yk",
            "pin remote rm --service=svc --cid=bafkqaaa --status=pinned,failed",
            "pin remote ls --service=svc",
            "pin remote service rm svc",
        ] {
            let words = command.split(' ');
            told.push(peer.text(words)?.replace(&endpoint, "ENDPOINT"));
        }
        // Kubo warns on standard output.
        told.iter_mut().for_each(|text| {
            let lines = text.lines().filter(|line| !line.starts_with("WARNING"));
            *text = lines.collect::<Vec<_>>().join("\n");
        });
        // Kubo 0.43 leaves the service where it was.
        if peer.side() == Kind::Ours {
            ensure!(peer.text(["pin", "remote", "service", "ls"])?.is_empty());
        }
        outputs.push(told);
    }
    ensure!(outputs[0] == outputs[1], "{outputs:#?}");
    Ok(())
}

#[test]
fn mfs_is_kept_pinned() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    for peer in [ours, kubo] {
        let side = Side::start(peer)?;
        let peer = &side.peer;
        side.call("pin/remote/service/add?arg=svc&arg=ENDPOINT&arg=KEY")?;
        let policy = "Pinning.RemoteServices.svc.Policies.MFS";
        peer.run(["config", &format!("{policy}.RepinInterval"), "10ms"])?;
        peer.run(["config", "--json", &format!("{policy}.Enable"), "true"])?;
        let id = peer.json(["id"])?;
        let id = id[0]["ID"].as_str().context("no id")?;
        assert_pinned(&side, &format!("policy/{id}/mfs"))?;
        peer.run_with(["files", "write", "--create", "/one"], b"one")?;
        assert_pinned(&side, &format!("policy/{id}/mfs"))?;
        // Another name is another pin; the one before stays with the service.
        peer.run(["config", &format!("{policy}.PinName"), "my tree"])?;
        assert_pinned(&side, "my tree")?;
        peer.run_with(["files", "write", "--create", "/two"], b"two")?;
        assert_pinned(&side, "my tree")?;
        ensure!(side.service.pins().len() == 2, "{:?}", side.service.pins());
        ensure!(
            side.service
                .requests()
                .iter()
                .any(|request| request.starts_with("POST /api/v1/pins/request"))
        );
    }
    Ok(())
}

/// Waits until the service has exactly the root of MFS under a name.
fn assert_pinned(side: &Side, name: &str) -> Result<()> {
    let stat = side.peer.json(["files", "stat", "/"])?;
    let root = stat.first().map(|stat| &stat["Hash"]);
    let root = root.and_then(Value::as_str).context("no root")?;
    until("MFS is pinned", || {
        let pins = side.service.pins();
        let named: Vec<_> = pins.iter().filter(|pin| pin.0 == name).collect();
        Ok((named.len() == 1 && named[0].1 == root).then_some(()))
    })
}
