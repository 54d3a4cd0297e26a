use proptest::prelude::*;

use super::*;

/// Cuts the whole input at once.
fn cuts(chunker: Chunker, input: &[u8]) -> Vec<usize> {
    let (mut splitter, mut rest, mut cuts) = (chunker.splitter(), input, Vec::new());
    while let Some(len) = splitter.next(rest, true) {
        cuts.push(len);
        rest = &rest[len..];
    }
    assert!(rest.is_empty());
    cuts
}

/// Cuts the input as a driver does that sees it in pieces of the given lengths.
fn cuts_in_pieces(chunker: Chunker, input: &[u8], pieces: &[usize]) -> Vec<usize> {
    let mut splitter = chunker.splitter();
    let (mut start, mut end, mut cuts) = (0, 0, Vec::new());
    for &piece in pieces.iter().cycle() {
        end = (end + piece).min(input.len());
        while let Some(len) = splitter.next(&input[start..end], end == input.len()) {
            cuts.push(len);
            start += len;
        }
        if end == input.len() {
            break;
        }
    }
    assert_eq!(start, input.len());
    cuts
}

/// Rolls the hash byte by byte from the start of every chunk, as the definition reads.
fn naive_rabin(min: usize, avg: u32, max: usize, input: &[u8]) -> Vec<usize> {
    let polynomial = u128::from(17_437_180_132_763_653_u64);
    let mask = (1u128 << avg.ilog2()) - 1;
    let (mut cuts, mut start) = (Vec::new(), 0);
    for end in 1..=input.len() {
        let len = end - start;
        if len < min {
            continue;
        }
        let mut window = input[end - 16..end]
            .iter()
            .fold(0u128, |window, &byte| window << 8 | u128::from(byte));
        for bit in (53..128).rev() {
            if window >> bit & 1 == 1 {
                window ^= polynomial << (bit - 53);
            }
        }
        if window & mask == 0 || len == max {
            cuts.push(len);
            start = end;
        }
    }
    if start < input.len() {
        cuts.push(input.len() - start);
    }
    cuts
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn size_cuts_full_chunks_and_a_rest() {
    assert_eq!(cuts(Chunker::Size(4), b""), Vec::<usize>::new());
    assert_eq!(cuts(Chunker::Size(4), b"1234"), [4]);
    assert_eq!(cuts(Chunker::Size(4), b"12345"), [4, 1]);
}

#[test]
fn rabin_agrees_with_its_definition() {
    let input = noise(60_000, 5);
    for (min, avg, max) in [
        (16, 17, 18),
        (16, 64, 65),
        (100, 1000, 5000),
        (3000, 9000, 20_000),
    ] {
        let chunker = Chunker::Rabin { min, avg, max };
        let naive = naive_rabin(min as usize, avg, max as usize, &input);
        assert_eq!(cuts(chunker, &input), naive, "{chunker}");
    }
}

#[test]
fn rabin_with_a_minimum_below_its_window_never_cuts() {
    let chunker: Chunker = "rabin-47".parse().unwrap();
    assert_eq!(chunker.max_len(), None);
    assert_eq!(cuts(chunker, &noise(10_000, 1)), [10_000]);
    assert_eq!(cuts("rabin-0".parse().unwrap(), &[0; 100]), [100]);
}

#[test]
fn constant_input_reaches_the_limits() {
    let zeros = vec![0; 600_000];
    assert_eq!(
        cuts(Chunker::Buzhash, &zeros),
        [131_072, 131_072, 131_072, 131_072, 75_712]
    );
    assert_eq!(
        cuts("rabin-100-200-300".parse().unwrap(), &zeros[..1000]),
        [100; 10]
    );
}

#[test]
fn names_round_trip() {
    for name in [
        "size-1",
        "size-262144",
        "size-2096896",
        "rabin-262144",
        "rabin-16-17-18",
        "buzhash",
    ] {
        assert_eq!(name.parse::<Chunker>().unwrap().to_string(), name);
    }
    let rabin = Chunker::Rabin {
        min: 87_381,
        avg: 262_144,
        max: 393_216,
    };
    assert_eq!("rabin".parse(), Ok(rabin));
    assert_eq!("".parse(), Ok(Chunker::Size(262_144)));
    assert_eq!("default".parse(), Ok(Chunker::Size(262_144)));
    let labelled = Chunker::Rabin {
        min: 16,
        avg: 32,
        max: 64,
    };
    assert_eq!("rabin-min:16-avg:32-max:64".parse(), Ok(labelled));
}

#[test]
fn wrong_names_say_what_is_wrong() {
    let cases = [
        ("fixed-3", "unrecognized chunker option: fixed-3"),
        ("size", "expected size-{size}"),
        ("size-1-2", "expected size-{size}"),
        ("size-x", "\"x\" is not a number"),
        ("size-", "\"\" is not a number"),
        ("size-99999999999999999999", "is not a number"),
        ("size-0", "must be greater than 0"),
        ("size--5", "expected size-{size}"),
        (
            "size-2096897",
            "may not exceed the maximum chunk size of 2096896",
        ),
        (
            "size-4294967297",
            "may not exceed the maximum chunk size of 2096896",
        ),
        ("rabin-1397932", "may not exceed"),
        ("rabin-1-2", "'rabin-[min]-[avg]-[max]'"),
        ("rabin-1-2-3-4", "'rabin-[min]-[avg]-[max]'"),
        ("rabin-15-32-64", "rabin min must be at least 16"),
        ("rabin-32-32-64", "rabin-min must be smaller than rabin-avg"),
        ("rabin-16-64-64", "rabin-avg must be smaller than rabin-max"),
        ("rabin-16-64-2096897", "may not exceed"),
        (
            "rabin-max:16-avg:32-max:64",
            "label \"max\" in the rabin chunker must be \"min\"",
        ),
        ("buzhash-2", "buzhash takes no parameters"),
    ];
    for (name, expected) in cases {
        let error = name.parse::<Chunker>().unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn the_largest_rabin_average_is_the_one_kubo_accepts() {
    assert!("rabin-1397931".parse::<Chunker>().is_ok());
}

fn any_chunker() -> impl Strategy<Value = Chunker> {
    prop_oneof![
        (1u32..5000).prop_map(Chunker::Size),
        (16u32..300, 1u32..500, 1u32..3000).prop_map(|(min, more, most)| Chunker::Rabin {
            min,
            avg: min + more,
            max: min + more + most,
        }),
        Just(Chunker::Buzhash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn windows_never_change_the_cuts(
        chunker in any_chunker(),
        len in 0usize..900_000,
        seed: u64,
        pieces in prop::collection::vec(1usize..200_000, 1..20),
    ) {
        let len = if chunker == Chunker::Buzhash { len } else { len / 30 };
        let input = noise(len, seed);
        prop_assert_eq!(cuts_in_pieces(chunker, &input, &pieces), cuts(chunker, &input));
    }
}
