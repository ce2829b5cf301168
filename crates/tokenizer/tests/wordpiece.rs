//! Ids and text of a small `vocab.txt` in several settings, as transformers' `BertTokenizer` and bert4keras'
//! `Tokenizer` give them. The goldens are made by `tools/wordpiece_exact.py --goldens`.

use std::path::{Path, PathBuf};
use t5kit_tokenizer::{Error, Options, PreTokenize, Tokenizer};

#[derive(serde::Deserialize)]
struct Golden {
    /// The line in hexadecimal, for lines need not be UTF-8.
    bytes: String,
    ids: Vec<u32>,
    /// Missing where the reference fails.
    text: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/wordpiece")
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn names() -> Vec<String> {
    let files =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned())).collect();
    names.sort();
    names
}

#[test]
fn ids_and_text_are_the_references() {
    let expected = ["accents", "cased", "cased-bare", "joined", "special", "uncased", "words", "words-cased"];
    assert_eq!(names(), expected);
    for name in names() {
        let goldens = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
        let (config, rows) = goldens.split_once('\n').unwrap();
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(folder().join("vocab.txt"), place.path().join("vocab.txt")).unwrap();
        std::fs::write(place.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::load(place.path()).unwrap();
        assert!(rows.lines().count() > 100);
        for (number, line) in rows.lines().enumerate() {
            let golden: Golden = serde_json::from_str(line).unwrap();
            let bytes = bytes_of(&golden.bytes);
            let mut ids = Vec::new();
            tokenizer.encode_into(&bytes, &mut ids);
            let place = format!("{name}.jsonl, line {}: {:?}", number + 2, String::from_utf8_lossy(&bytes));
            assert_eq!(ids, golden.ids, "{place}");
            if let Some(text) = golden.text {
                assert_eq!(tokenizer.decode(&ids), text, "{place}");
            }
        }
    }
}

#[test]
fn choices_override_the_config() {
    let place = tempfile::tempdir().unwrap();
    let vocab = place.path().join("vocab.txt");
    std::fs::write(&vocab, "[UNK]\n天\n气\n天气\nA\na\ná\n").unwrap();
    let config = r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#;
    std::fs::write(place.path().join("tokenizer_config.json"), config).unwrap();
    let encode = |options| Tokenizer::load_with(&vocab, options).unwrap().encode("天气 A Á");
    assert_eq!(encode(Options::default()), [1, 2, 4, 0]);
    let lower = Options { lower_case: Some(true), ..Default::default() };
    assert_eq!(encode(lower), [1, 2, 5, 5]);
    assert_eq!(encode(Options { strip_accents: Some(false), ..lower }), [1, 2, 5, 6]);
    let jieba = Options { pre_tokenize: Some(PreTokenize::Jieba), ..lower };
    assert_eq!(encode(jieba), [3, 5, 5]);
    assert_eq!(encode(Options { strip_accents: Some(false), ..jieba }), [3, 5, 6]);
}

/// Google's folders have nothing but a `vocab.txt`.
#[test]
fn a_vocabulary_of_words_is_cut_by_jieba() {
    let place = tempfile::tempdir().unwrap();
    let vocab = place.path().join("vocab.txt");
    let pieces = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n天\n气\n不\n错\n天气\n不错\n";
    std::fs::write(&vocab, pieces).unwrap();
    let words = Tokenizer::load(place.path()).unwrap();
    assert_eq!((words.encode("天气不错"), words.pre_tokenize()), (vec![8, 9], Some(PreTokenize::Jieba)));
    std::fs::write(&vocab, pieces.replace("天气\n不错\n", "##天\n##气\n")).unwrap();
    let characters = Tokenizer::load(place.path()).unwrap();
    assert_eq!(
        (characters.encode("天气不错"), characters.pre_tokenize()),
        (vec![4, 5, 6, 7], Some(PreTokenize::None))
    );
}

#[test]
fn files_that_are_no_vocabulary_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let vocab = place.path().join("vocab.txt");
    let message = |error: Error| {
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let load = |options| Tokenizer::load_with(&vocab, options).err().map(message).unwrap_or_default();
    // A gigabyte, of which nothing is read.
    std::fs::File::create(&vocab).unwrap().set_len(1 << 30).unwrap();
    assert!(load(Options::default()).contains("vocab.txt: size: over 32 MiB"));
    std::fs::write(&vocab, "[UNK]\na\n\u{e9}".as_bytes().split_last().unwrap().1).unwrap();
    assert!(load(Options::default()).contains("vocab.txt: line 3: not UTF-8"));
    std::fs::write(&vocab, "[UNK]\n").unwrap();
    std::fs::write(place.path().join("tokenizer_config.json"), "{\"pre_tokenize\": 1}").unwrap();
    assert!(load(Options::default()).contains("tokenizer_config.json: pre_tokenize: 1 is neither"));
    let spiece = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/unk.model");
    let lower = Options { lower_case: Some(true), ..Default::default() };
    let refused = Tokenizer::load_with(&spiece, lower).err().map(message).unwrap_or_default();
    assert!(refused.contains("unk.model: `lower_case`"), "{refused}");
}
