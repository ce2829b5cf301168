//! The layers of bert4keras's BERT, NEZHA and RoFormer (`BERT.variable_mapping` in its models.py): which weights of
//! transformers they hold, in their order.
//!
//! | layer | weights |
//! |---|---|
//! | `Embedding-Token`, `Embedding-Position`, `Embedding-Segment` | `bert.embeddings.word_embeddings.weight`, … |
//! | `Embedding-Mapping` | kernel (transposed) and bias of `bert.embeddings_project` |
//! | `Transformer-i-MultiHeadSelfAttention` | kernels (transposed) and biases of query, key, value, output |
//! | `Transformer-i-FeedForward` | the same of `intermediate.dense` and `output.dense` |
//! | `…-Norm` | bias, then weight |
//! | `Pooler-Dense`, `MLM-Dense`, `NSP-Proba` | kernel (transposed) and bias |
//! | `MLM-Bias` | `cls.predictions.bias` |
//!
//! NEZHA's `Embedding-Relative-Position` is a table that is computed.

use crate::renamed::Weight;

/// Whether these are the layers of a BERT and not of a T5, whose layers say on which side they are.
pub(crate) fn is_one(layers: &[String]) -> bool {
    layers.iter().any(|layer| layer.starts_with("Transformer-0-MultiHeadSelfAttention"))
}

/// The weights of a layer that has `count` of them, in their order.
pub(crate) fn weights_of(layer: &str, count: usize) -> Option<Vec<Weight>> {
    let dense = |module: &str| {
        [
            Weight { name: format!("{module}.weight"), transposed: true },
            Weight { name: format!("{module}.bias"), transposed: false },
        ]
    };
    let plain = |name: String| Weight { name, transposed: false };
    let norm = |module: &str| ["bias", "weight"].map(|part| plain(format!("{module}.{part}")));
    let table = |name: &str| vec![plain(format!("bert.embeddings.{name}.weight"))];
    let weights = match layer {
        "Embedding-Token" => table("word_embeddings"),
        "Embedding-Position" => table("position_embeddings"),
        "Embedding-Segment" => table("token_type_embeddings"),
        "Embedding-Relative-Position" => vec![plain("bert.encoder.positions_encoding".to_owned())],
        "Embedding-Norm" => norm("bert.embeddings.LayerNorm").into(),
        "Embedding-Mapping" => dense("bert.embeddings_project").into(),
        "Pooler-Dense" => dense("bert.pooler.dense").into(),
        "NSP-Proba" => dense("cls.seq_relationship").into(),
        "MLM-Dense" => dense("cls.predictions.transform.dense").into(),
        "MLM-Norm" => norm("cls.predictions.transform.LayerNorm").into(),
        "MLM-Bias" => vec![plain("cls.predictions.bias".to_owned())],
        _ => {
            let (number, part) = layer.strip_prefix("Transformer-")?.split_once('-')?;
            let number: u16 = number.parse().ok()?;
            let layer = format!("bert.encoder.layer.{number}");
            let modules =
                |names: &[&str]| names.iter().flat_map(|n| dense(&format!("{layer}.{n}"))).collect();
            match part {
                "MultiHeadSelfAttention" => modules(&[
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                    "attention.output.dense",
                ]),
                "FeedForward" => modules(&["intermediate.dense", "output.dense"]),
                "MultiHeadSelfAttention-Norm" => norm(&format!("{layer}.attention.output.LayerNorm")).into(),
                "FeedForward-Norm" => norm(&format!("{layer}.output.LayerNorm")).into(),
                _ => return None,
            }
        }
    };
    (weights.len() == count).then_some(weights)
}
