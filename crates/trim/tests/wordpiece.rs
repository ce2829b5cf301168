//! Trimming models with BERT's vocabulary, or WoBERT's words: what is kept is told as before, and nothing that was told
//! becomes unknown.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use t5kit_formats::lang::Lang;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Config, Plan};
use t5kit_tokenizer::Tokenizer;
use t5kit_trim::{Choice, Chooser, Report, TrimOptions, trim};

fn bert() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/bert/bert-google")
}

fn job(folder: &Path, tokenizer: &Path, model: Option<&Path>, choice: Choice) -> TrimOptions {
    TrimOptions {
        tokenizer: tokenizer.to_owned(),
        counts: vec![folder.join("counts.json")],
        allow_low_coverage: true,
        choice: Chooser::By(choice),
        require: Vec::new(),
        model: model.map(Path::to_owned),
        sample: None,
        output: folder.join("cut"),
        force: true,
        words: str::to_owned,
        lang: Lang::En,
    }
}

/// Counts the pieces of some texts, as `t5kit count` does, into a file.
fn count(tokenizer: &Tokenizer, texts: &[impl AsRef<str>], folder: &Path) {
    let mut counts = Map::new();
    for id in texts.iter().flat_map(|text| tokenizer.encode(text.as_ref())) {
        let n = counts.entry(tokenizer.piece(id).unwrap()).or_insert(json!(0));
        *n = json!(n.as_u64().unwrap() + 1);
    }
    fs::write(folder.join("counts.json"), Value::from(counts).to_string()).unwrap();
}

fn pieces(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text).into_iter().map(|id| tokenizer.piece(id).unwrap().to_owned()).collect()
}

/// What has to hold of a cut tokenizer for texts that were counted.
fn check(whole: &Tokenizer, cut: &Tokenizer, texts: &[impl AsRef<str>]) {
    let kept: HashSet<&str> = (0..cut.vocab_size() as u32).filter_map(|id| cut.piece(id)).collect();
    for special in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] {
        assert!(kept.contains(special) || whole.id_of(special).is_none(), "{special}");
    }
    let of_one = |piece: &str| piece.strip_prefix("##").unwrap_or(piece).chars().count() == 1;
    for text in texts.iter().map(AsRef::as_ref) {
        let (before, after) = (pieces(whole, text), pieces(cut, text));
        if before.iter().all(|piece| kept.contains(piece.as_str())) {
            assert_eq!(before, after, "{text:?}");
        }
        // A character alone goes by its own count; nothing longer takes its text along.
        let told = |piece: &String| piece != "[UNK]" && (kept.contains(piece.as_str()) || !of_one(piece));
        if before.iter().all(told) {
            assert!(!after.iter().any(|piece| piece == "[UNK]"), "{text:?}: {before:?} {after:?}");
        }
    }
}

#[test]
fn a_bert_is_cut_with_its_rows() {
    let lab = tempfile::tempdir().unwrap();
    let whole = Tokenizer::load(&bert()).unwrap();
    let texts = ["今天，中国大学生", "unaffs theab 12", "the the unable", "今天 今天 大学"];
    count(&whole, &texts, lab.path());
    let report: Report =
        trim(&job(lab.path(), &bert(), Some(&bert()), Choice::MinCount(2)), &mut ()).unwrap();
    let cut_folder = lab.path().join("cut");
    let cut = Tokenizer::load(&cut_folder).unwrap();
    check(&whole, &cut, &texts);
    // What was counted once and is one character is gone; what was not counted is gone.
    assert!(cut.id_of("模").is_none() && cut.id_of("国").is_none());
    assert_eq!(pieces(&cut, "今天国"), ["今", "天", "[UNK]"]);
    let required = &report.required[0];
    assert_eq!(required.name, "characters of counted pieces");
    // The vocabulary has no ##l and no ##f: the pieces that hold them had to stay.
    assert!(cut.id_of("##able").is_some() && cut.id_of("##aff").is_some() && required.pieces > 2);
    let plan = Plan::<Config>::of(&cut_folder, &Default::default()).unwrap();
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
    let rows = cut.vocab_size();
    assert_eq!(plan.file_rows, rows);
    let file = SafetensorsFile::open(&cut_folder.join("model.safetensors")).unwrap();
    assert_eq!(file.info("cls.predictions.bias").unwrap().1, [rows]);
    assert_eq!(file.info("bert.embeddings.word_embeddings.weight").unwrap().1, [rows, 16]);
    // Each row is that of its piece.
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/bert/bert/model.safetensors");
    let original = SafetensorsFile::open(&original).unwrap();
    for name in ["cls.predictions.bias", "bert.embeddings.word_embeddings.weight"] {
        let (a, b) = (original.bytes(name).unwrap(), file.bytes(name).unwrap());
        let row = b.len() / rows;
        for new in 0..rows as u32 {
            let old = whole.id_of(cut.piece(new).unwrap()).unwrap() as usize;
            assert_eq!(a[old * row..][..row], b[new as usize * row..][..row], "{name} {new}");
        }
    }
    let config: Value =
        serde_json::from_slice(&fs::read(cut_folder.join("tokenizer_config.json")).unwrap()).unwrap();
    assert_eq!(
        (&config["tokenizer_class"], &config["cls_token"]),
        (&json!("BertTokenizer"), &json!("[CLS]"))
    );
}

#[test]
fn words_fall_to_characters_and_stay_words() {
    let lab = tempfile::tempdir().unwrap();
    let folder = lab.path().join("words");
    fs::create_dir(&folder).unwrap();
    let vocab =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n今\n天\n不\n错\n气\n天气\n不错\n今天\nab\na\n##b\n##今\n##天\n";
    fs::write(folder.join("vocab.txt"), vocab).unwrap();
    let whole = Tokenizer::load(&folder).unwrap();
    let texts = ["天气不错", "天气", "今天", "ab 天气"];
    assert_eq!(pieces(&whole, texts[0]), ["天气", "不错"]);
    count(&whole, &texts, lab.path());
    trim(&job(lab.path(), &folder, None, Choice::MinCount(2)), &mut ()).unwrap();
    let cut = Tokenizer::load(&lab.path().join("cut")).unwrap();
    check(&whole, &cut, &texts);
    // Only one word is left, and jieba is asked all the same.
    assert_eq!(pieces(&cut, texts[0]), ["天气", "不", "错"]);
    assert_eq!(pieces(&cut, "今天"), ["今", "天"]);
    assert_eq!(pieces(&cut, "ab"), ["a", "##b"]);
    assert!(cut.id_of("##天").is_none());
}

#[test]
fn counts_of_another_vocabulary_are_refused_by_name() {
    let lab = tempfile::tempdir().unwrap();
    let job =
        TrimOptions { counts: vec!["zh".into()], ..job(lab.path(), &bert(), None, Choice::MinCount(10)) };
    let error = trim(&job, &mut ()).unwrap_err().to_string();
    assert!(
        error.contains("the counts zh are of mT5's pieces") && error.contains("`t5kit count`"),
        "{error}"
    );
}

/// Pieces of the letters a to d, each of which is a piece alone and inside a word.
fn vocabularies() -> impl Strategy<Value = Vec<String>> {
    let piece = ("[a-d]{2,4}", any::<bool>());
    prop::collection::hash_set(piece, 0..24).prop_map(|pieces| {
        let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
        let characters = "abcd".chars().flat_map(|c| [c.to_string(), format!("##{c}")]);
        let longer = pieces.into_iter().map(|(text, inside)| if inside { format!("##{text}") } else { text });
        specials.into_iter().chain(characters).chain(longer).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_that_was_told_becomes_unknown(
        vocab in vocabularies(),
        texts in prop::collection::vec("[a-d]{1,9}( [a-d]{1,9}){0,3}", 1..8),
        least in 1u64..5,
    ) {
        let lab = tempfile::tempdir().unwrap();
        let folder = lab.path().join("whole");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("vocab.txt"), vocab.join("\n")).unwrap();
        let whole = Tokenizer::load(&folder).unwrap();
        count(&whole, &texts, lab.path());
        trim(&job(lab.path(), &folder, None, Choice::MinCount(least)), &mut ()).unwrap();
        check(&whole, &Tokenizer::load(&lab.path().join("cut")).unwrap(), &texts);
    }
}
