//! `config.json` or `bert_config.json` of a model of BERT's family: BERT and RoBERTa-wwm, NEZHA, RoFormer.
//!
//! [`BertConfig`] has the fields of transformers' `BertConfig`, `NezhaConfig` and `RoFormerConfig`; Google's
//! `bert_config.json` has the same names. What else stands in a file is kept and written back.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Activation, Fields, families};
use crate::error::{Error, Result};
use crate::json;
use crate::output::AtomicFile;

/// Where a model of BERT's family gets positions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learnt embedding of each position (Devlin et al. 2019).
    Learnt,
    /// Sinusoids of the distance of two positions, in keys and values (Wei et al. 2019: NEZHA).
    Relative,
    /// Queries and keys are turned by their positions (Su et al. 2021: RoFormer).
    Rotary,
}

/// A model of BERT's family: its sizes and what sets it apart from its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct BertConfig {
    /// `bert`, `nezha` or `roformer`.
    pub model_type: String,
    /// Rows of the embedding matrix.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width of the embeddings, where it is another (RoFormer's small models).
    pub embedding_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they divide `hidden_size`.
    pub num_attention_heads: usize,
    /// Inner width of the feed-forward layers.
    pub intermediate_size: usize,
    /// The activation of the feed-forward layers and of the transform before the softmax.
    pub hidden_act: String,
    /// Positions that the model can tell apart. More than its table has rows: see
    /// [`Self::position_rows`].
    pub max_position_embeddings: usize,
    /// Rows of the table of positions as the checkpoint has it, where `max_position_embeddings` was raised above it.
    pub position_rows: Option<usize>,
    /// Segments: source and target.
    pub type_vocab_size: usize,
    /// NEZHA: the distance from which on all positions are the same.
    pub max_relative_position: usize,
    /// RoFormer: whether values are turned too.
    pub rotary_value: bool,
    /// Epsilon of the layer norms.
    pub layer_norm_eps: f64,
    /// Standard deviation of random initial weights.
    pub initializer_range: f64,
    /// Probability of dropping a hidden state in training.
    pub hidden_dropout_prob: f64,
    /// Probability of dropping what a query looks at.
    pub attention_probs_dropout_prob: f64,
    /// Whether the softmax's matrix is that of the embeddings.
    pub tie_word_embeddings: bool,
    /// Id of padding.
    pub pad_token_id: u32,
    /// Id of `[CLS]`, which begins a source; no file says it, the tokenizer does.
    pub cls_token_id: u32,
    /// Id of `[SEP]`, which ends source and target; no file says it, the tokenizer does.
    pub sep_token_id: u32,
    /// All other fields of the file, in their order.
    pub other: Map<String, Value>,
}

/// BERT base, Chinese.
impl Default for BertConfig {
    fn default() -> Self {
        Self {
            model_type: "bert".to_owned(),
            vocab_size: 21_128,
            hidden_size: 768,
            embedding_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".to_owned(),
            max_position_embeddings: 512,
            position_rows: None,
            type_vocab_size: 2,
            max_relative_position: 64,
            rotary_value: false,
            layer_norm_eps: 1e-12,
            initializer_range: 0.02,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            tie_word_embeddings: true,
            pad_token_id: 0,
            cls_token_id: 101,
            sep_token_id: 102,
            other: Map::new(),
        }
    }
}

/// Whether a configuration is one of BERT's family and not of T5's: by the type it names, else by the positions and
/// segments that a T5 in bert4keras's names has not.
pub fn is_bert(map: &Map<String, Value>) -> bool {
    match map.get("model_type").and_then(Value::as_str) {
        Some(name) => ["bert", "nezha", "roformer"].contains(&name),
        None => {
            let has = |field: &str| map.get(field).is_some_and(|value| !value.is_null());
            has("hidden_size")
                && !has("d_model")
                && (has("type_vocab_size") || has("max_position_embeddings"))
        }
    }
}

impl BertConfig {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Malformed`] where it is not a JSON object, [`Error::Config`] naming the field
    /// that is missing or wrong.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_json(path, json::read(path, "configuration")?)
    }

    /// The configuration in a JSON object; `path` names its origin in errors.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field that is missing or wrong.
    pub fn from_json(path: &Path, map: Map<String, Value>) -> Result<Self> {
        let mut f = Fields { path, map };
        let d = BertConfig::default();
        let model_type = match f.take_text("model_type")? {
            Some(name) => name,
            None => by_fields(&f.map).to_owned(),
        };
        refuse_relatives(&f, &model_type)?;
        let hidden_size = f.need_size("hidden_size")?;
        let config = BertConfig {
            vocab_size: f.need_size("vocab_size")?,
            embedding_size: f.take_size("embedding_size")?.unwrap_or(hidden_size),
            num_hidden_layers: f.need_size("num_hidden_layers")?,
            num_attention_heads: f.need_size("num_attention_heads")?,
            intermediate_size: f.need_size("intermediate_size")?,
            hidden_act: f.take_text("hidden_act")?.unwrap_or(d.hidden_act),
            max_position_embeddings: f
                .take_size("max_position_embeddings")?
                .unwrap_or(d.max_position_embeddings),
            position_rows: f.take_size("position_rows")?,
            type_vocab_size: f.take_size("type_vocab_size")?.unwrap_or(d.type_vocab_size),
            max_relative_position: f.take_size("max_relative_position")?.unwrap_or(d.max_relative_position),
            rotary_value: f.take_bool("rotary_value")?.unwrap_or(false),
            layer_norm_eps: f.take_number("layer_norm_eps")?.unwrap_or(d.layer_norm_eps),
            initializer_range: f.take_number("initializer_range")?.unwrap_or(d.initializer_range),
            hidden_dropout_prob: f.take_number("hidden_dropout_prob")?.unwrap_or(d.hidden_dropout_prob),
            attention_probs_dropout_prob: f
                .take_number("attention_probs_dropout_prob")?
                .unwrap_or(d.attention_probs_dropout_prob),
            tie_word_embeddings: f.take_bool("tie_word_embeddings")?.unwrap_or(true),
            pad_token_id: f.take_id("pad_token_id")?.unwrap_or(0),
            cls_token_id: d.cls_token_id,
            sep_token_id: d.sep_token_id,
            hidden_size,
            model_type,
            other: Map::new(),
        };
        config.validate_for(path)?;
        Ok(Self { other: f.map, ..config })
    }

    /// Lets a model with learnt positions tell `positions` of them apart: what is beyond the rows of its table is
    /// composed of those rows (see [`Self::position_rows`]). Fewer than there are leave it as it is.
    ///
    /// # Errors
    /// [`Error::Config`] for a model without a table, and for more than the square of its rows.
    pub fn raise_positions(&mut self, positions: usize) -> Result<()> {
        let path = Path::new("(configuration)");
        let error = |what: String| Error::Config {
            path: path.to_owned(),
            field: "max_position_embeddings".to_owned(),
            what,
        };
        if self.positions() != Positions::Learnt {
            let what =
                "this model has no table of positions and needs none raised; leave `max_positions` out";
            return Err(error(what.to_owned()));
        }
        if positions > self.max_position_embeddings {
            let rows = self.position_rows.unwrap_or(self.max_position_embeddings);
            if positions > rows.saturating_mul(rows) {
                let most = rows.saturating_mul(rows);
                return Err(error(format!(
                    "{positions} positions; of {rows} rows at most {most} can be composed"
                )));
            }
            self.position_rows = Some(rows);
            self.max_position_embeddings = positions;
        }
        self.validate_for(path)
    }

    /// How many tokens source and target together may have; `None` where positions have no table.
    pub fn most_tokens(&self) -> Option<usize> {
        (self.positions() == Positions::Learnt).then_some(self.max_position_embeddings)
    }

    /// Where positions come from.
    pub fn positions(&self) -> Positions {
        match &*self.model_type {
            "nezha" => Positions::Relative,
            "roformer" => Positions::Rotary,
            _ => Positions::Learnt,
        }
    }

    /// The activation; `None` where it is none that is known here.
    pub fn activation(&self) -> Option<Activation> {
        match &*self.hidden_act {
            "gelu" => Some(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Activation::GeluNew),
            "relu" => Some(Activation::Relu),
            "silu" | "swish" => Some(Activation::Silu),
            _ => None,
        }
    }

    /// The configuration as transformers writes it, the fields that are not ours at the end.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |field: &str, value: Value| map.insert(field.to_owned(), value);
        let class = match self.positions() {
            Positions::Learnt => "BertForMaskedLM",
            Positions::Relative => "NezhaForMaskedLM",
            Positions::Rotary => "RoFormerForMaskedLM",
        };
        put("architectures", json!([class]));
        put("model_type", json!(self.model_type));
        put("vocab_size", json!(self.vocab_size));
        put("hidden_size", json!(self.hidden_size));
        put("num_hidden_layers", json!(self.num_hidden_layers));
        put("num_attention_heads", json!(self.num_attention_heads));
        put("intermediate_size", json!(self.intermediate_size));
        put("hidden_act", json!(self.hidden_act));
        put("max_position_embeddings", json!(self.max_position_embeddings));
        if let Some(rows) = self.position_rows {
            put("position_rows", json!(rows));
        }
        put("type_vocab_size", json!(self.type_vocab_size));
        put("layer_norm_eps", json!(self.layer_norm_eps));
        put("initializer_range", json!(self.initializer_range));
        put("hidden_dropout_prob", json!(self.hidden_dropout_prob));
        put("attention_probs_dropout_prob", json!(self.attention_probs_dropout_prob));
        put("tie_word_embeddings", json!(self.tie_word_embeddings));
        put("pad_token_id", json!(self.pad_token_id));
        match self.positions() {
            Positions::Learnt => {}
            Positions::Relative => _ = put("max_relative_position", json!(self.max_relative_position)),
            Positions::Rotary => {
                put("embedding_size", json!(self.embedding_size));
                put("rotary_value", json!(self.rotary_value));
            }
        }
        for (field, value) in &self.other {
            map.entry(field.clone()).or_insert_with(|| value.clone());
        }
        map
    }

    /// Writes the configuration to `path`, complete or not at all. Nothing is replaced without `force`.
    ///
    /// # Errors
    /// [`Error::Config`] where a value is not valid, and those of [`AtomicFile`].
    pub fn write(&self, path: &Path, force: bool) -> Result<()> {
        self.validate_for(path)?;
        let mut file = AtomicFile::create(path, force)?;
        serde_json::to_writer_pretty(&mut file, &self.to_json())
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(Error::io(path, "write"))?;
        file.commit()
    }

    /// Checks every value by itself and against the others.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        self.validate_for(Path::new("(configuration)"))
    }

    fn validate_for(&self, path: &Path) -> Result<()> {
        let check = |good: bool, field: &str, what: String| {
            if good {
                return Ok(());
            }
            Err(Error::Config { path: path.to_owned(), field: field.to_owned(), what })
        };
        let known = ["bert", "nezha", "roformer"].contains(&&*self.model_type);
        let what = match &*self.model_type {
            t5 @ ("t5" | "mt5" | "umt5") => format!("{t5:?}, beside weights of BERT's kind"),
            other => families::unknown(other),
        };
        check(known, "model_type", what)?;
        for (field, value, max) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, 1 << 17),
            ("embedding_size", self.embedding_size, 1 << 17),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            ("intermediate_size", self.intermediate_size, 1 << 19),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 18),
            ("type_vocab_size", self.type_vocab_size, 1 << 10),
            ("max_relative_position", self.max_relative_position, 1 << 14),
        ] {
            check((1..=max).contains(&value), field, format!("{value} is not between 1 and {max}"))?;
        }
        let (heads, width) = (self.num_attention_heads, self.hidden_size);
        check(
            width.is_multiple_of(heads),
            "num_attention_heads",
            format!("{heads} does not divide hidden_size {width}"),
        )?;
        if self.positions() == Positions::Rotary {
            let even = (width / heads).is_multiple_of(2);
            check(
                even,
                "hidden_size",
                format!("heads of {} features cannot be turned in pairs", width / heads),
            )?;
        } else {
            let what = format!("{} is not hidden_size {width}; RoFormer alone has both", self.embedding_size);
            check(self.embedding_size == width, "embedding_size", what)?;
        }
        if let Some(rows) = self.position_rows {
            let positions = self.max_position_embeddings;
            let fits = rows <= positions && positions <= rows.saturating_mul(rows);
            let what = format!("{rows} rows cannot make max_position_embeddings {positions}");
            check(fits && self.positions() == Positions::Learnt, "position_rows", what)?;
        }
        let what = "2 are needed, of the source and of the target".to_owned();
        check(self.type_vocab_size >= 2, "type_vocab_size", what)?;
        for (field, value) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            check((0.0..1.0).contains(&value), field, format!("{value} is not in [0, 1)"))?;
        }
        let epsilon = self.layer_norm_eps;
        let fits = epsilon >= f64::from(f32::MIN_POSITIVE) && epsilon < 1.0;
        check(fits, "layer_norm_eps", format!("{epsilon} is not a small positive number"))?;
        let range = self.initializer_range;
        check((0.0..=1e6).contains(&range), "initializer_range", format!("{range} is not in [0, 1000000]"))?;
        let what = format!("{:?} is not known; gelu, gelu_new, relu and silu are", self.hidden_act);
        check(self.activation().is_some(), "hidden_act", what)?;
        let what = format!("{} is not below vocab_size {}", self.pad_token_id, self.vocab_size);
        check((self.pad_token_id as usize) < self.vocab_size, "pad_token_id", what)
    }
}

/// Refuses what calls itself as a family that is read and is another: by fields that only the other has.
fn refuse_relatives(f: &Fields, model_type: &str) -> Result<()> {
    let text = |field: &str| f.map.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = text("position_embedding_type");
    if !kind.is_empty() && kind != "absolute" {
        let what = format!("{kind:?} is not read, only \"absolute\"");
        return Err(f.error("position_embedding_type", what));
    }
    for (field, what) in [
        (
            "num_hidden_groups",
            "the configuration of an ALBERT, whose layers share their weights, which is not read",
        ),
        ("pos_att_type", "the configuration of a DeBERTa, whose attention is another, which is not read"),
    ] {
        if f.has(field) {
            return Err(f.error(field, what));
        }
    }
    if model_type == "roformer" && text("pooler_activation") == "linear" {
        let what = "the configuration of a RoFormer-sim, which was trained to embed sentences and is not read; take the \
                    RoFormer that it began as";
        return Err(f.error("pooler_activation", what));
    }
    if model_type == "roformer" && text("norm_type").starts_with("rms") {
        return Err(f.error(
            "norm_type",
            "the configuration of a RoFormer V2, whose norms are others, which is not read",
        ));
    }
    Ok(())
}

/// The model type of a file that does not name it, by fields that one of them alone has.
pub(super) fn by_fields(map: &Map<String, Value>) -> &'static str {
    let class = map.get("architectures").and_then(|v| v.get(0)).and_then(Value::as_str).unwrap_or("");
    let says = |field: &str| map.get(field).and_then(Value::as_bool) == Some(true);
    if class.starts_with("Nezha")
        || map.contains_key("max_relative_position")
        || says("use_relative_position")
    {
        "nezha"
    } else if class.starts_with("RoFormer") || map.contains_key("rotary_value") {
        "roformer"
    } else {
        "bert"
    }
}
