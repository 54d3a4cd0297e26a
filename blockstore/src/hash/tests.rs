use super::*;

#[test]
fn every_function_makes_the_length_it_promises() {
    for function in HashFunction::all() {
        let hash = HashSpec::from(function).digest(b"abc").unwrap();
        assert_eq!(hash.code(), function.code());
        if function != HashFunction::IDENTITY {
            assert_eq!(
                hash.digest().len(),
                function.default_len(),
                "{}",
                function.name()
            );
        }
        hash.check().unwrap();
        assert_eq!(HashFunction::from_name(function.name()), Ok(function));
    }
}

#[test]
fn a_block_is_verified_with_every_function_and_length() {
    for function in HashFunction::all() {
        for len in MIN_DIGEST_LEN..=function.max_len() {
            let Ok(spec) = HashSpec::new(function, Some(len)) else {
                continue;
            };
            let cid = Cid::v1(0x55, spec.digest(b"data").unwrap());
            assert_eq!(verify(&cid, b"data"), Ok(()), "{} {len}", function.name());
            let mismatch = Err(BlockError::Mismatch(cid.clone()));
            assert_eq!(verify(&cid, b"date"), mismatch, "{} {len}", function.name());
        }
    }
}

#[test]
fn a_digest_longer_than_its_function_matches_nothing() {
    let mut long = sha2::Sha256::digest(b"data").to_vec();
    long.push(0);
    let cid = Cid::v1(0x55, Multihash::new(0x12, &long).unwrap());
    assert_eq!(
        verify(&cid, b"data"),
        Err(BlockError::Mismatch(cid.clone()))
    );
    let long = vec![0; 65];
    let cid = Cid::v1(0x55, Multihash::new(0x13, &long).unwrap());
    assert_eq!(
        verify(&cid, b"data"),
        Err(BlockError::Mismatch(cid.clone()))
    );
}

#[test]
fn names_of_kubo_are_understood() {
    assert_eq!(HashFunction::from_name("sha3"), Ok(HashFunction::SHA3_512));
    assert_eq!(
        HashFunction::from_name("blake2b-256"),
        Ok(HashFunction::BLAKE2B_256)
    );
    assert!(HashFunction::from_name("sha256").is_err());
    assert_eq!(name_of(0xd5), "md5");
    assert_eq!(name_of(0x7777), "unknown(0x7777)");
}
