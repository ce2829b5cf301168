//! Weights as files hold them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use t5kit_formats::Error;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_tensor::Rows;

/// Writes tensors `(name, shape, elements)` to a new safetensors file, in their storage types.
pub fn write_tensors(path: &Path, tensors: &[(String, &[usize], Rows<'_>)]) -> Result<(), Error> {
    let specs: Vec<TensorSpec> =
        tensors.iter().map(|(name, shape, rows)| TensorSpec::new(name, rows.dtype(), *shape)).collect();
    let file = File::create(path).map_err(Error::io(path, "create"))?;
    let mut writer = SafetensorsWriter::new(BufWriter::with_capacity(1 << 20, file), path, &specs, &[])?;
    for (name, _, rows) in tensors {
        // No value is beyond the type that it has.
        writer.tensor(name, rows.bytes(rows.dtype(), 1.0).map(Result::unwrap_or_default))?;
    }
    let file = writer.finish()?.into_inner().map_err(|e| Error::io(path, "write")(e.into_error()))?;
    file.sync_all().map_err(Error::io(path, "write"))
}
