//! Cutting a checkpoint: the rows of dropped pieces leave the matrices that have a row for each, everything
//! else is copied byte for byte.
//!
//! It goes tensor by tensor from mapped file to written file. A mapping counts as the program's memory, so
//! the checkpoint is opened anew from time to time; there is never more than one big tensor mapped and read.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};

use crate::Error;

/// Tensors that have a row for each piece, by their names in transformers.
const VOCABULARY_TENSORS: [&str; 4] = [EMBEDDING, ALIASES[0], ALIASES[1], "lm_head.weight"];
const EMBEDDING: &str = "shared.weight";
/// Other names of the embedding, under which checkpoints of PyTorch list it again.
const ALIASES: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// After so many bytes read, the checkpoint is opened anew.
const MAPPED_BYTES: u64 = 64 << 20;
/// So many bytes of a matrix that lies transposed in its file are turned round at a time.
const BAND_BYTES: usize = 16 << 20;

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

/// The tensors of a checkpoint that count, by name: an embedding that is listed under several names but lies in the
/// file once is one tensor.
fn tensors(checkpoint: &Checkpoint) -> Result<Vec<TensorSpec>, Error> {
    let mut specs = Vec::new();
    for name in checkpoint.names() {
        let same_place = || -> Result<bool, Error> {
            Ok(checkpoint.bytes(name)?.as_ptr_range() == checkpoint.bytes(EMBEDDING)?.as_ptr_range())
        };
        if ALIASES.contains(&name) && checkpoint.contains(EMBEDDING) && same_place()? {
            continue;
        }
        let (dtype, shape) = checkpoint.info(name)?;
        specs.push(TensorSpec::new(name, dtype, shape));
    }
    Ok(specs)
}

/// Sizes of the model that `specs` are, whose vocabulary has `rows` rows.
fn sizes(specs: &[TensorSpec], rows: usize) -> Sizes {
    let mut sizes = Sizes { rows: rows as u64, ..Sizes::default() };
    for spec in specs {
        let parameters = spec.shape.iter().product::<usize>() as u64;
        let bytes = spec.dtype.byte_len(&spec.shape).unwrap_or(usize::MAX) as u64;
        sizes.parameters += parameters;
        if VOCABULARY_TENSORS.contains(&&*spec.name) {
            sizes.vocabulary_parameters += parameters;
        }
        sizes.bytes += bytes;
        sizes.largest_tensor_bytes = sizes.largest_tensor_bytes.max(bytes);
    }
    sizes
}

/// The tensors of the checkpoint at `path`, whose vocabulary must have `rows` rows.
fn checked(path: &Path, checkpoint: &Checkpoint, rows: usize) -> Result<Vec<TensorSpec>, Error> {
    let specs = tensors(checkpoint)?;
    let mut matrices = 0;
    for TensorSpec { name, shape, .. } in &specs {
        if VOCABULARY_TENSORS.contains(&&**name) {
            matrices += 1;
            if shape.len() != 2 || shape[0] != rows {
                return Err(Error::Mismatch(format!(
                    "{}: tensor {name} has shape {shape:?}, but its configuration speaks of {rows} rows; the files \
                     do not belong together",
                    path.display()
                )));
            }
        } else if shape.first() == Some(&rows) && rows > 4096 {
            return Err(Error::Mismatch(format!(
                "{}: tensor {name} has {rows} rows like the vocabulary, but is none of its known matrices ({})",
                path.display(),
                VOCABULARY_TENSORS.join(", ")
            )));
        }
    }
    if matrices == 0 {
        return Err(Error::Mismatch(format!(
            "{}: holds none of {}; it is no model of the T5 family",
            path.display(),
            VOCABULARY_TENSORS.join(", ")
        )));
    }
    Ok(specs)
}

/// Sizes of the checkpoint at `path` (of any kind that [`Checkpoint`] opens) whose vocabulary has `rows` rows.
///
/// # Errors
/// [`Error::Mismatch`] where a vocabulary's matrix has other rows, or another tensor has as many: then the
/// model is of a kind that cannot be cut.
pub fn measure(path: &Path, rows: usize) -> Result<Sizes, Error> {
    Ok(sizes(&checked(path, &Checkpoint::open(path)?, rows)?, rows))
}

/// Writes the checkpoint at `path` to the safetensors file `output` with only the rows `keep` (ascending) of its
/// vocabulary's matrices; returns the new sizes. `progress` is told the bytes written and to be written.
///
/// # Errors
/// Those of [`measure`], and of reading and writing.
///
/// # Panics
/// Where `keep` is not ascending or goes beyond `rows`.
pub fn cut(
    path: &Path,
    rows: usize,
    keep: &[u32],
    output: &Path,
    progress: &dyn Fn(u64, u64),
) -> Result<Sizes, Error> {
    assert!(keep.windows(2).all(|pair| pair[0] < pair[1]), "rows to keep are ascending");
    assert!(keep.last().is_none_or(|&row| (row as usize) < rows), "rows to keep are rows");
    let mut checkpoint = Checkpoint::open(path)?;
    let mut specs = checked(path, &checkpoint, rows)?;
    for spec in specs.iter_mut().filter(|spec| VOCABULARY_TENSORS.contains(&&*spec.name)) {
        spec.shape[0] = keep.len();
    }
    let sizes = sizes(&specs, keep.len());
    let runs = runs(keep);
    let file = File::create(output).map_err(t5kit_formats::Error::io(output, "create"))?;
    let mut writer = SafetensorsWriter::new(BufWriter::with_capacity(1 << 20, file), output, &specs, &[])?;
    let (mut mapped, mut done) = (0, 0);
    for spec in &specs {
        if mapped > MAPPED_BYTES {
            // The old mapping goes before the new one comes.
            drop(checkpoint);
            checkpoint = Checkpoint::open(path)?;
            mapped = 0;
        }
        let width: usize = spec.shape.iter().skip(1).product();
        let row_bytes = width * spec.dtype.size();
        let is_vocabulary = VOCABULARY_TENSORS.contains(&&*spec.name);
        let mut row = 0;
        writer.tensor_with(&spec.name, |put| {
            let mut put = |chunk: &[u8]| {
                done += chunk.len() as u64;
                progress(done, sizes.bytes);
                put(chunk)
            };
            checkpoint.bands(&spec.name, (BAND_BYTES / row_bytes.max(1)).max(1), &mut |band: &[u8]| {
                mapped += band.len() as u64;
                if !is_vocabulary {
                    return band.chunks(BAND_BYTES).try_for_each(&mut put);
                }
                let here = row..row + band.len() / row_bytes.max(1);
                row = here.end;
                within(&runs, &here)
                    .try_for_each(|run| put(&band[run.start * row_bytes..run.end * row_bytes]))
            })
        })?;
    }
    let file = writer.finish()?;
    let file = file.into_inner().map_err(|e| t5kit_formats::Error::io(output, "write")(e.into_error()))?;
    file.sync_all().map_err(t5kit_formats::Error::io(output, "write to the disk"))?;
    Ok(sizes)
}

/// The parts of `runs` (ascending) that lie in `band`, counted from its beginning.
fn within<'a>(runs: &'a [Range<usize>], band: &'a Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
    let first = runs.partition_point(|run| run.end <= band.start);
    let here = runs[first..].iter().take_while(|run| run.start < band.end);
    here.map(|run| run.start.max(band.start) - band.start..run.end.min(band.end) - band.start)
}

/// Neighbouring rows taken together.
fn runs(keep: &[u32]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &row in keep {
        let row = row as usize;
        match runs.last_mut() {
            Some(run) if run.end == row => run.end += 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_run_together() {
        assert_eq!(runs(&[]), []);
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), [0..3, 5..6, 7..9]);
    }

    #[test]
    fn bands_have_their_parts_of_runs() {
        let runs = [0..3, 5..6, 7..9];
        for size in 1..12 {
            let mut rows = Vec::new();
            for start in (0..12).step_by(size) {
                let band = start..12.min(start + size);
                rows.extend(within(&runs, &band).flatten().map(|row| row + start));
            }
            assert_eq!(rows, [0, 1, 2, 5, 7, 8], "by {size}");
        }
        assert_eq!(within(&[], &(0..4)).count(), 0);
    }
}
