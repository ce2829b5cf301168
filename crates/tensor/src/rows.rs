//! Rows of a stored matrix as they lie: what products with weights read, and what files are written from.

use std::ops::Range;

use crate::cpu::convert;
use crate::kernels::{Bits, Panels};
use crate::{DType, MatRef};

/// Rows `[count, cols]` of a matrix in its storage type. They are cut by rows, never within one, so that what belongs
/// to a row (the scale of an int8 one) may lie beside it.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    elements: Elements<'a>,
    cols: usize,
}

/// The elements, row after row (bf16 and f16 as raw bits).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Elements<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// bfloat16, the upper half of an f32.
    Bf16(&'a [u16]),
    /// IEEE half precision.
    F16(&'a [u16]),
    /// Whole numbers, and each row's scale.
    Int8(&'a [i8], &'a [f32]),
    /// The same packed for products: so many rows from one on.
    Panels(&'a Panels, usize, usize),
}

/// A finite value that would become infinite in a storage type.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is beyond what the storage type holds")]
pub struct Beyond(pub f32);

/// Elements converted to bytes at a time.
const CHUNK: usize = 64 << 10;

impl<'a> Rows<'a> {
    /// Rows of `cols` elements; panics on a part of one.
    pub(crate) fn new(elements: Elements<'a>, cols: usize) -> Self {
        let rows = Rows { elements, cols };
        assert!(cols == 0 && rows.is_empty() || cols > 0 && rows.len().is_multiple_of(cols), "whole rows");
        rows
    }

    /// Rows in f32.
    pub fn f32(elements: &'a [f32], cols: usize) -> Self {
        Rows::new(Elements::F32(elements), cols)
    }

    /// Rows in bf16.
    pub fn bf16(bits: &'a [u16], cols: usize) -> Self {
        Rows::new(Elements::Bf16(bits), cols)
    }

    /// Rows in f16.
    pub fn f16(bits: &'a [u16], cols: usize) -> Self {
        Rows::new(Elements::F16(bits), cols)
    }

    /// How they are stored.
    pub fn dtype(&self) -> DType {
        match self.elements {
            Elements::F32(_) => DType::F32,
            Elements::Bf16(_) => DType::Bf16,
            Elements::F16(_) => DType::F16,
            Elements::Int8(..) => DType::I8,
            Elements::Panels(panels, ..) => match panels.bits() {
                Bits::Eight => DType::I8,
                Bits::Four => DType::I4,
            },
        }
    }

    /// Elements of a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.len().checked_div(self.cols).unwrap_or(0)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self.elements {
            Elements::F32(x) => x.len(),
            Elements::Bf16(x) | Elements::F16(x) => x.len(),
            Elements::Int8(x, _) => x.len(),
            Elements::Panels(_, _, rows) => rows * self.cols,
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in `range`.
    pub fn slice(&self, range: Range<usize>) -> Rows<'a> {
        let rows = range.clone();
        let range = range.start * self.cols..range.end * self.cols;
        let elements = match self.elements {
            Elements::F32(x) => Elements::F32(&x[range]),
            Elements::Bf16(x) => Elements::Bf16(&x[range]),
            Elements::F16(x) => Elements::F16(&x[range]),
            Elements::Int8(x, scales) => Elements::Int8(&x[range], &scales[rows]),
            Elements::Panels(panels, first, count) => {
                assert!(rows.end <= count, "rows {rows:?} of {count}");
                Elements::Panels(panels, first + rows.start, rows.len())
            }
        };
        Rows { elements, ..*self }
    }

    /// The bits of an element, counted row after row, as they are stored (of int8 without its row's scale).
    pub fn bits(&self, at: usize) -> u32 {
        match self.elements {
            Elements::F32(x) => x[at].to_bits(),
            Elements::Bf16(x) | Elements::F16(x) => x[at].into(),
            Elements::Int8(x, _) => x[at] as u32,
            Elements::Panels(panels, first, _) => {
                panels.row(first + at / self.cols).nth(at % self.cols).map_or(0, |q| q as u32)
            }
        }
    }

    pub(crate) fn elements(&self) -> Elements<'a> {
        self.elements
    }

    /// The matrix, where it is stored in bf16.
    pub(crate) fn as_bf16(&self) -> Option<MatRef<'a, u16>> {
        match self.elements {
            Elements::Bf16(x) => Some(MatRef::new(x, self.count(), self.cols, self.cols)),
            _ => None,
        }
    }

    /// Copies the elements into f32.
    pub(crate) fn widen(&self, y: &mut [f32]) {
        convert::widen(y, self.elements);
    }

    /// The elements times `factor` as little-endian bytes of `dtype`, one of [`DType::WEIGHTS`] (rounded to nearest
    /// even), some whole rows at a time. Of int8 the numbers alone: [`Rows::quantized`] has the scales.
    ///
    /// # Errors
    /// In the place of rows with a value that the type cannot hold.
    pub fn bytes(self, dtype: DType, factor: f32) -> impl Iterator<Item = Result<Vec<u8>, Beyond>> + 'a {
        let step = (CHUNK / self.cols.max(1)).max(1);
        (0..self.count())
            .step_by(step)
            .map(move |from| self.slice(from..self.count().min(from + step)).to_bytes(dtype, factor))
    }

    /// The elements times `factor` in int8, symmetric by row, and a scale for each row; rows in int8 keep their numbers.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn quantized(self, factor: f32) -> Result<(Vec<i8>, Vec<f32>), Beyond> {
        let scaled = |scales: &[f32]| scales.iter().map(|scale| scale * factor).collect();
        match self.elements {
            Elements::Int8(q, scales) => return Ok((q.to_vec(), scaled(scales))),
            Elements::Panels(panels, first, rows) if panels.bits() == Bits::Eight => {
                let q = (first..first + rows).flat_map(|row| panels.row(row)).collect();
                let scales: Vec<f32> = (first..first + rows).flat_map(|row| panels.scales(row)).collect();
                return Ok((q, scaled(&scales)));
            }
            _ => {}
        }
        let (mut q, mut scales) = (Vec::with_capacity(self.len()), Vec::with_capacity(self.count()));
        let mut wide = vec![0.0; self.cols];
        for row in 0..self.count() {
            self.slice(row..row + 1).widen(&mut wide);
            wide.iter_mut().for_each(|x| *x *= factor);
            scales.push(convert::to_int8(&wide, &mut q).map_err(Beyond)?);
        }
        Ok((q, scales))
    }

    /// The elements times `factor` in 4 bits, two columns a byte, and scales [rows, shares of 32 columns].
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn quantized_in_4_bits(self, factor: f32) -> Result<(Vec<u8>, Vec<f32>), Beyond> {
        let (mut bytes, mut scales, mut wide) = (Vec::new(), Vec::new(), vec![0.0; self.cols]);
        for row in 0..self.count() {
            self.slice(row..row + 1).widen(&mut wide);
            wide.iter_mut().for_each(|x| *x *= factor);
            convert::to_int4(&wide, &mut bytes, &mut scales).map_err(Beyond)?;
        }
        Ok((bytes, scales))
    }

    fn to_bytes(self, dtype: DType, factor: f32) -> Result<Vec<u8>, Beyond> {
        let same = self.dtype() == dtype && factor == 1.0;
        match self.elements {
            Elements::F32(x) if same => Ok(singles(x)),
            Elements::Bf16(x) | Elements::F16(x) if same => Ok(halves(x)),
            Elements::Int8(x, _) if dtype == DType::I8 => Ok(bytemuck::cast_slice(x).to_vec()),
            _ if dtype == DType::I8 => Ok(self.quantized(1.0)?.0.into_iter().map(|q| q as u8).collect()),
            _ => {
                let mut wide = vec![0.0; self.len()];
                self.widen(&mut wide);
                wide.iter_mut().for_each(|x| *x *= factor);
                narrow(&wide, dtype)
            }
        }
    }
}

/// f32 elements as bytes of another type.
fn narrow(x: &[f32], dtype: DType) -> Result<Vec<u8>, Beyond> {
    if dtype == DType::F32 {
        return Ok(singles(x));
    }
    // From here on f16 rounds to infinity.
    let beyond = |x: &&f32| x.is_finite() && x.abs() >= 65520.0;
    match x.iter().find(beyond).filter(|_| dtype == DType::F16) {
        Some(&x) => Err(Beyond(x)),
        None => Ok(halves(&convert::narrow(x, dtype))),
    }
}

fn singles(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn halves(x: &[u16]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    fn all(rows: Rows<'_>, dtype: DType, factor: f32) -> Vec<u8> {
        rows.bytes(dtype, factor).flat_map(|bytes| bytes.unwrap()).collect()
    }

    #[test]
    fn bytes_are_those_of_each_type() {
        let values: Vec<f32> = (0..3 * 40_000).map(|i| (i % 977) as f32 * 0.37 - 100.0).collect();
        let rows = Rows::f32(&values, 40_000);
        assert_eq!(rows.bytes(DType::F32, 1.0).count(), 3, "a row a chunk");
        let f32s: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(all(rows, DType::F32, 1.0), f32s);
        let scaled: Vec<u8> = values.iter().flat_map(|x| (x * 0.25).to_le_bytes()).collect();
        assert_eq!(all(rows, DType::F32, 0.25), scaled);
        let bits: Vec<u16> = values.iter().map(|&x| bf16::from_f32(x).to_bits()).collect();
        let bf16s: Vec<u8> = bits.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(all(rows, DType::Bf16, 1.0), bf16s);
        assert_eq!(all(Rows::bf16(&bits, 300), DType::Bf16, 1.0), bf16s);
        let f16s: Vec<u8> = values.iter().flat_map(|&x| f16::from_f32(x).to_bits().to_le_bytes()).collect();
        assert_eq!(all(rows, DType::F16, 1.0), f16s);
        assert!(all(Rows::f32(&[], 0), DType::F32, 1.0).is_empty());
    }

    #[test]
    fn what_f16_cannot_hold_is_said() {
        let rows = Rows::f32(&[1.0, 65519.0, -65520.0, f32::INFINITY], 2);
        let found: Vec<_> = rows.bytes(DType::F16, 1.0).collect();
        assert_eq!(found, [Err(Beyond(-65520.0))]);
    }

    #[test]
    fn slices_are_rows() {
        let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = Rows::f32(&x, 2);
        let two = rows.slice(1..3);
        assert_eq!((rows.count(), two.count(), two.len()), (3, 2, 4));
        assert_eq!(two.bits(0), 3f32.to_bits());
    }
}
