//! The bytes of a tensor together with whatever keeps them in memory.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of one tensor: a range of a mapped file or of a buffer, which stays alive as long as this does.
///
/// They are row-major and little-endian, and not necessarily aligned to the size of an element.
#[derive(Clone)]
pub struct TensorBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl TensorBytes {
    /// The bytes `range` of `owner`.
    ///
    /// # Panics
    /// Where `range` is not within `owner`.
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Self {
        let len = (*owner).as_ref().len();
        assert!(range.start <= range.end && range.end <= len, "{range:?} of {len} bytes");
        Self { owner, range }
    }

    /// The owner and the range of it that belongs to the tensor.
    pub fn into_parts(self) -> (Arc<dyn AsRef<[u8]> + Send + Sync>, Range<usize>) {
        (self.owner, self.range)
    }
}

impl From<Vec<u8>> for TensorBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { owner: Arc::new(bytes), range }
    }
}

impl Deref for TensorBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl AsRef<[u8]> for TensorBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for TensorBytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "TensorBytes({} bytes)", self.range.len())
    }
}
