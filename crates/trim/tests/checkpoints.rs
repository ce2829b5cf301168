//! Cutting a model from every kind of checkpoint that is read: the same weights give the same cut.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use t5kit_formats::Checkpoint;
use t5kit_formats::safetensors::{SafetensorsWriter, TensorSpec};
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_trim::{Chooser, TrimOptions, trim};
use tempfile::TempDir;

/// Rows of the checkpoint: ten pieces and two that pad.
const ROWS: usize = 12;
const KEEP: [usize; 8] = [0, 1, 2, 3, 5, 9, 10, 11];

/// TensorFlow's checkpoint of the tests of t5kit-formats.
fn tensorflow(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/data/tensorflow").join(name)
}

/// The same weights as `tools/trim_pytorch.py` saves them, the embedding under three names.
fn pytorch() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mt5.bin")
}

fn config() -> Value {
    json!({
        "model_type": "mt5", "vocab_size": ROWS, "d_model": 6, "d_kv": 4, "num_heads": 2, "d_ff": 10,
        "num_layers": 2, "num_decoder_layers": 2, "relative_attention_num_buckets": 4,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
    })
}

fn tokenizer() -> SpieceModel {
    let piece = |text: &str, kind| Piece { text: text.into(), kind, score: -1.0, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>", PieceKind::Control),
        piece("</s>", PieceKind::Control),
        piece("<unk>", PieceKind::Unknown),
    ];
    pieces.extend("▁abcde".chars().map(|c| piece(&c.to_string(), PieceKind::Normal)));
    pieces.push(piece("▁<extra_id_0>", PieceKind::UserDefined));
    SpieceModel::new(pieces, TrainerSpec::default(), NormalizerSpec::default())
}

/// A folder in `lab` with configuration and tokenizer, to which the weights are added.
fn folder(lab: &TempDir, name: &str) -> PathBuf {
    let folder = lab.path().join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), config().to_string()).unwrap();
    fs::write(folder.join("spiece.model"), tokenizer().to_bytes()).unwrap();
    folder
}

/// Writes those tensors of `from` for which `wanted` holds to a safetensors file.
fn save(from: &Checkpoint, path: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let names: Vec<String> = from.names().filter(|name| wanted(name)).map(String::from).collect();
    let spec = |name: &String| {
        let (dtype, shape) = from.info(name).unwrap();
        TensorSpec::new(name, dtype, shape)
    };
    let specs: Vec<TensorSpec> = names.iter().map(spec).collect();
    let mut writer = SafetensorsWriter::new(fs::File::create(path).unwrap(), path, &specs, &[]).unwrap();
    for name in &names {
        writer.tensor(name, [from.bytes(name).unwrap()]).unwrap();
    }
    writer.finish().unwrap();
    names
}

/// The paths that `--model` may be given, each with what it is.
fn kinds(lab: &TempDir) -> Vec<(&'static str, PathBuf)> {
    let mut kinds = Vec::new();
    let mesh = folder(lab, "tensorflow");
    for end in ["index", "data-00000-of-00001"] {
        let name = format!("mt5.ckpt-1000.{end}");
        fs::copy(tensorflow(&name), mesh.join(&name)).unwrap();
    }
    let uncut = Checkpoint::open(&mesh).unwrap();
    let single = folder(lab, "single");
    save(&uncut, &single.join("model.safetensors"), |_| true);
    let shards = folder(lab, "shards");
    let mut map = serde_json::Map::new();
    for (shard, decoder) in [("model-1.safetensors", false), ("model-2.safetensors", true)] {
        let names = save(&uncut, &shards.join(shard), |name| name.starts_with("decoder") == decoder);
        map.extend(names.into_iter().map(|name| (name, shard.into())));
    }
    let index = json!({"metadata": {}, "weight_map": map});
    fs::write(shards.join("model.safetensors.index.json"), index.to_string()).unwrap();
    let torch = folder(lab, "torch");
    fs::copy(pytorch(), torch.join("pytorch_model.bin")).unwrap();

    kinds.push(("a TensorFlow checkpoint by its prefix", mesh.join("mt5.ckpt-1000")));
    kinds.push(("by its index", mesh.join("mt5.ckpt-1000.index")));
    kinds.push(("by its folder", mesh));
    kinds.push(("a file of safetensors", single.join("model.safetensors")));
    kinds.push(("its folder", single));
    kinds.push(("shards", shards));
    kinds.push(("a file of PyTorch", torch.join("pytorch_model.bin")));
    kinds.push(("its folder", torch));
    kinds
}

fn job(lab: &TempDir, model: &Path) -> TrimOptions {
    let list = lab.path().join("keep.json");
    fs::write(&list, json!(KEEP).to_string()).unwrap();
    TrimOptions {
        tokenizer: lab.path().join("single"),
        counts: Vec::new(),
        allow_low_coverage: false,
        choice: Chooser::KeepTokens(list),
        require: vec![],
        model: Some(model.to_path_buf()),
        sample: None,
        output: lab.path().join("cut"),
        force: true,
        words: str::to_owned,
        lang: t5kit_formats::lang::Lang::En,
    }
}

#[test]
fn every_kind_gives_the_same_cut() {
    let lab = TempDir::new().unwrap();
    let kinds = kinds(&lab);
    let uncut = Checkpoint::open(&kinds[0].1).unwrap();
    let mut first = None;
    for (what, path) in kinds {
        let report = trim(&job(&lab, &path), &mut ()).unwrap();
        let sizes = report.model.unwrap();
        let cut = Checkpoint::open(&lab.path().join("cut")).unwrap();
        assert_eq!(cut.names().collect::<Vec<_>>(), uncut.names().collect::<Vec<_>>(), "{what}");
        let mut parameters = 0;
        for name in uncut.names() {
            let (dtype, mut shape) = uncut.info(name).unwrap();
            let bytes = uncut.bytes(name).unwrap();
            parameters += bytes.len() / 4;
            let mut expected = bytes.to_vec();
            if ["shared.weight", "lm_head.weight"].contains(&name) {
                let row = bytes.len() / ROWS;
                expected = KEEP.iter().flat_map(|k| bytes[k * row..(k + 1) * row].to_vec()).collect();
                shape[0] = KEEP.len();
            }
            assert_eq!(cut.info(name).unwrap(), (dtype, shape), "{what}: {name}");
            assert_eq!(*cut.bytes(name).unwrap(), expected, "{what}: {name}");
        }
        // The embedding counts once, under however many names it is listed.
        assert_eq!(sizes.before.parameters, parameters as u64, "{what}");
        assert_eq!((sizes.before.rows, sizes.after.rows), (12, 8), "{what}");
        let whole = fs::read(lab.path().join("cut/model.safetensors")).unwrap();
        assert!(*first.get_or_insert(whole.clone()) == whole, "{what}");
        let config: Value =
            serde_json::from_slice(&fs::read(lab.path().join("cut/config.json")).unwrap()).unwrap();
        assert_eq!(config["vocab_size"], json!(8), "{what}");
    }
}

#[test]
fn a_checkpoint_without_its_configuration_is_refused() {
    let lab = TempDir::new().unwrap();
    let kinds = kinds(&lab);
    let mesh = lab.path().join("tensorflow");
    fs::remove_file(mesh.join("config.json")).unwrap();
    let error = trim(&job(&lab, &kinds[0].1), &mut ()).unwrap_err().to_string();
    assert!(error.contains("no configuration here"), "{error}");
    assert!(!lab.path().join("cut").exists());
    let error = trim(&job(&lab, &lab.path().join("nowhere")), &mut ()).unwrap_err().to_string();
    assert!(error.contains("nowhere: "), "{error}");
}
