//! The flags of `t5kit finetune` for LoRA.

use std::num::NonZeroUsize;

use t5kit_model::LORA_TARGETS;
use t5kit_train::TrainOptions;

use super::optimization::names;

/// Training adapters instead of the model.
#[derive(clap::Args)]
#[command(next_help_heading = "LoRA")]
pub struct LoraArgs {
    /// Train adapters of this rank beside the model's weights, which stay as they are; best/ and last/ are then adapters
    /// in peft's layout
    #[arg(long, value_name = "R", conflicts_with_all = ["train_parts", "lazy_embeddings"])]
    pub lora_rank: Option<NonZeroUsize>,
    /// What adapters add is multiplied by this over the rank [default: 8]
    #[arg(long, value_name = "X", requires = "lora_rank")]
    lora_alpha: Option<f64>,
    /// Layers that get adapters, separated by commas: peft's target_modules [default: q,v; of a BERT query,value]
    #[arg(
        long, value_name = "NAME,…", value_delimiter = ',', requires = "lora_rank", value_parser = names(LORA_TARGETS)
    )]
    lora_targets: Vec<String>,
}

impl LoraArgs {
    /// The settings with those of these flags.
    pub fn apply(&self, options: TrainOptions) -> TrainOptions {
        let lora_alpha = self.lora_alpha.unwrap_or(options.lora_alpha);
        // In one order and each once, so that the same layers are the same settings.
        let given = LORA_TARGETS.into_iter().filter(|name| self.lora_targets.iter().any(|t| t == name));
        let lora_targets = given.map(String::from).collect();
        TrainOptions { lora_rank: self.lora_rank.map(NonZeroUsize::get), lora_alpha, lora_targets, ..options }
    }
}
