//! Figures of generated texts beside references, as they are shown: with what was done to the texts.

use std::borrow::Cow;
use t5kit_eval::{Metric, Scorer};
use t5kit_tokenizer::{Punctuation, PunctuationCount, half_width_punctuation, restore_punctuation};

/// What happens to half-width punctuation in Chinese.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PunctuationFlag {
    /// Restored where the texts are Chinese and nothing speaks against it
    Auto,
    /// Left as it is
    Keep,
    /// Made full-width: ，！？：；（）
    Restore,
}

impl From<PunctuationFlag> for Punctuation {
    fn from(flag: PunctuationFlag) -> Self {
        match flag {
            PunctuationFlag::Auto => Punctuation::Auto,
            PunctuationFlag::Keep => Punctuation::Keep,
            PunctuationFlag::Restore => Punctuation::Restore,
        }
    }
}

/// Generated texts compared with references one by one. What is done to their punctuation may turn out with the last
/// reference only: until then the figures of every way are kept, each from the first text on that it changes.
pub struct Compared {
    metrics: Vec<Metric>,
    wanted: Punctuation,
    kept: Scorer,
    full: Option<Scorer>,
    half: Option<Scorer>,
    marks: PunctuationCount,
    examples: u64,
}

/// What was done to the punctuation of generated texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Kept,
    Restored,
    HalfWidth,
}

impl Compared {
    /// By these metrics. `Auto` makes punctuation as the references have it.
    pub fn new(metrics: &[Metric], wanted: Punctuation) -> Self {
        Self {
            metrics: metrics.to_vec(),
            wanted,
            kept: Scorer::new(metrics),
            full: None,
            half: None,
            marks: PunctuationCount::default(),
            examples: 0,
        }
    }

    /// Adds a text and its reference.
    pub fn add(&mut self, prediction: &str, reference: &str) {
        self.examples += 1;
        self.marks.add(reference);
        let changed = |scorer: &mut Option<Scorer>, kept: &Scorer, text: Cow<'_, str>| {
            if scorer.is_none() && text != prediction {
                *scorer = Some(kept.clone());
            }
            if let Some(scorer) = scorer {
                scorer.add(&text, reference);
            }
        };
        if self.wanted != Punctuation::Keep {
            changed(&mut self.full, &self.kept, restore_punctuation(prediction));
        }
        if self.wanted == Punctuation::Auto {
            changed(&mut self.half, &self.kept, half_width_punctuation(prediction));
        }
        self.kept.add(prediction, reference);
    }

    fn done(&self) -> Done {
        match self.wanted {
            Punctuation::Restore => Done::Restored,
            Punctuation::Auto if self.marks.is_full_width() => Done::Restored,
            Punctuation::Auto if self.marks.is_half_width() && self.half.is_some() => Done::HalfWidth,
            Punctuation::Auto | Punctuation::Keep => Done::Kept,
        }
    }

    /// The scores, each between 0 and 1.
    pub fn scores(&self) -> Vec<(Metric, f64)> {
        let changed = match self.done() {
            Done::Kept => &None,
            Done::Restored => &self.full,
            Done::HalfWidth => &self.half,
        };
        changed.as_ref().unwrap_or(&self.kept).scores()
    }

    /// How many there were.
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// What was computed of what, in a line to quote.
    pub fn signature(&self) -> String {
        let names: Vec<&str> = self.metrics.iter().map(|metric| metric.name()).collect();
        format!(
            "{}|n:{}|punctuation:{}|t5kit:{}",
            names.join("+"),
            self.examples,
            match self.done() {
                Done::Kept => "kept",
                Done::Restored => "restored",
                Done::HalfWidth => "half-width",
            },
            env!("CARGO_PKG_VERSION")
        )
    }

    /// The figures in percent, one a line with its definition, and the signature.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (metric, score) in self.scores() {
            out += &format!("{:<12}{:>7.2} %  {}\n", title(metric), 100.0 * score, definition(metric));
        }
        let examples = self.examples;
        out += &format!("{examples} example{}  {}\n", if examples == 1 { "" } else { "s" }, self.signature());
        out
    }
}

/// A metric's name as people write it.
fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::Bleu => "BLEU",
        Metric::Rouge1 => "ROUGE-1",
        Metric::Rouge2 => "ROUGE-2",
        Metric::RougeL => "ROUGE-L",
        Metric::Chrf => "chrF2",
        Metric::Accuracy => "accuracy",
        Metric::MacroF1 => "macro F1",
        Metric::ExactMatch => "exact match",
        Metric::F1 => "F1",
    }
}

/// What a metric is, in a few words.
fn definition(metric: Metric) -> &'static str {
    match metric {
        Metric::Bleu => "sentence BLEU of lower-cased characters, smoothed (nltk's method 1), mean",
        Metric::Rouge1 => "F of lower-cased characters (rouge 1.0.1), mean",
        Metric::Rouge2 => "F of pairs of lower-cased characters (rouge 1.0.1), mean",
        Metric::RougeL => "F of the longest common subsequence of lower-cased characters (rouge 1.0.1), mean",
        Metric::Chrf => "F2 of character n-grams up to 6 over all texts (sacrebleu)",
        Metric::Accuracy => "share of texts that are the reference",
        Metric::MacroF1 => "F1 of labels, every label weighing the same",
        Metric::ExactMatch => "share of texts with the reference's words",
        Metric::F1 => "F1 of a text's words, mean",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(wanted: Punctuation, pairs: &[(&str, &str)]) -> Compared {
        let mut compared = Compared::new(&[Metric::Accuracy], wanted);
        pairs.iter().for_each(|(prediction, reference)| compared.add(prediction, reference));
        compared
    }

    #[test]
    fn punctuation_goes_by_the_references() {
        let full = [("好,走", "好，走"), ("甲", "甲"), ("a, b", "a, b")];
        let half = [("好,走", "好,走"), ("甲:乙", "甲:乙")];
        for (wanted, pairs, score, done) in [
            (Punctuation::Auto, &full[..], 1.0, "restored"),
            (Punctuation::Restore, &full, 1.0, "restored"),
            (Punctuation::Keep, &full, 2.0 / 3.0, "kept"),
            (Punctuation::Auto, &half, 1.0, "kept"),
            (Punctuation::Auto, &[("好，走", "好,走"), ("甲", "甲")], 1.0, "half-width"),
            (Punctuation::Keep, &[("好，走", "好,走"), ("甲", "甲")], 0.5, "kept"),
            (Punctuation::Restore, &half, 0.0, "restored"),
        ] {
            let compared = compared(wanted, pairs);
            assert_eq!(compared.scores(), [(Metric::Accuracy, score)], "{wanted:?}");
            let want = format!("accuracy|n:{}|punctuation:{done}|t5kit:", pairs.len());
            assert!(compared.signature().starts_with(&want), "{}", compared.signature());
        }
    }

    #[test]
    fn the_table_is_in_percent() {
        let table = compared(Punctuation::Auto, &[("甲", "甲"), ("乙", "丙")]).table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "accuracy      50.00 %  share of texts that are the reference");
        assert!(lines[1].starts_with("2 examples  accuracy|n:2|punctuation:kept|t5kit:"), "{table}");
    }
}
