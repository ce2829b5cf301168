//! What stands at the end of each subcommand's help: examples, and the environment variables that it reads.

use clap::Command;

/// Examples by subcommand, as they are typed; a test has the program understand every one of them.
const EXAMPLES: [(&str, &[&str]); 21] = [
    (
        "tokenize",
        &[
            "t5kit tokenize --tokenizer mt5-small < lines.txt > ids.txt",
            "t5kit tokenize --tokenizer spiece.model --output pieces < lines.txt",
        ],
    ),
    ("detokenize", &["t5kit detokenize --tokenizer mt5-small < ids.txt > lines.txt"]),
    (
        "count",
        &[
            "t5kit count --tokenizer mt5-small --output counts.tsv corpus.txt news.jsonl.gz",
            "t5kit count --tokenizer mt5-small --output counts.tsv --resume corpus.txt news.jsonl.gz",
            "t5kit count --tokenizer mt5-small --output all.tsv --merge monday.tsv tuesday.tsv",
        ],
    ),
    (
        "trim",
        &[
            "t5kit trim --model google/mt5-small --counts zh --min-count 1000 --output mt5-zh",
            "t5kit trim --model mt5-small --counts zh --counts mine.tsv --coverage 0.9999 --output mt5-mine",
        ],
    ),
    ("inspect", &["t5kit inspect --model google/mt5-small", "t5kit inspect --model run --json"]),
    (
        "convert",
        &[
            "t5kit convert --model mt5/model.ckpt-1000000 --tokenizer mt5 --output mt5-small",
            "t5kit convert --model google/mt5-small --adapter run --dtype bf16 --output merged",
            "t5kit convert --model run --dtype int8 --check test.tsv --output run-int8",
        ],
    ),
    (
        "pretrain",
        &[
            "t5kit pretrain --model mt5-zh --data corpus.txt --max-steps 10000 --output pretrained",
            "t5kit pretrain --model mt5-zh --data news.jsonl.gz=2 books --max-steps 10000 -o pretrained",
            "t5kit pretrain --model mt5-zh --data news --objective ul2 --max-steps 10000 -o pretrained",
        ],
    ),
    (
        "finetune",
        &[
            "t5kit finetune --model mt5-zh --train train.tsv --valid valid.tsv --output run",
            "t5kit finetune --model mt5-zh --train train.tsv --valid valid.tsv --output run --resume",
            "t5kit finetune --model mt5-zh --train csl.tsv --valid dev.tsv --preset bojone --output run",
            "t5kit finetune --model google/mt5-small --train train.tsv --lora-rank 8 --lr 1e-3 --output run",
            "t5kit finetune --model mt5-zh --mixture mixture.toml --output run",
        ],
    ),
    (
        "generate",
        &[
            "t5kit generate --model run < sources.txt > predictions.txt",
            "t5kit generate --model run --num-beams 4 --num-return-sequences 4 --json < sources.txt",
            "t5kit generate --model run --temperature 0.8 --top-p 0.9 --seed 7 < sources.txt",
        ],
    ),
    (
        "split",
        &[
            "t5kit split --input title.tsv --source 2 --target 3 --valid 100 --test 100 --output data",
            "t5kit split --input reviews.csv --valid 0.05 --label 1=正面 --label 0=负面 --output data",
            "t5kit split --train train.jsonl --test dev.jsonl --source sentence --target label_desc -o data",
        ],
    ),
    (
        "run",
        &[
            "t5kit run recipe.toml",
            "t5kit run recipe.toml --dry-run",
            "t5kit run recipes/csl_title_mt5_small.toml --set data.file=title.tsv --set finetune.epochs=3",
        ],
    ),
    (
        "recipe",
        &[
            "t5kit recipe new titles.toml",
            "t5kit recipe new titles.toml --data title.tsv --source 2 --target 3 --model google/mt5-small",
            "t5kit recipe check titles.toml",
            "t5kit recipe schema > schema.json",
        ],
    ),
    (
        "objective",
        &[
            "t5kit objective --show",
            "t5kit objective --show --objective span-corruption --tokenizer mt5-small --json < lines.txt",
            "t5kit objective --show --objective ul2,prefix-lm --tokenizer mt5-small --text 今天天气不错",
        ],
    ),
    ("score", &["t5kit score --model run --input pairs.tsv > scores.tsv"]),
    (
        "evaluate",
        &[
            "t5kit evaluate --model run --data test.tsv --output evaluation",
            "t5kit evaluate --model runs/mt5 runs/bert --name mT5,BERT --data test.tsv --output table",
            "t5kit evaluate --model run --data test.tsv --metric rouge_score:char,sacrebleu:zh,chrf --json",
            "t5kit evaluate --model run --suite zero-shot --task xquad --data xquad --output table",
            "t5kit evaluate --model run --mixture mixture.toml --constrain labels --output table",
        ],
    ),
    (
        "bench",
        &[
            "t5kit bench --model run",
            "t5kit bench --model run --batch-size 1,16,32 --num-beams 1,4 --dtype f32,bf16,int8",
            "t5kit bench --model run --input papers.tsv --source 2 --max-new-tokens 64 --json",
        ],
    ),
    (
        "metrics",
        &[
            "t5kit metrics --predictions predictions.txt --references references.txt",
            "t5kit metrics --predictions predictions.txt --references references.txt --metric sacrebleu:zh,chrf",
            "t5kit metrics --predictions a.txt --against b.txt --references right.txt --metric rouge_score:char",
        ],
    ),
    ("compare", &["t5kit compare run1 run2 --output compare.html"]),
    ("demo", &["t5kit demo", "t5kit demo --output story --pairs 2000 --epochs 2"]),
    (
        "completions",
        &[
            "t5kit completions bash > ~/.local/share/bash-completion/completions/t5kit",
            "t5kit completions zsh > ~/.zfunc/_t5kit",
        ],
    ),
    ("man", &["t5kit man finetune > t5kit-finetune.1", "t5kit man --output ~/.local/share/man/man1"]),
];

/// Variables, what they are for, and the flag without which a subcommand does not read them (`None`: each does).
const ENVIRONMENT: [(&str, Option<&str>, &str); 9] = [
    ("T5KIT_LANG", None, "language of reports, notes and the demo: en, zh [default: the locale's]"),
    ("T5KIT_ISA", None, "instruction set: portable, avx2, avx512, neon [default: the best that is there]"),
    (
        "T5KIT_BF16",
        Some("model"),
        "products in bf16: portable, avx512-bf16, amx, neon-bf16 [default: the fastest]",
    ),
    (
        "T5KIT_INT8",
        Some("model"),
        "products in int8: portable, avx2, avx-vnni, avx512-vnni, neon, neon-dotprod",
    ),
    ("HF_ENDPOINT", Some("model"), "where names on the hub are fetched [default: https://huggingface.co]"),
    ("HF_HOME", Some("model"), "folder of the hub's tools [default: ~/.cache/huggingface]"),
    ("HF_HUB_CACHE", Some("model"), "where fetched models are kept [default: hub in HF_HOME]"),
    ("HF_HUB_OFFLINE", Some("model"), "1: fetch nothing"),
    ("HF_TOKEN", Some("model"), "for models that need one [default: what hf auth login wrote]"),
];

/// The same subcommand with its examples and environment variables at the end of its help.
pub fn with_examples(command: Command) -> Command {
    let before = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let mut parts: Vec<String> = before.into_iter().collect();
    if let Some((_, lines)) = EXAMPLES.iter().find(|(name, _)| *name == command.get_name()) {
        parts.push(format!("Examples:\n  {}", lines.join("\n  ")));
    }
    let reads = |flag: Option<&str>| {
        flag.is_none_or(|flag| command.get_arguments().any(|argument| argument.get_long() == Some(flag)))
    };
    let lines = ENVIRONMENT.iter().filter(|(_, flag, _)| reads(*flag));
    let lines: Vec<String> = lines.map(|(name, _, what)| format!("  {name:<15} {what}")).collect();
    parts.push(format!("Environment:\n{}", lines.join("\n")));
    command.after_long_help(parts.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_examples_and_each_is_understood() {
        for command in super::super::command().get_subcommands() {
            let name = command.get_name();
            let examples = EXAMPLES.iter().find(|(known, _)| *known == name);
            let (_, lines) = examples.unwrap_or_else(|| panic!("{name} has no example"));
            for line in *lines {
                assert!(line.len() <= 98, "wrapped: {line}");
                let words = line.split(' ').take_while(|word| !["<", ">", "|"].contains(word));
                if let Err(error) = super::super::parse(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn long_help_ends_with_the_variables() {
        for mut command in super::super::command().get_subcommands().cloned() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:\n  t5kit ") && help.contains("T5KIT_ISA"), "{help}");
        }
    }
}
