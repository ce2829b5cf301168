//! Google's names of BERT's family, which bert4keras saves too, in transformers' names.
//!
//! | Google | transformers | layout |
//! |---|---|---|
//! | `bert/embeddings/word_embeddings` (`position_`, `token_type_`) | `bert.embeddings.word_embeddings.weight` | same |
//! | `…/LayerNorm/gamma`, `…/LayerNorm/beta` | `….LayerNorm.weight`, `….LayerNorm.bias` | same |
//! | `bert/encoder/layer_i/attention/self/query/kernel` (`key`, `value`; `attention/output/dense`, `intermediate/dense`, `output/dense`) | `bert.encoder.layer.i.attention.self.query.weight` | transposed |
//! | `…/bias` | `….bias` | same |
//! | `bert/encoder/embedding_hidden_mapping_in/kernel` (RoFormer's small models) | `bert.embeddings_project.weight` | transposed |
//! | `bert/pooler/dense/kernel`, `cls/predictions/transform/dense/kernel` | `bert.pooler.dense.weight`, … | transposed |
//! | `cls/predictions/output_bias` | `cls.predictions.bias` | same |
//! | `cls/seq_relationship/output_weights`, `output_bias` | `cls.seq_relationship.weight`, `.bias` | same |
//!
//! NEZHA's and RoFormer's are the same: what they do with positions has no weights.

use crate::renamed::Weight;

/// Which weight the variable `parts`, a name cut at its slashes, is; `None` where it is none of BERT's.
pub(super) fn weight(parts: &[&str]) -> Option<Weight> {
    let (&first, rest) = parts.split_first()?;
    let name = match first {
        "bert" | "nezha" | "roformer" => body(rest)?,
        "cls" => head(rest)?,
        _ => return None,
    };
    let transposed = parts.last() == Some(&"kernel");
    Some(Weight { name, transposed })
}

/// A part of the body, behind its name.
fn body(parts: &[&str]) -> Option<String> {
    let name = match parts {
        ["embeddings", table @ ("word_embeddings" | "position_embeddings" | "token_type_embeddings")] => {
            format!("embeddings.{table}.weight")
        }
        ["embeddings", "LayerNorm", last] => format!("embeddings.LayerNorm.{}", norm(last)?),
        ["encoder", "embedding_hidden_mapping_in", last] => format!("embeddings_project.{}", dense(last)?),
        ["pooler", "dense", last] => format!("pooler.dense.{}", dense(last)?),
        ["encoder", layer, rest @ ..] => {
            let layer: u16 = layer.strip_prefix("layer_")?.parse().ok()?;
            let (module, last) = match rest {
                ["attention", "self", module @ ("query" | "key" | "value"), last] => {
                    (format!("attention.self.{module}"), dense(last)?)
                }
                ["attention", "output", "dense", last] => ("attention.output.dense".into(), dense(last)?),
                ["attention", "output", "LayerNorm", last] => {
                    ("attention.output.LayerNorm".into(), norm(last)?)
                }
                [module @ ("intermediate" | "output"), "dense", last] => {
                    (format!("{module}.dense"), dense(last)?)
                }
                ["output", "LayerNorm", last] => ("output.LayerNorm".into(), norm(last)?),
                _ => return None,
            };
            format!("encoder.layer.{layer}.{module}.{last}")
        }
        _ => return None,
    };
    Some(format!("bert.{name}"))
}

/// A part of the heads: for masked words, for the next sentence.
fn head(parts: &[&str]) -> Option<String> {
    Some(match parts {
        ["predictions", "output_bias"] => "cls.predictions.bias".to_owned(),
        ["predictions", "transform", "dense", last] => {
            format!("cls.predictions.transform.dense.{}", dense(last)?)
        }
        ["predictions", "transform", "LayerNorm", last] => {
            format!("cls.predictions.transform.LayerNorm.{}", norm(last)?)
        }
        ["seq_relationship", "output_weights"] => "cls.seq_relationship.weight".to_owned(),
        ["seq_relationship", "output_bias"] => "cls.seq_relationship.bias".to_owned(),
        _ => return None,
    })
}

fn dense(last: &str) -> Option<&'static str> {
    match last {
        "kernel" => Some("weight"),
        "bias" => Some("bias"),
        _ => None,
    }
}

fn norm(last: &str) -> Option<&'static str> {
    match last {
        "gamma" => Some("weight"),
        "beta" => Some("bias"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_name() {
        for (google, name, transposed) in [
            ("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight", false),
            ("bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings.weight", false),
            ("bert/embeddings/LayerNorm/beta", "bert.embeddings.LayerNorm.bias", false),
            (
                "bert/encoder/layer_11/attention/self/query/kernel",
                "bert.encoder.layer.11.attention.self.query.weight",
                true,
            ),
            (
                "bert/encoder/layer_0/attention/output/dense/bias",
                "bert.encoder.layer.0.attention.output.dense.bias",
                false,
            ),
            (
                "bert/encoder/layer_0/attention/output/LayerNorm/gamma",
                "bert.encoder.layer.0.attention.output.LayerNorm.weight",
                false,
            ),
            (
                "bert/encoder/layer_3/intermediate/dense/kernel",
                "bert.encoder.layer.3.intermediate.dense.weight",
                true,
            ),
            ("bert/encoder/layer_3/output/dense/kernel", "bert.encoder.layer.3.output.dense.weight", true),
            (
                "bert/encoder/layer_3/output/LayerNorm/beta",
                "bert.encoder.layer.3.output.LayerNorm.bias",
                false,
            ),
            ("bert/encoder/embedding_hidden_mapping_in/kernel", "bert.embeddings_project.weight", true),
            ("bert/pooler/dense/kernel", "bert.pooler.dense.weight", true),
            ("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight", true),
            (
                "cls/predictions/transform/LayerNorm/gamma",
                "cls.predictions.transform.LayerNorm.weight",
                false,
            ),
            ("cls/predictions/output_bias", "cls.predictions.bias", false),
            ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight", false),
        ] {
            let parts: Vec<&str> = google.split('/').collect();
            assert_eq!(weight(&parts), Some(Weight { name: name.to_owned(), transposed }), "{google}");
        }
        for unknown in [
            "",
            "bert",
            "bert/encoder/layer_x/output/dense/kernel",
            "bert/encoder/layer_0/output/dense/gamma",
            "bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/dense/kernel",
            "cls/predictions",
            "electra/embeddings/word_embeddings",
        ] {
            assert_eq!(weight(&unknown.split('/').collect::<Vec<_>>()), None, "{unknown}");
        }
    }
}
