//! Files of `torch.save`: every way torch writes them, and files made to mislead or to run something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use t5kit_formats::pytorch::{TorchFile, check};
use t5kit_formats::{Checkpoint, DType};

#[derive(Deserialize)]
struct Expected {
    dtype: String,
    shape: Vec<usize>,
    bytes: String,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pytorch").join(name)
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&std::fs::read(data("expected.json")).unwrap()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Compares the file with what torch had, and says which tensors it holds.
fn compare(name: &str) -> Vec<String> {
    let expected = expected();
    let file = TorchFile::open(&data(name)).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    for tensor in &names {
        let want = &expected[tensor];
        let (dtype, shape) = file.info(tensor).unwrap();
        assert_eq!((dtype.safetensors(), shape), (&*want.dtype, &*want.shape), "{name} {tensor}");
        assert_eq!(hex(&file.bytes(tensor).unwrap()), want.bytes, "{name} {tensor}");
    }
    names
}

#[test]
fn every_form_that_torch_writes() {
    for name in ["state", "plain_dict", "wrapped"] {
        assert_eq!(compare(&format!("{name}.bin")).len(), 19);
        assert_eq!(compare(&format!("{name}.legacy.bin")).len(), 19);
    }
    for protocol in 3..=5 {
        assert_eq!(compare(&format!("protocol{protocol}.bin")).len(), 19);
    }
    for name in ["module.bin", "module.legacy.bin"] {
        assert_eq!(compare(name), ["0.bias", "0.weight", "1.bias", "1.weight"]);
    }
}

#[test]
fn what_training_programs_save_beside_the_weights_is_passed_over() {
    for (name, notes) in [
        ("wrapped", vec!["the weights lie under state_dict; left out: epoch, loss, none"]),
        (
            "lightning",
            vec![
                "the weights lie under state_dict; left out: epoch, pytorch-lightning_version, loops, callbacks, \
             optimizer_states, lr_schedulers, hyper_parameters, rng",
            ],
        ),
        (
            "deepspeed",
            vec![
                "the weights lie under module; left out: optimizer, lr_scheduler, rng_state, ds_config, dtype, device",
            ],
        ),
        ("deeper", vec!["the weights lie under checkpoint.model; left out: args"]),
        ("own_name", vec!["the weights lie under my_t5; left out: cpu_rng_state"]),
        ("numbers_among", vec!["left out, being no tensors: epoch, name, best, done, none"]),
        ("state", vec![]),
    ] {
        for form in ["bin", "legacy.bin"] {
            let name = format!("{name}.{form}");
            assert_eq!(compare(&name).len(), 19, "{name}");
            assert_eq!(TorchFile::open(&data(&name)).unwrap().notes(), notes, "{name}");
        }
    }
    for name in ["attributes.bin", "attributes.legacy.bin"] {
        assert_eq!(compare(name), ["matrix", "parameter"]);
    }
    for name in ["several.bin", "several.legacy.bin"] {
        let error = TorchFile::open(&data(name)).unwrap_err().to_string();
        assert!(error.contains("several dictionaries of tensors: student, teacher"), "{error}");
    }
}

#[test]
fn nothing_is_called() {
    for name in ["unsafe.bin", "unsafe.legacy.bin"] {
        let error = TorchFile::open(&data(name)).unwrap_err().to_string();
        assert!(error.contains("posix.system") && error.contains("was not done"), "{error}");
    }
    let error = TorchFile::open(&data("whole_module.bin")).unwrap_err().to_string();
    assert!(error.contains("torch.nn.modules.container.Sequential"), "{error}");
}

#[test]
fn what_is_not_a_tensor_is_named() {
    for name in ["not_tensors.bin", "not_tensors.legacy.bin"] {
        let error = TorchFile::open(&data(name)).unwrap_err().to_string();
        assert!(error.contains("tensor b: not a tensor"), "{error}");
    }
}

#[test]
fn a_folder_of_shards() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(data("state.bin"), dir.path().join("pytorch_model-00001-of-00002.bin")).unwrap();
    std::fs::copy(data("module.legacy.bin"), dir.path().join("pytorch_model-00002-of-00002.bin")).unwrap();
    let index = r#"{"metadata":{"total_size":1},"weight_map":{"matrix":"pytorch_model-00001-of-00002.bin",
        "0.bias":"pytorch_model-00002-of-00002.bin"}}"#;
    std::fs::write(dir.path().join("pytorch_model.bin.index.json"), index).unwrap();
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.names().count(), 23);
    assert_eq!(c.info("matrix").unwrap(), (DType::F32, vec![4, 6]));
    assert_eq!(hex(&c.bytes("0.bias").unwrap()), expected()["0.bias"].bytes);

    // One file, and the folder of one.
    let one = tempfile::tempdir().unwrap();
    std::fs::copy(data("state.bin"), one.path().join("pytorch_model.bin")).unwrap();
    for place in [one.path().to_owned(), data("state.legacy.bin")] {
        assert_eq!(Checkpoint::open(&place).unwrap().names().count(), 19);
    }
}

/// A legacy file whose state dictionary is this pickle.
fn legacy(state: &[u8], keys: &[u8], rest: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    [&magic[..], b"\x80\x02M\xe9\x03.", b"\x80\x02}.", state, keys, rest].concat()
}

/// A pickle of one tensor `a`: `sizes` and `strides` as opcodes of a tuple, a float storage of `numel`.
fn one(numel: i32, offset: i32, sizes: &str, strides: &str) -> Vec<u8> {
    let mut p = b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ".to_vec();
    p.extend(numel.to_le_bytes());
    p.extend(b"tQJ");
    p.extend(offset.to_le_bytes());
    for tuple in [sizes, strides] {
        p.push(b'(');
        for n in tuple.split(' ').filter(|n| !n.is_empty()) {
            p.extend(format!("I{n}\n").bytes());
        }
        p.push(b't');
    }
    p.extend(b"\x89}tRs.");
    p
}

#[test]
fn tensors_that_reach_too_far() {
    let try_one = |numel: i32, offset: i32, sizes: &str, strides: &str| {
        let storage = [&4u64.to_le_bytes()[..], &[0; 16]].concat();
        let file = legacy(&one(numel, offset, sizes, strides), b"\x80\x02]X\x01\0\0\x000a.", &storage);
        check(&file).map_err(|e| e.to_string())
    };
    assert_eq!(try_one(4, 0, "2 2", "2 1"), Ok(16));
    assert_eq!(try_one(4, 0, "2 2", "1 2"), Ok(16));
    assert_eq!(try_one(4, 3, "", ""), Ok(4));
    assert_eq!(try_one(4, 100, "0 9", "9 1"), Ok(0));
    assert_eq!(try_one(4, 0, "1 4", "77777 1"), Ok(16));
    let huge = u64::MAX.to_string();
    for (case, expected) in [
        ((5, 0, "5", "1"), "should have 20 bytes and has 16"),
        ((4, 0, "5", "1"), "reaches to element 4"),
        ((4, 1, "4", "1"), "reaches to element 4"),
        ((4, 0, "2", "4"), "reaches to element 4"),
        ((4, 0, "2 2", "1"), "2 dimensions and 1 strides"),
        ((4, 0, "1000000 1000", "0 0"), "which is refused"),
        ((4, 0, "9223372036854775807 9", "0 0"), "overflows"),
        ((4, 0, "4", "9223372036854775807"), "overflows"),
        ((4, -1, "4", "1"), "offset is not a size"),
        ((4, 0, "-4", "1"), "shape is not a tuple"),
        ((4, 0, "4", "-1"), "strides are not a tuple"),
        ((4, 0, &huge, "1"), "is not a number"),
        ((-1, 0, "4", "1"), "belongs to no tensor"),
        ((4, 0, "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", ""), "shape is not a tuple"),
    ] {
        let (numel, offset, sizes, strides) = case;
        let error = try_one(numel, offset, sizes, strides).unwrap_err();
        assert!(error.contains(expected), "{case:?}: {error}");
    }
}

#[test]
fn pickles_that_mislead() {
    let deep = [&b"\x80\x02"[..], &b"]".repeat(1 << 20), &b"a".repeat((1 << 20) - 1), b"."].concat();
    // A tuple of many, recalled and passed to a call again and again.
    let many =
        [&b"\x80\x02("[..], &b"N".repeat(1 << 16), b"tq\0", &b"ctorch\nSize\nh\0R".repeat(1 << 12), b"."]
            .concat();
    let long_name = [&b"X\0\0\x10\0"[..], &b"n".repeat(1 << 20), b"q\0h\0h\0\x93."].concat();
    let endless = b"N".repeat(9 << 20);
    let cycle = b"\x80\x02}q\0X\x01\0\0\0ah\0s.".to_vec();
    for (what, pickle, expected) in [
        ("nothing", b"".to_vec(), "cut off"),
        ("no end", b"\x80\x02}".to_vec(), "cut off"),
        ("empty stack", b".".to_vec(), "stack is empty"),
        ("call", b"cos\nsystem\n(X\x02\0\0\0lstR.".to_vec(), "\"os.system\", which is refused"),
        ("call by stack", b"\x8c\x02os\x8c\x06system\x93)R.".to_vec(), "\"os.system\", which is refused"),
        ("object", b"cbuiltins\neval\n)\x81.".to_vec(), "\"builtins.eval\", which is refused"),
        ("instance", b"(ios\nsystem\n.".to_vec(), "0x69"),
        ("object opcode", b"(cos\nsystem\no.".to_vec(), "0x6f"),
        ("extension", b"\x82\x01.".to_vec(), "0x82"),
        ("call of a call", b"}q\0)R.".to_vec(), "not a name"),
        ("state", b"X\x01\0\0\0a}b.".to_vec(), "attributes"),
        ("text beyond the end", b"X\xff\xff\xff\xffa.".to_vec(), "cut off"),
        ("text of 2^63", b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.".to_vec(), "cut off"),
        ("long of 2^31", b"\x8b\xff\xff\xff\xff1.".to_vec(), "cut off"),
        ("not UTF-8", b"X\x01\0\0\0\xff.".to_vec(), "UTF-8"),
        ("recall", b"h\x07.".to_vec(), "not memorised"),
        ("no mark", b"Nt.".to_vec(), "mark is missing"),
        ("below a mark", b"N(0.".to_vec(), "a mark where"),
        ("tuple across a mark", b"N(N\x86.".to_vec(), "a mark where"),
        ("key without value", b"}(Nu.".to_vec(), "without a value"),
        ("append to nothing", b"Na.".to_vec(), "stack is empty"),
        ("append to text", b"X\x01\0\0\0aNa.".to_vec(), "not a list"),
        ("not a dictionary", b"].".to_vec(), "not a dictionary of tensors"),
        ("a dictionary of numbers", b"}K\x01K\x02s.".to_vec(), "not a dictionary of tensors"),
        ("a cycle", cycle, "not a dictionary of tensors"),
        ("an empty dictionary", b"}.".to_vec(), "not a dictionary of tensors"),
        ("deep", deep, "not a dictionary of tensors"),
        ("many copies", many, "too many arguments"),
        ("a long name", long_name, "longer than any"),
        ("endless", endless, "more than 8 MB"),
    ] {
        let error = check(&legacy(&pickle, b"].", b"")).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
        assert!(
            error.starts_with("(memory): ") && !error.contains('\n') && error.len() < 1000,
            "{what}: {error}"
        );
    }
}

#[test]
fn storages_that_mislead() {
    let state = one(4, 0, "4", "1");
    let keys = b"\x80\x02]X\x01\0\0\x000a.".to_vec();
    let twice = b"\x80\x02](X\x01\0\0\x000X\x01\0\0\x000e.".to_vec();
    let other = b"\x80\x02]X\x01\0\0\x001a.".to_vec();
    for (what, keys, rest, expected) in [
        ("no keys", b"}.".to_vec(), vec![], "list of storages is missing"),
        ("another key", other, vec![0; 24], "belongs to no tensor"),
        ("no storage", b"].".to_vec(), vec![], "not in the file"),
        ("no length", keys.clone(), vec![0; 3], "cut off"),
        ("cut off", keys.clone(), [&4u64.to_le_bytes()[..], &[0; 15]].concat(), "cut off"),
        ("huge", keys, vec![0xff; 24], "cut off"),
        ("twice", twice, [&4u64.to_le_bytes()[..], &[0; 16], &[0; 8]].concat(), "two storages"),
    ] {
        let error = check(&legacy(&state, &keys, &rest)).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
}

/// Changes every place of `from` in the bytes to `to`, of the same length.
fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(bytes, from).collect();
    assert!(!places.is_empty());
    for at in places {
        out[at..at + to.len()].copy_from_slice(to);
    }
    out
}

#[test]
fn zips_that_mislead() {
    let good = std::fs::read(data("module.bin")).unwrap();
    assert!(check(&good).is_ok());
    let end = memchr::memmem::rfind(&good, b"PK\x05\x06").unwrap();
    let first = memchr::memmem::find(&good, b"PK\x01\x02").unwrap();
    let edit = |at: usize, bytes: &[u8]| {
        let mut out = good.clone();
        out[at..at + bytes.len()].copy_from_slice(bytes);
        out
    };
    let comment = [&good[..end + 20], &[0xff, 0xff], &vec![b'c'; 0xffff]].concat();
    assert!(check(&comment).is_ok());
    // torch writes the zip64 record always; here it has to be used.
    let wide = edit(end + 16, &[0xff; 4]);
    assert!(check(&wide).is_ok());
    let doubled = replace(&good, b"module/data/1", b"module/data/0");
    for (what, bytes, expected) in [
        ("cut off", good[..good.len() - 30].to_vec(), "directory is missing"),
        ("only the magic", b"PK\x03\x04".to_vec(), "directory is missing"),
        ("many records", edit(end + 10, &[0xfe, 0xff]), "cannot hold 65534 records"),
        ("directory outside", edit(end + 16, &[0xfe, 0xff, 0xff, 0x7f]), "outside the file"),
        ("zip64 without one", replace(&wide, b"PK\x06\x07", b"PK\x06\x09"), "directory is missing"),
        ("zip64 elsewhere", replace(&wide, b"PK\x06\x06", b"PK\x06\x09"), "directory is missing"),
        ("broken entry", edit(first, b"PK\x09"), "directory is broken"),
        ("deflated", edit(first + 10, &[8, 0]), "is compressed"),
        ("encrypted", edit(first + 8, &[1, 0]), "encrypted"),
        ("record outside", edit(first + 42, &[0xf0, 0xff, 0xff, 0x7f]), "outside the file"),
        ("record too long", edit(first + 24, &[0xf0, 0xff, 0xff, 0x7f]), "outside the file"),
        ("name too long", edit(first + 28, &[0xff, 0xff]), "directory is broken"),
        ("no pickle", replace(&good, b"/data.pkl", b"/data.bin"), "no data.pkl"),
        ("two of a name", doubled, "two records of the name data/0"),
        ("a storage missing", replace(&good, b"module/data/1", b"module/data/9"), "is not in the file"),
        ("big endian", replace(&good, b"little", b"big\0\0\0"), "big-endian"),
    ] {
        let error = check(&bytes).map(|_| what).unwrap_err().to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_change_makes_it_fail_otherwise_than_by_an_error(
        file in prop::sample::select(vec![
            "module.bin", "state.bin", "state.legacy.bin", "protocol4.bin", "unsafe.bin", "lightning.legacy.bin",
        ]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = std::fs::read(data(file)).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let whole = bytes.len();
        if let Ok(len) = check(&bytes) {
            prop_assert!(len < 64 * whole);
        }
    }
}
