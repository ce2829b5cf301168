//! Any bytes as a GGUF file: its lists, its configuration, its tokenizer, its weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use t5kit_formats::gguf::check;

fuzz_target!(|bytes: &[u8]| {
    let _ = check(bytes);
});
