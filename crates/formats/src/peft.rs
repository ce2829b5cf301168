//! LoRA adapters (Hu et al. 2021) as the peft library keeps them: a folder of `adapter_config.json` and
//! `adapter_model.safetensors` (older ones: `adapter_model.bin`).
//!
//! Layout after peft 0.21, `tuners/lora/config.py` and `utils/save_and_load.py`: LoRA, with ranks and alphas of each layer
//! by patterns, rank-stabilised (Kalajdzievski 2023), and with whole weights trained beside it. What else changes the
//! meaning of an adapter is refused, fields of later versions among it.

mod file;
mod patterns;

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

pub use self::file::{LoraFile, adapter_folder, base_of};
pub use self::patterns::Patterns;
use crate::config::Fields;
use crate::error::{Error, Result};
use crate::output::AtomicFile;

/// The settings' file in an adapter's folder.
pub const CONFIG: &str = "adapter_config.json";
/// The tensors' file in an adapter's folder.
pub const WEIGHTS: &str = "adapter_model.safetensors";

const PREFIX: &str = "base_model.model.";

/// Fields that do not change what an adapter computes: origins, training, initialisation, and where adapters were
/// put, which the tensors' names say.
const INERT: [&str; 20] = [
    "peft_version",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "eva_config",
    "loftq_config",
    "corda_config",
    "lora_ga_config",
    "runtime_config",
    "megatron_config",
    "megatron_core",
    "qalora_group_size",
    "ensure_weight_tying",
    "save_embedding_layers",
];

/// The settings of an adapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub r: usize,
    /// What the adapter adds is multiplied by `lora_alpha / r`, or by `lora_alpha / √r`.
    pub lora_alpha: f64,
    /// Whether it is `lora_alpha / √r` (rsLoRA).
    pub use_rslora: bool,
    /// Ranks of layers that have another than `r`.
    pub rank_pattern: Patterns,
    /// Alphas of layers that have another than `lora_alpha`.
    pub alpha_pattern: Patterns,
    /// The last parts of the names of weights that are kept whole.
    pub modules_to_save: Vec<String>,
    /// The last parts of the names of the layers with an adapter; empty where the file gives a pattern instead.
    pub target_modules: Vec<String>,
    /// The model that it belongs to.
    pub base_model_name_or_path: Option<String>,
    /// What peft calls the base's kind, by which it decides what it hands to it: `SEQ_2_SEQ_LM` for an encoder and a decoder;
    /// nothing where it is to hand on what it is given.
    pub task_type: Option<String>,
}

impl LoraConfig {
    /// What B·A of a layer is multiplied by where no pattern names it.
    pub fn scale(&self) -> f32 {
        self.scaled(self.lora_alpha, self.r)
    }

    /// What B·A of a layer is multiplied by whose adapter has the rank `r`.
    pub fn scale_of(&self, module: &str, r: usize) -> f32 {
        self.scaled(self.alpha_pattern.of(module).unwrap_or(self.lora_alpha), r)
    }

    fn scaled(&self, alpha: f64, r: usize) -> f32 {
        let r = r as f64;
        (alpha / if self.use_rslora { r.sqrt() } else { r }) as f32
    }

    /// The rank that a layer's adapter must have; `None` where a pattern gives no whole number.
    pub fn rank(&self, module: &str) -> Option<usize> {
        match self.rank_pattern.of(module) {
            None => Some(self.r),
            Some(r) => (r >= 1.0 && r.fract() == 0.0 && r < 1e9).then_some(r as usize),
        }
    }

    /// Whether a module's weight is kept whole: one of [`Self::modules_to_save`], or the embedding or softmax, which peft
    /// keeps where rows were added to them.
    pub fn saves(&self, module: &str) -> bool {
        const VOCABULARY: [&str; 4] = ["shared", "lm_head", "encoder.embed_tokens", "decoder.embed_tokens"];
        let named = |name: &String| {
            module.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        VOCABULARY.contains(&module) || self.modules_to_save.iter().any(named)
    }

    /// The settings in a JSON object; `path` names its origin in errors.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is missing, wrong, or asks for more than plain LoRA.
    pub fn from_json(path: &Path, map: Map<String, Value>) -> Result<Self> {
        let mut f = Fields { path, map };
        match f.take_text("peft_type")?.as_deref() {
            Some("LORA") => {}
            Some(other) => {
                return Err(f.error(
                    "peft_type",
                    format!("{other} adapters are not read, LORA ones are; merge it by peft where it can"),
                ));
            }
            None => return Err(f.error("peft_type", "missing; is this the file of an adapter?")),
        }
        let r = f.need_size("r")?;
        if r == 0 {
            return Err(f.error("r", "0 is no rank"));
        }
        let lora_alpha = f.take_number("lora_alpha")?.unwrap_or(8.0);
        if !lora_alpha.is_finite() {
            return Err(f.error("lora_alpha", "is not finite"));
        }
        let target_modules = match f.map.get("target_modules") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(String::from).collect(),
            _ => Vec::new(),
        };
        let base_model_name_or_path = f.take_text("base_model_name_or_path")?;
        let task_type = f.take_text("task_type")?;
        let use_rslora = f.take_bool("use_rslora")?.unwrap_or(false);
        let (rank_pattern, alpha_pattern) =
            (Patterns::take(&mut f, "rank_pattern")?, Patterns::take(&mut f, "alpha_pattern")?);
        let modules_to_save = match f.take("modules_to_save") {
            None => Vec::new(),
            Some(value) => serde_json::from_value(value.clone())
                .map_err(|_| f.error("modules_to_save", format!("{value} is not a list of names")))?,
        };
        if f.take_bool("use_dora")?.unwrap_or(false) {
            return Err(f.error(
                "use_dora",
                "DoRA is not read; merge it into its model by peft's merge_and_unload()",
            ));
        }
        if let Some(bias) = f.take_text("bias")?.filter(|bias| bias != "none") {
            return Err(f.error("bias", format!("{bias} is not read, \"none\" is: T5's layers have no bias")));
        }
        // The others change the base model's weights, so that the adapter is nothing without its training's beginning.
        let plain = [json!(true), json!(false), json!("gaussian"), json!("orthogonal"), json!("eva")];
        if let Some(init) = f.take("init_lora_weights").filter(|init| !plain.contains(init)) {
            let what = format!(
                "{init} changes the base model; save it again with path_initial_model_for_weight_conversion"
            );
            return Err(f.error("init_lora_weights", what));
        }
        INERT.iter().for_each(|field| drop(f.take(field)));
        let set = f.map.iter().find(|(_, value)| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(items) => !items.is_empty(),
            Value::Object(items) => !items.is_empty(),
            _ => true,
        });
        if let Some((field, value)) = set {
            let what = "is more than LoRA, which alone is read; merge it into its model by peft's merge_and_unload()";
            return Err(f.error(field, format!("{value} {what}")));
        }
        Ok(LoraConfig {
            r,
            lora_alpha,
            use_rslora,
            rank_pattern,
            alpha_pattern,
            modules_to_save,
            target_modules,
            base_model_name_or_path,
            task_type,
        })
    }

    /// The settings as peft reads them.
    pub fn to_json(&self) -> Map<String, Value> {
        // A whole number as one: that is what peft's field is declared to be.
        let whole = self.lora_alpha.fract() == 0.0 && self.lora_alpha.abs() < 1e9;
        let alpha = if whole { json!(self.lora_alpha as i64) } else { json!(self.lora_alpha) };
        let Value::Object(map) = json!({
            "peft_type": "LORA",
            "task_type": self.task_type,
            "base_model_name_or_path": self.base_model_name_or_path,
            "r": self.r,
            "lora_alpha": alpha,
            "target_modules": self.target_modules,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": false,
            "use_rslora": false,
            "use_dora": false,
            "modules_to_save": null,
            "init_lora_weights": true,
            "inference_mode": true,
        }) else {
            unreachable!("an object")
        };
        map
    }

    /// Writes the settings to `path`, complete or not at all, over what is there.
    ///
    /// # Errors
    /// Those of [`AtomicFile`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = AtomicFile::create(path, true)?;
        writeln!(file, "{:#}", Value::Object(self.to_json())).map_err(Error::io(path, "write"))?;
        file.commit()
    }
}

/// The two matrices of a layer's adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A: [r, in].
    A,
    /// B: [out, r].
    B,
}

/// The name of a tensor, for a layer such as `encoder.block.0.layer.0.SelfAttention.q`.
pub fn tensor_name(module: &str, side: Side) -> String {
    format!("{PREFIX}{module}.lora_{side:?}.weight")
}

#[cfg(test)]
mod tests;
