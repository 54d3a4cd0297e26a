//! Web servers on loopback: gateways, honest and others, and a delegated router.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ipfs_kit_blockstore::car::CarWriter;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use crate::{Cid, Node};

type Reply = Result<Response<Full<Bytes>>, std::io::Error>;

/// What a gateway does with a request for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// Other bytes.
    Lies,
    /// Answers after a minute.
    Slow,
    /// Three mebibytes.
    TooLarge,
    /// Closes the connection.
    Drops,
    /// Has nothing.
    Empty,
    /// Sends on to another address.
    Redirects,
    /// Whole DAGs too.
    Cars,
    /// Whole DAGs that end in the middle.
    HalfCars,
    /// CARs of other blocks.
    ForgedCars,
}

/// A running server; it ends with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    /// Requests that came, but for those for whole DAGs.
    pub asked: Arc<AtomicUsize>,
}

impl Server {
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn multiaddr(&self) -> String {
        format!(
            "/ip4/{}/tcp/{}/http",
            self.address.ip(),
            self.address.port()
        )
    }

    pub fn count(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn serve<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> Server
where
    F: Future<Output = Reply> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, count) = (answer.clone(), Arc::clone(&count));
            let service = service_fn(move |request: Request<Incoming>| {
                // Whether it gives whole DAGs is asked besides.
                let is_car = request
                    .uri()
                    .query()
                    .is_some_and(|query| query.starts_with("format=car"));
                count.fetch_add(usize::from(!is_car), Ordering::Relaxed);
                answer(request)
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                // A connection that a server drops on purpose.
                let _ = serving.await;
            });
        }
    });
    Server { address, asked }
}

fn reply(status: StatusCode, kind: &str, body: impl Into<Bytes>) -> Reply {
    let reply = Response::builder()
        .status(status)
        .header("content-type", kind);
    Ok(reply.body(Full::new(body.into())).unwrap())
}

/// A gateway over a node's store.
pub async fn gateway(node: &Node, manner: Manner) -> Server {
    let node = node.clone();
    serve(move |request| {
        let node = node.clone();
        async move {
            let cid: Cid = request
                .uri()
                .path()
                .strip_prefix("/ipfs/")
                .unwrap()
                .parse()
                .unwrap();
            if request.uri().query() == Some("format=car&dag-scope=all") {
                return whole(&node, &cid, manner).await;
            }
            assert_eq!(request.uri().query(), Some("format=raw"));
            assert_eq!(request.headers()["accept"], "application/vnd.ipld.raw");
            match manner {
                Manner::Cars | Manner::HalfCars | Manner::ForgedCars | Manner::Honest => {
                    match node.local_block(&cid) {
                        Ok(data) => reply(StatusCode::OK, "application/vnd.ipld.raw", data),
                        Err(_) => reply(StatusCode::NOT_FOUND, "text/plain", "not here"),
                    }
                }
                Manner::Lies => reply(StatusCode::OK, "application/vnd.ipld.raw", "something else"),
                Manner::Slow => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    reply(StatusCode::GATEWAY_TIMEOUT, "text/plain", "")
                }
                Manner::TooLarge => {
                    reply(StatusCode::OK, "application/vnd.ipld.raw", vec![0; 3 << 20])
                }
                Manner::Drops => Err(std::io::ErrorKind::ConnectionReset.into()),
                Manner::Empty => reply(StatusCode::NOT_FOUND, "text/plain", "not here"),
                Manner::Redirects => Ok(Response::builder()
                    .status(StatusCode::FOUND)
                    .header("location", "http://127.0.0.2:1/")
                    .body(Full::default())
                    .unwrap()),
            }
        }
    })
    .await
}

/// The answer to a request for a CAR.
async fn whole(node: &Node, cid: &Cid, manner: Manner) -> Reply {
    let (node, path) = (node.clone(), cid.to_string());
    let export = move || {
        let mut car = Vec::new();
        node.dag()
            .export(&path, &mut car, true, &mut |_| Ok(()))
            .unwrap();
        car
    };
    let car = match manner {
        Manner::Cars | Manner::HalfCars => tokio::task::spawn_blocking(export).await.unwrap(),
        Manner::ForgedCars => {
            let mut car = CarWriter::new(Vec::new(), std::slice::from_ref(cid)).unwrap();
            car.put(cid, b"something else").unwrap();
            car.finish().unwrap()
        }
        _ => {
            return reply(
                StatusCode::NOT_ACCEPTABLE,
                "text/plain",
                "single blocks only",
            );
        }
    };
    let len = if manner == Manner::HalfCars {
        car.len() / 2
    } else {
        car.len()
    };
    reply(
        StatusCode::OK,
        "application/vnd.ipld.car; version=1",
        car[..len].to_vec(),
    )
}

/// What a router knows: by the path below `/routing/v1`, its type and its body.
pub type Table = Arc<Mutex<HashMap<String, (&'static str, Bytes)>>>;

/// A router that answers from its table; what is put there is kept in it.
pub async fn router(table: Table) -> Server {
    serve(move |request| {
        let table = Arc::clone(&table);
        async move {
            let path = request
                .uri()
                .path()
                .strip_prefix("/routing/v1")
                .unwrap()
                .to_owned();
            if request.method() == Method::PUT {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                table
                    .lock()
                    .insert(path, ("application/vnd.ipfs.ipns-record", body));
                return reply(StatusCode::OK, "text/plain", "");
            }
            let found = table.lock().get(&path).cloned();
            match found {
                Some((kind, body)) => reply(StatusCode::OK, kind, body),
                None => reply(StatusCode::NOT_FOUND, "text/plain", "nobody"),
            }
        }
    })
    .await
}
