//! `vocab.json` and `merges.txt`, the byte-level BPE of CodeT5: made into the `tokenizer.json` that transformers'
//! `RobertaConverter` makes of them.

use crate::error::Error;
use serde_json::{Map, Value, json};
use std::path::Path;
use t5kit_formats::added_tokens::{AddedToken, SpecialTokens};

/// The bytes of a `tokenizer.json`. `special` is what the files beside say; `class` is the `tokenizer_class`.
///
/// # Errors
/// [`Error::Invalid`] when a file is not what it should be, or the class is none that is known.
pub(crate) fn tokenizer_json(
    vocab: &[u8],
    merges: &[u8],
    class: &str,
    add_prefix_space: bool,
    special: &SpecialTokens,
    path: &Path,
) -> Result<Vec<u8>, Error> {
    let invalid = |field: &str, what: String| Error::Invalid { path: path.into(), field: field.into(), what };
    let wraps = match class.strip_suffix("Fast").unwrap_or(class) {
        "" | "RobertaTokenizer" => true,
        "GPT2Tokenizer" => false,
        other => {
            let what = format!("{other} is not known; save the tokenizer with its tokenizer.json");
            return Err(invalid("tokenizer_class", what));
        }
    };
    let mut vocab: Map<String, Value> = serde_json::from_slice(vocab)
        .map_err(|e| invalid("vocab", format!("not an object of pieces and ids: {e}")))?;
    let merges = std::str::from_utf8(merges).map_err(|_| invalid("merges", "not UTF-8".into()))?;
    let pairs = merges.lines().filter(|line| !line.starts_with("#version") && !line.trim().is_empty());
    let merges: Vec<Value> = pairs.map(Value::from).collect();
    let id = |vocab: &Map<String, Value>, name: &str| {
        vocab.get(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok())
    };
    let usual = if wraps {
        [
            ("bos_token", "<s>"),
            ("eos_token", "</s>"),
            ("unk_token", "<unk>"),
            ("sep_token", "</s>"),
            ("pad_token", "<pad>"),
            ("cls_token", "<s>"),
            ("mask_token", "<mask>"),
        ]
        .as_slice()
    } else {
        &[("eos_token", "<|endoftext|>")]
    };
    let name = |field: &str| {
        let usual = || usual.iter().find(|(role, _)| *role == field).map(|(_, name)| *name);
        special.role(field).or_else(usual).map(str::to_owned)
    };
    let mut added: Vec<AddedToken> = special.tokens.clone();
    let roles = usual.iter().filter_map(|(role, _)| name(role)).map(|content| AddedToken {
        lstrip: content == "<mask>",
        special: true,
        content,
        ..AddedToken::default()
    });
    for token in roles.chain(special.named.iter().cloned()) {
        let known = added.iter().any(|other| other.content == token.content);
        if let Some(id) = id(&vocab, &token.content).filter(|_| !known) {
            added.push(AddedToken { id, ..token });
        }
    }
    added.sort_by_key(|token| token.id);
    let wrap = |field: &str| {
        let name = name(field).unwrap_or_default();
        let id = id(&vocab, &name).or_else(|| Some(added.iter().find(|token| token.content == name)?.id));
        id.map(|id| json!([name, id])).ok_or_else(|| invalid(field, format!("{name:?} has no id")))
    };
    let post_processor = if wraps {
        json!({"type": "RobertaProcessing", "sep": wrap("sep_token")?, "cls": wrap("cls_token")?,
            "trim_offsets": true, "add_prefix_space": add_prefix_space})
    } else {
        json!({"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": false, "use_regex": true})
    };
    // Tokens behind the vocabulary are no pieces of it.
    vocab.retain(|_, id| id.is_u64());
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer":
            {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true, "use_regex": true},
        "post_processor": post_processor,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges},
    });
    Ok(file.to_string().into_bytes())
}
