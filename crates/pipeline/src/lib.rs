//! A model, its tokenizer and its defaults, opened from what a person names; text in, text out.
//!
//! ```no_run
//! use t5kit_pipeline::{OpenOptions, Pipeline, Wishes};
//!
//! # fn main() -> Result<(), t5kit_pipeline::Error> {
//! // A folder, a training run, a TensorFlow checkpoint, a file of weights, or a name on the hub.
//! let titles = Pipeline::open(OpenOptions::new("runs/titles"))?;
//! // What nobody wishes is as the model's files say, else the program's default.
//! let settled = titles.settle(&Wishes { num_beams: Some(4), ..Wishes::default() })?;
//! let (outputs, _) = titles.generate(&["本文研究了……"], 512, &settled.options)?;
//! println!("{}", outputs[0][0].text);
//! # Ok(()) }
//! ```
//!
//! [`Prepared`] is the same model before its weights are read: to look at it, to convert it. [`files`] writes the small
//! files that every model folder needs beside its weights.

mod add_tokens;
mod constrain;
mod error;
pub mod files;
mod form;
mod ids;
mod lengths;
mod open;
mod pipeline;
mod spelling;
mod wishes;

pub use constrain::Constrain;
pub use error::Error;
pub use form::{Form, FormWishes};
pub use ids::settle_ids;
pub use lengths::{Encoder, OnLong};
pub use open::{Converted, OpenOptions, Prepared, locate, locate_tokenizer};
pub use pipeline::{Output, Pipeline};
pub use spelling::Spelling;
pub use t5kit_generate::{EarlyStopping, GenerateOptions, LengthNormalization};
pub use t5kit_model::{Allow, LoadOptions};
pub use wishes::{Defaults, Note, Settled, Wishes, named_options};
