//! What the post-processor of a `tokenizer.json` puts around a text.

use serde_json::Value;

use super::{flat, kind};

/// The ids that a post-processor puts around a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wrap {
    /// What stands before the text.
    pub before: Vec<u32>,
    /// What stands behind it.
    pub after: Vec<u32>,
}

/// What a post-processor puts around a text; nothing where there is none, or it adds nothing.
///
/// # Errors
/// The step that is not known, or what is wrong with it.
pub(super) fn of(processor: Option<&Value>) -> Result<Option<Wrap>, String> {
    let mut found = Wrap::default();
    for step in processor.into_iter().flat_map(flat) {
        if let Some(Wrap { mut before, after }) = one(step)? {
            // Each step wraps what the ones before it gave.
            before.append(&mut found.before);
            found.before = before;
            found.after.extend(after);
        }
    }
    Ok((found != Wrap::default()).then_some(found))
}

/// What one post-processor puts around a text; nothing where it only moves offsets.
fn one(step: &Value) -> Result<Option<Wrap>, String> {
    let id = |value: Option<&Value>| value.and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    match kind(step) {
        "ByteLevel" => Ok(None),
        name @ ("BertProcessing" | "RobertaProcessing") => {
            let token = |field: &str| {
                id(step.get(field).and_then(|pair| pair.get(1))).ok_or(format!("{name} without {field}"))
            };
            Ok(Some(Wrap { before: vec![token("cls")?], after: vec![token("sep")?] }))
        }
        "TemplateProcessing" => {
            let steps = step.get("single").and_then(Value::as_array).ok_or("a template without single")?;
            let tokens = step.get("special_tokens");
            let mut wrap = Wrap::default();
            let mut behind = false;
            for step in steps {
                if step.get("Sequence").is_some() {
                    behind = true;
                    continue;
                }
                let name = step.get("SpecialToken").and_then(|token| token.get("id")).and_then(Value::as_str);
                let name = name.ok_or("a template with a step that is neither Sequence nor SpecialToken")?;
                let ids = tokens.and_then(|tokens| tokens.get(name)?.get("ids")?.as_array());
                for value in ids.ok_or_else(|| format!("a template without the ids of {name}"))? {
                    let id = id(Some(value)).ok_or_else(|| format!("{value} is no id of {name}"))?;
                    if behind { &mut wrap.after } else { &mut wrap.before }.push(id);
                }
            }
            Ok(Some(wrap))
        }
        other => Err(format!("{other} is not known")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrap(before: &[u32], after: &[u32]) -> Result<Option<Wrap>, String> {
        Ok(Some(Wrap { before: before.into(), after: after.into() }))
    }

    #[test]
    fn every_kind() {
        assert_eq!(of(None), Ok(None));
        assert_eq!(of(Some(&Value::Null)), Ok(None));
        assert_eq!(of(Some(&json!({"type": "ByteLevel"}))), Ok(None));
        let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1]});
        assert_eq!(of(Some(&roberta)), wrap(&[1], &[2]));
        let template = json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "a"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "b"}}],
            "special_tokens": {"a": {"id": "a", "ids": [7, 8]}, "b": {"id": "b", "ids": [9]}}});
        assert_eq!(of(Some(&template)), wrap(&[7, 8], &[9]));
        let both = json!({"type": "Sequence", "processors": [template, {"type": "ByteLevel"}, roberta]});
        assert_eq!(of(Some(&both)), wrap(&[1, 7, 8], &[9, 2]));
        assert_eq!(of(Some(&json!({"type": "X"}))), Err("X is not known".into()));
        let mut lacking = template.clone();
        lacking["special_tokens"] = json!({});
        assert_eq!(of(Some(&lacking)), Err("a template without the ids of a".into()));
        lacking["single"] = json!([{}]);
        assert!(of(Some(&lacking)).unwrap_err().contains("neither Sequence"));
    }
}
