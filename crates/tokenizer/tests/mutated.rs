//! Tokenizers out of thousands of files that were sound and are not: loading refuses them or encodes like the obvious
//! search; nothing panics.

#[path = "../../formats/tests/mutate/mod.rs"]
mod mutate;

use std::fs;
use std::path::{Path, PathBuf};

use mutate::each;
use t5kit_tokenizer::Tokenizer;

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)).unwrap()
}

const TEXT: &str = "a <event>b</event>今天 天气<extra_id_0>x\u{feff}Ａ\n[MASK] wordpiece 水运工程";

/// Loads a folder and, where it makes a tokenizer, uses that.
fn used(folder: &Path) -> bool {
    let Ok(tokenizer) = Tokenizer::load(folder) else { return false };
    let ids = tokenizer.encode(TEXT);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "{ids:?}");
    let mut again = Vec::new();
    let pieces = tokenizer.encode_pieces(TEXT.as_bytes(), &mut again);
    assert_eq!((pieces.len(), &again), (ids.len(), &ids));
    let any: Vec<u32> = (0..40).chain([u32::MAX]).collect();
    let _ = (tokenizer.decode(&ids), tokenizer.decode(&any), tokenizer.decode_bytes(&any));
    let _ = (tokenizer.sentinels().len(), tokenizer.misses_sentinel(TEXT.as_bytes(), &ids), tokenizer.eos());
    true
}

/// A folder of `files` of which one after another is mutated.
fn each_of(name: &str, files: &[(&str, Vec<u8>)], times: usize) {
    let folder = mutate::folder();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    for (i, (file, bytes)) in files.iter().enumerate() {
        files.iter().for_each(|(name, bytes)| fs::write(place(name), bytes).unwrap());
        assert!(used(folder.path()), "{name}");
        // Stretches of the other files too, as far as they are small.
        let mut all = vec![bytes.clone()];
        all.extend(
            files
                .iter()
                .enumerate()
                .filter(|(j, (_, b))| *j != i && b.len() < 5000)
                .map(|(_, (_, b))| b.clone()),
        );
        each(&format!("{name}: {file}"), &all, times, |bytes| {
            fs::write(place(file), bytes).unwrap();
            used(folder.path())
        });
    }
}

#[test]
fn sentencepiece_models() {
    for (name, times) in [("identity.model", 700), ("raw.model", 300), ("bytes.model", 300)] {
        each_of(name, &[("spiece.model", golden(name))], times);
    }
}

#[test]
fn tokenizer_json() {
    for name in ["json/symbols.json", "files/bpe-json/tokenizer.json", "files/json-words/tokenizer.json"] {
        each_of(name, &[("tokenizer.json", golden(name))], 400);
    }
}

#[test]
fn files_beside_a_model() {
    let of = |name: &'static str| (name, golden(&format!("files/older/{name}")));
    each_of(
        "added",
        &[
            of("added_tokens.json"),
            of("tokenizer_config.json"),
            ("spiece.model", golden("files/older/spiece.model")),
        ],
        500,
    );
}

#[test]
fn vocab_txt() {
    let pieces =
        "[PAD]\n[unused1]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n水\n运\n工程\n##程\n天气\nword\n##piece\n\n";
    let config = r#"{"do_lower_case": true, "tokenize_chinese_chars": true, "strip_accents": null, "model_max_length": 512,
        "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]", "cls_token": {"content": "[CLS]"}}"#;
    let files = [("vocab.txt", pieces.into()), ("tokenizer_config.json", config.into())];
    each_of("vocab.txt", &files, 1500);
}

#[test]
fn byte_pairs() {
    let of = |name: &'static str| (name, golden(&format!("files/byte-pairs/{name}")));
    each_of("byte pairs", &[of("vocab.json"), of("merges.txt")], 400);
}
