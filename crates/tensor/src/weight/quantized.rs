//! Weights of whole numbers: int8 with a scale a row, 4 bits with a scale for every [`SHARE`] columns, packed for products.

use std::sync::{Arc, OnceLock};

use super::{Bytes, Storage, Weight, WeightError, matrix};
use crate::kernels::{Bits, Panels, SHARE};
use crate::rows::Elements;
use crate::{DType, Rows};

/// A matrix packed for products, and what has been made of it.
pub(super) struct Forms {
    rows: Panels,
    heads: OnceLock<Heads>,
}

/// Each head's rows transposed, for products that sum over them.
pub(crate) struct Heads {
    /// What activations are multiplied by first: [rows]. Of 4 bits, which are rounded anew here, nothing.
    pub(crate) factors: Option<Vec<f32>>,
    /// A head each: outputs are the columns.
    pub(crate) panels: Vec<Panels>,
}

impl Forms {
    /// All rows.
    pub(super) fn as_elements(&self) -> Elements<'_> {
        Elements::Panels(&self.rows, 0, self.rows.rows())
    }

    /// Bytes of all that there is.
    pub(super) fn bytes(&self) -> usize {
        let heads = self.heads.get().into_iter().flat_map(|heads| &heads.panels);
        self.rows.bytes() + heads.map(Panels::bytes).sum::<usize>()
    }
}

/// Whole numbers of its own as bytes.
struct Numbers(Vec<i8>);

impl AsRef<[u8]> for Numbers {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl Weight {
    /// A matrix in int8 that stays where it is: whole numbers [rows, cols], and a scale a row.
    ///
    /// # Errors
    /// Bytes or scales of another shape; a scale that is not finite and above 0.
    pub fn int8(shape: &[usize], bytes: Bytes, scales: Vec<f32>) -> Result<Self, WeightError> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let len = bytes.as_slice().len();
        if shape.len() != 2 || elements != Some(len) {
            return Err(WeightError::Size { bytes: len, dtype: DType::I8.name(), shape: shape.to_vec() });
        }
        if scales.len() != shape[0] {
            return Err(WeightError::Scales { scales: scales.len(), rows: shape[0] });
        }
        if let Some(row) = scales.iter().position(|scale| !(scale.is_finite() && *scale > 0.0)) {
            return Err(WeightError::Scale { row, scale: scales[row] });
        }
        Ok(Weight { shape: shape.to_vec(), storage: Storage::Int8(bytes, scales.into()) })
    }

    /// A matrix of 4 bits: two columns a byte, the first in the lower half, 8 more than they are, [rows, cols/2 rounded up];
    /// scales [rows, shares of 32 columns]. Packed in memory of its own.
    ///
    /// # Errors
    /// Bytes or scales of another shape; a scale that is not finite or 0.
    pub fn int4(shape: &[usize], bytes: &[u8], scales: &[f32]) -> Result<Self, WeightError> {
        let (rows, cols) = match *shape {
            [rows, cols] if rows.checked_mul(cols.div_ceil(2)) == Some(bytes.len()) => (rows, cols),
            _ => {
                let (bytes, dtype) = (bytes.len(), DType::I4.name());
                return Err(WeightError::Size { bytes, dtype, shape: shape.to_vec() });
            }
        };
        let shares = cols.div_ceil(SHARE);
        if scales.len() != rows * shares {
            return Err(WeightError::Scales { scales: scales.len(), rows });
        }
        if let Some(at) = scales.iter().position(|scale| !scale.is_finite() || *scale == 0.0) {
            return Err(WeightError::Scale { row: at / shares, scale: scales[at] });
        }
        Ok(Weight { storage: Storage::four(rows, cols, bytes, scales), shape: shape.to_vec() })
    }

    /// The same weight packed for products, in memory of its own, where it is int8.
    pub fn packed(self) -> Weight {
        match &self.storage {
            Storage::Int8(q, scales) => {
                let (rows, cols) = matrix(&self.shape);
                let rows = Panels::new(rows, cols, bytemuck::cast_slice(q.as_slice()), scales);
                Weight { storage: packed(rows), shape: self.shape }
            }
            _ => self,
        }
    }

    /// The panels, where it is [packed](Weight::packed).
    pub(crate) fn panels(&self) -> Option<&Panels> {
        match &self.storage {
            Storage::Panels(forms) => Some(&forms.rows),
            _ => None,
        }
    }

    /// The panels of each head's rows transposed, where it is [packed](Weight::packed). Always the same number of heads.
    pub(crate) fn panels_by_head(&self, num_heads: usize) -> Option<&Heads> {
        let Storage::Panels(forms) = &self.storage else { return None };
        let (d_kv, cols) = (self.rows() / num_heads, self.cols());
        let range = |head: usize| head * d_kv..(head + 1) * d_kv;
        Some(forms.heads.get_or_init(|| match forms.rows.bits() {
            Bits::Eight => {
                let ones = vec![1.0; cols];
                let panels = (0..num_heads).map(|head| forms.rows.transposed(range(head), &ones)).collect();
                Heads {
                    factors: Some((0..self.rows()).flat_map(|row| forms.rows.scales(row)).collect()),
                    panels,
                }
            }
            Bits::Four => {
                let wide = self.to_tensor();
                let panels = (0..num_heads).map(|head| {
                    let column = |c: usize| range(head).map(|row| wide.row(row)[c]).collect::<Vec<f32>>();
                    let turned: Vec<f32> = (0..cols).flat_map(column).collect();
                    let (q, scales) = Rows::f32(&turned, d_kv).quantized(1.0).unwrap_or_default();
                    Panels::new(cols, d_kv, &q, &scales)
                });
                Heads { factors: None, panels: panels.collect() }
            }
        }))
    }

    /// Its elements in int8. What is not finite stays so: no product with its row is a number.
    pub(super) fn in_int8(&self) -> Storage {
        let (q, scales) = self
            .as_rows()
            .quantized(1.0)
            .unwrap_or_else(|_| (vec![0; self.len()], vec![f32::NAN; self.rows()]));
        let len = q.len();
        Storage::Int8(Bytes::new(Arc::new(Numbers(q)), 0..len), scales.into())
    }

    /// Its elements in 4 bits, packed; likewise.
    pub(super) fn in_int4(&self) -> Storage {
        let (rows, cols) = (self.rows(), self.cols());
        let (bytes, scales) = self.as_rows().quantized_in_4_bits(1.0).unwrap_or_else(|_| {
            (vec![0; rows * cols.div_ceil(2)], vec![f32::NAN; rows * cols.div_ceil(SHARE)])
        });
        Storage::four(rows, cols, &bytes, &scales)
    }
}

impl Storage {
    /// 4 bits as [`Weight::int4`] takes them, packed.
    pub(super) fn four(rows: usize, cols: usize, bytes: &[u8], scales: &[f32]) -> Storage {
        packed(Panels::four(rows, cols, bytes, scales))
    }
}

fn packed(rows: Panels) -> Storage {
    Storage::Panels(Box::new(Forms { rows, heads: OnceLock::new() }))
}
