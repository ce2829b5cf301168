//! Which model a checkpoint is of, by the names of its tensors, where it is none that is read here.

use super::Checkpoint;

/// How names tell a model: one of them holds this part, and none the other.
struct Mark {
    holds: &'static str,
    without: &'static str,
    what: &'static str,
}

const fn mark(holds: &'static str, without: &'static str, what: &'static str) -> Mark {
    Mark { holds, without, what }
}

/// Nothing is without this.
const ANY: &str = "\0";

/// What names tell, the surest first.
const MARKS: [Mark; 31] = [
    mark(
        ".ATTRIBUTES/VARIABLE_VALUE",
        ANY,
        "a checkpoint of TensorFlow 2 whose names do not say which weight is which; save it from bert4keras by \
         model.save_weights_as_checkpoint(FILE)",
    ),
    mark(
        ".lora_A.",
        ANY,
        "a model with LoRA layers that are not part of its weights: call model.merge_and_unload() before it is saved, or \
         save the adapter alone by model.save_pretrained(FOLDER)",
    ),
    mark(".weight.quant_map", ANY, QUANTISED),
    mark(".weight.absmax", ANY, QUANTISED),
    mark(".SCB", ANY, QUANTISED),
    mark(".qweight", ANY, QUANTISED),
    mark("roformer.pooler.dense.weight", ANY, ROFORMER_SIM),
    mark("deberta.", ANY, "a DeBERTa, an encoder whose attention is another"),
    mark("albert", ANY, "an ALBERT, an encoder whose layers share their weights"),
    mark("discriminator_predictions.", ANY, ELECTRA),
    mark("generator_predictions.", ANY, ELECTRA),
    mark("electra", ANY, ELECTRA),
    mark("distilbert.", ANY, "a DistilBERT, an encoder without segments"),
    mark(
        "roberta.",
        ANY,
        "a RoBERTa in its own names, whose positions and special tokens are others than BERT's",
    ),
    mark(
        "embeddings.word_embeddings.weight",
        "encoder.layer.0.",
        "an encoder of BERT's kind whose layers are others",
    ),
    mark("embeddings/word_embeddings", ANY, "an encoder of BERT's kind whose layers are others"),
    mark("LocalSelfAttention.", ANY, "LongT5, whose attention is another"),
    mark("TransientGlobalSelfAttention.", ANY, "LongT5, whose attention is another"),
    mark(".mlp.experts.", ANY, "a mixture of experts (Switch Transformers, NLLB-MoE)"),
    mark("encoder.layers.0.pre_self_attn_layernorm", ANY, "T5Gemma, whose layers are others"),
    mark(
        "encoder.layers.0.self_attn.",
        ANY,
        "an encoder-decoder of BART's kind (BART, mBART, M2M-100, NLLB, Marian, Pegasus)",
    ),
    mark(
        "encoderLayer.0.multiHeadAttention.",
        ANY,
        "a model in bert4torch's names: save it there in transformers' format by model.save_pretrained(FOLDER)",
    ),
    mark(
        "encoder.transformer.0.self_attn.linear_layers.",
        ANY,
        "a model in UER-py's names: turn it by UER-py's scripts/convert_t5_from_uer_to_huggingface.py",
    ),
    mark("layers.0.self_attn.q_proj.", ANY, DECODER),
    mark("layers.0.attention.wq.", ANY, DECODER),
    mark("h.0.attn.c_attn.", ANY, DECODER),
    mark("query_key_value.", "encoder.block.", DECODER),
    mark("h.0.self_attention.", "encoder.block.", DECODER),
    mark("h.0.attn.q_proj.", ANY, DECODER),
    mark(
        "encoder.block.0.",
        "decoder.block.0.",
        "the encoder of a T5 alone, as it serves embeddings and image models: without its decoder it generates nothing",
    ),
    mark("decoder.block.0.", "encoder.block.0.", "the decoder of a T5 alone"),
];

const ELECTRA: &str = "an ELECTRA, an encoder whose embeddings and head are others";
const ROFORMER_SIM: &str =
    "a RoFormer-sim, which was trained to embed sentences: take the RoFormer that it began as";
const QUANTISED: &str = "a model whose weights are quantised by bitsandbytes, GPTQ or AWQ; take the one that it was made \
                         from, or call model.dequantize() and save it anew";
const DECODER: &str = "a decoder-only model (GPT, Llama, Qwen and their kind)";

impl Checkpoint {
    /// What a checkpoint holds that is no whole model of a family that is read here, as far as the names of its tensors tell: what
    /// comes after "it is".
    pub fn other_kind(&self) -> Option<&'static str> {
        other_kind(|part| self.names().any(|name| name.contains(part)))
    }
}

fn other_kind(holds: impl Fn(&str) -> bool) -> Option<&'static str> {
    MARKS.iter().find(|m| holds(m.holds) && !holds(m.without)).map(|m| m.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_models_are_named_and_a_t5_is_not() {
        for (names, part) in [
            (&["x.embeddings.word_embeddings.weight", "x.encoder.layers.0.wi"][..], "BERT"),
            (&["bert/embeddings/word_embeddings"], "BERT"),
            (&["deberta.embeddings.word_embeddings.weight"], "DeBERTa"),
            (&["albert.embeddings.word_embeddings.weight"], "ALBERT"),
            (&["electra.embeddings.word_embeddings.weight"], "ELECTRA"),
            (&["roberta.embeddings.word_embeddings.weight", "roberta.encoder.layer.0.x"], "RoBERTa"),
            (&["roformer.embeddings.word_embeddings.weight", "roformer.pooler.dense.weight"], "RoFormer-sim"),
            (&["model.encoder.layers.0.self_attn.k_proj.weight", "model.shared.weight"], "BART"),
            (&["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"], "decoder-only"),
            (&["transformer.h.0.attn.c_attn.weight"], "decoder-only"),
            (&["gpt_neox.layers.0.attention.query_key_value.weight"], "decoder-only"),
            (&["shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight"], "encoder of a T5 alone"),
            (&["decoder.block.0.layer.0.SelfAttention.q.weight"], "decoder of a T5 alone"),
            (&["encoder.block.0.layer.0.LocalSelfAttention.q.weight", "decoder.block.0.x"], "LongT5"),
            (&["encoder.block.0.layer.0.SelfAttention.q.lora_A.default.weight", "decoder.block.0.x"], "LoRA"),
            (&["encoder.block.0.layer.0.SelfAttention.q.SCB", "decoder.block.0.x"], "quantised"),
            (&["layer_with_weights-0/embeddings/.ATTRIBUTES/VARIABLE_VALUE"], "save_weights_as_checkpoint"),
        ] {
            let what = other_kind(|part| names.iter().any(|n| n.contains(part))).unwrap_or_default();
            assert!(what.contains(part), "{names:?}: {what}");
        }
        let t5 =
            ["shared.weight", "encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.layer.0.x"];
        assert_eq!(other_kind(|part| t5.iter().any(|n| n.contains(part))), None);
        let bert = ["bert.embeddings.word_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"];
        assert_eq!(other_kind(|part| bert.iter().any(|n| n.contains(part))), None);
        assert_eq!(other_kind(|_| false), None);
    }
}
