//! llama.cpp's names of a T5's tensors, and transformers'.

/// transformers' name of a tensor of llama.cpp's; `None` where it is none of a T5's. `gated` says of a block (by what
/// its names begin with) whether its feed-forward layer has a gate.
pub(super) fn weight(name: &str, gated: impl Fn(&str) -> bool) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("shared.weight".to_owned()),
        "output.weight" => return Some("lm_head.weight".to_owned()),
        _ => {}
    }
    let (side, rest) = match (name.strip_prefix("enc."), name.strip_prefix("dec.")) {
        (Some(rest), _) => ("encoder", rest),
        (_, Some(rest)) => ("decoder", rest),
        _ => return None,
    };
    if rest == "output_norm.weight" {
        return Some(format!("{side}.final_layer_norm.weight"));
    }
    let (number, part) = rest.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
    let number: u16 = number.parse().ok()?;
    let block = &name[..name.len() - part.len() - ".weight".len()];
    let (at, module) = match (part.split_once('_')?, side) {
        (("attn", rest), _) => (0, attention("SelfAttention", rest)?),
        (("cross", rest), "decoder") => (1, attention("EncDecAttention", rest.strip_prefix("attn_")?)?),
        (("ffn", rest), side) => {
            let module = match rest {
                "norm" => "layer_norm",
                "gate" => "DenseReluDense.wi_0",
                "up" if gated(block) => "DenseReluDense.wi_1",
                "up" => "DenseReluDense.wi",
                "down" => "DenseReluDense.wo",
                _ => return None,
            };
            (if side == "decoder" { 2 } else { 1 }, module.to_owned())
        }
        _ => return None,
    };
    Some(format!("{side}.block.{number}.layer.{at}.{module}.weight"))
}

/// A part of an attention layer.
fn attention(module: &str, part: &str) -> Option<String> {
    match part {
        "norm" => Some("layer_norm".to_owned()),
        "rel_b" => Some(format!("{module}.relative_attention_bias")),
        "q" | "k" | "v" | "o" => Some(format!("{module}.{part}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (theirs, ours) in [
            ("token_embd.weight", Some("shared.weight")),
            ("output.weight", Some("lm_head.weight")),
            ("enc.output_norm.weight", Some("encoder.final_layer_norm.weight")),
            ("dec.output_norm.weight", Some("decoder.final_layer_norm.weight")),
            ("enc.blk.0.attn_q.weight", Some("encoder.block.0.layer.0.SelfAttention.q.weight")),
            (
                "enc.blk.0.attn_rel_b.weight",
                Some("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
            ),
            ("enc.blk.3.attn_norm.weight", Some("encoder.block.3.layer.0.layer_norm.weight")),
            ("enc.blk.3.ffn_norm.weight", Some("encoder.block.3.layer.1.layer_norm.weight")),
            ("enc.blk.3.ffn_up.weight", Some("encoder.block.3.layer.1.DenseReluDense.wi.weight")),
            ("dec.blk.11.ffn_up.weight", Some("decoder.block.11.layer.2.DenseReluDense.wi_1.weight")),
            ("dec.blk.11.ffn_gate.weight", Some("decoder.block.11.layer.2.DenseReluDense.wi_0.weight")),
            ("dec.blk.11.ffn_down.weight", Some("decoder.block.11.layer.2.DenseReluDense.wo.weight")),
            ("dec.blk.2.cross_attn_o.weight", Some("decoder.block.2.layer.1.EncDecAttention.o.weight")),
            ("dec.blk.2.cross_attn_norm.weight", Some("decoder.block.2.layer.1.layer_norm.weight")),
            (
                "dec.blk.0.cross_attn_rel_b.weight",
                Some("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"),
            ),
            ("enc.blk.2.cross_attn_o.weight", None),
            ("blk.0.attn_q.weight", None),
            ("enc.blk.0.attn_q.bias", None),
            ("enc.blk.x.attn_q.weight", None),
            ("enc.blk..weight", None),
            ("enc.blk.weight", None),
        ] {
            assert_eq!(weight(theirs, |block| block == "dec.blk.11.").as_deref(), ours, "{theirs}");
        }
    }
}
