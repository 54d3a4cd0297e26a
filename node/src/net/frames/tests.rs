use futures::AsyncReadExt;
use proptest::prelude::*;

use super::*;

/// A data frame, or one of another type with its "length".
#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u16,
    stream: u32,
    length: u32,
}

impl Frame {
    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0, self.kind];
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(self.length.to_be_bytes());
        bytes
    }

    /// The body, different for each stream and position.
    fn body(&self) -> Vec<u8> {
        let length = if self.kind == DATA { self.length } else { 0 };
        (0..length)
            .map(|at| (at.wrapping_mul(31) >> 3) as u8 ^ self.stream as u8)
            .collect()
    }

    fn bytes(&self) -> Vec<u8> {
        [self.header(), self.body()].concat()
    }
}

/// Takes frames apart again, as they stand.
fn frames(mut bytes: &[u8]) -> Vec<(Frame, Vec<u8>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(HEADER);
        let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let frame = Frame {
            kind: head[1],
            flags: u16::from_be_bytes([head[2], head[3]]),
            stream: number(4),
            length: number(8),
        };
        let body = if frame.kind == DATA { frame.length } else { 0 };
        let (body, rest) = rest.split_at(body as usize);
        all.push((frame, body.to_vec()));
        bytes = rest;
    }
    all
}

/// A connection that gives its bytes in pieces of these sizes in turn, with a pause before each.
struct Slow {
    bytes: Vec<u8>,
    at: usize,
    sizes: Vec<usize>,
    turn: usize,
    pause: bool,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.pause = !self.pause;
        if self.pause {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = self.sizes[self.turn % self.sizes.len()];
        self.turn += 1;
        let count = size.min(buffer.len()).min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(count))
    }
}

/// What a reader with a buffer of `most` bytes sees of `bytes`.
fn through(bytes: Vec<u8>, sizes: Vec<usize>, most: usize) -> Vec<u8> {
    let mut cut = Cut::new(Slow {
        bytes,
        at: 0,
        sizes,
        turn: 0,
        pause: false,
    });
    let mut seen = Vec::new();
    let mut buffer = vec![0; most];
    futures::executor::block_on(async {
        loop {
            match cut.read(&mut buffer).await.unwrap() {
                0 => return seen,
                count => seen.extend_from_slice(&buffer[..count]),
            }
        }
    })
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let length = prop_oneof![
        4 => 0..3_000_u32,
        2 => BODY_MAX - 2..BODY_MAX + 3,
        1 => 2 * BODY_MAX - 2..2 * BODY_MAX + 3,
        1 => BODY_MAX..5 * BODY_MAX,
    ];
    (0..4_u8, 0..16_u16, any::<u32>(), length).prop_map(|(kind, flags, stream, length)| Frame {
        kind,
        flags,
        stream,
        length,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn frames_are_cut_and_nothing_else_changes(
        sent in proptest::collection::vec(any_frame(), 1..6),
        sizes in proptest::collection::vec(1..100_000_usize, 1..4),
        most in prop_oneof![1..40_usize, 1..200_000_usize],
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(Frame::bytes).collect();
        // Tiny pieces of long bodies take long and show no more.
        let tiny = bytes.len() > 100_000;
        let sizes = sizes.into_iter().map(|size| if tiny { size.max(1_000) } else { size }).collect();
        let seen = frames(&through(bytes, sizes, if tiny { most.max(1_000) } else { most }));
        let mut seen = seen.into_iter();
        for frame in sent {
            let mut body = Vec::new();
            let mut flags = 0;
            loop {
                let (piece, bytes) = seen.next().expect("a piece");
                let (first, last) = (body.is_empty(), frame.kind != DATA || body.len() + bytes.len() == frame.length as usize);
                prop_assert_eq!((piece.kind, piece.stream), (frame.kind, frame.stream));
                prop_assert!(piece.kind != DATA || piece.length <= BODY_MAX);
                prop_assert!(first || piece.flags & OPENING == 0, "opened twice");
                prop_assert!(last || piece.flags & CLOSING == 0, "closed before its end");
                flags |= piece.flags;
                body.extend(bytes);
                if last {
                    prop_assert!(frame.kind == DATA || piece.length == frame.length);
                    break;
                }
            }
            prop_assert_eq!(flags, frame.flags);
            prop_assert!(body == frame.body(), "another body");
        }
        prop_assert!(seen.next().is_none());
    }
}

#[test]
fn an_end_in_the_middle_is_handed_on() {
    let frame = Frame {
        kind: DATA,
        flags: 1,
        stream: 7,
        length: BODY_MAX + 9,
    };
    let bytes = frame.bytes();
    for cut in [0, 1, HEADER - 1, HEADER, HEADER + 5] {
        let seen = through(bytes[..cut].to_vec(), vec![5], 64);
        assert_eq!(seen.len(), cut);
    }
    // The second piece is announced and lacks bytes: whoever reads waits for them and finds the end.
    let seen = through(bytes[..bytes.len() - 4].to_vec(), vec![70_000], 70_000);
    assert_eq!(seen.len(), bytes.len() + HEADER - 4);
}
