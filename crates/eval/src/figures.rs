//! Figures of metrics: names, definitions and signatures.

use crate::labels::ClassTable;
use crate::metric::Metric;
use crate::rouge_score::{self, Tokens};
use crate::sacrebleu::{self, tokenize::Tokenizer};

/// One number about texts, with all that is needed to get it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called: of a metric of one figure the metric's name, else the figure's, as the package spells it
    /// (`rouge1`, `exact_match`). Where two metrics have a figure of the same name, `METRIC/NAME`.
    pub name: String,
    /// What it is a figure of.
    pub metric: Metric,
    /// Between 0 and [`Figure::most`] as a rule; not a number where it is not defined.
    pub value: f64,
    /// Its 95 % confidence interval.
    pub interval: Option<(f64, f64)>,
    /// What was computed how, in a line to quote.
    pub signature: String,
    /// What it is, in a few words.
    pub definition: &'static str,
    /// What texts that are right throughout have: 100 for sacreBLEU's, else 1.
    pub most: f64,
    /// The figure of each line alone; empty where a line alone has none.
    pub lines: Vec<f64>,
    /// The same of the system that it is compared with.
    pub against: Option<Against>,
}

/// A figure of another system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Against {
    /// Its value.
    pub value: f64,
    /// Its 95 % confidence interval.
    pub interval: Option<(f64, f64)>,
    /// The probability of such a difference by chance: sacreBLEU's paired bootstrap test. `None` without samples.
    pub p: Option<f64>,
}

/// Figures of several metrics over the same lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// In the order asked for.
    pub figures: Vec<Figure>,
    /// Where labels were compared.
    pub classes: Option<ClassTable>,
    /// How many predictions there are.
    pub examples: usize,
    /// Predictions of white space alone.
    pub empty_predictions: usize,
    /// Lines all of whose references are white space alone.
    pub empty_references: usize,
    /// Predictions that are no numbers, where numbers were compared.
    pub no_numbers: usize,
}

/// The figures of a metric, in the order of its family's statistics from `first` on.
pub(crate) fn names(metric: Metric) -> (usize, &'static [&'static str]) {
    match metric {
        Metric::Csl => (0, &["rouge-1", "rouge-2", "rouge-l", "bleu"]),
        Metric::Rouge1 => (0, &["rouge-1"]),
        Metric::Rouge2 => (1, &["rouge-2"]),
        Metric::RougeL => (2, &["rouge-l"]),
        Metric::Bleu => (3, &["bleu"]),
        Metric::RougeScore(_) => (0, &["rouge1", "rouge2", "rougeL", "rougeLsum"]),
        Metric::Squad | Metric::Mlqa(_) | Metric::Cmrc => (0, &["exact_match", "f1"]),
        Metric::ExactMatch => (0, &["exact-match"]),
        Metric::F1 => (1, &["f1"]),
        Metric::Accuracy => (0, &["accuracy"]),
        Metric::MacroF1 => (1, &["macro-f1"]),
        Metric::MicroF1 => (2, &["micro-f1"]),
        Metric::Matthews => (3, &["matthews"]),
        Metric::Pearson => (0, &["pearson"]),
        Metric::Spearman => (1, &["spearman"]),
        _ => (0, &[""]),
    }
}

impl Metric {
    /// The metric that computes this one along with others.
    pub(crate) fn family(self) -> Metric {
        match self {
            Metric::Bleu | Metric::Rouge1 | Metric::Rouge2 | Metric::RougeL => Metric::Csl,
            Metric::MacroF1 | Metric::MicroF1 | Metric::Matthews => Metric::Accuracy,
            Metric::Spearman => Metric::Pearson,
            Metric::ExactMatch => Metric::F1,
            Metric::SacreBleu(None) => Metric::SacreBleu(Some(Tokenizer::V13a)),
            Metric::RougeScore(None) => Metric::RougeScore(Some(Tokens::Default)),
            other => other,
        }
    }

    /// Which of its figures stands for the metric where there is room for one.
    pub fn main_figure(self) -> usize {
        match self {
            Metric::Csl => 3,
            Metric::RougeScore(_) => 2,
            Metric::Squad | Metric::Mlqa(_) | Metric::Cmrc => 1,
            _ => 0,
        }
    }

    /// What texts that are right throughout have.
    pub fn most(self) -> f64 {
        match self {
            Metric::SacreBleu(_) | Metric::Chrf | Metric::ChrfPlusPlus | Metric::Ter => 100.0,
            _ => 1.0,
        }
    }
}

/// What a figure is.
pub(crate) fn definition(metric: Metric, name: &str) -> &'static str {
    match (metric, name) {
        (_, "bleu") => "sentence BLEU of lower-cased characters, smoothed (nltk's method 1), mean",
        (_, "rouge-1") => "F of lower-cased characters (rouge 1.0.1), mean",
        (_, "rouge-2") => "F of pairs of lower-cased characters (rouge 1.0.1), mean",
        (_, "rouge-l") => "F of the longest common subsequence of lower-cased characters (rouge 1.0.1), mean",
        (_, "rouge1") => "F of tokens (rouge_score), mean",
        (_, "rouge2") => "F of pairs of tokens (rouge_score), mean",
        (_, "rougeL") => "F of the longest common subsequence (rouge_score), mean",
        (_, "rougeLsum") => "the same by lines of each text (rouge_score), mean",
        (Metric::Squad, "exact_match") => "share of answers that are right by SQuAD 1.1's script",
        (Metric::Squad, _) => "F1 of an answer's words by SQuAD 1.1's script, mean",
        (Metric::Mlqa(_), "exact_match") => "share of answers that are right by MLQA's script",
        (Metric::Mlqa(_), _) => "F1 of an answer's words by MLQA's script, mean",
        (Metric::Cmrc, "exact_match") => "share of answers that are right by CMRC 2018's script",
        (Metric::Cmrc, _) => "F1 of the longest common run of words by CMRC 2018's script, mean",
        (Metric::SacreBleu(_), _) => "corpus BLEU (sacreBLEU)",
        (Metric::Chrf, _) => "F2 of character n-grams up to 6 over all texts (sacreBLEU)",
        (Metric::ChrfPlusPlus, _) => "chrF2 with pairs of words (sacreBLEU)",
        (Metric::Ter, _) => "edits and shifts of words per word of the reference (sacreBLEU); less is better",
        (Metric::ExactMatch, _) => "share of texts with the reference's words",
        (Metric::F1, _) => "F1 of a text's words, mean",
        (Metric::Accuracy, _) => "share of texts that are the reference",
        (Metric::MacroF1, _) => "F1 of labels, every label weighing the same",
        (Metric::MicroF1, _) => "F1 of labels, every text weighing the same",
        (Metric::Matthews, _) => "Matthews' correlation coefficient of labels",
        (Metric::Pearson, _) => "Pearson's correlation of numbers",
        (Metric::Spearman, _) => "Spearman's rank correlation of numbers",
        (Metric::Distinct(_), _) => "different n-grams of all texts per n-gram",
        (Metric::Copy, _) => "share of a text's tokens in fragments copied from its source, mean",
        (Metric::Length, _) => "characters of the texts per character of the references",
        (
            Metric::Csl
            | Metric::Bleu
            | Metric::Rouge1
            | Metric::Rouge2
            | Metric::RougeL
            | Metric::RougeScore(_),
            _,
        ) => "",
    }
}

/// The signature of a figure: sacreBLEU's own for its metrics.
pub(crate) fn signature(metric: Metric, name: &str, references: usize) -> String {
    let refs = format!("nrefs:{references}");
    let ours = |case: &str, tokens: &str, version: &str| {
        let metric = name.replace(':', "-");
        let refs = if references > 0 { format!("|{refs}") } else { String::new() };
        format!("metric:{metric}{refs}|case:{case}|tok:{tokens}|version:{version}")
    };
    let sacre = |rest: &str| format!("{refs}|case:{rest}|version:{}", sacrebleu::VERSION);
    let t5kit = concat!("t5kit-", env!("CARGO_PKG_VERSION"));
    match metric.family() {
        Metric::Csl if name == "bleu" => ours("lc", "char|smooth:method1", "nltk-3.10.4"),
        Metric::Csl => ours("lc", "char", "rouge-1.0.1"),
        Metric::RougeScore(Some(Tokens::Default)) => {
            ours("lc", "default|stem:no", &format!("rouge_score-{}", rouge_score::VERSION))
        }
        Metric::RougeScore(Some(Tokens::Jieba)) => {
            ours("mixed", "jieba-0.42.1", &format!("rouge_score-{}", rouge_score::VERSION))
        }
        Metric::RougeScore(_) => ours("mixed", "char", &format!("rouge_score-{}", rouge_score::VERSION)),
        Metric::SacreBleu(tokenizer) => {
            let tokens = tokenizer.map_or("13a", Tokenizer::name);
            sacre(&format!("mixed|eff:no|tok:{tokens}|smooth:exp"))
        }
        Metric::Chrf => sacre("mixed|eff:yes|nc:6|nw:0|space:no"),
        Metric::ChrfPlusPlus => sacre("mixed|eff:yes|nc:6|nw:2|space:no"),
        Metric::Ter => sacre("lc|tok:tercom|norm:no|punct:yes|asian:no"),
        Metric::Squad => ours("lc", "space", "squad-1.1"),
        Metric::Mlqa(language) => ours("lc", &format!("space|lang:{}", language.name()), "mlqa-1.0"),
        Metric::Cmrc => ours("lc", "mixed", "cmrc2018-v6"),
        Metric::F1 => ours("lc", "mixed", t5kit),
        Metric::Accuracy => ours("mixed", "line", "scikit-learn-1.9.1"),
        Metric::Pearson => ours("mixed", "number", "scipy-1.17.1"),
        Metric::Length => ours("mixed", "char", t5kit),
        _ => ours("mixed", "mixed", t5kit),
    }
}
