//! From any checkpoint to a Hugging Face directory's `config.json` and `model.safetensors`, a tensor at a time.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde_json::{Map, Value, json};
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::config::T5Config;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_tensor::{Beyond, DType};

use crate::plan::Entry;
use crate::{Error, Plan};

/// After so many bytes read, the checkpoint is opened anew: a mapping counts as the program's memory.
const MAPPED_BYTES: usize = 256 << 20;

/// How a checkpoint is converted.
#[derive(Clone, Copy, Debug)]
pub struct ConvertOptions {
    /// The storage type of every tensor; by default each keeps its own (doubles become singles).
    pub dtype: Option<DType>,
    /// Bytes of tensors in one file, at most; a larger tensor is alone in its file.
    pub max_shard_size: u64,
}

/// transformers' own limit, 5 GB, and no change of types.
impl Default for ConvertOptions {
    fn default() -> Self {
        ConvertOptions { dtype: None, max_shard_size: 5_000_000_000 }
    }
}

/// Writes `config.json` and `model.safetensors` for a plan into a folder that exists and has no weights; never holds
/// more than one tensor beside what is mapped. A model over `max_shard_size` becomes `model-00001-of-0000N.safetensors`,
/// … and `model.safetensors.index.json`, cut as transformers does. `progress` is told the bytes written and to be
/// written. Returns what other programs will read otherwise, a sentence each.
///
/// A softmax whose hidden states are scaled although its matrix is separate (see `scale_decoder_outputs`) gets the
/// scale into its matrix, which every program reads alike.
///
/// # Errors
/// [`Error::Range`] where f16 cannot hold a value; those of reading and writing.
pub fn convert(
    mut plan: Plan,
    options: ConvertOptions,
    folder: &Path,
    progress: &dyn Fn(u64, u64),
) -> Result<Vec<String>, Error> {
    let (config, scale, notes) = portable(&plan.config);
    let types: Vec<DType> =
        plan.entries.iter().map(|entry| options.dtype.unwrap_or_else(|| stored(entry))).collect();
    let config = with_dtype(config, types.first().copied().unwrap_or(DType::F32));
    config.write(&folder.join("config.json"), true)?;

    let specs: Vec<TensorSpec> = plan
        .entries
        .iter()
        .zip(&types)
        .map(|(e, &t)| TensorSpec::new(&e.slot.name, t, &*e.slot.shape))
        .collect();
    let sizes: Vec<u64> =
        plan.entries.iter().zip(&types).map(|(e, t)| e.elements() * t.size() as u64).collect();
    let total = sizes.iter().sum();
    let shards = shards(&sizes, options.max_shard_size);
    let (mut done, mut mapped) = (0, 0);
    let mut weight_map = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", number + 1),
        };
        let path = folder.join(&name);
        let io = |e: std::io::Error, what: &str| Error::from(t5kit_formats::Error::io(&path, what)(e));
        // Never over a file that is there: it may be the one that is being read.
        let file = File::create_new(&path).map_err(|e| io(e, "create"))?;
        let specs = shard.iter().map(|&at| specs[at].clone()).collect::<Vec<_>>();
        let mut writer = SafetensorsWriter::new(BufWriter::with_capacity(1 << 20, file), &path, &specs, &[])?;
        for &stream in shard {
            if mapped > MAPPED_BYTES {
                plan.checkpoint = Checkpoint::open(plan.checkpoint.path())?;
                mapped = 0;
            }
            let (entry, dtype) = (&plan.entries[stream], types[stream]);
            let weight = plan.weight(entry, stream)?;
            mapped += weight.len() * weight.dtype().size();
            let scale = if entry.slot.name == "lm_head.weight" { scale } else { 1.0 };
            writer.tensor_with(&entry.slot.name, |put| -> Result<(), Error> {
                for bytes in weight.as_rows().bytes(dtype, scale) {
                    let bytes = bytes.map_err(|Beyond(value)| Error::Range {
                        path: plan.path().to_owned(),
                        tensor: entry.slot.name.clone(),
                        value,
                        dtype: dtype.name(),
                    })?;
                    put(&bytes)?;
                    done += bytes.len() as u64;
                    progress(done, total);
                }
                Ok(())
            })?;
            weight_map.insert(entry.slot.name.clone(), name.clone().into());
        }
        let file = writer.finish()?.into_inner().map_err(|e| io(e.into_error(), "write"))?;
        file.sync_all().map_err(|e| io(e, "write to the disk"))?;
    }
    if shards.len() > 1 {
        let path = folder.join("model.safetensors.index.json");
        let metadata = json!({"total_parameters": plan.elements(), "total_size": total});
        let index = json!({"metadata": metadata, "weight_map": weight_map});
        std::fs::write(&path, format!("{index:#}\n")).map_err(t5kit_formats::Error::io(&path, "write"))?;
    }
    Ok(notes)
}

/// Which tensors go into which file, by their sizes: transformers' rule (`split_state_dict_into_shards_factory` in
/// huggingface_hub). A tensor over the limit is a file of its own, and the others go on around it.
fn shards(sizes: &[u64], max: u64) -> Vec<Vec<usize>> {
    let (mut shards, mut open, mut filled) = (Vec::new(), Vec::new(), 0);
    for (at, &size) in sizes.iter().enumerate() {
        if size > max {
            shards.push(vec![at]);
            continue;
        }
        if filled + size > max && !open.is_empty() {
            shards.push(std::mem::take(&mut open));
            filled = 0;
        }
        open.push(at);
        filled += size;
    }
    if !open.is_empty() {
        shards.push(open);
    }
    shards
}

/// The configuration that says to transformers and CTranslate2 what this program reads, the factor that the softmax's
/// matrix has to take over, and what cannot be said.
fn portable(config: &T5Config) -> (T5Config, f32, Vec<String>) {
    let (mut config, mut scale, mut notes) = (config.clone(), 1.0, Vec::new());
    match (config.tie_word_embeddings, config.scales_decoder_outputs()) {
        (false, true) => {
            scale = (config.d_model as f32).powf(-0.5);
            config.scale_decoder_outputs = None;
        }
        (true, false) => notes.push(
            "transformers 4 and CTranslate2 will scale the hidden states before the shared softmax, which this model \
             does not want"
                .to_owned(),
        ),
        _ => config.scale_decoder_outputs = None,
    }
    if config.cross_attention_relative_bias {
        let what = "transformers and CTranslate2 know no relative bias in cross-attention; only t5kit runs this model";
        notes.push(what.to_owned());
    }
    (config, scale, notes)
}

/// The field from which transformers takes the storage type.
fn with_dtype(mut config: T5Config, dtype: DType) -> T5Config {
    // transformers 5's name for it, which would win.
    config.other.shift_remove("dtype");
    config.other.insert("torch_dtype".to_owned(), Value::from(dtype.torch()));
    config
}

/// The type a tensor is stored in now.
fn stored(entry: &Entry) -> DType {
    entry.stored_as().unwrap_or(DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `split_state_dict_into_shards_factory` gives for tensors of these sizes.
    #[test]
    fn files_are_filled_as_transformers_does() {
        for (sizes, max, want) in [
            (&[3, 3, 3][..], 9, vec![vec![0, 1, 2]]),
            (&[3, 3, 3], 8, vec![vec![0, 1], vec![2]]),
            (&[3, 10, 3, 3], 6, vec![vec![1], vec![0, 2], vec![3]]),
            (&[7, 7], 6, vec![vec![0], vec![1]]),
            (&[], 6, vec![]),
        ] {
            assert_eq!(shards(sizes, max), want, "{sizes:?} {max}");
        }
    }
}
