//! Weights: how a parameter is stored is a property of the weight, not of the model.

mod device;
mod quantized;

use std::ops::Range;
use std::sync::Arc;

use crate::cpu::convert;
use crate::rows::Elements;
use crate::{DType, MatRef, Rng, Rows, Tensor};
use device::OnDevice;
pub use device::Readable;
use quantized::Forms;

/// Bytes that somebody keeps alive: a part of a mapped file, for example.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    /// `range` of the owner's bytes; panics when it lies outside.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= (*owner).as_ref().len(), "bytes {range:?}");
        Bytes { owner, range }
    }

    fn as_slice(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

/// Why a weight cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// No weight is kept in that type.
    #[error("weights are kept in f32, bf16, f16 or int8, not in {}", .0.name())]
    Type(DType),
    /// int8 without a scale for each of its rows.
    #[error("{scales} scales for {rows} rows in int8: there has to be one a row")]
    Scales {
        /// Scales given.
        scales: usize,
        /// Rows.
        rows: usize,
    },
    /// A scale that is none.
    #[error("the scale of row {row} is {scale}; scales of int8 are finite and above 0")]
    Scale {
        /// The row.
        row: usize,
        /// Its scale.
        scale: f32,
    },
    /// The bytes do not hold that shape.
    #[error("{bytes} bytes do not hold a {dtype} tensor of shape {shape:?}")]
    Size {
        /// Bytes given.
        bytes: usize,
        /// Storage type.
        dtype: &'static str,
        /// Shape asked for.
        shape: Vec<usize>,
    },
}

enum Storage {
    /// f32 of its own, may be written (training).
    Owned(Tensor),
    /// Bytes in the machine's order, aligned for their type: a file's, or of its own.
    Fixed(DType, Bytes),
    /// Whole numbers, row after row, and a scale a row.
    Int8(Bytes, Arc<[f32]>),
    /// The same, packed for products.
    Panels(Box<Forms>),
    /// In a device's memory.
    Device(OnDevice),
}

/// Bits of its own as bytes.
struct Halves(Vec<u16>);

impl AsRef<[u8]> for Halves {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Storage {
    fn halves(dtype: DType, bits: Vec<u16>) -> Storage {
        let len = 2 * bits.len();
        Storage::Fixed(dtype, Bytes::new(Arc::new(Halves(bits)), 0..len))
    }
}

/// A parameter: a matrix `[rows, cols]` (`[out, in]` for a linear layer, as PyTorch keeps it) or a vector.
pub struct Weight {
    shape: Vec<usize>,
    storage: Storage,
}

impl Weight {
    /// A weight that can be trained: f32 in memory of its own. `shape` has one or two dimensions.
    pub fn owned(shape: &[usize], data: Vec<f32>) -> Self {
        let (rows, cols) = matrix(shape);
        Weight { shape: shape.to_vec(), storage: Storage::Owned(Tensor::from_vec(rows, cols, data)) }
    }

    /// Normal random numbers around 0 with this standard deviation, that can be trained.
    pub fn normal(shape: &[usize], std: f64, mut rng: Rng) -> Self {
        let len = shape.iter().product();
        Weight::owned(shape, (0..len).map(|_| (rng.normal() * std) as f32).collect())
    }

    /// Random numbers uniform in ±`bound`, that can be trained.
    pub fn uniform(shape: &[usize], bound: f64, mut rng: Rng) -> Self {
        let len = shape.iter().product();
        Weight::owned(shape, (0..len).map(|_| ((2.0 * rng.uniform() - 1.0) * bound) as f32).collect())
    }

    /// Zeros that can be trained.
    pub fn zeros(shape: &[usize]) -> Self {
        let (rows, cols) = matrix(shape);
        Weight { shape: shape.to_vec(), storage: Storage::Owned(Tensor::zeros(rows, cols)) }
    }

    /// A weight that stays where it is, in a mapped file for example; copied only when it is not aligned.
    pub fn mapped(shape: &[usize], dtype: DType, bytes: Bytes) -> Result<Self, WeightError> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let slice = bytes.as_slice();
        if !DType::WEIGHTS.contains(&dtype) {
            return Err(WeightError::Type(dtype));
        }
        if matches!(dtype, DType::I8 | DType::I4) {
            return Err(WeightError::Scales { scales: 0, rows: shape.first().copied().unwrap_or(1) });
        }
        if shape.len() > 2 || elements.and_then(|n| n.checked_mul(dtype.size())) != Some(slice.len()) {
            return Err(WeightError::Size { bytes: slice.len(), dtype: dtype.name(), shape: shape.to_vec() });
        }
        let aligned = slice.as_ptr().addr().is_multiple_of(dtype.size()) && cfg!(target_endian = "little");
        let storage = match dtype {
            _ if aligned => Storage::Fixed(dtype, bytes),
            DType::F32 => {
                let (rows, cols) = matrix(shape);
                let data = slice.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Storage::Owned(Tensor::from_vec(rows, cols, data.collect()))
            }
            _ => {
                let data = slice.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                Storage::halves(dtype, data.collect())
            }
        };
        Ok(Weight { shape: shape.to_vec(), storage })
    }

    /// The same weight in other storage, one of [`DType::WEIGHTS`] (rounded to nearest even); f32 results can be
    /// trained.
    pub fn to_dtype(&self, dtype: DType) -> Weight {
        let storage = match dtype {
            DType::F32 => Storage::Owned(self.to_tensor()),
            DType::I8 => self.in_int8(),
            DType::I4 => self.in_int4(),
            _ => {
                let mut wide = None;
                let bits = convert::narrow(self.view_f32(&mut wide).data, dtype);
                Storage::halves(dtype, bits)
            }
        };
        Weight { shape: self.shape.clone(), storage }
    }

    /// The shape as files have it: one or two dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Rows of the matrix; 1 for a vector.
    pub fn rows(&self) -> usize {
        matrix(&self.shape).0
    }

    /// Columns of the matrix; all elements of a vector.
    pub fn cols(&self) -> usize {
        matrix(&self.shape).1
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.rows() * self.cols()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are held of it: numbers, scales, and other forms that products have made of it so far. Those of a mapped
    /// file are as many as it has there.
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::Owned(t) => size_of_val(t.data()),
            Storage::Fixed(_, bytes) => bytes.as_slice().len(),
            Storage::Int8(q, scales) => q.as_slice().len() + size_of_val(&scales[..]),
            Storage::Panels(forms) => forms.bytes(),
            Storage::Device(on) => on.bytes(),
        }
    }

    /// How it is stored.
    pub fn dtype(&self) -> DType {
        match &self.storage {
            Storage::Owned(_) => DType::F32,
            Storage::Fixed(dtype, _) => *dtype,
            Storage::Int8(..) => DType::I8,
            Storage::Panels(_) => self.as_rows().dtype(),
            Storage::Device(on) => on.dtype,
        }
    }

    /// The rows as they are stored.
    pub fn as_rows(&self) -> Rows<'_> {
        let elements = match &self.storage {
            Storage::Owned(t) => Elements::F32(t.data()),
            Storage::Fixed(DType::F32, b) => Elements::F32(bytemuck::cast_slice(b.as_slice())),
            Storage::Fixed(DType::Bf16, b) => Elements::Bf16(bytemuck::cast_slice(b.as_slice())),
            Storage::Fixed(_, b) => Elements::F16(bytemuck::cast_slice(b.as_slice())),
            Storage::Int8(q, scales) => Elements::Int8(bytemuck::cast_slice(q.as_slice()), scales),
            Storage::Panels(forms) => forms.as_elements(),
            Storage::Device(_) => panic!("reading a weight on a device, without `to_host`"),
        };
        Rows::new(elements, self.cols())
    }

    /// The elements, if they are stored as f32.
    pub(crate) fn as_f32(&self) -> Option<&[f32]> {
        match self.as_rows().elements() {
            Elements::F32(x) => Some(x),
            _ => None,
        }
    }

    /// A copy of the elements in f32: `[rows, cols]`.
    pub fn to_tensor(&self) -> Tensor {
        if let Storage::Device(_) = self.storage {
            return self.to_host().to_tensor();
        }
        let mut tensor = Tensor::unspecified(self.rows(), self.cols());
        self.as_rows().widen(tensor.data_mut());
        tensor
    }

    /// The matrix in f32: as it lies, or a widened copy that is kept in `wide`.
    pub(crate) fn view_f32<'a>(&'a self, wide: &'a mut Option<Tensor>) -> MatRef<'a> {
        match self.as_f32() {
            Some(data) => MatRef::new(data, self.rows(), self.cols(), self.cols()),
            None => wide.insert(self.to_tensor()).view(),
        }
    }

    /// Whether it was made to be trained: f32 in memory of its own.
    pub fn is_trainable(&self) -> bool {
        match &self.storage {
            Storage::Owned(_) => true,
            Storage::Device(on) => on.dtype == DType::F32,
            _ => false,
        }
    }

    /// The elements, to write.
    ///
    /// Panics where they are not [trainable](Weight::is_trainable).
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        match &mut self.storage {
            Storage::Owned(t) => t.data_mut(),
            _ => panic!("only f32 in memory of its own can be trained"),
        }
    }

    /// A weight that can be trained, every element `f` of its place (rows one after another) and of what is there.
    pub fn map(&self, f: impl Fn(usize, f32) -> f32) -> Weight {
        let mut weight = self.to_dtype(DType::F32);
        weight.data_mut().iter_mut().enumerate().for_each(|(at, x)| *x = f(at, *x));
        weight
    }

    /// The same weight with at least `rows` rows, in the same storage type: row `means[i].0` is the mean of the rows
    /// `means[i].1`, and others that are new are zeros.
    pub fn with_rows(&self, rows: usize, means: &[(usize, Vec<u32>)]) -> Weight {
        let (cols, old) = (self.cols(), self.to_tensor());
        let mut data = Vec::with_capacity(rows.max(self.rows()) * cols);
        (0..self.rows()).for_each(|row| data.extend_from_slice(old.row(row)));
        data.resize(rows.max(self.rows()) * cols, 0.0);
        for (row, of) in means {
            let to = &mut data[row * cols..(row + 1) * cols];
            to.fill(0.0);
            for &id in of {
                to.iter_mut().zip(old.row(id as usize)).for_each(|(to, x)| *to += x);
            }
            to.iter_mut().for_each(|x| *x /= of.len().max(1) as f32);
        }
        let mut shape = self.shape.clone();
        shape[0] = rows.max(self.rows());
        let grown = Weight::owned(&shape, data).to_dtype(self.dtype());
        if self.panels().is_some() { grown.packed() } else { grown }
    }

    /// `W + scale·B·A` in f32: a low-rank addition (LoRA) made part of a weight. `a`: [rank, cols], `b`: [rows, rank].
    pub fn plus_low_rank(&self, a: &Weight, b: &Weight, scale: f32) -> Weight {
        let shapes = (self.rows(), a.rows(), self.cols());
        assert_eq!(shapes, (b.rows(), b.cols(), a.cols()), "shapes of a low-rank addition");
        let mut sum = self.to_dtype(DType::F32);
        let (a, b) = (a.to_tensor(), b.to_tensor());
        let mut delta = vec![0f32; a.cols()];
        for (row, w) in sum.data_mut().chunks_exact_mut(a.cols().max(1)).enumerate() {
            delta.fill(0.0);
            for (k, &b) in b.row(row).iter().enumerate() {
                delta.iter_mut().zip(a.row(k)).for_each(|(d, a)| *d += b * a);
            }
            w.iter_mut().zip(&delta).for_each(|(w, d)| *w += scale * d);
        }
        sum
    }
}

fn matrix(shape: &[usize]) -> (usize, usize) {
    match shape {
        [] => (1, 1),
        [cols] => (1, *cols),
        [rows, cols] => (*rows, *cols),
        _ => panic!("a weight has one or two dimensions, not {shape:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_rows_are_means() {
        let weight = Weight::owned(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let grown = weight.with_rows(5, &[(2, vec![0, 1]), (4, vec![2]), (1, vec![])]);
        assert_eq!(grown.shape(), [5, 2]);
        let rows = grown.to_tensor();
        let rows: Vec<&[f32]> = (0..5).map(|row| rows.row(row)).collect();
        assert_eq!(rows, [&[1.0, 2.0], &[0.0, 0.0], &[2.0, 3.0], &[0.0, 0.0], &[5.0, 6.0]]);
        assert_eq!(weight.with_rows(2, &[]).shape(), [3, 2]);
    }

    #[test]
    fn mapped_bytes_give_the_elements_aligned_or_not() {
        let values = [1.5f32, -2.0, 0.25, 3.0, 5.0, -0.5];
        for shift in 0..3 {
            let mut bytes = vec![0u8; shift];
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            let end = bytes.len();
            let w = Weight::mapped(&[2, 3], DType::F32, Bytes::new(Arc::new(bytes), shift..end)).unwrap();
            assert_eq!(w.to_tensor().data(), values);
            assert_eq!((w.rows(), w.cols(), w.len()), (2, 3, 6));
        }
        let short = Bytes::new(Arc::new(vec![0u8; 8]), 0..8);
        assert!(Weight::mapped(&[3], DType::F32, short).is_err());
    }

    #[test]
    fn a_low_rank_addition_is_the_sum_written_out() {
        let w = Weight::owned(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).to_dtype(DType::Bf16);
        let (a, b) = (Weight::owned(&[1, 3], vec![1.0, 0.0, -1.0]), Weight::owned(&[2, 1], vec![2.0, 4.0]));
        let sum = w.plus_low_rank(&a, &b, 0.5);
        assert_eq!(sum.to_tensor().data(), [2.0, 2.0, 2.0, 6.0, 5.0, 4.0]);
        assert!(sum.is_trainable() && !w.is_trainable());
        assert_eq!(w.map(|at, x| x * at as f32).to_tensor().data(), [0.0, 2.0, 6.0, 12.0, 20.0, 30.0]);
    }

    #[test]
    fn half_storage_rounds_and_comes_back() {
        let w = Weight::owned(&[3], vec![1.0, 1.0 + 1.0 / 512.0, -65504.0]);
        let b = w.to_dtype(DType::Bf16);
        assert_eq!(b.to_tensor().data()[..2], [1.0, 1.0]);
        // -65504 is rounded to -65536, which f16 does not have.
        assert_eq!(b.to_dtype(DType::F16).to_tensor().data(), [1.0, 1.0, f32::NEG_INFINITY]);
        let h = w.to_dtype(DType::F16);
        assert_eq!(h.to_tensor().data(), w.to_tensor().data());
        let matrix = Weight::owned(&[3, 4], vec![1.0; 12]);
        let bytes = |dtype| matrix.to_dtype(dtype).bytes();
        assert_eq!([DType::F32, DType::Bf16, DType::I8].map(bytes), [48, 24, 12 + 12]);
        // A whole panel of sixteen rows, and their scales.
        assert_eq!(matrix.to_dtype(DType::I8).packed().bytes(), 16 * 4 + 16 * 4);
        assert_eq!(h.dtype(), DType::F16);
    }
}
