//! Whether the values of a configuration can be those of a model.

use std::path::Path;

use super::{T5Architecture, T5Config};
use crate::error::{Error, Result};

impl T5Config {
    /// Checks every value by itself and against the others, so that no size of the model overflows and no
    /// operation divides by zero.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        self.validate_for(Path::new("(configuration)"))
    }

    /// The same, with the file's name in the error.
    pub(super) fn validate_for(&self, path: &Path) -> Result<()> {
        let check = |good: bool, field: &str, what: String| {
            if good {
                return Ok(());
            }
            Err(Error::Config { path: path.to_owned(), field: field.to_owned(), what })
        };
        let family = ["t5", "mt5", "umt5"].contains(&&*self.model_type);
        check(family, "model_type", format!("{:?} is not t5, mt5 or umt5", self.model_type))?;

        let (architecture, decoders) = (self.architecture, self.num_decoder_layers);
        let name = architecture.name();
        let what = format!("{}, and a {name} has no encoder; give 0", self.num_layers);
        check(!architecture.one_stack() || self.num_layers == 0, "num_layers", what)?;

        // Far above every model there is (the largest has 65,536, 24 and 250,112), far below overflow.
        for (field, value, max) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("d_model", self.d_model, 1 << 17),
            ("d_kv", self.d_kv, 1 << 14),
            ("d_ff", self.d_ff, 1 << 19),
            ("num_layers", if architecture.one_stack() { 1 } else { self.num_layers }, 1 << 10),
            ("num_decoder_layers", decoders, 1 << 10),
            ("num_heads", self.num_heads, 1 << 10),
            ("relative_attention_max_distance", self.relative_attention_max_distance, 1 << 24),
        ] {
            check((1..=max).contains(&value), field, format!("{value} is not between 1 and {max}"))?;
        }
        let what = format!("{}, and num_decoder_layers {decoders}; {name} ones are as many", self.num_layers);
        check(architecture != T5Architecture::Shared || self.num_layers == decoders, "num_layers", what)?;
        let crossless = architecture.one_stack() && self.cross_attention_relative_bias;
        check(
            !crossless,
            "cross_attention_relative_bias",
            format!("a {name} has no cross-attention; leave it out"),
        )?;
        let buckets = self.relative_attention_num_buckets;
        let fits = (4..=1 << 16).contains(&buckets);
        check(fits, "relative_attention_num_buckets", format!("{buckets} is not between 4 and {}", 1 << 16))?;
        let distance = self.relative_attention_max_distance;
        check(
            distance > buckets / 2,
            "relative_attention_max_distance",
            format!("{distance} is not above half of relative_attention_num_buckets {buckets}"),
        )?;

        let dropout = self.dropout_rate;
        check((0.0..1.0).contains(&dropout), "dropout_rate", format!("{dropout} is not in [0, 1)"))?;
        let epsilon = self.layer_norm_epsilon;
        // The norm is computed in f32, where anything smaller is zero.
        let fits = epsilon >= f64::from(f32::MIN_POSITIVE) && epsilon < 1.0;
        check(fits, "layer_norm_epsilon", format!("{epsilon} is not a small positive number"))?;
        let factor = self.initializer_factor;
        let fits = (0.0..=1e6).contains(&factor);
        check(fits, "initializer_factor", format!("{factor} is not between 0 and a million"))?;

        let known = self.feed_forward().is_some();
        let act = self.dense_act_fn.as_deref();
        let what = match act {
            Some(act) => format!("{:?} with dense_act_fn {act:?}", self.feed_forward_proj),
            None => format!("{:?}", self.feed_forward_proj),
        };
        let what = format!("{what} is not known; relu, gelu, gelu_new, silu, or gated- and one of these are");
        check(known, "feed_forward_proj", what)?;

        let one = [
            ("pad_token_id", self.pad_token_id),
            ("eos_token_id", self.eos_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ];
        let more = self.more_eos_token_ids.iter().map(|&id| ("eos_token_id", id));
        for (field, id) in one.into_iter().chain(more) {
            let what = format!("{id} is not below vocab_size {}", self.vocab_size);
            check((id as usize) < self.vocab_size, field, what)?;
        }
        Ok(())
    }
}
