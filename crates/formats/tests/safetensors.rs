//! Safetensors files: round trips of any tensors, and files made to mislead.

use std::io::Cursor;
use std::path::Path;

use proptest::prelude::*;
use t5kit_formats::safetensors::{MAX_HEADER, SafetensorsFile, SafetensorsWriter, TensorSpec};
use t5kit_formats::{DType, Error};

/// A file with this header, unpadded, and `data` bytes of zeros.
fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn open(bytes: &[u8]) -> Result<SafetensorsFile, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    SafetensorsFile::open(&path)
}

fn write(tensors: &[(TensorSpec, Vec<u8>)], chunk: usize) -> Vec<u8> {
    let specs: Vec<_> = tensors.iter().map(|t| t.0.clone()).collect();
    let mut writer = SafetensorsWriter::new(Vec::new(), Path::new("out"), &specs, &[("by", "test")]).unwrap();
    for (spec, data) in tensors {
        writer.tensor(&spec.name, data.chunks(chunk)).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn reads_what_the_library_wrote() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/safetensors/library.safetensors");
    let file = SafetensorsFile::open(&path).unwrap();
    let names: Vec<_> = file.names().collect();
    assert_eq!(names, ["bf16", "bool", "empty", "f16", "f32", "f64", "i64", "scalar", "u8", "层"]);
    assert_eq!(file.metadata()["format"], "pt");
    let f32s = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    assert_eq!(file.info("f32"), Some((DType::F32, &[2, 3][..])));
    assert_eq!(f32s(&file.bytes("f32").unwrap()), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
    assert_eq!(file.info("bf16"), Some((DType::Bf16, &[3][..])));
    // 1, -2 and 0.5 in bf16 and in f16.
    assert_eq!(&*file.bytes("bf16").unwrap(), [0x80, 0x3f, 0x00, 0xc0, 0x00, 0x3f]);
    assert_eq!(&*file.bytes("f16").unwrap(), [0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38]);
    assert_eq!(file.info("empty"), Some((DType::F32, &[0, 4][..])));
    assert!(file.bytes("empty").unwrap().is_empty());
    assert_eq!(file.info("scalar"), Some((DType::F32, &[][..])));
    assert_eq!(f32s(&file.bytes("scalar").unwrap()), [7.0]);
    let view = file.view("层").unwrap();
    assert_eq!((view.name, view.dtype, view.shape, view.data), ("层", DType::U8, &[1, 1][..], &[9u8][..]));
}

#[test]
fn bytes_outlive_the_file() {
    let spec = TensorSpec::new("a", DType::U8, [3]);
    let file = open(&write(&[(spec, vec![1, 2, 3])], 2)).unwrap();
    let bytes = file.bytes("a").unwrap();
    drop(file);
    assert_eq!(&*bytes, [1, 2, 3]);
    let (owner, range) = bytes.into_parts();
    assert_eq!((*owner).as_ref()[range], [1, 2, 3]);
}

#[test]
fn data_is_aligned_to_eight_bytes() {
    for name in ["a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "层"] {
        let bytes = write(&[(TensorSpec::new(name, DType::F32, [1]), vec![0; 4])], 4);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(header % 8, 0, "{name}");
        assert_eq!(bytes.len() as u64, 8 + header + 4);
    }
}

#[test]
fn empty_file_of_no_tensors() {
    let file = open(&write(&[], 1)).unwrap();
    assert_eq!(file.names().count(), 0);
    assert_eq!(file.metadata()["by"], "test");
    assert!(matches!(file.bytes("a"), Err(Error::NoTensor { .. })));
}

#[test]
fn attacks() {
    let a = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert!(open(&file(a, 8)).is_ok());
    let header = |entry: &str| format!(r#"{{"a":{entry}}}"#);
    let huge = format!("[{0},{0},{0}]", u32::MAX);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "it is empty"),
        ("half a length", vec![1, 0, 0], "3 bytes"),
        ("length without header", 10u64.to_le_bytes().to_vec(), "cut off"),
        ("length of all ones", vec![0xff; 64], "more than 100000000"),
        ("length over the limit", [&(MAX_HEADER + 1).to_le_bytes()[..], &[b'{'; 16]].concat(), "more than"),
        ("length beyond the file", [&100u64.to_le_bytes()[..], b"{}"].concat(), "cut off"),
        ("no header", file("", 0), "begin with {"),
        ("not UTF-8", [&3u64.to_le_bytes()[..], b"{\xff}"].concat(), "UTF-8"),
        ("not JSON", file("{nonsense}", 0), "header:"),
        ("a list", file("[]", 0), "begin with {"),
        ("two objects", file("{}{}", 0), "header:"),
        ("deep", file(&"{\"a\":".repeat(1 << 17), 0), "header:"),
        ("data cut off", file(a, 7), "cut off"),
        ("data left over", file(a, 9), "belong to none"),
        ("unknown type", file(&header(r#"{"dtype":"F33","shape":[2],"data_offsets":[0,8]}"#), 8), "F33"),
        ("wrong type", file(&header(r#"{"dtype":"F16","shape":[2],"data_offsets":[0,8]}"#), 8), "needs 4"),
        ("wrong shape", file(&header(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#), 8), "needs 12"),
        (
            "overflowing shape",
            file(&header(&format!(r#"{{"dtype":"F32","shape":{huge},"data_offsets":[0,8]}}"#)), 8),
            "overflows",
        ),
        (
            "wrapping shape",
            file(&header(r#"{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}"#), 8),
            "overflows",
        ),
        (
            "negative shape",
            file(&header(r#"{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#), 8),
            "header:",
        ),
        (
            "fractional shape",
            file(&header(r#"{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}"#), 8),
            "header:",
        ),
        (
            "backward offsets",
            file(&header(r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#), 8),
            "8 to 0",
        ),
        (
            "huge offset",
            file(&header(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}"#), 8),
            "cut off",
        ),
        (
            "three offsets",
            file(&header(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}"#), 8),
            "header:",
        ),
        ("no offsets", file(&header(r#"{"dtype":"F32","shape":[2]}"#), 8), "data_offsets"),
        ("no type", file(&header(r#"{"shape":[2],"data_offsets":[0,8]}"#), 8), "dtype"),
        (
            "twice the same name",
            file(
                r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
                2,
            ),
            "twice",
        ),
        (
            "overlap",
            file(
                r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#,
                3,
            ),
            "overlaps",
        ),
        (
            "same bytes twice",
            file(
                r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#,
                2,
            ),
            "overlaps",
        ),
        (
            "gap",
            file(
                r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}"#,
                5,
            ),
            "gap",
        ),
        ("metadata of numbers", file(r#"{"__metadata__":{"a":1}}"#, 0), "header:"),
        ("metadata twice", file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), "twice"),
    ];
    for (what, bytes, expected) in cases {
        let error = open(&bytes).map(|f| f.names().count()).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert!(error.contains("model.safetensors") && !error.contains('\n'), "{what}: {error}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(SafetensorsFile::open(dir.path()).is_err());
    let error = SafetensorsFile::open(&dir.path().join("gone")).unwrap_err().to_string();
    assert!(error.ends_with("cannot open: there is no such file or folder"), "{error}");
}

#[test]
fn writer_holds_the_caller_to_what_was_declared() {
    let specs = [TensorSpec::new("a", DType::F32, [2]), TensorSpec::new("b", DType::U8, [0])];
    let new = || SafetensorsWriter::new(Cursor::new(Vec::new()), Path::new("out"), &specs, &[]).unwrap();

    let error = new().tensor("b", [[0u8; 0]]).unwrap_err().to_string();
    assert!(error.contains("not its turn, expected a"), "{error}");
    let error = new().tensor("a", [[0; 5], [0; 5]]).unwrap_err().to_string();
    assert!(error.contains("more data than the 8 bytes"), "{error}");
    let mut writer = new();
    let error = writer.tensor("a", [[0; 5]]).unwrap_err().to_string();
    assert!(error.contains("5 bytes of data, declared with 8"), "{error}");
    // The five bytes are out already.
    assert!(writer.tensor("a", [[0; 8]]).is_err());
    assert!(writer.finish().is_err());
    let mut writer = new();
    writer.tensor("a", [[0; 4], [0; 4]]).unwrap();
    writer.tensor("b", [[0u8; 0]; 0]).unwrap();
    assert!(writer.tensor("c", [[0; 1]]).unwrap_err().to_string().contains("written already"));
    assert!(writer.finish().is_ok());

    for bad in [
        vec![TensorSpec::new("a", DType::U8, [1]), TensorSpec::new("a", DType::U8, [1])],
        vec![TensorSpec::new("__metadata__", DType::U8, [1])],
        vec![TensorSpec::new("a", DType::F32, [usize::MAX])],
        vec![TensorSpec::new("a", DType::U8, [usize::MAX]), TensorSpec::new("b", DType::U8, [1])],
    ] {
        let error = SafetensorsWriter::new(Vec::new(), Path::new("out"), &bad, &[]).unwrap_err();
        assert!(matches!(error, Error::Tensor { .. }), "{error}");
    }
}

fn tensors() -> impl Strategy<Value = Vec<(TensorSpec, Vec<u8>)>> {
    let dtypes = vec![DType::F64, DType::F32, DType::F16, DType::Bf16, DType::I64, DType::U8, DType::Bool];
    let one = (prop::sample::select(dtypes), prop::collection::vec(0usize..5, 0..4), any::<u64>());
    prop::collection::btree_map("\\PC{0,12}", one, 0..8).prop_map(|map| {
        map.into_iter()
            .filter(|(name, _)| name != "__metadata__")
            .map(|(name, (dtype, shape, seed))| {
                let len = dtype.byte_len(&shape).unwrap();
                let data = (0..len).map(|i| (seed.rotate_left(i as u32) ^ i as u64) as u8).collect();
                (TensorSpec { name, dtype, shape }, data)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn written_and_read_again_is_the_same(tensors in tensors(), chunk in 1usize..40) {
        let file = open(&write(&tensors, chunk)).unwrap();
        prop_assert_eq!(file.names().count(), tensors.len());
        for (spec, data) in &tensors {
            prop_assert_eq!(file.info(&spec.name), Some((spec.dtype, &*spec.shape)));
            let bytes = file.bytes(&spec.name).unwrap();
            prop_assert_eq!(&*bytes, &**data);
        }
    }

    #[test]
    fn every_truncation_and_flipped_byte_is_an_error_or_a_sound_file(
        tensors in tensors(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let whole = write(&tensors, 64);
        let at = at.index(whole.len());
        prop_assert!(open(&whole[..at]).is_err());
        let mut flipped = whole.clone();
        flipped[at] ^= byte;
        if let Ok(file) = open(&flipped) {
            let names: Vec<String> = file.names().map(str::to_owned).collect();
            let total: usize = names.iter().map(|n| file.bytes(n).unwrap().len()).sum();
            prop_assert!(total < whole.len());
        }
    }
}
