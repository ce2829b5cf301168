//! The obvious versions: what the fast ones are tested against.

use super::basic;
use super::settings::{PreTokenize, Settings};
use super::{Path, WordPiece};
use proptest::prelude::*;
use std::collections::HashMap;

/// `BertTokenizer.tokenize`, step by step.
fn bert(text: &str, vocab: &HashMap<&str, u32>, settings: &Settings) -> Vec<u32> {
    let text = basic::lower_but(text, settings);
    let mut ids = Vec::new();
    let mut plain = String::new();
    let mut rest = &*text;
    let finish = |plain: &mut String, ids: &mut Vec<u32>| {
        for word in basic::words(plain, settings) {
            match vocab.get(&*word.text) {
                found if word.whole => ids.push(*found.unwrap_or(&vocab["[UNK]"])),
                _ => ids.extend(wordpiece(&word.text, vocab)),
            }
        }
        plain.clear();
    };
    while let Some(c) = rest.chars().next() {
        let specials = settings.specials().filter(|name| vocab.contains_key(name));
        match specials.filter(|name| rest.starts_with(name)).max_by_key(|name| name.len()) {
            Some(name) => {
                finish(&mut plain, &mut ids);
                ids.push(vocab[name]);
                rest = &rest[name.len()..];
            }
            None => {
                plain.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    finish(&mut plain, &mut ids);
    ids
}

/// `WordpieceTokenizer.tokenize` of one word.
fn wordpiece(word: &str, vocab: &HashMap<&str, u32>) -> Vec<u32> {
    let chars: Vec<char> = word.chars().collect();
    let mut ids = Vec::new();
    let mut start = 0;
    while start < chars.len() && chars.len() <= 100 {
        let found = (start + 1..=chars.len()).rev().find_map(|end| {
            let piece: String = chars[start..end].iter().collect();
            let piece = if start > 0 { format!("##{piece}") } else { piece };
            Some((end, *vocab.get(&*piece)?))
        });
        let Some((end, id)) = found else { return vec![vocab["[UNK]"]] };
        ids.push(id);
        start = end;
    }
    if chars.len() > 100 { vec![vocab["[UNK]"]] } else { ids }
}

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n<x>\n今\n天\n##天\n##天气\na\nb\nab\n##a\n##b\n##ab\nA\nE\né\n##é\ne\n\
    ##e\n.\n[\n]\nmask\nMASK\n=\n≠\nk\n##k\nσ\nς\n##σ\nᄀ\n##ᅡ\n가\n##가\n。\n豈\n#\n한\nx\n##x\n<\n>\na\n";

/// Characters that have something to say, and stretches of them.
fn texts() -> impl Strategy<Value = String> {
    let chars = "今天气aabbABEeéÉ\u{301}\u{300}\u{338}\u{94d}\u{900}=. \t\u{3000}\u{200b}\u{fffd}\u{2028}[]<x>X#KİΣσςAΑ한\u{1100}\u{1161}\u{ac00}\u{11a8}豈\u{2f800}𠀀😀\u{a7cb}\u{1171e}\u{897}\u{e000}。";
    let parts = ["[MASK]", "[mask]", "<x>", "<X>", "[MA", "SK]", "ab", "天气", "[MÁSK]", "<ẍ>"];
    let one = prop_oneof![
        6 => proptest::sample::select(chars.chars().map(String::from).collect::<Vec<_>>()),
        1 => proptest::sample::select(parts.map(str::to_owned).to_vec()),
        1 => any::<char>().prop_map(String::from),
        1 => (1usize..120).prop_map(|n| "ab".repeat(n)),
    ];
    proptest::collection::vec(one, 0..20).prop_map(|parts| parts.concat())
}

fn settings() -> impl Strategy<Value = Settings> {
    let flag = any::<bool>();
    let names = |some: &[&str]| -> Vec<String> { some.iter().map(|name| (*name).to_owned()).collect() };
    let never = prop_oneof![4 => Just(names(&[])), 1 => Just(names(&["ab", ".", "[x]", "天气"]))];
    let more = prop_oneof![2 => Just(names(&[])), 1 => Just(names(&["<x>"]))];
    (flag, any::<Option<bool>>(), flag, never, more).prop_map(
        |(do_lower_case, strip_accents, tokenize_chinese_chars, never_split, additional_special_tokens)| {
            Settings {
                do_lower_case,
                strip_accents,
                tokenize_chinese_chars,
                never_split,
                additional_special_tokens,
                ..Default::default()
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn one_pass_equals_step_by_step(
        texts in proptest::collection::vec(texts(), 40),
        settings in settings(),
    ) {
        let vocab: HashMap<&str, u32> = VOCAB.lines().zip(0..).collect();
        let model = WordPiece::new(VOCAB.as_bytes(), settings.clone(), Path::new("vocab.txt")).unwrap();
        for text in texts {
            let mut ids = vec![7];
            model.encode_into(text.as_bytes(), &mut ids);
            let expected = bert(&text, &vocab, &settings);
            prop_assert_eq!(&ids[1..], &*expected, "{:?}", text);
        }
    }

    #[test]
    fn any_bytes_and_ids_are_fine(text in any::<Vec<u8>>(), ids in any::<Vec<u32>>(), jieba in any::<bool>()) {
        let pre_tokenize = if jieba { PreTokenize::Jieba } else { PreTokenize::None };
        let settings = Settings { pre_tokenize, ..Default::default() };
        let model = WordPiece::new(VOCAB.as_bytes(), settings, Path::new("vocab.txt")).unwrap();
        let mut out = Vec::new();
        model.encode_into(&text, &mut out);
        prop_assert!(out.iter().all(|id| (*id as usize) < model.len()));
        model.decode(&out, &crate::added::Added::default());
        let low: Vec<u32> = ids.iter().map(|id| id % 60).collect();
        model.decode(&low, &crate::added::Added::default());
    }
}
