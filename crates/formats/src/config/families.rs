//! Configurations that are of no family that is read here, by what they call themselves.

use serde_json::Value;

use super::fields::Fields;
use crate::error::Result;

/// Names of `model_type` and what stands behind them, by which a person sees what was taken for a model that is read.
const OTHERS: [(&[&str], &str); 4] = [
    (
        &[
            "albert",
            "bigbird",
            "camembert",
            "clip",
            "clip_text_model",
            "deberta",
            "deberta-v2",
            "distilbert",
            "electra",
            "ernie",
            "esm",
            "modernbert",
            "mpnet",
            "nomic_bert",
            "roberta",
            "xlm-roberta",
        ],
        "an encoder of BERT's kind whose layers, positions or head are others",
    ),
    (
        &[
            "bart",
            "bigbird_pegasus",
            "blenderbot",
            "fsmt",
            "led",
            "m2m_100",
            "marian",
            "mbart",
            "mvp",
            "nllb-moe",
            "pegasus",
            "pegasus_x",
            "plbart",
            "prophetnet",
            "whisper",
            "xlm-prophetnet",
        ],
        "an encoder-decoder of another kind",
    ),
    (
        &[
            "baichuan",
            "bloom",
            "chatglm",
            "cohere",
            "deepseek_v2",
            "deepseek_v3",
            "falcon",
            "gemma",
            "gemma2",
            "gemma3",
            "gemma3_text",
            "glm",
            "glm4",
            "gpt2",
            "gpt_bigcode",
            "gpt_neo",
            "gpt_neox",
            "gpt_oss",
            "gptj",
            "internlm2",
            "llama",
            "minicpm",
            "mistral",
            "mixtral",
            "opt",
            "phi",
            "phi3",
            "qwen",
            "qwen2",
            "qwen2_moe",
            "qwen3",
            "qwen3_moe",
        ],
        "a decoder-only model",
    ),
    (
        &["longt5", "pix2struct", "pop2piano", "switch_transformers", "t5gemma", "udop"],
        "a relative of T5 whose layers are others",
    ),
];

/// What is said of a `model_type` that is not read.
pub(super) fn unknown(name: &str) -> String {
    let kind = OTHERS.iter().find(|(names, _)| names.contains(&name));
    let what = match name {
        "bert" | "nezha" | "roformer" => {
            return format!("{name:?}, beside weights that are none of BERT's kind");
        }
        _ => kind.map(|(_, what)| format!(": {what}")).unwrap_or_default(),
    };
    format!("{name:?} is not t5, mt5, umt5, bert, nezha or roformer{what}")
}

/// Refuses a configuration that says it is of another architecture than T5's, before its sizes are looked for.
pub(super) fn check(f: &Fields) -> Result<()> {
    if let Some(name) = f.map.get("model_type").and_then(Value::as_str) {
        if ["t5", "mt5", "umt5"].contains(&name) {
            return Ok(());
        }
        return Err(f.error("model_type", unknown(name)));
    }
    // Google's and bert4keras's BERT, whose other fields have the names of bert4keras's T5.
    if f.has("type_vocab_size") && !f.has("d_model") {
        let what = "the configuration of a BERT, not of a T5; give the model's own".to_owned();
        return Err(f.error("type_vocab_size", what));
    }
    Ok(())
}
