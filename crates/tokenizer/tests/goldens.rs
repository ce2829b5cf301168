//! Ids, pieces and decoded text of small models of every kind, as the sentencepiece library gives them. The
//! goldens are made by `tools/tokenizer_exact.py --goldens`.

use std::path::{Path, PathBuf};
use t5kit_tokenizer::Tokenizer;

#[derive(serde::Deserialize)]
struct Golden {
    /// The line in hexadecimal, for lines need not be UTF-8; rows without it are for decoding only.
    bytes: Option<String>,
    ids: Vec<u32>,
    text: String,
    pieces: Option<Vec<String>>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn check(name: &str, file: &str) {
    let tokenizer = Tokenizer::load(&folder().join(file)).unwrap();
    let goldens = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
    assert!(goldens.lines().count() > 100);
    for (number, line) in goldens.lines().enumerate() {
        let golden: Golden = serde_json::from_str(line).unwrap();
        let place = format!("{name}.jsonl, line {}", number + 1);
        if let Some(bytes) = golden.bytes.as_deref().map(bytes_of) {
            let mut ids = Vec::new();
            tokenizer.encode_into(&bytes, &mut ids);
            assert_eq!(ids, golden.ids, "{place}: {:?}", String::from_utf8_lossy(&bytes));
            let mut again = Vec::new();
            let pieces = tokenizer.encode_pieces(&bytes, &mut again);
            assert_eq!(again, golden.ids, "{place}");
            if let Some(expected) = golden.pieces {
                assert_eq!(pieces, expected, "{place}");
            }
        }
        assert_eq!(tokenizer.decode(&golden.ids), golden.text, "{place}");
    }
}

macro_rules! goldens {
    ($($name:ident),*) => {
        $(#[test] fn $name() { check(stringify!($name), concat!(stringify!($name), ".model")); })*
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

goldens!(bytes, casefold, denormal, identity, noescape, noprefix, raw, spaces, suffix, symbols, unk);

/// The same models as transformers writes them.
#[test]
fn tokenizer_json() {
    check("bytes", "json/bytes.json");
    check("symbols", "json/symbols.json");
}

/// The same models in the metadata of a GGUF file, with rows for T5's sentinels behind the pieces of one of them.
#[test]
fn gguf() {
    check("symbols", "../../../model/tests/gguf/t5-F16.gguf");
    check("bytes", "../../../model/tests/gguf/mt5-BF16.gguf");
    let of = |file: &str| Tokenizer::load(&folder().join(file)).unwrap();
    let (plain, gguf) = (of("casefold.model"), of("../../../model/tests/gguf/t5-Q8_0.gguf"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(self::folder().join("casefold.model"), folder.path().join("spiece.model")).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "t5", "vocab_size": 336}"#).unwrap();
    let whole = Tokenizer::load(folder.path()).unwrap();
    assert_eq!((gguf.vocab_size(), whole.vocab_size()), (plain.vocab_size() + 100, plain.vocab_size() + 100));
    let text = "今天 <extra_id_0> 很好<extra_id_99>!";
    assert_eq!(gguf.encode(text), whole.encode(text));
    assert_eq!((gguf.pad_id(), gguf.eos(), gguf.unk_id()), (whole.pad_id(), whole.eos(), whole.unk_id()));
    assert_eq!(gguf.sentinels(), whole.sentinels());
    assert_ne!(gguf.sha256(), "");
}

#[test]
fn every_golden_is_checked() {
    let files = std::fs::read_dir(folder()).unwrap().map(|f| f.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|f| f.extension().is_some_and(|e| e == "model"))
        .map(|f| f.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, NAMES);
}
