//! A stage in one line of a terminal: what matters most stays where the line is narrow.

use std::time::Duration;

use console::measure_text_width;

use t5kit_formats::lang::fill;

use super::lines::{Rate, Took, Work, amount, left, number, rate, unit_name};
use super::words;

/// Characters of the bar itself.
const BAR: usize = 16;
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const SPINNER: [char; 4] = ['-', '\\', '|', '/'];

/// A piece of the line, with the space or comma before it, and how little it matters.
struct Part {
    text: String,
    before: &'static str,
    rank: usize,
}

/// The line of at most `width` columns: the stage, the first part of its message (a loss), the bar, how far, the time
/// left, the rate and the rest. Where they do not all fit, the least of them are left out whole.
pub(super) fn line(work: &Work, elapsed: Duration, width: usize) -> String {
    let t = work.texts();
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |before, rank, text: String| parts.push(Part { text, before, rank });
    let pace = rate(work.position, work.from, elapsed);
    add(" ", 4, words::stage(&work.stage, t).into_owned());
    if let Some(first) = work.message.first() {
        add("  ", 0, first.clone());
    }
    match work.length {
        Some(length) => {
            add("  ", 3, bar(work.position, length));
            add("  ", 1, format!("{}/{}", number(work.position, work.unit), number(length, work.unit)));
            add(" ", 6, unit_name(work.unit, t).to_owned());
            if work.position < length {
                let time = left(length, work.position, pace).map_or("?".to_owned(), |left| left.to_string());
                add(t.comma, 2, fill(t.work_left, &[("time", &time)]));
            }
        }
        None => {
            add(" ", 3, SPINNER[(elapsed.as_millis() / 250) as usize % SPINNER.len()].to_string());
            add("  ", 1, amount(work.position, work.unit, t));
            add(t.comma, 2, Took(elapsed).to_string());
        }
    }
    // Of work that was found done, or has just begun, there is no rate.
    if work.position > work.from {
        add(t.comma, 5, Rate(pace, work.unit).to_string());
    }
    for (i, part) in work.message.iter().enumerate().skip(1) {
        add(t.comma, 7 + i, part.clone());
    }
    while parts.len() > 1 && measure_text_width(&joined(&parts)) > width {
        let least = (0..parts.len()).max_by_key(|&i| parts[i].rank).unwrap_or(0);
        parts.remove(least);
    }
    // Only a stage with a long name in a tiny window is cut.
    let mut line = joined(&parts);
    while measure_text_width(&line) > width && line.pop().is_some() {}
    line
}

fn joined(parts: &[Part]) -> String {
    let mut line = String::new();
    for part in parts.iter().filter(|part| !part.text.is_empty()) {
        if !line.is_empty() {
            line.push_str(part.before);
        }
        line.push_str(&part.text);
    }
    line
}

fn bar(position: u64, length: u64) -> String {
    let all = (BAR * 8) as u128;
    let done = (all * u128::from(position) / u128::from(length.max(1))).min(all) as usize;
    let mut bar = "█".repeat(done / 8);
    if done < BAR * 8 {
        bar.push(EIGHTHS[done % 8]);
        bar.push_str(&" ".repeat(BAR - 1 - done / 8));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_formats::lang::Lang;
    use t5kit_formats::progress::Progress;

    fn training() -> Work {
        let mut work = Work::begin(Progress::items("training", "steps", 1200, Some(4000)));
        work.message = ["loss 2.3141", "5321 tokens/s", "2.10 GB", "lr 2e-4"].map(String::from).to_vec();
        work
    }

    #[test]
    fn a_narrow_line_keeps_the_loss_and_the_time_left() {
        let at = |width| line(&training(), Duration::from_secs(600), width);
        assert_eq!(at(10), "loss 2.314");
        assert_eq!(at(40), "loss 2.3141  1200/4000, 23:20 min left");
        assert_eq!(at(60), "loss 2.3141  ████▊             1200/4000, 23:20 min left");
        assert_eq!(
            at(80),
            "training  loss 2.3141  ████▊             1200/4000 steps, 23:20 min left, 2.00/s"
        );
        assert_eq!(
            at(120),
            "training  loss 2.3141  ████▊             1200/4000 steps, 23:20 min left, 2.00/s, 5321 tokens/s, 2.10 GB, lr 2e-4"
        );
        for width in 0..130 {
            assert!(measure_text_width(&at(width)) <= width, "{width}");
        }
    }

    #[test]
    fn wide_characters_count_twice() {
        let mut work = training();
        work.lang = Lang::Zh;
        work.message = ["损失 2.3141", "每秒 5321 词元"].map(String::from).to_vec();
        assert_eq!(
            line(&work, Duration::from_secs(600), 120),
            "训练  损失 2.3141  ████▊             1200/4000 步，还需 23:20 min，2.00/s，每秒 5321 词元"
        );
        for width in 0..40 {
            assert!(measure_text_width(&line(&work, Duration::ZERO, width)) <= width, "{width}");
        }
    }

    #[test]
    fn bars_are_of_one_width() {
        for (position, length) in [(0, 0), (0, 7), (1, 7), (6, 7), (7, 7), (9, 7), (u64::MAX, u64::MAX)] {
            assert_eq!(bar(position, length).chars().count(), BAR, "{position} of {length}");
        }
    }
}
