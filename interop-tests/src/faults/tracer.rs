//! Runs one command under `ptrace` and strikes at the N-th call that changes state.
//!
//! `strace --inject` counts each kind of call of each thread for itself, so a program with several
//! threads has points it never reaches. Here one counter runs over all threads and all kinds of
//! calls: N = 1, 2, 3, ... until the command ends untouched is every point there is. A seccomp
//! filter stops the command at those calls only, so an untouched run is almost as fast as without.
//!
//! The strike happens at the entry of the call, before the kernel has done anything of it.
#![allow(unsafe_code)]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("the tracer knows the registers and system call numbers of x86-64 Linux only");

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The longest a traced command may run before it counts as hung.
const LIMIT: Duration = Duration::from_secs(60);

/// Calls that write data or make it durable.
pub const WRITES: &[i64] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
];

/// Calls that make data durable.
pub const SYNCS: &[i64] = &[
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_msync,
    libc::SYS_sync_file_range,
    libc::SYS_syncfs,
];

/// Calls that change sizes and names. Opens are counted when they may create or truncate.
pub const NAMES: &[i64] = &[
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_creat,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_symlink,
    libc::SYS_symlinkat,
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    libc::SYS_rmdir,
    libc::SYS_chmod,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
];

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// The whole process is killed before the call is made.
    Kill,
    /// The call is not made and fails with this `errno`.
    Fail(i32),
    /// As [`Strike::Fail`], for this call and all that follow.
    FailFromHere(i32),
    /// A write gets half of its bytes (rounded down to whole 4 KiB pages when it has any).
    Short,
}

/// Which call is struck and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The number of the call among those counted, from 1; 0 strikes never.
    pub at: u64,
    /// What happens there.
    pub strike: Strike,
    /// The kinds of calls that count.
    pub calls: Vec<i64>,
    /// Count only calls on file descriptors of files inside this directory.
    pub inside: Option<PathBuf>,
}

impl Plan {
    /// Kills at the N-th call that changes state in any way.
    pub fn kill_at(at: u64) -> Self {
        Self {
            at,
            strike: Strike::Kill,
            calls: [WRITES, SYNCS, NAMES].concat(),
            inside: None,
        }
    }
}

/// How a traced command ended.
#[derive(Debug)]
pub struct Traced {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed before it ended.
    pub stdout: Vec<u8>,
    /// What it said before it ended.
    pub stderr: String,
    /// The call that was struck, as `name(file)`, when there was one.
    pub struck: Option<String>,
    /// Calls that were counted.
    pub seen: u64,
    /// Syncs of the same file after one had failed: retrying them tells nothing about the data.
    pub retried_syncs: u64,
    /// It ran into the time limit and was killed for that.
    pub hung: bool,
}

/// Runs `command` to its end under `plan`, with its output captured in files inside `scratch`.
pub fn run(command: Command, plan: &Plan, scratch: &Path) -> Result<Traced> {
    // Only the thread that started a process may trace it, and waiting must see no other child.
    let (out, err) = (scratch.join("traced.out"), scratch.join("traced.err"));
    let mut tracer = start(command, plan, &out, &err)?;
    let watchdog = Watchdog::start(tracer.leader);
    let status = tracer.follow()?;
    let hung = watchdog.stop();
    Ok(Traced {
        status,
        stdout: std::fs::read(&out)?,
        stderr: String::from_utf8_lossy(&std::fs::read(&err)?).into_owned(),
        struck: tracer.struck,
        seen: tracer.seen,
        retried_syncs: tracer.retried_syncs,
        hung,
    })
}

fn start<'p>(mut command: Command, plan: &'p Plan, out: &Path, err: &Path) -> Result<Tracer<'p>> {
    command
        .stdout(File::create(out)?)
        .stderr(File::create(err)?);
    let filter = filter(&plan.calls);
    // SAFETY: between fork and exec the closure makes three system calls and neither allocates nor
    // takes a lock.
    unsafe {
        command.pre_exec(move || be_traced(&filter));
    }
    let child = command
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let leader = i32::try_from(child.id()).context("a process id is an i32")?;
    Ok(Tracer {
        plan,
        leader,
        seen: 0,
        struck: None,
        failed_sync: None,
        retried_syncs: 0,
        ready: false,
    })
}

fn be_traced(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: `program` and the filter it points at outlive the calls; the kernel copies both.
    let done = unsafe {
        libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                std::ptr::from_ref(&program),
            ) == 0
    };
    if done {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A BPF program that stops for the tracer at `calls` and lets every other call pass.
fn filter(calls: &[i64]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32, jt: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    };
    // The call's number is the first field of `seccomp_data`.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0)];
    for (index, call) in calls.iter().enumerate() {
        let to_the_end = (calls.len() - index) as u8;
        let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        program.push(statement(code, *call as u32, to_the_end));
    }
    let ret = libc::BPF_RET | libc::BPF_K;
    program.push(statement(ret, libc::SECCOMP_RET_ALLOW, 0));
    program.push(statement(ret, libc::SECCOMP_RET_TRACE, 0));
    program
}

struct Tracer<'p> {
    plan: &'p Plan,
    leader: i32,
    seen: u64,
    struck: Option<String>,
    failed_sync: Option<PathBuf>,
    retried_syncs: u64,
    ready: bool,
}

impl Tracer<'_> {
    /// Waits for stops and lets the command go on until its first thread, the last to go, is gone.
    fn follow(&mut self) -> Result<ExitStatus> {
        loop {
            let mut raw = 0;
            // SAFETY: `raw` is a valid place for the status.
            let thread = unsafe { libc::waitpid(-1, &mut raw, libc::__WALL | libc::__WNOTHREAD) };
            if thread < 0 {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted {
                    continue;
                }
                bail!("the traced command vanished: {error}");
            }
            if !libc::WIFSTOPPED(raw) {
                if thread == self.leader {
                    return Ok(ExitStatus::from_raw(raw));
                }
                continue;
            }
            let pass = self.stopped(thread, raw)?;
            // A thread killed meanwhile cannot be continued, and its end is reported by waitpid.
            ptrace(libc::PTRACE_CONT, thread, pass).ok();
        }
    }

    /// Handles one stop and gives the signal that the thread shall receive.
    fn stopped(&mut self, thread: i32, raw: i32) -> Result<i32> {
        let signal = libc::WSTOPSIG(raw);
        if !self.ready {
            // The first stop is the exec, before any instruction of the program.
            let options = libc::PTRACE_O_TRACESECCOMP
                | libc::PTRACE_O_TRACECLONE
                | libc::PTRACE_O_TRACEFORK
                | libc::PTRACE_O_TRACEVFORK
                | libc::PTRACE_O_TRACEEXEC
                | libc::PTRACE_O_EXITKILL;
            ptrace(libc::PTRACE_SETOPTIONS, thread, options)
                .context("cannot set the tracing options")?;
            self.ready = true;
            return Ok(0);
        }
        match raw >> 16 {
            libc::PTRACE_EVENT_SECCOMP => {
                // The thread may have been killed since it stopped.
                if let Ok(registers) = registers(thread) {
                    self.call(thread, registers)?;
                }
                Ok(0)
            }
            0 if signal != libc::SIGSTOP => Ok(signal),
            _ => Ok(0),
        }
    }

    fn call(&mut self, thread: i32, mut call: libc::user_regs_struct) -> Result<()> {
        let number = call.orig_rax as i64;
        let file = file_of(thread, number, &call);
        if !counts(number, &call) || !self.is_inside(file.as_deref()) {
            return Ok(());
        }
        self.seen += 1;
        if self.failed_sync.is_some() && self.failed_sync == file && SYNCS.contains(&number) {
            self.retried_syncs += 1;
        }
        let goes_on = matches!(self.plan.strike, Strike::FailFromHere(_));
        if self.plan.at == 0 || self.seen < self.plan.at || (self.seen > self.plan.at && !goes_on) {
            return Ok(());
        }
        let name = file
            .as_deref()
            .unwrap_or(Path::new("?"))
            .display()
            .to_string();
        self.struck
            .get_or_insert(format!("{}({name})", call_name(number)));
        match self.plan.strike {
            Strike::Kill => {
                // SAFETY: the leader is a child of this thread that was not reaped yet.
                ensure!(
                    unsafe { libc::kill(self.leader, libc::SIGKILL) } == 0,
                    "cannot kill"
                );
            }
            Strike::Fail(errno) | Strike::FailFromHere(errno) => {
                if SYNCS.contains(&number) {
                    self.failed_sync = file;
                }
                // No call has this number, so the kernel skips it and leaves our result in place.
                call.orig_rax = u64::MAX;
                call.rax = i64::from(-errno) as u64;
                set_registers(thread, &call)?;
            }
            Strike::Short => {
                let half = call.rdx / 2;
                call.rdx = if half >= 4096 {
                    half & !4095
                } else {
                    half.max(1)
                };
                set_registers(thread, &call)?;
            }
        }
        Ok(())
    }

    fn is_inside(&self, file: Option<&Path>) -> bool {
        match (&self.plan.inside, file) {
            (None, _) => true,
            (Some(place), Some(file)) => file.starts_with(place),
            (Some(_), None) => false,
        }
    }
}

/// Opens count only when they may change something.
fn counts(number: i64, call: &libc::user_regs_struct) -> bool {
    let flags = match number {
        libc::SYS_open => call.rsi,
        libc::SYS_openat => call.rdx,
        _ => return true,
    };
    flags as i32 & (libc::O_CREAT | libc::O_TRUNC) != 0
}

/// The file that a call on a file descriptor works on.
fn file_of(thread: i32, number: i64, call: &libc::user_regs_struct) -> Option<PathBuf> {
    let by_name = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_creat,
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_link,
        libc::SYS_linkat,
        libc::SYS_symlink,
        libc::SYS_symlinkat,
        libc::SYS_mkdir,
        libc::SYS_mkdirat,
        libc::SYS_rmdir,
        libc::SYS_chmod,
        libc::SYS_fchmodat,
        libc::SYS_truncate,
        libc::SYS_msync,
    ];
    if by_name.contains(&number) {
        return None;
    }
    let descriptor = call.rdi as i32;
    std::fs::read_link(format!("/proc/{thread}/fd/{descriptor}")).ok()
}

fn registers(thread: i32) -> Result<libc::user_regs_struct> {
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::uninit();
    // SAFETY: the kernel fills the whole struct when the call succeeds.
    unsafe {
        let done = libc::ptrace(libc::PTRACE_GETREGS, thread, 0, registers.as_mut_ptr());
        ensure!(
            done == 0,
            "cannot read registers: {}",
            io::Error::last_os_error()
        );
        Ok(registers.assume_init())
    }
}

/// Sets the registers of a stopped thread. When its process has meanwhile ended by another thread
/// (`exit` kills the rest, stopped or not), the call is never made and there is nothing to set.
fn set_registers(thread: i32, registers: &libc::user_regs_struct) -> Result<()> {
    // SAFETY: the kernel reads the struct and nothing else.
    let done = unsafe {
        libc::ptrace(
            libc::PTRACE_SETREGS,
            thread,
            0,
            std::ptr::from_ref(registers),
        )
    };
    if done == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    ensure!(
        error.raw_os_error() == Some(libc::ESRCH),
        "cannot set registers: {error}"
    );
    Ok(())
}

fn ptrace(request: libc::c_uint, thread: i32, data: i32) -> io::Result<()> {
    // SAFETY: the requests used here take a number as data and touch no memory of ours.
    let done = unsafe { libc::ptrace(request, thread, 0, i64::from(data)) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn call_name(number: i64) -> &'static str {
    match number {
        libc::SYS_write => "write",
        libc::SYS_writev => "writev",
        libc::SYS_pwrite64 => "pwrite64",
        libc::SYS_pwritev => "pwritev",
        libc::SYS_pwritev2 => "pwritev2",
        libc::SYS_copy_file_range => "copy_file_range",
        libc::SYS_sendfile => "sendfile",
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_msync => "msync",
        libc::SYS_sync_file_range => "sync_file_range",
        libc::SYS_syncfs => "syncfs",
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_truncate => "truncate",
        libc::SYS_fallocate => "fallocate",
        libc::SYS_open | libc::SYS_openat | libc::SYS_creat => "open",
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => "rename",
        libc::SYS_unlink | libc::SYS_unlinkat => "unlink",
        libc::SYS_link | libc::SYS_linkat => "link",
        libc::SYS_symlink | libc::SYS_symlinkat => "symlink",
        libc::SYS_mkdir | libc::SYS_mkdirat => "mkdir",
        libc::SYS_rmdir => "rmdir",
        libc::SYS_chmod | libc::SYS_fchmod | libc::SYS_fchmodat => "chmod",
        _ => "call",
    }
}

/// Kills a process that runs past the limit.
struct Watchdog {
    done: mpsc::Sender<()>,
    fired: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watchdog {
    fn start(process: i32) -> Self {
        let (done, wait) = mpsc::channel();
        let fired = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&fired);
        let thread = std::thread::spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::SeqCst);
                // SAFETY: plain call. The process is not reaped before `stop` joined this thread or
                // the limit has long passed with it still running.
                unsafe { libc::kill(process, libc::SIGKILL) };
            }
        });
        Self {
            done,
            fired,
            thread,
        }
    }

    fn stop(self) -> bool {
        drop(self.done);
        drop(self.thread.join());
        self.fired.load(Ordering::SeqCst)
    }
}
