//! Any model and any text: `encode` gives what the obvious search gives, and `decode` takes whatever comes.
//!
//! The input is the model's length (four bytes, little-endian), the model, and the text. Where that makes no model, the
//! whole input is a text for a model of the tests.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use t5kit_tokenizer::Tokenizer;

static SOUND: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let models: [&[u8]; 4] = [
        include_bytes!("../../crates/tokenizer/tests/goldens/bytes.model"),
        include_bytes!("../../crates/tokenizer/tests/goldens/symbols.model"),
        include_bytes!("../../crates/tokenizer/tests/goldens/suffix.model"),
        include_bytes!("../../crates/tokenizer/tests/goldens/spaces.model"),
    ];
    models.iter().map(|bytes| Tokenizer::from_bytes(bytes, Path::new("x.model")).expect("sound")).collect()
});

fn check(tokenizer: &Tokenizer, text: &[u8]) {
    let (mut ids, mut again) = (Vec::new(), Vec::new());
    tokenizer.encode_into(text, &mut ids);
    assert_eq!(ids, tokenizer.encode_obviously(text));
    assert_eq!(tokenizer.encode_pieces(text, &mut again).len(), again.len());
    assert_eq!(ids, again);
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let decoded = tokenizer.decode(&ids);
    let _ = tokenizer.encode(&decoded);
    let any: Vec<u32> = text.iter().map(|&byte| u32::from(byte) * 5).collect();
    let _ = (tokenizer.decode(&any), tokenizer.decode_bytes(&any));
}

fn split(input: &[u8]) -> Option<(Tokenizer, &[u8])> {
    let (length, rest) = input.split_first_chunk::<4>()?;
    let (model, text) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((Tokenizer::from_bytes(model, Path::new("x.model")).ok()?, text))
}

fuzz_target!(|input: &[u8]| {
    match split(input) {
        // The obvious search takes as long as the longest piece for every character.
        Some((tokenizer, text)) => check(&tokenizer, &text[..text.len().min(4096)]),
        None => SOUND.iter().for_each(|tokenizer| check(tokenizer, input)),
    }
});
