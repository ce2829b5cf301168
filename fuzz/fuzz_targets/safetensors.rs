//! Any bytes as a safetensors file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(total) = t5kit_formats::safetensors::check(bytes) {
        assert!(total <= bytes.len());
    }
});
