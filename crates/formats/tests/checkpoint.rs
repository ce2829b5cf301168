//! Folders of models: one file, shards, and shards that do not fit together.

use std::fs;
use std::path::Path;

use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_formats::{Checkpoint, DType, Error};

fn save(path: &Path, tensors: &[(&str, [u8; 2])]) {
    let specs: Vec<_> = tensors.iter().map(|t| TensorSpec::new(t.0, DType::U8, [2])).collect();
    let mut writer = SafetensorsWriter::new(fs::File::create(path).unwrap(), path, &specs, &[]).unwrap();
    for (name, data) in tensors {
        writer.tensor(name, [data]).unwrap();
    }
    writer.finish().unwrap();
}

fn index(dir: &Path, map: &str) {
    let text = format!(r#"{{"metadata":{{"total_size":4}},"weight_map":{map}}}"#);
    fs::write(dir.join("model.safetensors.index.json"), text).unwrap();
}

#[test]
fn one_file() {
    let dir = tempfile::tempdir().unwrap();
    save(&dir.path().join("model.safetensors"), &[("b", [1, 2]), ("a", [3, 4])]);
    for place in [dir.path().to_owned(), dir.path().join("model.safetensors")] {
        let c = Checkpoint::open(&place).unwrap();
        assert_eq!(c.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(c.info("a").unwrap(), (DType::U8, vec![2]));
        assert_eq!(&*c.bytes("b").unwrap(), [1, 2]);
        assert!(c.contains("a") && !c.contains("c"));
        assert!(matches!(c.info("c"), Err(Error::NoTensor { .. })));
        assert!(matches!(c.bytes("c"), Err(Error::NoTensor { .. })));
    }
}

#[test]
fn shards() {
    let dir = tempfile::tempdir().unwrap();
    save(&dir.path().join("model-00001-of-00002.safetensors"), &[("a", [1, 2])]);
    save(&dir.path().join("model-00002-of-00002.safetensors"), &[("b", [3, 4]), ("unlisted", [5, 6])]);
    index(dir.path(), r#"{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}"#);
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.names().collect::<Vec<_>>(), ["a", "b", "unlisted"]);
    assert_eq!(&*c.bytes("b").unwrap(), [3, 4]);
}

#[test]
fn shards_that_do_not_fit_together() {
    let dir = tempfile::tempdir().unwrap();
    save(&dir.path().join("x.safetensors"), &[("a", [1, 2])]);
    save(&dir.path().join("y.safetensors"), &[("b", [1, 2])]);
    save(&dir.path().join("z.safetensors"), &[("a", [1, 2])]);
    fs::create_dir(dir.path().join("sub")).unwrap();
    save(&dir.path().join("sub/x.safetensors"), &[("a", [1, 2])]);
    for (map, expected) in [
        (r#"{"a":"gone.safetensors"}"#, "gone.safetensors is missing"),
        (r#"{"c":"x.safetensors"}"#, "tensor c: missing, though the index lists it"),
        (r#"{"a":"y.safetensors","b":"x.safetensors"}"#, "is in another"),
        (r#"{"a":"x.safetensors","b":"z.safetensors"}"#, "in more than one file"),
        (r#"{"a":"sub/x.safetensors"}"#, "not the name of a file"),
        (r#"{"a":"../x.safetensors"}"#, "not the name of a file"),
        (r#"{"a":"/etc/passwd"}"#, "not the name of a file"),
        (r#"{"a":".."}"#, "not the name of a file"),
        (r#"{"a":""}"#, "not the name of a file"),
        (r#"{"a":"sub"}"#, "it is a folder"),
        (r#"{"a":1}"#, "shard index"),
        (r#"[]"#, "shard index"),
    ] {
        index(dir.path(), map);
        let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{map}: {error}");
    }
}

/// A T5's names under a prefix.
fn t5(prefix: &str) -> Vec<(String, [u8; 2])> {
    [
        "encoder.block.0.layer.0.SelfAttention.q.weight",
        "decoder.block.0.layer.0.SelfAttention.q.weight",
        "shared.weight",
    ]
    .iter()
    .map(|name| (format!("{prefix}{name}"), [1, 2]))
    .collect()
}

fn save_t5(path: &Path, prefix: &str) {
    let tensors = t5(prefix);
    save(path, &tensors.iter().map(|(name, data)| (name.as_str(), *data)).collect::<Vec<_>>());
}

#[test]
fn what_wrappers_put_before_names_is_taken_off_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for (prefix, said) in [
        ("", None),
        ("module.", Some("\"module.\", which is taken off")),
        ("base_model.model.", Some("\"base_model.model.\"")),
        ("_orig_mod.", Some("wrappers of torch")),
        ("t5.", Some("\"t5.\"")),
    ] {
        save_t5(&path, prefix);
        let c = Checkpoint::open(dir.path()).unwrap();
        assert_eq!(c.names().collect::<Vec<_>>(), {
            let mut names = t5("");
            names.sort();
            names.into_iter().map(|t| t.0).collect::<Vec<_>>()
        });
        assert_eq!(&*c.bytes("shared.weight").unwrap(), [1, 2]);
        assert_eq!(c.info("shared.weight").unwrap(), (DType::U8, vec![2]));
        match said {
            Some(said) => assert!(c.notes()[0].contains(said), "{:?}", c.notes()),
            None => assert!(c.notes().is_empty()),
        }
    }
    let both: Vec<_> = [t5("student."), t5("teacher.")].concat();
    save(&path, &both.iter().map(|(n, d)| (n.as_str(), *d)).collect::<Vec<_>>());
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("several models in one") && error.contains("student., teacher."), "{error}");
    let twice: Vec<_> = [t5("module."), vec![("shared.weight".to_owned(), [3, 4])]].concat();
    save(&path, &twice.iter().map(|(n, d)| (n.as_str(), *d)).collect::<Vec<_>>());
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tensor shared.weight: twice"), "{error}");
}

#[test]
fn weights_under_a_name_of_their_own_are_found_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for name in ["training_args.bin", "optimizer.pt", "adapter_model.safetensors"] {
        save_t5(&at(name), "");
    }
    fs::write(at("notes.pt"), "no weights").unwrap();
    save_t5(&at("t5_epoch3.pt"), "");
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.names().count(), 3);
    assert_eq!(c.notes(), ["t5_epoch3.pt: taken as the weights"]);
    assert_eq!((c.path(), c.folder()), (&*at("t5_epoch3.pt"), dir.path()));
    // What was opened can be opened again by its path.
    assert_eq!(Checkpoint::open(c.path()).unwrap().names().count(), 3);

    save_t5(&at("t5_epoch4.pt"), "");
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("several files of weights: t5_epoch3.pt, t5_epoch4.pt; name one"), "{error}");
}

#[test]
fn shards_without_their_list() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    save(&at("model-00001-of-00003.safetensors"), &[("a", [1, 2])]);
    save(&at("model-00003-of-00003.safetensors"), &[("c", [1, 2])]);
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("of the 3 files") && error.contains("there are 2; 00002 missing"), "{error}");
    save(&at("model-00002-of-00003.safetensors"), &[("b", [1, 2])]);
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(c.notes()[0].contains("without a list"), "{:?}", c.notes());
    save(&at("other.safetensors"), &[("d", [1, 2])]);
    assert!(Checkpoint::open(dir.path()).unwrap_err().to_string().contains("several files of weights"));
    // A list under a name of its own.
    fs::write(at("model.safetensors.index.fp16.json"), r#"{"weight_map":{"d":"other.safetensors"}}"#)
        .unwrap();
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!((c.names().count(), c.path()), (1, dir.path()));
    assert!(c.notes()[0].contains("model.safetensors.index.fp16.json"), "{:?}", c.notes());
}

#[test]
fn the_only_checkpoint_below_is_taken_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("checkpoint-500");
    fs::create_dir(&inner).unwrap();
    save_t5(&inner.join("model.safetensors"), "model.");
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!((c.path(), c.folder(), c.named_folder()), (&*inner, &*inner, Some(dir.path())));
    assert_eq!(c.notes()[0], "checkpoint-500: taken as the model");
    assert_eq!(Checkpoint::open(&inner).unwrap().named_folder(), None);
    for name in ["checkpoint-1000", "checkpoint-x", "checkpoint-"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("several checkpoints: checkpoint-500, checkpoint-1000; name one"), "{error}");
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1200772485\n";

#[test]
fn what_is_no_weights_says_what_it_is() {
    /// Files by name, and a part of what is said.
    type Case<'a> = (&'a [(&'a str, &'a [u8])], &'a str);
    let cases: [Case<'_>; 22] = [
        (&[], "the folder is empty"),
        (&[("config.json", b"{}")], "no model here"),
        (&[("pytorch_model.bin", LFS.as_bytes())], "git lfs pull"),
        (&[("model.safetensors", LFS.as_bytes())], "git lfs pull"),
        (&[("model.safetensors.index.json", LFS.as_bytes())], "git lfs pull"),
        (&[("my_t5.safetensors", LFS.as_bytes())], "my_t5.safetensors is a pointer of Git LFS"),
        (&[("x.index", LFS.as_bytes())], "git lfs pull"),
        (&[("model.safetensors", b"<!DOCTYPE html><html>")], "a web page"),
        (&[("model.safetensors", b"")], "it is empty"),
        (&[("model.safetensors", b"\x40\0\0\0\0\0\0\0{")], "is it cut off?"),
        (&[("pytorch_model.bin", b"PK\x05\x06\0\0")], "no weights in a format that is read here"),
        (&[("pytorch_model.bin", b"\x80\x04\x95")], "a pickle, but none of torch.save"),
        (&[("flax_model.msgpack", b"\x84\xa7decoder\x83")], "from_flax=True"),
        (&[("t5-small.Q4_K_M.gguf", b"GGUF\x03\0\0\0")], "GGUF"),
        (&[("encoder_model.onnx", b"\x08\x07\x12\x07pytorch")], "ONNX"),
        (&[("model.bin", b"\x06\0\0\0\x10\0TransformerSpec\0")], "CTranslate2"),
        (&[("saved_model.pb", b"\x08\x01")], "SavedModel"),
        (
            &[("t5.ckpt-9.data-00000-of-00001", b"abc")],
            "half a TensorFlow checkpoint: t5.ckpt-9.index is missing",
        ),
        (&[("t5.ckpt-9.meta", b"abc")], "only the graph"),
        (&[("checkpoint", b"\x82\xa7version")], "T5X"),
        (&[("_METADATA", b"{}"), ("config.json", b"{}")], "convert_t5x_checkpoint_to_pytorch"),
        (&[("zero_to_fp32.py", b"")], "DeepSpeed"),
    ];
    for (files, part) in cases {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{files:?}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("checkpoint_1000000/target.encoder")).unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("checkpoint_1000000 is a checkpoint of T5X"), "{error}");
    fs::create_dir_all(dir.path().join("sub")).unwrap();
    fs::remove_dir_all(dir.path().join("checkpoint_1000000")).unwrap();
    save_t5(&dir.path().join("sub/model.safetensors"), "");
    let error = Checkpoint::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("there is one in sub"), "{error}");
}

#[test]
fn parts_of_a_tensorflow_checkpoint() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tensorflow");
    let dir = tempfile::tempdir().unwrap();
    let name = |end: &str| format!("t5.ckpt-1000.{end}");
    let copy = |end: &str| fs::copy(data.join(name(end)), dir.path().join(name(end))).unwrap();
    let said = |what: &str| Checkpoint::open(&dir.path().join(what)).unwrap_err().to_string();
    copy("index");
    let half = "data-00000-of-00001: half a TensorFlow checkpoint";
    assert!(said("t5.ckpt-1000").contains(half) && said("").contains(half));
    copy("data-00000-of-00001");
    assert!(Checkpoint::open(dir.path()).is_ok());
    for part in ["data-00000-of-00001", "meta"] {
        fs::write(dir.path().join(name("meta")), "x").unwrap();
        let error = said(&name(part));
        assert!(error.contains("give its prefix") && error.ends_with("t5.ckpt-1000"), "{error}");
    }
    fs::remove_file(dir.path().join(name("index"))).unwrap();
    assert!(said("t5.ckpt-1000").contains("t5.ckpt-1000.index is missing"));
    assert!(said(&name("data-00000-of-00001")).contains("t5.ckpt-1000.index is missing"));
    fs::remove_file(dir.path().join(name("data-00000-of-00001"))).unwrap();
    assert!(said("t5.ckpt-1000").contains("only the graph"));
}

#[test]
fn folders_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::NoModel { .. }), "{error}");
    let error = Checkpoint::open(&dir.path().join("gone")).unwrap_err().to_string();
    assert!(error.contains("no such folder, and no TensorFlow"), "{error}");
}
