//! Which parameters a configuration asks for: the one list that loading, initialising, inspecting and saving use.

use t5kit_formats::config::T5Config;

use super::Side;

/// Which part of a model a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The embedding matrix.
    Embeddings,
    /// Encoder layers.
    Encoder,
    /// Decoder layers.
    Decoder,
    /// A softmax matrix of its own.
    Softmax,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 4] = [Part::Embeddings, Part::Encoder, Part::Decoder, Part::Softmax];

    /// The name in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Part::Embeddings => "embeddings",
            Part::Encoder => "encoder",
            Part::Decoder => "decoder",
            Part::Softmax => "softmax",
        }
    }
}

/// One parameter that a model of a configuration has.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name in Hugging Face's checkpoints.
    pub name: String,
    /// Its shape: [out, in] for linear layers.
    pub shape: Vec<usize>,
    /// Where it belongs.
    pub part: Part,
    /// Standard deviation at initialisation; `None` for norms, which begin at 1.
    pub std: Option<f64>,
}

impl Slot {
    /// Whether it has a row for each entry of the vocabulary.
    pub fn is_vocabulary(&self) -> bool {
        matches!(self.part, Part::Embeddings | Part::Softmax)
    }
}

/// All parameters of a configuration, in the order that checkpoints list them.
///
/// Standard deviations are those of mesh-tensorflow and transformers (`T5PreTrainedModel._init_weights`), but for
/// the separate softmax matrix: its 1.0 there is meant for checkpoints about to be loaded and would begin a training
/// from nothing at a loss of dozens; here it is d_model^-0.5, which begins at the logarithm of the vocabulary.
pub fn layout(config: &T5Config) -> Vec<Slot> {
    let (d, ff, rows) = (config.d_model, config.d_ff, config.vocab_size);
    let inner = config.inner_dim();
    let gated = config.feed_forward().is_some_and(|f| f.gated);
    let power = |n: usize| (n as f64).powf(-0.5) * config.initializer_factor;
    let mut slots = Vec::new();
    let mut add = |name: String, shape: &[usize], part: Part, std: Option<f64>| {
        slots.push(Slot { name, shape: shape.to_vec(), part, std });
    };
    add("shared.weight".into(), &[rows, d], Part::Embeddings, Some(config.initializer_factor));
    for side in [Side::Encoder, Side::Decoder] {
        let prefix = side.name();
        let part = if side == Side::Encoder { Part::Encoder } else { Part::Decoder };
        for i in 0..side.layers(config) {
            let block = format!("{prefix}.block.{i}.layer");
            let attentions: &[&str] = match side {
                Side::Encoder => &["SelfAttention"],
                Side::Decoder => &["SelfAttention", "EncDecAttention"],
            };
            for (at, attention) in attentions.iter().enumerate() {
                let name = format!("{block}.{at}.{attention}");
                add(format!("{name}.q.weight"), &[inner, d], part, Some(power(d * config.d_kv)));
                add(format!("{name}.k.weight"), &[inner, d], part, Some(power(d)));
                add(format!("{name}.v.weight"), &[inner, d], part, Some(power(d)));
                add(format!("{name}.o.weight"), &[d, inner], part, Some(power(inner)));
                if at == 0 && (i == 0 || config.bias_in_every_layer()) {
                    let shape = [config.relative_attention_num_buckets, config.num_heads];
                    add(format!("{name}.relative_attention_bias.weight"), &shape, part, Some(power(d)));
                }
                add(format!("{block}.{at}.layer_norm.weight"), &[d], part, None);
            }
            let at = attentions.len();
            let name = format!("{block}.{at}.DenseReluDense");
            let wi: &[&str] = if gated { &["wi_0", "wi_1"] } else { &["wi"] };
            for wi in wi {
                add(format!("{name}.{wi}.weight"), &[ff, d], part, Some(power(d)));
            }
            add(format!("{name}.wo.weight"), &[d, ff], part, Some(power(ff)));
            add(format!("{block}.{at}.layer_norm.weight"), &[d], part, None);
        }
        add(format!("{prefix}.final_layer_norm.weight"), &[d], part, None);
    }
    if !config.tie_word_embeddings {
        add("lm_head.weight".into(), &[rows, d], Part::Softmax, Some(power(d)));
    }
    slots
}
