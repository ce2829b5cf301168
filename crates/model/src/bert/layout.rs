//! Which parameters a configuration of BERT's family asks for: the one list that loading, initialising, inspecting and
//! saving use.

use t5kit_formats::config::{BertConfig, Positions};

use crate::architecture::{ParamKind, Part, Slot};

/// All parameters of a configuration, in the order that transformers lists them in `BertForMaskedLM`,
/// `NezhaForMaskedLM` and `RoFormerForMaskedLM`.
///
/// The first tokens of the names are the model's type. Standard deviations are `initializer_range`, biases begin at 0
/// and the scales of norms at 1 (`BertPreTrainedModel._init_weights`).
pub fn layout(config: &BertConfig) -> Vec<Slot> {
    use ParamKind::{Bias, Embedding, Linear, Norm};
    let BertConfig { vocab_size, hidden_size: d, embedding_size: e, intermediate_size: ff, .. } = *config;
    let prefix = &config.model_type;
    let std = Some(config.initializer_range);
    let mut slots = Vec::new();
    let mut add = |name: String, shape: &[usize], kind: ParamKind, part: Part| {
        let std = match kind {
            Linear | Embedding => std,
            Bias => Some(0.0),
            Norm => None,
        };
        slots.push(Slot { name, shape: shape.to_vec(), kind, part, is_vocabulary: false, std });
    };
    let table = |name: &str| format!("{prefix}.embeddings.{name}_embeddings.weight");
    add(table("word"), &[vocab_size, e], Embedding, Part::Embeddings);
    if config.positions() == Positions::Learnt {
        let rows = config.position_rows.unwrap_or(config.max_position_embeddings);
        add(table("position"), &[rows, e], Embedding, Part::Embeddings);
    }
    add(table("token_type"), &[config.type_vocab_size, e], Embedding, Part::Embeddings);
    let mut pair = |name: String, outputs: usize, inputs: Option<usize>, part: Part| match inputs {
        Some(inputs) => {
            add(format!("{name}.weight"), &[outputs, inputs], Linear, part);
            add(format!("{name}.bias"), &[outputs], Bias, part);
        }
        None => {
            add(format!("{name}.weight"), &[outputs], Norm, part);
            add(format!("{name}.bias"), &[outputs], Bias, part);
        }
    };
    pair(format!("{prefix}.embeddings.LayerNorm"), e, None, Part::Embeddings);
    if e != d {
        pair(format!("{prefix}.embeddings_project"), d, Some(e), Part::Embeddings);
    }
    for i in 0..config.num_hidden_layers {
        let layer = format!("{prefix}.encoder.layer.{i}");
        for name in ["query", "key", "value"] {
            pair(format!("{layer}.attention.self.{name}"), d, Some(d), Part::Encoder);
        }
        pair(format!("{layer}.attention.output.dense"), d, Some(d), Part::Encoder);
        pair(format!("{layer}.attention.output.LayerNorm"), d, None, Part::Encoder);
        pair(format!("{layer}.intermediate.dense"), ff, Some(d), Part::Encoder);
        pair(format!("{layer}.output.dense"), d, Some(ff), Part::Encoder);
        pair(format!("{layer}.output.LayerNorm"), d, None, Part::Encoder);
    }
    pair("cls.predictions.transform.dense".into(), e, Some(d), Part::Softmax);
    pair("cls.predictions.transform.LayerNorm".into(), e, None, Part::Softmax);
    add("cls.predictions.bias".into(), &[vocab_size], Bias, Part::Softmax);
    if !config.tie_word_embeddings {
        add("cls.predictions.decoder.weight".into(), &[vocab_size, e], Linear, Part::Softmax);
    }
    let rows = [table("word"), "cls.predictions.bias".into(), "cls.predictions.decoder.weight".into()];
    for slot in &mut slots {
        slot.is_vocabulary = rows.contains(&slot.name);
    }
    slots
}
