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
