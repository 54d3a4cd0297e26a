//! A whole DAG in one reply of a gateway (`format=car`). Every block is checked when it comes: its bytes against its CID,
//! and its CID against the links of those before it.

use std::io::{BufReader, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use ipfs_kit_blockstore::block::Block;
use ipfs_kit_blockstore::car::{CarLimits, CarReader};
use ipfs_kit_blockstore::cid::Cid;
use ipfs_kit_blockstore::codec;
use rustc_hash::FxHashSet;
use tokio::sync::mpsc;

use super::endpoint::Endpoint;
use super::ranking::Outcome;
use super::{Retrieval, RetrievalError, Running, Sources};
use crate::web::{WebError, failed};

const CAR: &str = "application/vnd.ipld.car";
const ACCEPT: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=n";

/// Blocks that wait to be taken, and pieces of the reply that wait to be read.
const WAITING_MAX: usize = 32;
const PIECES_MAX: usize = 16;

/// Longest pause within a reply that somebody reads.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Linked blocks that have not come yet. A DAG that needs more is fetched block by block.
const EXPECTED_MAX: usize = 1 << 17;

/// Blocks that nothing before them links to, and that are dropped, before the gateway is given up.
const STRANGE_MAX: usize = 256;

/// Bytes of a section beside its block: a CID.
const CID_ROOM: usize = 256;

impl Retrieval {
    /// The best gateway for whole DAGs.
    pub(super) fn choose_for_car(&self, sources: &Sources) -> Option<Endpoint> {
        let (now, ranking) = (Instant::now(), self.ranking.lock());
        let (known, without) = (sources.known.lock(), self.without_cars.lock());
        let open = known
            .iter()
            .map(|(at, _)| at)
            .filter(|at| at.cars && !without.contains(&at.base));
        let costs = open.filter_map(|at| Some((at, ranking.cost(now, &at.base)?)));
        let best = costs.min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map(|(at, _)| at.clone())
    }

    /// Asks a gateway for everything below a root. The blocks end with the reply, or with what is wrong in it: then the
    /// rest is to be fetched otherwise.
    pub(super) fn car(self: &Arc<Self>, endpoint: Endpoint, root: Cid) -> mpsc::Receiver<Block> {
        let (told, blocks) = mpsc::channel(WAITING_MAX);
        let retrieval = Arc::clone(self);
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _permit = retrieval.workers.acquire().await;
            let mut running = Running::begin(&retrieval, &endpoint.base);
            running.outcome = Some(Outcome::Dropped);
            let gone = told.clone();
            tokio::select! {
                got = retrieval.stream_car(&endpoint, root, told) => match got {
                    Ok(()) => {}
                    // Single blocks of it may be good, and are judged by themselves.
                    Err(RetrievalError::Lie(_)) => retrieval.has_no_cars(&endpoint),
                    Err(RetrievalError::Missing(_)) => running.outcome = Some(Outcome::Missing),
                    Err(_) => running.outcome = Some(Outcome::Failed),
                },
                () = gone.closed() => {}
            }
        });
        blocks
    }

    /// It is asked for single blocks from now on. Only those of the configuration are asked, so these are few.
    fn has_no_cars(&self, endpoint: &Endpoint) {
        self.without_cars.lock().insert(endpoint.base.clone());
    }

    async fn stream_car(
        &self,
        endpoint: &Endpoint,
        root: Cid,
        told: mpsc::Sender<Block>,
    ) -> Result<(), RetrievalError> {
        let Some(body) = self.ask_car(endpoint, &root).await? else {
            self.has_no_cars(endpoint);
            return Ok(());
        };
        let (pieces, incoming) = mpsc::channel(PIECES_MAX);
        let limits = CarLimits {
            section: self.settings.block_max + CID_ROOM,
            ..CarLimits::default()
        };
        let reading = tokio::task::spawn_blocking(move || {
            let pieces = Pieces {
                incoming,
                rest: Bytes::new(),
            };
            unpack(BufReader::new(pieces), limits, root, &told)
        });
        // Where the reply breaks off, what came before is good.
        let whole = feed(body, pieces).await;
        let base = || endpoint.base.clone();
        match (reading.await, whole) {
            (Ok(Ok(())), Ok(())) => Ok(()),
            (_, Err(error)) => Err(RetrievalError::Web(base(), error)),
            _ => Err(RetrievalError::Lie(base())),
        }
    }

    /// `None` where it gives no CARs.
    async fn ask_car(
        &self,
        endpoint: &Endpoint,
        root: &Cid,
    ) -> Result<Option<Incoming>, RetrievalError> {
        let reply = match self
            .request(endpoint, root, "format=car&dag-scope=all", ACCEPT)
            .await
        {
            Err(RetrievalError::Web(_, WebError::Status(status)))
                if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED =>
            {
                return Ok(None);
            }
            reply => reply?,
        };
        let kind = reply.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok());
        let is_car = kind.is_some_and(|kind| kind.starts_with(CAR));
        Ok(is_car.then(|| reply.into_body()))
    }
}

/// Hands the reply on, piece by piece. Who reads slowly makes the gateway wait.
async fn feed(mut body: Incoming, pieces: mpsc::Sender<Bytes>) -> Result<(), WebError> {
    loop {
        let frame = tokio::time::timeout(PAUSE_MAX, body.frame()).await;
        let frame = frame.map_err(|_| WebError::TimedOut(PAUSE_MAX))?;
        let Some(frame) = frame else {
            return Ok(());
        };
        let frame = frame.map_err(|error| failed(&error))?;
        if let Ok(data) = frame.into_data()
            && pieces.send(data).await.is_err()
        {
            // Whoever read it has said why it ended.
            return Ok(());
        }
    }
}

/// The reply as a reader that blocks.
struct Pieces {
    incoming: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.incoming.blocking_recv() {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Reads the blocks below a root and hands them on while somebody takes them. An error is what makes the CAR a bad one.
fn unpack(
    read: impl Read,
    limits: CarLimits,
    root: Cid,
    told: &mpsc::Sender<Block>,
) -> Result<(), ()> {
    let mut car = CarReader::new(read, limits).map_err(drop)?;
    let mut expected = FxHashSet::from_iter([root]);
    let mut strange = 0;
    while let Some(section) = car.next_section().map_err(drop)? {
        if !expected.remove(&section.cid) {
            strange += 1;
            if strange > STRANGE_MAX {
                return Err(());
            }
            continue;
        }
        let block = Block::verified(section.cid, section.data).map_err(drop)?;
        let mut follow = |link: Cid| {
            if !link.hash().is_identity() && expected.len() <= EXPECTED_MAX {
                expected.insert(link);
            }
        };
        // What is below a block that cannot be read is nobody's to ask for.
        let _ = codec::links(block.cid().codec(), block.data(), &mut follow);
        if expected.len() > EXPECTED_MAX || told.blocking_send(block).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ipfs_kit_blockstore::car::CarWriter;
    use ipfs_kit_blockstore::hash::HashSpec;

    use super::*;

    fn raw(data: &[u8]) -> Block {
        let cid = Cid::v1(codec::RAW, HashSpec::SHA2_256.digest(data).unwrap());
        Block::verified(cid, Bytes::copy_from_slice(data)).unwrap()
    }

    fn unpacked(root: &Block, blocks: &[&Block]) -> (Result<(), ()>, usize) {
        let mut car = CarWriter::new(Vec::new(), &[root.cid().clone()]).unwrap();
        for block in blocks {
            car.put_block(block).unwrap();
        }
        let car = car.finish().unwrap();
        let (told, mut got) = mpsc::channel(STRANGE_MAX);
        let outcome = unpack(&car[..], CarLimits::default(), root.cid().clone(), &told);
        let mut count = 0;
        while got.try_recv().is_ok() {
            count += 1;
        }
        (outcome, count)
    }

    #[test]
    fn only_what_belongs_to_the_dag_is_taken() {
        let (root, other) = (raw(b"root"), raw(b"other"));
        assert_eq!(unpacked(&root, &[&root]), (Ok(()), 1));
        assert_eq!(unpacked(&root, &[&other, &root, &root]), (Ok(()), 1));
        let forged = Block::trusted(root.cid().clone(), Bytes::from_static(b"no root"));
        assert_eq!(unpacked(&root, &[&forged]), (Err(()), 0));
        let many = vec![&other; STRANGE_MAX + 1];
        assert_eq!(unpacked(&root, &many), (Err(()), 0));
    }

    #[test]
    fn what_is_no_car_is_told() {
        let (told, _got) = mpsc::channel(1);
        let root = raw(b"root").cid().clone();
        for bytes in [&b""[..], b"\0", b"<html>nothing</html>"] {
            assert!(unpack(bytes, CarLimits::default(), root.clone(), &told).is_err());
        }
    }
}
