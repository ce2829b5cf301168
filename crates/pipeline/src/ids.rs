//! Special ids: by the word of the model's files, and where those do not say by the tokenizer's.

use t5kit_formats::config::{BertConfig, T5Config};
use t5kit_model::Config;
use t5kit_tokenizer::Tokenizer;

/// Puts the tokenizer's special ids where the configuration says none: with BERT's vocabulary a decoder begins with
/// `[CLS]` and ends with `[SEP]`, whatever T5 has. A configuration's end that is an ordinary piece of such a vocabulary
/// (T5's 1, copied along) ends nothing, and gives way.
pub fn settle_ids(config: &mut Config, tokenizer: &Tokenizer) {
    match config {
        Config::T5(config) => settle_t5(config, tokenizer),
        Config::Bert(config) => settle_bert(config, tokenizer),
    }
}

/// A BERT's file says neither `[CLS]` nor `[SEP]`.
fn settle_bert(config: &mut BertConfig, tokenizer: &Tokenizer) {
    config.cls_token_id = tokenizer.start_id();
    if let Some(sep) = tokenizer.eos() {
        config.sep_token_id = sep;
    }
}

fn settle_t5(config: &mut T5Config, tokenizer: &Tokenizer) {
    let rows = config.vocab_size;
    let fits = |id: u32| (id as usize) < rows;
    let ends = tokenizer.eos().is_none() || tokenizer.is_special(config.eos_token_id);
    if let Some(eos) = tokenizer.eos().filter(|&id| fits(id) && !(config.said.eos_token_id && ends)) {
        config.eos_token_id = eos;
    }
    if !config.said.pad_token_id && fits(tokenizer.pad_id()) {
        config.pad_token_id = tokenizer.pad_id();
    }
    if !config.said.decoder_start_token_id && fits(tokenizer.start_id()) {
        config.decoder_start_token_id = tokenizer.start_id();
    }
}
