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

#[test]
fn folders_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let error = Checkpoint::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::NoModel { .. }), "{error}");
    let error = Checkpoint::open(&dir.path().join("gone")).unwrap_err().to_string();
    assert!(error.contains("no such folder, and no TensorFlow"), "{error}");
}
