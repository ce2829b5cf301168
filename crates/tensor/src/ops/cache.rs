//! Keys and values kept while decoding; they belong to the caller.

use std::ops::Range;

use crate::kernels::KeyStrips;
use crate::ops::{Which, copy_rows};
use crate::{Context, DType, Precision, Tensor, Weight, cpu, cuda};

/// Keys and values of one attention: a row a position, num_heads · d_kv numbers of the key, then as many of the value, in
/// f32 or rounded to bf16.
/// Which rows belong to which sequence, and in which order, the caller knows; sequences may share rows, as hypotheses
/// share their past.
#[derive(Clone, Debug)]
pub struct KeyValues {
    kept: Kept,
    cols: usize,
    dtype: DType,
}

#[derive(Clone, Debug)]
enum Kept {
    /// [positions, 2 · cols], or in bf16 [positions, cols], two numbers in the place of one.
    Rows(Tensor),
    /// Those of a source, as the processor's products want them: all of them are looked at, and none is added.
    Strips(KeyStrips),
}

impl KeyValues {
    /// In what those of a layer are kept, by the weight that makes its keys: where the precision is what weights are stored
    /// in, and that is bf16, int8 or smaller, bf16, whose rounding adds little to theirs; else f32.
    pub fn dtype_beside(precision: Precision, weight: &Weight) -> DType {
        match (precision, weight.dtype()) {
            (Precision::Stored, DType::Bf16 | DType::I8 | DType::I4) => DType::Bf16,
            _ => DType::F32,
        }
    }

    /// Room for `rows` positions, keys and values `cols` wide, kept in f32 or bf16. Where there is much of it, it takes
    /// memory only as it is written to.
    pub fn new(rows: usize, cols: usize, dtype: DType) -> Self {
        KeyValues { kept: Kept::Rows(Tensor::untouched(rows, width(cols, dtype))), cols, dtype }
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
            Some(core) => {
                for (own, rows) in own.iter_mut().zip(&ranges) {
                    let (to, first) = (Which::From(0), Which::From(rows.start));
                    cuda::rows::keep(core, own, to, from, first, rows.len(), column, dtype);
                }
            }
        }
        own.into_iter().map(|rows| KeyValues { kept: Kept::Rows(rows), cols, dtype }).collect()
    }

    /// The same of sources whose queries see all of them and add nothing to scores: kept in bf16, they lie as products
    /// with few queries are fastest, if the processor has an instruction for those.
    pub fn of_sources(
        context: Context<'_>,
        from: &Tensor,
        ranges: impl IntoIterator<Item = Range<usize>>,
        heads: usize,
        cols: usize,
        dtype: DType,
    ) -> Vec<Self> {
        let strips = (dtype == DType::Bf16 && from.core().is_none())
            .then(|| crate::kernels::strips_kernel(context.isa))
            .flatten();
        let Some(kernel) = strips else { return Self::taken(context, from, ranges, 0, cols, dtype) };
        let ranges = ranges.into_iter().collect();
        let own = cpu::cache::strips(context, kernel, from, ranges, heads, cols).into_iter();
        own.map(|strips| KeyValues { kept: Kept::Strips(strips), cols, dtype }).collect()
    }

    /// Writes row `to[i]` for every row `i` of `from`: its columns from `column` on.
    pub fn store(&mut self, to: &[u32], from: &Tensor, column: usize) {
        assert_eq!(to.len(), from.rows(), "a place for every row");
        let Kept::Rows(rows) = &mut self.kept else { panic!("nothing is added to a source") };
        let Some(core) = from.core() else {
            return cpu::cache::store(rows, to, from, column, self.dtype);
        };
        if rows.core().is_none() {
            // Nothing has been written yet: room is where what is stored comes from.
            *rows = from.unspecified_beside(rows.rows(), rows.cols());
        }
        let (to, count) = (Which::List(to), from.rows());
        cuda::rows::keep(core, rows, to, from, Which::From(0), count, column, self.dtype);
    }

    /// Room for `rows` positions, keeping the first `used`.
    pub fn grow(&mut self, rows: usize, used: usize) {
        let (rows, own) = (rows.max(self.rows()), self.tensor());
        let mut larger = match own.core() {
            None => Tensor::untouched(rows, own.cols()),
            Some(_) => own.unspecified_beside(rows, own.cols()),
        };
        copy_rows(&mut larger, Which::From(0), own, Which::From(0), used, 0);
        self.kept = Kept::Rows(larger);
    }

    /// One position: its key, then its value, 2 · cols numbers.
    pub fn position(&self, row: usize) -> Vec<f32> {
        match &self.kept {
            Kept::Rows(rows) => cpu::cache::numbers(&rows.rows_copied(row..row + 1).to_host(), 0, self.dtype),
            Kept::Strips(strips) => strips.position(row),
        }
    }

    /// Positions there is room for.
    pub fn rows(&self) -> usize {
        match &self.kept {
            Kept::Rows(rows) => rows.rows(),
            Kept::Strips(strips) => strips.keys(),
        }
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
        match &self.kept {
            Kept::Rows(rows) => rows,
            Kept::Strips(_) => panic!("a source's keys and values have no rows"),
        }
    }

    /// Those of a source, where they have no rows.
    pub(crate) fn strips(&self) -> Option<&KeyStrips> {
        match &self.kept {
            Kept::Rows(_) => None,
            Kept::Strips(strips) => Some(strips),
        }
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
