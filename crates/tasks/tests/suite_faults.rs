//! Suites with files that are missing, damaged or empty: one line that says what and where, and never a panic.

use std::fs;
use std::path::Path;

use t5kit_tasks::suite::{self, Facts, Split, SuiteExample, SuiteTask};

fn task(name: &str) -> &'static SuiteTask {
    let (suite, task) = name.split_once('/').unwrap();
    suite::by_name(suite).unwrap().task(task).unwrap()
}

fn read(
    name: &str,
    split: Split,
    language: Option<&str>,
    files: &[(&str, &[u8])],
) -> Result<(Facts, Vec<SuiteExample>), String> {
    read_in(tempfile::tempdir().unwrap().path(), name, split, language, files)
}

fn read_in(
    folder: &Path,
    name: &str,
    split: Split,
    language: Option<&str>,
    files: &[(&str, &[u8])],
) -> Result<(Facts, Vec<SuiteExample>), String> {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let mut examples = Vec::new();
    let facts = task(name).read(folder, split, language, &mut |example| {
        examples.push(example);
        Ok(())
    });
    let shown = format!("{}/", folder.display());
    let said = |e: suite::Error| e.to_string().replace(&shown, "").replace(&shown[..shown.len() - 1], ".");
    facts.map(|facts| (facts, examples)).map_err(said)
}

fn said(name: &str, split: Split, files: &[(&str, &str)]) -> String {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    let said = read(name, split, None, &files).unwrap_err();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn missing() {
    use Split::{Test, Train, Validation};
    assert_eq!(
        said("glue/mrpc", Validation, &[("MRPC/train.tsv", "")]),
        ".: mrpc: the file for validation is not there; it was looked for as MRPC/dev.tsv"
    );
    // One of two files.
    let chid = [("chid_public/dev.json", "")];
    assert!(
        said("clue/chid", Validation, &chid)
            .contains("looked for as chid_public/dev_answer.json, chid/dev_answer.json")
    );
    assert_eq!(said("glue/ax", Train, &[]), "ax has no train split; it has test");
    assert_eq!(
        said("zero-shot/mlqa", Test, &[]),
        "mlqa: no language is named for test; there are en, ar, de, es, hi, vi, zh"
    );
    let french = read("zero-shot/xquad", Train, Some("fr"), &[]).unwrap_err();
    assert_eq!(french, "xquad: there is no language fr for train; there is en");
    assert_eq!(task("zero-shot/xquad").files(Test, Some("zh")), ["xquad.zh.json", "xquad/xquad.zh.json"]);
    assert!(task("zero-shot/xquad").files(Test, Some("fr")).is_empty());
    assert!(suite::by_name("nothing").is_none());
}

#[test]
fn damaged_tables() {
    use Split::{Test, Train, Validation};
    let rte = |rest: &str| {
        said("glue/rte", Train, &[("RTE/train.tsv", &format!("index\tsentence1\tsentence2\tlabel\n{rest}"))])
    };
    assert_eq!(
        rte("0\ta\tb\tentailment\n1\tonly one\n"),
        "RTE/train.tsv, line 3: 2 cells, and `sentence2` is not among them"
    );
    assert_eq!(
        rte("0\ta\tb\tmaybe\n"),
        "RTE/train.tsv, line 2: the label \"maybe\" is not among entailment, not_entailment"
    );
    assert_eq!(rte("0\ta\tb\n"), "RTE/train.tsv, line 2: no label: `label` is not there");
    assert_eq!(rte(""), "rte: there is no example in RTE/train.tsv");
    assert_eq!(
        said("glue/rte", Train, &[("RTE/train.tsv", "")]),
        "rte: there is no example in RTE/train.tsv"
    );
    let header = said("glue/rte", Train, &[("RTE/train.tsv", "index\tsentence_1\tsentence2\tlabel\n")]);
    assert!(header.starts_with("RTE/train.tsv: template"), "{header}");
    assert!(
        header.contains("there is no column sentence1, did you mean sentence_1?; there are index,"),
        "{header}"
    );
    let header = said("glue/rte", Train, &[("RTE/train.tsv", "index\tsentence1\tsentence2\n")]);
    assert_eq!(header, "RTE/train.tsv, line 1: no column `label` for the label");
    let stsb =
        said("glue/stsb", Validation, &[("STS-B/dev.tsv", "sentence1\tsentence2\tscore\na\tb\tfive\n")]);
    assert_eq!(stsb, "STS-B/dev.tsv, line 2: the label \"five\" is no number");
    let bytes: &[u8] = b"index\tsentence\n0\tgood \xf0\x28\x8c\x28 \xff\xff\n";
    let said_bytes = read("glue/sst2", Test, None, &[("SST-2/test.tsv", bytes)]);
    assert!(said_bytes.is_ok() || said_bytes.unwrap_err().contains("SST-2/test.tsv, line 2"));
}

#[test]
fn damaged_json() {
    use Split::{Test, Train, Validation};
    let afqmc = |rest: &str| said("clue/afqmc", Validation, &[("afqmc_public/dev.json", rest)]);
    let good = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"0\"}\n";
    assert!(
        afqmc(&format!("{good}{{\"sentence1\": \"a\", \n"))
            .starts_with("afqmc_public/dev.json, line 2: not as expected")
    );
    assert_eq!(
        afqmc(&format!("{good}\n{{\"sentence1\": \"a\", \"label\": \"0\"}}")),
        "afqmc_public/dev.json, line 3: `sentence2` is not there, or no text"
    );
    assert!(afqmc(&good.replace("\"0\"", "2")).ends_with("line 1: the label \"2\" is not among 0, 1"));
    let multirc = r#"{"idx": 1, "passage": {"text": "t", "questions": [{"idx": 2, "question": "q", "answers": [{"idx": 3, "text": "a"}]}]}}"#;
    assert_eq!(
        said("superglue/multirc", Train, &[("MultiRC/train.jsonl", multirc)]),
        "MultiRC/train.jsonl, line 1: the label of answer 3 is not there"
    );
    assert_eq!(
        read("superglue/multirc", Test, None, &[("MultiRC/test.jsonl", multirc.as_bytes())]).unwrap().1[0]
            .target,
        "<unk>"
    );
    let record = r#"{"idx": 1, "passage": {"text": "短", "entities": [{"start": 0, "end": 1}]}, "qas": []}"#;
    assert_eq!(
        said("superglue/record", Train, &[("ReCoRD/train.jsonl", record)]),
        "ReCoRD/train.jsonl, line 1: the entity from 0 to 1 is not within the passage's 1 characters"
    );
    let wsc = r#"{"idx": 0, "label": true, "text": "A saw B , he left .", "target": {"span1_text": "A", "span1_index": 0, "span2_text": "he", "span2_index": 5}}"#;
    assert_eq!(
        said("superglue/wsc", Train, &[("WSC/train.jsonl", wsc)]),
        "WSC/train.jsonl, line 1: the word 5 of the text is not the pronoun \"he\""
    );
    let squad = r#"{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": "x", "question": "q", "answers": []}]}]}]}"#;
    assert_eq!(
        said("squad/squad", Validation, &[("dev-v1.1.json", squad)]),
        "dev-v1.1.json: the question \"x\" has no answer"
    );
    assert!(
        said("squad/squad", Train, &[("train-v1.1.json", "{\"data\": 1}")])
            .starts_with("train-v1.1.json: not a sound SQuAD file")
    );
    let (passages, answers) =
        (r##"{"content": ["#idiom1#"], "candidates": ["甲"]}"##, r##"{"#idiom1#": 4}"##);
    let chid = |answers| {
        said("clue/chid", Validation, &[("chid/dev.json", passages), ("chid/dev_answer.json", answers)])
    };
    assert_eq!(chid(answers), "chid/dev.json, line 1: the answer to #idiom1# is candidate 4 of 1");
    assert_eq!(chid("{}"), "chid/dev.json, line 1: the answers have none for #idiom1#");
    let c3 = r#"[[["文"], [{"question": "问", "choice": ["甲"], "answer": "乙"}], "m1"]]"#;
    let c3 = said("clue/c3", Train, &[("c3-d-train.json", c3), ("c3-m-train.json", "[]")]);
    assert_eq!(c3, "c3-d-train.json: the answer to m1-0 is \"乙\", and not among the choices");
}

#[test]
fn damaged_others() {
    use Split::{Test, Train};
    let wikiann = |text| said("zero-shot/wikiann", Train, &[("en/train", text)]);
    assert_eq!(wikiann("en:a\tO\nb\tO\n"), "en/train, line 2: \"b\" has no language and colon before it");
    assert_eq!(wikiann("en:a\tX-PER\n"), "en/train, line 1: the tag \"X-PER\" is not O, B-… or I-…");
    let dpr = |text| said("superglue/dpr", Train, &[("train.c.txt", text)]);
    assert!(dpr("A sentence.\nhe\n\n").starts_with("train.c.txt, line 3: 2 lines before this one"));
    assert_eq!(
        dpr("A he.\nhe\nA,B\nC\n\n"),
        "train.c.txt, line 5: the answer \"C\" is not among the candidates \"A,B\""
    );
    let wnli = |a, b| {
        said(
            "glue/wnli_simple",
            Test,
            &[("WNLI/test.tsv", &format!("index\tsentence1\tsentence2\n0\t{a}\t{b}\n"))],
        )
    };
    assert_eq!(wnli("No one there.", "No."), "WNLI/test.tsv, line 2: no pronoun in `sentence1`");
    let lcsts = |text| said("titles/lcsts", Train, &[("PART_I.txt", text)]);
    assert_eq!(
        lcsts("<doc id=1>\n<summary>\n甲\n</summary>\n</doc>\n"),
        "PART_I.txt, line 5: the document \"1\" ends without a summary or a short text"
    );
    assert_eq!(lcsts("<doc id=7>\n<summary>\n甲\n"), "PART_I.txt, line 1: the document 7 has no </doc>");
    assert_eq!(lcsts("甲\n"), "PART_I.txt, line 1: \"甲\" is no part of a document");
    let weibo = |texts, titles| {
        said("titles/weibo", Train, &[("train_text.txt", texts), ("train_label.txt", titles)])
    };
    assert_eq!(weibo("一\n二\n", "甲\n"), "train_label.txt, line 1: ends, and train_text.txt has more lines");
    assert_eq!(weibo("一\n", "甲\n乙\n"), "train_text.txt, line 1: ends, and train_label.txt has more lines");
    let xsum = said("summarization/xsum", Test, &[("xsum/test.jsonl", "{\"text\": \"a\"}")]);
    assert!(xsum.contains("xsum/test.jsonl") && xsum.contains("document"), "{xsum}");
    let xsum = said("summarization/xsum", Test, &[("xsum/test.csv", "text,summary\na,b\n")]);
    assert!(xsum.contains("xsum/test.csv: no column \"document\""), "{xsum}");
}

#[test]
fn scores_that_cannot_be() {
    let rte = task("glue/rte");
    let example = SuiteExample {
        target: "entailment".into(),
        references: vec!["entailment".into()],
        ..SuiteExample::default()
    };
    let said = |predictions: &[&str], examples: &[SuiteExample]| {
        let predictions: Vec<String> = predictions.iter().map(|&text| text.to_owned()).collect();
        rte.figures(&predictions, examples, None).unwrap_err().to_string()
    };
    assert_eq!(
        said(&["a", "b"], std::slice::from_ref(&example)),
        "rte: there are 2 predictions and 1 examples"
    );
    assert_eq!(said(&[], &[]), "rte: there are 0 predictions and 0 examples");
    let unknown = SuiteExample { id: Some("7".into()), ..SuiteExample::default() };
    assert_eq!(said(&["a"], &[unknown]), "rte: example 7 has no right answer to compare with");
}

#[test]
fn no_bytes_bring_it_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/suites.json");
    let goldens: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below.max(1)
    };
    for case in goldens["examples"].as_array().unwrap() {
        let name = format!("{}/{}", case["suite"].as_str().unwrap(), case["task"].as_str().unwrap());
        let split = Split::by_name(case["split"].as_str().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..40 {
            let files: Vec<(&str, Vec<u8>)> = case["files"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(path, content)| {
                    let mut bytes = content.as_str().unwrap().as_bytes().to_vec();
                    for _ in 0..1 + random(3) {
                        let at = random(bytes.len());
                        match random(4) {
                            0 if !bytes.is_empty() => bytes[at] = random(256) as u8,
                            1 if !bytes.is_empty() => drop(bytes.remove(at)),
                            2 => bytes.truncate(at),
                            _ => bytes.insert(at, b"\t\n\"{}[]:#-0\xff"[random(12)]),
                        }
                    }
                    (path.as_str(), bytes)
                })
                .collect();
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(path, bytes)| (*path, bytes.as_slice())).collect();
            if let Err(said) = read_in(folder.path(), &name, split, case["language"].as_str(), &files) {
                assert!(!said.is_empty() && !said.contains('\n'), "{name}: {said}");
            }
        }
    }
}

#[test]
fn labels_of_training_examples() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("iflytek_public")).unwrap();
    let rows =
        ["租车", "打车", "租车"].map(|name| format!("{{\"sentence\": \"一\", \"label_des\": \"{name}\"}}\n"));
    fs::write(folder.path().join("iflytek_public/train.json"), rows.concat()).unwrap();
    let labels = |name: &str| task(name).closed_labels(folder.path()).unwrap();
    assert_eq!(labels("clue/iflytek").unwrap(), ["打车", "租车"]);
    assert_eq!(labels("clue/tnews").unwrap().len(), 15);
    assert_eq!(labels("fewclue/csldcp").unwrap().len(), 67);
    assert_eq!(labels("glue/stsb"), None);
    assert_eq!(labels("clue/cmrc2018"), None);
}
