//! Recipes in a folder of their own.

use super::model::{config, pairs, tokenizer};
use super::{Run, file, finish, program};
use serde_json::Value;
use std::path::PathBuf;

/// Without [evaluate]: it is the slowest.
pub const RECIPE: &str = "name = \"tiny\"\noutput = \"out\"\nseed = 3\nthreads = 1\n\n\
    [model]\nconfig = \"config.json\"\ntokenizer = \"spiece.model\"\n\n\
    [trim]\nmin_count = 1\n\n[trim.count]\ninputs = [\"corpus.txt\"]\n\n\
    [data]\nfile = \"pairs.tsv\"\ntrain = 40\nvalid = 8\ntest = 8\n\n\
    [finetune]\nepochs = 2\nbatch_size = 8\nlearning_rate = 1e-2\nmetric = [\"bleu\"]\nmax_target_length = 8\n";
/// The stage that is left out there.
pub const EVALUATE: &str = "\n[evaluate]\nmax_new_tokens = 8\nspeed_sources = 4\nspeed_rounds = 1\n";
/// The last stage.
pub const EXPORT: &str = "\n[export]\ndtype = \"bf16\"\n";

/// A folder with a recipe, `r.toml`, and all that it names.
pub struct Kitchen(tempfile::TempDir);

impl Kitchen {
    /// A folder with a recipe and all that it names.
    pub fn new(recipe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        config(folder.path(), 40);
        tokenizer(folder.path());
        // Each source once: rows of the same source stay together, and parts of so many rows may not come out.
        let letter = |digit: usize| char::from(b'a' + (digit % 10) as u8);
        let text = std::fs::read_to_string(pairs(folder.path(), "pairs.tsv", 60)).unwrap();
        let own = |(i, line): (usize, &str)| format!("{}{}{line}\n", letter(i / 10), letter(i));
        let text: String = text.lines().enumerate().map(own).collect();
        file(folder.path(), "pairs.tsv", &text);
        file(folder.path(), "corpus.txt", text.replace('\t', "\n"));
        file(folder.path(), "r.toml", recipe);
        Kitchen(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Run {
        finish(program().current_dir(self.0.path()).args(["run", "r.toml"]).args(args))
    }

    pub fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.path("out/recipe_state.json")).unwrap()).unwrap()
    }

    pub fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("r.toml")).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(self.path("r.toml"), text.replacen(from, to, 1)).unwrap();
    }

    pub fn weights(&self) -> Vec<u8> {
        std::fs::read(self.path("out/run/last/model.safetensors")).unwrap()
    }
}

/// The subcommands that a run has run.
pub fn ran(run: &Run) -> Vec<String> {
    let lines = run.stderr.lines().filter_map(|line| line.strip_prefix("$ t5kit "));
    lines.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
}
