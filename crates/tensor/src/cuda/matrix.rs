//! Operands of products: columns of tensors, and weights, in the type that a product is computed in.

use std::sync::Arc;

use super::device::{THREADS, stored_as};
use super::{Device, Epilogue, Matrix, Memory, Product};
use crate::{Context, DType, Precision, Tensor, Weight};

/// An operand, and the memory of a copy in another type, which has to live until the product has been started.
pub(super) struct Operand {
    pub(super) matrix: Matrix,
    _copy: Option<Arc<Memory>>,
}

impl Operand {
    pub(super) fn t(mut self) -> Self {
        self.matrix = turned(self.matrix);
        self
    }
}

/// The device that runs a context's operations.
pub(super) fn device(context: Context<'_>) -> &Device {
    context.device.expect("an operation on a device")
}

/// The type that a product with a weight stored so is computed in; sums are f32.
pub(super) fn product_type(context: Context<'_>, weight: DType) -> DType {
    let wanted = match (context.precision, weight) {
        (Precision::Bf16, _) | (Precision::Stored, DType::Bf16) => DType::Bf16,
        (Precision::Stored, DType::F16) => DType::F16,
        _ => DType::F32,
    };
    match wanted {
        DType::Bf16 if !device(context).has_bf16() => DType::F32,
        wanted => wanted,
    }
}

/// Some columns of a tensor from `column` on, as they lie.
pub(super) fn columns(tensor: &Tensor, column: usize, cols: usize) -> Matrix {
    assert!(column + cols <= tensor.cols(), "columns {column}+{cols} of {}", tensor.cols());
    Matrix {
        at: at_column(tensor, column),
        dtype: DType::F32,
        rows: tensor.rows(),
        cols,
        row_stride: tensor.cols(),
        col_stride: 1,
        batch_stride: 0,
    }
}

/// The same, to be written.
pub(super) fn columns_mut(tensor: &mut Tensor, column: usize, cols: usize) -> Matrix {
    let _ = tensor.address_mut();
    columns(tensor, column, cols)
}

/// The same transposed.
pub(super) fn turned(m: Matrix) -> Matrix {
    Matrix { rows: m.cols, cols: m.rows, row_stride: m.col_stride, col_stride: m.row_stride, ..m }
}

/// The address of a column of the first row.
pub(super) fn at_column(tensor: &Tensor, column: usize) -> u64 {
    tensor.address() + (column * size_of::<f32>()) as u64
}

/// Columns of a tensor in the type of a product.
pub(super) fn activations(
    device: &Device,
    tensor: &Tensor,
    column: usize,
    cols: usize,
    dtype: DType,
) -> Operand {
    match dtype {
        DType::F32 => Operand { matrix: columns(tensor, column, cols), _copy: None },
        DType::Bf16 => {
            assert!(column + cols <= tensor.cols(), "columns {column}+{cols} of {}", tensor.cols());
            let all = rounded(device, tensor);
            let at = all.at() + (column * dtype.size()) as u64;
            let (rows, row_stride) = (tensor.rows(), tensor.cols());
            let matrix = Matrix { at, dtype, rows, cols, row_stride, col_stride: 1, batch_stride: 0 };
            Operand { matrix, _copy: Some(all.clone()) }
        }
        dtype => narrowed(device, columns(tensor, column, cols), dtype),
    }
}

/// All elements of a tensor in bf16, which are made once.
pub(super) fn rounded<'t>(device: &Device, tensor: &'t Tensor) -> &'t Arc<Memory> {
    tensor.rounded(|| narrow(device, columns(tensor, 0, tensor.cols()), DType::Bf16))
}

/// What the way back reads of a factor of products: its elements in bf16, where these are in that.
pub(crate) fn factor(context: Context<'_>, x: &Tensor) -> Tensor {
    match product_type(context, DType::F32) {
        DType::Bf16 => only_rounded(device(context), x),
        _ => x.clone(),
    }
}

/// All elements of a tensor in bf16 alone.
pub(super) fn only_rounded(device: &Device, x: &Tensor) -> Tensor {
    rounded(device, x);
    x.only_rounded()
}

fn narrowed(device: &Device, m: Matrix, dtype: DType) -> Operand {
    let copy = Arc::new(narrow(device, m, dtype));
    let matrix = Matrix { at: copy.at(), dtype, row_stride: m.cols, ..m };
    Operand { matrix, _copy: Some(copy) }
}

/// The rows of a matrix in f32, one after the other in another type.
fn narrow(device: &Device, m: Matrix, dtype: DType) -> Memory {
    let count = m.rows * m.cols;
    let copy = device.allocate(dtype.size() * count);
    let arguments =
        arguments![&copy, at m.at, stored_as(dtype), m.cols as u32, m.row_stride as u32, count as u64];
    device.launch_each("narrow", count, &arguments);
    copy
}

/// A weight, [rows, cols], in the type of a product.
pub(super) fn weight(device: &Device, weight: &Weight, dtype: DType) -> Operand {
    let placed = weight.placed();
    let (rows, cols) = (weight.rows(), weight.cols());
    let matrix = Matrix {
        at: placed.at,
        dtype: placed.dtype,
        rows,
        cols,
        row_stride: cols,
        col_stride: 1,
        batch_stride: 0,
    };
    if placed.dtype == dtype {
        return Operand { matrix, _copy: None };
    }
    if placed.dtype == DType::F32 {
        return narrowed(device, matrix, dtype);
    }
    let count = rows * cols;
    let wide = device.allocate(size_of::<f32>() * count);
    let arguments =
        arguments![&wide, at placed.at, at placed.scales, stored_as(placed.dtype), cols as u32, count as u64];
    device.launch_each("widen", count, &arguments);
    let matrix = Matrix { at: wide.at(), dtype: DType::F32, ..matrix };
    match dtype {
        DType::F32 => Operand { matrix, _copy: Some(Arc::new(wide)) },
        _ => narrowed(device, matrix, dtype),
    }
}

/// `c = (accumulate ? c : 0) + a·b`
pub(super) fn multiply(context: Context<'_>, c: Matrix, a: &Operand, b: &Operand, accumulate: bool) {
    multiply_and(context, c, a, b, accumulate, Epilogue::default());
}

/// The same, and an epilogue.
pub(super) fn multiply_and(
    context: Context<'_>,
    c: Matrix,
    a: &Operand,
    b: &Operand,
    accumulate: bool,
    epilogue: Epilogue,
) {
    let tf32 = context.precision == Precision::Tf32;
    let (a, b) = (a.matrix, b.matrix);
    device(context).multiply(&Product { c, a, b, batches: 1, accumulate, tf32, epilogue });
}

/// Blocks of a grid whose second dimension are rows, of which there may be more than it takes.
pub(super) fn grid_of_rows(rows: usize, cols: usize) -> [usize; 3] {
    [cols.div_ceil(THREADS as usize), rows.min(65_535), 1]
}
