//! A bundle of Google's T5 or BERT family, seen in transformers' names and layouts.

use std::path::Path;

use super::names::{Variable, variable};
use super::{TensorBundle, with_suffix};
use crate::DType;
use crate::bytes::TensorBytes;
use crate::error::Result;
use crate::renamed::{Renamed, Variables, Weight};

/// A TensorFlow checkpoint whose weights have transformers' names and layouts.
///
/// Variables of the optimizer are left out; a variable that is not known keeps its name, so that a strict
/// loader reports it.
pub type MeshCheckpoint = Renamed<TensorBundle>;

impl MeshCheckpoint {
    /// Opens the checkpoint with this prefix.
    ///
    /// # Errors
    /// Those of [`TensorBundle::open`], and [`Error::Tensor`](crate::Error::Tensor) where two variables have one name or
    /// one that is a matrix in transformers is none here.
    pub fn open(prefix: &Path) -> Result<Self> {
        let bundle = TensorBundle::open(prefix)?;
        let weight = |name: &str| match variable(name) {
            Variable::Weight { name, transposed } => Some(Weight { name, transposed }),
            Variable::Skipped => None,
            Variable::Unknown => Some(Weight { name: name.to_owned(), transposed: false }),
        };
        let weights = bundle.names().filter_map(|name| Some((name.to_owned(), weight(name)?))).collect();
        Self::new(&with_suffix(prefix, ".index"), bundle, weights)
    }
}

impl Variables for TensorBundle {
    fn info(&self, name: &str) -> Option<(DType, &[usize])> {
        TensorBundle::info(self, name)
    }

    fn bytes(&self, name: &str) -> Result<TensorBytes> {
        TensorBundle::bytes(self, name)
    }
}
