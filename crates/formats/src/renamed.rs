//! Variables of another program, seen in transformers' names and layouts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::{Error, Result};

/// Variables under the names that another program gave them.
pub trait Variables {
    /// Type and shape of a variable; `None` where there is no such one.
    fn info(&self, name: &str) -> Option<(DType, &[usize])>;

    /// The bytes of a variable, row by row.
    ///
    /// # Errors
    /// [`Error::NoTensor`] where there is no such one, and those of reading.
    fn bytes(&self, name: &str) -> Result<TensorBytes>;

    /// Gives `take` the bytes of a variable in order, in parts of whole rows: all at once, or `band` rows at a time where
    /// they have to be made.
    ///
    /// # Errors
    /// Those of [`Self::bytes`] and of `take`.
    fn bands<E: From<Error>>(
        &self,
        name: &str,
        band: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let _ = band;
        take(&self.bytes(name)?)
    }
}

/// Which weight of transformers a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Its name in transformers.
    pub name: String,
    /// Whether it is a matrix that transformers stores transposed.
    pub transposed: bool,
}

/// Variables whose weights have transformers' names and layouts.
#[derive(Debug)]
pub struct Renamed<V> {
    variables: V,
    /// By transformers' name.
    weights: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    /// Its name among the variables.
    variable: String,
    dtype: DType,
    /// Its shape in transformers.
    shape: Vec<usize>,
    transposed: bool,
}

impl<V: Variables> Renamed<V> {
    /// Gives variables their weights' names; `path` names the file in errors.
    ///
    /// # Errors
    /// [`Error::Tensor`] where two variables are one weight, or one that is a matrix in transformers is none here.
    pub(crate) fn new(path: &Path, variables: V, weights: Vec<(String, Weight)>) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (variable, weight) in weights {
            let Some((dtype, shape)) = variables.info(&variable) else { continue };
            let mut shape = shape.to_vec();
            if weight.transposed {
                if shape.len() != 2 {
                    let what = format!("{shape:?} is not the shape of a matrix");
                    return Err(Error::tensor(path, &variable, what));
                }
                shape.reverse();
            }
            let place = Place { variable: variable.clone(), dtype, shape, transposed: weight.transposed };
            if let Some(other) = places.insert(weight.name, place) {
                return Err(Error::tensor(path, &variable, format!("{} is the same weight", other.variable)));
            }
        }
        Ok(Self { variables, weights: places })
    }

    /// The variables themselves.
    pub(crate) fn variables(&self) -> &V {
        &self.variables
    }

    /// transformers' names of the weights, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.keys().map(String::as_str)
    }

    /// Type and shape of a weight in transformers' layout; `None` where there is none of that name.
    pub fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        self.weights.get(name).map(|w| (w.dtype, &*w.shape))
    }

    /// The bytes of a weight in transformers' layout: a part of the mapped file, or a transposed copy.
    ///
    /// # Errors
    /// Those of [`Variables::bytes`].
    pub fn bytes(&self, name: &str) -> Result<TensorBytes> {
        let Some(w) = self.weights.get(name) else { return self.variables.bytes(name) };
        let bytes = self.variables.bytes(&w.variable)?;
        match w.shape[..] {
            [rows, columns] if w.transposed => {
                Ok(transpose(&bytes, [rows, columns], 0..rows, w.dtype.size()).into())
            }
            _ => Ok(bytes),
        }
    }

    /// Gives `take` the rows of a matrix, `band` of them at a time (the last time what is left), so that of a
    /// transposed one there is never a copy of more. Other weights come as [`Variables::bands`] gives them.
    ///
    /// # Errors
    /// Those of [`Self::bytes`] and of `take`.
    pub fn bands<E: From<Error>>(
        &self,
        name: &str,
        band: usize,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.weights.get(name) {
            Some(Place { variable, dtype, shape, transposed: true }) => {
                let (rows, columns) = (shape[0], shape[1]);
                let bytes = self.variables.bytes(variable)?;
                (0..rows).step_by(band.max(1)).try_for_each(|start| {
                    let range = start..rows.min(start + band.max(1));
                    take(&transpose(&bytes, [rows, columns], range, dtype.size()))
                })
            }
            Some(Place { variable, .. }) => self.variables.bands(variable, band, take),
            None => take(&self.bytes(name)?),
        }
    }
}

/// The rows `range` of the [rows, columns] matrix whose transpose, [columns, rows], is `from`; elements of `size`
/// bytes.
fn transpose(from: &[u8], shape: [usize; 2], range: Range<usize>, size: usize) -> Vec<u8> {
    match size {
        1 => transpose_as::<1>(from, shape, range),
        2 => transpose_as::<2>(from, shape, range),
        4 => transpose_as::<4>(from, shape, range),
        _ => transpose_as::<8>(from, shape, range),
    }
}

/// In squares that stay in the cache: the matrices of a big vocabulary do not.
fn transpose_as<const N: usize>(from: &[u8], [rows, columns]: [usize; 2], range: Range<usize>) -> Vec<u8> {
    const SIDE: usize = 32;
    let mut to = vec![0; range.len() * columns * N];
    let (source, _) = from.as_chunks::<N>();
    let (target, _) = to.as_chunks_mut::<N>();
    for r in range.clone().step_by(SIDE) {
        for c in (0..columns).step_by(SIDE) {
            for i in r..range.end.min(r + SIDE) {
                for j in c..columns.min(c + SIDE) {
                    target[(i - range.start) * columns + j] = source[j * rows + i];
                }
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_awkward_sizes() {
        for (rows, columns) in [(0, 3), (1, 1), (1, 7), (31, 33), (64, 32), (65, 3)] {
            for size in [1, 2, 4, 8] {
                let element = |i: usize, j: usize| vec![(i * 31 + j * 7) as u8; size];
                let from: Vec<u8> =
                    (0..columns).flat_map(|j| (0..rows).flat_map(move |i| element(i, j))).collect();
                let want: Vec<u8> =
                    (0..rows).flat_map(|i| (0..columns).flat_map(move |j| element(i, j))).collect();
                assert_eq!(transpose(&from, [rows, columns], 0..rows, size), want, "{rows} {columns} {size}");
                for band in [1, 32, 40] {
                    let bands = (0..rows)
                        .step_by(band)
                        .flat_map(|r| transpose(&from, [rows, columns], r..rows.min(r + band), size));
                    assert_eq!(bands.collect::<Vec<_>>(), want, "{rows} {columns} {size}, by {band}");
                }
            }
        }
    }
}
