//! Products with layers' weights, several side by side, with adapters, and the way back.

use std::ops::Range;

use super::activation::code;
use super::device::{THREADS, stored_as};
use super::elementwise::multiply as times;
use super::matrix::{
    activations, columns, columns_mut, device, multiply, multiply_and, product_type, weight,
};
use super::{Device, Epilogue, Matrix};
use crate::ops::{Activation, Linear};
use crate::{Adapter, Context, DType, Precision, Regime, Tensor, Weight};

/// `x·[W₀; W₁; …]ᵀ + [b₀; b₁; …]`, adapters included: [tokens, Σ out_i].
pub(crate) fn project(context: Context<'_>, _: Regime, x: &Tensor, layers: &[Linear]) -> Tensor {
    beside(context, x, layers, None)
}

/// `act(x·Wᵀ + b)`, adapter included: [tokens, out].
pub(crate) fn dense(
    context: Context<'_>,
    _: Regime,
    x: &Tensor,
    layer: Linear,
    activation: Activation,
) -> Tensor {
    beside(context, x, &[layer], Some(activation))
}

fn beside(context: Context<'_>, x: &Tensor, layers: &[Linear], activation: Option<Activation>) -> Tensor {
    let params = context.params;
    let out = layers.iter().map(|layer| params.get(layer.weight).rows()).sum();
    let mut y = Tensor::on(device(context), x.rows(), out);
    let mut column = 0;
    for layer in layers {
        let w = params.get(layer.weight);
        let bias = layer.bias.map_or(0, |bias| params.vector_at(bias, w.rows()));
        let epilogue = Epilogue { bias, activation };
        match params.adapter(layer.weight) {
            None => product(context, &mut y, column, x, w, false, epilogue),
            // What comes behind the sum comes behind its last part.
            Some(adapter) => {
                product(context, &mut y, column, x, w, false, Epilogue::default());
                let down = down(context, x, adapter);
                product(context, &mut y, column, &down, params.get(adapter.b), true, epilogue);
            }
        }
        column += w.rows();
    }
    y
}

/// Rows that `few_rows` takes at a time, and columns that it reads together.
const FEW: usize = 4;
const SIDE: usize = 8;
/// Rows up to which whole numbers are read again for every [`FEW`] of them: where tensor cores read them once for any number
/// of rows ([`as_stored`]), of whose sixty-four few are used then, and where they are widened else.
const FEW_OF_WHOLE_NUMBERS: [usize; 2] = [16, 32];

/// Up to how many rows of activations are multiplied with a weight as it is stored, in a product of that type.
fn few(context: Context<'_>, dtype: DType, w: &Weight) -> Option<usize> {
    let most = match (w.dtype(), dtype) {
        (DType::F32, DType::F32) if context.precision != Precision::Tf32 => FEW,
        (DType::Bf16, DType::Bf16) => FEW,
        (DType::I8 | DType::I4, DType::F32) => FEW_OF_WHOLE_NUMBERS[usize::from(!device(context).has_bf16())],
        _ => return None,
    };
    w.cols().is_multiple_of(SIDE).then_some(most)
}

/// Rows and outputs of a block of `multiply_whole_numbers`.
const TILE: usize = 64;

/// Whether any number of rows is multiplied with whole numbers as they are stored: a copy in f32 would be written and read,
/// eight bytes more for each, and its product have no tensor cores.
fn as_stored(device: &Device, dtype: DType, w: &Weight) -> bool {
    let whole = matches!(w.dtype(), DType::I8 | DType::I4) && dtype == DType::F32;
    whole && w.cols().is_multiple_of(SIDE) && device.has_bf16()
}

/// `columns of y (+)= x·Wᵀ`, and an epilogue.
fn product(
    context: Context<'_>,
    y: &mut Tensor,
    column: usize,
    x: &Tensor,
    w: &Weight,
    add: bool,
    epilogue: Epilogue,
) {
    let device = device(context);
    let dtype = product_type(context, w.dtype());
    let c = columns_mut(y, column, w.rows());
    if few(context, dtype, w).is_some_and(|most| x.rows() <= most) {
        let (placed, x) = (w.placed(), activations(device, x, 0, x.cols(), dtype));
        for first in (0..x.matrix.rows).step_by(FEW) {
            let at = |m: &Matrix| m.at + (first * m.row_stride * m.dtype.size()) as u64;
            let arguments = arguments![
                at at(&c), c.row_stride as u32, add as u32, at at(&x.matrix), stored_as(dtype),
                x.matrix.row_stride as u32, at placed.at, at placed.scales, stored_as(placed.dtype),
                FEW.min(x.matrix.rows - first) as u32, w.rows() as u32, w.cols() as u32,
                at epilogue.bias, code(epilogue.activation),
            ];
            let blocks = w.rows().div_ceil((THREADS / 32) as usize);
            device.launch("few_rows", [blocks, 1, 1], THREADS, 0, &arguments);
        }
        return;
    }
    if as_stored(device, dtype, w) {
        let (placed, x) = (w.placed(), columns(x, 0, x.cols()));
        let arguments = arguments![
            at c.at, c.row_stride as u32, add as u32, at x.at, x.row_stride as u32, at placed.at, at placed.scales,
            stored_as(placed.dtype), x.rows as u32, w.rows() as u32, w.cols() as u32, at epilogue.bias,
            code(epilogue.activation),
        ];
        let grid = [w.rows().div_ceil(TILE), x.rows.div_ceil(TILE), 1];
        device.launch("multiply_whole_numbers", grid, THREADS, 0, &arguments);
        return;
    }
    let x = activations(device, x, 0, x.cols(), dtype);
    multiply_and(context, c, &x, &weight(device, w, dtype).t(), add, epilogue);
}

/// `scale·x·Aᵀ`: [tokens, rank].
pub(crate) fn down(context: Context<'_>, x: &Tensor, adapter: Adapter) -> Tensor {
    let a = context.params.get(adapter.a);
    let mut down = Tensor::on(device(context), x.rows(), a.rows());
    product(context, &mut down, 0, x, a, false, Epilogue::default());
    times(context, down, adapter.scale)
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
    let device = device(context);
    let dtype = product_type(context, DType::F32);
    let (rows, cols) = (columns.len(), x.cols());
    assert_eq!((dw.rows() * dw.cols(), dy.rows()), (rows * cols, x.rows()), "a derivative by a weight");
    let c = columns_mut(dw, 0, cols);
    let dy = activations(device, dy, columns.start, rows, dtype).t();
    multiply(context, c, &dy, &activations(device, x, 0, cols, dtype), add);
}

/// `rows of dx from `row` on (+)= dy·W` for some columns of `dy`.
pub(crate) fn derivative_by_input(
    context: Context<'_>,
    dx: &mut Tensor,
    row: usize,
    dy: &Tensor,
    of: Range<usize>,
    w: &Weight,
    add: bool,
) {
    let device = device(context);
    // On the way back products are f32 unless the pass says otherwise, whatever the weights are stored in.
    let dtype = product_type(context, DType::F32);
    let _ = dx.address_mut();
    assert!(row + dy.rows() <= dx.rows(), "rows of a derivative");
    let all = columns(dx, 0, w.cols());
    let at = all.at + (row * dx.cols() * size_of::<f32>()) as u64;
    let c = Matrix { at, rows: dy.rows(), ..all };
    let dy = activations(device, dy, of.start, of.len(), dtype);
    multiply(context, c, &dy, &weight(device, w, dtype), add);
}
