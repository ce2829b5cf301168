//! The report of a trim: everything needed to judge it and to repeat it.

use serde::{Deserialize, Serialize};

use crate::choice::{Choice, Kept, Reason, by_frequency};
use crate::record::Record;
use crate::required::Required;
use crate::sample::SampleReport;
use t5kit_model::Sizes;

/// `trim_report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form: 2 (in version 1 `counts` was a single file).
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// The tokenizer that was cut.
    pub tokenizer: File,
    /// The counts, where there are any; they are added up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CountsFile>,
    /// How pieces were chosen; a list of rows is given by its file instead.
    pub choice: ChoiceRecord,
    /// What was required besides.
    pub required: Vec<Required>,
    /// Pieces and rows.
    pub vocabulary: Vocabulary,
    /// How much of the counted corpus the kept pieces make up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// The model, where one was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSizes>,
    /// Held-out text under both tokenizers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleReport>,
}

/// A file by its name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name, without the folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// The file of counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsFile {
    /// The file.
    #[serde(flatten)]
    pub file: File,
    /// What it says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// How pieces were chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChoiceRecord {
    /// Pieces that occur so often.
    MinCount(u64),
    /// So many of the most frequent.
    Top(usize),
    /// The fewest that make up this share.
    Coverage(f64),
    /// The rows of a list.
    KeepTokens(File),
}

impl ChoiceRecord {
    /// The record of `choice`, whose rows, if it is a list of such, are from `list`.
    pub(crate) fn new(choice: &Choice, list: Option<File>) -> Self {
        match (choice, list) {
            (Choice::MinCount(n), _) => Self::MinCount(*n),
            (Choice::Top(n), _) => Self::Top(*n),
            (Choice::Coverage(share), _) => Self::Coverage(*share),
            (Choice::Rows(_), Some(list)) => Self::KeepTokens(list),
            (Choice::Rows(rows), None) => {
                let bytes = crate::rows::keep_tokens_json(rows).into_bytes();
                Self::KeepTokens(File::of(String::new(), &bytes))
            }
        }
    }

    /// The field that was set, between backticks, and its value.
    pub(crate) fn to_field(&self) -> String {
        match self {
            Self::MinCount(n) => format!("`min_count` {n}"),
            Self::Top(n) => format!("`top` {n}"),
            Self::Coverage(share) => format!("`coverage` {share}"),
            Self::KeepTokens(list) => format!("`keep_tokens` {}", list.file),
        }
    }
}

impl File {
    pub(crate) fn of(file: String, bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self { file, bytes: bytes.len() as u64, sha256: t5kit_formats::inputs::hex(&Sha256::digest(bytes)) }
    }
}

/// Numbers of pieces and rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Pieces of the uncut tokenizer.
    pub pieces_before: u64,
    /// Pieces of the cut one.
    pub pieces_after: u64,
    /// Kept because the tokenizer cannot do without them.
    pub indispensable: u64,
    /// Kept by the choice.
    pub chosen: u64,
    /// Kept only because they are required.
    pub required: u64,
    /// Rows of the uncut model, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_before: Option<u64>,
    /// Rows of the cut one: pieces, sentinels that are no pieces, and kept padding.
    pub rows_after: u64,
    /// Bytes of `spiece.model` before and after.
    pub tokenizer_bytes_before: u64,
    /// Bytes of the cut `spiece.model`.
    pub tokenizer_bytes_after: u64,
}

impl Vocabulary {
    pub(crate) fn new(kept: &Kept, pieces_before: usize) -> Self {
        let count = |reason| kept.reasons.iter().filter(|&&r| r == reason).count() as u64;
        Self {
            pieces_before: pieces_before as u64,
            pieces_after: kept.ids.len() as u64,
            indispensable: count(Reason::Indispensable),
            chosen: count(Reason::Chosen),
            required: count(Reason::Required),
            ..Self::default()
        }
    }
}

/// Sizes of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSizes {
    /// Before.
    pub before: Sizes,
    /// After.
    pub after: Sizes,
}

/// How much of the counted corpus the kept pieces make up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Tokens in all.
    pub tokens: u64,
    /// Tokens whose piece is kept.
    pub kept_tokens: u64,
    /// The share of them.
    pub share: f64,
    /// The most frequent of the dropped pieces, with their counts.
    pub most_frequent_dropped: Vec<(String, u64)>,
    /// Share of the tokens that so many of the most frequent pieces cover: pairs of both, from one piece to
    /// all that occur.
    pub curve: Vec<(u64, f64)>,
}

/// Points of the curve for each power of ten of pieces.
const POINTS_PER_DECADE: f64 = 40.0;
const SHOWN_DROPPED: usize = 30;

impl Coverage {
    /// Of `counts[id]` by the pieces `kept` (ascending); `piece` names them.
    pub(crate) fn new(counts: &[u64], kept: &[u32], piece: impl Fn(u32) -> String) -> Self {
        let tokens: u64 = counts.iter().sum();
        let kept_tokens = kept.iter().map(|&id| counts[id as usize]).sum();
        let share = |n: u64| if tokens == 0 { 1.0 } else { n as f64 / tokens as f64 };
        let order = by_frequency(counts);
        let dropped = order.iter().filter(|id| kept.binary_search(id).is_err()).take(SHOWN_DROPPED);
        let mut curve = Vec::new();
        let (mut covered, mut next) = (0, 0.0);
        for (n, &id) in (1u64..).zip(&order) {
            covered += counts[id as usize];
            let decade = (n as f64).log10();
            if decade >= next || n == order.len() as u64 {
                curve.push((n, share(covered)));
                next = (decade * POINTS_PER_DECADE).floor() / POINTS_PER_DECADE + 1.0 / POINTS_PER_DECADE;
            }
        }
        Self {
            tokens,
            kept_tokens,
            share: share(kept_tokens),
            most_frequent_dropped: dropped.map(|&id| (piece(id), counts[id as usize])).collect(),
            curve,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_of_a_small_vocabulary() {
        let counts = [0, 50, 20, 20, 10];
        let coverage = Coverage::new(&counts, &[0, 1, 3], |id| format!("p{id}"));
        assert_eq!((coverage.tokens, coverage.kept_tokens, coverage.share), (100, 70, 0.7));
        assert_eq!(coverage.most_frequent_dropped, [("p2".into(), 20), ("p4".into(), 10)]);
        assert_eq!(coverage.curve, [(1, 0.5), (2, 0.7), (3, 0.9), (4, 1.0)]);
    }

    #[test]
    fn the_curve_ascends_to_all_and_is_short() {
        let counts: Vec<u64> = (0..100_000).map(|i| 10_000_000 / (i + 1)).collect();
        let curve = Coverage::new(&counts, &[], |_| String::new()).curve;
        assert!(curve.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 < p[1].1));
        assert_eq!((curve[0].0, *curve.last().unwrap()), (1, (100_000, 1.0)));
        assert!((100..250).contains(&curve.len()), "{}", curve.len());
    }
}
