//! The examples of a recipe before they are split: how many go where, and how long they are.

use anyhow::Result;
use std::path::Path;
use t5kit_recipe::{Part, SplitOptions};
use t5kit_tokenizer::Tokenizer;
use t5kit_train::each_pair;

use super::speed::Texts;
use crate::progress::Monitor;

/// Examples that are tokenized to learn how many tokens a character makes.
const SAMPLE: usize = 200;
/// Tokens of a character where no tokenizer is at hand: Chinese text in mT5's pieces.
pub const TOKENS_A_CHARACTER: f64 = 0.7;

/// Reads the examples once: how many go where, and how long they are.
pub fn read(options: &SplitOptions, tokenizer: Option<&Tokenizer>) -> Result<Texts> {
    let mut monitor = Monitor::default();
    let (mut characters, mut longest, mut sampled, mut tokens) =
        ([0usize; 2], [0usize; 2], [0usize; 2], [0usize; 2]);
    let (mut seen, mut rows) = (0, [0usize; 3]);
    let mut each = |path: &Path| -> Result<usize> {
        let mut here = 0;
        let mut watch = Passing(&mut monitor);
        each_pair(path, &options.columns, &options.table, &mut watch, |source, target| {
            for (side, text) in [&source, &target].into_iter().enumerate() {
                let n = text.chars().count();
                characters[side] += n;
                longest[side] = longest[side].max(n);
                if let Some(tokenizer) = tokenizer.filter(|_| seen < SAMPLE) {
                    sampled[side] += n;
                    tokens[side] += tokenizer.encode(text).len();
                }
            }
            seen += 1;
            here += 1;
            Ok::<_, t5kit_train::Error>(())
        })?;
        Ok(here)
    };
    let mut input = 0;
    for path in &options.input {
        input += each(path)?;
    }
    let mut left = input;
    for (i, part) in options.parts.iter().enumerate().rev() {
        rows[i] = match part {
            None => 0,
            Some(Part::Rows(rows)) => *rows,
            Some(Part::Share(share)) => ((share * input as f64).round() as usize).max(1),
            Some(Part::Rest) => left,
            Some(Part::Files(files)) => files.iter().map(|file| each(file)).sum::<Result<usize>>()?,
        };
        if !matches!(part, Some(Part::Files(_))) {
            left = left.saturating_sub(rows[i]);
        }
    }
    monitor.clear();
    let ratio = [0, 1].map(|i| match sampled[i] {
        0 => TOKENS_A_CHARACTER,
        n => tokens[i] as f64 / n as f64,
    });
    let mean = |i: usize| characters[i] as f64 / seen.max(1) as f64 * ratio[i] + 1.0;
    let most = |i: usize| (longest[i] as f64 * ratio[i]).ceil() as usize + 1;
    Ok(Texts { rows, tokens: [mean(0), mean(1)], longest: [most(0), most(1)] })
}

/// Bad rows are the stage's business.
struct Passing<'a>(&'a mut Monitor);

impl t5kit_formats::progress::Watch for Passing<'_> {
    fn progress(&mut self, at: t5kit_formats::progress::Progress<'_>) -> std::ops::ControlFlow<()> {
        self.0.progress(at)
    }
}

impl t5kit_train::ReadWatch for Passing<'_> {
    fn bad_row(&mut self, _error: &dyn std::fmt::Display) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }
}
