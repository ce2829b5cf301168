//! Weights as files hold them.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use t5kit_formats::Dtype;
use t5kit_formats::Error;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_tensor::kernels::Rows;

/// Elements converted to bytes at a time.
const CHUNK: usize = 64 << 10;

/// Writes tensors `(name, shape, elements)` to a new safetensors file, in their storage types.
pub fn write_tensors(path: &Path, tensors: &[(String, &[usize], Rows<'_>)]) -> Result<(), Error> {
    let dtype = |rows: &Rows<'_>| match rows {
        Rows::F32(_) => Dtype::F32,
        Rows::Bf16(_) => Dtype::Bf16,
        Rows::F16(_) => Dtype::F16,
    };
    let specs: Vec<TensorSpec> =
        tensors.iter().map(|(name, shape, rows)| TensorSpec::new(name, dtype(rows), *shape)).collect();
    let file = File::create(path).map_err(Error::io(path, "create"))?;
    let mut writer = SafetensorsWriter::new(BufWriter::with_capacity(1 << 20, file), path, &specs, &[])?;
    for (name, _, rows) in tensors {
        match *rows {
            Rows::F32(x) => writer.tensor(name, x.chunks(CHUNK).map(|c| le_bytes(c, f32::to_le_bytes)))?,
            Rows::Bf16(x) | Rows::F16(x) => {
                writer.tensor(name, x.chunks(CHUNK).map(|c| le_bytes(c, u16::to_le_bytes)))?;
            }
        }
    }
    let file = writer.finish()?.into_inner().map_err(|e| Error::io(path, "write")(e.into_error()))?;
    file.sync_all().map_err(Error::io(path, "write"))
}

fn le_bytes<T: Copy, const N: usize>(x: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    x.iter().flat_map(|&x| bytes(x)).collect()
}
