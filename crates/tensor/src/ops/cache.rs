//! Keys and values kept while decoding; they belong to the caller.

use std::ops::Range;

use crate::ops::{Which, copy_rows};
use crate::{Context, DType, Precision, Tensor, Weight, cpu};

/// Keys and values of one attention: a row a position, num_heads · d_kv numbers of the key, then as many of the value, in
/// f32 or rounded to bf16; on a device in f32.
/// Which rows belong to which sequence, and in which order, the caller knows; sequences may share rows, as hypotheses
/// share their past.
#[derive(Clone, Debug)]
pub struct KeyValues {
    /// [positions, 2 · cols], or in bf16 [positions, cols], two numbers in the place of one.
    rows: Tensor,
    cols: usize,
    dtype: DType,
}

impl KeyValues {
    /// In what those of a layer are kept, by the weight that makes its keys: where the precision is what weights are stored
    /// in, and that is bf16, int8 or smaller, bf16, whose rounding adds little to theirs; else f32.
    pub fn dtype_beside(precision: Precision, weight: &Weight) -> DType {
        match (precision, weight.dtype()) {
            _ if weight.core().is_some() => DType::F32,
            (Precision::Stored, DType::Bf16 | DType::I8 | DType::I4) => DType::Bf16,
            _ => DType::F32,
        }
    }

    /// Room for `rows` positions, keys and values `cols` wide, kept in f32 or bf16. Where there is much of it, it takes
    /// memory only as it is written to.
    pub fn new(rows: usize, cols: usize, dtype: DType) -> Self {
        KeyValues { rows: Tensor::untouched(rows, width(cols, dtype)), cols, dtype }
    }

    /// For each of `ranges` those in its rows of `from`: keys from column `column` on, then values, `cols` wide each.
    pub fn taken(
        context: Context<'_>,
        from: &Tensor,
        ranges: impl IntoIterator<Item = Range<usize>>,
        column: usize,
        cols: usize,
        dtype: DType,
    ) -> Vec<Self> {
        let ranges: Vec<_> = ranges.into_iter().collect();
        let room = |rows: &Range<usize>| from.unspecified_beside(rows.len(), width(cols, dtype));
        let mut own: Vec<Tensor> = ranges.iter().map(room).collect();
        match from.core() {
            None => cpu::cache::take(context, &mut own, from, &ranges, column, dtype),
            Some(_) => {
                assert!(dtype == DType::F32, "keys and values on a device");
                for (own, rows) in own.iter_mut().zip(&ranges) {
                    copy_rows(own, Which::From(0), from, Which::From(rows.start), rows.len(), column);
                }
            }
        }
        own.into_iter().map(|rows| KeyValues { rows, cols, dtype }).collect()
    }

    /// Writes row `to[i]` for every row `i` of `from`: its columns from `column` on.
    pub fn store(&mut self, to: &[u32], from: &Tensor, column: usize) {
        assert_eq!(to.len(), from.rows(), "a place for every row");
        if from.core().is_none() {
            return cpu::cache::store(&mut self.rows, to, from, column, self.dtype);
        }
        assert!(self.dtype == DType::F32, "keys and values on a device");
        if self.rows.core().is_none() {
            // Nothing has been written yet: room is where what is stored comes from.
            self.rows = from.unspecified_beside(self.rows.rows(), self.rows.cols());
        }
        copy_rows(&mut self.rows, Which::List(to), from, Which::From(0), from.rows(), column);
    }

    /// Room for `rows` positions, keeping the first `used`.
    pub fn grow(&mut self, rows: usize, used: usize) {
        let (rows, own) = (rows.max(self.rows()), &self.rows);
        let mut larger = match own.core() {
            None => Tensor::untouched(rows, own.cols()),
            Some(_) => own.unspecified_beside(rows, own.cols()),
        };
        copy_rows(&mut larger, Which::From(0), own, Which::From(0), used, 0);
        self.rows = larger;
    }

    /// One position: its key, then its value, 2 · cols numbers.
    pub fn position(&self, row: usize) -> Vec<f32> {
        cpu::cache::numbers(&self.rows.rows_copied(row..row + 1).to_host(), 0, self.dtype)
    }

    /// Positions there is room for.
    pub fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// Width of a key or a value.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// What they are kept in.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// All rows as they are kept.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.rows
    }
}

/// Columns of f32 that a row takes.
fn width(cols: usize, dtype: DType) -> usize {
    match dtype {
        DType::F32 => 2 * cols,
        DType::Bf16 => cols,
        _ => panic!("keys and values in f32 or bf16"),
    }
}
