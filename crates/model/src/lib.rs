//! Models: configurations, weights by name, and the T5 network that training, scoring and generation share.

mod architecture;
mod convert;
mod cut;
mod error;
mod folder;
mod init;
mod inventory;
mod load;
mod lora;
pub mod memory;
mod options;
mod plan;
pub mod problems;
mod reader;
mod save;
mod store;

pub mod t5;

pub use architecture::{Architecture, ParamKind, Part, Portable, Slot, VocabularyNames};
pub use convert::{ConvertOptions, convert};
pub use cut::{Sizes, Uncut};
pub use error::Error;
pub use folder::model_folder;
pub use inventory::{Inventory, PartSize};
pub use load::load;
pub use lora::{LORA_TARGETS, lora_modules, open_adapter, save_adapter};
pub use options::{Allow, LoadOptions};
pub use plan::{Entry, Plan};
pub use save::save;
pub use store::write_tensors;
pub use t5::{DecoderCache, T5};
pub use t5kit_formats::config::T5Config;
pub use t5kit_formats::peft::{LoraConfig, LoraFile};
