//! Jobs of nodes without a network: what is durable, what ends how.

use std::time::{Duration, Instant};

use super::*;
use crate::{AddOptions, Cid, Error, PinFilter, Source};

fn pin(paths: &[&str]) -> JobWork {
    JobWork::Pin {
        paths: paths.iter().map(ToString::to_string).collect(),
        recursive: true,
        name: Some("by a job".to_owned()),
    }
}

fn added(node: &Node, byte: u8) -> Cid {
    let source = Source::Reader {
        name: None,
        reader: Box::new(std::io::Cursor::new(vec![byte; 600_000])),
    };
    let options = AddOptions {
        pin: false,
        ..AddOptions::default()
    };
    let report = node
        .files()
        .add(vec![source], &options, &mut |_| Ok(()))
        .unwrap();
    report.roots[0].cid.clone()
}

/// The job once it is as `wanted`.
fn wait(node: &Node, id: u64, wanted: impl Fn(&Job) -> bool) -> Job {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let job = node.jobs().get(id).unwrap();
        if wanted(&job) {
            return job;
        }
        assert!(Instant::now() < deadline, "{job:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_there_is_pinned() {
    let node = Node::builder().in_memory().open().unwrap();
    let root = added(&node, 1).to_string();
    assert!(matches!(
        node.jobs().start(pin(&[&root])),
        Err(Error::Job(JobError::NoRunner))
    ));
    node.jobs().resume().unwrap();
    let id = node.jobs().start(pin(&[&root])).unwrap().id;
    let job = wait(&node, id, |job| job.state.has_ended());
    assert_eq!((job.state, job.runs), (JobState::Done, 1), "{job:?}");
    assert_eq!(job.roots, std::slice::from_ref(&root));
    assert!(
        job.progress.checked_blocks >= 3 && job.progress.checked_bytes > 300_000,
        "{job:?}"
    );
    assert_eq!(
        node.pins()
            .check(std::slice::from_ref(&root), PinFilter::Recursive)
            .unwrap()
            .len(),
        1
    );
    assert!(matches!(
        node.jobs().cancel(id),
        Err(Error::Job(JobError::Ended(_)))
    ));
    assert!(matches!(
        node.jobs().cancel(99),
        Err(Error::Job(JobError::NoJob(99)))
    ));
    let id = node.jobs().start(pin(&["nonsense"])).unwrap().id;
    let job = wait(&node, id, |job| job.state.has_ended());
    assert_eq!(job.state, JobState::Failed);
    assert!(job.reason.unwrap().contains("nonsense"));
    node.close().unwrap();
}

#[test]
fn what_is_missing_waits_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    crate::repo::init(&repo, &crate::repo::InitOptions::default()).unwrap();
    let open = || Node::builder().repo(&repo).open().unwrap();
    let other = Node::builder().in_memory().open().unwrap();
    let (root, absent) = (added(&other, 2).to_string(), added(&other, 3).to_string());
    let node = open();
    node.jobs().resume().unwrap();
    let (first, second) = (
        node.jobs().start(pin(&[&root])).unwrap().id,
        node.jobs().start(pin(&[&absent])).unwrap().id,
    );
    let job = wait(&node, first, |job| job.reason.is_some());
    assert_eq!(job.state, JobState::Queued);
    wait(&node, second, |job| job.reason.is_some());
    assert_eq!(
        node.jobs().cancel(second).unwrap().state,
        JobState::Cancelled
    );
    node.close().unwrap();

    let node = open();
    assert_eq!(added(&node, 2).to_string(), root);
    assert_eq!(
        node.jobs().get(first).unwrap().state,
        JobState::Queued,
        "nothing runs yet"
    );
    node.jobs().resume().unwrap();
    let job = wait(&node, first, |job| job.state.has_ended());
    assert_eq!((job.state, job.runs), (JobState::Done, 2), "{job:?}");
    let all = node.jobs().list().unwrap();
    let states: Vec<JobState> = all.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Done, JobState::Cancelled]);
    node.close().unwrap();
}

#[test]
fn old_ones_are_forgotten_and_open_ones_are_not() {
    let node = Node::builder().in_memory().open().unwrap();
    let job = |state| Job {
        id: 0,
        work: pin(&[]),
        state,
        reason: None,
        roots: Vec::new(),
        created: SystemTime::now(),
        ended: None,
        runs: 0,
        progress: JobProgress::default(),
    };
    let first = table::insert(node.database(), job(JobState::Queued)).unwrap();
    for _ in 0..1010 {
        table::insert(node.database(), job(JobState::Done)).unwrap();
    }
    let all = node.jobs().list().unwrap();
    assert_eq!(all.len(), 1001);
    assert_eq!(all[0].id, first.id);
    assert_eq!(all[1000].id, 1011);
}
