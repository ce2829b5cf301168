//! Tokenizers as people bring them: ids as transformers, tokenizers and sentencepiece give them, and what the files say
//! besides. The goldens are made by `tools/tokenizer_files_exact.py --goldens`.

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use t5kit_tokenizer::{PieceKind, Tokenizer, Wrap};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/files").join(name)
}

fn load(name: &str) -> Tokenizer {
    Tokenizer::load(&golden(name)).unwrap()
}

/// The tokenizer of a folder with the T5 pieces of the goldens and these files.
fn with(files: &[(&str, serde_json::Value)]) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(golden("sentinels/spiece.model"), folder.path().join("spiece.model")).unwrap();
    for (name, value) in files {
        fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    Tokenizer::load(folder.path()).unwrap()
}

fn pieces() -> usize {
    Tokenizer::load(&golden("sentinels/spiece.model")).unwrap().vocab_size()
}

#[test]
fn ids_are_the_references() {
    #[derive(serde::Deserialize)]
    struct Line {
        text: String,
        ids: Vec<u32>,
    }
    let mut folders = 0;
    for folder in fs::read_dir(golden("")).unwrap() {
        let folder = folder.unwrap().path();
        let tokenizer = Tokenizer::load(&folder).unwrap();
        let lines = fs::read_to_string(folder.join("ids.jsonl")).unwrap();
        assert!(lines.lines().count() >= 100);
        for line in lines.lines() {
            let Line { text, ids } = serde_json::from_str(line).unwrap();
            assert_eq!(tokenizer.encode(&text), ids, "{}: {text:?}", folder.display());
            let mut again = Vec::new();
            let pieces = tokenizer.encode_pieces(text.as_bytes(), &mut again);
            assert_eq!((again.len(), pieces.len()), (ids.len(), ids.len()));
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
        folders += 1;
    }
    assert_eq!(folders, 13);
}

/// Sentinels as seqio has them, and where it does not know them, after other text: alone.
#[test]
fn sentinels_take_the_space_before_them() {
    let tokenizer = load("sentinels");
    let shown = |text: &str| {
        let mut ids = Vec::new();
        tokenizer.encode_pieces(text.as_bytes(), &mut ids).join("|")
    };
    assert_eq!(shown("<extra_id_0>. today"), "<extra_id_0>|.|▁to|da|y");
    assert_eq!(shown("today <extra_id_3> today"), "▁to|da|y|<extra_id_3>|▁to|da|y");
    assert_eq!(shown("  <extra_id_3>  <extra_id_0> "), "<extra_id_3>|<extra_id_0>");
    assert_eq!(shown("天气<extra_id_3>天气"), "▁|天气|<extra_id_3>|天气");
    let base = pieces() as u32;
    assert_eq!((tokenizer.sentinel(0), tokenizer.sentinel(7)), (Some(base + 6), None));
    assert_eq!(tokenizer.sentinels(), (base..base + 7).collect::<Vec<_>>());
    assert_eq!(tokenizer.id_of("<extra_id_6>"), Some(base));
    assert_eq!(tokenizer.vocab_size(), pieces() + 7);
    let missed = |text: &str| tokenizer.misses_sentinel(text.as_bytes(), &tokenizer.encode(text));
    assert!(!missed("天<extra_id_0>天") && !missed("<extra_id_x>") && missed("a <extra_id_7>"));
}

#[test]
fn the_models_configuration_says_that_there_are_sentinels() {
    let count = |files: &[(&str, serde_json::Value)]| with(files).sentinels().len();
    let t5 = |rows: usize| ("config.json", json!({"model_type": "t5", "vocab_size": rows}));
    assert_eq!(count(&[t5(pieces() + 128)]), 100);
    assert_eq!(count(&[t5(pieces() + 99)]), 0);
    assert_eq!(count(&[("config.json", json!({"model_type": "umt5", "vocab_size": pieces() + 384}))]), 300);
    assert_eq!(count(&[("config.json", json!({"model_type": "mt5", "vocab_size": pieces() + 384}))]), 0);
    assert_eq!(count(&[]), 0);
    let extra = |n: u64| ("tokenizer_config.json", json!({"tokenizer_class": "T5Tokenizer", "extra_ids": n}));
    assert_eq!(count(&[extra(96)]), 96);
    assert_eq!(count(&[extra(0), t5(pieces() + 128)]), 0);
    assert_eq!(count(&[("tokenizer_config.json", json!({"extra_ids": null})), t5(pieces() + 128)]), 100);
    assert_eq!(count(&[("tokenizer_config.json", json!({"tokenizer_class": "T5TokenizerFast"}))]), 100);
}

#[test]
fn added_tokens_are_read_said_and_known() {
    let base = pieces() as u32;
    let tokenizer = with(&[
        ("added_tokens.json", json!({"<event>": base + 1, "</event>": base + 4})),
        (
            "special_tokens_map.json",
            json!({"pad_token": "[PAD]", "additional_special_tokens": ["</event>", "<new>"]}),
        ),
        ("tokenizer_config.json", json!({"tokenizer_class": "T5Tokenizer", "extra_ids": 0})),
    ]);
    let ids = tokenizer.encode("<event>天气</event>");
    assert_eq!((ids[0], ids[ids.len() - 1]), (base + 1, base + 4));
    assert_eq!(tokenizer.decode(&ids), "<event> 天气</event>");
    assert_eq!(tokenizer.vocab_size() as u32, base + 5);
    assert_eq!(tokenizer.holes().collect::<Vec<_>>(), [base, base + 3]);
    let ids: Vec<u32> = tokenizer.added_tokens().iter().map(|token| token.id).collect();
    // transformers gives a new one the number of all that there are.
    assert_eq!(ids, [base + 1, base + 2, base + 4]);
    assert_eq!(tokenizer.id_of("<new>"), Some(base + 2));
    assert!(tokenizer.is_added(base + 4) && !tokenizer.is_added(base) && !tokenizer.is_added(5));
    assert!(tokenizer.is_special(base + 4) && !tokenizer.is_special(base + 1) && tokenizer.is_special(1));
    assert_eq!(tokenizer.piece_kind(base + 1), Some(PieceKind::UserDefined));
    assert_eq!((tokenizer.piece(base + 3), tokenizer.piece_kind(base + 3)), (None, None));
    let names: Vec<_> =
        tokenizer.source_files().iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        ["spiece.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
    );
}

/// A sentinel of mT5 has a space in its piece; where transformers added its bare name with the same id, both count.
#[test]
fn a_bare_name_of_a_sentinel_is_another_spelling() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let folder = tempfile::tempdir().unwrap();
    fs::copy(goldens.join("symbols.model"), folder.path().join("spiece.model")).unwrap();
    let plain = Tokenizer::load(folder.path()).unwrap();
    let id = plain.id_of("▁<extra_id_0>").unwrap();
    let text = "天气好<extra_id_0>天气";
    assert!(!plain.encode(text).contains(&id) && plain.misses_sentinel(text.as_bytes(), &plain.encode(text)));
    assert!(plain.encode("天气好 <extra_id_0>天气").contains(&id));
    let config =
        json!({"added_tokens_decoder": {id.to_string(): {"content": "<extra_id_0>", "special": true}}});
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let both = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(both.encode(text).iter().filter(|&&other| other == id).count(), 1);
    assert_eq!(both.vocab_size(), plain.vocab_size());
}

#[test]
fn what_texts_are_wrapped_in() {
    let wrap = |name: &str| load(name).source_wrap().clone();
    let wraps = |before: &[u32], after: &[u32]| Wrap { before: before.into(), after: after.into() };
    assert_eq!(wrap("sentinels"), wraps(&[], &[1]));
    assert_eq!(wrap("json"), wraps(&[], &[1]));
    assert_eq!(wrap("json-words"), wraps(&[], &[1]));
    assert_eq!(wrap("byt5"), wraps(&[], &[1]));
    for name in ["bert", "bert-json"] {
        assert_eq!(wrap(name), wraps(&[2], &[3]), "{name}");
        let tokenizer = load(name);
        assert_eq!((tokenizer.pad_id(), tokenizer.start_id(), tokenizer.eos_id()), (0, 2, 3), "{name}");
        assert_eq!(tokenizer.target_wrap(2), wraps(&[], &[3]));
    }
    for name in ["byte-pairs", "bpe-json"] {
        assert_eq!(wrap(name), wraps(&[0], &[2]), "{name}");
        let tokenizer = load(name);
        assert_eq!((tokenizer.pad_id(), tokenizer.start_id(), tokenizer.eos_id()), (1, 1, 2), "{name}");
        assert_eq!(tokenizer.target_wrap(1), wraps(&[0], &[2]));
    }
    let tokenizer = load("bert");
    let encoded = |most| {
        let mut ids = vec![9];
        let length = tokenizer.encode_wrapped(b"weather data", tokenizer.source_wrap(), most, &mut ids);
        (ids, length)
    };
    let (whole, length) = encoded(usize::MAX);
    assert_eq!((whole.len(), length, whole[1], whole[4]), (5, 4, 2, 3));
    assert_eq!(encoded(3), (vec![9, 2, whole[2], 3], 4));
    assert_eq!(encoded(0), (vec![9, 2, 3], 4));
}

#[test]
fn the_library_decodes_what_it_encodes() {
    for name in ["byte-pairs", "bpe-json", "json-flax"] {
        let tokenizer = load(name);
        let text = "The weather is nice today";
        let mut ids = tokenizer.encode(text);
        ids.push(tokenizer.eos_id());
        assert_eq!(tokenizer.decode(&ids), text, "{name}");
        assert_eq!(tokenizer.decode_bytes(&ids), text.as_bytes());
        assert_eq!(tokenizer.decode(&[u32::MAX, 99_999]), "");
        assert!((0..tokenizer.vocab_size() as u32).all(|id| tokenizer.piece_kind(id).is_some()));
        let mut any = Vec::new();
        tokenizer.encode_into(b"\xff\xfe a \xe5", &mut any);
        assert!(!any.is_empty());
    }
}

#[test]
fn byt5_has_as_many_sentinels_as_its_files_say() {
    let tokenizer = load("byt5");
    assert_eq!(tokenizer.sentinels().len(), 20);
    assert_eq!(tokenizer.added_tokens().len(), 2);
    assert_eq!(tokenizer.decode(&tokenizer.encode("天<event>气")), "天<event>气");
}

#[test]
fn files_that_cannot_be_run_are_named() {
    let load = |name: &str, files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let message = Tokenizer::load(folder.path()).err().expect("an error").to_string();
        assert!(message.contains(name) && !message.contains('\n'), "{message}");
        message
    };
    let json =
        r#"{"added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}}"#;
    assert!(load("tokenizer.json", &[("tokenizer.json", json)]).contains("not every text can be encoded"));
    let json = r#"{"added_tokens": [], "model": {"type": "Odd"}}"#;
    load("tokenizer.json: tokenizers:", &[("tokenizer.json", json)]);
    let class = r#"{"tokenizer_class": "XTokenizer"}"#;
    let files = [("vocab.json", "{}"), ("merges.txt", ""), ("tokenizer_config.json", class)];
    assert!(load("vocab.json", &files).contains("tokenizer_class: XTokenizer is not known"));
    load("no tokenizer here", &[("config.json", r#"{"model_type": "t5"}"#)]);
    load("vocab.json", &[("vocab.json", "[]"), ("merges.txt", "")]);
}

/// The right values of `shared/cases`.
mod cases {
    use super::*;

    fn case(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases").join(name)
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn sentinels_and_spaces() {
        let tokenizer = Tokenizer::load(&case("01-sentinel")).unwrap();
        for line in fs::read_to_string(case("01-sentinel/in.txt")).unwrap().lines() {
            let ids = tokenizer.encode(line);
            let at = ids.iter().position(|&id| id == 3099).expect("a sentinel");
            assert!(at == 0 || ids[at - 1] != 5, "{line}");
            assert_eq!(at == 0, line.starts_with('<'));
        }
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn added_tokens() {
        let tokenizer = Tokenizer::load(&case("02-added-tokens")).unwrap();
        let ids = tokenizer.encode("<event>航运</event>");
        assert_eq!((ids[0], ids[ids.len() - 1], tokenizer.vocab_size()), (3100, 3101, 3103));
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn any_number_of_extra_ids() {
        for (name, id) in [("umt5-300", 3299), ("t5-96", 3095)] {
            let tokenizer = Tokenizer::load(&case("04-extra-ids").join(name)).unwrap();
            assert_eq!((tokenizer.sentinel(0), tokenizer.vocab_size()), (Some(id), id as usize + 1));
        }
    }

    #[test]
    #[ignore = "needs ../shared/data"]
    fn words_end_at_white_space() {
        let tokenizer = Tokenizer::load(&case("06-whitespace-split")).unwrap();
        for line in fs::read_to_string(case("06-whitespace-split/in.txt")).unwrap().lines() {
            assert_eq!(tokenizer.encode(line), [5, 262, 5, 62], "{line:?}");
        }
    }
}
