//! Keys and values of decoding, into what they are kept in and out of it.

use std::ops::Range;

use super::parts::{cut, each, row_ranges};
use crate::kernels::{Bf16Kernel, KeyStrips};
use crate::{Context, DType, Isa, Tensor, kernels};

/// Numbers in bf16, two in the place of one of f32.
fn halves(row: &[f32]) -> &[u16] {
    bytemuck::cast_slice(row)
}

/// Keeps the numbers of a row, as many as there is room for.
fn keep(isa: Isa, to: &mut [f32], from: &[f32], dtype: DType) {
    match dtype {
        DType::Bf16 => {
            let to: &mut [u16] = bytemuck::cast_slice_mut(to);
            kernels::f32_to_bf16(isa, to, &from[..to.len()]);
        }
        _ => to.copy_from_slice(&from[..to.len()]),
    }
}

/// All of them in bf16.
pub(crate) fn rounded(context: Context<'_>, x: &[f32]) -> Vec<u16> {
    let mut bits = vec![0; x.len()];
    kernels::f32_to_bf16(context.isa, &mut bits, x);
    bits
}

/// Row `to_rows[i]` of `to` keeps row `i` of `from`, its columns from `column` on.
pub(crate) fn store(to: &mut Tensor, to_rows: &[u32], from: &Tensor, column: usize, dtype: DType) {
    let (isa, cols) = (kernels::isa(), to.cols());
    let data = to.data_mut();
    for (from, &row) in to_rows.iter().enumerate().map(|(i, row)| (&from.row(i)[column..], row)) {
        keep(isa, &mut data[row as usize * cols..][..cols], from, dtype);
    }
}

/// Each of `to` keeps its range of the rows of `from`, their columns from `column` on.
pub(crate) fn take(
    context: Context<'_>,
    to: &mut [Tensor],
    from: &Tensor,
    ranges: &[Range<usize>],
    column: usize,
    dtype: DType,
) {
    let mut parts = Vec::new();
    for (own, rows) in to.iter_mut().zip(ranges) {
        let cols = own.cols();
        let pieces = row_ranges(context.pool, own.rows(), cols);
        let here = cut(own.data_mut(), &pieces, cols).into_iter().zip(pieces);
        parts.extend(here.map(|(part, piece)| (part, rows.start + piece.start, cols)));
    }
    each(context, parts, |_, (part, first, cols)| {
        for (row, to) in (first..).zip(part.chunks_exact_mut(cols.max(1))) {
            keep(context.isa, to, &from.row(row)[column..], dtype);
        }
    });
}

/// For each of the ranges of rows of `from`, the keys in its first `cols` columns and the values in the next.
pub(crate) fn strips(
    context: Context<'_>,
    kernel: Bf16Kernel,
    from: &Tensor,
    ranges: Vec<Range<usize>>,
    heads: usize,
    cols: usize,
) -> Vec<KeyStrips> {
    let mut all: Vec<Option<KeyStrips>> = ranges.iter().map(|_| None).collect();
    each(context, ranges.into_iter().zip(&mut all).collect(), |_, (rows, strips)| {
        let own = from.view().rows(rows.start, rows.len());
        *strips = Some(KeyStrips::new(kernel, own.columns(0, cols), own.columns(cols, cols), heads));
    });
    all.into_iter().flatten().collect()
}

/// The numbers that a row keeps.
pub(crate) fn numbers(rows: &Tensor, row: usize, dtype: DType) -> Vec<f32> {
    match dtype {
        DType::Bf16 => halves(rows.row(row)).iter().map(|&x| f32::from_bits(u32::from(x) << 16)).collect(),
        _ => rows.row(row).to_vec(),
    }
}
