//! mesh-tensorflow's names of the T5 family, as Google and bert4keras save them, in transformers' names; those of BERT's
//! family are in [`super::bert`].
//!
//! | mesh-tensorflow | transformers | layout |
//! |---|---|---|
//! | `shared/embedding` | `shared.weight` | same |
//! | `decoder/logits/kernel` | `lm_head.weight` | transposed |
//! | `S/block_iii/layer_jjj/A/q` (`k`, `v`, `o`) | `S.block.i.layer.j.A.q.weight` | transposed |
//! | `…/A/relative_attention_bias` [heads, buckets] | `….A.relative_attention_bias.weight` [buckets, heads] | transposed |
//! | `…/DenseReluDense/wi/kernel` (`wi_0`, `wi_1`, `wo`) | `….DenseReluDense.wi.weight` | transposed |
//! | `…/layer_norm/scale` (mT5: `rms_norm`) | `….layer_norm.weight` | same |
//! | `S/final_layer_norm/scale` (mT5: `S/rms_norm/scale`) | `S.final_layer_norm.weight` | same |
//!
//! S is `encoder` or `decoder`, A `SelfAttention` or `EncDecAttention`. `*_slot_*`, `global_step` and the
//! variables of optimizers are not weights.

use super::bert;

/// What a variable of a mesh-tensorflow checkpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// A weight.
    Weight {
        /// Its name in transformers.
        name: String,
        /// Whether it is a matrix that transformers stores transposed.
        transposed: bool,
    },
    /// A part of an optimizer's state, or a counter.
    Skipped,
    /// Nothing that is known.
    Unknown,
}

/// Parts of a name that mark what belongs to an optimizer or is a counter.
const SKIPPED: [&str; 6] = [
    "global_step",
    "adam_m",
    "adam_v",
    "AdamWeightDecayOptimizer",
    "AdamWeightDecayOptimizer_1",
    "save_counter",
];

/// What the variable `name` of a mesh-tensorflow checkpoint is.
pub fn variable(name: &str) -> Variable {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.iter().any(|p| SKIPPED.contains(p) || p.contains("_slot_")) {
        return Variable::Skipped;
    }
    let weight = |name: String, transposed| Variable::Weight { name, transposed };
    match parts[..] {
        ["shared", "embedding"] => weight("shared.weight".to_owned(), false),
        ["decoder", "logits", "kernel"] => weight("lm_head.weight".to_owned(), true),
        [side @ ("encoder" | "decoder"), "final_layer_norm" | "layer_norm" | "rms_norm", "scale"] => {
            weight(format!("{side}.final_layer_norm.weight"), false)
        }
        [side @ ("encoder" | "decoder"), block, layer, ref rest @ ..] => {
            let number = |part: &str, prefix| part.strip_prefix(prefix)?.parse::<u16>().ok();
            let (Some(block), Some(layer)) = (number(block, "block_"), number(layer, "layer_")) else {
                return Variable::Unknown;
            };
            let (rest, transposed) = match *rest {
                [
                    a @ ("SelfAttention" | "EncDecAttention"),
                    m @ ("q" | "k" | "v" | "o" | "relative_attention_bias"),
                ] => (format!("{a}.{m}"), true),
                ["DenseReluDense", m @ ("wi" | "wi_0" | "wi_1" | "wo"), "kernel"] => {
                    (format!("DenseReluDense.{m}"), true)
                }
                ["layer_norm" | "rms_norm", "scale"] => ("layer_norm".to_owned(), false),
                _ => return Variable::Unknown,
            };
            weight(format!("{side}.block.{block}.layer.{layer}.{rest}.weight"), transposed)
        }
        _ => match bert::weight(&parts) {
            Some(found) => weight(found.name, found.transposed),
            None => Variable::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name() {
        for (mesh, name, transposed) in [
            ("shared/embedding", "shared.weight", false),
            ("decoder/logits/kernel", "lm_head.weight", true),
            ("encoder/final_layer_norm/scale", "encoder.final_layer_norm.weight", false),
            ("decoder/rms_norm/scale", "decoder.final_layer_norm.weight", false),
            (
                "encoder/block_000/layer_000/layer_norm/scale",
                "encoder.block.0.layer.0.layer_norm.weight",
                false,
            ),
            (
                "decoder/block_011/layer_002/rms_norm/scale",
                "decoder.block.11.layer.2.layer_norm.weight",
                false,
            ),
            (
                "encoder/block_003/layer_000/SelfAttention/q",
                "encoder.block.3.layer.0.SelfAttention.q.weight",
                true,
            ),
            (
                "decoder/block_000/layer_001/EncDecAttention/o",
                "decoder.block.0.layer.1.EncDecAttention.o.weight",
                true,
            ),
            (
                "decoder/block_000/layer_000/SelfAttention/relative_attention_bias",
                "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                true,
            ),
            (
                "encoder/block_001/layer_001/DenseReluDense/wi_1/kernel",
                "encoder.block.1.layer.1.DenseReluDense.wi_1.weight",
                true,
            ),
            (
                "decoder/block_001/layer_002/DenseReluDense/wo/kernel",
                "decoder.block.1.layer.2.DenseReluDense.wo.weight",
                true,
            ),
        ] {
            assert_eq!(variable(mesh), Variable::Weight { name: name.to_owned(), transposed }, "{mesh}");
        }
        for skipped in [
            "global_step",
            "shared/embedding_slot_vr",
            "decoder/block_000/layer_001/EncDecAttention/k_slot_vc",
            "encoder/block_000/layer_000/SelfAttention/q/adam_m",
        ] {
            assert_eq!(variable(skipped), Variable::Skipped, "{skipped}");
        }
        for unknown in [
            "",
            "/",
            "shared",
            "encoder/block_00x/layer_000/SelfAttention/q",
            "encoder/block_99999/layer_000/SelfAttention/q",
            "encoder/block_000/layer_000/SelfAttention/z",
            "bert/embeddings/other_embeddings",
        ] {
            assert_eq!(variable(unknown), Variable::Unknown, "{unknown}");
        }
    }
}
