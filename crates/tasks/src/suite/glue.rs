//! GLUE in T5's text form (Raffel et al. 2020, section 2.4 and appendix D), from the files of GLUE's download script.
//!
//! The files are tables without quoting. `t5`'s `glue` puts the features of TFDS in the order of their names, so that a
//! hypothesis comes before its premise.

use super::rows::{Form, Labels, RowForm};
use super::score::Score;
use super::{Files, Split, SuiteTask, winograd};

const EN: &[&str] = &["en"];
const SOURCE: &str = "Raffel et al. 2020, appendix D; t5.data.preprocessors.glue";

/// The usual three files of a folder.
macro_rules! tsv {
    ($folder:literal) => {
        &[
            Files { split: Split::Train, places: &[&[concat!($folder, "/train.tsv")]], languages: None },
            Files { split: Split::Validation, places: &[&[concat!($folder, "/dev.tsv")]], languages: None },
            Files { split: Split::Test, places: &[&[concat!($folder, "/test.tsv")]], languages: None },
        ]
    };
}

const NLI: &[(&str, &str)] =
    &[("entailment", "entailment"), ("neutral", "neutral"), ("contradiction", "contradiction")];
const NLI_LABELS: &[&str] = &["entailment", "neutral", "contradiction"];
const TWO: &[(&str, &str)] = &[("entailment", "entailment"), ("not_entailment", "not_entailment")];
const TWO_LABELS: &[&str] = &["entailment", "not_entailment"];
const EQUIVALENT: &[(&str, &str)] = &[("0", "not_equivalent"), ("1", "equivalent")];
const DUPLICATE: &[(&str, &str)] = &[("0", "not_duplicate"), ("1", "duplicate")];
const ACCURACY: &[&str] = &["accuracy"];

/// A task as most are.
const fn task(
    name: &'static str,
    files: &'static [Files],
    form: RowForm,
    labels: &'static [&'static str],
    score: Score,
) -> SuiteTask {
    SuiteTask {
        name,
        source: SOURCE,
        metrics: ACCURACY,
        reported: Split::Validation,
        languages: EN,
        labels: Some(labels),
        files,
        form: Form::Tsv(form),
        score,
    }
}

const MNLI: RowForm = RowForm::new("mnli hypothesis: {sentence2} premise: {sentence1}", &["gold_label"], NLI);

pub(super) static TASKS: [SuiteTask; 12] = [
    SuiteTask {
        metrics: &["matthews"],
        ..task(
            "cola",
            tsv!("CoLA"),
            RowForm {
                headless: Some(&["source", "acceptable", "judgment", "sentence"]),
                ..RowForm::new(
                    "cola sentence: {sentence}",
                    &["acceptable"],
                    &[("0", "unacceptable"), ("1", "acceptable")],
                )
            },
            &["unacceptable", "acceptable"],
            Score::Matthews,
        )
    },
    task(
        "sst2",
        tsv!("SST-2"),
        RowForm::new("sst2 sentence: {sentence}", &["label"], &[("0", "negative"), ("1", "positive")]),
        &["negative", "positive"],
        Score::Accuracy,
    ),
    task(
        "mrpc",
        tsv!("MRPC"),
        RowForm::new("mrpc sentence1: {#1 String} sentence2: {#2 String}", &["Quality"], EQUIVALENT),
        &["not_equivalent", "equivalent"],
        Score::F1Accuracy,
    ),
    SuiteTask {
        source: "Raffel et al. 2020, section 2.4; t5.data.preprocessors.stsb",
        metrics: &["pearson", "spearman"],
        labels: None,
        ..task(
            "stsb",
            tsv!("STS-B"),
            RowForm {
                labels: Labels::Fifths,
                ..RowForm::new("stsb sentence1: {sentence1} sentence2: {sentence2}", &["score"], &[])
            },
            &[],
            Score::Correlations,
        )
    },
    task(
        "qqp",
        tsv!("QQP"),
        RowForm {
            torn: true,
            ..RowForm::new("qqp question1: {question1} question2: {question2}", &["is_duplicate"], DUPLICATE)
        },
        &["not_duplicate", "duplicate"],
        Score::F1Accuracy,
    ),
    task(
        "mnli_matched",
        &[
            Files { split: Split::Train, places: &[&["MNLI/train.tsv"]], languages: None },
            Files { split: Split::Validation, places: &[&["MNLI/dev_matched.tsv"]], languages: None },
            Files { split: Split::Test, places: &[&["MNLI/test_matched.tsv"]], languages: None },
        ],
        MNLI,
        NLI_LABELS,
        Score::Accuracy,
    ),
    task(
        "mnli_mismatched",
        &[
            Files { split: Split::Train, places: &[&["MNLI/train.tsv"]], languages: None },
            Files { split: Split::Validation, places: &[&["MNLI/dev_mismatched.tsv"]], languages: None },
            Files { split: Split::Test, places: &[&["MNLI/test_mismatched.tsv"]], languages: None },
        ],
        MNLI,
        NLI_LABELS,
        Score::Accuracy,
    ),
    task(
        "qnli",
        tsv!("QNLI"),
        RowForm::new("qnli question: {question} sentence: {sentence}", &["label"], TWO),
        TWO_LABELS,
        Score::Accuracy,
    ),
    task(
        "rte",
        tsv!("RTE"),
        RowForm::new("rte sentence1: {sentence1} sentence2: {sentence2}", &["label"], TWO),
        TWO_LABELS,
        Score::Accuracy,
    ),
    task(
        "wnli",
        tsv!("WNLI"),
        RowForm::new(
            "wnli sentence1: {sentence1} sentence2: {sentence2}",
            &["label"],
            &[("0", "not_entailment"), ("1", "entailment")],
        ),
        &["not_entailment", "entailment"],
        Score::Accuracy,
    ),
    SuiteTask {
        name: "wnli_simple",
        source: "Raffel et al. 2020, appendix B; t5.data.preprocessors.wnli_simple",
        metrics: &[],
        reported: Split::Validation,
        languages: EN,
        labels: None,
        files: &[
            Files { split: Split::Validation, places: &[&["WNLI/dev.tsv"]], languages: None },
            Files { split: Split::Test, places: &[&["WNLI/test.tsv"]], languages: None },
        ],
        form: Form::Own(winograd::wnli),
        score: Score::Winograd,
    },
    SuiteTask {
        reported: Split::Test,
        metrics: &["matthews"],
        ..task(
            "ax",
            &[Files {
                split: Split::Test,
                places: &[&["diagnostic/diagnostic.tsv", "AX/AX.tsv", "AX/test.tsv", "AX.tsv"]],
                languages: None,
            }],
            MNLI,
            NLI_LABELS,
            Score::Matthews,
        )
    },
];
