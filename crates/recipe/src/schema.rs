//! The JSON schema of recipes, made from the same keys that recipes are checked by.

use serde_json::{Map, Value, json};

use crate::keys::{Key, Kind, Program, SECTIONS, own};

/// The schema (draft 2020-12), for editors that complete and check TOML by one.
pub fn schema(program: &Program) -> Value {
    let mut properties = object(&own(""));
    let mut sections = Map::new();
    for section in &SECTIONS {
        let keys = section.keys(program);
        let mut properties = object(&keys);
        if section.name == "trim" {
            let count =
                SECTIONS.iter().find(|section| section.name == "trim.count").expect("it is in the table");
            properties.insert("count".into(), closed(count.help, object(&count.keys(program))));
        }
        if !section.name.contains('.') {
            sections.insert(section.name.into(), closed(section.help, properties));
        }
    }
    let compare = closed("Other models in the table of [evaluate]", object(&own("compare")));
    sections.insert("compare".into(), json!({"type": "array", "items": compare}));
    properties.append(&mut sections);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "t5kit recipe",
        "type": "object",
        "properties": properties,
        "required": ["model"],
        "additionalProperties": false,
    })
}

fn closed(help: &str, properties: Map<String, Value>) -> Value {
    json!({"description": help, "type": "object", "properties": properties, "additionalProperties": false})
}

fn object(keys: &[Key]) -> Map<String, Value> {
    keys.iter().map(|key| (key.name(), of(key))).collect()
}

fn of(key: &Key) -> Value {
    let one = match &key.kind {
        Kind::Switch | Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Text => json!({"type": ["string", "number"]}),
    };
    let mut any = vec![one.clone()];
    if key.several {
        any.push(json!({"type": "array", "items": one}));
    }
    if key.bare {
        any.push(json!({"type": "boolean"}));
    }
    let mut all = if any.len() == 1 { any.remove(0) } else { json!({"anyOf": any}) };
    if let Some(all) = all.as_object_mut() {
        all.insert("description".into(), json!(key.help));
        if let Some(default) = &key.default {
            let value = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
            all.insert("default".into(), value);
        }
    }
    all
}
