use super::*;
use proptest::prelude::*;
use prost::Message as _;

/// An exchange as go-libp2p sends it: topics are any bytes.
#[derive(Clone, PartialEq, prost::Message)]
struct Rpc {
    #[prost(message, repeated, tag = "1")]
    subscriptions: Vec<Subscription>,
    #[prost(message, repeated, tag = "2")]
    publish: Vec<Publish>,
    #[prost(message, optional, tag = "3")]
    control: Option<Control>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(bool, optional, tag = "1")]
    subscribe: Option<bool>,
    #[prost(bytes = "vec", optional, tag = "2")]
    topic: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Publish {
    #[prost(bytes = "vec", optional, tag = "2")]
    data: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    topic: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Control {
    #[prost(message, repeated, tag = "1")]
    have: Vec<Topical>,
    #[prost(message, repeated, tag = "3")]
    graft: Vec<Topical>,
    #[prost(message, repeated, tag = "4")]
    prune: Vec<Topical>,
    #[prost(message, repeated, tag = "5")]
    dont_want: Vec<Ids>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Topical {
    #[prost(bytes = "vec", optional, tag = "1")]
    topic: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Ids {
    #[prost(bytes = "vec", repeated, tag = "1")]
    ids: Vec<Vec<u8>>,
}

/// Feeds in pieces and takes in small ones.
fn sifted(bytes: &[u8], piece: usize) -> Vec<u8> {
    let now = Instant::now();
    let mut sieve = Sieve::new(now);
    let mut out = Vec::new();
    let mut take = |sieve: &mut Sieve| {
        let mut buffer = [0; 7];
        loop {
            let count = sieve.take(&mut buffer);
            if count == 0 {
                break;
            }
            out.extend_from_slice(&buffer[..count]);
        }
    };
    for piece in bytes.chunks(piece) {
        sieve.feed(piece, now);
        take(&mut sieve);
        assert!(sieve.held.len() <= TOPIC_LEN_MAX + 20);
        assert!(sieve.within.len() <= DEPTH_MAX);
    }
    sieve.handle_end();
    take(&mut sieve);
    out
}

fn kept(topic: Option<Vec<u8>>) -> Option<Vec<u8>> {
    topic.filter(|topic| topic.len() <= TOPIC_LEN_MAX && std::str::from_utf8(topic).is_ok())
}

/// What shall be left of an exchange.
fn left(rpc: &Rpc) -> Rpc {
    let topicals = |list: &[Topical]| {
        let each = list.iter().map(|one| Topical {
            topic: kept(one.topic.clone()),
        });
        each.collect()
    };
    let mut rpc = rpc.clone();
    for one in &mut rpc.subscriptions {
        one.topic = kept(one.topic.take());
    }
    for one in &mut rpc.publish {
        one.topic = kept(one.topic.take());
    }
    if let Some(control) = &mut rpc.control {
        control.have = topicals(&control.have);
        control.graft = topicals(&control.graft);
        control.prune = topicals(&control.prune);
        for one in &mut control.dont_want {
            one.ids.retain(|id| id.len() as u64 <= ID_LEN_MAX);
        }
    }
    rpc
}

fn topic() -> impl Strategy<Value = Option<Vec<u8>>> {
    let text = ".{0,20}".prop_map(String::into_bytes);
    let long = (500..600_usize).prop_map(|len| vec![b'x'; len]);
    let any = proptest::collection::vec(any::<u8>(), 0..20);
    proptest::option::of(prop_oneof![text, any, long])
}

fn topicals() -> impl Strategy<Value = Vec<Topical>> {
    proptest::collection::vec(topic().prop_map(|topic| Topical { topic }), 0..3)
}

fn control() -> impl Strategy<Value = Control> {
    let id = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..50),
        (120..300_usize).prop_map(|len| vec![0xff; len]),
    ];
    let ids = proptest::collection::vec(id, 0..4).prop_map(|ids| Ids { ids });
    let dont_want = proptest::collection::vec(ids, 0..3);
    (topicals(), topicals(), topicals(), dont_want).prop_map(|(have, graft, prune, dont_want)| {
        Control {
            have,
            graft,
            prune,
            dont_want,
        }
    })
}

fn rpc() -> impl Strategy<Value = Rpc> {
    let subscription = (any::<Option<bool>>(), topic())
        .prop_map(|(subscribe, topic)| Subscription { subscribe, topic });
    let data = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..400));
    let publish = (data, topic()).prop_map(|(data, topic)| Publish { data, topic });
    (
        proptest::collection::vec(subscription, 0..4),
        proptest::collection::vec(publish, 0..3),
        proptest::option::of(control()),
    )
        .prop_map(|(subscriptions, publish, control)| Rpc {
            subscriptions,
            publish,
            control,
        })
}

proptest! {
    #[test]
    fn everything_goes_on_but_topics_that_are_no_text_and_long_ids(
        rpcs in proptest::collection::vec(rpc(), 1..4),
        piece in 1..200_usize,
    ) {
        let mut bytes = Vec::new();
        for rpc in &rpcs {
            rpc.encode_length_delimited(&mut bytes).unwrap();
        }
        let out = sifted(&bytes, piece);
        prop_assert_eq!(out.len(), bytes.len());
        let mut rest = &out[..];
        for rpc in &rpcs {
            let read = Rpc::decode_length_delimited(&mut rest).unwrap();
            prop_assert_eq!(read, left(rpc));
        }
        prop_assert!(rest.is_empty());
        if rpcs.iter().all(|rpc| left(rpc) == *rpc) {
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn any_bytes_are_survived_and_none_are_lost(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0..40_u8], 0..2000),
        piece in 1..100_usize,
    ) {
        prop_assert_eq!(sifted(&bytes, piece).len(), bytes.len());
    }

    /// Cut anywhere, flipped anywhere.
    #[test]
    fn broken_exchanges_are_survived(rpc in rpc(), at: prop::sample::Index, byte: u8, piece in 1..50_usize) {
        let mut bytes = rpc.encode_length_delimited_to_vec();
        let at = at.index(bytes.len());
        prop_assert_eq!(sifted(&bytes[..at], piece).len(), at);
        bytes[at] = byte;
        prop_assert_eq!(sifted(&bytes, piece).len(), bytes.len());
    }
}

/// A number with more digits than it needs means the same.
#[test]
fn overlong_numbers_are_no_way_around() {
    // Field 2 of a subscription, as two digits, with a name that is no text; its length as two digits too.
    let subscription = [0x08, 1, 0x92, 0x00, 0x82, 0x00, 0xff, 0xfe];
    let mut bytes = vec![subscription.len() as u8 + 2, 0x0a, subscription.len() as u8];
    bytes.extend(subscription);
    let out = sifted(&bytes, 1);
    let read = Rpc::decode_length_delimited(&out[..]).unwrap();
    assert_eq!(read.subscriptions[0].topic, None);
    assert_eq!(read.subscriptions[0].subscribe, Some(true));
}

#[test]
fn ids_have_a_number_in_a_span() {
    let ids = vec![vec![1; 40]; IDS_MAX as usize + 5];
    let dont_want = vec![Ids { ids }];
    let control = Some(Control {
        dont_want,
        ..Control::default()
    });
    let rpc = Rpc {
        control,
        ..Rpc::default()
    };
    let bytes = rpc.encode_length_delimited_to_vec();
    let start = Instant::now();
    let mut sieve = Sieve::new(start);
    let mut count = |at: Duration| {
        sieve.feed(&bytes, start + at);
        let mut out = vec![0; bytes.len()];
        assert_eq!(sieve.take(&mut out), bytes.len());
        let read = Rpc::decode_length_delimited(&out[..]).unwrap();
        read.control.unwrap().dont_want[0].ids.len()
    };
    assert_eq!(count(Duration::ZERO), IDS_MAX as usize);
    assert_eq!(count(IDS_SPAN / 2), 0);
    assert_eq!(count(IDS_SPAN), IDS_MAX as usize);
}

/// Readers skip groups that they do not know, whatever is in them.
#[test]
fn groups_are_no_way_around() {
    let mut sieve = Sieve::new(Instant::now());
    sieve.feed(
        &Rpc::default().encode_length_delimited_to_vec(),
        Instant::now(),
    );
    assert!(!sieve.is_lost());
    sieve.feed(&[4, 0xa3, 0x01, 0xa4, 0x01], Instant::now());
    assert!(sieve.is_lost());
    let mut ended = Sieve::new(Instant::now());
    ended.handle_end();
    assert!(!ended.is_lost(), "an end is none");
}
