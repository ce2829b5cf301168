//! Files in and out, no arithmetic: checkpoints of safetensors, PyTorch, TensorFlow and GGUF, spiece.model, config.json.

pub mod added_tokens;
mod bytes;
pub mod checkpoint;
pub mod config;
pub mod encoding;
pub mod error;
pub mod foreign;
pub mod generation_config;
pub mod gguf;
mod hdf5;
pub mod html;
pub mod hub;
pub mod json;
pub mod keep_tokens;
pub mod keras;
mod keras_bert;
pub mod lang;
pub mod output;
pub mod peft;
pub mod progress;
pub mod pytorch;
mod renamed;
pub mod safetensors;
pub mod scratch;
pub mod spiece;
pub mod table;
pub mod tensorflow;
pub mod tfevents;
pub mod tokenizer_json;
pub mod trained;
mod wire;

pub use self::bytes::TensorBytes;
pub use self::checkpoint::Checkpoint;
pub use self::config::T5Config;
pub use self::error::{Error, Result};
pub use t5kit_dtype::DType;
