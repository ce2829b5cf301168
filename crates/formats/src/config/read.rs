//! From JSON in transformers' or in bert4keras's names.

use std::path::Path;

use serde_json::{Map, Value};

use super::architecture::FIELD;
use super::fields::Fields;
use super::{SaidIds, T5Architecture, T5Config, families};
use crate::error::Result;
use crate::json;

impl T5Config {
    /// Reads and checks the file at `path`, or `config.json` in the folder `path`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`] where it is not a JSON object, [`Error::Config`] naming the field
    /// that is missing or wrong.
    pub fn read(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::read(&path.join("config.json"));
        }
        Ok(Self::read_as(path)?.0)
    }

    /// The same for a file, and whether it has bert4keras's names.
    pub(super) fn read_as(path: &Path) -> Result<(Self, bool)> {
        let map: Map<String, Value> = json::read(path, "configuration")?;
        let keras = is_bert4keras(&map);
        Ok((Self::from_json(path, map)?, keras))
    }

    /// The configuration in a JSON object; `path` names its origin in errors. Names are transformers'; an
    /// object with `hidden_size` and without `d_model` is read in bert4keras's.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is missing or wrong.
    pub fn from_json(path: &Path, map: Map<String, Value>) -> Result<Self> {
        let mut f = Fields { path, map };
        families::check(&f)?;
        let config = if is_bert4keras(&f.map) { bert4keras(&mut f)? } else { transformers(&mut f)? };
        config.validate_for(path)?;
        Ok(Self { other: f.map, ..config })
    }
}

/// Whether a configuration is in bert4keras's names.
fn is_bert4keras(map: &Map<String, Value>) -> bool {
    let has = |field: &str| map.get(field).is_some_and(|v| !v.is_null());
    has("hidden_size") && !has("d_model")
}

/// transformers' names, and its defaults where a field may be absent.
fn transformers(f: &mut Fields) -> Result<T5Config> {
    let defaults = T5Config::default();
    let model_type = match f.take_text("model_type")? {
        Some(name) => name,
        // Old files have none; the class says it.
        None => from_architecture(f)?.to_owned(),
    };
    // The one default that differs: transformers builds its class from the file's other fields.
    let mt5 = model_type == "mt5";
    let architecture = architecture(f)?;
    let num_layers = match f.take_size("num_layers")? {
        None if architecture.one_stack() => 0,
        None => f.need_size("num_layers")?,
        Some(layers) => layers,
    };
    let num_decoder_layers = match architecture.one_stack() {
        true => f.need_size("num_decoder_layers")?,
        false => f.take_size("num_decoder_layers")?.unwrap_or(num_layers),
    };
    let feed_forward_proj = match f.take_text("feed_forward_proj")? {
        Some(name) => name,
        None if model_type == "t5" => "relu".to_owned(),
        None => "gated-gelu".to_owned(),
    };
    let ids = Ids::take(f)?;
    let config = T5Config {
        vocab_size: f.need_size("vocab_size")?,
        d_model: f.need_size("d_model")?,
        d_kv: f.need_size("d_kv")?,
        d_ff: f.need_size("d_ff")?,
        architecture,
        num_layers,
        num_decoder_layers,
        num_heads: f.need_size("num_heads")?,
        relative_attention_num_buckets: f
            .take_size("relative_attention_num_buckets")?
            .unwrap_or(defaults.relative_attention_num_buckets),
        relative_attention_max_distance: f
            .take_size("relative_attention_max_distance")?
            .unwrap_or(defaults.relative_attention_max_distance),
        dropout_rate: f.take_number("dropout_rate")?.unwrap_or(defaults.dropout_rate),
        layer_norm_epsilon: f.take_number("layer_norm_epsilon")?.unwrap_or(defaults.layer_norm_epsilon),
        initializer_factor: f.take_number("initializer_factor")?.unwrap_or(defaults.initializer_factor),
        dense_act_fn: f.take_text("dense_act_fn")?,
        tie_word_embeddings: f.take_bool("tie_word_embeddings")?.unwrap_or(!mt5),
        scale_decoder_outputs: f.take_bool("scale_decoder_outputs")?,
        cross_attention_relative_bias: f.take_bool("cross_attention_relative_bias")?.unwrap_or(false),
        pad_token_id: ids.pad(),
        eos_token_id: ids.eos.unwrap_or(1),
        decoder_start_token_id: ids.start.unwrap_or(ids.pad()),
        said: ids.said(),
        more_eos_token_ids: ids.more_eos,
        model_type,
        feed_forward_proj,
        other: Map::new(),
    };
    if let (Some(gated), Some(kind)) = (f.take_bool("is_gated_act")?, config.feed_forward())
        && gated != kind.gated
    {
        let what = format!("{gated} contradicts feed_forward_proj {}", config.feed_forward_proj);
        return Err(f.error("is_gated_act", what));
    }
    Ok(config)
}

/// The architecture that a file says; T5's own where it says none.
fn architecture(f: &mut Fields) -> Result<T5Architecture> {
    let Some(name) = f.take_text(FIELD)? else { return Ok(T5Architecture::default()) };
    T5Architecture::from_name(&name).ok_or_else(|| f.error(FIELD, T5Architecture::unknown(&name)))
}

/// The special ids that a file says.
struct Ids {
    pad: Option<u32>,
    eos: Option<u32>,
    /// Others that end a text too.
    more_eos: Vec<u32>,
    start: Option<u32>,
}

impl Ids {
    fn take(f: &mut Fields) -> Result<Self> {
        let pad = f.take_only_id("pad_token_id")?;
        let (eos, more_eos) = f.take_ids("eos_token_id")?.unzip();
        let start = f.take_only_id("decoder_start_token_id")?;
        Ok(Self { pad, eos, more_eos: more_eos.unwrap_or_default(), start })
    }

    /// The padding; T5's where nothing is said.
    fn pad(&self) -> u32 {
        self.pad.unwrap_or(0)
    }

    fn said(&self) -> SaidIds {
        SaidIds {
            pad_token_id: self.pad.is_some(),
            eos_token_id: self.eos.is_some(),
            decoder_start_token_id: self.start.is_some(),
        }
    }
}

/// The model type that belongs to the first class in `architectures`.
fn from_architecture(f: &Fields) -> Result<&'static str> {
    let class = f.map.get("architectures").and_then(|v| v.get(0)).and_then(Value::as_str).unwrap_or("");
    match class {
        c if c.starts_with("T5") => Ok("t5"),
        c if c.starts_with("MT5") => Ok("mt5"),
        c if c.starts_with("UMT5") => Ok("umt5"),
        _ => Err(f.error("model_type", "missing; give t5, mt5 or umt5")),
    }
}

/// bert4keras's names. Its files do not name the family: two activations, of which the second is
/// `linear`, are the gated layer of T5 1.1 and mT5, whose softmax is separate; one is T5 1.0.
fn bert4keras(f: &mut Fields) -> Result<T5Config> {
    let defaults = T5Config::default();
    let acts = match f.take("hidden_act") {
        None => vec![Value::from("relu")],
        Some(Value::Array(acts)) => acts,
        Some(act) => vec![act],
    };
    let acts: Option<Vec<&str>> = acts.iter().map(Value::as_str).collect();
    let feed_forward_proj = match acts.as_deref() {
        Some([act, "linear"]) => format!("gated-{act}"),
        // The approximation, as T5 has it everywhere; plain "gelu" is the other one in transformers.
        Some(["gelu"]) => "gelu_new".to_owned(),
        Some([act]) if *act != "linear" => (*act).to_owned(),
        _ => return Err(f.error("hidden_act", "give one activation, or one and \"linear\"")),
    };
    let gated = feed_forward_proj.starts_with("gated-");
    let num_layers = f.need_size("num_hidden_layers")?;
    let d_model = f.need_size("hidden_size")?;
    let num_heads = f.need_size("num_attention_heads")?;
    let d_kv = match f.take_size("attention_head_size")? {
        Some(n) => n,
        None if num_heads > 0 && d_model % num_heads == 0 => d_model / num_heads,
        None => {
            return Err(f.error(
                "attention_head_size",
                "missing, and num_attention_heads does not divide hidden_size",
            ));
        }
    };
    // Of no use here, and not transformers' to be written back.
    for field in ["attention_probs_dropout_prob", "initializer_range"] {
        f.take(field);
    }
    let ids = Ids::take(f)?;
    let vocab_size = f.need_size("vocab_size")?;
    let tied = f.take_bool("tie_word_embeddings")?.unwrap_or(!gated);
    Ok(T5Config {
        model_type: super::family_of(vocab_size, gated, tied).to_owned(),
        vocab_size,
        d_model,
        d_kv,
        d_ff: f.need_size("intermediate_size")?,
        num_layers,
        num_decoder_layers: f.take_size("num_decoder_layers")?.unwrap_or(num_layers),
        num_heads,
        relative_attention_num_buckets: f
            .take_size("relative_attention_num_buckets")?
            .unwrap_or(defaults.relative_attention_num_buckets),
        relative_attention_max_distance: f
            .take_size("relative_attention_max_distance")?
            .unwrap_or(defaults.relative_attention_max_distance),
        dropout_rate: f
            .take_number("hidden_dropout_prob")?
            .or(f.take_number("dropout_rate")?)
            .unwrap_or(defaults.dropout_rate),
        feed_forward_proj,
        tie_word_embeddings: tied,
        scale_decoder_outputs: f.take_bool("scale_decoder_outputs")?,
        cross_attention_relative_bias: f.take_bool("cross_attention_relative_bias")?.unwrap_or(false),
        pad_token_id: ids.pad(),
        eos_token_id: ids.eos.unwrap_or(1),
        decoder_start_token_id: ids.start.unwrap_or(ids.pad()),
        said: ids.said(),
        ..defaults
    })
}
