//! FewCLUE's Chinese tasks (Xu et al. 2021): those of CLUE with few examples, and three more. Reported on `test_public`.

use super::clue::{self, ZH};
use super::rows::{Form, RowForm};
use super::score::Score;
use super::{Files, Split, SuiteTask, clue_reading};
use crate::template::ready::DISCIPLINES;

const SOURCE: &str = "Xu et al. 2021 (FewCLUE), section 3; the words are this program's";

/// The usual files of a folder.
macro_rules! json {
    ($folder:literal) => {
        &[
            Files {
                split: Split::Train,
                places: &[&[concat!($folder, "/train_few_all.json"), concat!($folder, "/train_0.json")]],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[&[concat!($folder, "/dev_few_all.json"), concat!($folder, "/dev_0.json")]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&[concat!($folder, "/test_public.json")]],
                languages: None,
            },
        ]
    };
}

const DISCIPLINE_LABELS: [&str; DISCIPLINES.len()] = {
    let mut labels = [""; DISCIPLINES.len()];
    let mut at = 0;
    while at < labels.len() {
        labels[at] = DISCIPLINES[at].1;
        at += 1;
    }
    labels
};

const fn rows(
    name: &'static str,
    files: &'static [Files],
    form: RowForm,
    labels: Option<&'static [&'static str]>,
) -> SuiteTask {
    SuiteTask {
        name,
        source: SOURCE,
        metrics: &["accuracy"],
        reported: Split::Test,
        languages: ZH,
        labels,
        files,
        form: Form::Json(form),
        score: Score::Accuracy,
    }
}

pub(super) static TASKS: [SuiteTask; 9] = [
    rows(
        "eprstmt",
        json!("eprstmt"),
        RowForm::new(
            "识别该句子的情感倾向：{sentence}",
            &["label"],
            &[("Negative", "负面"), ("Positive", "正面")],
        ),
        Some(&["负面", "正面"]),
    ),
    rows("bustm", json!("bustm"), clue::SAME_FORM, Some(clue::SAME_LABELS)),
    rows("ocnli", json!("ocnli"), clue::NLI_FORM, Some(clue::NLI_LABELS)),
    rows(
        "csldcp",
        json!("csldcp"),
        RowForm::new("论文摘要的学科：{content}", &["label"], &DISCIPLINES),
        Some(&DISCIPLINE_LABELS),
    ),
    rows("tnews", json!("tnews"), clue::TOPIC_FORM, Some(clue::TOPIC_LABELS)),
    rows("iflytek", json!("iflytek"), clue::APP_FORM, None),
    rows("wsc", json!("cluewsc"), clue::WSC_FORM, Some(clue::YES_LABELS)),
    rows("csl", json!("csl"), clue::KEYWORDS_FORM, Some(clue::RIGHT_LABELS)),
    SuiteTask {
        form: Form::Own(clue_reading::few_chid),
        ..rows("chid", json!("chid"), clue::NLI_FORM, None)
    },
];
