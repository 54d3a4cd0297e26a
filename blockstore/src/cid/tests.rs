use super::*;

#[test]
fn parses_both_versions() {
    let v0: Cid = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
        .parse()
        .unwrap();
    assert_eq!(v0.version(), Version::V0);
    assert_eq!(v0.codec(), codec::DAG_PB);
    assert_eq!(
        v0.to_string(),
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"
    );
    let v1 = v0.to_v1();
    assert_eq!(
        v1.to_string(),
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    );
    assert_eq!(v1.to_v0(), Some(v0));
}
