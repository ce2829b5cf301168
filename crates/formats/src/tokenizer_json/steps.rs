//! The steps of a `tokenizer.json` that come to SentencePiece's own normalisation.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Outline, flat, kind};
use crate::spiece::NormalizerSpec;

/// What the steps of a `tokenizer.json` do that SentencePiece does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Steps {
    /// Of the parts between added tokens only the one that begins the text gets the space before it.
    pub prefix_first_only: bool,
    /// Words end at every white space, not at spaces alone.
    pub split_whitespace: bool,
    /// Any white space at the end of a text vanishes, not only spaces.
    pub trim_end: bool,
}

/// A step of a normaliser that SentencePiece has too.
#[derive(PartialEq)]
enum Normal {
    /// Replaces characters by a map.
    Map(Vec<u8>),
    /// Cuts white space off the end.
    StripRight,
    /// Cuts spaces off the end.
    TrimSpaces,
    /// Makes one space of several.
    JoinSpaces,
    /// Puts `▁` before the text.
    Prepend,
    /// Makes `▁` of every space.
    Escape,
}

fn normal(step: &Value) -> Result<Normal, String> {
    let text = |name: &str| step.get(name).and_then(Value::as_str);
    let flag = |name: &str| step.get(name).and_then(Value::as_bool).unwrap_or(false);
    match kind(step) {
        "Precompiled" => {
            let blob = text("precompiled_charsmap").ok_or("Precompiled without a precompiled_charsmap")?;
            let map =
                STANDARD.decode(blob).map_err(|e| format!("precompiled_charsmap is not base64: {e}"))?;
            Ok(Normal::Map(map))
        }
        "Strip" if flag("strip_right") && !flag("strip_left") => Ok(Normal::StripRight),
        "Replace" => {
            let pattern = step.get("pattern").and_then(|p| p.get("Regex").or_else(|| p.get("String")));
            match (pattern.and_then(Value::as_str), text("content")) {
                (Some(" {2,}"), Some(" " | "▁")) => Ok(Normal::JoinSpaces),
                (Some(r" +\z"), Some("")) => Ok(Normal::TrimSpaces),
                (Some(" "), Some("▁")) => Ok(Normal::Escape),
                (pattern, content) => Err(format!("normalizer: Replace of {pattern:?} by {content:?}")),
            }
        }
        "Prepend" if text("prepend") == Some("▁") => Ok(Normal::Prepend),
        other => Err(format!("normalizer: {other}")),
    }
}

/// The normaliser that the steps come to, what they do besides, and whether they cut at every space.
///
/// # Errors
/// The step, or the order of steps, that is none of SentencePiece's.
pub(super) fn sentencepiece(outline: &Outline) -> Result<(NormalizerSpec, Steps, bool), String> {
    let normalizers = outline.normalizer.iter().flat_map(flat).map(normal);
    let mut normalizers = normalizers.collect::<Result<Vec<_>, _>>()?;
    let mut map = Vec::new();
    if let Some(Normal::Map(first)) = normalizers.first_mut() {
        map = std::mem::take(first);
        normalizers.remove(0);
    }
    decoder_is_ours(outline.decoder.as_ref())?;
    let spec = |remove_extra_whitespaces| NormalizerSpec {
        name: "tokenizer.json".into(),
        precompiled_charsmap: map,
        add_dummy_prefix: true,
        remove_extra_whitespaces,
        escape_whitespaces: true,
    };
    let mut pre_tokenizers: Vec<&Value> = outline.pre_tokenizer.iter().flat_map(flat).collect();
    let split_whitespace = pre_tokenizers.first().is_some_and(|step| kind(step) == "WhitespaceSplit");
    if split_whitespace {
        pre_tokenizers.remove(0);
    }
    let metaspace = match &*pre_tokenizers {
        [] if !split_whitespace => None,
        [step] if kind(step) == "Metaspace" => Some(step),
        steps => {
            let names: Vec<_> = steps.iter().map(|step| kind(step)).collect();
            return Err(format!("pre_tokenizer: {}", names.join(", ")));
        }
    };
    let Some(metaspace) = metaspace else {
        // The form of Llama's relatives: nothing is removed, and nothing cut.
        return if normalizers == [Normal::Prepend, Normal::Escape] {
            Ok((spec(false), Steps::default(), false))
        } else {
            Err("no pre_tokenizer, and a normalizer that does not mark spaces".into())
        };
    };
    let text = |name: &str| metaspace.get(name).and_then(Value::as_str);
    let flag = |name: &str| metaspace.get(name).and_then(Value::as_bool).unwrap_or(true);
    if let Some(other) = text("replacement").filter(|&c| c != "▁") {
        return Err(format!("pre_tokenizer: Metaspace with {other:?} instead of \"▁\""));
    }
    let scheme = match text("prepend_scheme") {
        Some(scheme) => scheme,
        None if flag("add_prefix_space") => "always",
        None => "never",
    };
    let whole_words = split_whitespace || flag("split");
    match (split_whitespace, scheme) {
        // Spaces at the ends and between words vanish when the text is cut at them.
        (true, "always") => {
            if normalizers.iter().all(|step| matches!(step, Normal::StripRight | Normal::JoinSpaces)) {
                Ok((spec(true), Steps { split_whitespace, ..Steps::default() }, whole_words))
            } else {
                Err("normalizer: steps in an order that SentencePiece does not have".into())
            }
        }
        (false, "always" | "first")
            if normalizers == [Normal::StripRight, Normal::JoinSpaces]
                || normalizers == [Normal::TrimSpaces, Normal::JoinSpaces] =>
        {
            let prefix_first_only = scheme == "first";
            let trim_end = normalizers[0] == Normal::StripRight;
            let steps = Steps { prefix_first_only, split_whitespace, trim_end };
            Ok((spec(true), steps, whole_words))
        }
        (false, "always" | "first") => Err("normalizer: spaces are kept that SentencePiece removes".into()),
        (_, scheme) => Err(format!("pre_tokenizer: Metaspace with prepend_scheme {scheme:?}")),
    }
}

/// Whether ids become text as SentencePiece has it.
fn decoder_is_ours(decoder: Option<&Value>) -> Result<(), String> {
    for step in decoder.into_iter().flat_map(flat) {
        if !matches!(kind(step), "Metaspace" | "Replace" | "ByteFallback" | "Fuse" | "Strip") {
            return Err(format!("decoder: {}", kind(step)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer_json::tests::{read_value, sample, unigram};
    use crate::tokenizer_json::{Model, UnigramJson};
    use serde_json::json;

    fn with(normalizer: Value, pre_tokenizer: Value) -> Value {
        let mut file = sample();
        file["normalizer"] = normalizer;
        file["pre_tokenizer"] = pre_tokenizer;
        file
    }

    fn why(normalizer: Value, pre_tokenizer: Value) -> String {
        match read_value(&with(normalizer, pre_tokenizer)).unwrap().model {
            Model::Other(why) => why,
            Model::Unigram(_) => panic!("was read"),
        }
    }

    #[test]
    fn the_forms_that_transformers_has_written() {
        let UnigramJson { model, steps, .. } = unigram(&sample());
        let spec = model.normalizer_spec;
        assert_eq!(spec.precompiled_charsmap, [1, 2, 3]);
        assert!(spec.add_dummy_prefix && spec.remove_extra_whitespaces && spec.escape_whitespaces);
        assert!(steps.trim_end && !steps.split_whitespace && !steps.prefix_first_only);

        let mut first = sample();
        first["pre_tokenizer"]["prepend_scheme"] = json!("first");
        assert!(unigram(&first).steps.prefix_first_only);

        let older = with(
            json!({"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": "AQID"},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ]}),
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "add_prefix_space": true},
            ]}),
        );
        let UnigramJson { model, steps, .. } = unigram(&older);
        assert!(model.normalizer_spec.remove_extra_whitespaces && model.normalizer_spec.add_dummy_prefix);
        assert_eq!(steps, Steps { split_whitespace: true, ..Steps::default() });

        let escape = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let steps = json!([{"type": "Prepend", "prepend": "▁"}, escape]);
        let llama = with(json!({"type": "Sequence", "normalizers": steps}), Value::Null);
        let UnigramJson { model, steps, .. } = unigram(&llama);
        assert!(model.normalizer_spec.add_dummy_prefix && !model.normalizer_spec.remove_extra_whitespaces);
        assert_eq!(steps, Steps::default());
    }

    #[test]
    fn steps_that_are_not_sentencepieces_are_named() {
        let metaspace = || json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"});
        let usual = || sample()["normalizer"].clone();
        assert_eq!(why(json!({"type": "NFKC"}), metaspace()), "normalizer: NFKC");
        assert_eq!(why(json!({"type": "Nmt"}), metaspace()), "normalizer: Nmt");
        let both = json!({"type": "Strip", "strip_left": true, "strip_right": true});
        assert_eq!(why(both, metaspace()), "normalizer: Strip");
        assert!(why(Value::Null, metaspace()).contains("spaces are kept"));
        assert!(why(usual(), Value::Null).starts_with("no pre_tokenizer"));
        assert_eq!(why(usual(), json!({"type": "Digits"})), "pre_tokenizer: Digits");
        let never = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"});
        assert_eq!(why(usual(), never), "pre_tokenizer: Metaspace with prepend_scheme \"never\"");
        let line = json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"});
        assert_eq!(why(usual(), line), "pre_tokenizer: Metaspace with \"_\" instead of \"▁\"");
        let bad = json!({"type": "Precompiled", "precompiled_charsmap": "*"});
        assert!(why(bad, metaspace()).contains("not base64"));
        let words = json!([{"type": "WhitespaceSplit"}, {"type": "Metaspace", "prepend_scheme": "first"}]);
        let words = json!({"type": "Sequence", "pretokenizers": words});
        assert_eq!(why(Value::Null, words), "pre_tokenizer: Metaspace with prepend_scheme \"first\"");
    }
}
