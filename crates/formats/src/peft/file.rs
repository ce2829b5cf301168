//! The tensors of an adapter: A and B of each layer, and whole weights that were trained beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{CONFIG, LoraConfig, PREFIX, Side, WEIGHTS, tensor_name};
use crate::DType;
use crate::bytes::TensorBytes;
use crate::checkpoint::{Checkpoint, checkpoints};
use crate::error::{Error, Result};
use crate::json;

/// An opened adapter whose tensors belong together.
#[derive(Debug)]
pub struct LoraFile {
    /// The settings.
    pub config: LoraConfig,
    /// By the layer's name, its outputs and inputs.
    pub modules: BTreeMap<String, [usize; 2]>,
    /// Weights of the model that the file has whole (`modules_to_save`): they take the place of the base's. By their
    /// names in the model.
    pub saved: BTreeSet<String>,
    ranks: BTreeMap<String, usize>,
    checkpoint: Checkpoint,
}

/// Sizes of a layer as its two matrices say them.
#[derive(Default)]
struct Sizes {
    outputs: Option<usize>,
    inputs: Option<usize>,
    rank: Option<usize>,
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
        let checkpoint = Checkpoint::open_as_it_is(path)?;
        let mut sizes: BTreeMap<String, Sizes> = BTreeMap::new();
        let mut saved = BTreeSet::new();
        for name in checkpoint.names() {
            let bad = |what: String| Err(Error::tensor(path, name, what));
            let (dtype, shape) = checkpoint.info(name)?;
            if !dtype.is_float() {
                return bad(format!("{dtype} elements are not read"));
            }
            let module = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(".weight"));
            let (module, side) = match module.map(|m| (m, m.rsplit_once(".lora_"))) {
                Some((_, Some((module, "A")))) => (module, Side::A),
                Some((_, Some((module, "B")))) => (module, Side::B),
                Some((module, None)) if config.saves(module) => {
                    saved.insert(format!("{module}.weight"));
                    continue;
                }
                _ => return bad(unexpected(name)),
            };
            let layer = sizes.entry(module.to_owned()).or_default();
            let (rank, wide) = match (side, &*shape) {
                (Side::A, &[r, inputs]) => (r, layer.inputs.insert(inputs)),
                (Side::B, &[outputs, r]) => (r, layer.outputs.insert(outputs)),
                _ => return bad(format!("has the shape {shape:?} and should be a matrix")),
            };
            let want = *layer.rank.get_or_insert(config.rank(module).unwrap_or(rank));
            if rank != want || rank == 0 || *wide == 0 {
                return bad(format!("has the shape {shape:?}, which is not of the rank {want} of {CONFIG}"));
            }
        }
        let (mut modules, mut ranks) = (BTreeMap::new(), BTreeMap::new());
        for (module, layer) in sizes {
            match (layer.outputs, layer.inputs, layer.rank) {
                (Some(outputs), Some(inputs), Some(rank)) => {
                    ranks.insert(module.clone(), rank);
                    modules.insert(module, [outputs, inputs])
                }
                (outputs, ..) => {
                    let side = if outputs.is_none() { Side::B } else { Side::A };
                    return Err(Error::NoTensor { path: path.clone(), tensor: tensor_name(&module, side) });
                }
            };
        }
        if modules.is_empty() {
            return Err(Error::malformed(path, "adapter", "it holds no tensor"));
        }
        Ok(LoraFile { config, modules, saved, ranks, checkpoint })
    }

    /// The file of the tensors.
    pub fn path(&self) -> &Path {
        self.checkpoint.path()
    }

    /// The rank of a layer's adapter.
    ///
    /// # Panics
    /// For a layer that is not in [`Self::modules`].
    pub fn rank(&self, module: &str) -> usize {
        self.ranks[module]
    }

    /// What B·A of a layer is multiplied by.
    ///
    /// # Panics
    /// For a layer that is not in [`Self::modules`].
    pub fn scale(&self, module: &str) -> f32 {
        self.config.scale_of(module, self.rank(module))
    }

    /// A matrix of a layer in [`Self::modules`], row by row, as the file has it.
    ///
    /// # Errors
    /// [`Error::NoTensor`] for another layer, and those of the format's reader.
    pub fn tensor(&self, module: &str, side: Side) -> Result<(DType, TensorBytes)> {
        let name = tensor_name(module, side);
        Ok((self.checkpoint.info(&name)?.0, self.checkpoint.bytes(&name)?))
    }

    /// Type and shape of a weight in [`Self::saved`].
    ///
    /// # Errors
    /// [`Error::NoTensor`] for another name.
    pub fn saved_info(&self, name: &str) -> Result<(DType, Vec<usize>)> {
        self.checkpoint.info(&format!("{PREFIX}{name}"))
    }

    /// The bytes of a weight in [`Self::saved`], row by row.
    ///
    /// # Errors
    /// [`Error::NoTensor`] for another name, and those of the format's reader.
    pub fn saved_bytes(&self, name: &str) -> Result<TensorBytes> {
        self.checkpoint.bytes(&format!("{PREFIX}{name}"))
    }
}

/// What is said of a tensor that is no part of an adapter that is read.
fn unexpected(name: &str) -> String {
    let kind = [
        ("lora_magnitude_vector", "of DoRA, which is not read"),
        (
            "lora_embedding_",
            "of an adapter on the embedding, which is not read; leave the embedding out, or merge it by peft",
        ),
        (".bias", "a bias, which T5's layers have none of"),
    ];
    match kind.iter().find(|(part, _)| name.contains(part)) {
        Some((_, what)) => (*what).to_owned(),
        None => format!("unexpected; a name is {PREFIX}….lora_A.weight or ….lora_B.weight"),
    }
}

/// The folder of an adapter that `path` means: itself, or for the folder of a training run its `best`, else its `last`,
/// else its only `checkpoint-N`; `None` where there is no adapter.
pub fn adapter_folder(path: &Path) -> Option<PathBuf> {
    let folders = [path.to_owned(), path.join("best"), path.join("last")];
    let has_one = |folder: &PathBuf| folder.join(CONFIG).is_file();
    if let Some(folder) = folders.into_iter().find(has_one) {
        return Some(folder);
    }
    let mut checkpoints = checkpoints(path);
    checkpoints.pop().map(|name| path.join(name)).filter(|folder| checkpoints.is_empty() && has_one(folder))
}

/// What `base_model_name_or_path` of the adapter in `folder` means: a path from that folder, or from one above it (where
/// the training was started, mostly), where there is something; else the name as it stands, which may be a path from where
/// the program runs or one of the hub.
///
/// # Errors
/// Those of reading the settings; [`Error::Config`] where they name no base.
pub fn base_of(folder: &Path) -> Result<String> {
    let path = folder.join(CONFIG);
    let config = LoraConfig::from_json(&path, json::read(&path, "adapter configuration")?)?;
    let name =
        config.base_model_name_or_path.filter(|name| !name.is_empty()).ok_or_else(|| Error::Config {
            path,
            field: "base_model_name_or_path".to_owned(),
            what: "missing; give the adapter's base by `model` and this folder by `adapter`".to_owned(),
        })?;
    // A run's own folder has links to the files of its best adapter, from where the path counts.
    let linked = std::fs::read_link(folder.join(CONFIG)).ok();
    let linked = linked.and_then(|to| Some(folder.join(to.parent()?).join(&name)));
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let above = whole.ancestors().skip(1).map(|above| above.join(&name));
    let found =
        [Some(folder.join(&name)), linked].into_iter().flatten().chain(above).find(|path| path.exists());
    Ok(found.map_or(name, |path| path.to_string_lossy().into_owned()))
}
