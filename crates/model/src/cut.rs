//! Cutting a checkpoint as it stands: the rows of dropped pieces leave the matrices that have a row for each,
//! everything else is copied byte for byte, in its type and under its name.

use std::path::Path;

use serde::{Deserialize, Serialize};
use t5kit_formats::Checkpoint;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::safetensors::TensorSpec;

use crate::architecture::{Architecture, VocabularyNames};
use crate::plan::SCALES;
use crate::reader::{KeptRows, Reader};
use crate::store::write_file;
use crate::{Config, Error};

/// Sizes of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Rows of the vocabulary's matrices.
    pub rows: u64,
    /// All parameters.
    pub parameters: u64,
    /// Those in the vocabulary's matrices.
    pub vocabulary_parameters: u64,
    /// Bytes of all tensors as they are stored, and as they are held when nothing is converted.
    pub bytes: u64,
    /// Bytes of the largest tensor.
    pub largest_tensor_bytes: u64,
}

impl Sizes {
    fn of(specs: &[TensorSpec], rows: usize, names: &VocabularyNames) -> Self {
        let mut sizes = Sizes { rows: rows as u64, ..Sizes::default() };
        for spec in specs {
            let parameters = spec.shape.iter().product::<usize>() as u64;
            let bytes = spec.dtype.byte_len(&spec.shape).unwrap_or(usize::MAX) as u64;
            sizes.parameters += parameters;
            if names.contains(&spec.name) {
                sizes.vocabulary_parameters += parameters;
            }
            sizes.bytes += bytes;
            sizes.largest_tensor_bytes = sizes.largest_tensor_bytes.max(bytes);
        }
        sizes
    }
}

/// A checkpoint that is to be cut, with its configuration.
#[derive(Debug)]
pub struct Uncut<A = Config> {
    /// Its configuration.
    pub config: A,
    reader: Reader,
}

impl<A: Architecture> Uncut<A> {
    /// Opens the checkpoint at `path`, of any kind that [`Checkpoint`] opens, with the configuration beside it.
    ///
    /// # Errors
    /// Those of reading.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut checkpoint = Checkpoint::open(path)?;
        let config = A::read(&checkpoint, None)?;
        config.settle_names(&mut checkpoint)?;
        Ok(Uncut { config, reader: Reader::new(checkpoint) })
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.reader.checkpoint().folder()
    }

    /// Its sizes.
    ///
    /// # Errors
    /// [`Error::Uncuttable`] where a vocabulary's matrix has other rows than the configuration says, or another tensor
    /// has as many; those of reading.
    pub fn sizes(&self) -> Result<Sizes, Error> {
        let rows = self.config.rows();
        let names = self.config.vocabulary();
        Ok(Sizes::of(&checked(self.reader.checkpoint(), rows, &names)?, rows, &names))
    }

    /// Writes the checkpoint to the safetensors file `output` with only the rows `keep` (ascending) of its vocabulary's
    /// matrices; returns the new sizes. `watch` sees the stage `cutting` in bytes.
    ///
    /// # Errors
    /// Those of [`Self::sizes`] and of writing; `Stopped` by `watch`.
    ///
    /// # Panics
    /// Where `keep` is not ascending or goes beyond the rows.
    pub fn cut(&mut self, keep: &[u32], output: &Path, watch: &mut dyn Watch) -> Result<Sizes, Error> {
        assert!(keep.last().is_none_or(|&row| (row as usize) < self.config.rows()), "rows to keep are rows");
        let kept = KeptRows::new(keep);
        let names = self.config.vocabulary();
        let mut specs = checked(self.reader.checkpoint(), self.config.rows(), &names)?;
        for spec in specs.iter_mut().filter(|spec| has_rows(&names, &spec.name)) {
            spec.shape[0] = keep.len();
        }
        let sizes = Sizes::of(&specs, keep.len(), &names);
        let mut done = 0;
        write_file(output, &specs, |number, put| -> Result<(), Error> {
            let name = &specs[number].name;
            self.reader.refresh()?;
            self.reader.bands(name, Some(&kept).filter(|_| has_rows(&names, name)), &mut |band| {
                put(band)?;
                done += band.len() as u64;
                let at = Progress::bytes("cutting", done, Some(sizes.bytes));
                Ok(watch.go_on(at).map_err(t5kit_formats::Error::from)?)
            })
        })?;
        Ok(sizes)
    }
}

/// Whether a tensor has a row, or a scale, for each entry of the vocabulary.
fn has_rows(names: &VocabularyNames, name: &str) -> bool {
    names.contains(name.strip_suffix(SCALES).unwrap_or(name))
}

/// The tensors of a checkpoint that count, by name: an embedding that is listed under several names but lies in the
/// file once is one tensor.
fn tensors(checkpoint: &Checkpoint, names: &VocabularyNames) -> Result<Vec<TensorSpec>, Error> {
    let mut specs = Vec::new();
    for name in checkpoint.names() {
        let same_place = |other| -> Result<bool, Error> {
            let place = |name| Ok::<_, Error>(checkpoint.bytes(name)?.as_ptr_range());
            Ok(place(name)? == place(other)?)
        };
        if let Some((_, other)) = names.second_names().find(|&(alias, _)| alias == name)
            && checkpoint.contains(other)
            && same_place(other)?
        {
            continue;
        }
        let (dtype, shape) = checkpoint.info(name)?;
        specs.push(TensorSpec::new(name, dtype, shape));
    }
    Ok(specs)
}

/// The same, where the vocabulary must have `rows` rows.
fn checked(checkpoint: &Checkpoint, rows: usize, names: &VocabularyNames) -> Result<Vec<TensorSpec>, Error> {
    let bad = |what: String| Err(Error::Uncuttable { path: checkpoint.path().to_owned(), what });
    let known = || names.all().collect::<Vec<_>>().join(", ");
    let specs = tensors(checkpoint, names)?;
    let mut matrices = 0;
    for TensorSpec { name, shape, .. } in &specs {
        if has_rows(names, name) {
            matrices += 1;
            let vector = names.bias == Some(name) || names.bias_alias == Some(name) || name.ends_with(SCALES);
            if shape.len() != if vector { 1 } else { 2 } || shape[0] != rows {
                return bad(format!(
                    "tensor {name} has shape {shape:?}, but its configuration speaks of {rows} rows; the files do not \
                     belong together"
                ));
            }
        } else if shape.first() == Some(&rows) && rows > 4096 {
            return bad(format!(
                "tensor {name} has {rows} rows like the vocabulary, but is none of its known matrices ({})",
                known()
            ));
        }
    }
    if matrices == 0 {
        return bad(format!("holds none of {}; it is no model of this kind", known()));
    }
    Ok(specs)
}
