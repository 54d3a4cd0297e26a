//! JSON that Kubo gives over its RPC only: offline, its `ls` prints text whatever the encoding.

use crate::reports::{Roots, fill};
use anyhow::{Result, ensure};
use ipfs_kit_interop_tests::daemon::Daemon;
use ipfs_kit_interop_tests::{Peer, scratch};

#[test]
fn listings_are_equal_to_those_of_the_rpc() -> Result<()> {
    let place = scratch::in_memory()?;
    let (ours, kubo) = Peer::pair(place.path())?;
    let Roots {
        folder,
        sharded,
        file,
        raw,
        ..
    } = fill(&ours, place.path())?;
    fill(&kubo, place.path())?;
    let daemon = Daemon::start(&kubo, &["--offline"])?;
    let mut compared = 0;
    for root in [&folder, &sharded, &file, &raw, &format!("{folder}/a/b")] {
        for (flags, query) in [
            ("", ""),
            ("--size=false", "&size=false"),
            (
                "--resolve-type=false --size=false",
                "&resolve-type=false&size=false",
            ),
            ("--stream", "&stream=true"),
        ] {
            let mut args = vec!["ls"];
            args.extend(flags.split_whitespace());
            args.push(root);
            let got = ours.json(&args)?;
            let wanted = daemon.post(&format!("ls?arg={root}{query}"))?;
            ensure!(got == wanted, "{args:?}: ours {got:?}, kubo {wanted:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 20);
    Ok(())
}
