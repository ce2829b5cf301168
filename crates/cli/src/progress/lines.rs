//! Progress in words: a plain line every few seconds, where there is no terminal; figures, rates and times for people.

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, Instant};

use t5kit_formats::lang::{Lang, Terminal, fill};
use t5kit_formats::progress::{Progress, Unit};

use super::words;
use crate::lang::lang;

/// Between two plain lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// One stage of some work: how far it has come, in how long.
pub(super) struct Work {
    pub stage: String,
    pub unit: Unit,
    pub start: Instant,
    printed: Instant,
    /// Where this run began: what was done before it says nothing about its rate.
    pub from: u64,
    pub position: u64,
    pub length: Option<u64>,
    /// What else there is to say, the weightiest first.
    pub message: Vec<String>,
    /// The reader's language.
    pub lang: Lang,
}

pub(super) fn say(line: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl Work {
    pub fn begin(at: Progress<'_>) -> Self {
        let now = Instant::now();
        Work {
            stage: at.stage.to_owned(),
            unit: at.unit,
            start: now,
            printed: now,
            from: at.before,
            position: at.done,
            length: at.total,
            message: Vec::new(),
            lang: lang(),
        }
    }

    /// Moves on.
    pub fn update(&mut self, at: Progress<'_>) {
        (self.position, self.length) = (at.done, at.total.or(self.length));
    }

    /// Says how far the work is, if nothing was said for a while.
    pub fn tell(&mut self) {
        let now = Instant::now();
        if now - self.printed >= INTERVAL {
            self.printed = now;
            say(&self.text(now - self.start));
        }
    }

    /// The last line: what was done, and in what time.
    pub fn summary(&self) -> String {
        self.summary_after(self.start.elapsed())
    }

    fn summary_after(&self, elapsed: Duration) -> String {
        let t = self.texts();
        let done = self.position.saturating_sub(self.from);
        let (stage, time) = (words::stage(&self.stage, t), Took(elapsed));
        let said = match self.length {
            Some(length) if self.position < length => {
                let (done, all) = (number(done, self.unit), amount(length, self.unit, t));
                fill(t.work_took_of, &[("stage", &stage), ("done", &done), ("all", &all), ("time", &time)])
            }
            _ => {
                let done = amount(done, self.unit, t);
                fill(t.work_took, &[("stage", &stage), ("done", &done), ("time", &time)])
            }
        };
        said + &self.after()
    }

    fn text(&self, elapsed: Duration) -> String {
        let (t, unit, stage) = (self.texts(), self.unit, words::stage(&self.stage, self.texts()));
        let mut text = match self.length {
            Some(length) => {
                let percent = 100 * u128::from(self.position) / u128::from(length.max(1));
                let (done, all) = (number(self.position, unit), amount(length, unit, t));
                fill(
                    t.work_at_of,
                    &[("stage", &stage), ("done", &done), ("all", &all), ("percent", &percent)],
                )
            }
            None => fill(t.work_at, &[("stage", &stage), ("done", &amount(self.position, unit, t))]),
        };
        let rate = rate(self.position, self.from, elapsed);
        if self.position > self.from {
            text += t.comma;
            text += &Rate(rate, unit).to_string();
        }
        if let Some(left) = self.length.and_then(|length| left(length, self.position, rate)) {
            text += t.comma;
            text += &fill(t.work_left, &[("time", &left)]);
        }
        text + &self.after()
    }

    /// The rest of the message, with commas before its parts.
    fn after(&self) -> String {
        self.message.iter().flat_map(|part| [self.texts().comma, part]).collect()
    }

    pub fn texts(&self) -> &'static Terminal {
        &self.lang.texts().terminal
    }
}

/// Units in a second of a run that began at `from`.
pub(super) fn rate(position: u64, from: u64, elapsed: Duration) -> f64 {
    position.saturating_sub(from) as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// The time left at this rate; none where nothing was done yet.
pub(super) fn left(length: u64, position: u64, rate: f64) -> Option<Took> {
    let left = length.saturating_sub(position) as f64 / rate;
    (rate > 0.0).then(|| Took(Duration::from_secs_f64(left.min(1e9))))
}

pub(super) fn number(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{:.1}", value as f64 / 1e6),
        Unit::Items(_) => value.to_string(),
    }
}

/// A number and what it is a number of.
pub(super) fn amount(value: u64, unit: Unit, t: &Terminal) -> String {
    format!("{} {}", number(value, unit), unit_name(unit, t))
}

pub(super) fn unit_name(unit: Unit, t: &Terminal) -> &'static str {
    match unit {
        Unit::Bytes => "MB",
        Unit::Items(name) => words::unit(name, t),
    }
}

pub(super) struct Rate(pub f64, pub Unit);

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

    fn lines(stage: &'static str, unit: Unit, position: u64, length: Option<u64>, message: &[&str]) -> Work {
        let at = Progress { stage, done: position, total: length, before: 0, unit };
        Work { message: message.iter().map(|part| part.to_string()).collect(), ..Work::begin(at) }
    }

    #[test]
    fn plain_lines_say_how_far_how_fast_and_how_long() {
        let training = |position, message: &[&str]| {
            lines("training", Unit::Items("steps"), position, Some(120), message)
        };
        assert_eq!(
            training(30, &["loss 2.5"]).text(Duration::from_secs(60)),
            "training: 30 of 120 steps (25 %), 0.50/s, 3:00 min left, loss 2.5"
        );
        let resumed = Work { from: 60, ..training(90, &[]) };
        assert_eq!(
            resumed.text(Duration::from_secs(60)),
            "training: 90 of 120 steps (75 %), 0.50/s, 1:00 min left"
        );
        assert_eq!(
            training(30, &["loss 2.5"]).summary_after(Duration::from_secs(7)),
            "training: 30 of 120 steps in 7 s, loss 2.5"
        );
        assert_eq!(
            training(120, &[]).summary_after(Duration::from_secs(70)),
            "training: 120 steps in 1:10 min"
        );
        let counting = lines("counting", Unit::Bytes, 25_000_000, None, &[]);
        assert_eq!(counting.text(Duration::from_secs(2)), "counting: 25.0 MB, 12.5 MB/s");
    }

    #[test]
    fn a_chinese_reader_is_told_in_chinese() {
        let unit = Unit::Items("steps");
        let zh = |work: Work| Work { lang: Lang::Zh, ..work };
        let training = zh(lines("training", unit, 30, Some(120), &["损失 2.5"]));
        assert_eq!(
            training.text(Duration::from_secs(60)),
            "训练：已完成 30，共 120 步（25 %），0.50/s，还需 3:00 min，损失 2.5"
        );
        assert_eq!(
            training.summary_after(Duration::from_secs(7)),
            "训练：完成 30，共 120 步，用时 7 s，损失 2.5"
        );
        let fetching = zh(lines("fetching spiece.model", Unit::Bytes, 4_300_000, Some(4_300_000), &[]));
        assert_eq!(fetching.summary_after(Duration::from_secs(2)), "下载 spiece.model：4.3 MB，用时 2 s");
    }

    #[test]
    fn nothing_divides_by_zero() {
        let x = |position, length| lines("x", Unit::Items("lines"), position, length, &[]);
        assert_eq!(x(0, Some(0)).text(Duration::ZERO), "x: 0 of 0 lines (0 %)");
        assert!(x(u64::MAX, Some(u64::MAX)).text(Duration::ZERO).contains("(100 %)"));
        assert!(x(1, Some(u64::MAX)).text(Duration::from_secs(9)).contains(" h left"));
    }

    #[test]
    fn times_are_short() {
        let of = |s: f64| Took(Duration::from_secs_f64(s)).to_string();
        assert_eq!([of(0.25), of(59.9), of(187.0), of(8100.0)], ["0.2 s", "59 s", "3:07 min", "2:15 h"]);
    }
}
