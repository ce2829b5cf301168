//! The report of a made-up output folder, in both languages.

use std::path::Path;

use serde_json::json;
use t5kit_formats::lang::Lang;

use super::*;
use crate::{Program, Subcommand};

fn program() -> Program {
    let subcommands = ["convert", "trim", "count", "split", "finetune", "evaluate"];
    let subcommands = subcommands.map(|name| Subcommand { name: name.into(), keys: Vec::new() });
    Program { subcommands: subcommands.to_vec(), meant: |_, _| None }
}

fn story(folder: &Path) {
    let output = folder.join("out");
    for part in ["data", "run", "evaluation"] {
        std::fs::create_dir_all(output.join(part)).unwrap();
    }
    let write = |name: &str, text: String| std::fs::write(output.join(name), text).unwrap();
    let characters = json!({"mean": 20.5, "p95": 40, "longest": 60});
    let part = |name: &str, rows: usize, repeated: usize| {
        json!({"name": name, "rows": rows, "source": characters, "target": characters, "repeated": repeated,
            "first": [["<b>源", "标"]]})
    };
    let parts = [part("train", 800, 0), part("test", 1100, 3)];
    write(
        "data/split.json",
        json!({"input": ["a.tsv"], "seed": 3, "parts": parts, "left": 0, "blank": 0, "skipped": 0})
            .to_string(),
    );
    write(
        "run/train_log.jsonl",
        "{\"step\":1,\"loss\":2.5,\"lr\":0.1,\"grad_norm\":1,\"real_tokens\":90,\"seconds\":1,\"rss_bytes\":1}\n\
         {\"step\":2,\"loss\":1.5,\"lr\":0.1,\"grad_norm\":1,\"real_tokens\":90,\"seconds\":1,\"rss_bytes\":1}\n\
         {\"step\":2,\"epoch\":1.0,\"valid_loss\":1.25,\"best\":true,\"bleu\":0.5}\n"
            .into(),
    );
    let figure =
        |value: f64| json!({"value": value, "low": value - 0.01, "high": value + 0.01, "signature": "s"});
    let model = |name: &str, value: f64| {
        json!({"model": name, "metrics": {"rouge-l": figure(value), "sacrebleu:zh": figure(40.0)},
            "speed": {"samples_per_second": 2.5, "tokens_per_second": 50.0, "relative": 1.0}, "peak_memory_bytes": 5_000_000})
    };
    let evaluation = json!({"examples": 1100, "models": [model("run", 0.5), model("bert|x", 0.25)]});
    write("evaluation/evaluation.json", evaluation.to_string());
    write("evaluation/predictions.tsv", "source\treference\trun\tbert|x\n<i>甲\t乙\t乙\t丙\n".into());
    std::fs::write(
        folder.join("recipe.toml"),
        "name = 'a<b'\noutput = 'out'\n[model]\npath = 'm/n'\n[data]\nfile = 'a.tsv'\ntest = 10\n[finetune]\n[evaluate]\n",
    )
    .unwrap();
}

#[test]
fn the_story_is_told_whole_in_both_languages_and_is_markup_whatever_the_texts() {
    let folder = tempfile::tempdir().unwrap();
    story(folder.path());
    let program = Program { subcommands: vec![], ..program() };
    // Flags are the program's; of a program without any the recipe's own keys are left.
    let text = std::fs::read_to_string(folder.path().join("recipe.toml")).unwrap().replace("test = 10\n", "");
    let text = text.replace("[evaluate]\n", "");
    std::fs::write(folder.path().join("recipe.toml"), text).unwrap();
    let recipe = Recipe::read(&folder.path().join("recipe.toml"), &[], &program).unwrap();
    let mut stages = recipe.stages(&program);
    assert_eq!(stages.iter().map(|stage| stage.name).collect::<Vec<_>>(), ["data", "finetune"]);
    let mut evaluate = recipe.stages(&program).swap_remove(1);
    evaluate.name = "evaluate";
    stages.push(evaluate);
    for (lang, has) in [
        (
            Lang::En,
            ["a&lt;b · recipe", "1,100 examples", "40.00 <i>±0.01</i>", "To repeat it", "50.00 <i>±1.00</i>"],
        ),
        (Lang::Zh, ["a&lt;b · 配方", "1,100 条", "25.00 <i>±1.00</i>", "重复这次运行", "class=\"same\""]),
    ] {
        let story = Story {
            recipe: &recipe,
            stages: &stages,
            state: &State::default(),
            lang,
            program: "t5kit 0",
            machine: "a machine",
            date: "2026-01-01",
            typed: &|words| words.join(" "),
            again: "t5kit run recipe.toml",
        };
        let summary = write(&story).unwrap();
        assert!(summary.contains("rouge-l 50.00") && summary.contains("bleu 0.5000"), "{summary}");
        let page = std::fs::read_to_string(recipe.output.join(REPORT)).unwrap();
        for part in has {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<b>源") && !page.contains("<i>甲") && !page.contains("NaN"), "{page}");
        assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
        assert!(page.contains("<polyline") && page.contains("href=\"run/report.html\""));
        let text = std::fs::read_to_string(recipe.output.join(MARKDOWN)).unwrap();
        assert!(
            text.contains("| bert\\|x | 25.00 ±1.00 | 40.00 ±0.01 | 2.50 | 50 | 1.00x | 5.0 MB |"),
            "{text}"
        );
    }
}
