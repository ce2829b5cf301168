//! The small files beside a tokenizer, whatever stands in them: the input is `tokenizer_config.json`,
//! `added_tokens.json`, `special_tokens_map.json` and a text, with zero bytes between them. Encoding gives what the
//! obvious search gives.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use t5kit_tokenizer::Tokenizer;

static FOLDER: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("t5kit-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let model = include_bytes!("../../crates/tokenizer/tests/goldens/files/sentinels/spiece.model");
    fs::write(folder.join("spiece.model"), model).expect("written");
    folder
});

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(4, |&byte| byte == 0);
    for name in ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"] {
        let bytes = parts.next().unwrap_or_default();
        let file = FOLDER.join(name);
        if bytes.is_empty() {
            let _ = fs::remove_file(file);
        } else {
            fs::write(file, bytes).expect("written");
        }
    }
    let Ok(tokenizer) = Tokenizer::load(&FOLDER) else { return };
    let text = parts.next().unwrap_or("a <event> b<extra_id_0> c".as_bytes());
    let mut ids = Vec::new();
    tokenizer.encode_into(text, &mut ids);
    assert_eq!(ids, tokenizer.encode_obviously(text));
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    let mut again = Vec::new();
    assert_eq!(tokenizer.encode_pieces(text, &mut again).len(), ids.len());
    let _ = (tokenizer.decode(&ids), tokenizer.misses_sentinel(text, &ids), tokenizer.sentinels().len());
});
