//! Any bytes as a file of `torch.save`: as they are, and as the state dictionary's pickle of the older form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use t5kit_formats::pytorch::check;

fuzz_target!(|bytes: &[u8]| {
    let _ = check(bytes);
    let before = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let _ = check(&[before, bytes].concat());
});
