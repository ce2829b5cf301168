//! From a checkpoint to a model.

use std::path::Path;

use t5kit_formats::{Checkpoint, TensorBytes};
use t5kit_tensor::{Bytes, DType, Params, Weight};

use crate::lora::merged;
use crate::plan::Entry;
use crate::t5::fresh;
use crate::{Error, LoadOptions, Plan, T5, memory};

/// After so many bytes converted, the checkpoint is opened anew: a mapping counts as the program's memory.
const MAPPED_BYTES: usize = 64 << 20;

/// Loads a checkpoint as it lies there: [`Plan::new`] and [`Plan::load`] with the default options.
pub fn load(path: &Path) -> Result<T5, Error> {
    Plan::new(path, &LoadOptions::default())?.load()
}

impl Plan {
    /// Loads the weights. They stay in the mapped file, in the file's storage type, where the format, the rows to
    /// keep and the type asked for allow; vectors are f32.
    ///
    /// # Errors
    /// [`Error::Memory`] where they do not fit, before anything is read; those of reading.
    pub fn load(mut self) -> Result<T5, Error> {
        self.check_memory()?;
        let mut params = Params::default();
        let copies = self.copies();
        let mut mapped = 0;
        for stream in 0..self.entries.len() {
            if copies && mapped > MAPPED_BYTES {
                self.checkpoint = Checkpoint::open(self.checkpoint.path())?;
                mapped = 0;
            }
            let entry = &self.entries[stream];
            let weight = self.weight(entry, stream)?;
            mapped += weight.len() * weight.dtype().size();
            let dtype = entry.held_as(self.options.dtype);
            let weight = if copies || weight.dtype() != dtype { weight.to_dtype(dtype) } else { weight };
            params.add(entry.slot.name.clone(), weight);
        }
        T5::new(self.config, params)
    }

    /// Whether all weights are copied: where matrices change their type nothing stays in the mapped file, whose pages
    /// would count twice.
    fn copies(&self) -> bool {
        self.entries.iter().any(|entry| {
            let stored = entry.stored_as();
            entry.slot.shape.len() == 2 && stored.is_some_and(|s| s != entry.held_as(self.options.dtype))
        })
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
            if mapped > MAPPED_BYTES as u64 {
                mapped = 0;
            }
            let bytes = |dtype: DType| entry.elements() * dtype.size() as u64;
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

    /// A parameter as the file stores it, rows cut; with its adapter in it (then in f32). `stream` is its number among
    /// the entries.
    pub(crate) fn weight(&self, entry: &Entry, stream: usize) -> Result<Weight, Error> {
        let weight = self.stored(entry, stream)?;
        match &self.adapter {
            Some(adapter) => merged(adapter, &entry.slot.name, weight),
            None => Ok(weight),
        }
    }

    fn stored(&self, entry: &Entry, stream: usize) -> Result<Weight, Error> {
        let Some((name, dtype)) = &entry.tensor else {
            return Ok(fresh(&entry.slot, self.options.seed, stream as u64));
        };
        let mut bytes = self.checkpoint.bytes(name)?;
        let row = dtype.size() * entry.slot.shape.iter().skip(1).product::<usize>();
        if let Some(keep) = self.keep.as_deref().filter(|_| entry.slot.is_vocabulary()) {
            bytes = rows(&bytes, row, keep);
        }
        if *dtype == DType::F64 {
            bytes = singles(&bytes);
        }
        let dtype = dtype.of_weight().unwrap_or(DType::F32);
        let (owner, range) = bytes.into_parts();
        Weight::mapped(&entry.slot.shape, dtype, Bytes::new(owner, range)).map_err(|e| Error::Weight {
            path: self.path().to_owned(),
            tensor: name.clone(),
            source: e,
        })
    }
}

/// The rows `keep` of a matrix whose rows have `row` bytes.
fn rows(bytes: &TensorBytes, row: usize, keep: &[u32]) -> TensorBytes {
    let mut kept = Vec::with_capacity(row * keep.len());
    for &i in keep {
        kept.extend_from_slice(&bytes[i as usize * row..][..row]);
    }
    kept.into()
}

/// Doubles as singles.
fn singles(bytes: &TensorBytes) -> TensorBytes {
    let (doubles, _) = bytes.as_chunks::<8>();
    doubles.iter().flat_map(|&b| (f64::from_le_bytes(b) as f32).to_le_bytes()).collect::<Vec<u8>>().into()
}
