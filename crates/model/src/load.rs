//! From a checkpoint to a model.

use std::path::Path;

use t5kit_formats::TensorBytes;
use t5kit_tensor::{Bytes, DType, Params, Weight, WeightError};

use crate::architecture::{Architecture, ParamKind};
use crate::init::fresh;
use crate::lora::{merged, saved};
use crate::plan::scales_of;
use crate::reader::{KeptRows, MAPPED_BYTES};
use crate::{Entry, Error, LoadOptions, Model, Plan, memory};

/// Loads a checkpoint as it lies there: [`Plan::new`] and [`Plan::load`] with the default options.
///
/// # Errors
/// Those of both.
pub fn load(path: &Path) -> Result<Model, Error> {
    Plan::new(path, &LoadOptions::default())?.load()
}

impl<A: Architecture> Plan<A> {
    /// Loads the weights. They stay in the mapped file, in the file's storage type, where the format, the rows to
    /// keep and the type asked for allow; vectors are f32.
    ///
    /// # Errors
    /// [`Error::Memory`] where they do not fit, before anything is read; those of reading.
    pub fn load(mut self) -> Result<A::Model, Error> {
        self.check_memory()?;
        let mut params = Params::default();
        let (copies, keep) = (self.copies(), self.kept_rows());
        for stream in 0..self.entries.len() {
            if copies {
                self.reader.refresh()?;
            }
            let weight = self.weight(stream, keep.as_ref())?;
            let entry = &self.entries[stream];
            let dtype = entry.held_as(self.options.dtype);
            let mapped = !copies || self.stays_mapped(entry);
            // What is packed already is in memory of its own.
            let kept = weight.dtype() == dtype && (mapped || dtype == DType::I4);
            let weight = if kept { weight } else { weight.to_dtype(dtype) };
            let weight = if self.multiplies(entry) { weight.packed() } else { weight };
            params.add(entry.slot.name.clone(), weight);
        }
        self.config.build(params)
    }

    /// Whether all weights are copied: where matrices change their type, or are packed because they are int8, nothing stays
    /// in the mapped file, whose pages would count twice; but see [`Self::stays_mapped`].
    fn copies(&self) -> bool {
        self.entries.iter().any(|entry| {
            let (stored, held) = (entry.stored_as(), entry.held_as(self.options.dtype));
            entry.slot.kind.is_matrix()
                && stored.is_some_and(|s| s != held || matches!(s, DType::I8 | DType::I4))
        })
    }

    /// Whether a matrix is one of products, not looked up alone.
    fn multiplies(&self, entry: &Entry) -> bool {
        entry.slot.kind == ParamKind::Linear
            || entry.slot.name == self.config.vocabulary().softmax
            || self.config.is_tied()
    }

    /// An embedding in int8 that is only looked up: a few rows of it are ever read.
    fn stays_mapped(&self, entry: &Entry) -> bool {
        entry.stored_as() == Some(DType::I8) && !self.multiplies(entry)
    }

    /// Bytes at the widest moment of [`Self::load`], more than [`Self::held_bytes`] where weights change their type: beside
    /// what is held already there are the mapped part of the file, and of a matrix that is not f32 before or after a copy
    /// that is.
    pub fn loading_bytes(&self) -> u64 {
        if !self.copies() {
            return self.held_bytes();
        }
        let (mut held, mut mapped, mut widest) = (0, 0, 0);
        for entry in &self.entries {
            if mapped > MAPPED_BYTES {
                mapped = 0;
            }
            let bytes = |dtype: DType| entry.bytes_as(dtype);
            let (stored, becomes) = (entry.stored_as(), entry.held_as(self.options.dtype));
            mapped += stored.map_or(0, bytes);
            held += bytes(becomes);
            let direct = stored == Some(DType::F32) || becomes == DType::F32;
            let copied = if direct { 0 } else { bytes(DType::F32) };
            widest = widest.max(held + mapped + copied);
        }
        widest
    }

    /// Refuses weights that do not fit into memory.
    fn check_memory(&self) -> Result<(), Error> {
        let needed = self.held_bytes();
        match self.options.memory.or_else(memory::available_bytes) {
            Some(available) if needed > available => {
                Err(Error::Memory { path: self.path().to_owned(), needed, available })
            }
            _ => Ok(()),
        }
    }

    /// A parameter as the file stores it, only the rows `keep` of a vocabulary's matrix; with its adapter in it (then in
    /// f32). `stream` is its number among the entries.
    pub(crate) fn weight(&mut self, stream: usize, keep: Option<&KeptRows>) -> Result<Weight, Error> {
        let entry = &self.entries[stream];
        if let Some(adapter) = &self.adapter
            && let Some(weight) =
                saved(adapter, &entry.slot, self.keep.as_deref(), &self.config.vocabulary())?
        {
            return merged(adapter, &entry.slot.name, weight);
        }
        let weight = match &entry.tensor {
            None => fresh(&entry.slot, self.options.seed, stream as u64),
            Some((name, dtype)) => {
                let keep = keep.filter(|_| entry.slot.is_vocabulary);
                let bytes = self.reader.whole(name, keep)?;
                let weight = match dtype {
                    DType::I8 | DType::I4 => {
                        let scales = self.reader.whole(&scales_of(name), keep)?;
                        let (scales, _) = scales.as_chunks::<4>();
                        let scales: Vec<f32> = scales.iter().map(|&b| f32::from_le_bytes(b)).collect();
                        if *dtype == DType::I4 {
                            Weight::int4(&entry.slot.shape, &bytes, &scales)
                        } else {
                            let (owner, range) = bytes.into_parts();
                            Weight::int8(&entry.slot.shape, Bytes::new(owner, range), scales)
                        }
                    }
                    _ => weight_of(&entry.slot.shape, *dtype, bytes),
                };
                weight.map_err(|source| Error::Weight {
                    path: self.reader.checkpoint().path_of(name).to_owned(),
                    tensor: name.clone(),
                    source,
                })?
            }
        };
        match &self.adapter {
            Some(adapter) => merged(adapter, &entry.slot.name, weight),
            None => Ok(weight),
        }
    }
}

/// A weight of a file's bytes, doubles as singles.
pub(crate) fn weight_of(shape: &[usize], dtype: DType, bytes: TensorBytes) -> Result<Weight, WeightError> {
    let (bytes, dtype) = match dtype {
        DType::F64 => (singles(&bytes), DType::F32),
        other => (bytes, other),
    };
    let (owner, range) = bytes.into_parts();
    Weight::mapped(shape, dtype, Bytes::new(owner, range))
}

/// Doubles as singles.
fn singles(bytes: &TensorBytes) -> TensorBytes {
    let (doubles, _) = bytes.as_chunks::<8>();
    doubles.iter().flat_map(|&b| (f64::from_le_bytes(b) as f32).to_le_bytes()).collect::<Vec<u8>>().into()
}
