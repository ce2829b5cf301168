//! Weights: how a parameter is stored is a property of the weight, not of the model.

use std::ops::Range;
use std::sync::Arc;

use crate::kernels::Rows;
use crate::{MatRef, Tensor, kernels};

/// Storage type of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// The upper half of a single.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl DType {
    /// Bytes an element.
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::Bf16 | DType::F16 => 2,
        }
    }

    /// The name used in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
        }
    }
}

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
    /// Owned, may be written (training).
    Owned(Tensor),
    /// Little-endian bytes of a file, aligned for their type.
    Mapped(DType, Bytes),
    /// Owned, two bytes an element.
    Half(DType, Vec<u16>),
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

    /// Zeros that can be trained.
    pub fn zeros(shape: &[usize]) -> Self {
        let (rows, cols) = matrix(shape);
        Weight { shape: shape.to_vec(), storage: Storage::Owned(Tensor::zeros(rows, cols)) }
    }

    /// A weight that stays where it is, in a mapped file for example; copied only when it is not aligned.
    pub fn mapped(shape: &[usize], dtype: DType, bytes: Bytes) -> Result<Self, WeightError> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let slice = bytes.as_slice();
        if shape.len() > 2 || elements.and_then(|n| n.checked_mul(dtype.size())) != Some(slice.len()) {
            return Err(WeightError::Size { bytes: slice.len(), dtype: dtype.name(), shape: shape.to_vec() });
        }
        let aligned = slice.as_ptr().addr().is_multiple_of(dtype.size()) && cfg!(target_endian = "little");
        let storage = match dtype {
            _ if aligned => Storage::Mapped(dtype, bytes),
            DType::F32 => {
                let (rows, cols) = matrix(shape);
                let data = slice.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                Storage::Owned(Tensor::from_vec(rows, cols, data.collect()))
            }
            DType::Bf16 | DType::F16 => {
                let data = slice.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
                Storage::Half(dtype, data.collect())
            }
        };
        Ok(Weight { shape: shape.to_vec(), storage })
    }

    /// The same weight in other storage (rounded to nearest even); f32 results can be trained.
    pub fn to_dtype(&self, dtype: DType) -> Weight {
        let isa = kernels::isa();
        let storage = match dtype {
            DType::F32 => Storage::Owned(self.to_tensor()),
            DType::Bf16 | DType::F16 => {
                let widened;
                let full = match self.as_rows() {
                    Rows::F32(x) => x,
                    _ => {
                        widened = self.to_tensor();
                        widened.data()
                    }
                };
                let mut half = vec![0u16; full.len()];
                match dtype {
                    DType::Bf16 => kernels::f32_to_bf16(isa, &mut half, full),
                    _ => kernels::f32_to_f16(isa, &mut half, full),
                }
                Storage::Half(dtype, half)
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

    /// How it is stored.
    pub fn dtype(&self) -> DType {
        match &self.storage {
            Storage::Owned(_) => DType::F32,
            Storage::Mapped(dtype, _) | Storage::Half(dtype, _) => *dtype,
        }
    }

    /// The elements as they are stored.
    pub fn as_rows(&self) -> Rows<'_> {
        match &self.storage {
            Storage::Owned(t) => Rows::F32(t.data()),
            Storage::Half(DType::Bf16, h) => Rows::Bf16(h),
            Storage::Half(_, h) => Rows::F16(h),
            Storage::Mapped(DType::F32, b) => Rows::F32(bytemuck::cast_slice(b.as_slice())),
            Storage::Mapped(DType::Bf16, b) => Rows::Bf16(bytemuck::cast_slice(b.as_slice())),
            Storage::Mapped(DType::F16, b) => Rows::F16(bytemuck::cast_slice(b.as_slice())),
        }
    }

    /// The elements, if they are stored as f32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self.as_rows() {
            Rows::F32(x) => Some(x),
            _ => None,
        }
    }

    /// A copy of the elements in f32: `[rows, cols]`.
    pub fn to_tensor(&self) -> Tensor {
        let mut tensor = Tensor::unspecified(self.rows(), self.cols());
        widen(tensor.data_mut(), self.as_rows());
        tensor
    }

    /// The matrix in f32: as it lies, or a widened copy that is kept in `wide`.
    pub(crate) fn view_f32<'a>(&'a self, wide: &'a mut Option<Tensor>) -> MatRef<'a> {
        match self.as_f32() {
            Some(data) => MatRef::new(data, self.rows(), self.cols(), self.cols()),
            None => wide.insert(self.to_tensor()).view(),
        }
    }

    /// The elements, to write; `None` unless the weight was made to be trained.
    pub fn as_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.storage {
            Storage::Owned(t) => Some(t.data_mut()),
            _ => None,
        }
    }
}

/// Copies stored elements into f32.
pub(crate) fn widen(y: &mut [f32], x: Rows<'_>) {
    let isa = kernels::isa();
    match x {
        Rows::F32(x) => y.copy_from_slice(x),
        Rows::Bf16(x) => kernels::bf16_to_f32(isa, y, x),
        Rows::F16(x) => kernels::f16_to_f32(isa, y, x),
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
    fn half_storage_rounds_and_comes_back() {
        let w = Weight::owned(&[3], vec![1.0, 1.0 + 1.0 / 512.0, -65504.0]);
        let b = w.to_dtype(DType::Bf16);
        assert_eq!(b.to_tensor().data()[..2], [1.0, 1.0]);
        // -65504 is rounded to -65536, which f16 does not have.
        assert_eq!(b.to_dtype(DType::F16).to_tensor().data(), [1.0, 1.0, f32::NEG_INFINITY]);
        let h = w.to_dtype(DType::F16);
        assert_eq!(h.to_tensor().data(), w.to_tensor().data());
        assert_eq!(h.dtype(), DType::F16);
    }
}
