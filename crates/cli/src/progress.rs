//! Progress on standard error: a bar on a terminal, a plain line every few seconds elsewhere, nothing under `--quiet`.
//!
//! [`Monitor`] is the program's one way of watching what the libraries do, and of stopping it on Ctrl-C.

mod bar;
mod lines;
mod words;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use t5kit_formats::lang::fill;
use t5kit_formats::progress::{Progress, Watch};

use crate::interrupt;
use crate::lang::lang;
use crate::say::{is_quiet, is_verbose};
pub use lines::Took;
use lines::{Work, say};

/// Columns of a terminal that does not say how wide it is.
const WIDTH: u16 = 80;

/// Shows long work, stage by stage, and ends it in order where the user has asked the program to end.
pub struct Monitor {
    bars: MultiProgress,
    stage: Option<Stage>,
    /// Work that the stage waits for, in a bar of its own below.
    within: Option<Stage>,
    /// Bad rows that were left out.
    bad: u64,
}

impl Default for Monitor {
    fn default() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Monitor { bars, stage: None, within: None, bad: 0 }
    }
}

/// How many bad rows are shown one by one.
const SHOWN_BAD: u64 = 20;

/// A stage, and its bar where there is a terminal.
struct Stage {
    work: Arc<Mutex<Work>>,
    bar: Option<ProgressBar>,
}

impl Watch for Monitor {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self.show(at);
        interrupt::flow()
    }
}

impl Monitor {
    /// Shows where the work is, without asking whether it is to go on.
    pub fn show(&mut self, at: Progress<'_>) {
        self.end_within();
        match &mut self.stage {
            Some(stage) if stage.is(at.stage) => stage.update(at),
            _ => {
                self.finish();
                self.stage = Some(Stage::begin(at, &self.bars));
            }
        }
    }

    /// Shows work that the stage waits for, such as a validation, in a bar of its own; gone when the stage goes on.
    pub fn show_within(&mut self, at: Progress<'_>) {
        match &mut self.within {
            Some(stage) if stage.is(at.stage) => stage.update(at),
            _ => {
                self.end_within();
                self.within = Some(Stage::begin(at, &self.bars));
            }
        }
    }

    fn end_within(&mut self) {
        if let Some(stage) = self.within.take() {
            stage.clear();
        }
    }

    /// Sets what is said beside the figures, the weightiest first: a loss, a rate.
    pub fn set_message(&mut self, message: Vec<String>) {
        if let Some(stage) = &self.stage {
            stage.work().message = message;
            stage.tell();
        }
    }

    /// Prints a line on standard error, above the bar if there is one.
    pub fn println(&self, line: impl AsRef<str>) {
        match &self.stage {
            _ if is_quiet() => {}
            Some(Stage { bar: Some(bar), .. }) => bar.println(line),
            _ => say(line.as_ref()),
        }
    }

    /// Says that a bad row was left out, and why; of many, only the first are shown.
    pub fn left_out(&mut self, why: &dyn fmt::Display) {
        match self.bad {
            n if n < SHOWN_BAD => self.println(fill(lang().texts().terminal.left_out_row, &[("why", &why)])),
            SHOWN_BAD => self.println(lang().texts().terminal.more_bad_rows),
            _ => {}
        }
        self.bad += 1;
    }

    /// Ends the stage: the bar is left as it stands, or a last plain line says how long it took.
    pub fn finish(&mut self) {
        self.end_within();
        let Some(stage) = self.stage.take() else { return };
        let plain = stage.bar.is_none();
        let summary = stage.work().summary();
        drop(stage);
        if plain && !is_quiet() || is_verbose() {
            say(&summary);
        }
    }

    /// Removes the bar; on no terminal, says nothing more.
    pub fn clear(&mut self) {
        self.end_within();
        if let Some(stage) = self.stage.take() {
            let summary = stage.work().summary();
            stage.clear();
            if is_verbose() {
                say(&summary);
            }
        }
    }
}

impl Stage {
    fn begin(at: Progress<'_>, bars: &MultiProgress) -> Self {
        let work = Arc::new(Mutex::new(Work::begin(at)));
        let bar = (std::io::stderr().is_terminal() && !is_quiet()).then(|| {
            let bar = bars.add(ProgressBar::no_length());
            bar.set_style(style(work.clone()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Stage { work, bar }
    }

    /// What is known of the stage. To be let go before its bar is touched: drawing asks for it too.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn is(&self, name: &str) -> bool {
        self.work().stage == name
    }

    fn update(&self, at: Progress<'_>) {
        self.work().update(at);
        self.tell();
    }

    fn tell(&self) {
        match &self.bar {
            Some(bar) => bar.tick(),
            None if is_quiet() => {}
            None => self.work().tell(),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            bar.abandon(); // what was reached stays readable above an error message
        }
    }
}

/// The whole line is ours: indicatif would cut at the end what matters as much as the rest.
fn style(work: Arc<Mutex<Work>>) -> ProgressStyle {
    let line = move |_: &ProgressState, w: &mut dyn fmt::Write| {
        let (_, columns) = Term::stderr().size_checked().unwrap_or((0, WIDTH));
        let work = work.lock().unwrap_or_else(|e| e.into_inner());
        // Into a string, which cannot fail. The last column stays free: some terminals begin a line there.
        let _ = w.write_str(&bar::line(&work, work.start.elapsed(), usize::from(columns.saturating_sub(1))));
    };
    ProgressStyle::with_template("{line}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("line", line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_valid() {
        assert!(ProgressStyle::with_template("{line}").is_ok());
    }
}
