//! Network namespaces: hosts of their own inside this process, without a name that could be left over.
//!
//! A namespace lives as long as something holds it: this value, a thread in it, a process started there. So it and the
//! links into it are gone when the test is, however the test ends.

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `ip` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

/// A network of its own, with nothing but its loopback at first.
#[derive(Debug)]
pub struct Namespace {
    held: File,
}

impl Namespace {
    /// Makes one. It takes root.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        ensure!(
            rustix::process::geteuid().is_root(),
            "network namespaces take root: run this test as root"
        );
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipfs-kit-{}-{number}", std::process::id());
        run("ip", &["netns", "add", &name], "")?;
        let held = File::open(format!("{NAMES}/{name}"));
        // From here on it is only held, not named.
        run("ip", &["netns", "delete", &name], "")?;
        let namespace = Self { held: held? };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Does something inside: sockets that are opened and processes that are started there are in this network.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.held.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("cannot enter the network namespace")?;
                work()
            });
            // A panic in there is one here.
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` with these words inside.
    pub fn ip(&self, words: &str) -> Result<()> {
        let words: Vec<&str> = words.split(' ').collect();
        self.within(|| run("ip", &words, ""))
    }

    /// Loads rules of nftables.
    pub fn filter(&self, rules: &str) -> Result<()> {
        self.within(|| run("nft", &["-f", "-"], rules))
    }

    /// Passes packets on from one link to another.
    pub fn forward(&self) -> Result<()> {
        self.within(|| Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))
    }

    /// Joins two networks by a link: its name, then the address with its prefix, on each side.
    pub fn link(&self, own: (&str, &str), other: (&Self, &str, &str)) -> Result<()> {
        let (there, name, address) = other;
        let place = format!("/proc/{}/fd/{}", std::process::id(), there.held.as_raw_fd());
        self.ip(&format!(
            "link add name {} type veth peer name {name} netns {place}",
            own.0
        ))?;
        for (end, name, address) in [(self, own.0, own.1), (there, name, address)] {
            end.ip(&format!("address add {address} dev {name}"))?;
            end.ip(&format!("link set dev {name} up"))?;
        }
        Ok(())
    }
}

fn run(program: &str, args: &[&str], stdin: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}: `cargo xtask setup` installs it"))?;
    child
        .stdin
        .take()
        .context("no stdin")?
        .write_all(stdin.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} {} ended with {}: {}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn linked_networks_reach_each_other_and_nothing_else() {
        let (one, two) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        one.link(("a", "10.9.0.1/24"), (&two, "b", "10.9.0.2/24"))
            .unwrap();
        let listener = two.within(|| Ok(TcpListener::bind("10.9.0.2:0")?)).unwrap();
        let at = listener.local_addr().unwrap();
        one.within(|| Ok(TcpStream::connect(at)?)).unwrap();
        // From outside there is no way in.
        assert!(TcpListener::bind(at).is_err());
        let names = fs::read_dir(NAMES).unwrap();
        let own = format!("ipfs-kit-{}-", std::process::id());
        for name in names {
            let name = name.unwrap().file_name();
            assert!(
                !name.to_string_lossy().starts_with(&own),
                "{name:?} is left"
            );
        }
    }
}
