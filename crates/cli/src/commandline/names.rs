//! Names for the same things: those that other programs have for our flags, which are taken, and those that are near in
//! meaning, which are suggested.

use clap::Arg;

/// Flags by the names that transformers' and other scripts have for exactly the same. Every name is also taken with
/// underscores.
const ALIASES: [(&str, &[&str]); 36] = [
    ("adapter", &["peft-model"]),
    ("batch-size", &["per-device-train-batch-size", "train-batch-size"]),
    ("best-metric", &["metric-for-best-model"]),
    ("dropout", &["dropout-rate"]),
    ("dtype", &["torch-dtype"]),
    ("epochs", &["num-train-epochs", "num-epochs", "epoch"]),
    ("eval-every", &["eval-steps"]),
    ("eval-max-examples", &["max-eval-samples"]),
    ("force", &["overwrite", "overwrite-output-dir"]),
    ("gradient-accumulation", &["gradient-accumulation-steps", "grad-accum"]),
    ("label-smoothing", &["label-smoothing-factor"]),
    ("learning-rate", &["lr"]),
    ("lora-rank", &["lora-r"]),
    ("lora-targets", &["lora-target-modules", "target-modules"]),
    ("max-grad-norm", &["clip-norm", "grad-clip"]),
    ("max-new-tokens", &["max-tokens"]),
    ("max-source-length", &["max-source-len", "max-input-length", "max-input-len"]),
    ("max-target-length", &["max-target-len", "max-output-length", "max-output-len"]),
    ("metric", &["metrics"]),
    ("model", &["model-name-or-path", "base-model"]),
    ("num-beams", &["beam-size", "beams"]),
    ("num-return-sequences", &["num-hypotheses", "n-best"]),
    ("optimizer", &["optim"]),
    ("output", &["output-dir", "output-file", "out"]),
    ("predictions", &["hypotheses", "preds"]),
    ("recompute", &["gradient-checkpointing"]),
    ("references", &["refs"]),
    ("sample", &["do-sample"]),
    ("save-every", &["save-steps"]),
    ("schedule", &["lr-scheduler-type", "lr-scheduler", "lr-schedule"]),
    ("source", &["source-column", "text-column", "input-column"]),
    ("target", &["target-column", "summary-column", "output-column"]),
    ("threads", &["num-threads", "n-threads"]),
    ("tokenizer", &["tokenizer-name", "tokenizer-path"]),
    ("train", &["train-file", "train-data"]),
    ("valid", &["validation-file", "valid-file", "eval-file", "dev-file", "validation"]),
];

/// Names that are not taken, as they may mean something else here, and what to say: the first whose flag the subcommand
/// has.
const FLAGS: [(&[&str], &[&str]); 36] = [
    (&["lr-rate", "lrate", "learn-rate", "rate", "step-size", "alpha"], &["--learning-rate", "--lora-alpha"]),
    (
        &[
            "fp16",
            "float16",
            "half",
            "bf16",
            "bfloat16",
            "amp",
            "mixed-precision",
            "precision",
            "dtype",
            "compute-type",
        ],
        &["--dtype f16 (or bf16)", "--precision bf16"],
    ),
    (&["int8", "quantize", "quantization", "load-in-8bit"], &["--dtype int8"]),
    (
        &["device", "devices", "gpu", "gpus", "cuda", "no-cuda", "cpu", "use-cpu", "num-gpus"],
        &["--device cuda (or cpu, auto)", "--threads (all work is the processor's)"],
    ),
    (&["workers", "num-workers", "jobs", "nproc", "processes", "cores"], &["--threads"]),
    (&["iterations", "passes", "epoches", "max-epochs"], &["--epochs"]),
    (&["steps", "train-steps", "total-steps", "num-steps", "num-train-steps"], &["--max-steps"]),
    (&["batch", "bs", "batchsize", "batches"], &["--batch-size"]),
    (
        &["max-length", "max-len", "max-seq-length", "max-decode-length", "length", "max-gen-length"],
        &["--max-new-tokens", "--max-target-length", "--max-source-length"],
    ),
    (&["min-length", "min-len"], &["--min-new-tokens"]),
    (&["seq-len", "block-size", "context-length", "source-length", "input-length"], &["--max-source-length"]),
    (&["target-length", "output-length", "val-max-target-length"], &["--max-target-length"]),
    (&["beam", "num-beam", "beam-width", "n-beams", "beam-search"], &["--num-beams", "--eval-num-beams"]),
    (&["topk", "k"], &["--top-k"]),
    (&["topp", "nucleus", "p"], &["--top-p"]),
    (&["temp"], &["--temperature"]),
    (&["sampling", "random"], &["--sample"]),
    (&["greedy", "deterministic"], &["--no-sample"]),
    (&["nbest", "num-return", "num-outputs", "n"], &["--num-return-sequences"]),
    (&["ngram", "no-repeat", "no-repeat-ngram", "block-ngram-repeat"], &["--no-repeat-ngram-size"]),
    (&["save-dir", "save-path", "save", "dest", "outdir", "logdir", "to"], &["--output"]),
    (&["data", "dataset", "data-path", "training-data", "trainset", "train-path"], &["--train", "--input"]),
    (&["val", "dev", "test", "eval", "valid-data", "validation-data", "test-file"], &["--valid"]),
    (&["input-file", "file", "src", "sources", "text", "sentence", "from"], &["--input", "--source"]),
    (
        &["model-path", "model-dir", "model-name", "pretrained", "checkpoint", "ckpt", "weights", "init"],
        &["--model"],
    ),
    (&["vocab", "vocab-file", "spm", "spiece", "sp-model"], &["--tokenizer"]),
    (&["opt", "optimiser"], &["--optimizer"]),
    (&["warmup", "warmup-ratio", "warmup-epochs", "warm-up"], &["--warmup-steps"]),
    (&["scheduler", "decay"], &["--schedule"]),
    (&["wd", "l2"], &["--weight-decay"]),
    (&["clip", "gradient-clip", "max-norm", "gradient-clipping"], &["--max-grad-norm"]),
    (&["patience", "early-stopping", "early-stop"], &["--early-stopping-patience", "--early-stopping"]),
    (&["continue", "restore", "resume-from-checkpoint", "go-on"], &["--resume"]),
    (&["freeze", "frozen"], &["--train-parts"]),
    (&["lora", "rank", "use-lora", "peft"], &["--lora-rank"]),
    (&["min-freq", "threshold", "min-frequency"], &["--min-count"]),
];

/// What every subcommand has.
const GLOBAL: [(&[&str], &str); 2] = [
    (&["silent", "no-progress", "disable-tqdm"], "--quiet"),
    (&["debug", "log-level", "logging", "loglevel"], "--verbose"),
];

/// Subcommands by the names that others have for such work.
const SUBCOMMANDS: [(&[&str], &str); 13] = [
    (&["pre-train", "pretraining", "continue-pretraining", "cpt"], "pretrain"),
    (&["train", "fit", "fine-tune", "tune", "training", "learn", "sft"], "finetune"),
    (
        &["predict", "infer", "inference", "translate", "summarize", "summarise", "complete", "decode-text"],
        "generate",
    ),
    (&["bleu", "rouge", "compare-texts"], "metrics"),
    (&["eval", "evaluation", "test"], "evaluate"),
    (&["benchmark", "speed", "latency", "throughput", "time"], "bench"),
    (&["encode", "tokenise", "segment"], "tokenize"),
    (&["decode", "detokenise"], "detokenize"),
    (&["info", "show", "describe", "stat", "stats", "summary", "look"], "inspect"),
    (&["export", "save", "transform", "merge"], "convert"),
    (&["prune", "cut", "shrink", "reduce", "vocab", "slim"], "trim"),
    (&["freq", "frequency", "frequencies", "histogram"], "count"),
    (&["rank", "logprob", "log-prob", "perplexity", "ppl", "likelihood"], "score"),
];

/// Values by other names; those suggest themselves that the flag can have.
const VALUES: [(&[&str], &[&str]); 12] = [
    (&["fp16", "float16", "half"], &["f16", "bf16"]),
    (&["bfloat16"], &["bf16"]),
    (&["fp32", "float32", "float", "full", "no"], &["f32"]),
    (&["q8", "i8", "q8-0"], &["int8"]),
    (&["q4", "i4", "4bit", "q4-0"], &["int4"]),
    (&["sgd", "adamw-torch", "adamw-hf", "default"], &["adamw"]),
    (&["adafactor-torch"], &["adafactor"]),
    (&["constant-with-warmup", "none"], &["constant"]),
    (&["polynomial", "linear-with-warmup"], &["linear"]),
    (&["cosine-with-warmup", "cosine-with-restarts"], &["cosine"]),
    (&["hf", "transformers"], &["huggingface", "hf"]),
    (&["head", "lm-head"], &["softmax"]),
];

/// The same flag with the names that others have for it, as far as `taken` does not hold them.
pub fn with_aliases(mut argument: Arg, taken: &mut Vec<String>) -> Arg {
    let Some(long) = argument.get_long().map(String::from) else { return argument };
    let others = ALIASES.iter().find(|(name, _)| *name == long).map_or(&[][..], |&(_, others)| others);
    let own = argument.get_long_and_visible_aliases().unwrap_or_default();
    let names: Vec<String> = own.into_iter().chain(others.iter().copied()).map(String::from).collect();
    let underscored = names.iter().filter(|name| name.contains('-')).map(|name| name.replace('-', "_"));
    for name in names.iter().cloned().chain(underscored.collect::<Vec<_>>()) {
        if taken.contains(&name) {
            continue;
        }
        argument = match name.as_str() {
            "lr" | "beam-size" => argument.visible_alias(name.clone()),
            _ => argument.alias(name.clone()),
        };
        taken.push(name);
    }
    let folder_or_file = |name: &clap::builder::Str| name == "DIR" || name == "FILE";
    if long == "output"
        && argument.get_short().is_none()
        && argument.get_value_names().is_some_and(|names| names.iter().any(folder_or_file))
    {
        argument = argument.short('o');
    }
    argument
}

fn plain(name: &str) -> String {
    let name = name.trim_start_matches('-');
    name.split('=').next().unwrap_or(name).to_lowercase().replace('_', "-")
}

/// What is meant by a flag that this subcommand does not have: our flag, and what there is to say about it.
pub fn flag_meant(name: &str, subcommand: Option<&clap::Command>) -> Option<&'static str> {
    let name = plain(name);
    let has = |hint: &&&str| {
        let flag = hint.split(' ').next().unwrap_or(hint).trim_start_matches('-');
        subcommand.is_some_and(|command| command.get_arguments().any(|a| a.get_long() == Some(flag)))
    };
    let rows = FLAGS.iter().filter(|(names, _)| names.contains(&name.as_str()));
    let meant = rows.flat_map(|(_, hints)| hints.iter()).find(has).copied();
    meant.or_else(|| GLOBAL.iter().find(|(names, _)| names.contains(&name.as_str())).map(|&(_, flag)| flag))
}

/// The subcommand that is meant by a name that is none.
pub fn subcommand_meant(name: &str) -> Option<&'static str> {
    let name = plain(name);
    SUBCOMMANDS.iter().find(|(names, _)| names.contains(&name.as_str())).map(|&(_, meant)| meant)
}

/// The value that is meant, one of `valid`.
pub fn value_meant(value: &str, valid: &[String]) -> Option<String> {
    let value = plain(value);
    // rougeL, ROUGE_L, adamw_torch: the same letters, or nearly.
    let letters = |name: &str| name.replace(['-', '_', ' '], "").to_lowercase();
    let same = valid.iter().find(|name| letters(name) == letters(&value)).cloned();
    let rows = VALUES.iter().filter(|(names, _)| names.contains(&value.as_str()));
    let known = rows.flat_map(|(_, meant)| meant.iter()).find(|meant| valid.iter().any(|v| v == *meant));
    same.or_else(|| known.map(|meant| meant.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> clap::Command {
        super::super::command()
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_command_line() {
        all().debug_assert();
    }

    #[test]
    fn what_the_tables_name_exists() {
        let command = all();
        let flags: Vec<&str> = command
            .get_subcommands()
            .chain([&command])
            .flat_map(|command| command.get_arguments().filter_map(Arg::get_long))
            .collect();
        for (flag, _) in ALIASES {
            assert!(flags.contains(&flag), "--{flag}");
        }
        let hints = FLAGS.iter().flat_map(|(_, hints)| hints.iter());
        for hint in hints.chain(GLOBAL.iter().map(|(_, flag)| flag)) {
            let flag = hint.split(' ').next().unwrap().trim_start_matches("--");
            assert!(flags.contains(&flag), "{hint}");
        }
        for (_, meant) in SUBCOMMANDS {
            assert!(command.find_subcommand(meant).is_some(), "{meant}");
        }
    }

    #[test]
    fn meanings() {
        let command = all();
        let finetune = command.find_subcommand("finetune");
        let generate = command.find_subcommand("generate");
        assert_eq!(flag_meant("--lr-rate", finetune), Some("--learning-rate"));
        assert_eq!(flag_meant("--fp16", finetune), Some("--precision bf16"));
        assert_eq!(flag_meant("--fp16", generate), Some("--dtype f16 (or bf16)"));
        assert_eq!(flag_meant("--Max_Length=3", generate), Some("--max-new-tokens"));
        assert_eq!(flag_meant("--silent", None), Some("--quiet"));
        assert_eq!(flag_meant("--xyzzy", finetune), None);
        assert_eq!(subcommand_meant("train"), Some("finetune"));
        let metrics = ["bleu", "rouge-l"].map(String::from);
        assert_eq!(value_meant("rougeL", &metrics).as_deref(), Some("rouge-l"));
        assert_eq!(value_meant("fp16", &["f32".into(), "bf16".into()]).as_deref(), Some("bf16"));
    }
}
