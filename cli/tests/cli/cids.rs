//! Commands that need no repo. Expected texts were printed by Kubo 0.43.0.

use super::harness::{Home, json, ndjson};

const V0: &str = "QmcvMqREE6ubcCExQXsDgcLELbx1vKBD4wGJqqFEkHg9oP";
const V1: &str = "bafybeigyuzeptqc3orbsrqwzhqwde3tgztdwhdie5z2v27a4j4ir2hzs3i";
const RAW: &str = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4";

#[test]
fn inspect() {
    let home = Home::bare();
    assert_eq!(
        home.ok(["cid", "inspect", V0]),
        format!(
            "CID:        {V0}\nVersion:    0\nMultibase:  base58btc (implicit)\n\
             Multicodec: dag-pb (0x70, implicit)\nMultihash:  sha2-256 (0x12, implicit)\n  \
             Length:   32 bytes\n  \
             Digest:   d8a648f9c05b744328c2d93c2c326e66ccc7638d04ee755d7c1c4f111d1f32da\n\
             CIDv0:      {V0}\nCIDv1:      {V1}"
        )
    );
    let text = home.ok(["cid", "inspect", RAW]);
    assert!(text.contains("CIDv0:      not possible, requires dag-pb (0x70), got raw (0x55)"));
    assert_eq!(
        home.ok(["cid", "inspect", RAW, "--enc=json"]),
        format!(
            r#"{{"cid":"{RAW}","version":1,"multibase":{{"prefix":"b","name":"base32"}},"multicodec":{{"code":85,"name":"raw"}},"multihash":{{"code":18,"name":"sha2-256","length":32,"digest":"a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"}},"cidV1":"{RAW}"}}"#
        )
    );
    let error = home.fails(["cid", "inspect", "bogus"]);
    assert!(error.starts_with("Error: invalid CID: "), "{error}");
    let error = home.fails([
        "cid",
        "inspect",
        "12D3KooWRvwBSE8xoo9MSQFcXXhzZVz4i2wnbpdE4MYBMfAxEdKj",
    ]);
    assert!(error.contains("k51qzi5uqu5dm5elnp30pd4f29ywjq5q6rjwvphpokfa0wvowgo7e9f0tnpmna"));
}

#[test]
fn formats() {
    let home = Home::bare();
    assert_eq!(home.ok(["cid", "format", "-b", "base32", V0]), V1);
    assert_eq!(
        home.ok(["cid", "format", "--mc", "raw", V0]),
        "zb2rhmDzKUSTxAcZP6WPddWNWih6sfWdoVwyi4P9W8pWZeL17"
    );
    assert_eq!(
        home.ok(["cid", "format", "-f", "%P %b %c %h", V1]),
        "cidv1-dag-pb-sha2-256-32 base32 dag-pb sha2-256"
    );
    assert_eq!(home.ok(["cid", "format", "-v", "0", V1]), V0);
    for args in [
        ["cid", "format", "-v", "2", V0],
        ["cid", "format", "-b", "nope", V0],
        ["cid", "format", "-f", "nothing", V0],
        ["cid", "format", "-f", "%x", V0],
        ["cid", "format", "--mc", "nope", V0],
        ["cid", "format", "-v", "0", RAW],
    ] {
        home.fails(args);
    }
}

#[test]
fn one_wrong_cid_does_not_hide_the_others() {
    let home = Home::bare();
    let ran = home.run_with(["cid", "base32"], format!("{V0}\nbogus\n\n{RAW}\n"));
    assert_eq!(ran.code, 1);
    assert_eq!(ran.text(), format!("{V1}\n{RAW}\n"));
    assert!(ran.stderr.contains("bogus: "), "{}", ran.stderr);
    assert!(
        ran.stderr
            .ends_with("Error: errors while displaying some entries\n")
    );

    let lines = ndjson(&home.ok(["cid", "base32", V0, "bogus", "--enc=json"]));
    assert_eq!(lines[0]["Formatted"], V1);
    assert_eq!(lines[1]["CidStr"], "bogus");
    assert_ne!(lines[1]["ErrorMsg"], "");
}

#[test]
fn tables() {
    let home = Home::bare();
    let bases = home.ok(["cid", "bases", "--prefix", "--numeric"]);
    for line in [
        "        0  identity",
        "b      98  base32",
        "z     122  base58btc",
        "\u{1f680}  128640  base256emoji",
    ] {
        assert!(bases.lines().any(|known| known == line), "{bases}");
    }
    assert_eq!(home.ok(["multibase", "list"]), home.ok(["cid", "bases"]));
    let hashes = home.ok(["cid", "hashes", "--numeric"]);
    assert!(hashes.starts_with("    0  identity\n   17  sha1\n   18  sha2-256\n"));
    assert!(hashes.ends_with("45664  blake2s-256"));
    let codecs = home.ok(["cid", "codecs", "-s", "--numeric"]);
    assert_eq!(
        codecs,
        "   81  cbor\n   85  raw\n  112  dag-pb\n  113  dag-cbor\n  114  libp2p-key\n  \
         297  dag-json\n  512  json"
    );
    assert!(
        json(&home.ok(["cid", "codecs", "--enc=json"]))
            .as_array()
            .unwrap()
            .len()
            >= 40
    );
}

#[test]
fn multibase() {
    let home = Home::bare();
    for (base, text) in [
        ("base64url", "uaGVsbG8"),
        ("base16", "f68656c6c6f"),
        ("base58btc", "zCn8eVZg"),
    ] {
        assert_eq!(
            home.ok_with(["multibase", "encode", "-b", base], "hello"),
            text
        );
        assert_eq!(home.ok_with(["multibase", "decode"], text), "hello");
        assert_eq!(home.ok_with(["multibase", "transcode"], text), "uaGVsbG8");
    }
    let file = home.write("in", "hello");
    assert_eq!(
        home.ok(["multibase".as_ref(), "encode".as_ref(), file.as_os_str()]),
        "uaGVsbG8"
    );
    let error = super::harness::failed(home.run_with(["multibase", "decode"], "f6g"));
    assert!(error.contains("failed to decode multibase"), "{error}");
    super::harness::failed(home.run_with(["multibase", "decode"], ""));
    home.fails(["multibase", "encode", "missing"]);
    home.fails(["multibase", "encode", "-b", "nope"]);
}

#[test]
fn version_and_commands() {
    let home = Home::bare();
    let number = env!("CARGO_PKG_VERSION");
    assert_eq!(home.ok(["version"]), format!("ipfs-kit version {number}"));
    assert_eq!(home.ok(["version", "-n"]), number);
    assert_eq!(home.ok(["version", "--repo"]), "1");
    assert!(home.ok(["version", "--all"]).contains("System version: "));
    let info = json(&home.ok(["version", "--enc=json"]));
    assert_eq!(
        (&info["Version"], &info["Repo"]),
        (&number.into(), &"1".into())
    );
    assert!(
        home.ok(["version", "deps"])
            .lines()
            .any(|line| line.starts_with("redb@"))
    );

    let commands = home.ok(["commands"]);
    for line in [
        "ipfs-kit",
        "ipfs-kit add",
        "ipfs-kit dag import",
        "ipfs-kit repo gc",
    ] {
        assert!(commands.lines().any(|command| command == line), "{line}");
    }
    let flags = home.ok(["commands", "--flags"]);
    assert!(flags.contains("ipfs-kit add --wrap-with-directory / ipfs-kit add -w\n"));
    assert_eq!(
        json(&home.ok(["commands", "--enc=json"]))["Name"],
        "ipfs-kit"
    );
}

#[test]
fn help_and_completion() {
    let home = Home::bare();
    assert!(home.ok(["--help"]).contains("EXIT STATUS"));
    assert!(home.ok(["add", "--help"]).contains("--wrap-with-directory"));
    assert!(home.ok(["pin", "ls", "-h"]).contains("ipfs-kit pin ls"));
    assert!(home.ok::<&str>([]).contains("SUBCOMMANDS"));
    for shell in ["bash", "zsh", "fish"] {
        let script = home.ok(["completion", shell]);
        assert!(script.contains("wrap-with-directory"), "{shell}");
        assert_eq!(script, home.ok(["commands", "completion", shell]));
    }
    let script = home.write("complete.bash", home.ok(["completion", "bash"]));
    let check = format!(
        "source {}; COMP_WORDS=(ipfs-kit pin l); COMP_CWORD=2; _ipfs_kit; echo \"${{COMPREPLY[@]}}\"; \
         COMP_WORDS=(ipfs-kit add --wr); COMP_CWORD=2; _ipfs_kit; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let mut bash = std::process::Command::new("bash");
    home.prepare(&mut bash);
    let output = bash.args(["-c", &check]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text,
        "ls\n--wrap-with-directory\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn wrong_command_lines() {
    let home = Home::bare();
    for (args, message) in [
        (vec!["bogus"], "Unknown Command \"bogus\""),
        (vec!["ad"], "\tadd"),
        (vec!["repo", "bogus"], "Unknown Command \"bogus\""),
        (vec!["add", "--bogus", "x"], "unknown option \"bogus\""),
        (
            vec!["cid", "inspect", "a", "b"],
            "expected 1 argument(s), got 2",
        ),
        (
            vec!["pin", "update", "a"],
            "argument \"to-path\" is required",
        ),
        (vec!["block", "rm"], "argument \"cid\" is required"),
        (vec!["cid", "base32"], "argument \"cid\" is required"),
    ] {
        let error = home.fails(&args);
        assert!(error.contains(message), "{args:?}: {error}");
    }
}
