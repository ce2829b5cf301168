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
