//! Any bytes as `tokenizer.json`; what is read can be written as `spiece.model`.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use t5kit_formats::spiece::SpieceModel;
use t5kit_formats::tokenizer_json;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("(memory)");
    let Ok(model) = tokenizer_json::parse(bytes, path) else { return };
    if !model.pieces.is_empty() {
        let again = SpieceModel::parse(&model.to_bytes(), path).expect("what is written is read");
        assert_eq!(again.pieces.len(), model.pieces.len());
    }
});
