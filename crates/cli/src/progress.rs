//! Progress on standard error: a bar on a terminal, a plain line every few seconds elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::{self, Write as _};
use std::io::{IsTerminal, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two plain lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// The bar of a job whose length is known, and of one whose length is not; what is too long for the terminal is cut.
const KNOWN: &str = "{label} {bar:16} {position}/{length} {rate}, {left} left  {wide_msg}";
const UNKNOWN: &str = "{label} {spinner} {position} {rate}, {took}  {wide_msg}";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown in MB (10^6).
    Bytes,
    /// Things of this name, in the plural: `steps`, `lines`.
    Items(&'static str),
}

/// How progress is shown.
#[derive(Clone, Debug)]
pub struct Style {
    label: String,
    unit: Unit,
}

impl Style {
    /// `label` says what is being done: `counting`, `training`.
    pub fn new(label: impl Into<String>, unit: Unit) -> Self {
        Style { label: label.into(), unit }
    }
}

/// The progress of one job. Shared by threads; cheap to update often.
pub struct Progress {
    style: Style,
    out: Out,
}

enum Out {
    Bar(ProgressBar, Begin),
    Lines(Mutex<Lines>),
}

/// Where this run began, and when: what was done before says nothing about its rate. The bar's own estimate does not
/// know that.
type Begin = Arc<Mutex<(u64, Instant)>>;

struct Lines {
    start: Instant,
    printed: Instant,
    /// Where this run began: what was done before it says nothing about its rate.
    from: u64,
    position: u64,
    length: Option<u64>,
    message: String,
}

impl Progress {
    /// Shows a job of `length` units (`None`: nobody knows) at position 0.
    pub fn new(length: Option<u64>, style: Style) -> Self {
        let out = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(10));
            let begin = Arc::new(Mutex::new((0, Instant::now())));
            bar.set_style(bar_style(&style, length.is_some(), &begin));
            bar.enable_steady_tick(Duration::from_millis(250));
            Out::Bar(bar, begin)
        } else {
            let now = Instant::now();
            let message = String::new();
            Out::Lines(Mutex::new(Lines { start: now, printed: now, from: 0, position: 0, length, message }))
        };
        Progress { style, out }
    }

    /// Begins at `position`, which an earlier run has reached.
    pub fn begin_at(&self, position: u64) {
        match &self.out {
            Out::Bar(bar, begin) => {
                *begin.lock().unwrap_or_else(|e| e.into_inner()) = (position, Instant::now());
                bar.set_position(position);
            }
            Out::Lines(lines) => self.update(lines, |l| (l.from, l.position) = (position, position)),
        }
    }

    /// Moves to `position` units from the start.
    pub fn set_position(&self, position: u64) {
        match &self.out {
            Out::Bar(bar, _) => bar.set_position(position),
            Out::Lines(lines) => self.update(lines, |l| l.position = position),
        }
    }

    /// Moves on by `units`.
    pub fn inc(&self, units: u64) {
        match &self.out {
            Out::Bar(bar, _) => bar.inc(units),
            Out::Lines(lines) => self.update(lines, |l| l.position += units),
        }
    }

    /// Corrects the length.
    pub fn set_length(&self, length: u64) {
        match &self.out {
            Out::Bar(bar, begin) => {
                bar.set_length(length);
                bar.set_style(bar_style(&self.style, true, begin));
            }
            Out::Lines(lines) => self.update(lines, |l| l.length = Some(length)),
        }
    }

    /// Sets the text after the figures, a loss for instance.
    pub fn set_message(&self, message: impl Into<String>) {
        let message = message.into();
        match &self.out {
            Out::Bar(bar, _) => bar.set_message(message),
            Out::Lines(lines) => self.update(lines, |l| l.message = message),
        }
    }

    /// Prints a line on standard error, above the bar if there is one.
    pub fn println(&self, line: impl AsRef<str>) {
        match &self.out {
            Out::Bar(bar, _) => bar.println(line),
            Out::Lines(_) => say(line.as_ref()),
        }
    }

    /// Ends the job: the bar is left as it stands, and a last plain line says how long it took.
    pub fn finish(&self) {
        match &self.out {
            Out::Bar(bar, _) if bar.is_finished() => {}
            Out::Bar(bar, _) => bar.abandon(),
            Out::Lines(lines) => {
                let lines = lines.lock().unwrap_or_else(|e| e.into_inner());
                say(&lines.summary(&self.style, lines.start.elapsed()));
            }
        }
    }

    /// Removes the bar; on no terminal, says nothing more.
    pub fn clear(&self) {
        if let Out::Bar(bar, _) = &self.out {
            bar.finish_and_clear();
        }
    }

    fn update(&self, lines: &Mutex<Lines>, change: impl FnOnce(&mut Lines)) {
        let mut lines = lines.lock().unwrap_or_else(|e| e.into_inner());
        change(&mut lines);
        let now = Instant::now();
        if now - lines.printed >= INTERVAL {
            lines.printed = now;
            say(&lines.text(&self.style, now - lines.start));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Out::Bar(bar, _) = &self.out
            && !bar.is_finished()
        {
            bar.abandon(); // what was reached stays readable above an error message
        }
    }
}

fn say(line: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl Lines {
    /// The last line: what was done, and in what time.
    fn summary(&self, style: &Style, elapsed: Duration) -> String {
        let done = self.position.saturating_sub(self.from);
        let done = match self.length {
            Some(length) if self.position < length => {
                format!("{} of {}", number(done, style.unit), Amount(length, style.unit))
            }
            _ => Amount(done, style.unit).to_string(),
        };
        format!("{}: {done} in {}{}", style.label, Took(elapsed), after(&self.message))
    }

    fn text(&self, style: &Style, elapsed: Duration) -> String {
        let unit = style.unit;
        let mut text = format!("{}: ", style.label);
        match self.length {
            Some(length) => {
                let percent = 100 * u128::from(self.position) / u128::from(length.max(1));
                let _ =
                    write!(text, "{} of {} ({percent} %)", number(self.position, unit), Amount(length, unit));
            }
            None => {
                let _ = write!(text, "{}", Amount(self.position, unit));
            }
        }
        let rate = rate(self.position, self.from, elapsed);
        let _ = write!(text, ", {}", Rate(rate, unit));
        if let Some(left) = self.length.and_then(|length| left(length, self.position, rate)) {
            let _ = write!(text, ", {left} left");
        }
        text.push_str(&after(&self.message));
        text
    }
}

fn after(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(", {message}") }
}

/// Units in a second of a run that began at `from`.
fn rate(position: u64, from: u64, elapsed: Duration) -> f64 {
    position.saturating_sub(from) as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// The time left at this rate; none where nothing was done yet.
fn left(length: u64, position: u64, rate: f64) -> Option<Took> {
    let left = length.saturating_sub(position) as f64 / rate;
    (rate > 0.0).then(|| Took(Duration::from_secs_f64(left.min(1e9))))
}

fn bar_style(style: &Style, known: bool, begin: &Begin) -> ProgressStyle {
    let unit = style.unit;
    let begin = begin.clone();
    let now = move |s: &ProgressState| {
        let (from, start) = *begin.lock().unwrap_or_else(|e| e.into_inner());
        rate(s.pos(), from, start.elapsed())
    };
    let rate_now = now.clone();
    let label = style.label.clone();
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

fn number(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{:.1}", value as f64 / 1e6),
        Unit::Items(_) => value.to_string(),
    }
}

struct Amount(u64, Unit);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.1 {
            Unit::Bytes => "MB",
            Unit::Items(name) => name,
        };
        write!(f, "{} {name}", number(self.0, self.1))
    }
}

struct Rate(f64, Unit);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Unit::Bytes => write!(f, "{:.1} MB/s", self.0 / 1e6),
            Unit::Items(_) if self.0 < 10.0 => write!(f, "{:.2}/s", self.0),
            Unit::Items(_) => write!(f, "{:.0}/s", self.0),
        }
    }
}

/// A time for people: `8 s`, `3:07 min`, `2:15 h`.
pub struct Took(pub Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0.as_secs();
        match s {
            0 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            1..60 => write!(f, "{s} s"),
            60..3600 => write!(f, "{}:{:02} min", s / 60, s % 60),
            _ => write!(f, "{}:{:02} h", s / 3600, s / 60 % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(position: u64, length: Option<u64>, message: &str) -> Lines {
        let now = Instant::now();
        Lines { start: now, printed: now, from: 0, position, length, message: message.into() }
    }

    #[test]
    fn plain_lines_say_how_far_how_fast_and_how_long() {
        let training = Style::new("training", Unit::Items("steps"));
        assert_eq!(
            lines(30, Some(120), "loss 2.5").text(&training, Duration::from_secs(60)),
            "training: 30 of 120 steps (25 %), 0.50/s, 3:00 min left, loss 2.5"
        );
        let resumed = Lines { from: 60, ..lines(90, Some(120), "") };
        assert_eq!(
            resumed.text(&training, Duration::from_secs(60)),
            "training: 90 of 120 steps (75 %), 0.50/s, 1:00 min left"
        );
        assert_eq!(
            lines(30, Some(120), "loss 2.5").summary(&training, Duration::from_secs(7)),
            "training: 30 of 120 steps in 7 s, loss 2.5"
        );
        assert_eq!(
            lines(120, Some(120), "").summary(&training, Duration::from_secs(70)),
            "training: 120 steps in 1:10 min"
        );
        let counting = Style::new("counting", Unit::Bytes);
        assert_eq!(
            lines(25_000_000, None, "").text(&counting, Duration::from_secs(2)),
            "counting: 25.0 MB, 12.5 MB/s"
        );
    }

    #[test]
    fn nothing_divides_by_zero() {
        let style = Style::new("x", Unit::Items("lines"));
        assert_eq!(lines(0, Some(0), "").text(&style, Duration::ZERO), "x: 0 of 0 lines (0 %), 0.00/s");
        assert!(lines(u64::MAX, Some(u64::MAX), "").text(&style, Duration::ZERO).contains("(100 %)"));
        assert!(lines(1, Some(u64::MAX), "").text(&style, Duration::from_secs(9)).contains(" h left"));
    }

    #[test]
    fn times_are_short() {
        let of = |s: f64| Took(Duration::from_secs_f64(s)).to_string();
        assert_eq!([of(0.25), of(59.9), of(187.0), of(8100.0)], ["0.2 s", "59 s", "3:07 min", "2:15 h"]);
    }

    #[test]
    fn the_templates_are_valid() {
        for template in [KNOWN, UNKNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
