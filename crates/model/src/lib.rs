//! Models: configurations, weights by name, and the networks that training, scoring and generation share
//! ([`Seq2Seq`]).

mod architecture;
mod batch;
pub mod bert;
mod cache;
mod config;
mod convert;
mod cut;
mod error;
pub mod floor;
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
mod seq2seq;
mod store;
pub mod t5;
mod trainable;

pub use architecture::{Architecture, ParamKind, Part, Portable, Slot, Table, VocabularyNames};
pub use batch::{Batch, BatchError};
pub use bert::Bert;
pub use cache::Cache;
pub use config::{Config, Model};
pub use convert::{ConvertOptions, convert};
pub use cut::{Sizes, Uncut};
pub use error::Error;
pub use folder::model_folder;
pub use inventory::{Inventory, PartSize};
pub use load::load;
pub use lora::{Adapted, LORA_TARGETS, lora_modules, open_adapter, save_adapter};
pub use options::{Allow, LoadOptions};
pub use plan::{Entry, Plan};
pub use save::save;
pub use seq2seq::{Seq2Seq, Softmax, SpecialIds};
pub use store::write_tensors;
pub use t5::T5;
pub use t5kit_formats::config::{BertConfig, T5Config};
pub use t5kit_formats::peft::{LoraConfig, LoraFile};
pub use trainable::Trainable;
