//! From a model to a Hugging Face directory.

use std::path::{Path, PathBuf};

use t5kit_formats::safetensors::{Dtype, SafetensorsWriter};
use t5kit_tensor::DType;
use t5kit_tensor::kernels::Rows;

use crate::{Error, T5};

/// Writes `config.json`, `model.safetensors` (in the weights' storage types) and copies of `tokenizer_files` into a
/// folder that exists. Writing beside and renaming is the caller's: see [`t5kit_formats::output`].
pub fn save(model: &T5, tokenizer_files: &[PathBuf], folder: &Path) -> Result<(), Error> {
    model.config.write(&folder.join("config.json"))?;
    let dtype = |dtype| match dtype {
        DType::F32 => Dtype::F32,
        DType::Bf16 => Dtype::Bf16,
        DType::F16 => Dtype::F16,
    };
    let tensors: Vec<(String, Dtype, Vec<usize>)> =
        model.params.iter().map(|(_, name, w)| (name.to_string(), dtype(w.dtype()), w.shape().to_vec())).collect();
    let mut writer = SafetensorsWriter::create(&folder.join("model.safetensors"), &tensors)?;
    for (_, _, weight) in model.params.iter() {
        match weight.as_rows() {
            Rows::F32(x) => writer.write_f32(x)?,
            Rows::Bf16(x) | Rows::F16(x) => writer.write_u16(x)?,
        }
    }
    writer.finish()?;
    for file in tokenizer_files {
        let name = file.file_name().unwrap_or(file.as_os_str());
        let to = folder.join(name);
        std::fs::copy(file, &to).map_err(|source| Error::Io { path: file.clone(), source })?;
    }
    Ok(())
}
