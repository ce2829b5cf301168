//! Weights that bert4keras saved by Keras (`model.save_weights("best_model.weights")`, or `model.save`): HDF5,
//! seen in transformers' names and layouts.
//!
//! Keras lists the layers of a model in `layer_names`, and of each its weights in `weight_names`, in their order; a model
//! within the model (bert4keras's decoder) is a layer that lists those of all its own. The layers are bert4keras's:
//!
//! | layer | weights, in this order | layout |
//! |---|---|---|
//! | `Embedding-Token` | `shared.weight` | same |
//! | `S-Embedding-Relative-Position` [buckets, heads] | `S.block.0.layer.0.SelfAttention.relative_attention_bias.weight` | same |
//! | `S-Transformer-i-MultiHeadSelfAttention` (`…CrossAttention`) | `q`, `k`, `v`, `o` | transposed |
//! | `S-Transformer-i-FeedForward` | `wi` or `wi_0`, `wi_1`; `wo` | transposed |
//! | `…-Norm`, `S-Output-Norm` | `layer_norm.weight`, `final_layer_norm.weight` | same |
//! | `Decoder-Output-LM` | `lm_head.weight` | transposed |
//!
//! S is `Encoder` or `Decoder`. Those of a BERT are in [`crate::keras_bert`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};
use crate::foreign::H5_OF_TRANSFORMERS;
use crate::hdf5::{self, Dataset, Hdf5};
use crate::keras_bert;
use crate::renamed::{Renamed, Variables, Weight};
use crate::safetensors::map;

/// The name of the format in messages.
const FORMAT: &str = "HDF5";

/// A file of Keras whose weights have transformers' names and layouts.
pub type KerasFile = Renamed<Datasets>;

/// The datasets of a file by the names that Keras lists, each once.
#[derive(Debug)]
pub struct Datasets {
    path: PathBuf,
    map: Arc<Mmap>,
    datasets: BTreeMap<String, Dataset>,
}

impl KerasFile {
    /// Whether a file that begins with these bytes is one of HDF5.
    pub fn is_one(head: &[u8]) -> bool {
        hdf5::is_one(head)
    }

    /// Maps the file at `path` and finds bert4keras's layers in it.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Malformed`] where the file is broken or uses parts of its format that are not read;
    /// [`Error::Unsupported`] where its layers are not bert4keras's T5's or BERT's.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let (datasets, weights) = read(path, &map)?;
        let datasets = Datasets { path: path.to_owned(), map: Arc::new(map), datasets };
        Self::new(path, datasets, weights)
    }
}

impl Variables for Datasets {
    fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.datasets.get(name).map(|d| (d.dtype, &*d.shape))
    }

    fn bytes(&self, name: &str) -> Result<TensorBytes> {
        match self.datasets.get(name) {
            Some(d) => Ok(TensorBytes::new(self.map.clone(), d.range.clone())),
            None => Err(Error::NoTensor { path: self.path.clone(), tensor: name.to_owned() }),
        }
    }
}

/// The datasets that Keras lists, and which weights they are.
type Read = (BTreeMap<String, Dataset>, Vec<(String, Weight)>);

fn read(path: &Path, file: &[u8]) -> Result<Read> {
    let bad = |what: String| Error::malformed(path, FORMAT, what);
    let h5 = Hdf5::open(file).map_err(bad)?;
    // `model.save` puts the weights into a group beside the model's description.
    let mut top = None;
    let mut layers = h5.texts(top, "layer_names").map_err(bad)?;
    if layers.is_none() {
        top = h5.find(None, "model_weights").map_err(bad)?;
        if top.is_some() {
            layers = h5.texts(top, "layer_names").map_err(bad)?;
        }
    }
    let Some(layers) = layers else {
        let what = "HDF5, but without the list of layers that Keras 2 writes; save a bert4keras model by \
                    model.save_weights_as_checkpoint(FILE), and one of transformers by save_pretrained";
        return Err(Error::unsupported(path, what));
    };
    let weights_of: WeightsOf = if keras_bert::is_one(&layers) { keras_bert::weights_of } else { weights_of };
    // By the layer of bert4keras, its datasets in the order of the list.
    let mut found: Vec<(String, Vec<(String, Dataset)>)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for layer in &layers {
        let Some(group) = h5.find(top, layer).map_err(bad)? else {
            return Err(bad(format!("the layer {layer} is listed and not there")));
        };
        // Within one layer of Keras: a model within the model has layers of others again, the embedding's among them.
        let mut here = HashSet::new();
        for name in h5.texts(Some(group), "weight_names").map_err(bad)?.unwrap_or_default() {
            let full = format!("{layer}/{name}");
            let own = full
                .split('/')
                .rev()
                .skip(1)
                .find(|part| is_layer(part, weights_of))
                .unwrap_or(layer)
                .to_owned();
            if at.contains_key(&own) && !here.contains(&own) {
                continue;
            }
            let dataset = h5.find(Some(group), &name).and_then(|at| match at {
                Some(at) => h5.dataset(at),
                None => Err("it is listed and not there".to_owned()),
            });
            let dataset = dataset.map_err(|what| Error::tensor(path, &full, what))?;
            let place = *at.entry(own.clone()).or_insert_with(|| {
                found.push((own.clone(), Vec::new()));
                found.len() - 1
            });
            here.insert(own);
            found[place].1.push((full, dataset));
        }
    }
    let (mut datasets, mut weights, mut known) = (BTreeMap::new(), Vec::new(), 0);
    for (layer, list) in found {
        let names = weights_of(&layer, list.len());
        known += usize::from(names.is_some());
        for (n, (full, dataset)) in list.into_iter().enumerate() {
            // What is not known keeps its name, so that a strict loader reports it.
            let own = || Weight { name: full.clone(), transposed: false };
            let weight = names.as_ref().and_then(|names| names.get(n).cloned()).unwrap_or_else(own);
            weights.push((full.clone(), weight));
            if datasets.insert(full.clone(), dataset).is_some() {
                return Err(bad(format!("{full} is listed twice")));
            }
        }
    }
    if known == 0 {
        let of_transformers =
            datasets.keys().any(|name| name.contains("tf_") || name.contains("/block_._0/"));
        let what = match of_transformers {
            true => format!(
                "weights that transformers saved from TensorFlow, which are not read: {H5_OF_TRANSFORMERS}"
            ),
            false => {
                let shown: Vec<&str> = layers.iter().take(5).map(String::as_str).collect();
                format!(
                    "weights of Keras, but none of bert4keras's T5 or BERT: its layers are {}, …",
                    shown.join(", ")
                )
            }
        };
        return Err(Error::unsupported(path, what));
    }
    Ok((datasets, weights))
}

/// The weights of a layer that has so many of them, in their order.
type WeightsOf = fn(&str, usize) -> Option<Vec<Weight>>;

/// Whether this is the name of a layer of bert4keras's that has weights.
fn is_layer(name: &str, weights_of: WeightsOf) -> bool {
    [1, 2, 3, 4, 8].iter().any(|&n| weights_of(name, n).is_some())
}

/// The weights of a layer of bert4keras's T5 that has `count` of them, in their order.
fn weights_of(layer: &str, count: usize) -> Option<Vec<Weight>> {
    let weight = |name: String, transposed| Weight { name, transposed };
    let one =
        |name: String, transposed| Some(vec![weight(name, transposed)]).filter(|list| list.len() == count);
    match layer {
        "Embedding-Token" => return one("shared.weight".to_owned(), false),
        "Decoder-Output-LM" => return one("lm_head.weight".to_owned(), true),
        _ => {}
    }
    let (side, rest) = match (layer.strip_prefix("Encoder-"), layer.strip_prefix("Decoder-")) {
        (Some(rest), _) => ("encoder", rest),
        (_, Some(rest)) => ("decoder", rest),
        _ => return None,
    };
    match rest {
        "Embedding-Relative-Position" => {
            return one(
                format!("{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
                false,
            );
        }
        "Output-Norm" => return one(format!("{side}.final_layer_norm.weight"), false),
        _ => {}
    }
    let (block, part) = rest.strip_prefix("Transformer-")?.split_once('-')?;
    let block: u16 = block.parse().ok()?;
    let (part, norm) = match part.strip_suffix("-Norm") {
        Some(part) => (part, true),
        None => (part, false),
    };
    let (at, module) = match (part, side) {
        ("MultiHeadSelfAttention", _) => (0, "SelfAttention"),
        ("MultiHeadCrossAttention", "decoder") => (1, "EncDecAttention"),
        ("FeedForward", "encoder") => (1, "DenseReluDense"),
        ("FeedForward", _) => (2, "DenseReluDense"),
        _ => return None,
    };
    let layer = format!("{side}.block.{block}.layer.{at}");
    if norm {
        return one(format!("{layer}.layer_norm.weight"), false);
    }
    let names: &[&str] = match (module, count) {
        ("DenseReluDense", 2) => &["wi", "wo"],
        ("DenseReluDense", 3) => &["wi_0", "wi_1", "wo"],
        ("SelfAttention" | "EncDecAttention", 4) => &["q", "k", "v", "o"],
        _ => return None,
    };
    Some(names.iter().map(|name| weight(format!("{layer}.{module}.{name}.weight"), true)).collect())
}

/// The reader on bytes in memory, for fuzzing: the bytes that all weights together have.
#[doc(hidden)]
pub fn check(bytes: &[u8]) -> Result<usize> {
    let (datasets, _) = read(Path::new("(memory)"), bytes)?;
    Ok(datasets.values().map(|d| bytes[d.range.clone()].len()).sum())
}
