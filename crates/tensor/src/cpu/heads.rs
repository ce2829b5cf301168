//! Products of each head's columns with that head's rows of a weight.

use super::matmul::matmul;
use crate::ops::Way;
use crate::{Context, ParamId, Tensor, kernels};

/// Many rows.
pub(crate) fn bulk(context: Context<'_>, x: &Tensor, weight: ParamId, num_heads: usize, way: Way) -> Tensor {
    let weight = context.params.get(weight);
    let d_kv = weight.rows() / num_heads;
    let (before, after) = way.widths(d_kv, weight.cols());
    let mut y = Tensor::unspecified(x.rows(), num_heads * after);
    let mut wide = None;
    let w = weight.view_f32(&mut wide);
    let mut rest = y.view_mut();
    for head in 0..num_heads {
        let (y, right) = rest.split_cols(after);
        rest = right;
        let (x, w) = (x.view().columns(head * before, before), w.rows(head * d_kv, d_kv));
        matmul(context, y, x, if way == Way::ToFeatures { w } else { w.t() }, false);
    }
    y
}

/// A few rows, each with the bits that it has alone; every thread takes a share of the outputs.
pub(crate) fn steps(context: Context<'_>, x: &Tensor, weight: ParamId, num_heads: usize, way: Way) -> Tensor {
    let weight = context.params.get(weight);
    let (d_kv, d) = (weight.rows() / num_heads, weight.cols());
    let (before, after) = way.widths(d_kv, d);
    let mut y = Tensor::unspecified(x.rows(), num_heads * after);
    let ranges = context.pool.ranges(y.cols(), 64, 512);
    context.pool.run_parts(y.view_mut().cut_cols(ranges), |(range, mut part)| {
        let mut at = range.start;
        while at < range.end && x.rows() > 0 {
            let (head, first) = (at / after, at % after);
            let count = (after - first).min(range.end - at);
            let (y, right) = part.split_cols(count);
            (part, at) = (right, at + count);
            let x_h = &x.data()[head * before..];
            let w = weight.as_rows();
            match way {
                Way::ToFeatures => {
                    let w = w.slice(head * d_kv..(head + 1) * d_kv);
                    kernels::matmul_columns(context.isa, y, x_h, x.cols(), w, first);
                }
                Way::FromFeatures => {
                    let w = w.slice(head * d_kv + first..head * d_kv + first + count);
                    kernels::matmul_rows(context.isa, y, x_h, x.cols(), w);
                }
            }
        }
    });
    y
}

/// The derivative by the weight, `dw`: [num_heads · d_kv, d], overwritten or added to.
pub(crate) fn derivative(
    context: Context<'_>,
    dw: &mut Tensor,
    x: &Tensor,
    dy: &Tensor,
    num_heads: usize,
    way: Way,
    add: bool,
) {
    // [d_kv, d] is the product of the narrow side's transpose with the wide one's.
    let (narrow, wide) = if way == Way::ToFeatures { (x, dy) } else { (dy, x) };
    let (d_kv, d) = (dw.rows() / num_heads, dw.cols());
    let mut rest = dw.view_mut();
    for head in 0..num_heads {
        let (dw, below) = rest.split_rows(d_kv);
        rest = below;
        let narrow = narrow.view().columns(head * d_kv, d_kv);
        matmul(context, dw, narrow.t(), wide.view().columns(head * d, d), add);
    }
}
