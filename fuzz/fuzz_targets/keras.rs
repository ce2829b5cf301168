//! Any bytes as a file of HDF5 that Keras wrote, and as the first bytes of a file that is none.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use t5kit_formats::foreign::{not_weights, stand_in};
use t5kit_formats::keras::check;

fuzz_target!(|bytes: &[u8]| {
    let _ = check(bytes);
    for name in ["x", "model.safetensors", "vocab.txt"] {
        let _ = (not_weights(Path::new(name), bytes), stand_in(Path::new(name), bytes));
    }
});
