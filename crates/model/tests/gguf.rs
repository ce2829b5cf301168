//! GGUF files of llama.cpp give the logits of the values in them, in every type, and strict messages
//! (`tools/gguf_goldens.py`).

use std::path::{Path, PathBuf};

use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Batch, ConvertOptions, LoadOptions, Plan, Seq2Seq, T5, T5Config, convert};
use t5kit_tensor::{DType, Graph, Pool, Regime, Weight, ops};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn file(name: &str) -> PathBuf {
    data("gguf").join(format!("{name}.gguf"))
}

/// Logits of the examples in a `golden.json`, all of them one after the other.
fn logits(model: &T5, golden: &Path) -> Vec<f32> {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let sequences = |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(golden[key].clone()).unwrap() };
    let batch = Batch::new(sequences("sources"), sequences("targets"), model.rows()).unwrap();
    let pool = Pool::new(2);
    let mut graph = Graph::inference(&model.params, &pool, Regime::Bulk);
    let hidden = model.hidden(&mut graph, &batch);
    ops::logits(&graph, &hidden.value, model.softmax().weight).data().to_vec()
}

fn reference(path: &Path, tensor: &str) -> Vec<f32> {
    let bytes = SafetensorsFile::open(path).unwrap().bytes(tensor).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest
}

fn load(path: &Path, dtype: Option<DType>) -> T5 {
    let options = LoadOptions { dtype, ..LoadOptions::default() };
    Plan::<T5Config>::of(path, &options).unwrap().load().unwrap()
}

fn shared(model: &T5) -> &Weight {
    model.params.iter().find(|(_, name, _)| *name == "shared.weight").unwrap().2
}

#[test]
fn logits_are_those_of_the_values_in_the_file() {
    let golden = data("gguf/golden.json");
    for (name, held, int8) in [
        ("t5-F16", DType::F16, 0.05),
        ("t5-Q8_0", DType::F32, 0.05),
        ("t5-mixed", DType::F32, 0.05),
        ("mt5-BF16", DType::Bf16, 0.05),
    ] {
        let want = reference(&data("gguf/golden.safetensors"), name);
        let model = load(&file(name), None);
        assert_eq!(shared(&model).dtype(), held, "{name}");
        // Half floats are held as they are; products of them round what they multiply with.
        let exact = load(&file(name), Some(DType::F32));
        let d = difference(&logits(&exact, &golden), &want);
        println!("{name}: {d:.1e}");
        assert!(d < 1e-5, "{name}: {d:e}");
        let d = difference(&logits(&model, &golden), &want);
        println!("{name} as {}: {d:.1e}", held.name());
        assert!(d < if held == DType::F32 { 1e-5 } else { 0.02 }, "{name}: {d:e}");
        let whole = load(&file(name), Some(DType::I8));
        let d = difference(&logits(&whole, &golden), &want);
        println!("{name} in int8: {d:.1e}");
        assert!(d > 1e-5 && d < int8, "{name} in int8: {d:e}");
    }
    let umt5 = load(&file("umt5-F32"), None);
    let golden = data("goldens/umt5");
    let d = difference(
        &logits(&umt5, &golden.join("golden.json")),
        &reference(&golden.join("golden.safetensors"), "logits"),
    );
    assert!(d < 1e-5, "umt5: {d:e}");
}

/// A band of rows at a time, and with rows cut, what is converted is what is loaded.
#[test]
fn what_is_converted_is_what_is_loaded() {
    let golden = data("gguf/golden.json");
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::new(&file("t5-Q8_0"), &LoadOptions::default()).unwrap();
    assert_eq!(plan.format(), "GGUF");
    convert(plan, ConvertOptions::default(), out.path(), &mut ()).unwrap();
    let want = logits(&load(&file("t5-Q8_0"), None), &golden);
    assert_eq!(logits(&load(out.path(), None), &golden), want);

    let keep = out.path().join("keep.json");
    std::fs::write(&keep, "[0, 1, 2, 3, 9, 17, 200]").unwrap();
    let options = LoadOptions { keep_tokens: Some(keep), ..LoadOptions::default() };
    let cut: T5 = Plan::<T5Config>::of(&file("t5-Q8_0"), &options).unwrap().load().unwrap();
    let (whole, width) = (load(&file("t5-Q8_0"), None), cut.config.d_model);
    let row = |model: &T5, at: usize| {
        let all = shared(model).to_tensor();
        all.data()[at * width..(at + 1) * width].to_vec()
    };
    assert_eq!(row(&cut, 6), row(&whole, 200));
}

/// A tensor that is not there is one line.
#[test]
fn missing_tensors_are_listed() {
    let mut bytes = std::fs::read(file("umt5-F32")).unwrap();
    let name = b"dec.blk.1.cross_attn_q.weight";
    let at = bytes.windows(name.len()).position(|part| part == name).unwrap();
    bytes[at..at + 3].copy_from_slice(b"abc");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    std::fs::write(&path, bytes).unwrap();
    let error = Plan::new(&path, &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("decoder.block.1.layer.1.EncDecAttention.q.weight is missing"), "{error}");
    assert!(error.contains("abc.blk.1.cross_attn_q.weight"), "{error}");
}
