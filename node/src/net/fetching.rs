//! The fetch protocol of libp2p: one value by its key, asked of one peer. Names over pubsub use it.
//!
//! Spec: <https://github.com/libp2p/specs/tree/master/fetch>.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, StreamProtocol};
use prost::Message as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Net;
use super::streams::Opener;
use crate::names::record::MAX_RECORD_LEN;

/// The protocol's name.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/libp2p/fetch/0.0.1");

/// Longest request and answer: a record with what is around it.
const LEN_MAX: usize = MAX_RECORD_LEN + 256;

/// Longest exchange.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests answered at the same time.
const ANSWERED_MAX: usize = 64;

const OK: i32 = 0;
const NOT_FOUND: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Asks connected peers.
#[derive(Clone)]
pub struct Fetching(Opener);

impl Fetching {
    /// The value that a peer has under a key; `None` also when it does not answer.
    pub async fn fetch(&self, peer: PeerId, key: Vec<u8>) -> Option<Bytes> {
        let exchange = async {
            let mut stream = self.0.open(peer, PROTOCOL).await.ok()?;
            let request = Request { key }.encode_length_delimited_to_vec();
            stream.write_all(&request).await.ok()?;
            stream.flush().await.ok()?;
            let answer = Answer::decode(read(&mut stream).await.ok()?).ok()?;
            // The peer has said everything.
            let _ = stream.close().await;
            (answer.status == OK).then_some(answer.value)
        };
        timeout(PATIENCE, exchange).await.ok()?
    }
}

impl Net {
    /// Asks peers for values.
    pub fn fetching(&self) -> Fetching {
        Fetching(self.streams.clone())
    }

    /// Answers peers with what `values` has. The first call counts.
    pub fn serve_fetch(&self, values: impl Fn(&[u8]) -> Option<Bytes> + Send + Sync + 'static) {
        let Some(mut incoming) = self.tunnels.accepting.accept(PROTOCOL) else {
            return;
        };
        let values = Arc::new(values);
        let room = Arc::new(Semaphore::new(ANSWERED_MAX));
        self.runtime.spawn(async move {
            while let Some((_, mut stream)) = incoming.recv().await {
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                    continue;
                };
                let values = Arc::clone(&values);
                tokio::spawn(async move {
                    let exchange = async {
                        let request = Request::decode(read(&mut stream).await?)?;
                        let value = values(&request.key);
                        let answer = Answer {
                            status: if value.is_some() { OK } else { NOT_FOUND },
                            value: value.unwrap_or_default(),
                        };
                        stream
                            .write_all(&answer.encode_length_delimited_to_vec())
                            .await?;
                        stream.close().await
                    };
                    // A peer that goes, or says nothing that can be read, gets no answer.
                    let _ = timeout(PATIENCE, exchange).await;
                    drop(permit);
                });
            }
        });
    }
}

/// A message with its length in front.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut len = 0;
    for shift in [0, 7, 14] {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            if len > LEN_MAX {
                break;
            }
            let mut message = vec![0; len];
            stream.read_exact(&mut message).await?;
            return Ok(message.into());
        }
    }
    let reason = format!("a message of more than {LEN_MAX} bytes");
    Err(io::Error::new(io::ErrorKind::InvalidData, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    #[tokio::test]
    async fn messages_are_those_of_the_specification_and_bounded() {
        let request = Request {
            key: b"/ipns/x".to_vec(),
        };
        let bytes = request.encode_length_delimited_to_vec();
        assert_eq!(bytes, [&[9, 0x0a, 7][..], b"/ipns/x"].concat());
        let found = Answer {
            status: OK,
            value: Bytes::from_static(b"v"),
        };
        // The default is not written, as in Go with proto3.
        assert_eq!(found.encode_length_delimited_to_vec(), [3, 0x12, 1, b'v']);
        let missing = Answer {
            status: NOT_FOUND,
            value: Bytes::new(),
        };
        assert_eq!(missing.encode_length_delimited_to_vec(), [2, 0x08, 1]);

        let body = read(&mut Cursor::new(bytes)).await.unwrap();
        assert_eq!(Request::decode(body).unwrap(), request);
        for bad in [&[][..], &[5, 1], &[0xff, 0xff, 0x03], &[0xff; 10], &[0x80]] {
            assert!(read(&mut Cursor::new(bad)).await.is_err(), "{bad:?}");
        }
    }
}
