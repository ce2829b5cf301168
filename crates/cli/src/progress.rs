//! Progress on standard error: a bar on a terminal, a plain line every few seconds elsewhere.
//!
//! [`Monitor`] is the program's one way of watching what the libraries do, and of stopping it on Ctrl-C.

mod lines;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use t5kit_formats::progress::{Progress, Unit, Watch};

use crate::interrupt;
pub use lines::Took;
use lines::{Amount, Lines, Rate, left, number, rate, say};

/// The bar of a stage whose length is known, and of one whose length is not; what is too long for the terminal is cut.
const KNOWN: &str = "{label} {bar:16} {position}/{length} {rate}, {left} left  {wide_msg}";
const UNKNOWN: &str = "{label} {spinner} {position} {rate}, {took}  {wide_msg}";

/// Shows long work, stage by stage, and ends it in order where the user has asked the program to end.
#[derive(Default)]
pub struct Monitor {
    stage: Option<Stage>,
    /// Bad rows that were left out.
    bad: u64,
}

/// How many bad rows are shown one by one.
const SHOWN_BAD: u64 = 20;

enum Stage {
    Bar { name: String, unit: Unit, known: bool, begin: Begin, bar: ProgressBar },
    Lines(Lines),
}

/// Where this run began, and when: what was done before says nothing about its rate. The bar's own estimate does not
/// know that.
type Begin = Arc<Mutex<(u64, Instant)>>;

impl Watch for Monitor {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self.show(at);
        interrupt::flow()
    }
}

impl Monitor {
    /// Shows where the work is, without asking whether it is to go on.
    pub fn show(&mut self, at: Progress<'_>) {
        match &mut self.stage {
            Some(stage) if stage.name() == at.stage => stage.update(at),
            _ => {
                self.finish();
                self.stage = Some(Stage::begin(at));
            }
        }
    }

    /// Sets the text after the figures, a loss for instance.
    pub fn set_message(&mut self, message: impl Into<String>) {
        match &mut self.stage {
            Some(Stage::Bar { bar, .. }) => bar.set_message(message.into()),
            Some(Stage::Lines(lines)) => lines.set_message(message.into()),
            None => {}
        }
    }

    /// Prints a line on standard error, above the bar if there is one.
    pub fn println(&self, line: impl AsRef<str>) {
        match &self.stage {
            Some(Stage::Bar { bar, .. }) => bar.println(line),
            _ => say(line.as_ref()),
        }
    }

    /// Says that a bad row was left out, and why; of many, only the first are shown.
    pub fn left_out(&mut self, why: &dyn fmt::Display) {
        match self.bad {
            n if n < SHOWN_BAD => self.println(format!("left out: {why}")),
            SHOWN_BAD => self.println("more bad rows follow; they are counted, not shown"),
            _ => {}
        }
        self.bad += 1;
    }

    /// Ends the stage: the bar is left as it stands, or a last plain line says how long it took.
    pub fn finish(&mut self) {
        if let Some(Stage::Lines(lines)) = &self.stage {
            lines.finish();
        }
        self.stage = None;
    }

    /// Removes the bar; on no terminal, says nothing more.
    pub fn clear(&mut self) {
        if let Some(Stage::Bar { bar, .. }) = &self.stage {
            bar.finish_and_clear();
        }
        self.stage = None;
    }
}

impl Stage {
    fn begin(at: Progress<'_>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Stage::Lines(Lines::begin(at));
        }
        let bar = ProgressBar::with_draw_target(at.total, ProgressDrawTarget::stderr_with_hz(10));
        let begin = Arc::new(Mutex::new((at.before, Instant::now())));
        let known = at.total.is_some();
        bar.set_style(bar_style(at.stage, at.unit, known, &begin));
        bar.set_position(at.done);
        bar.enable_steady_tick(Duration::from_millis(250));
        Stage::Bar { name: at.stage.to_owned(), unit: at.unit, known, begin, bar }
    }

    fn name(&self) -> &str {
        match self {
            Stage::Bar { name, .. } => name,
            Stage::Lines(lines) => &lines.stage,
        }
    }

    fn update(&mut self, at: Progress<'_>) {
        match self {
            Stage::Bar { name, unit, known, begin, bar } => {
                if let Some(total) = at.total {
                    bar.set_length(total);
                    if !std::mem::replace(known, true) {
                        bar.set_style(bar_style(name, *unit, true, begin));
                    }
                }
                bar.set_position(at.done);
            }
            Stage::Lines(lines) => lines.update(at),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Stage::Bar { bar, .. } = self
            && !bar.is_finished()
        {
            bar.abandon(); // what was reached stays readable above an error message
        }
    }
}

fn bar_style(stage: &str, unit: Unit, known: bool, begin: &Begin) -> ProgressStyle {
    let begin = begin.clone();
    let now = move |s: &ProgressState| {
        let (from, start) = *begin.lock().unwrap_or_else(|e| e.into_inner());
        rate(s.pos(), from, start.elapsed())
    };
    let rate_now = now.clone();
    let label = stage.to_owned();
    ProgressStyle::with_template(if known { KNOWN } else { UNKNOWN })
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ")
        .with_key("label", move |_: &ProgressState, w: &mut dyn fmt::Write| put(w, &label))
        .with_key("position", move |s: &ProgressState, w: &mut dyn fmt::Write| put(w, number(s.pos(), unit)))
        .with_key("length", move |s: &ProgressState, w: &mut dyn fmt::Write| {
            put(w, Amount(s.len().unwrap_or(s.pos()), unit));
        })
        .with_key("rate", move |s: &ProgressState, w: &mut dyn fmt::Write| put(w, Rate(rate_now(s), unit)))
        .with_key("left", move |s: &ProgressState, w: &mut dyn fmt::Write| {
            match left(s.len().unwrap_or(0), s.pos(), now(s)) {
                Some(left) => put(w, left),
                None => put(w, "?"),
            }
        })
        .with_key("took", |s: &ProgressState, w: &mut dyn fmt::Write| put(w, Took(s.elapsed())))
}

/// indicatif's writers end in a string, which cannot fail.
fn put(w: &mut dyn fmt::Write, text: impl fmt::Display) {
    let _ = write!(w, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
