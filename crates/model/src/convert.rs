//! From any checkpoint to a Hugging Face directory's `config.json` and `model.safetensors`, a tensor at a time.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, json};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::safetensors::TensorSpec;
use t5kit_tensor::{Beyond, DType, Rows};

use crate::architecture::{Architecture, Portable, Table};
use crate::load::weight_of;
use crate::plan::{scales_of, scales_shape};
use crate::reader::KeptRows;
use crate::store::{Put, write_file};
use crate::{Error, Plan};

/// How a checkpoint is converted.
#[derive(Clone, Copy, Debug)]
pub struct ConvertOptions {
    /// The storage type of every tensor; by default each keeps its own (doubles become singles). What int8 and 4 bits
    /// are not for ([`Slot::stored_in`](crate::Slot::stored_in)) is f32 or int8 then.
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

/// Writes `config.json` and `model.safetensors` for a plan into a folder that exists and has no weights, a band of rows
/// at a time. A model over `max_shard_size` becomes `model-00001-of-0000N.safetensors`, … and
/// `model.safetensors.index.json`, cut as transformers does. `watch` sees the stage
/// `converting` in bytes.
/// Returns what other programs will read otherwise, a sentence each ([`Architecture::portable`]).
///
/// # Errors
/// [`Error::Range`] where f16 cannot hold a value; those of reading and writing; `Stopped` by `watch`.
pub fn convert<A: Architecture>(
    plan: Plan<A>,
    options: ConvertOptions,
    folder: &Path,
    watch: &mut dyn Watch,
) -> Result<Vec<String>, Error> {
    let stored = |entry: &crate::Entry| entry.stored_as().unwrap_or(DType::F32);
    let written = |entry: &crate::Entry| entry.slot.stored_in(options.dtype.unwrap_or_else(|| stored(entry)));
    let types: Vec<DType> = plan.entries.iter().map(written).collect();
    // What a configuration calls the type is what others compute in.
    let first = types.first().copied().filter(|&first| !is_quantized(first)).unwrap_or(DType::F32);
    let Portable { config, softmax_factor, notes, tables } = plan.config.portable(first);
    config.write(&folder.join("config.json"), true)?;

    let spec = |(entry, &dtype): (&crate::Entry, &DType)| {
        let table = tables.iter().find(|table| table.replaces && table.name == entry.slot.name);
        TensorSpec::new(&entry.slot.name, dtype, &**table.map_or(&entry.slot.shape, |table| &table.shape))
    };
    // What each tensor is made of: an entry or, behind one of whole numbers, its scales.
    let (mut specs, mut parts) = (Vec::new(), Vec::new());
    for (stream, entry) in plan.entries.iter().zip(&types).enumerate() {
        let (mut spec, dtype): (TensorSpec, DType) = (spec(entry), *entry.1);
        let scales = is_quantized(dtype).then(|| {
            TensorSpec::new(&*scales_of(&spec.name), DType::F32, &*scales_shape(&spec.shape, dtype))
        });
        if dtype == DType::I4 {
            // Two columns a byte.
            (spec.dtype, spec.shape[1]) = (DType::U8, spec.shape[1].div_ceil(2));
        }
        specs.push(spec);
        parts.push(Part::Numbers(stream, dtype));
        if let Some(scales) = scales {
            specs.push(scales);
            parts.push(Part::Scales(stream));
        }
    }
    for table in tables.iter().filter(|table| !table.replaces) {
        specs.push(TensorSpec::new(&table.name, first, &*table.shape));
        parts.push(Part::Numbers(specs.len(), first));
    }
    let count = |spec: &TensorSpec| spec.shape.iter().map(|&n| n as u64).product::<u64>();
    let sizes: Vec<u64> = specs.iter().map(|spec| count(spec) * spec.dtype.size() as u64).collect();
    let (total, elements) = (sizes.iter().sum(), specs.iter().map(count).sum::<u64>());
    let shards = shards(&sizes, options.max_shard_size);
    let mut weight_map = Map::new();
    let keep = plan.kept_rows();
    let mut weights = Weights { plan, keep, softmax_factor, tables, scales: HashMap::new() };
    let mut done = 0;
    for (number, shard) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            all => format!("model-{:05}-of-{all:05}.safetensors", number + 1),
        };
        let specs = shard.iter().map(|&at| specs[at].clone()).collect::<Vec<_>>();
        write_file(&folder.join(&name), &specs, |number, put| {
            weights.write(parts[shard[number]], &specs[number], &mut |bytes| {
                put(bytes)?;
                done += bytes.len() as u64;
                Ok(watch.go_on(Progress::bytes("converting", done, Some(total)))?)
            })
        })?;
        weight_map.extend(specs.into_iter().map(|spec| (spec.name, name.clone().into())));
    }
    if shards.len() > 1 {
        let path = folder.join("model.safetensors.index.json");
        let metadata = json!({"total_parameters": elements, "total_size": total});
        let index = json!({"metadata": metadata, "weight_map": weight_map});
        std::fs::write(&path, format!("{index:#}\n")).map_err(t5kit_formats::Error::io(&path, "write"))?;
    }
    Ok(notes)
}

/// The weights of a plan on their way into files.
struct Weights<A> {
    plan: Plan<A>,
    keep: Option<KeptRows>,
    softmax_factor: f32,
    tables: Vec<Table>,
    /// Of entries in int8 that have been written, until they are written themselves.
    scales: HashMap<usize, Vec<f32>>,
}

/// What of an entry a tensor holds.
#[derive(Clone, Copy)]
enum Part {
    /// Its elements, in a storage type.
    Numbers(usize, DType),
    Scales(usize),
}

/// Whether a type is one of whole numbers, with scales beside them.
fn is_quantized(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::I4)
}

impl<A: Architecture> Weights<A> {
    /// Gives `put` the elements of an entry, or of a table behind them, as the bytes that `spec` asks for.
    fn write(&mut self, part: Part, spec: &TensorSpec, put: &mut Put<'_>) -> Result<(), Error> {
        let (stream, dtype) = match part {
            Part::Numbers(stream, dtype) => (stream, dtype),
            Part::Scales(stream) => {
                let scales = self.scales.remove(&stream).unwrap_or_default();
                return Ok(put(&scales.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>())?);
            }
        };
        self.plan.reader.refresh()?;
        let tensor = spec.name.clone();
        let mut scales = Vec::new();
        let factor = if tensor == self.plan.config.vocabulary().softmax { self.softmax_factor } else { 1.0 };
        let read = self.plan.entries.get(stream).and_then(|entry| entry.tensor.as_ref());
        let path =
            read.map_or(self.plan.path(), |(name, _)| self.plan.reader.checkpoint().path_of(name)).to_owned();
        let beyond = |Beyond(value)| Error::Range {
            path: path.clone(),
            tensor: tensor.clone(),
            value,
            dtype: dtype.name(),
        };
        let mut give = |rows: Rows<'_>| -> Result<(), Error> {
            if dtype == DType::I8 {
                let (q, s) = rows.quantized(factor).map_err(beyond)?;
                scales.extend(s);
                return Ok(put(&q.iter().map(|&q| q as u8).collect::<Vec<u8>>())?);
            }
            if dtype == DType::I4 {
                let (bytes, s) = rows.quantized_in_4_bits(factor).map_err(beyond)?;
                scales.extend(s);
                return Ok(put(&bytes)?);
            }
            rows.bytes(dtype, factor).try_for_each(|bytes| Ok(put(&bytes.map_err(beyond)?)?))
        };
        let slot = self.plan.entries.get(stream).map(|entry| entry.slot.clone());
        let from = self.plan.entries.get(stream).and_then(|entry| entry.tensor.clone());
        // A new parameter, one with its adapter in it and one with its scales is there as a whole.
        let banded = from.filter(|(_, stored)| self.plan.adapter.is_none() && !is_quantized(*stored));
        if let Some(table) = self.tables.iter().find(|table| table.name == tensor).cloned() {
            let own = table.replaces.then(|| self.plan.weight(stream, self.keep.as_ref())).transpose()?;
            give((table.make)(own.as_ref(), &table.shape).as_rows())?;
        } else if let (Some(slot), Some((name, stored))) = (slot, banded) {
            let width: usize = slot.shape.iter().skip(1).product();
            let keep = self.keep.as_ref().filter(|_| slot.is_vocabulary);
            self.plan.reader.bands(&name, keep, &mut |band| {
                let mut shape = slot.shape.clone();
                if let Some(rows) = shape.first_mut() {
                    *rows = band.len() / (width * stored.size()).max(1);
                }
                let weight = weight_of(&shape, stored, band.to_vec().into());
                let bad = |source| Error::Weight { path: path.clone(), tensor: name.clone(), source };
                give(weight.map_err(bad)?.as_rows())
            })?;
        } else {
            give(self.plan.weight(stream, self.keep.as_ref())?.as_rows())?;
        }
        if is_quantized(dtype) {
            self.scales.insert(stream, scales);
        }
        Ok(())
    }
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
