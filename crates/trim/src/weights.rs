//! Cutting a checkpoint: the rows of dropped pieces leave the matrices that have a row for each, everything
//! else is copied byte for byte.
//!
//! It goes tensor by tensor from mapped file to written file. A mapping counts as the program's memory, so
//! the checkpoint is opened anew from time to time; there is never more than one big tensor mapped and read.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde::{Deserialize, Serialize};
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};

use crate::Error;

/// Tensors that have a row for each piece, by their names in transformers.
const VOCABULARY_TENSORS: [&str; 4] =
    ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"];

/// After so many bytes read, the checkpoint is opened anew.
const MAPPED_BYTES: usize = 64 << 20;

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

/// Sizes of the checkpoint at `path` whose vocabulary has `rows` rows.
///
/// # Errors
/// [`Error::Mismatch`] where a vocabulary's matrix has other rows, or another tensor has as many: then the
/// model is of a kind that cannot be cut.
pub fn measure(path: &Path, rows: usize) -> Result<Sizes, Error> {
    let checkpoint = Checkpoint::open(path)?;
    let mut sizes = Sizes { rows: rows as u64, ..Sizes::default() };
    let mut matrices = 0;
    for name in checkpoint.names() {
        let (dtype, shape) = checkpoint.info(name)?;
        let n: usize = shape.iter().product();
        let bytes = dtype.byte_len(&shape).unwrap_or(usize::MAX) as u64;
        sizes.parameters += n as u64;
        sizes.bytes += bytes;
        sizes.largest_tensor_bytes = sizes.largest_tensor_bytes.max(bytes);
        if VOCABULARY_TENSORS.contains(&name) {
            matrices += 1;
            sizes.vocabulary_parameters += n as u64;
            if shape.len() != 2 || shape[0] != rows {
                return Err(Error::Mismatch(format!(
                    "{}: tensor {name} has shape {shape:?}, but config.json speaks of {rows} rows; the files \
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
    Ok(sizes)
}

/// Writes the checkpoint at `path` to the file `output` with only the rows `keep` (ascending) of its
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
    measure(path, rows)?;
    let runs = runs(keep);
    let mut checkpoint = Checkpoint::open(path)?;
    let mut specs = Vec::new();
    let mut sizes = Sizes { rows: keep.len() as u64, ..Sizes::default() };
    for name in checkpoint.names() {
        let (dtype, mut shape) = checkpoint.info(name)?;
        let is_vocabulary = VOCABULARY_TENSORS.contains(&name);
        if is_vocabulary {
            shape[0] = keep.len();
            sizes.vocabulary_parameters += shape.iter().product::<usize>() as u64;
        }
        sizes.parameters += shape.iter().product::<usize>() as u64;
        let bytes = dtype.byte_len(&shape).unwrap_or(usize::MAX) as u64;
        sizes.bytes += bytes;
        sizes.largest_tensor_bytes = sizes.largest_tensor_bytes.max(bytes);
        specs.push(TensorSpec::new(name, dtype, shape));
    }
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
        let bytes = checkpoint.bytes(&spec.name)?;
        mapped += bytes.len();
        writer.tensor_with(&spec.name, |put| {
            let mut put = |chunk: &[u8]| {
                done += chunk.len() as u64;
                progress(done, sizes.bytes);
                put(chunk)
            };
            if VOCABULARY_TENSORS.contains(&spec.name.as_str()) {
                let row_bytes = bytes.len() / rows;
                runs.iter().try_for_each(|run| put(&bytes[run.start * row_bytes..run.end * row_bytes]))
            } else {
                bytes.chunks(16 << 20).try_for_each(put)
            }
        })?;
    }
    let file = writer.finish()?;
    let file = file.into_inner().map_err(|e| t5kit_formats::Error::io(output, "write")(e.into_error()))?;
    file.sync_all().map_err(t5kit_formats::Error::io(output, "write to the disk"))?;
    Ok(sizes)
}

/// Neighbouring rows taken together.
fn runs(keep: &[u32]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
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
}
