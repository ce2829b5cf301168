//! Recipes: a whole experiment in one file.
//!
//! A recipe (TOML) says what is asked of each stage: model, trim, data, fine-tune, evaluate, export. A stage is a command
//! line of the program, which runs it; this crate knows which there are ([`Recipe::stages`]), which of them are done
//! ([`State`]), and tells the story of all of them at the end ([`report`]). The keys of a recipe are the program's own
//! flags, which it describes ([`Program`]): a new flag is a key without further ado.

mod change;
mod digest;
mod draft;
mod error;
mod keys;
mod recipe;
pub mod report;
mod schema;
mod split;
mod stages;
mod state;
mod understand;

pub use change::{Change, all_changes};
pub use draft::{Draft, Examples};
pub use error::Error;
pub use keys::{Given, Key, Kind, Names, Program, Subcommand};
pub use recipe::Recipe;
pub use schema::schema;
pub use split::{Characters, PARTS, Part, PartRecord, SPLIT, SplitOptions, SplitRecord, split};
pub use stages::{How, Stage};
pub use state::{Record, STATE, Standing, State};
pub use t5kit_formats::toml::Place;
