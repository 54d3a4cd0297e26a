//! ADD_PROVIDER messages for many keys to one peer, over one stream.
//!
//! The library announces a key only by a lookup of its own and offers no way to tell chosen peers. So this writes the
//! messages itself, to a stream of the DHT's protocol; there is no answer to them that would have to be read. Both
//! implementations read messages from a stream until it ends and close it then, which is how it is known that all were
//! taken.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{Multiaddr, PeerId};
use prost::Message as _;
use tokio::time::timeout;

/// Bytes written at once.
const CHUNK: usize = 32 << 10;

/// The type of an ADD_PROVIDER message, and a level that others send too and nobody reads.
const ADD_PROVIDER: i32 = 2;
const LEVEL: i32 = 10;

/// What of a DHT message an announcement has.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(int32, tag = "1")]
    r#type: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(message, repeated, tag = "9")]
    providers: Vec<Peer>,
    #[prost(int32, tag = "10")]
    level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Peer {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
    #[prost(int32, tag = "3")]
    connection: i32,
}

/// The provider that is told: this node.
#[derive(Clone, Debug)]
pub struct Announced(Peer);

impl Announced {
    /// A provider that can be reached at these addresses.
    pub fn new(peer: PeerId, addresses: &[Multiaddr]) -> Self {
        Self(Peer {
            id: peer.to_bytes(),
            addresses: addresses.iter().map(Multiaddr::to_vec).collect(),
            connection: 1,
        })
    }

    fn message(&self, key: &[u8]) -> Vec<u8> {
        let message = Message {
            r#type: ADD_PROVIDER,
            key: key.to_vec(),
            providers: vec![self.0.clone()],
            level: LEVEL,
        };
        message.encode_length_delimited_to_vec()
    }
}

/// Tells every key and waits until the peer has taken them. `patience` is for one chunk, so that a peer that stands still
/// is left, and a slow one is not.
///
/// # Errors
/// What happened to the stream; some of the keys may have been taken then.
pub async fn announce<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    provider: &Announced,
    keys: impl Iterator<Item = &[u8]>,
    patience: Duration,
) -> io::Result<()> {
    let mut chunk = Vec::with_capacity(CHUNK);
    for key in keys {
        chunk.extend(provider.message(key));
        if chunk.len() >= CHUNK {
            timeout(patience, stream.write_all(&chunk)).await??;
            chunk.clear();
        }
    }
    let end = async {
        stream.write_all(&chunk).await?;
        stream.close().await?;
        match stream.read(&mut [0]).await? {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an answer to what has none",
            )),
        }
    };
    timeout(patience, end).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_util::compat::TokioAsyncReadCompatExt;

    const PATIENCE: Duration = Duration::from_millis(200);

    fn provider() -> (PeerId, Vec<Multiaddr>, Announced) {
        let peer = PeerId::random();
        let addresses = vec!["/ip4/127.0.0.1/tcp/4001".parse().unwrap()];
        let announced = Announced::new(peer, &addresses);
        (peer, addresses, announced)
    }

    #[tokio::test]
    async fn messages_are_those_of_the_specification_and_the_end_is_waited_for() {
        let (peer, addresses, provider) = provider();
        let (near, far) = tokio::io::duplex(1 << 20);
        let keys: Vec<Vec<u8>> = (0..1000_u32)
            .map(|key| key.to_be_bytes().to_vec())
            .collect();
        let taken = tokio::spawn(async move {
            let mut bytes = Vec::new();
            far.compat().read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        let told = keys.iter().map(Vec::as_slice);
        announce(&mut near.compat(), &provider, told, PATIENCE)
            .await
            .unwrap();
        let bytes = taken.await.unwrap();
        let mut left = bytes.as_slice();
        for key in &keys {
            let message = Message::decode_length_delimited(&mut left).unwrap();
            assert_eq!((message.r#type, &message.key), (ADD_PROVIDER, key));
            assert_eq!(message.providers[0].id, peer.to_bytes());
            assert_eq!(message.providers[0].addresses, [addresses[0].to_vec()]);
        }
        assert!(left.is_empty());
    }

    #[tokio::test]
    async fn a_peer_that_stands_still_or_answers_is_left() {
        let (_, _, provider) = provider();
        let many = vec![[7_u8; 34]; 2000];
        let (near, _kept) = tokio::io::duplex(1 << 10);
        let told = many.iter().map(<[u8; 34]>::as_slice);
        let stuck = announce(&mut near.compat(), &provider, told, PATIENCE).await;
        assert_eq!(stuck.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut far = far.compat();
        far.write_all(b"what?").await.unwrap();
        let told = many.iter().map(<[u8; 34]>::as_slice);
        let refused = announce(&mut near.compat(), &provider, told, PATIENCE).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
