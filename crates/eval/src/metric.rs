//! Metrics by name.

use std::fmt;
use std::str::FromStr;

use crate::answer::mlqa::Language;
use crate::rouge_score::Tokens;
use crate::sacrebleu::tokenize::Tokenizer;

/// What is computed of generated texts; some are several figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// ROUGE-1, ROUGE-2, ROUGE-L and mean sentence BLEU by characters ([`mod@crate::csl`]).
    Csl,
    /// The last of them alone.
    Bleu,
    /// The first of them alone.
    Rouge1,
    /// The second of them alone.
    Rouge2,
    /// The third of them alone.
    RougeL,
    /// chrF2 over all lines, as sacreBLEU has it.
    Chrf,
    /// chrF2++: words count too.
    ChrfPlusPlus,
    /// TER, as sacreBLEU has it; lower is better.
    Ter,
    /// Corpus BLEU, as sacreBLEU has it; its own tokens, `13a`, where none are named.
    SacreBleu(Option<Tokenizer>),
    /// ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of `rouge_score`; its own tokens where none are named.
    RougeScore(Option<Tokens>),
    /// Exact match and F1 by SQuAD 1.1's script.
    Squad,
    /// Exact match and F1 by MLQA's script.
    Mlqa(Language),
    /// Exact match and F1 by CMRC 2018's script.
    Cmrc,
    /// Share of lines with the reference's words, whatever the language.
    ExactMatch,
    /// Mean F1 of the words of a line, whatever the language.
    F1,
    /// Share of lines that are a reference but for white space around them: of labels, the accuracy.
    Accuracy,
    /// Mean F1 of labels, every label weighing the same.
    MacroF1,
    /// F1 of labels, every line weighing the same.
    MicroF1,
    /// Matthews' correlation coefficient of labels.
    Matthews,
    /// Pearson's correlation of numbers.
    Pearson,
    /// Spearman's rank correlation of numbers.
    Spearman,
    /// Different n-grams per n-gram of the predictions.
    Distinct(usize),
    /// Share of a prediction's tokens in fragments copied from its source.
    Copy,
    /// Characters of the predictions per character of the references.
    Length,
}

/// The greatest n of [`Metric::Distinct`].
const MOST_DISTINCT: usize = 9;

/// Metrics without tokens to choose, and their names.
const PLAIN: [(&str, Metric); 19] = [
    ("csl", Metric::Csl),
    ("bleu", Metric::Bleu),
    ("rouge-1", Metric::Rouge1),
    ("rouge-2", Metric::Rouge2),
    ("rouge-l", Metric::RougeL),
    ("chrf", Metric::Chrf),
    ("chrf++", Metric::ChrfPlusPlus),
    ("ter", Metric::Ter),
    ("squad", Metric::Squad),
    ("cmrc", Metric::Cmrc),
    ("exact-match", Metric::ExactMatch),
    ("f1", Metric::F1),
    ("accuracy", Metric::Accuracy),
    ("macro-f1", Metric::MacroF1),
    ("micro-f1", Metric::MicroF1),
    ("matthews", Metric::Matthews),
    ("pearson", Metric::Pearson),
    ("spearman", Metric::Spearman),
    ("length", Metric::Length),
];

/// The names of all metrics, tokens and the like with them, in a line.
pub const NAMES: &str = "csl, bleu, rouge-1, rouge-2, rouge-l, chrf, chrf++, ter, sacrebleu:zh|13a|char|intl, \
    rouge_score:char|jieba|default, squad, mlqa:LANG, cmrc, exact-match, f1, accuracy, macro-f1, micro-f1, matthews, \
    pearson, spearman, distinct:N, copy, length";

/// Names that people have for metrics, in lower case and without marks, and the ones that they have here.
const MEANT: [(&str, &str); 16] = [
    ("rouge", "rouge_score:char"),
    ("rouge1", "rouge-1"),
    ("rouge2", "rouge-2"),
    ("rougel", "rouge-l"),
    ("rougelsum", "rouge_score:char"),
    ("rougechinese", "rouge_score:jieba"),
    ("nltk", "bleu"),
    ("em", "exact-match"),
    ("acc", "accuracy"),
    ("f1macro", "macro-f1"),
    ("f1micro", "micro-f1"),
    ("mcc", "matthews"),
    ("matthewscorrelation", "matthews"),
    ("pearsonr", "pearson"),
    ("spearmanr", "spearman"),
    ("lengthratio", "length"),
];

/// Why a name is none of a metric's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No metric is called so.
    #[error("there is no metric {name}{}; there is {NAMES}", meant.as_ref().map(|m| format!(", did you mean {m}?")).unwrap_or_default())]
    Unknown {
        /// As it was given.
        name: String,
        /// The nearest name.
        meant: Option<String>,
    },
    /// The metric has nothing of that name behind a colon.
    #[error("{metric}:{given}: there is {}", .there_is.iter().map(|t| format!("{metric}:{t}")).collect::<Vec<_>>().join(", "))]
    Tokens {
        /// The metric.
        metric: &'static str,
        /// What was behind the colon, possibly nothing.
        given: String,
        /// What there may be.
        there_is: Vec<&'static str>,
    },
    /// The metric has nothing behind a colon.
    #[error("{metric} takes nothing behind a colon, not :{given}")]
    NoTokens {
        /// The metric.
        metric: String,
        /// What was there.
        given: String,
    },
}

impl FromStr for Metric {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Metric, NameError> {
        let (head, tokens) = match name.split_once(':') {
            Some((head, tokens)) => (head, Some(tokens)),
            None => (name, None),
        };
        match head {
            "sacrebleu" => {
                let all = Tokenizer::ALL.map(|t| (t.name(), t));
                Ok(Metric::SacreBleu(tokens.map(|t| of(t, "sacrebleu", &all)).transpose()?))
            }
            "rouge_score" => {
                let all = Tokens::ALL.map(|t| (t.name(), t));
                Ok(Metric::RougeScore(tokens.map(|t| of(t, "rouge_score", &all)).transpose()?))
            }
            "mlqa" => {
                let all = Language::ALL.map(|l| (l.name(), l));
                Ok(Metric::Mlqa(of(tokens.unwrap_or_default(), "mlqa", &all)?))
            }
            "distinct" => {
                let all = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
                let all: [(&str, usize); MOST_DISTINCT] = std::array::from_fn(|i| (all[i], i + 1));
                Ok(Metric::Distinct(of(tokens.unwrap_or_default(), "distinct", &all)?))
            }
            _ => {
                let plain = PLAIN.iter().chain(&[("copy", Metric::Copy)]).find(|(n, _)| *n == head);
                match (plain, tokens) {
                    (Some(&(_, metric)), None) => Ok(metric),
                    (Some(_), Some(given)) => {
                        Err(NameError::NoTokens { metric: head.to_owned(), given: given.to_owned() })
                    }
                    (None, _) => Err(NameError::Unknown { name: name.to_owned(), meant: nearest(head) }),
                }
            }
        }
    }
}

fn of<T: Copy>(given: &str, metric: &'static str, all: &[(&'static str, T)]) -> Result<T, NameError> {
    let found = all.iter().find(|(name, _)| *name == given).map(|(_, value)| *value);
    found.ok_or_else(|| NameError::Tokens {
        metric,
        given: given.to_owned(),
        there_is: all.iter().map(|(name, _)| *name).collect(),
    })
}

/// The name that is meant by another, or the one with the fewest letters changed.
fn nearest(name: &str) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let given = plain(name);
    if let Some((_, meant)) = MEANT.iter().find(|(other, _)| *other == given) {
        return Some((*meant).to_owned());
    }
    let with_tokens = ["sacrebleu", "rouge_score", "mlqa", "distinct", "copy"];
    let names = PLAIN.iter().map(|(name, _)| *name).chain(with_tokens);
    let (changes, nearest) = names.map(|other| (changes(&given, &plain(other)), other)).min()?;
    (changes <= given.chars().count() / 3).then(|| nearest.to_owned())
}

/// How many letters are put in, left out or replaced between two words.
fn changes(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &d) in b.iter().enumerate() {
            let change = diagonal + usize::from(c != d);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

impl fmt::Display for Metric {
    /// Its name, as [`FromStr`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Metric::SacreBleu(None) => f.write_str("sacrebleu"),
            Metric::SacreBleu(Some(tokenizer)) => write!(f, "sacrebleu:{}", tokenizer.name()),
            Metric::RougeScore(None) => f.write_str("rouge_score"),
            Metric::RougeScore(Some(tokens)) => write!(f, "rouge_score:{}", tokens.name()),
            Metric::Mlqa(language) => write!(f, "mlqa:{}", language.name()),
            Metric::Distinct(n) => write!(f, "distinct:{n}"),
            Metric::Copy => f.write_str("copy"),
            plain => f.write_str(PLAIN.iter().find(|(_, m)| m == plain).map_or("", |(name, _)| name)),
        }
    }
}

impl Metric {
    /// One of each kind, with some of their tokens.
    pub fn all() -> impl Iterator<Item = Metric> {
        let plain = PLAIN.into_iter().map(|(_, metric)| metric);
        let rouge = Tokens::ALL.into_iter().map(|tokens| Metric::RougeScore(Some(tokens)));
        let bleu = Tokenizer::ALL.into_iter().map(|tokens| Metric::SacreBleu(Some(tokens)));
        let answers = Language::ALL.into_iter().map(Metric::Mlqa);
        plain.chain(rouge).chain(bleu).chain(answers).chain([Metric::Distinct(2), Metric::Copy])
    }

    /// The metric of that name.
    pub fn by_name(name: &str) -> Option<Metric> {
        name.parse().ok()
    }

    /// Its name.
    pub fn name(self) -> String {
        self.to_string()
    }

    /// Whether it compares predictions with sources.
    pub fn needs_sources(self) -> bool {
        self == Metric::Copy
    }

    /// Whether it compares predictions with references.
    pub fn needs_references(self) -> bool {
        !matches!(self, Metric::Copy | Metric::Distinct(_))
    }

    /// Whether a prediction may have several references.
    pub fn takes_several_references(self) -> bool {
        !matches!(
            self,
            Metric::MacroF1 | Metric::MicroF1 | Metric::Matthews | Metric::Pearson | Metric::Spearman
        )
    }

    /// Whether better texts have more of it.
    pub fn more_is_better(self) -> bool {
        !matches!(self, Metric::Ter | Metric::Length | Metric::Copy | Metric::Distinct(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for metric in Metric::all() {
            assert_eq!(metric.name().parse(), Ok(metric));
            assert!(NAMES.contains(metric.name().split(':').next().unwrap()), "{metric}");
        }
        assert_eq!("sacrebleu".parse(), Ok(Metric::SacreBleu(None)));
        assert_eq!(Metric::by_name("BLEU"), None);
    }

    #[test]
    fn other_names_say_what_is_meant() {
        let said = |name: &str| name.parse::<Metric>().unwrap_err().to_string();
        for (name, part) in [
            ("sacreblue", "there is no metric sacreblue, did you mean sacrebleu?; there is csl, bleu"),
            ("rougeL", "did you mean rouge-l?"),
            ("MCC", "did you mean matthews?"),
            ("macro_f1", "did you mean macro-f1?"),
            ("beauty", "there is no metric beauty; there is csl"),
            ("sacrebleu:zn", "sacrebleu:zn: there is sacrebleu:13a, sacrebleu:zh"),
            ("mlqa", "mlqa:: there is mlqa:en"),
            ("distinct:0", "distinct:0: there is distinct:1"),
            ("ter:zh", "ter takes nothing behind a colon, not :zh"),
        ] {
            assert!(said(name).contains(part), "{}", said(name));
        }
    }
}
