//! The one way in which tensors leave a checkpoint: whole, or a band of rows at a time, with only the rows to keep.
//!
//! A mapping counts as the program's memory, so the checkpoint is opened anew from time to time; there is never more than
//! one big tensor mapped and read.

use std::ops::Range;

use t5kit_formats::{Checkpoint, Result, TensorBytes};

/// After so many bytes read, the checkpoint is opened anew.
pub(crate) const MAPPED_BYTES: u64 = 16 << 20;
/// A band has so many bytes, or one row.
const BAND_BYTES: usize = 16 << 20;

/// Rows of a matrix that are kept, ascending.
#[derive(Clone, Debug)]
pub(crate) struct KeptRows {
    /// Neighbouring rows taken together.
    runs: Vec<Range<usize>>,
}

impl KeptRows {
    /// From a list, ascending and without repetition.
    pub fn new(keep: &[u32]) -> Self {
        assert!(keep.windows(2).all(|pair| pair[0] < pair[1]), "rows to keep are ascending");
        let mut runs: Vec<Range<usize>> = Vec::new();
        for &row in keep {
            let row = row as usize;
            match runs.last_mut() {
                Some(run) if run.end == row => run.end += 1,
                _ => runs.push(row..row + 1),
            }
        }
        KeptRows { runs }
    }

    /// The parts that lie in `band`, counted from its beginning.
    fn within<'a>(&'a self, band: &'a Range<usize>) -> impl Iterator<Item = Range<usize>> + 'a {
        let first = self.runs.partition_point(|run| run.end <= band.start);
        let here = self.runs[first..].iter().take_while(|run| run.start < band.end);
        here.map(|run| run.start.max(band.start) - band.start..run.end.min(band.end) - band.start)
    }
}

/// A checkpoint whose tensors are read one after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    checkpoint: Checkpoint,
    /// Bytes read since it was opened.
    mapped: u64,
}

impl Reader {
    /// Of an opened checkpoint.
    pub fn new(checkpoint: Checkpoint) -> Self {
        Reader { checkpoint, mapped: 0 }
    }

    /// What is read.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Opens the checkpoint anew where much of it is mapped: for whoever keeps nothing of what was read.
    pub fn refresh(&mut self) -> Result<()> {
        if self.mapped > MAPPED_BYTES {
            self.checkpoint = self.checkpoint.reopened()?;
            self.mapped = 0;
        }
        Ok(())
    }

    /// The bytes of a tensor, a part of the mapped file where its format allows and all rows are kept.
    ///
    /// # Errors
    /// Those of the format's reader.
    pub fn whole(&mut self, name: &str, keep: Option<&KeptRows>) -> Result<TensorBytes> {
        if keep.is_none() {
            let bytes = self.checkpoint.bytes(name)?;
            self.mapped += bytes.len() as u64;
            return Ok(bytes);
        }
        let mut all = Vec::new();
        self.bands(name, keep, &mut |band| -> Result<()> {
            all.extend_from_slice(band);
            Ok(())
        })?;
        Ok(all.into())
    }

    /// Gives `take` the bytes of a tensor in order, some whole rows of the first dimension at a time.
    ///
    /// # Errors
    /// Those of the format's reader and of `take`.
    pub fn bands<E: From<t5kit_formats::Error>>(
        &mut self,
        name: &str,
        keep: Option<&KeptRows>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (dtype, shape) = self.checkpoint.info(name)?;
        let row_bytes = dtype.size() * shape.iter().skip(1).product::<usize>();
        if row_bytes == 0 {
            return Ok(());
        }
        let rows = (BAND_BYTES / row_bytes).max(1);
        let (mut row, mut kept) = (0, Vec::new());
        self.checkpoint.bands(name, rows, &mut |read: &[u8]| {
            self.mapped += read.len() as u64;
            for band in read.chunks(rows * row_bytes) {
                let here = row..row + band.len() / row_bytes;
                row = here.end;
                let Some(keep) = keep else {
                    take(band)?;
                    continue;
                };
                kept.clear();
                for run in keep.within(&here) {
                    kept.extend_from_slice(&band[run.start * row_bytes..run.end * row_bytes]);
                }
                if !kept.is_empty() {
                    take(&kept)?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_run_together() {
        assert_eq!(KeptRows::new(&[]).runs, []);
        assert_eq!(KeptRows::new(&[0, 1, 2, 5, 7, 8]).runs, [0..3, 5..6, 7..9]);
    }

    #[test]
    fn bands_have_their_parts_of_runs() {
        let keep = KeptRows::new(&[0, 1, 2, 5, 7, 8]);
        for size in 1..12 {
            let mut rows = Vec::new();
            for start in (0..12).step_by(size) {
                let band = start..12.min(start + size);
                rows.extend(keep.within(&band).flatten().map(|row| row + start));
            }
            assert_eq!(rows, [0, 1, 2, 5, 7, 8], "by {size}");
        }
        assert_eq!(KeptRows::new(&[]).within(&(0..4)).count(), 0);
    }
}
