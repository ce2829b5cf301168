//! Products with layers' weights, several side by side.

use std::ops::Range;

use super::activation::{biased, forward};
use super::adapter::add_adapter;
use super::int8::Quantized;
use super::matmul::{matmul, matmul_weight, matmul_weight_t};
use super::parts::row_ranges;
use crate::ops::{Activation, Form, Linear};
use crate::{Context, DType, MatMut, Precision, Regime, Tensor, Weight, kernels};

/// One of several layers side by side.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// [out, in]
    pub(crate) weight: &'a Weight,
    /// [out]
    pub(crate) bias: Option<&'a [f32]>,
}

/// `x·[W₀; W₁; …]ᵀ + [b₀; b₁; …]`, adapters included: [tokens, Σ out_i].
pub(crate) fn project(context: Context<'_>, regime: Regime, x: &Tensor, layers: &[Linear]) -> Tensor {
    let side = |layer: &Linear| {
        let weight = context.params.get(layer.weight);
        let bias = layer.bias.map(|id| context.params.vector(id));
        assert!(bias.is_none_or(|b| b.len() == weight.rows()), "a bias an output of a linear layer");
        Side { weight, bias }
    };
    let sides: Vec<Side<'_>> = layers.iter().map(side).collect();
    let mut y = product(context, regime, x, &sides);
    let mut rest = y.view_mut();
    for (layer, side) in layers.iter().zip(&sides) {
        let (part, right) = rest.split_cols(side.weight.rows());
        rest = right;
        if let Some(adapter) = context.params.adapter(layer.weight) {
            add_adapter(context, regime, part, x, adapter);
        }
    }
    y
}

/// `act(x·Wᵀ + b)`, adapter included: [tokens, out]; bias and activation in one pass over the product.
pub(crate) fn dense(
    context: Context<'_>,
    regime: Regime,
    x: &Tensor,
    layer: Linear,
    activation: Activation,
) -> Tensor {
    let inner = project(context, regime, x, &[layer.weight.into()]);
    match layer.bias {
        Some(bias) => biased(context, activation, &inner, bias),
        None => forward(context, Form::Plain, activation, &inner),
    }
}

/// `dw (+)= dyᵀ·x` for some columns of `dy`.
pub(crate) fn derivative_by_weight(
    context: Context<'_>,
    dw: &mut Tensor,
    dy: &Tensor,
    columns: Range<usize>,
    x: &Tensor,
    add: bool,
) {
    let dy = dy.view().columns(columns.start, columns.len());
    matmul(context, dw.view_mut(), dy.t(), x.view(), add);
}

/// `rows of dx from `row` on (+)= dy·W` for some columns of `dy`.
pub(crate) fn derivative_by_input(
    context: Context<'_>,
    dx: &mut Tensor,
    row: usize,
    dy: &Tensor,
    columns: Range<usize>,
    weight: &Weight,
    add: bool,
) {
    let to = dx.view_mut().rows(row..row + dy.rows());
    matmul_weight(context, to, dy.view().columns(columns.start, columns.len()), weight, add);
}

/// `x·[W₀; W₁; …]ᵀ + [b₀; b₁; …]`: [tokens, Σ out_i]. A row gets the same bits whatever else is in the batch.
pub(crate) fn product(context: Context<'_>, regime: Regime, x: &Tensor, sides: &[Side<'_>]) -> Tensor {
    let out: usize = sides.iter().map(|side| side.weight.rows()).sum();
    let mut y = Tensor::unspecified(x.rows(), out);
    match regime {
        _ if sides.iter().any(|side| side.weight.panels().is_some()) => {
            rows_of_weights(context, &mut y, x, sides);
        }
        Regime::Steps => rows_of_weights(context, &mut y, x, sides),
        Regime::Bulk if in_bf16(context.precision, sides) => {
            many_rows(Context { precision: Precision::Bf16, ..context }, y.view_mut(), x, sides);
        }
        // Where the vectors are known, our own product needs no packing, and its bits do not depend on the rows.
        Regime::Bulk if !context.isa.is_portable() => rows_of_weights(context, &mut y, x, sides),
        Regime::Bulk if x.rows() == 1 => {
            // The product of a single row would go another way and round differently; a pair does not.
            let mut pair = Tensor::unspecified(2, x.cols());
            pair.data_mut()[..x.cols()].copy_from_slice(x.data());
            pair.data_mut()[x.cols()..].copy_from_slice(x.data());
            let mut both = Tensor::unspecified(2, out);
            many_rows(context, both.view_mut(), &pair, sides);
            y.data_mut().copy_from_slice(both.row(0));
        }
        Regime::Bulk => many_rows(context, y.view_mut(), x, sides),
    }
    y
}

/// Whether products with these weights, side by side, are in bf16. The number of rows has no say.
fn in_bf16(precision: Precision, sides: &[Side<'_>]) -> bool {
    match precision {
        Precision::F32 | Precision::Tf32 => false,
        Precision::Bf16 => true,
        Precision::Stored => {
            kernels::bf16_products() && sides.iter().all(|side| side.weight.dtype() == DType::Bf16)
        }
    }
}

/// Whether the rows of x are rounded to bf16 and multiplied so: in steps what passes over whole sequences do, where the
/// processor multiplies bf16 as it is. The number of rows has no say.
fn rows_in_bf16(context: Context<'_>, sides: &[Side<'_>]) -> bool {
    context.precision == Precision::Stored
        && kernels::bf16_rows(context.isa)
        && in_bf16(context.precision, sides)
}

fn many_rows(context: Context<'_>, y: MatMut<'_>, x: &Tensor, sides: &[Side<'_>]) {
    let mut rest = y;
    for Side { weight, bias } in sides {
        let (mut part, right) = rest.split_cols(weight.rows());
        rest = right;
        matmul_weight_t(context, part.reborrow(), x.view(), weight, false);
        if let Some(bias) = bias {
            let mut parts = Vec::new();
            for range in row_ranges(context.pool, part.rows, part.cols) {
                let (here, below) = part.split_rows(range.len());
                part = below;
                parts.push(here);
            }
            context.pool.run_parts(parts, |here| add_bias(context, here, bias));
        }
    }
}

/// Adds a bias to every row.
fn add_bias(context: Context<'_>, mut y: MatMut<'_>, bias: &[f32]) {
    (0..y.rows).for_each(|row| kernels::add(context.isa, y.row_mut(row), bias));
}

/// Bytes of x that stay in the second-level cache while weights pass by.
const RESIDENT: usize = 512 << 10;

/// Weights that are worth a piece of their own: half a megabyte.
const LEAST: usize = 128 << 10;

/// Rows of activations on their way into products with rows of weights.
pub(super) struct Given<'a> {
    rows: usize,
    cols: usize,
    /// As they are; none where all weights are in panels.
    wide: &'a [f32],
    /// In bf16, where they are multiplied so.
    rounded: Option<Vec<u16>>,
    /// In int8, where some weights are in panels.
    quantized: Option<&'a Quantized>,
}

impl<'a> Given<'a> {
    /// Of `x`, which is quantised already where some of the weights are in panels ([`quantized_for`]).
    pub(super) fn new(
        context: Context<'_>,
        x: &'a Tensor,
        quantized: Option<&'a Quantized>,
        sides: &[Side<'_>],
    ) -> Self {
        let rounded = (quantized.is_none() && rows_in_bf16(context, sides)).then(|| {
            let mut bits = vec![0u16; x.data().len()];
            kernels::f32_to_bf16(context.isa, &mut bits, x.data());
            bits
        });
        Given { rows: x.rows(), cols: x.cols(), wide: x.data(), rounded, quantized }
    }

    /// The products of rows from `first` on, as many as `y` has, with some rows of a weight.
    pub(super) fn multiply(
        &self,
        context: Context<'_>,
        mut y: MatMut<'_>,
        first: usize,
        side: Side<'_>,
        outputs: Range<usize>,
    ) {
        let k = self.cols;
        match (side.weight.panels(), self.quantized) {
            (Some(panels), Some(x)) => {
                let x = x.rows(first, y.rows);
                kernels::matmul_int8(y.reborrow(), x, panels, outputs.clone());
            }
            _ => {
                let here = first * k..(first + y.rows) * k;
                let weights = side.weight.as_rows().slice(outputs.clone());
                match &self.rounded {
                    Some(x) => kernels::matmul_rows_bf16(context.isa, y.reborrow(), &x[here], k, weights),
                    None => kernels::matmul_rows(context.isa, y.reborrow(), &self.wide[here], k, weights),
                }
            }
        }
        if let Some(bias) = side.bias {
            add_bias(context, y, &bias[outputs]);
        }
    }
}

/// The rows of `x` in int8, where some of the weights are in panels.
pub(super) fn quantized_for(context: Context<'_>, x: &Tensor, sides: &[Side<'_>]) -> Option<Quantized> {
    sides.iter().any(|side| side.weight.panels().is_some()).then(|| Quantized::new(context, x))
}

/// The products of rows of `x` with weights side by side.
pub(crate) fn rows_of_weights(context: Context<'_>, y: &mut Tensor, x: &Tensor, sides: &[Side<'_>]) {
    let quantized = quantized_for(context, x, sides);
    spread(context, y, &Given::new(context, x, quantized.as_ref(), sides), sides);
}

/// The same of rows that are in int8 already, with weights that are all in panels.
pub(crate) fn product_in_int8(context: Context<'_>, x: &Quantized, sides: &[Side<'_>]) -> Tensor {
    assert!(sides.iter().all(|side| side.weight.panels().is_some()), "weights in panels");
    let mut y = Tensor::unspecified(x.count(), sides.iter().map(|side| side.weight.rows()).sum());
    let given = Given { rows: x.count(), cols: x.cols(), wide: &[], rounded: None, quantized: Some(x) };
    spread(context, &mut y, &given, sides);
    y
}

/// Every thread takes a share of the outputs, whichever weights they belong to, and streams its weights past so many
/// rows of x as its cache holds: the pieces are some of the weights by those rows.
fn spread(context: Context<'_>, y: &mut Tensor, x: &Given<'_>, sides: &[Side<'_>]) {
    let (rows, k, out) = (x.rows, x.cols, y.cols());
    let bytes = match (x.quantized, &x.rounded) {
        (Some(_), _) => 1,
        (None, Some(_)) => size_of::<u16>(),
        (None, None) => size_of::<f32>(),
    };
    let resident = (RESIDENT / (bytes * k.max(1))).max(1);
    let columns = if out * k < 32 << 10 {
        std::iter::once(0..out).collect()
    } else if rows > resident {
        context.pool.shares(out, 16)
    } else {
        context.pool.ranges(out, 16, LEAST.div_ceil(k))
    };
    let mut pieces = Vec::with_capacity(columns.len() * rows.div_ceil(resident));
    for (range, mut part) in y.view_mut().cut_cols(columns) {
        for first in (0..rows).step_by(resident) {
            let (here, below) = part.split_rows(resident.min(rows - first));
            part = below;
            pieces.push((range.clone(), first, here));
        }
    }
    context.pool.run_parts(pieces, |(range, at, mut part)| {
        let mut first = 0;
        for &side in sides {
            let from = range.start.clamp(first, first + side.weight.rows()) - first;
            let to = range.end.clamp(first, first + side.weight.rows()) - first;
            first += side.weight.rows();
            if from < to {
                let (here, right) = part.split_cols(to - from);
                part = right;
                x.multiply(context, here, at, side, from..to);
            }
        }
    });
}
