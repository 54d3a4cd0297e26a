//! Files from node to node.

use std::io::Read;
use std::time::{Duration, Instant};

use super::{QUIC, TCP, address, node};
use crate::fetch::Reach;
use crate::{
    AddOptions, CancelToken, Cid, Error, Job, JobState, JobWork, Node, PinAdd, RefEvent,
    RefsOptions, Source,
};

/// Bytes that do not repeat.
pub(super) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Two nodes; the second has dialled the first.
async fn pair(listen: &str) -> (Node, Node) {
    let (one, two) = (node(&[listen]).await, node(&[listen]).await);
    let target = address(&one).await;
    two.peers().unwrap().connect(&target).await.unwrap();
    (one, two)
}

pub(super) async fn add(node: &Node, data: Vec<u8>) -> Cid {
    let node = node.clone();
    let add = move || {
        let sources = vec![Source::bytes("file", data)];
        let report = node
            .files()
            .add(sources, &AddOptions::default(), &mut |_| Ok(()))?;
        Ok::<_, Error>(report.roots[0].cid.clone())
    };
    tokio::task::spawn_blocking(add).await.unwrap().unwrap()
}

pub(super) async fn cat(node: &Node, cid: &Cid) -> Result<Vec<u8>, Error> {
    let (node, path) = (node.clone(), cid.to_string());
    let cat = move || {
        let mut data = Vec::new();
        let mut stream = node.files().cat(&path)?;
        stream.copy_to(&mut data, None)?;
        Ok(data)
    };
    tokio::task::spawn_blocking(cat).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_all_sizes_come_over_tcp_and_quic() {
    for listen in [TCP, QUIC] {
        let (one, two) = pair(listen).await;
        for len in [0, 5, 300_000, 20 << 20] {
            let data = noise(len, len as u64);
            let cid = add(&one, data.clone()).await;
            assert!(cat(&two, &cid).await.unwrap() == data, "{listen} {len}");
            assert!(
                cat(&two.offline(), &cid).await.unwrap() == data,
                "it is kept"
            );
        }
        one.shutdown().await.unwrap();
        two.shutdown().await.unwrap();
    }
}

/// Links of a DAG below its root, each once.
async fn descendants(node: &Node, root: &Cid) -> Vec<Cid> {
    let (node, paths) = (node.clone(), [root.to_string()]);
    let list = move || {
        let mut found = Vec::new();
        let options = RefsOptions {
            recursive: true,
            unique: true,
            max_depth: None,
        };
        node.refs(&paths, &options, &mut |event| {
            if let RefEvent::Link { target, .. } = event {
                found.push(target);
            }
            Ok(())
        })
        .map(|_| found)
    };
    tokio::task::spawn_blocking(list).await.unwrap().unwrap()
}

/// What one reader waits for must not be given up for what another one asks for.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_wait_far_ahead_of_each_other_all_get_their_blocks() {
    let (one, two) = pair(TCP).await;
    let cid = add(&one, noise(60 << 20, 21)).await;
    let mut blocks = descendants(&one, &cid).await;
    blocks.sort();
    let deadline = CancelToken::new().with_deadline(Instant::now() + Duration::from_secs(60));
    let reader = two.with_cancel(deadline).fetching(Reach::Ahead(vec![cid]));
    let readers: Vec<_> = (0..6)
        .map(|first| {
            let (reader, blocks) = (reader.clone(), blocks.clone());
            tokio::task::spawn_blocking(move || {
                for cid in blocks.iter().skip(first).step_by(6) {
                    reader.block(cid)?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for done in readers {
        done.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_fetches_what_it_pins() {
    let (one, two) = pair(TCP).await;
    let cid = add(&one, noise(5 << 20, 3)).await;
    let pinning = two.clone();
    let pin = move || {
        let paths = [cid.to_string()];
        pinning
            .pins()
            .add(&paths, &PinAdd::default(), &mut |_| Ok(()))?;
        pinning.repo().gc(&mut |_| Ok(()))?;
        pinning
            .offline()
            .files()
            .cat(&paths[0])?
            .read_to_end(&mut Vec::new())
            .map_err(Error::Input)
    };
    let len = tokio::task::spawn_blocking(pin).await.unwrap().unwrap();
    assert_eq!(len, 5 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_fetched_from_a_provider_that_only_routing_knows() {
    let nodes = [node(&[TCP]).await, node(&[TCP]).await, node(&[TCP]).await];
    let middle = address(&nodes[1]).await;
    for end in [0, 2] {
        nodes[end].peers().unwrap().connect(&middle).await.unwrap();
    }
    let cid = add(&nodes[0], noise(1 << 20, 9)).await;
    let routing = nodes[0].routing().unwrap();
    while routing.provide(&cid).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let got = tokio::time::timeout(Duration::from_secs(30), cat(&nodes[2], &cid)).await;
    assert_eq!(got.unwrap().unwrap().len(), 1 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_nobody_has_ends_with_the_deadline_and_says_what_was_tried() {
    let (_one, two) = pair(TCP).await;
    let nobody: Cid = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        .parse()
        .unwrap();
    let started = Instant::now();
    let deadline = started + Duration::from_millis(500);
    let hurried = two.with_cancel(CancelToken::new().with_deadline(deadline));
    let error = cat(&hurried, &nobody).await.unwrap_err();
    assert!(matches!(error, Error::NotFetched { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    let offline = cat(&two.offline(), &nobody).await.unwrap_err();
    assert!(matches!(offline, Error::NotFound(_)), "{offline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_the_network_goes_on_when_a_peer_connects() {
    let one = node(&[TCP]).await;
    let cid = add(&one, noise(300_000, 9)).await;
    let two = super::builder(&[TCP], &[]).open().unwrap();
    two.jobs().resume().unwrap();
    let work = JobWork::Pin {
        paths: vec![cid.to_string()],
        recursive: true,
        name: None,
    };
    let id = two.jobs().start(work).unwrap().id;
    let job = async |wanted: &dyn Fn(&Job) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let job = two.jobs().get(id).unwrap();
            if wanted(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "{job:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waits = job(&|job| job.reason.is_some()).await;
    assert_eq!(
        (waits.state, waits.runs),
        (JobState::Queued, 1),
        "{waits:?}"
    );
    two.go_online().await.unwrap();
    let target = address(&one).await;
    two.peers().unwrap().connect(&target).await.unwrap();
    let done = job(&|job| job.state.has_ended()).await;
    assert_eq!((done.state, done.runs), (JobState::Done, 2), "{done:?}");
}
