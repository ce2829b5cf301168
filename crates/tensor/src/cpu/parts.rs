//! Cutting tensors into parts for the threads.

use std::ops::Range;

use crate::{Context, Pool, Tensor};

/// Elementwise work below this many elements is not worth handing to another thread.
const SMALL: usize = 16 << 10;
/// Nor is a part of it of fewer.
const LEAST: usize = 4 << 10;

/// Row ranges to be claimed: one range when the work is small. `cols`: elements a row.
pub(crate) fn row_ranges(pool: &Pool, rows: usize, cols: usize) -> Vec<Range<usize>> {
    few_or(rows, cols, |rows| pool.ranges(rows, 1, LEAST.div_ceil(cols.max(1))))
}

/// The same with a range a thread at most, where sums are made of every range.
pub(crate) fn row_shares(pool: &Pool, rows: usize, cols: usize) -> Vec<Range<usize>> {
    few_or(rows, cols, |rows| pool.shares(rows, 1))
}

fn few_or(rows: usize, cols: usize, cut: impl Fn(usize) -> Vec<Range<usize>>) -> Vec<Range<usize>> {
    if rows == 0 {
        Vec::new()
    } else if rows * cols < SMALL {
        std::iter::once(0..rows).collect()
    } else {
        cut(rows)
    }
}

/// Cuts a row-major slice into the given consecutive row ranges.
pub(crate) fn cut<'a, T>(mut data: &'a mut [T], ranges: &[Range<usize>], cols: usize) -> Vec<&'a mut [T]> {
    ranges
        .iter()
        .map(|range| {
            let (part, rest) = std::mem::take(&mut data).split_at_mut(range.len() * cols);
            data = rest;
            part
        })
        .collect()
}

/// The elements of a range of rows.
pub(crate) fn elements(range: &Range<usize>, cols: usize) -> Range<usize> {
    range.start * cols..range.end * cols
}

/// Calls `f` with ranges of rows of `y` and their elements until every row has had its turn, split over the threads.
pub(crate) fn each_rows(context: Context<'_>, y: &mut Tensor, f: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    let (rows, cols) = (y.rows(), y.cols());
    let ranges = row_ranges(context.pool, rows, cols);
    let parts = cut(y.data_mut(), &ranges, cols);
    context.pool.run_parts(ranges.into_iter().zip(parts).collect(), |(range, part)| f(range, part));
}

/// Runs every item once, each on whichever thread is free, with its place.
pub(crate) fn each<P: Send>(context: Context<'_>, items: Vec<P>, f: impl Fn(usize, P) + Sync) {
    context.pool.run_parts(items.into_iter().enumerate().collect(), |(i, item)| f(i, item));
}
