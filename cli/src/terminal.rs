//! Standard output and standard error of the process.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use ipfs_kit_http::failure::Failure;
use ipfs_kit_http::output::{Content, Sink};

use crate::progress::Bars;

/// Says something beside the result, on standard error. A closed one is nobody's loss.
pub fn note(message: &str) {
    let _ = writeln!(io::stderr(), "ipfs-kit: {message}");
}

/// Standard output, which steps aside for a progress bar.
pub struct Stdout {
    file: File,
    terminal: bool,
    bars: Bars,
}

impl Stdout {
    /// Standard output of this process.
    ///
    /// # Errors
    /// When it has none.
    pub fn new(bars: Bars) -> Result<Stdout, Failure> {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        // A file instead of the library's handle: that one looks for line ends in all we write.
        let file = File::from(stdout.as_fd().try_clone_to_owned().map_err(|error| {
            Failure::failed(format_args!("standard output is not usable: {error}"))
        })?);
        Ok(Stdout {
            file,
            terminal,
            bars,
        })
    }
}

impl Sink for Stdout {
    fn begin(&mut self, _: Content) {}

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Stdout { file, bars, .. } = self;
        match bars.get().filter(|_| self.terminal) {
            Some(bar) => bar.suspend(|| file.write_all(bytes)),
            None => file.write_all(bytes),
        }
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn at_once(&self) -> bool {
        self.terminal && self.bars.get().is_none()
    }
}
