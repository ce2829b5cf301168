//! Products of each head's columns with that head's rows of a weight.

use std::ops::Range;

use super::int8::Quantized;
use super::matmul::matmul;
use crate::ops::Way;
use crate::{Context, MatMut, ParamId, Tensor, Weight, kernels};

/// Many rows.
pub(crate) fn bulk(context: Context<'_>, x: &Tensor, weight: ParamId, num_heads: usize, way: Way) -> Tensor {
    let weight = context.params.get(weight);
    if weight.panels().is_some() {
        return in_int8(context, x, weight, num_heads, way);
    }
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
    if weight.panels().is_some() {
        return in_int8(context, x, weight, num_heads, way);
    }
    let (d_kv, d) = (weight.rows() / num_heads, weight.cols());
    let (before, after) = way.widths(d_kv, d);
    each_head(context, x.rows(), num_heads, after, |head, outputs, y| {
        let x_h = &x.data()[head * before..];
        let w = weight.as_rows();
        match way {
            Way::ToFeatures => {
                let w = w.slice(head * d_kv..(head + 1) * d_kv);
                kernels::matmul_columns(context.isa, y, x_h, x.cols(), w, outputs.start);
            }
            Way::FromFeatures => {
                let w = w.slice(head * d_kv + outputs.start..head * d_kv + outputs.end);
                kernels::matmul_rows(context.isa, y, x_h, x.cols(), w);
            }
        }
    })
}

/// Any number of rows with a weight in int8.
fn in_int8(context: Context<'_>, x: &Tensor, weight: &Weight, num_heads: usize, way: Way) -> Tensor {
    let panels = weight.panels().expect("a weight that is packed");
    let (d_kv, rows) = (weight.rows() / num_heads, x.rows());
    let after = way.widths(d_kv, weight.cols()).1;
    // Scales belong to the weight's rows, which the one way sums over.
    let to = way == Way::ToFeatures;
    let turned = weight.panels_by_head(num_heads).filter(|_| to);
    let factors = turned.and_then(|heads| heads.factors.as_deref());
    let quantized = Quantized::parts(context, x, num_heads, factors);
    each_head(context, rows, num_heads, after, |head, outputs, y| {
        let x = quantized.every(head, num_heads, rows);
        match turned {
            Some(heads) => kernels::matmul_int8(y, x, &heads.panels[head], outputs),
            None => {
                let outputs = head * d_kv + outputs.start..head * d_kv + outputs.end;
                kernels::matmul_int8(y, x, panels, outputs);
            }
        }
    })
}

/// [rows, heads · after], made by `f` of a head, some of its outputs and their place; every thread takes a share.
fn each_head(
    context: Context<'_>,
    rows: usize,
    num_heads: usize,
    after: usize,
    f: impl Fn(usize, Range<usize>, MatMut<'_>) + Sync,
) -> Tensor {
    let mut y = Tensor::unspecified(rows, num_heads * after);
    let ranges = context.pool.ranges(y.cols(), 64, 512);
    context.pool.run_parts(y.view_mut().cut_cols(ranges), |(range, mut part)| {
        let mut at = range.start;
        while at < range.end && rows > 0 {
            let (head, first) = (at / after, at % after);
            let count = (after - first).min(range.end - at);
            let (y, right) = part.split_cols(count);
            (part, at) = (right, at + count);
            f(head, first..first + count, y);
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
