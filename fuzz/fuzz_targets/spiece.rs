//! Any bytes as `spiece.model`: what is read is written and read again, and cut.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use t5kit_formats::spiece::SpieceModel;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("(memory)");
    let Ok(model) = SpieceModel::parse(bytes, path) else { return };
    let again = SpieceModel::parse(&model.to_bytes(), path).expect("what is written is read");
    assert_eq!(again.pieces.len(), model.pieces.len());
    let odd: Vec<usize> = (1..model.pieces.len()).step_by(2).collect();
    if !odd.is_empty() {
        let cut = model.with_pieces(&odd);
        let again = SpieceModel::parse(&cut.to_bytes(), path).expect("a cut model is read");
        // As bytes: a score may be NaN.
        assert_eq!(again.to_bytes(), cut.to_bytes());
    }
});
