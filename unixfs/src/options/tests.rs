use super::*;

#[test]
fn profiles_are_found_by_name() {
    for name in ["unixfs-v0-2015", "unixfs-v1-2025"] {
        assert_eq!(name.parse::<Profile>().unwrap().to_string(), name);
    }
    assert_eq!("legacy-cid-v0".parse(), Ok(Profile::V0of2015));
    let error = "test-cid-v1".parse::<Profile>().unwrap_err().to_string();
    assert!(error.contains("unixfs-v1-2025"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let sha512 = HashSpec::from(HashFunction::SHA2_512);
    assert_eq!(
        CidSpec::new(Version::V0, sha512, None),
        Err(OptionsError::HashNeedsV1)
    );
    let limit = CidSpec::new(Version::V1, sha512, Some(129));
    assert_eq!(limit, Err(OptionsError::InlineLimit(129)));
}

#[test]
fn inlined_and_raw_blocks_have_version_1_even_under_version_0() {
    let spec = CidSpec::new(Version::V0, HashSpec::SHA2_256, Some(4)).unwrap();
    assert_eq!(
        spec.cid(codec::DAG_PB, b"12345").unwrap().version(),
        Version::V0
    );
    let inlined = spec.cid(codec::DAG_PB, b"1234").unwrap();
    assert_eq!(
        (inlined.version(), inlined.codec()),
        (Version::V1, codec::DAG_PB)
    );
    assert!(inlined.hash().is_identity());
    assert_eq!(
        spec.cid(codec::RAW, b"12345").unwrap().version(),
        Version::V1
    );
}

#[test]
fn an_identity_hash_holds_128_bytes() {
    let spec = CidSpec::new(Version::V1, HashFunction::IDENTITY.into(), None).unwrap();
    assert!(spec.cid(codec::RAW, &[0; 128]).is_ok());
    assert_eq!(
        spec.cid(codec::RAW, &[0; 129]),
        Err(HashError::IdentityTooLong(129))
    );
}
