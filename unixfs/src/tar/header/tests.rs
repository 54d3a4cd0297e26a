use super::*;

fn header(path: &str, target: &str, size: u64, mtime: i64) -> Vec<u8> {
    let kind = if target.is_empty() {
        HeaderKind::File
    } else {
        HeaderKind::Symlink
    };
    let (path, target) = (path.as_bytes(), target.as_bytes());
    Header {
        path,
        target,
        kind,
        size,
        mode: 0o644,
        mtime,
    }
    .encode()
}

fn sum_is_right(block: &[u8]) -> bool {
    let mut copy = block.to_vec();
    copy[148..156].fill(b' ');
    let sum: u32 = copy.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156] == *format!("{sum:06o}\0 ").as_bytes()
}

#[test]
fn plain_entries_are_one_ustar_block() {
    let block = header("dir/file", "", 0o1234, 0o7654321);
    assert_eq!(block.len(), 512);
    assert_eq!(&block[..9], b"dir/file\0");
    assert_eq!(&block[100..108], b"0000644\0");
    assert_eq!(&block[108..124], b"0000000\x000000000\0");
    assert_eq!(&block[124..136], b"00000001234\0");
    assert_eq!(&block[136..148], b"00007654321\0");
    assert_eq!(&block[257..265], b"ustar\x0000");
    assert_eq!(&block[329..345], b"0000000\x000000000\0");
    assert!(sum_is_right(&block));
}

#[test]
fn long_paths_are_split_where_that_is_possible() {
    let exact = "n".repeat(100);
    assert_eq!(header(&exact, "", 0, 0).len(), 512);
    let split = format!("{}/{}", "p".repeat(155), "n".repeat(100));
    let block = header(&split, "", 0, 0);
    assert_eq!(block.len(), 512);
    assert_eq!(&block[..100], "n".repeat(100).as_bytes());
    assert_eq!(&block[345..500], "p".repeat(155).as_bytes());
    // The last slash that leaves a short enough prefix counts.
    let block = header(&format!("a/b/{}", "n".repeat(99)), "", 0, 0);
    assert_eq!(text(&block[345..500]), "a/b");
}

fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    String::from_utf8(field[..end].to_vec()).unwrap()
}

#[test]
fn what_does_not_fit_goes_to_pax_records() {
    let name = "n".repeat(101);
    let blocks = header(&name, "", 5, 7);
    assert_eq!(blocks.len(), 3 * 512);
    assert_eq!(blocks[156], b'x');
    assert!(text(&blocks[..100]).starts_with("PaxHeaders.0/nnn"));
    assert_eq!(text(&blocks[512..1024]), format!("111 path={name}\n"));
    assert_eq!(&blocks[1024..1124], "n".repeat(100).as_bytes());
    assert!(sum_is_right(&blocks[..512]) && sum_is_right(&blocks[1024..]));

    let blocks = header("dir/\u{e9}t\u{e9}", "", 0, 0);
    assert_eq!(text(&blocks[..100]), "dir/PaxHeaders.0/t");
    assert_eq!(text(&blocks[512..1024]), "18 path=dir/\u{e9}t\u{e9}\n");
    assert_eq!(text(&blocks[1024..1124]), "dir/t");

    let blocks = header("l", &"t".repeat(101), 0, 0);
    assert_eq!(
        text(&blocks[512..1024]),
        format!("115 linkpath={}\n", "t".repeat(101))
    );
    assert_eq!(text(&blocks[1024 + 157..1024 + 257]), "t".repeat(100));

    let blocks = header("big", "", 1 << 33, -1);
    assert_eq!(
        text(&blocks[512..1024]),
        "12 mtime=-1\n19 size=8589934592\n"
    );
    assert_eq!(text(&blocks[1024 + 124..1024 + 136]), "00000000000");
    let below = header("big", "", (1 << 33) - 1, 0);
    assert_eq!(below.len(), 512);
    assert_eq!(text(&below[124..136]), "77777777777");
}

/// A record counts its own digits, also where they make it one digit longer.
#[test]
fn record_lengths_count_themselves() {
    for len in 0..2000 {
        let mut record = Vec::new();
        push_record(&mut record, "path", &vec![b'x'; len]);
        let said: usize = text(&record).split(' ').next().unwrap().parse().unwrap();
        assert_eq!(said, record.len());
    }
}

#[test]
fn a_cut_name_does_not_end_in_a_slash() {
    let path = format!("{}/\u{e9}{}", "n".repeat(99), "m".repeat(200));
    let blocks = header(&path, "", 0, 0);
    assert_eq!(text(&blocks[blocks.len() - 512..][..100]), "n".repeat(99));
}
