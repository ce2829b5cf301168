//! Writes a safetensors file without ever holding it.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::header::MAX_HEADER;
use crate::DType;
use crate::error::{Error, Result};

/// What a tensor to be written is.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// A tensor of that name, type and shape.
    pub fn new(name: impl Into<String>, dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), dtype, shape: shape.into() }
    }
}

/// Writes a safetensors file: all tensors are declared first, then their data follows in that order, in
/// chunks of any size.
///
/// Wrap `out` in an [`output::AtomicFile`](crate::output::AtomicFile), or create the file in an
/// [`output::AtomicDir`](crate::output::AtomicDir), so that a file that was not finished is never seen.
#[derive(Debug)]
pub struct SafetensorsWriter<W> {
    out: W,
    /// For messages only.
    path: PathBuf,
    /// The declared tensors with their sizes in bytes.
    tensors: Vec<(String, usize)>,
    /// The tensor whose turn it is.
    next: usize,
    /// Whether that one was begun and failed, so that nothing more can be written.
    partial: bool,
}

impl<W: Write> SafetensorsWriter<W> {
    /// Writes the header for `tensors` to `out`; `path` names the file in errors.
    ///
    /// The metadata is `{"format": "pt"}`, which transformers wants to see, and `metadata`'s pairs.
    ///
    /// # Errors
    /// [`Error::Tensor`] for a name given twice, a reserved name or an impossible size; [`Error::Io`].
    pub fn new(mut out: W, path: &Path, tensors: &[TensorSpec], metadata: &[(&str, &str)]) -> Result<Self> {
        let mut header = Map::new();
        let mut meta = Map::from_iter([("format".to_owned(), Value::from("pt"))]);
        meta.extend(metadata.iter().map(|&(k, v)| (k.to_owned(), Value::from(v))));
        header.insert("__metadata__".to_owned(), Value::Object(meta));

        let mut names = HashSet::new();
        let mut sizes = Vec::with_capacity(tensors.len());
        let mut at = 0usize;
        for t in tensors {
            let bad = |what: String| Error::tensor(path, &t.name, what);
            if t.name == "__metadata__" || !names.insert(&*t.name) {
                return Err(bad("the name is taken already".to_owned()));
            }
            let size = t.dtype.byte_len(&t.shape);
            let Some((size, end)) = size.and_then(|n| Some((n, at.checked_add(n)?))) else {
                return Err(bad(format!("a shape of {:?} overflows", t.shape)));
            };
            let entry = json!({"dtype": t.dtype.safetensors(), "shape": t.shape, "data_offsets": [at, end]});
            header.insert(t.name.clone(), entry);
            sizes.push((t.name.clone(), size));
            at = end;
        }
        let mut json = Value::Object(header).to_string().into_bytes();
        // Spaces up to a multiple of 8, so that the data is aligned in the file.
        json.resize(json.len().next_multiple_of(8), b' ');
        if json.len() as u64 > MAX_HEADER {
            let what = format!("{} tensors need a header of over {MAX_HEADER} bytes", tensors.len());
            return Err(Error::unsupported(path, what));
        }
        out.write_all(&(json.len() as u64).to_le_bytes())
            .and_then(|()| out.write_all(&json))
            .map_err(Error::io(path, "write"))?;
        Ok(Self { out, path: path.to_owned(), tensors: sizes, next: 0, partial: false })
    }

    /// Writes the next tensor, which must be `name`, from `chunks`, which must add up to its size.
    ///
    /// # Errors
    /// [`Error::Tensor`] where it is not this tensor's turn or the size is wrong; [`Error::Io`].
    pub fn tensor<I>(&mut self, name: &str, chunks: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        self.tensor_with(name, |put| chunks.into_iter().try_for_each(|chunk| put(chunk.as_ref())))
    }

    /// The same from a source whose chunks may fail, such as another file: `fill` is given a function that
    /// takes chunks.
    ///
    /// # Errors
    /// Those of [`tensor`](Self::tensor) and of `fill`.
    pub fn tensor_with<E: From<Error>>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { out, path, tensors, next, partial } = self;
        let bad = |what: String| Error::tensor(path, name, what);
        let size = match tensors.get(*next) {
            Some((expected, size)) if expected == name && !*partial => *size,
            Some((expected, _)) => return Err(bad(format!("not its turn, expected {expected}")).into()),
            None => return Err(bad("all declared tensors are written already".to_owned()).into()),
        };
        *partial = true;
        let mut left = size;
        fill(&mut |chunk| {
            left = left
                .checked_sub(chunk.len())
                .ok_or_else(|| bad(format!("more data than the {size} bytes it was declared with")))?;
            out.write_all(chunk).map_err(Error::io(path, "write"))
        })?;
        if left != 0 {
            return Err(bad(format!("{} bytes of data, declared with {size}", size - left)).into());
        }
        *partial = false;
        *next += 1;
        Ok(())
    }

    /// Ends the file and gives back `out`, flushed.
    ///
    /// # Errors
    /// [`Error::Tensor`] where a declared tensor was not written; [`Error::Io`].
    pub fn finish(mut self) -> Result<W> {
        if let Some((name, _)) = self.tensors.get(self.next) {
            return Err(Error::tensor(&self.path, name, "declared, but not written"));
        }
        self.out.flush().map_err(Error::io(&self.path, "write"))?;
        Ok(self.out)
    }
}
