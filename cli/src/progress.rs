//! Progress bars on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use ipfs_kit_http::host::{Bar, Counting};

/// The bar that is shown, if there is one. Clones share it.
#[derive(Clone, Default)]
pub struct Bars {
    shown: Arc<Mutex<Option<ProgressBar>>>,
}

impl Bars {
    /// Shows a bar, if one is wanted: as `asked` says, else when people watch standard error.
    pub fn show(
        &self,
        counting: Counting,
        asked: Option<bool>,
        quiet: bool,
    ) -> Option<Arc<dyn Bar>> {
        if !asked.unwrap_or_else(|| io::stderr().is_terminal() && !quiet) {
            return None;
        }
        let bar = match counting {
            Counting::Bytes(total) => bytes(total),
            Counting::Things(name) => count(name),
        };
        self.put(Some(bar.clone()));
        Some(Arc::new(Shown(bar)))
    }

    /// The bar that is shown.
    pub fn get(&self) -> Option<ProgressBar> {
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, bar: Option<ProgressBar>) -> Option<ProgressBar> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut shown, bar)
    }

    /// Leaves the bar as a last line.
    pub fn finish(&self) {
        if let Some(bar) = self.put(None) {
            bar.finish();
            // The bar itself ends without a line end; a closed standard error is nobody's loss.
            let _ = writeln!(io::stderr());
        }
    }

    /// Takes the bar off without a trace.
    pub fn clear(&self) {
        if let Some(bar) = self.put(None) {
            bar.finish_and_clear();
        }
    }
}

struct Shown(ProgressBar);

impl Bar for Shown {
    fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    fn advance(&self, more: u64) {
        self.0.inc(more);
    }

    fn set_total(&self, total: u64) {
        set_total(&self.0, total);
    }
}

/// A bar that counts bytes up to `total`, or without end when that is not known.
fn bytes(total: Option<u64>) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total).with_style(style(
            "{bytes} / {total_bytes} [{wide_bar}] {bytes_per_sec} {percent}% ETA {eta}",
        )),
        None => ProgressBar::no_length().with_style(style("{bytes} {bytes_per_sec} {elapsed}")),
    };
    drawn(bar)
}

/// A bar that counts things named in its message.
fn count(message: &'static str) -> ProgressBar {
    drawn(
        ProgressBar::no_length()
            .with_style(style("Fetched/Processed {human_pos} {msg} {elapsed}"))
            .with_message(message),
    )
}

/// Turns a bar of unknown length into one with an end.
fn set_total(bar: &ProgressBar, total: u64) {
    bar.set_style(style(
        "{bytes} / {total_bytes} [{wide_bar}] {bytes_per_sec} {percent}% ETA {eta}",
    ));
    bar.set_length(total);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `--progress=true` shows the bar also where no terminal is, as one line that is rewritten.
fn drawn(bar: ProgressBar) -> ProgressBar {
    if io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    } else {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(PlainStderr), 2);
        bar.set_draw_target(target);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Standard error that is no terminal: each state of the bar overwrites the one before by a carriage
/// return.
#[derive(Debug)]
struct PlainStderr;

impl indicatif::TermLike for PlainStderr {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        eprintln!("{line}");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        eprint!("{text}");
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        eprint!("\r");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
