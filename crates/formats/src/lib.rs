//! Files in and out, no arithmetic: safetensors, spiece.model, config.json.

pub mod table;
pub mod spiece;
mod wire;
