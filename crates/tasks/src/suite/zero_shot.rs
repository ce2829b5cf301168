//! What mT5 is measured on in languages that it was not trained on (Xue et al. 2021, section 4.1): the text forms of
//! `multilingual_t5`, the files as XNLI, PAWS-X, WikiAnn, XQuAD, MLQA and TyDiQA-GoldP publish them, trained on English.

use std::path::Path;

use super::input::{Input, Out, bad_row, each_line};
use super::questions;
use super::rows::{Form, RowForm};
use super::score::Score;
use super::{Error, Files, Split, SuiteExample, SuiteTask};

const EN: Option<&[&str]> = Some(&["en"]);

/// WikiAnn's languages in XTREME.
const WIKIANN: &[&str] = &[
    "af", "ar", "bg", "bn", "de", "el", "en", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id",
    "it", "ja", "jv", "ka", "kk", "ko", "ml", "mr", "ms", "my", "nl", "pt", "ru", "sw", "ta", "te", "th",
    "tl", "tr", "ur", "vi", "yo", "zh",
];

/// What XQuAD and MLQA are trained on.
const SQUAD_TRAIN: Files =
    Files { split: Split::Train, places: &[&["train-v1.1.json", "squad/train-v1.1.json"]], languages: EN };

pub(super) static TASKS: [SuiteTask; 6] = [
    SuiteTask {
        name: "xnli",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.preprocessors.process_xnli",
        metrics: &["accuracy"],
        reported: Split::Test,
        languages: &[
            "en", "ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh",
        ],
        labels: Some(&["0", "1", "2"]),
        files: &[
            Files {
                split: Split::Train,
                places: &[&["multinli_1.0/multinli_1.0_train.txt", "multinli_1.0_train.txt"]],
                languages: EN,
            },
            Files {
                split: Split::Validation,
                places: &[&["XNLI-1.0/xnli.dev.tsv", "xnli.dev.tsv"]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&["XNLI-1.0/xnli.test.tsv", "xnli.test.tsv"]],
                languages: None,
            },
        ],
        form: Form::Tsv(RowForm {
            language: Some("language"),
            ..RowForm::new(
                "xnli: premise: {sentence1} hypothesis: {sentence2}",
                &["gold_label"],
                &[("entailment", "0"), ("neutral", "1"), ("contradiction", "2")],
            )
        }),
        score: Score::Accuracy,
    },
    SuiteTask {
        name: "paws-x",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.tasks (paws)",
        metrics: &["accuracy"],
        reported: Split::Test,
        languages: &["en", "de", "es", "fr", "ja", "ko", "zh"],
        labels: Some(&["different_meaning", "paraphrase"]),
        files: &[
            Files {
                split: Split::Train,
                places: &[&["x-final/en/train.tsv", "en/train.tsv"]],
                languages: EN,
            },
            Files {
                split: Split::Validation,
                places: &[&["x-final/{lang}/dev_2k.tsv", "{lang}/dev_2k.tsv"]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&["x-final/{lang}/test_2k.tsv", "{lang}/test_2k.tsv"]],
                languages: None,
            },
        ],
        form: Form::Tsv(RowForm::new(
            "paws sentence1: {sentence1} sentence2: {sentence2}",
            &["label"],
            &[("0", "different_meaning"), ("1", "paraphrase")],
        )),
        score: Score::Accuracy,
    },
    SuiteTask {
        name: "wikiann",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.preprocessors.wikiann",
        metrics: &[],
        reported: Split::Test,
        languages: WIKIANN,
        labels: None,
        files: &[
            Files { split: Split::Train, places: &[&["wikiann/en/train", "en/train"]], languages: EN },
            Files {
                split: Split::Validation,
                places: &[&["wikiann/{lang}/dev", "{lang}/dev"]],
                languages: None,
            },
            Files { split: Split::Test, places: &[&["wikiann/{lang}/test", "{lang}/test"]], languages: None },
        ],
        form: Form::Own(wikiann),
        score: Score::Spans,
    },
    SuiteTask {
        name: "xquad",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.preprocessors.xquad",
        metrics: &["squad"],
        reported: Split::Test,
        languages: &["en", "ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"],
        labels: None,
        files: &[
            SQUAD_TRAIN,
            Files {
                split: Split::Validation,
                places: &[&["dev-v1.1.json", "squad/dev-v1.1.json"]],
                languages: EN,
            },
            Files {
                split: Split::Test,
                places: &[&["xquad.{lang}.json", "xquad/xquad.{lang}.json"]],
                languages: None,
            },
        ],
        form: Form::Own(questions::multilingual),
        score: Score::Squad,
    },
    SuiteTask {
        name: "mlqa",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.preprocessors.xquad",
        metrics: &["mlqa:{lang}"],
        reported: Split::Test,
        languages: &["en", "ar", "de", "es", "hi", "vi", "zh"],
        labels: None,
        files: &[
            SQUAD_TRAIN,
            Files {
                split: Split::Validation,
                places: &[&[
                    "MLQA_V1/dev/dev-context-{lang}-question-{lang}.json",
                    "mlqa/MLQA_V1/dev/dev-context-{lang}-question-{lang}.json",
                    "dev/dev-context-{lang}-question-{lang}.json",
                ]],
                languages: None,
            },
            Files {
                split: Split::Test,
                places: &[&[
                    "MLQA_V1/test/test-context-{lang}-question-{lang}.json",
                    "mlqa/MLQA_V1/test/test-context-{lang}-question-{lang}.json",
                    "test/test-context-{lang}-question-{lang}.json",
                ]],
                languages: None,
            },
        ],
        form: Form::Own(questions::multilingual),
        score: Score::Mlqa,
    },
    SuiteTask {
        name: "tydiqa",
        source: "Xue et al. 2021, section 4.1; multilingual_t5.preprocessors.xquad",
        metrics: &["squad"],
        // The paper's table is of what TFDS calls validation: the tests' answers are kept back.
        reported: Split::Validation,
        languages: &["en", "ar", "bn", "fi", "id", "ko", "ru", "sw", "te"],
        labels: None,
        files: &[
            Files {
                split: Split::Train,
                places: &[&["tydiqa-goldp-v1.1-train.json", "tydiqa/tydiqa-goldp-v1.1-train.json"]],
                languages: EN,
            },
            Files {
                split: Split::Validation,
                places: &[&[
                    "tydiqa-goldp-v1.1-dev.json",
                    "tydiqa/tydiqa-goldp-v1.1-dev.json",
                    "tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name}.json",
                    "tydiqa/tydiqa-goldp-v1.1-dev/tydiqa-goldp-dev-{name}.json",
                ]],
                languages: None,
            },
        ],
        form: Form::Own(questions::tydiqa),
        score: Score::Squad,
    },
];

/// WikiAnn as mT5 has it: `tag: ` and the tokens, to `PER: … $$ LOC: …`; one token a line, with its language before it
/// and its tag behind a tab, an empty line behind a sentence.
fn wikiann(input: &Input<'_>, out: &mut Out<'_>) -> Result<(), Error> {
    let path = &input.files[0];
    let (mut tokens, mut tags) = (Vec::new(), Vec::new());
    let mut number = 0u64;
    let take = |tokens: &mut Vec<String>, tags: &mut Vec<Tag>, number: &mut u64, out: &mut Out<'_>| {
        if tokens.is_empty() {
            return Ok(());
        }
        let source = format!("tag: {}", tokens.join(" "));
        let example = SuiteExample::new(source, Some(spans(tokens, tags)), *number);
        tokens.clear();
        tags.clear();
        *number += 1;
        out.push(example)
    };
    each_line(path, |line, text| {
        let text = text.trim_end();
        if text.is_empty() || text.starts_with("-DOCSTART-") {
            return take(&mut tokens, &mut tags, &mut number, out);
        }
        let (token, tag) = tagged(path, line, text)?;
        tokens.push(token.to_owned());
        tags.push(tag);
        Ok(())
    })?;
    take(&mut tokens, &mut tags, &mut number, out)
}

/// What a token is: none, or the kind of an entity and whether it begins there.
type Tag = Option<(bool, String)>;

fn tagged<'l>(path: &Path, line: u64, text: &'l str) -> Result<(&'l str, Tag), Error> {
    let (token, tag) = text.rsplit_once('\t').unwrap_or((text, "O"));
    let token = token.split('\t').next().unwrap_or_default();
    let Some((_, token)) = token.split_once(':') else {
        return Err(bad_row(path, line, format!("{token:?} has no language and colon before it")));
    };
    let tag = match (tag, tag.get(..2)) {
        ("O", _) => None,
        (_, Some("B-")) => Some((true, tag[2..].to_owned())),
        (_, Some("I-")) => Some((false, tag[2..].to_owned())),
        _ => return Err(bad_row(path, line, format!("the tag {tag:?} is not O, B-… or I-…"))),
    };
    Ok((token, tag))
}

/// The entities: `PER: rick`, one after another with `$$` between them, or `None`. An entity that begins with I-, or
/// whose kind changes, is one, too, as in TFDS.
fn spans(tokens: &[String], tags: &[Tag]) -> String {
    let mut spans: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut open = false;
    for (token, tag) in tokens.iter().zip(tags) {
        match (tag, spans.last_mut().filter(|_| open)) {
            (None, _) => open = false,
            (Some((false, kind)), Some((last, words))) if kind == last => words.push(token),
            (Some((_, kind)), _) => {
                spans.push((kind, vec![token]));
                open = true;
            }
        }
    }
    if spans.is_empty() {
        return "None".to_owned();
    }
    spans.iter().map(|(kind, words)| format!("{kind}: {}", words.join(" "))).collect::<Vec<_>>().join(" $$ ")
}
