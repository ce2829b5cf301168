//! Any bytes as `tokenizer.json`; what is read can be written as `spiece.model`.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use t5kit_formats::spiece::SpieceModel;
use t5kit_formats::tokenizer_json::{self, Model, TokenizerJson};

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("(memory)");
    let Ok(TokenizerJson { model: Model::Unigram(read), .. }) = tokenizer_json::read(bytes, path) else { return };
    if !read.model.pieces.is_empty() {
        let again = SpieceModel::parse(&read.model.to_bytes(), path).expect("what is written is read");
        assert_eq!(again.pieces.len(), read.model.pieces.len());
    }
});
