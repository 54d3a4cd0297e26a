//! Small file systems of our own: ext4 and XFS in an image file, and tmpfs.
//!
//! The process moves to a mount namespace of its own first: whatever happens to it, its mounts and
//! loop devices go with it and nobody else sees them.
#![allow(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `FS_IOC_SHUTDOWN` of ext4 and XFS.
const SHUTDOWN: libc::c_ulong = 0x8004_587D;
/// Do not flush the journal first: what was not synced is lost.
const NO_LOG_FLUSH: u32 = 2;

/// The kind of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ext4 in an image file.
    Ext4,
    /// XFS in an image file.
    Xfs,
    /// Memory.
    Tmpfs,
}

impl Kind {
    /// The name that `mount` knows.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Tmpfs => "tmpfs",
        }
    }
}

/// Moves this process, which must have one thread only, to a mount namespace of its own.
pub fn isolate() -> Result<()> {
    // SAFETY: the call changes which mounts this process sees and touches no memory.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    ensure!(
        done == 0,
        "cannot make a mount namespace ({}): power cuts and full disks need root",
        io::Error::last_os_error()
    );
    tool("mount", &["--make-rprivate", "/"])
}

/// A mounted file system, unmounted when dropped.
pub struct Mount {
    kind: Kind,
    point: PathBuf,
    image: PathBuf,
    mounted: bool,
}

impl Mount {
    /// Makes a file system of `bytes` inside `place` and mounts it.
    pub fn new(kind: Kind, place: &Path, bytes: u64) -> Result<Self> {
        let (point, image) = (place.join("mount"), place.join("image"));
        std::fs::create_dir_all(&point)?;
        let mut mount = Self {
            kind,
            point,
            image,
            mounted: false,
        };
        if kind == Kind::Tmpfs {
            let size = format!("size={bytes}");
            tool(
                "mount",
                &["-t", "tmpfs", "-o", &size, "tmpfs", text(&mount.point)?],
            )?;
            mount.mounted = true;
            return Ok(mount);
        }
        let image = File::create(&mount.image)?;
        image.set_len(bytes)?;
        let make = if kind == Kind::Ext4 {
            "mkfs.ext4"
        } else {
            "mkfs.xfs"
        };
        // Both know -q and refuse a file that looks used; this one is new.
        let force = if kind == Kind::Ext4 { "-F" } else { "-f" };
        tool(make, &["-q", force, text(&mount.image)?])?;
        mount.mount()?;
        Ok(mount)
    }

    /// Where it is mounted.
    pub fn point(&self) -> &Path {
        &self.point
    }

    fn mount(&mut self) -> Result<()> {
        let (image, point) = (text(&self.image)?, text(&self.point)?);
        tool(
            "mount",
            &["-t", self.kind.name(), "-o", "loop", image, point],
        )
        .context("loop mounts are needed and not possible here")?;
        self.mounted = true;
        Ok(())
    }

    /// Makes everything in it durable.
    pub fn sync(&self) -> Result<()> {
        tool("sync", &["--file-system", text(&self.point)?])
    }

    /// Takes the power away: nothing reaches the disk any more and nothing unsynced has.
    pub fn cut(&self) -> Result<()> {
        let root = File::open(&self.point)?;
        // SAFETY: the request reads one u32, which outlives the call.
        let done = unsafe {
            libc::ioctl(
                root.as_raw_fd(),
                SHUTDOWN,
                std::ptr::from_ref(&NO_LOG_FLUSH),
            )
        };
        ensure!(
            done == 0,
            "{} refuses the shutdown: {}",
            self.kind.name(),
            io::Error::last_os_error()
        );
        Ok(())
    }

    /// Starts again after a cut: unmounts, and mounts again, which replays the journal.
    pub fn restart(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    fn unmount(&mut self) -> Result<()> {
        const TRIES: u32 = 40;
        for _ in 0..TRIES {
            if tool("umount", &[text(&self.point)?]).is_ok() {
                self.mounted = false;
                return Ok(());
            }
            // A killed process lets go of its files a moment after it was waited for.
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} stays busy", self.point.display())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted && self.unmount().is_err() {
            let point = self.point.display().to_string();
            drop(tool("umount", &["--lazy", &point]));
        }
    }
}

fn tool(name: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(name)
        .args(args)
        .output()
        .with_context(|| format!("cannot start {name}: `cargo xtask setup` installs it"))?;
    ensure!(
        output.status.success(),
        "{name} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the path is not UTF-8")
}
