//! Records out of JSON values: of files as people keep their examples in.
//!
//! | value | records |
//! |---|---|
//! | an object | itself |
//! | a list of texts and numbers | its elements, called `1`, `2`, … |
//! | a text | itself, called `text` |
//! | an object with a list of objects in `data`, `rows`, … | those of the list |
//! | `paragraphs`, `qas` (SQuAD, CMRC) | one a question: `title`, `context`, `question`, `answer` (the first), `id` |
//! | `conversations`, `messages` (ShareGPT, OpenAI) | one an answer: `source` (what it answers), `target`, `system`, `history` |

use serde_json::{Map, Value};

/// One record.
pub(super) type Record = Map<String, Value>;

/// Where lists of records are kept within an object.
const LISTS: [&str; 9] =
    ["data", "rows", "examples", "instances", "records", "items", "train", "validation", "test"];
const TURNS: [&str; 3] = ["conversations", "conversation", "messages"];

/// The records of one value, which is wrong where it is no value that could hold any.
pub(super) fn records(value: Value) -> Result<Vec<Record>, String> {
    let mut out = Vec::new();
    add(value, &mut out)?;
    Ok(out)
}

fn add(value: Value, out: &mut Vec<Record>) -> Result<(), String> {
    match value {
        Value::Object(object) => add_object(object, out),
        Value::Array(list) => {
            if list.iter().any(|element| element.is_array() || element.is_object()) {
                return Err("a list of lists, where a record is expected".into());
            }
            let cells = list.into_iter().enumerate();
            out.push(cells.map(|(i, cell)| ((i + 1).to_string(), cell)).collect());
            Ok(())
        }
        Value::String(text) => {
            out.push(Map::from_iter([("text".to_owned(), Value::String(text))]));
            Ok(())
        }
        other => Err(format!("{other} is no record: an object is expected")),
    }
}

fn add_object(mut object: Record, out: &mut Vec<Record>) -> Result<(), String> {
    let lists =
        |value: &Value| matches!(value, Value::Array(list) if list.first().is_some_and(Value::is_object));
    if let Some(key) = LISTS.into_iter().find(|key| object.get(*key).is_some_and(lists)) {
        if let Some(Value::Array(list)) = object.remove(key) {
            return list.into_iter().try_for_each(|value| add(value, out));
        }
        return Ok(());
    }
    if object.get("paragraphs").is_some_and(lists) {
        let title = object.remove("title");
        if let Some(Value::Array(paragraphs)) = object.remove("paragraphs") {
            for paragraph in paragraphs {
                let Value::Object(paragraph) = paragraph else {
                    return Err("\"paragraphs\" holds something else than objects".into());
                };
                add_questions(title.as_ref(), paragraph, out)?;
            }
        }
        return Ok(());
    }
    if object.get("qas").is_some_and(Value::is_array) {
        return add_questions(None, object, out);
    }
    if let Some(key) = TURNS.into_iter().find(|key| object.get(*key).is_some_and(lists)) {
        return add_turns(key, object, out);
    }
    out.push(object);
    Ok(())
}

/// The first of these keys that an object has.
fn first<'o>(object: &'o Record, keys: &[&str]) -> Option<&'o Value> {
    keys.iter().find_map(|key| object.get(*key))
}

/// A paragraph's questions.
fn add_questions(title: Option<&Value>, mut paragraph: Record, out: &mut Vec<Record>) -> Result<(), String> {
    let Some(Value::Array(questions)) = paragraph.remove("qas") else {
        return Err("a paragraph without \"qas\"".into());
    };
    let title = title.or(paragraph.get("title")).cloned();
    let context = first(&paragraph, &["context", "context_text"]).cloned().unwrap_or(Value::Null);
    for question in questions {
        let Value::Object(question) = question else {
            return Err("\"qas\" holds something else than objects".into());
        };
        let answer = match first(&question, &["answers", "answer"]) {
            Some(Value::Array(answers)) => answers.first(),
            other => other,
        };
        let answer = match answer {
            Some(Value::Object(answer)) => answer.get("text"),
            other => other,
        };
        let mut record = Record::new();
        record.extend(title.clone().map(|title| ("title".to_owned(), title)));
        record.insert("context".to_owned(), context.clone());
        let asked = first(&question, &["question", "query_text", "query"]).cloned().unwrap_or(Value::Null);
        record.insert("question".to_owned(), asked);
        record.insert("answer".to_owned(), answer.cloned().unwrap_or(Value::Null));
        let id = first(&question, &["id", "query_id"]).cloned();
        record.extend(id.map(|id| ("id".to_owned(), id)));
        out.push(record);
    }
    Ok(())
}

/// A conversation's answers.
fn add_turns(key: &str, mut object: Record, out: &mut Vec<Record>) -> Result<(), String> {
    let Some(Value::Array(turns)) = object.remove(key) else { return Ok(()) };
    let mut system = match object.remove("system") {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    let (mut history, mut asked): (Vec<String>, Option<String>) = (Vec::new(), None);
    let before = out.len();
    for turn in turns {
        let Value::Object(turn) = turn else {
            return Err(format!("{key:?} holds something else than objects"));
        };
        let text = |keys: &[&str]| match first(&turn, keys) {
            Some(Value::String(text)) => Some(text.clone()),
            _ => None,
        };
        let (Some(who), Some(said)) = (text(&["from", "role"]), text(&["value", "content"])) else {
            return Err(format!(
                "a turn of {key:?} without \"from\" and \"value\", or \"role\" and \"content\""
            ));
        };
        match who.to_lowercase().as_str() {
            "system" => system = said,
            "gpt" | "assistant" | "bot" | "chatgpt" | "bing" | "bard" | "model" => {
                // An answer to nothing opens the conversation: there is nothing to learn it from.
                if let Some(source) = asked.take() {
                    let mut record = Record::new();
                    record.insert("source".to_owned(), Value::String(source.clone()));
                    record.insert("target".to_owned(), Value::String(said.clone()));
                    record.insert("system".to_owned(), Value::String(system.clone()));
                    record.insert("history".to_owned(), Value::String(history.join("\n")));
                    for (name, value) in &object {
                        record.entry(name.clone()).or_insert_with(|| value.clone());
                    }
                    out.push(record);
                    history.push(source);
                }
                history.push(said);
            }
            "human" | "user" => {
                history.extend(asked.take());
                asked = Some(said);
            }
            other => {
                return Err(format!(
                    "{key:?}: nobody knows who {other:?} is: human or gpt, user or assistant"
                ));
            }
        }
    }
    match out.len() > before {
        true => Ok(()),
        false => Err(format!("{key:?} holds no answer")),
    }
}

/// Whether an object, of which perhaps only the beginning `head` is there, holds more than one record: its own keys
/// say so.
pub(super) fn holds_records(head: &[u8]) -> bool {
    // At depth 1 a text before a colon is a key; what follows the colon is a list or not.
    let (mut depth, mut at, mut key) = (0, 0, &b""[..]);
    while at < head.len() {
        match head[at] {
            b'"' => {
                let start = at + 1;
                at = start;
                while at < head.len() && head[at] != b'"' {
                    at += if head[at] == b'\\' { 2 } else { 1 };
                }
                if depth == 1 {
                    key = head.get(start..at).unwrap_or_default();
                }
            }
            b'{' => depth += 1,
            b'[' => {
                let inside = head[at + 1..].trim_ascii_start();
                let of_objects = inside.first().is_none_or(|&byte| byte == b'{');
                let named = |names: &[&str]| names.iter().any(|name| name.as_bytes() == key);
                if depth == 1
                    && of_objects
                    && (named(&LISTS) || named(&TURNS) || named(&["paragraphs", "qas"]))
                {
                    return true;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return false;
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: Value) -> Vec<String> {
        records(value).unwrap().into_iter().map(|record| Value::from(record).to_string()).collect()
    }

    #[test]
    fn questions() {
        let squad = json!({"version": "1", "data": [{"title": "甲", "paragraphs": [{"context": "文", "qas": [
            {"question": "问？", "id": "1", "answers": [{"text": "答", "answer_start": 0}, {"text": "二"}]},
            {"question": "无？", "id": "2", "is_impossible": true, "answers": []},
        ]}]}]});
        assert_eq!(
            shown(squad.clone()),
            [
                r#"{"title":"甲","context":"文","question":"问？","answer":"答","id":"1"}"#,
                r#"{"title":"甲","context":"文","question":"无？","answer":null,"id":"2"}"#,
            ]
        );
        let cmrc = json!({"context_id": "T", "context_text": "文", "title": "题", "qas": [
            {"query_text": "问", "query_id": "Q", "answers": ["答", "答"]}]});
        assert_eq!(shown(cmrc), [r#"{"title":"题","context":"文","question":"问","answer":"答","id":"Q"}"#]);
        assert!(holds_records(squad.to_string().as_bytes()));
        assert!(holds_records(br#"{"x": {"data": 1}, "data": ["#));
        assert!(!holds_records(br#"{"x": {"data": [{}]}, "data": "a"} {"data": [{"#));
        assert!(!holds_records(br#"{"data": [1, 2]}"#));
    }

    #[test]
    fn conversations() {
        let talk = json!({"id": 7, "conversations": [
            {"from": "gpt", "value": "您好"}, {"from": "human", "value": "一"}, {"from": "gpt", "value": "二"},
            {"from": "human", "value": "三"}, {"from": "gpt", "value": "四"}, {"from": "human", "value": "五"}]});
        assert_eq!(
            shown(talk),
            [
                r#"{"source":"一","target":"二","system":"","history":"您好","id":7}"#,
                r#"{"source":"三","target":"四","system":"","history":"您好\n一\n二","id":7}"#,
            ]
        );
        let chat = json!({"messages": [{"role": "system", "content": "译"}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": "甲"}]});
        assert_eq!(shown(chat), [r#"{"source":"a","target":"甲","system":"译","history":""}"#]);
        let none = json!({"messages": [{"role": "user", "content": "a"}]});
        assert!(records(none).unwrap_err().contains("no answer"));
        let who = json!({"messages": [{"role": "tool", "content": "a"}]});
        assert!(records(who).unwrap_err().contains("tool"));
    }

    #[test]
    fn lists_and_texts() {
        assert_eq!(shown(json!(["甲", 1, null])), [r#"{"1":"甲","2":1,"3":null}"#]);
        assert_eq!(shown(json!("甲")), [r#"{"text":"甲"}"#]);
        assert_eq!(shown(json!({"a": [1], "data": "x"})), [r#"{"a":[1],"data":"x"}"#]);
        assert!(records(json!([[1]])).is_err() && records(json!(1)).is_err());
    }
}
