//! GGUF files of a T5 as llama.cpp's package writes them (`tools/gguf_goldens.py`), and files that are none or lie.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use t5kit_formats::gguf::{GgufFile, GgufTokenizer, check, spiece_bytes};
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_formats::spiece::{PieceKind, SpieceModel};
use t5kit_formats::{Checkpoint, DType, T5Config};

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    bytes: String,
}

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A whole model.
fn model(name: &str) -> PathBuf {
    tests("model/tests/gguf").join(format!("{name}.gguf"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Every type, to the last bit, whole and by bands.
#[test]
fn values_are_those_of_the_gguf_package() {
    let data = tests("formats/tests/data/gguf");
    let expected: BTreeMap<String, Expected> =
        serde_json::from_slice(&fs::read(data.join("kinds.json")).unwrap()).unwrap();
    assert_eq!(expected.len(), 9);
    let c = Checkpoint::open(&data.join("kinds.gguf")).unwrap();
    assert_eq!(c.format(), "GGUF");
    assert!(c.notes()[0].contains("quantised (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0)"), "{:?}", c.notes());
    assert_eq!(c.names().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (tensor, want) in &expected {
        let dtype = match &**tensor {
            "a.F16" => DType::F16,
            "a.BF16" => DType::Bf16,
            _ => DType::F32,
        };
        assert_eq!(c.info(tensor).unwrap(), (dtype, want.shape.clone()), "{tensor}");
        assert_eq!(hex(&c.bytes(tensor).unwrap()), want.bytes, "{tensor}");
        for band in [1, 2, 100] {
            let mut bands = Vec::new();
            let mut take = |bytes: &[u8]| -> Result<(), t5kit_formats::Error> {
                bands.extend_from_slice(bytes);
                Ok(())
            };
            c.bands(tensor, band, &mut take).unwrap();
            assert_eq!(hex(&bands), want.bytes, "{tensor}, {band} rows at a time");
        }
    }
}

/// transformers' names, and the very bytes, of a model that is a folder too.
#[test]
fn weights_have_transformers_names() {
    let c = Checkpoint::open(&model("umt5-F32")).unwrap();
    let golden = SafetensorsFile::open(&tests("model/tests/goldens/umt5/model.safetensors")).unwrap();
    assert_eq!(c.names().collect::<Vec<_>>(), golden.names().collect::<Vec<_>>());
    assert!(c.notes().is_empty());
    for name in golden.names() {
        assert_eq!(*c.bytes(name).unwrap(), *golden.bytes(name).unwrap(), "{name}");
    }
    // A folder with such a file alone.
    let dir = tempfile::tempdir().unwrap();
    fs::copy(model("umt5-F32"), dir.path().join("a.gguf")).unwrap();
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.notes(), ["a.gguf: taken as the weights"]);
    fs::copy(model("umt5-F32"), dir.path().join("b.gguf")).unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("several files of weights: a.gguf, b.gguf; name one"), "{error}");
}

#[test]
fn configurations_are_those_of_the_models() {
    let of = |name: &str| T5Config::of(&Checkpoint::open(&model(name)).unwrap(), None).unwrap();
    let config = of("umt5-F32");
    let golden = T5Config::read(&tests("model/tests/goldens/umt5/config.json")).unwrap();
    assert_eq!(config, T5Config { other: Default::default(), ..golden });
    let t5 = of("t5-Q8_0");
    assert_eq!((&*t5.model_type, &*t5.feed_forward_proj, t5.tie_word_embeddings), ("t5", "relu", true));
    assert_eq!((t5.num_layers, t5.num_decoder_layers, t5.num_heads, t5.d_kv, t5.d_ff), (2, 1, 2, 16, 32));
    assert_eq!((t5.pad_token_id, t5.eos_token_id, t5.decoder_start_token_id), (2, 0, 2));
    assert_eq!((t5.vocab_size, t5.layer_norm_epsilon), (336, 1e-6));
    let mt5 = of("mt5-BF16");
    assert_eq!(
        (&*mt5.model_type, &*mt5.feed_forward_proj, mt5.tie_word_embeddings),
        ("mt5", "gated-gelu", false)
    );
    assert_eq!((mt5.num_layers, mt5.num_decoder_layers, mt5.d_kv, mt5.inner_dim()), (1, 2, 8, 24));
    // What lies beside it counts.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.gguf");
    fs::copy(model("t5-Q8_0"), &file).unwrap();
    T5Config { dropout_rate: 0.25, ..t5 }.write(&dir.path().join("config.json"), false).unwrap();
    assert_eq!(T5Config::of(&Checkpoint::open(&file).unwrap(), None).unwrap().dropout_rate, 0.25);
}

#[test]
fn tokenizers_are_those_they_were_made_from() {
    for (name, original, rows, kind) in [
        ("t5-F16", "symbols", 336, "t5"),
        ("t5-Q8_0", "casefold", 336, "t5"),
        ("mt5-BF16", "bytes", 480, "mt5"),
    ] {
        let tokenizer = GgufTokenizer::read(&model(name)).unwrap().unwrap();
        let path = tests("tokenizer/tests/goldens").join(format!("{original}.model"));
        let original = SpieceModel::parse(&fs::read(&path).unwrap(), &path).unwrap();
        assert_eq!(tokenizer.model.pieces, original.pieces, "{name}");
        assert_eq!((tokenizer.rows, tokenizer.model_type), (rows, kind));
        assert!(tokenizer.added.is_empty());
        let (made, theirs) = (&tokenizer.model.normalizer_spec, &original.normalizer_spec);
        assert_eq!(made.precompiled_charsmap, theirs.precompiled_charsmap);
        assert_eq!(made.add_dummy_prefix, theirs.add_dummy_prefix);
        assert_eq!(made.remove_extra_whitespaces, theirs.remove_extra_whitespaces);
        assert_eq!(tokenizer.model.trainer_spec.byte_fallback, original.trainer_spec.byte_fallback);
        assert_eq!(tokenizer.model.trainer_spec.pad_piece, "<pad>");
        assert_eq!(spiece_bytes(&model(name)).unwrap(), tokenizer.model.to_bytes());
        assert_eq!(spiece_bytes(&path).unwrap(), fs::read(&path).unwrap());
    }
    assert_eq!(GgufTokenizer::read(&model("umt5-F32")).unwrap(), None);
}

/// A file of parts, as the package writes them.
#[derive(Clone)]
struct Parts {
    version: u32,
    pairs: Vec<(String, Vec<u8>)>,
    /// Name, dimensions in the file's order, type, offset.
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
    data: usize,
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn pair(key: &str, kind: u32, value: &[u8]) -> (String, Vec<u8>) {
    (key.to_owned(), [&kind.to_le_bytes()[..], value].concat())
}

impl Parts {
    /// An embedding and nothing else.
    fn sound() -> Self {
        let tensors = vec![("token_embd.weight".to_owned(), vec![32, 2], 0, 0)];
        let pairs = vec![pair("general.architecture", 8, &text("t5"))];
        Parts { version: 3, pairs, tensors, data: 256 }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            out.extend(text(key));
            out.extend(value);
        }
        for (name, sizes, kind, offset) in &self.tensors {
            out.extend(text(name));
            out.extend((sizes.len() as u32).to_le_bytes());
            sizes.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + self.data, 0);
        out
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

fn error_of(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    fs::write(&path, bytes).unwrap();
    GgufFile::open(&path).unwrap_err().to_string()
}

#[test]
fn what_is_none_says_how_to_mend_it() {
    let sound = Parts::sound();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    fs::write(&path, sound.bytes()).unwrap();
    let file = GgufFile::open(&path).unwrap();
    assert_eq!(file.info("shared.weight"), Some((DType::F32, &[2, 32][..])));
    assert_eq!(file.path(), path);
    let error = file.config().unwrap_err().to_string();
    assert!(
        error.contains("t5.embedding_length: missing from the file's metadata; give `config`"),
        "{error}"
    );
    fs::write(dir.path().join("2.gguf"), sound.clone().with(|p| p.version = 2).bytes()).unwrap();
    assert!(GgufFile::open(&dir.path().join("2.gguf")).is_ok());

    let architecture = |name: &str| {
        let pair = pair("general.architecture", 8, &text(name));
        sound.clone().with(|p| p.pairs[0] = pair)
    };
    let also = |key: &str, kind: u32, value: &[u8]| {
        let pair = pair(key, kind, value);
        sound.clone().with(|p| p.pairs.push(pair))
    };
    let tensor = |sizes: &[u64], kind: u32, offset: u64| {
        let tensor = ("token_embd.weight".to_owned(), sizes.to_vec(), kind, offset);
        sound.clone().with(|p| p.tensors[0] = tensor)
    };
    for (parts, part) in [
        (
            architecture("llama"),
            "a GGUF file of the architecture \"llama\", which is none that is read here; t5 is",
        ),
        (architecture("t5encoder"), "the encoder of a T5 alone"),
        (sound.clone().with(|p| p.pairs.clear()), "general.architecture: missing"),
        (also("general.type", 8, &text("adapter")), "of the type \"adapter\", not a model"),
        (also("split.count", 2, &3u16.to_le_bytes()), "llama-gguf-split --merge"),
        (also("general.architecture", 8, &text("t5")), "is there twice"),
        (also("general.alignment", 4, &48u32.to_le_bytes()), "48 is no power of two"),
        (also("general.alignment", 8, &text("x")), "should be a whole number"),
        (also("x", 13, &[]), "metadata \"x\": a value of the type 13, which is unknown"),
        (also("x", 8, &u64::MAX.to_le_bytes()), "metadata \"x\": "),
        (also("x", 9, &[&[6, 0, 0, 0][..], &(u64::MAX / 2).to_le_bytes()].concat()), "metadata \"x\": "),
        (also("x", 8, &[&2u64.to_le_bytes()[..], b"\xff\xfe"].concat()), "not UTF-8"),
        (sound.clone().with(|p| p.version = 1), "GGUF version 1"),
        (sound.clone().with(|p| p.version = 4), "GGUF version 4, which is not read; 2 and 3 are"),
        (sound.clone().with(|p| p.version = 3u32.swap_bytes()), "big-endian"),
        (sound.clone().with(|p| p.tensors.push(p.tensors[0].clone())), "is listed twice"),
        (
            sound.clone().with(|p| p.data = 255),
            "token_embd.weight: of [2, 32] goes beyond the end of the file",
        ),
        (tensor(&[32, 2], 12, 0), "tensor token_embd.weight is stored as Q4_K, which is not read"),
        (tensor(&[32, 2], 12, 0), "llama-quantize --allow-requantize FILE NEW Q8_0"),
        (tensor(&[32, 2], 16, 0), "stored as IQ2_XXS"),
        (tensor(&[32, 2], 99, 0), "stored as type 99"),
        (tensor(&[33, 2], 8, 0), "rows of 33 are no whole blocks"),
        (tensor(&[32, 2], 0, 8), "no multiple of the alignment 32"),
        (tensor(&[32, 2], 0, u64::MAX - 31), "goes beyond the end"),
        (tensor(&[u64::MAX, 2], 0, 0), "no whole blocks"),
        (tensor(&[1 << 40, 1 << 40], 1, 0), "goes beyond the end"),
        (tensor(&[1, 1, 1, 1, 1], 0, 0), "has 5 dimensions"),
    ] {
        let error = error_of(&parts.bytes());
        assert!(error.contains(part) && !error.contains('\n'), "{part}: {error}");
    }
    let mut other = sound.bytes();
    other[..4].copy_from_slice(b"GGML");
    assert!(error_of(&other).contains("does not begin with GGUF"));
    let whole = fs::read(model("t5-Q8_0")).unwrap();
    for cut in [4, 7, 8, 23, 24, 30, 100, 500, 5000, 20_000, whole.len() - 64] {
        let error = error_of(&whole[..cut]);
        let told = error.contains("not a sound GGUF file") || error.contains("goes beyond the end");
        assert!(told && !error.contains('\n'), "{cut}: {error}");
    }
    assert!(check(&whole).is_ok());
}

fn list(kind: u32, values: &[Vec<u8>]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes(), &values.concat()].concat()
}

/// What llama.cpp's converter writes behind the pieces.
#[test]
fn added_tokens_and_padding_are_no_pieces() {
    let rows = [
        ("<pad>", 0.0, 3),
        ("</s>", 0.0, 3),
        ("<unk>", 0.0, 2),
        ("▁", -1.0, 1),
        ("[PAD4]", -2.0, 1),
        ("<extra_id_1>", -1000.0, 4),
        ("<extra_id_0>", -1000.0, 4),
        ("[PAD7]", -10000.0, 5),
        ("<event>", -1000.0, 4),
        ("[PAD9]", -10000.0, 5),
    ];
    let with = |rows: &[(&str, f32, u32)], model: &str| {
        let of = |each: fn(&(&str, f32, u32)) -> Vec<u8>| rows.iter().map(each).collect::<Vec<_>>();
        Parts::sound().with(|p| {
            p.pairs.push(pair("tokenizer.ggml.model", 8, &text(model)));
            p.pairs.push(pair("tokenizer.ggml.tokens", 9, &list(8, &of(|r| text(r.0)))));
            p.pairs.push(pair("tokenizer.ggml.scores", 9, &list(6, &of(|r| r.1.to_le_bytes().to_vec()))));
            p.pairs.push(pair("tokenizer.ggml.token_type", 9, &list(5, &of(|r| r.2.to_le_bytes().to_vec()))));
            p.pairs.push(pair("tokenizer.ggml.eos_token_id", 4, &1u32.to_le_bytes()));
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.gguf");
    let read = |parts: &Parts| {
        let _ = fs::remove_file(&path);
        fs::write(&path, parts.bytes()).unwrap();
        GgufTokenizer::read(&path)
    };
    let tokenizer = read(&with(&rows, "t5")).unwrap().unwrap();
    let pieces: Vec<_> = tokenizer.model.pieces.iter().map(|p| (&*p.text, p.kind)).collect();
    assert_eq!(pieces[3..], [("▁", PieceKind::Normal), ("[PAD4]", PieceKind::Normal)]);
    let added: Vec<_> = tokenizer.added.iter().map(|t| (t.id, &*t.content)).collect();
    assert_eq!(added, [(5, "<extra_id_1>"), (6, "<extra_id_0>"), (8, "<event>")]);
    assert_eq!(tokenizer.rows, 10);

    let error = read(&with(&rows, "llama")).unwrap_err().to_string();
    assert!(error.contains("tokenizer.ggml.model: \"llama\" is no tokenizer of T5's"), "{error}");
    for (at, part) in [
        (2, "tokenizer.ggml.tokens: missing"),
        (3, "tokenizer.ggml.scores: missing"),
        (4, "tokenizer.ggml.token_type: missing"),
    ] {
        let error = read(&with(&rows, "t5").with(|p| _ = p.pairs.remove(at))).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let shorter = with(&rows[..9], "t5");
    let error =
        read(&with(&rows, "t5").with(|p| p.pairs[3] = shorter.pairs[3].clone())).unwrap_err().to_string();
    assert!(error.contains("tokenizer.ggml.scores: 9 for 10 tokens"), "{error}");
    let error = read(&with(&[("a", 0.0, 9)], "t5")).unwrap_err().to_string();
    assert!(error.contains("token 0 has the type 9, which is unknown"), "{error}");
}
