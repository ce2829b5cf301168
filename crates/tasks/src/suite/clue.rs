//! CLUE's Chinese tasks (Xu et al. 2020), from its files of JSON lines. No paper gives them a text-to-text form; the words
//! here are this program's, after the blog post's (kexue.fm/archives/7867).

use super::rows::{Form, Labels, RowForm};
use super::score::Score;
use super::{Files, Split, SuiteTask, clue_reading, questions};
use crate::template::ready::TOPICS;

pub(super) const ZH: &[&str] = &["zh"];
const SOURCE: &str = "Xu et al. 2020 (CLUE), section 3; the words are this program's";

/// The usual three files of a folder.
macro_rules! json {
    ($folder:literal, $train:literal, $dev:literal, $test:literal) => {
        &[
            Files {
                split: Split::Train,
                places: &[&[concat!($folder, "_public/", $train), concat!($folder, "/", $train)]],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[&[concat!($folder, "_public/", $dev), concat!($folder, "/", $dev)]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&[concat!($folder, "_public/", $test), concat!($folder, "/", $test)]],
                languages: None,
            },
        ]
    };
    ($folder:literal) => {
        json!($folder, "train.json", "dev.json", "test.json")
    };
}

pub(super) const SAME: &[(&str, &str)] = &[("0", "不同"), ("1", "相同")];
pub(super) const SAME_LABELS: &[&str] = &["不同", "相同"];
pub(super) const NLI: &[(&str, &str)] =
    &[("entailment", "蕴含"), ("neutral", "中立"), ("contradiction", "矛盾")];
pub(super) const NLI_LABELS: &[&str] = &["蕴含", "中立", "矛盾"];
pub(super) const RIGHT: &[(&str, &str)] = &[("0", "错误"), ("1", "正确")];
pub(super) const RIGHT_LABELS: &[&str] = &["错误", "正确"];
pub(super) const YES: &[(&str, &str)] = &[("false", "否"), ("true", "是")];
pub(super) const YES_LABELS: &[&str] = &["否", "是"];
pub(super) const TOPIC_LABELS: &[&str] = &[
    "故事", "文化", "娱乐", "体育", "财经", "房产", "汽车", "教育", "科技", "军事", "旅游", "国际", "股票",
    "农业", "电竞",
];

pub(super) const SAME_FORM: RowForm =
    RowForm::new("两个句子的意思相同吗？第一句：{sentence1}第二句：{sentence2}", &["label"], SAME);
pub(super) const NLI_FORM: RowForm =
    RowForm::new("两个句子是什么关系？前提：{sentence1}假设：{sentence2}", &["label"], NLI);
pub(super) const TOPIC_FORM: RowForm =
    RowForm::new("新闻标题的主题：{sentence}", &["label_desc", "label"], &TOPICS);
pub(super) const APP_FORM: RowForm = RowForm {
    labels: Labels::Text,
    ..RowForm::new("应用描述的类别：{sentence}", &["label_des", "label"], &[])
};
pub(super) const KEYWORDS_FORM: RowForm =
    RowForm::new("论文的关键词都正确吗？关键词：{keyword}摘要：{abst}", &["label"], RIGHT);
pub(super) const WSC_FORM: RowForm =
    RowForm::new("句中的“{target.span2_text}”指的是“{target.span1_text}”吗？{text}", &["label"], YES);

/// A row a line, measured by accuracy.
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
        reported: Split::Validation,
        languages: ZH,
        labels,
        files,
        form: Form::Json(form),
        score: Score::Accuracy,
    }
}

pub(super) static TASKS: [SuiteTask; 11] = [
    rows("afqmc", json!("afqmc"), SAME_FORM, Some(SAME_LABELS)),
    rows("tnews", json!("tnews"), TOPIC_FORM, Some(TOPIC_LABELS)),
    rows("iflytek", json!("iflytek"), APP_FORM, None),
    rows("cmnli", json!("cmnli"), NLI_FORM, Some(NLI_LABELS)),
    rows(
        "ocnli",
        &[
            Files {
                split: Split::Train,
                places: &[&[
                    "ocnli_public/train.50k.json",
                    "ocnli_public/train.json",
                    "ocnli/train.50k.json",
                ]],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[&["ocnli_public/dev.json", "ocnli/dev.json"]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&["ocnli_public/test.json", "ocnli/test.json"]],
                languages: None,
            },
        ],
        NLI_FORM,
        Some(NLI_LABELS),
    ),
    rows("wsc", json!("cluewsc2020"), WSC_FORM, Some(YES_LABELS)),
    rows("csl", json!("csl"), KEYWORDS_FORM, Some(RIGHT_LABELS)),
    SuiteTask {
        source: "Xu et al. 2020 (CLUE), section 3; kexue.fm/archives/7867",
        metrics: &["cmrc"],
        form: Form::Own(questions::chinese),
        score: Score::Cmrc,
        ..rows("cmrc2018", json!("cmrc2018"), NLI_FORM, None)
    },
    SuiteTask {
        source: "Xu et al. 2020 (CLUE), section 3; kexue.fm/archives/7867",
        metrics: &["cmrc"],
        form: Form::Own(questions::chinese),
        score: Score::Cmrc,
        files: &[
            Files {
                split: Split::Train,
                places: &[&["drcd_public/train.json", "drcd/train.json", "DRCD_training.json"]],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[&["drcd_public/dev.json", "drcd/dev.json", "DRCD_dev.json"]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&["drcd_public/test.json", "drcd/test.json", "DRCD_test.json"]],
                languages: None,
            },
        ],
        ..rows("drcd", &[], NLI_FORM, None)
    },
    SuiteTask {
        form: Form::Own(clue_reading::chid),
        files: &[
            Files {
                split: Split::Train,
                places: &[
                    &["chid_public/train.json", "chid/train.json"],
                    &["chid_public/train_answer.json", "chid/train_answer.json"],
                ],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[
                    &["chid_public/dev.json", "chid/dev.json"],
                    &["chid_public/dev_answer.json", "chid/dev_answer.json"],
                ],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&[
                    "chid_public/test1.1.json",
                    "chid/test1.1.json",
                    "chid_public/test1.0.json",
                    "chid/test1.0.json",
                ]],
                languages: None,
            },
        ],
        ..rows("chid", &[], NLI_FORM, None)
    },
    SuiteTask {
        form: Form::Own(clue_reading::c3),
        files: &[
            Files {
                split: Split::Train,
                places: &[
                    &[
                        "c3_public/d-train.json",
                        "c3/d-train.json",
                        "c3_public/c3-d-train.json",
                        "c3-d-train.json",
                    ],
                    &[
                        "c3_public/m-train.json",
                        "c3/m-train.json",
                        "c3_public/c3-m-train.json",
                        "c3-m-train.json",
                    ],
                ],
                languages: None,
            },
            Files {
                split: Split::Validation,
                places: &[
                    &["c3_public/d-dev.json", "c3/d-dev.json", "c3_public/c3-d-dev.json", "c3-d-dev.json"],
                    &["c3_public/m-dev.json", "c3/m-dev.json", "c3_public/c3-m-dev.json", "c3-m-dev.json"],
                ],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&[
                    "c3_public/test1.1.json",
                    "c3/test1.1.json",
                    "c3_public/test1.0.json",
                    "c3/test1.0.json",
                ]],
                languages: None,
            },
        ],
        ..rows("c3", &[], NLI_FORM, None)
    },
];
