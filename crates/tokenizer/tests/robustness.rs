//! Files that are damaged or make no sense end in an error that names the place.

use std::path::Path;
use t5kit_formats::spiece::{ModelType, NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_tokenizer::{Error, Tokenizer};

fn piece(text: &str, score: f32, kind: PieceKind) -> Piece {
    Piece { text: text.into(), score, kind, unknown_fields: vec![] }
}

fn pieces() -> Vec<Piece> {
    vec![
        piece("<unk>", 0.0, PieceKind::Unknown),
        piece("</s>", 0.0, PieceKind::Control),
        piece("▁a", -1.0, PieceKind::Normal),
        piece("b", -2.0, PieceKind::Normal),
    ]
}

fn load(bytes: &[u8]) -> Result<Tokenizer, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spiece.model");
    std::fs::write(&file, bytes).unwrap();
    Tokenizer::load(&file)
}

fn load_model(pieces: Vec<Piece>, trainer: TrainerSpec) -> Result<Tokenizer, Error> {
    load(&SpieceModel::new(pieces, trainer, NormalizerSpec::default()).to_bytes())
}

#[track_caller]
fn fails(result: Result<Tokenizer, Error>, expected: &str) {
    let message = result.err().expect("an error").to_string();
    assert!(message.contains("spiece.model") && message.contains(expected), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn pieces_that_make_no_vocabulary() {
    assert_eq!(load_model(pieces(), TrainerSpec::default()).unwrap().encode("ab"), [2, 3]);
    let with = |more: Piece| load_model([pieces(), vec![more]].concat(), TrainerSpec::default());
    fails(with(piece("b", -3.0, PieceKind::Normal)), "pieces[4].piece: \"b\" is piece 3 already");
    fails(with(piece("b", -3.0, PieceKind::Unused)), "pieces[4].piece: \"b\" is piece 3 already");
    fails(with(piece("</s>", -3.0, PieceKind::Control)), "pieces[4].piece: \"</s>\" is piece 1 already");
    fails(with(piece("", -3.0, PieceKind::Normal)), "pieces[4].piece: empty");
    fails(with(piece("c\0", -3.0, PieceKind::Normal)), "pieces[4].piece: holds a zero byte");
    fails(with(piece(&"x".repeat(8000), -3.0, PieceKind::Normal)), "pieces[4].piece: longer than 8000 bytes");
    fails(with(piece("c", f32::NAN, PieceKind::Normal)), "pieces[4].score: not a finite number");
    fails(with(piece("c", f32::INFINITY, PieceKind::Normal)), "pieces[4].score: not a finite number");
    fails(with(piece("<unk2>", 0.0, PieceKind::Unknown)), "pieces[4].type: unknown, but piece 0");
    fails(with(piece("<0x00>", 0.0, PieceKind::Byte)), "byte_fallback is off");
    let bytes = TrainerSpec { byte_fallback: true, ..Default::default() };
    fails(load_model(pieces(), bytes.clone()), "<0x00> is missing");
    let odd = [pieces(), vec![piece("<0xzz>", 0.0, PieceKind::Byte)]].concat();
    fails(load_model(odd, bytes), "from <0x00> to <0xFF>");
    fails(load_model(pieces()[1..].to_vec(), TrainerSpec::default()), "no unknown piece");
    fails(load_model(pieces()[..2].to_vec(), TrainerSpec::default()), "no piece to cut a text into");
    for (kind, name) in [(ModelType::Bpe, "Bpe"), (ModelType::Word, "Word"), (ModelType::Char, "Char")] {
        let trainer = TrainerSpec { model_type: kind, ..Default::default() };
        fails(load_model(pieces(), trainer), &format!("this is a {name} model; only Unigram"));
    }
}

#[test]
fn a_name_may_be_a_control_piece_and_an_ordinary_one() {
    let more = [pieces(), vec![piece("b", 0.0, PieceKind::Control)]].concat();
    let tokenizer = load_model(more, TrainerSpec::default()).unwrap();
    assert_eq!(tokenizer.encode("ab"), [2, 3]);
    assert_eq!(tokenizer.id_of("b"), Some(4));
}

#[test]
fn damaged_character_maps() {
    let with = |charsmap: Vec<u8>| {
        let normalizer = NormalizerSpec { precompiled_charsmap: charsmap, ..Default::default() };
        load(&SpieceModel::new(pieces(), TrainerSpec::default(), normalizer).to_bytes())
    };
    let blob = |units: &[u32], strings: &[u8]| {
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        blob.extend_from_slice(strings);
        blob
    };
    let root = 256 << 10;
    let mut units = vec![0u32; 512];
    units[0] = root;
    assert!(with(blob(&units, b"\0")).is_ok());
    fails(with(vec![1, 2]), "normalizer_spec.precompiled_charsmap: shorter than its own length field");
    fails(with(blob(&units, b"")), "longer than the field");
    fails(with(blob(&units[..100], b"\0")), "no multiple of 1024");
    fails(with(blob(&units, b"x")), "do not end with a zero byte");
    fails(with(blob(&units, b"\xff\0")), "not UTF-8");
    fails(with(blob(&vec![0; 512], b"\0")), "no valid root");
    let mut outside = units.clone();
    outside[300] = 0x1f_ffff << 10;
    fails(with(blob(&outside, b"\0")), "points outside of itself");
    let mut value = units.clone();
    value[300] = 1 << 31 | 77;
    fails(with(blob(&value, b"\0")), "points outside of the strings");
    // 'b' (98) below the root leads back to where 'b' hangs: a cycle. It is walked once for each byte of the text
    // that is there, and has no value.
    let mut cyclic = units.clone();
    let b = 256 ^ 98;
    cyclic[b] = 98 | ((b as u32 ^ 256) << 10);
    let tokenizer = with(blob(&cyclic, b"\0")).unwrap();
    // ▁ is unknown here.
    assert_eq!(tokenizer.encode(&"b".repeat(1000)).len(), 1001);
}

#[test]
fn truncated_and_flipped_models_never_panic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/bytes.model");
    let bytes = std::fs::read(path).unwrap();
    let mut loaded = 0;
    for end in (0..bytes.len()).step_by(397) {
        loaded += usize::from(load(&bytes[..end]).is_ok());
    }
    let mut state = 5u64;
    for _ in 0..100 {
        let mut bytes = bytes.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % bytes.len();
            bytes[at] ^= 1 << (state >> 30 & 7);
        }
        if let Ok(tokenizer) = load(&bytes) {
            loaded += 1;
            let ids = tokenizer.encode("今天天气 é <x> 😀 the");
            tokenizer.decode(&ids);
        }
    }
    assert!(loaded > 0, "some damage goes unnoticed: flipped scores, for instance");
}

#[test]
fn missing_files_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| Tokenizer::load(path).err().unwrap().to_string();
    assert!(message(&folder.path().join("x.model")).contains("x.model"));
    assert!(message(folder.path()).contains("no tokenizer here"));
    let model = SpieceModel::new(pieces(), TrainerSpec::default(), NormalizerSpec::default()).to_bytes();
    std::fs::write(folder.path().join("a.model"), &model).unwrap();
    assert_eq!(Tokenizer::load(folder.path()).unwrap().source_files(), [folder.path().join("a.model")]);
    std::fs::write(folder.path().join("b.model"), &model).unwrap();
    assert!(message(folder.path()).contains("several tokenizers (a.model, b.model)"));
    std::fs::write(folder.path().join("spiece.model"), &model).unwrap();
    assert_eq!(Tokenizer::load(folder.path()).unwrap().source_files(), [folder.path().join("spiece.model")]);
}

/// A file of the goldens.
fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

#[test]
fn what_counts_in_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let loaded = || Tokenizer::load(folder.path());
    put("tokenizer_config.json", b"{}");
    assert!(loaded().err().unwrap().to_string().contains("no tokenizer here"));
    put("tokenizer_config.json", b"{\"tokenizer_class\": \"ByT5Tokenizer\"}");
    let bytes = loaded().unwrap();
    assert_eq!((bytes.encode("a"), bytes.vocab_size(), bytes.eos_id()), (vec![100], 384, 1));
    std::fs::copy(golden("json/bytes.json"), folder.path().join("tokenizer.json")).unwrap();
    let json = loaded().unwrap();
    assert_eq!(json.source_files()[0], folder.path().join("tokenizer.json"));
    put("vocab.txt", b"[UNK]\na\n");
    assert_eq!(loaded().unwrap().source_files()[0], folder.path().join("vocab.txt"));
    std::fs::copy(golden("bytes.model"), folder.path().join("spiece.model")).unwrap();
    let model = loaded().unwrap();
    assert_eq!(model.vocab_size(), json.vocab_size());
    put("tokenizer_config.json", b"{");
    assert!(loaded().err().unwrap().to_string().contains("tokenizer_config.json: JSON: not readable"));
}

/// T5's spiece.model lacks the sentinels that its tokenizer has.
#[test]
fn sentinels_are_added_where_the_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(golden("bytes.model"), folder.path().join("spiece.model")).unwrap();
    let pieces = Tokenizer::load(folder.path()).unwrap().vocab_size() as u32;
    for (config, count) in [
        ("{\"tokenizer_class\": \"T5Tokenizer\"}", 100),
        ("{\"tokenizer_class\": \"T5TokenizerFast\", \"extra_ids\": 7}", 7),
        ("{\"tokenizer_class\": \"T5Tokenizer\", \"extra_ids\": 0}", 0),
        ("{\"tokenizer_class\": \"XLMRobertaTokenizer\"}", 0),
    ] {
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.vocab_size() as u32, pieces + count, "{config}");
        if count > 0 {
            let ids = tokenizer.encode("今天<extra_id_0>天");
            assert!(ids.contains(&(pieces + count - 1)), "{ids:?}");
            assert!(tokenizer.is_sentinel(pieces) && !tokenizer.is_sentinel(pieces - 1));
            assert_eq!(tokenizer.decode(&ids), "今天<extra_id_0>天");
        }
        // The file named itself is what the library makes of it.
        let alone = Tokenizer::load(&folder.path().join("spiece.model")).unwrap();
        assert_eq!(alone.vocab_size() as u32, pieces);
    }
}

#[test]
fn a_tokenizer_json_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    for (text, expected) in [
        ("{\"model\": {\"type\": \"BPE\", \"vocab\": 3, \"merges\": []}}", "tokenizers: "),
        ("{\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}}", "tokenizers: "),
        (
            "{\"model\": {\"type\": \"Unigram\", \"unk_id\": null, \"vocab\": [[\"a\", -1.0]]}}",
            "not every text can be encoded",
        ),
        ("{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": []}}", "tokenizers: "),
        ("[]", "not a sound tokenizer.json"),
    ] {
        std::fs::write(&file, text).unwrap();
        let message = Tokenizer::load(folder.path()).err().unwrap().to_string();
        assert!(message.contains("tokenizer.json: ") && message.contains(expected), "{message}");
    }
}
