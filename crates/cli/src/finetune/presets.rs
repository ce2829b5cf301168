//! Presets of `t5kit finetune`: known recipes, as the flags that one would type for them.

use std::fmt;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, ValueEnum};

/// Recipes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Fine-tuning as in the papers on T5 and mT5: adafactor at 1e-3, constant, scaled by parameter, no clipping by norm
    Mt5,
    /// The blog post kexue.fm/archives/7867 (CSL titles with mT5): adam at 2e-4, constant, batches of 16, 40 epochs,
    /// sources of 256 and targets of 32 tokens, the best by BLEU of greedy texts
    Bojone,
    /// Hugging Face's advice for T5: adafactor at 1e-3, constant, not scaled by parameter, clipped at norm 1
    Huggingface,
}

impl Preset {
    /// What it says, flag by flag; dropout is T5's in each.
    fn flags(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::Mt5 => &[
                ("optimizer", "adafactor"),
                ("learning-rate", "1e-3"),
                ("schedule", "constant"),
                ("scale-parameter", "true"),
                ("max-grad-norm", "0"),
                ("dropout", "0.1"),
                ("batch-size", "16"),
            ],
            Preset::Bojone => &[
                ("optimizer", "adam"),
                ("learning-rate", "2e-4"),
                ("schedule", "constant"),
                ("max-grad-norm", "0"),
                ("dropout", "0.1"),
                ("batch-size", "16"),
                ("epochs", "40"),
                ("max-source-length", "256"),
                ("max-target-length", "32"),
                ("metric", "bleu"),
                ("eval-num-beams", "1"),
            ],
            Preset::Huggingface => &[
                ("optimizer", "adafactor"),
                ("learning-rate", "1e-3"),
                ("schedule", "constant"),
                ("scale-parameter", "false"),
                ("max-grad-norm", "1"),
                ("dropout", "0.1"),
                ("batch-size", "16"),
            ],
        }
    }
}

/// A preset, and of its flags those that the command line leaves to it.
pub struct Chosen {
    preset: Preset,
    set: Vec<(&'static str, &'static str)>,
}

impl Chosen {
    /// The preset that a command line names.
    pub fn of(finetune: &ArgMatches) -> Option<Self> {
        let preset = *finetune.get_one::<Preset>("preset")?;
        let given = |flag: &str| {
            let id = id(flag);
            finetune.ids().any(|known| known.as_str() == id)
                && finetune.value_source(&id) == Some(ValueSource::CommandLine)
        };
        let optimizer = finetune.get_one::<String>("optimizer").map(String::as_str);
        let set = preset.flags().iter().copied().filter(|(flag, _)| {
            let wanted = match *flag {
                // These mean something beside others only.
                "batch-size" => !given("batch-tokens"),
                "scale-parameter" => optimizer.is_none_or(|name| name == "adafactor"),
                "metric" | "eval-num-beams" => given("valid") || given("valid-split"),
                _ => true,
            };
            wanted && !given(flag)
        });
        Some(Chosen { preset, set: set.collect() })
    }

    /// `finetune` with what the preset sets as its defaults.
    pub fn as_defaults(&self, finetune: Command) -> Command {
        self.set.iter().fold(finetune, |command, &(flag, value)| {
            command.mut_arg(id(flag), |argument| argument.default_value(value))
        })
    }
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.preset.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        write!(f, "preset {name}:")?;
        if self.set.is_empty() {
            return f.write_str(" sets nothing, the flags beside it say everything");
        }
        self.set.iter().try_for_each(|(flag, value)| write!(f, " --{flag} {value}"))
    }
}

/// clap's name of a flag.
fn id(flag: &str) -> String {
    flag.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commandline::command;

    #[test]
    fn presets_are_flags_that_exist() {
        for preset in Preset::value_variants() {
            let all = Chosen { preset: *preset, set: preset.flags().to_vec() };
            let program = command().mut_subcommand("finetune", |finetune| all.as_defaults(finetune));
            let line = ["t5kit", "finetune", "--model", "m", "--train", "t", "--output", "o"];
            assert!(program.try_get_matches_from(line).is_ok(), "{all}");
        }
    }

    #[test]
    fn only_what_is_left_open_is_set() {
        let said = |flags: &str| {
            let line = format!("t5kit finetune --model m --train t --output o --preset {flags}");
            crate::commandline::parse(line.split(' ').map(String::from)).unwrap().preset.unwrap()
        };
        assert_eq!(
            said("bojone --valid v --epochs 3 --batch-tokens 100"),
            "preset bojone: --optimizer adam --learning-rate 2e-4 --schedule constant --max-grad-norm 0 --dropout 0.1 \
             --max-source-length 256 --max-target-length 32 --metric bleu --eval-num-beams 1"
        );
        assert!(!said("bojone").contains("--metric"));
        assert!(!said("mt5 --optimizer lion").contains("--scale-parameter"));
        assert!(said("mt5 --optimizer adafactor").contains("--scale-parameter true"));
    }
}
