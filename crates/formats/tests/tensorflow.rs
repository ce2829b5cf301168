//! TensorFlow checkpoints: those TensorFlow wrote, and tables made to mislead.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use t5kit_formats::tensorflow::{MeshCheckpoint, TensorBundle, check, find};
use t5kit_formats::{Checkpoint, DType, T5Config};

#[derive(Deserialize)]
struct Expected {
    dtype: String,
    shape: Vec<usize>,
    bytes: String,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tensorflow").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_families_checkpoints_in_transformers_names_and_layouts() {
    let text = fs::read(data("expected.json")).unwrap();
    let expected: BTreeMap<String, BTreeMap<String, Expected>> = serde_json::from_slice(&text).unwrap();
    assert_eq!(expected.len(), 3);
    for (name, weights) in expected {
        let c = Checkpoint::open(&data(&format!("{name}.ckpt-1000"))).unwrap();
        assert_eq!(c.names().collect::<Vec<_>>(), weights.keys().collect::<Vec<_>>(), "{name}");
        for (weight, want) in &weights {
            let (dtype, shape) = c.info(weight).unwrap();
            assert_eq!((dtype.safetensors(), &shape), (&*want.dtype, &want.shape), "{name} {weight}");
            assert_eq!(hex(&c.bytes(weight).unwrap()), want.bytes, "{name} {weight}");
            for band in [1, 5, 100] {
                let mut bytes = Vec::new();
                let take = &mut |part: &[u8]| {
                    bytes.extend_from_slice(part);
                    Ok::<(), t5kit_formats::Error>(())
                };
                c.bands(weight, band, take).unwrap();
                assert_eq!(hex(&bytes), want.bytes, "{name} {weight} by {band} rows");
            }
        }
    }
}

#[test]
fn all_types_and_several_blocks() {
    let b = TensorBundle::open(&data("tf2")).unwrap();
    let value = |name: &str| {
        let name = format!("{name}/.ATTRIBUTES/VARIABLE_VALUE");
        (b.info(&name).unwrap().0, b.bytes(&name).unwrap().to_vec())
    };
    assert_eq!(value("f16"), (DType::F16, vec![0, 0x3c, 0, 0, 0, 0x42]));
    assert_eq!(value("f64").1[16..], 3f64.to_le_bytes());
    assert_eq!(value("i32"), (DType::I32, vec![1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]));
    assert_eq!(value("i64").0, DType::I64);
    assert_eq!(value("u8"), (DType::U8, vec![1, 0, 3]));
    assert_eq!(value("bool"), (DType::Bool, vec![1, 0, 1]));
    for i in 0..200u8 {
        assert_eq!(value(&format!("many/{i}")), (DType::F32, f32::from(i).to_le_bytes().to_vec()));
    }
    // Its object graph is a string, and is left out.
    assert!(!b.names().any(|n| n.contains("GRAPH")));
}

#[test]
fn several_data_files() {
    let b = TensorBundle::open(&data("sharded")).unwrap();
    for (name, value) in [("v0", 1.5f32), ("v1", 2.5)] {
        assert_eq!(*b.bytes(name).unwrap(), [value.to_le_bytes(); 2].concat());
    }
}

fn copy(prefix: &str, to: &Path) {
    for entry in fs::read_dir(data("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(prefix) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn what_names_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(find(dir.path()).unwrap(), None);
    assert_eq!(find(&dir.path().join("gone")).unwrap(), None);
    copy("t5.ckpt", dir.path());
    let t5 = dir.path().join("t5.ckpt-1000");
    for place in [dir.path().to_owned(), t5.clone(), dir.path().join("t5.ckpt-1000.index")] {
        assert_eq!(find(&place).unwrap().unwrap(), t5);
        assert!(Checkpoint::open(&place).unwrap().contains("shared.weight"));
    }
    copy("mt5.ckpt", dir.path());
    let error = find(dir.path()).unwrap_err().to_string();
    assert!(error.contains("name one of mt5.ckpt-1000, t5.ckpt-1000"), "{error}");
    // The path of the machine it was trained on counts for nothing but its name.
    let text =
        "model_checkpoint_path: \"gs://bucket/model/t5.ckpt-1000\"\nall_model_checkpoint_paths: \"x\"\n";
    fs::write(dir.path().join("checkpoint"), text).unwrap();
    assert_eq!(find(dir.path()).unwrap().unwrap(), t5);
}

#[test]
fn broken_data_files() {
    let dir = tempfile::tempdir().unwrap();
    copy("t5.ckpt", dir.path());
    let prefix = dir.path().join("t5.ckpt-1000");
    let file = dir.path().join("t5.ckpt-1000.data-00000-of-00001");
    let good = fs::read(&file).unwrap();
    let mut flipped = good.clone();
    for byte in &mut flipped {
        *byte ^= 1;
    }
    fs::write(&file, flipped).unwrap();
    let error = MeshCheckpoint::open(&prefix).unwrap().bytes("shared.weight").unwrap_err().to_string();
    assert!(error.contains("tensor shared/embedding: its checksum is wrong"), "{error}");
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    let error = MeshCheckpoint::open(&prefix).unwrap_err().to_string();
    assert!(error.contains("tensor ") && error.contains("is it cut off?"), "{error}");
    fs::remove_file(&file).unwrap();
    let error = MeshCheckpoint::open(&prefix).unwrap_err().to_string();
    assert!(error.contains("data-00000-of-00001: half a TensorFlow checkpoint"), "{error}");
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}

/// Entries of a block with these keys and values, none shared, and its restart array.
fn plain_block(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in pairs {
        out.push(0);
        out.extend(varint(key.len() as u64));
        out.extend(varint(value.len() as u64));
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    }
    out.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    out
}

/// A table of these blocks, each with its kind of compression, their checksums right.
fn table(blocks: &[(Vec<u8>, u8)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut add = |content: &[u8], kind: u8| {
        let handle = [varint(out.len() as u64), varint(content.len() as u64)].concat();
        let with_kind = [content, &[kind]].concat();
        out.extend_from_slice(&with_kind);
        let crc = crc32c::crc32c(&with_kind).rotate_right(15).wrapping_add(0xa282_ead8);
        out.extend(crc.to_le_bytes());
        handle
    };
    let handles: Vec<Vec<u8>> = blocks.iter().map(|(content, kind)| add(content, *kind)).collect();
    let keys: Vec<String> = (0..handles.len()).map(|i| format!("{i:04}")).collect();
    let list: Vec<(&[u8], &[u8])> = keys.iter().zip(&handles).map(|(k, h)| (k.as_bytes(), &**h)).collect();
    let index = add(&plain_block(&list), 0);
    let mut footer = [varint(0), varint(0), index].concat();
    footer.resize(40, 0);
    footer.extend(0xdb47_7524_8b80_fb57u64.to_le_bytes());
    [out, footer].concat()
}

const HEADER: (&[u8], &[u8]) = (b"", b"\x08\x01\x1a\x02\x08\x01");
/// A float tensor of shape [2] at offset 0, 8 bytes.
const ENTRY: &[u8] = b"\x08\x01\x12\x04\x12\x02\x08\x02\x28\x08";

#[test]
fn blocks_of_snappy() {
    let block = plain_block(&[HEADER, (b"a", ENTRY), (b"b", ENTRY)]);
    assert_eq!(check(&table(&[(block.clone(), 0)])).unwrap(), 2);
    let packed = snap::raw::Encoder::new().compress_vec(&block).unwrap();
    let more = snap::raw::Encoder::new().compress_vec(&plain_block(&[(b"c", ENTRY)])).unwrap();
    assert_eq!(check(&table(&[(packed, 1), (more, 1)])).unwrap(), 3);
}

#[test]
fn tables_that_mislead() {
    let one = |pairs: &[(&[u8], &[u8])]| table(&[(plain_block(pairs), 0)]);
    let entry = |proto: &[u8]| one(&[HEADER, (b"a", proto)]);
    let good = entry(ENTRY);
    assert_eq!(check(&good).unwrap(), 1);
    let edit = |at: usize, bytes: &[u8]| {
        let mut out = good.clone();
        out[at..at + bytes.len()].copy_from_slice(bytes);
        out
    };
    let end = good.len();
    let bomb = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 24]).unwrap();
    // Says that it decompresses to 4 GB.
    let liar = [&varint(u32::MAX.into())[..], &[0; 16]].concat();
    // One long key, then entries of five bytes that share all of it.
    let mut sharing = plain_block(&[HEADER, (&[b'k'; 990], b"")]);
    sharing.truncate(sharing.len() - 8);
    for _ in 0..10_000 {
        sharing.extend([0xde, 0x07, 0, 0]);
    }
    sharing.extend([0, 0, 0, 0, 1, 0, 0, 0]);
    for (what, bytes, expected) in [
        ("nothing", vec![], "end is missing"),
        ("cut off", good[..end - 1].to_vec(), "end is missing"),
        ("only an end", good[end - 48..].to_vec(), "outside the file"),
        ("a broken handle", edit(end - 48, &[0xff; 40]), "end is broken"),
        ("a handle far away", edit(end - 46, &[0xff, 0xff, 0xff, 0xff, 0x7f, 1]), "outside the file"),
        ("a flipped byte", edit(3, &[0x55]), "checksum of the block"),
        ("an unknown compression", table(&[(plain_block(&[HEADER]), 9)]), "unknown compression 9"),
        ("not snappy", table(&[(vec![0xff; 9], 1)]), "does not decompress"),
        ("a bomb", table(&[(bomb, 1)]), "expands to more"),
        ("a lie about the size", table(&[(liar, 1)]), "expands to more"),
        ("shared keys", table(&[(sharing, 0)]), "expands to more"),
        ("restarts beyond the block", table(&[(vec![0xff, 0xff, 0xff, 0xff], 0)]), "block is broken"),
        ("a block of nothing", table(&[(vec![], 0)]), "block is broken"),
        ("sharing with nothing", table(&[(vec![5, 1, 1, b'a', b'b', 0, 0, 0, 0], 0)]), "block is broken"),
        ("a value beyond the block", table(&[(vec![0, 1, 99, b'a', b'b', 0, 0, 0, 0], 0)]), "block is broken"),
        ("a key of 2^63", table(&[([&[0][..], &varint(1 << 63), &[1, b'a', 0, 0, 0, 0]].concat(), 0)]), "is broken"),
        ("out of order", one(&[HEADER, (b"b", ENTRY), (b"a", ENTRY)]), "not in order"),
        ("twice", one(&[HEADER, (b"a", ENTRY), (b"a", ENTRY)]), "not in order"),
        ("no header", one(&[(b"a", ENTRY)]), "no header"),
        ("no files", one(&[(b"", b"\x08\x00")]), "number of data files"),
        ("many files", one(&[(b"", b"\x08\xff\xff\x7f")]), "number of data files"),
        ("files unsaid", one(&[(b"", b"")]), "how many data files"),
        ("big endian", one(&[(b"", b"\x08\x01\x10\x01")]), "big-endian"),
        ("a broken header", one(&[(b"", b"\x08")]), "its header"),
        ("not UTF-8", one(&[HEADER, (b"\xff", ENTRY)]), "not UTF-8"),
        ("a broken entry", entry(b"\x12\xff"), "tensor a: "),
        ("another size", entry(b"\x08\x01\x12\x04\x12\x02\x08\x02\x28\x09"), "needs 8 bytes, the index gives 9"),
        ("a negative shape", entry(b"\x08\x01\x12\x0d\x12\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "negative"),
        (
            "an overflowing shape",
            entry(b"\x08\x01\x12\x18\x12\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x12\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
            "overflows",
        ),
        ("many dimensions", entry(&[&b"\x08\x01\x12\x44"[..], &b"\x12\x02\x08\x01".repeat(17)].concat()), "dimensions"),
        ("an offset that overflows", entry(&[ENTRY, b"\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"].concat()), "overflows"),
        ("another file", entry(&[ENTRY, b"\x18\x01"].concat()), "data file that there is not"),
        ("slices", entry(&[ENTRY, b"\x3a\x00"].concat()), "slices"),
        ("an unknown type", entry(b"\x08\x63"), "type 99"),
    ] {
        let error = check(&bytes).map(|_| what).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert!(error.starts_with("(memory): ") && !error.contains('\n'), "{what}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn no_change_makes_it_fail_otherwise_than_by_an_error(
        file in prop::sample::select(vec!["t5.ckpt-1000.index", "tf2.index", "sharded.index"]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fs::read(data(file)).unwrap();
        let good = bytes.clone();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Checksums cover all that is read but the end.
        if let Ok(count) = check(&bytes) {
            prop_assert_eq!(count, check(&good).unwrap());
        }
    }

    /// Past the checksums, into the blocks.
    #[test]
    fn no_block_makes_it_fail_otherwise_than_by_an_error(
        block in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..2
    ) {
        let _ = check(&table(&[(block.clone(), kind)]));
        let restarts = [&block[..], &[0, 0, 0, 0]].concat();
        let _ = check(&table(&[(restarts, 0)]));
        let _ = check(&table(&[(plain_block(&[HEADER, (b"a", &block)]), 0)]));
    }
}

#[test]
fn the_configuration_beside_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    copy("mt5.ckpt", dir.path());
    let c = Checkpoint::open(&dir.path().join("mt5.ckpt-1000")).unwrap();
    let error = T5Config::of(&c, None).unwrap_err().to_string();
    assert!(error.contains("give `config` FILE"), "{error}");

    let gin = "d_model = 6\nd_kv = 4\nd_ff = 10\nnum_heads = 2\nnum_layers = 2\n\
        DenseReluDense.activation = ['gelu', 'linear']\nSelfAttention.relative_attention_num_buckets = 4\n\
        Unitransformer.shared_embedding_and_softmax_weights = False\n";
    fs::write(dir.path().join("operative_config.gin"), gin).unwrap();
    let from_gin = T5Config::of(&c, None).unwrap();
    assert_eq!((from_gin.vocab_size, from_gin.d_model, from_gin.num_decoder_layers), (12, 6, 2));

    let keras = r#"{"hidden_size": 6, "attention_head_size": 4, "intermediate_size": 10, "num_attention_heads": 2,
        "num_hidden_layers": 2, "vocab_size": 12, "hidden_act": ["gelu", "linear"], "hidden_dropout_prob": 0.1,
        "relative_attention_num_buckets": 4}"#;
    let other = tempfile::tempdir().unwrap();
    let given = other.path().join("t5_config.json");
    fs::write(&given, keras).unwrap();
    for place in [given.as_path(), other.path()] {
        assert_eq!(T5Config::of(&c, Some(place)).unwrap(), from_gin);
    }
    // Found by its name where it is the only one.
    fs::rename(&given, dir.path().join("t5_config.json")).unwrap();
    fs::remove_file(dir.path().join("operative_config.gin")).unwrap();
    fs::write(dir.path().join("tokenizer_config.json"), "{}").unwrap();
    assert_eq!(T5Config::of(&c, None).unwrap(), from_gin);
}
