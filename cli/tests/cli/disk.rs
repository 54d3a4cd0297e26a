//! Disks that are full or read-only: small mounts in a mount namespace of their own, which end with the
//! process.

use std::process::Command;

use super::harness::{BINARY, Home, Ran};

/// Runs a script with a tmpfs of that size as the repo's directory. `$BIN` is the binary.
fn on_small_disk(home: &Home, size: &str, script: &str) -> Ran {
    std::fs::create_dir_all(home.repo()).unwrap();
    let mut command = Command::new("unshare");
    home.prepare(&mut command);
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let mount = format!("mount -t tmpfs -o size={size} tmpfs \"$IPFS_KIT_PATH\" || exit 99\n");
    let script = format!("{mount}set -e\n{script}");
    command
        .args(["--mount", "sh", "-c", &script])
        .env("BIN", BINARY);
    let ran: Ran = command.output().unwrap().into();
    assert_ne!(
        ran.code, 99,
        "the test needs a mount namespace: {}",
        ran.stderr
    );
    ran
}

#[test]
fn a_full_disk() {
    let home = Home::bare();
    home.write("small", super::harness::noise(1, 200_000));
    home.write("big", super::harness::noise(2, 64 << 20));
    let ran = on_small_disk(
        &home,
        "16m",
        "$BIN init >/dev/null
         small=$($BIN add -Q small)
         if $BIN add -Q big >out 2>err; then echo 'a full disk went unnoticed'; exit 3; fi
         test ! -s out || { echo 'acknowledged what is not there'; exit 4; }
         grep -q Error: err
         cat err
         $BIN cat $small | cmp - small
         $BIN repo gc >/dev/null
         $BIN repo verify
         $BIN pin ls -t recursive | grep -q $small
         tail -c 1000 big | $BIN add -q >/dev/null
         $BIN pin verify",
    );
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    let text = ran.text();
    assert!(text.contains("full") || text.contains("space"), "{text}");
}

#[test]
fn a_read_only_disk() {
    let home = Home::bare();
    home.write("f", "kept");
    home.write("g", "new");
    let ran = on_small_disk(
        &home,
        "16m",
        "$BIN init >/dev/null
         cid=$($BIN add -Q f)
         mount -o remount,ro \"$IPFS_KIT_PATH\"
         for command in 'add g' 'repo gc' \"pin rm $cid\" 'config Datastore.StorageMax 1GB'; do
             if $BIN $command >out 2>err; then echo \"$command went through\"; exit 3; fi
             grep -q Error: err && cat err
         done
         mount -o remount,rw \"$IPFS_KIT_PATH\"
         test \"$($BIN cat $cid)\" = kept
         $BIN repo verify",
    );
    assert_eq!(ran.code, 0, "{} {}", ran.text(), ran.stderr);
    assert!(
        ran.text().to_lowercase().contains("read-only"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_quota() {
    let home = Home::new();
    home.ok(["config", "Datastore.StorageMax", "4MB"]);
    let kept = home.add(super::harness::noise(1, 1 << 20));
    home.write("big", super::harness::noise(2, 16 << 20));
    let error = home.fails(["add", "big"]);
    assert!(
        error.contains("StorageMax") || error.contains("full"),
        "{error}"
    );
    assert!(home.run(["cat", &kept]).stdout == super::harness::noise(1, 1 << 20));
    home.assert_sound();
}
