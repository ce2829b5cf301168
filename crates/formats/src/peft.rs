//! LoRA adapters (Hu et al. 2021) as the peft library keeps them: a folder of `adapter_config.json` and
//! `adapter_model.safetensors` (older ones: `adapter_model.bin`).
//!
//! Layout after peft 0.21, `tuners/lora/config.py` and `utils/save_and_load.py`. What changes the meaning of an adapter
//! and is not plain LoRA is refused, fields of later versions among it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::DType;
use crate::bytes::TensorBytes;
use crate::checkpoint::Checkpoint;
use crate::config::Fields;
use crate::error::{Error, Result};
use crate::json;
use crate::output::AtomicFile;

/// The settings' file in an adapter's folder.
pub const CONFIG: &str = "adapter_config.json";
/// The tensors' file in an adapter's folder.
pub const WEIGHTS: &str = "adapter_model.safetensors";

const PREFIX: &str = "base_model.model.";

/// Fields that do not change what an adapter computes: origins, training, initialisation, and where adapters were
/// put, which the tensors' names say.
const INERT: [&str; 21] = [
    "task_type",
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
#[derive(Clone, Debug, PartialEq)]
pub struct LoraConfig {
    /// Rows of A and columns of B.
    pub r: usize,
    /// What the adapter adds is multiplied by `lora_alpha / r`.
    pub lora_alpha: f64,
    /// The last parts of the names of the layers with an adapter; empty where the file gives a pattern instead.
    pub target_modules: Vec<String>,
    /// The model that it belongs to.
    pub base_model_name_or_path: Option<String>,
}

impl LoraConfig {
    /// `lora_alpha / r`
    pub fn scale(&self) -> f32 {
        (self.lora_alpha / self.r as f64) as f32
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
                return Err(f.error("peft_type", format!("{other} adapters are not read, LORA ones are")));
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
            return Err(f.error(field, format!("{value} is more than plain LoRA, which alone is read")));
        }
        Ok(LoraConfig { r, lora_alpha, target_modules, base_model_name_or_path })
    }

    /// The settings as peft reads them, for a sequence-to-sequence model.
    pub fn to_json(&self) -> Map<String, Value> {
        // A whole number as one: that is what peft's field is declared to be.
        let whole = self.lora_alpha.fract() == 0.0 && self.lora_alpha.abs() < 1e9;
        let alpha = if whole { json!(self.lora_alpha as i64) } else { json!(self.lora_alpha) };
        let Value::Object(map) = json!({
            "peft_type": "LORA",
            "task_type": "SEQ_2_SEQ_LM",
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

/// An opened adapter whose tensors belong together.
#[derive(Debug)]
pub struct LoraFile {
    /// The settings.
    pub config: LoraConfig,
    /// By the layer's name, its outputs and inputs.
    pub modules: BTreeMap<String, [usize; 2]>,
    checkpoint: Checkpoint,
}

impl LoraFile {
    /// Opens the adapter in a folder.
    ///
    /// # Errors
    /// Those of [`LoraConfig::from_json`] and of opening a file of tensors; [`Error::Tensor`] for a tensor of another
    /// name, type or shape than the settings say.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let config = LoraConfig::from_json(&path, json::read(&path, "adapter configuration")?)?;
        let names = [WEIGHTS, "adapter_model.bin"].map(|name| folder.join(name));
        let path = names.iter().find(|path| path.is_file()).unwrap_or(&names[0]);
        let checkpoint = Checkpoint::open(path)?;
        let mut modules: BTreeMap<String, [Option<usize>; 2]> = BTreeMap::new();
        for name in checkpoint.names() {
            let bad = |what: String| Err(Error::tensor(path, name, what));
            let module = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".weight"));
            let part = module.and_then(|name| name.rsplit_once(".lora_"));
            let (module, side) = match part {
                Some((module, "A")) => (module, Side::A),
                Some((module, "B")) => (module, Side::B),
                _ => return bad(format!("unexpected; a name is {PREFIX}….lora_A.weight or ….lora_B.weight")),
            };
            let (dtype, shape) = checkpoint.info(name)?;
            if !dtype.is_float() {
                return bad(format!("{dtype} elements are not read"));
            }
            let sizes = modules.entry(module.to_owned()).or_default();
            match (side, &*shape) {
                (Side::A, &[r, inputs]) if r == config.r => sizes[1] = Some(inputs),
                (Side::B, &[outputs, r]) if r == config.r => sizes[0] = Some(outputs),
                _ => {
                    return bad(format!(
                        "has the shape {shape:?}, which is not of the rank {} of {CONFIG}",
                        config.r
                    ));
                }
            }
        }
        let mut complete = BTreeMap::new();
        for (module, sizes) in modules {
            match sizes {
                [Some(outputs), Some(inputs)] => complete.insert(module, [outputs, inputs]),
                [outputs, _] => {
                    let side = if outputs.is_none() { Side::B } else { Side::A };
                    return Err(Error::NoTensor { path: path.clone(), tensor: tensor_name(&module, side) });
                }
            };
        }
        if complete.is_empty() {
            return Err(Error::malformed(path, "adapter", "it holds no tensor"));
        }
        Ok(LoraFile { config, modules: complete, checkpoint })
    }

    /// The file of the tensors.
    pub fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// A matrix of a layer in [`Self::modules`], row by row, as the file has it.
    ///
    /// # Errors
    /// [`Error::NoTensor`] for another layer, and those of the format's reader.
    pub fn tensor(&self, module: &str, side: Side) -> Result<(DType, TensorBytes)> {
        let name = tensor_name(module, side);
        Ok((self.checkpoint.info(&name)?.0, self.checkpoint.bytes(&name)?))
    }
}

/// The folder of an adapter that `path` means: itself, or for the folder of a training run its `best`, else its
/// `last`; `None` where there is no adapter.
pub fn adapter_folder(path: &Path) -> Option<PathBuf> {
    let folders = [path.to_owned(), path.join("best"), path.join("last")];
    folders.into_iter().find(|folder| folder.join(CONFIG).is_file())
}

#[cfg(test)]
mod tests;
