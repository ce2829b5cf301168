//! Which parameters a configuration asks for: the one list that loading, initialising, inspecting and saving use.

use t5kit_formats::config::{T5Architecture, T5Config};

use super::Side;
use crate::architecture::{ParamKind, Part, Slot};

/// All parameters of a configuration, in the order that checkpoints list them. What encoder and decoder share has the
/// decoder's names; a stack that is all there is is a decoder without cross-attention.
///
/// Standard deviations are those of mesh-tensorflow and transformers (`T5PreTrainedModel._init_weights`), but for
/// the separate softmax matrix: its 1.0 there is meant for checkpoints about to be loaded and would begin a training
/// from nothing at a loss of dozens; here it is d_model^-0.5, which begins at the logarithm of the vocabulary.
pub fn layout(config: &T5Config) -> Vec<Slot> {
    use ParamKind::{Embedding, Linear, Norm};
    let (d, ff, rows) = (config.d_model, config.d_ff, config.vocab_size);
    let inner = config.inner_dim();
    let gated = config.feed_forward().is_some_and(|f| f.gated);
    let power = |n: usize| (n as f64).powf(-0.5) * config.initializer_factor;
    let mut slots = Vec::new();
    let mut add = |name: String, shape: &[usize], kind: ParamKind, part: Part, std: Option<f64>| {
        let is_vocabulary = matches!(part, Part::Embeddings | Part::Softmax);
        slots.push(Slot { name, shape: shape.to_vec(), kind, part, is_vocabulary, std });
    };
    add("shared.weight".into(), &[rows, d], Embedding, Part::Embeddings, Some(config.initializer_factor));
    let sides: &[Side] = match config.architecture {
        T5Architecture::EncoderDecoder => &[Side::Encoder, Side::Decoder],
        _ => &[Side::Decoder],
    };
    for &side in sides {
        let prefix = side.name();
        let part = if side == Side::Encoder { Part::Encoder } else { Part::Decoder };
        for i in 0..side.layers(config) {
            let block = format!("{prefix}.block.{i}.layer");
            let attentions: &[&str] = match side.crosses(config) {
                false => &["SelfAttention"],
                true => &["SelfAttention", "EncDecAttention"],
            };
            for (at, attention) in attentions.iter().enumerate() {
                let name = format!("{block}.{at}.{attention}");
                add(format!("{name}.q.weight"), &[inner, d], Linear, part, Some(power(d * config.d_kv)));
                add(format!("{name}.k.weight"), &[inner, d], Linear, part, Some(power(d)));
                add(format!("{name}.v.weight"), &[inner, d], Linear, part, Some(power(d)));
                add(format!("{name}.o.weight"), &[d, inner], Linear, part, Some(power(inner)));
                if at == 0 && (i == 0 || config.bias_in_every_layer()) {
                    let shape = [config.relative_attention_num_buckets, config.num_heads];
                    add(
                        format!("{name}.relative_attention_bias.weight"),
                        &shape,
                        Embedding,
                        part,
                        Some(power(d)),
                    );
                }
                add(format!("{block}.{at}.layer_norm.weight"), &[d], Norm, part, None);
            }
            let at = attentions.len();
            let name = format!("{block}.{at}.DenseReluDense");
            let wi: &[&str] = if gated { &["wi_0", "wi_1"] } else { &["wi"] };
            for wi in wi {
                add(format!("{name}.{wi}.weight"), &[ff, d], Linear, part, Some(power(d)));
            }
            add(format!("{name}.wo.weight"), &[d, ff], Linear, part, Some(power(ff)));
            add(format!("{block}.{at}.layer_norm.weight"), &[d], Norm, part, None);
        }
        add(format!("{prefix}.final_layer_norm.weight"), &[d], Norm, part, None);
    }
    if !config.tie_word_embeddings {
        add("lm_head.weight".into(), &[rows, d], Linear, Part::Softmax, Some(power(d)));
    }
    slots
}
