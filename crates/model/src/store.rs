//! Weights as files hold them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use t5kit_formats::Error;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_tensor::{DType, Rows};

/// Takes the next bytes of a tensor.
pub(crate) type Put<'a> = dyn FnMut(&[u8]) -> Result<(), Error> + 'a;

/// Writes a new safetensors file and brings it to the disk: `fill` gives the bytes of each tensor, by its number.
///
/// # Errors
/// Those of writing and of `fill`; a file that is there is not written over.
pub(crate) fn write_file<E: From<Error>>(
    path: &Path,
    specs: &[TensorSpec],
    mut fill: impl FnMut(usize, &mut Put<'_>) -> Result<(), E>,
) -> Result<(), E> {
    // It may be the file that is being read.
    let file = File::create_new(path).map_err(Error::io(path, "create"))?;
    let mut writer = SafetensorsWriter::new(BufWriter::with_capacity(1 << 20, file), path, specs, &[])?;
    for (number, spec) in specs.iter().enumerate() {
        writer.tensor_with(&spec.name, |put| fill(number, put))?;
    }
    let file = writer.finish()?.into_inner().map_err(|e| Error::io(path, "write")(e.into_error()))?;
    file.sync_all().map_err(Error::io(path, "write to the disk"))?;
    Ok(())
}

/// Writes tensors `(name, shape, elements)` to a new safetensors file, in their storage types; whole numbers in f32.
///
/// # Errors
/// Those of writing.
pub fn write_tensors(path: &Path, tensors: &[(String, &[usize], Rows<'_>)]) -> Result<(), Error> {
    let specs: Vec<TensorSpec> =
        tensors.iter().map(|(name, shape, rows)| TensorSpec::new(name, stored(rows), *shape)).collect();
    write_file(path, &specs, |number, put| {
        let rows = tensors[number].2;
        // No value is beyond the type that it has.
        rows.bytes(stored(&rows), 1.0).try_for_each(|bytes| put(&bytes.unwrap_or_default()))
    })
}

/// The type that rows are written in as they stand: those in int8 would need their scales beside them.
fn stored(rows: &Rows<'_>) -> DType {
    match rows.dtype() {
        DType::I8 | DType::I4 => DType::F32,
        dtype => dtype,
    }
}
