//! Recipes as files: their schema, those that are written, with a model of the hub, with a stage of pre-training.

mod common;
#[path = "../../formats/tests/hub_server/mod.rs"]
mod hub_server;

use common::kitchen::{Kitchen, RECIPE, ran};
use common::model::{hugging_face, pairs};
use common::{arg, finish, names, program, run};
use hub_server::{NAME, Site, serve};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[test]
fn the_schema_is_what_is_committed_and_every_recipe_satisfies_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let printed = run(["recipe", "schema"]).ok();
    let committed = std::fs::read_to_string(root.join("schema.json")).unwrap();
    assert!(printed == committed, "recipes/schema.json is old: t5kit recipe schema > recipes/schema.json");
    let schema: Value = serde_json::from_str(&printed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pairs = pairs(folder.path(), "pairs.tsv", 6);
    let mut checked = 0;
    for name in names(&root).into_iter().filter(|name| name.ends_with(".toml")) {
        let recipe = root.join(&name);
        let text = std::fs::read_to_string(&recipe).unwrap();
        let value = toml(&text);
        if let Err(why) = satisfies(&value, &schema) {
            panic!("{name}: {why}");
        }
        let mut command = program();
        command.args(["recipe", "check", arg(&recipe)]);
        for part in ["file", "train", "valid", "test"] {
            if value["data"][part].is_string() {
                command.args(["--set", &format!("data.{part}={}", pairs.display())]);
            }
        }
        let said = finish(&mut command).ok();
        assert!(said.contains("finetune, evaluate"), "{said}");
        checked += 1;
    }
    assert!(checked >= 8, "{checked}");
    let bad = serde_json::json!({"model": {"path": "x"}, "finetune": {"epochs": "two"}});
    assert!(satisfies(&bad, &schema).unwrap_err().contains("finetune.epochs"));
    let bad = serde_json::json!({"model": {"path": "x", "pth": 1}});
    assert!(satisfies(&bad, &schema).unwrap_err().contains("pth"));
    assert!(satisfies(&serde_json::json!({}), &schema).unwrap_err().contains("model"));
}

/// A recipe as JSON has it.
fn toml(text: &str) -> Value {
    fn of(item: &toml_edit::Item) -> Value {
        match item {
            toml_edit::Item::Table(table) => {
                table.iter().map(|(key, item)| (key.to_owned(), of(item))).collect()
            }
            toml_edit::Item::ArrayOfTables(tables) => {
                let tables = tables.iter().map(|table| of(&toml_edit::Item::Table(table.clone())));
                Value::Array(tables.collect())
            }
            toml_edit::Item::Value(value) => match value {
                toml_edit::Value::String(text) => Value::from(text.value().as_str()),
                toml_edit::Value::Integer(n) => Value::from(*n.value()),
                toml_edit::Value::Float(x) => Value::from(*x.value()),
                toml_edit::Value::Boolean(truth) => Value::from(*truth.value()),
                toml_edit::Value::Array(list) => {
                    list.iter().map(|value| of(&toml_edit::Item::Value(value.clone()))).collect()
                }
                other => panic!("{other:?} is in no recipe"),
            },
            toml_edit::Item::None => Value::Null,
        }
    }
    let document = toml_edit::Document::parse(text.to_owned()).unwrap();
    document.as_table().iter().map(|(key, item)| (key.to_owned(), of(item))).collect()
}

/// Whether a value is as the schema says, as far as recipes' schemas go: types, enumerations, objects, lists, alternatives.
fn satisfies(value: &Value, schema: &Value) -> Result<(), String> {
    if let Some(any) = schema["anyOf"].as_array() {
        return match any.iter().any(|one| satisfies(value, one).is_ok()) {
            true => Ok(()),
            false => Err(format!("{value} is none of {any:?}")),
        };
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) { Ok(()) } else { Err(format!("{value} is none of {words:?}")) };
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("{other} is in no schema of recipes"),
    };
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        other => panic!("{other} is no type"),
    };
    if !kinds.iter().any(|kind| is(kind)) {
        return Err(format!("{value} is no {}", kinds.join(" or ")));
    }
    for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(key).is_none() {
            return Err(format!("{key} is missing"));
        }
    }
    for (key, value) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(key) {
            Some(property) => satisfies(value, property).map_err(|why| format!("{key}.{why}"))?,
            None => return Err(format!("{key} is no key")),
        }
    }
    value.as_array().into_iter().flatten().try_for_each(|item| satisfies(item, &schema["items"]))
}

#[test]
fn a_recipe_is_written_from_a_table_checked_and_run() {
    let kitchen = Kitchen::new("");
    let folder = kitchen.path("");
    let here = |args: &[&str]| finish(program().current_dir(&folder).args(args));
    here(&["recipe", "new", "mine.toml", "--model", "m"]).is_wrong_usage("--data");
    here(&["recipe", "new", "mine.toml", "--data", "pairs.tsv", "--model", "mt5-tiny", "--effort", "quick"])
        .ok();
    here(&["recipe", "new", "mine.toml", "--data", "pairs.tsv"]).fails(&["mine.toml", "exists"]);
    let text = std::fs::read_to_string(kitchen.path("mine.toml")).unwrap();
    for part in
        ["output = \"mine.run\"", "epochs = 3", "source = 1", "header = false", "[trim]", "# [export]"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(
        here(&["recipe", "check", "mine.toml"]).ok(),
        "mine.toml: trim, data, finetune, evaluate, into mine.run\n"
    );
    here(&["recipe", "check", "mine.toml", "--set", "data.file=x"])
        .fails(&["--set data.file", "no such file"]);
}

#[test]
fn the_same_recipe_runs_with_a_model_of_the_hub() {
    let kitchen = Kitchen::new(
        &RECIPE
            .replace("config = \"config.json\"\ntokenizer = \"spiece.model\"", &format!("path = \"{NAME}\"")),
    );
    let hf = hugging_face(&kitchen.path(""));
    let files = names(&hf).into_iter().map(|n| (n.clone(), std::fs::read(hf.join(n)).unwrap()));
    let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let site = Arc::new(Mutex::new(Site { commit, files: files.collect(), ..Site::default() }));
    let (endpoint, home) = (serve(&site), tempfile::tempdir().unwrap());
    let run = |args: &[&str]| {
        let mut command = program();
        for name in
            ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy"]
        {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", &endpoint).env("HF_HOME", home.path());
        finish(command.current_dir(kitchen.path("")).args(["run", "r.toml"]).args(args))
    };
    // A dry run fetches nothing.
    let dry = run(&["--dry-run"]).ok();
    assert!(dry.contains("cannot be told yet") && site.lock().unwrap().log.is_empty(), "{dry}");
    let told = run(&[]);
    assert_eq!(told.code, 0, "{told:#?}");
    assert_eq!(ran(&told), ["count", "trim", "split", "finetune"]);
    assert!(told.stderr.contains(&format!("--model {NAME} ")), "{told:#?}");
    let dry = run(&["--dry-run", "--force", "--set", "trim.min_count=2"]).ok();
    assert!(dry.contains("to do again: was made with min_count 1, now 2"), "{dry}");
}

const PRETRAIN: &str = "name = \"text first\"\noutput = \"out\"\nthreads = 1\n\n\
    [model]\nconfig = \"config.json\"\ntokenizer = \"spiece.model\"\n\n\
    [data]\nfile = \"pairs.tsv\"\nvalid = 8\n\n\
    [pretrain]\ndata = [\"corpus.txt\", \"more=2\", \"n*s.txt\"]\nmax_steps = 6\nbatch_size = 4\nmax_source_length = 16\n\
    objective = \"deshuffling\"\nheld_out = 0\n\n\
    [finetune]\nepochs = 1\nbatch_size = 8\nmax_target_length = 8\n";

#[test]
fn a_recipe_can_learn_from_text_first() {
    let kitchen = Kitchen::new(PRETRAIN);
    let corpus = std::fs::read_to_string(kitchen.path("corpus.txt")).unwrap();
    std::fs::create_dir(kitchen.path("more")).unwrap();
    for name in ["more/a.txt", "news.txt"] {
        std::fs::write(kitchen.path(name), &corpus).unwrap();
    }
    for (lang, parts) in [
        ("en", ["pretrain", "training: about", "6 steps of 4 examples", "memory: up to"]),
        ("zh", ["预训练", "训练：约", "6 步", "内存：最多"]),
    ] {
        let dry = ["run", "r.toml", "--dry-run"];
        let mut command = program();
        let dry = finish(command.current_dir(kitchen.path("")).env("T5KIT_LANG", lang).args(dry)).ok();
        for part in parts {
            assert!(dry.contains(part), "{part} in {dry}");
        }
    }
    let told = kitchen.run(&[]);
    assert_eq!(
        (told.code, ran(&told)),
        (0, vec!["convert".into(), "split".into(), "pretrain".into(), "finetune".into()]),
        "{told:#?}"
    );
    let said = |part: &str| assert!(told.stderr.contains(part), "{part} in {told:#?}");
    said("--data corpus.txt --data more=2");
    said("$ t5kit finetune --model out/pretrained");
    let page = std::fs::read_to_string(kitchen.path("out/report.html")).unwrap();
    assert!(
        page.contains("<a href=\"pretrained/report.html\">pretrain</a>") && page.contains("6 steps"),
        "{page}"
    );
    let own = std::fs::read_to_string(kitchen.path("out/pretrained/report.html")).unwrap();
    assert!(own.contains("t5kit pretrain --model out/model"), "the command that repeats it");
    assert!(ran(&kitchen.run(&[])).is_empty());
    // What files in a folder, or of a pattern, hold is what the stage was made from, and so are weights.
    for change in ["more/a.txt", "news.txt"] {
        std::fs::write(kitchen.path(change), corpus.clone() + "甲乙丙丁\n").unwrap();
        kitchen.run(&[]).fails(&["pretrain was made with", "--force"]);
        std::fs::write(kitchen.path(change), &corpus).unwrap();
        assert!(ran(&kitchen.run(&[])).is_empty());
    }
    kitchen.change("more=2", "more=3");
    kitchen.run(&[]).fails(&["pretrain was made with"]);
    assert_eq!(ran(&kitchen.run(&["--force"])), ["pretrain", "finetune"]);
}

#[test]
fn pretraining_in_a_recipe_is_refused_at_its_place() {
    let kitchen = Kitchen::new(PRETRAIN);
    std::fs::create_dir(kitchen.path("more")).unwrap();
    let line = |part: &str| 1 + PRETRAIN[..PRETRAIN.find(part).unwrap()].matches('\n').count();
    for (from, to, parts) in [
        (
            "max_steps = 6\n",
            "",
            vec!["[pretrain] needs max_steps".to_owned(), format!("r.toml:{}", line("[pretrain]"))],
        ),
        ("data = [\"corpus.txt\", \"more=2\", \"n*s.txt\"]\n", "", vec!["[pretrain] needs data".to_owned()]),
        (
            "held_out = 0",
            "held_out = 1",
            vec!["pretrain.held_out".to_owned(), format!("r.toml:{}", line("held_out"))],
        ),
        ("held_out = 0", "batch_tokens = 99", vec!["pretrain.batch_tokens".to_owned()]),
        ("held_out = 0", "output = 'x'", vec!["[pretrain] output: the recipe sets this itself".to_owned()]),
        ("held_out = 0", "epochs = 2", vec!["[pretrain] has no such key".to_owned()]),
        ("more=2", "mist=2", vec!["pretrain.data: mist: no such file or folder".to_owned()]),
    ] {
        kitchen.change(from, to);
        let told = kitchen.run(&["--dry-run"]);
        assert!(told.code != 0 && told.stderr.lines().count() == 1, "{told:#?}");
        for part in parts {
            assert!(told.stderr.contains(&part), "{part} in {told:#?}");
        }
        std::fs::write(kitchen.path("r.toml"), PRETRAIN).unwrap();
    }
}
