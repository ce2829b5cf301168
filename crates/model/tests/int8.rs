//! Weights in int8: what is written, what is read back, and what is said of files that cannot be right.

mod common;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use common::{folder, golden, models, open, sequences};
use t5kit_formats::progress::Progress;
use t5kit_formats::safetensors::{SafetensorsFile, SafetensorsWriter, TensorSpec};
use t5kit_model::{Batch, ConvertOptions, LoadOptions, Model, Plan, convert};
use t5kit_tensor::{DType, Graph, Pool, Regime, ops};

/// Tensors by name: shape, type, bytes.
type Tensors = BTreeMap<String, (Vec<usize>, DType, Vec<u8>)>;

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn converted(from: &Path, dtype: DType, to: &Path) {
    let options = ConvertOptions { dtype: Some(dtype), ..ConvertOptions::default() };
    convert(Plan::new(from, &LoadOptions::default()).unwrap(), options, to, &mut go_on).unwrap();
}

fn tensors(folder: &Path) -> Tensors {
    let file = SafetensorsFile::open(&folder.join("model.safetensors")).unwrap();
    let names: Vec<String> = file.names().map(String::from).collect();
    let tensor = |name: String| {
        let view = file.view(&name).unwrap();
        let value = (view.shape.to_vec(), view.dtype, view.data.to_vec());
        (name, value)
    };
    names.into_iter().map(tensor).collect()
}

fn write(folder: &Path, tensors: &Tensors) {
    let specs: Vec<_> = tensors.iter().map(|(n, t)| TensorSpec::new(n, t.1, &*t.0)).collect();
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::new(Vec::new(), &path, &specs, &[]).unwrap();
    for (name, (_, _, bytes)) in tensors {
        writer.tensor(name, [bytes]).unwrap();
    }
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn load(folder: &Path, dtype: Option<DType>) -> Model {
    Plan::new(folder, &LoadOptions { dtype, ..LoadOptions::default() }).unwrap().load().unwrap()
}

/// Logits of some of the golden's examples.
fn logits(model: &Model, name: &str, examples: std::ops::Range<usize>) -> Vec<f32> {
    let golden = golden(name);
    let of = |key: &str| sequences(&golden[key])[examples.clone()].to_vec();
    let batch = Batch::new(of("sources"), of("targets"), model.rows()).unwrap();
    let pool = Pool::new(2);
    let mut graph = Graph::inference(model.params(), &pool, Regime::Bulk);
    let hidden = model.hidden(&mut graph, &batch);
    ops::logits(&graph, &hidden.value, model.softmax()).data().to_vec()
}

/// Every matrix of a layer and the embedding are whole numbers and a scale a row, within half a step of what they were; the
/// rest is f32. A file gives what converting while loading gives, to the bit, and in f32 what it stands for.
#[test]
fn files_hold_the_nearest_multiples() {
    for name in models() {
        let at = tempfile::tempdir().unwrap();
        converted(&folder(name), DType::I8, at.path());
        let (old, new) = (tensors(&folder(name)), tensors(at.path()));
        let mut matrices = 0;
        for (tensor, (shape, dtype, bytes)) in &new {
            if *dtype != DType::I8 {
                assert_eq!(*dtype, DType::F32, "{name}: {tensor}");
                continue;
            }
            matrices += 1;
            let (scale_shape, scale_type, scales) = &new[&format!("{tensor}.scale")];
            assert_eq!((&scale_shape[..], *scale_type), (&shape[..1], DType::F32), "{name}: {tensor}");
            // Whose softmax is written with a factor in it.
            let scaled = name == "bert4keras" && tensor == "lm_head.weight";
            let Some((_, DType::F32, was)) = old.get(tensor).filter(|_| !scaled) else { continue };
            let rows = floats(scales);
            let was = floats(was);
            for (at, (&q, was)) in bytes.iter().zip(&was).enumerate() {
                let scale = rows[at / shape[1]];
                let off = (f32::from(q as i8) * scale - was).abs();
                assert!(off <= scale * 0.5001, "{name}: {tensor} {at}: {q} · {scale}, not {was}");
            }
        }
        assert!(matrices > 8, "{name}: {matrices} matrices");

        let max_positions = golden(name)["max_positions"].as_u64();
        if max_positions.is_some() {
            continue; // what is read otherwise than it lies there is not compared below
        }
        let stored = load(at.path(), None);
        let all = logits(&stored, name, 0..2);
        assert!(all == logits(&load(&folder(name), Some(DType::I8)), name, 0..2), "{name}: on the fly");
        let back = tempfile::tempdir().unwrap();
        converted(at.path(), DType::F32, back.path());
        assert!(tensors(back.path()).values().all(|t| t.1 == DType::F32), "{name}");
        let again = load(back.path(), Some(DType::I8));
        assert!(logits(&again, name, 0..2) == all, "{name}: there and back");
    }
}

/// 4 bits for the layers, int8 for what has a row a token; a file gives what converting while loading gives.
#[test]
fn four_bits_are_for_the_layers() {
    for name in models().filter(|name| golden(name)["max_positions"].is_null()) {
        let at = tempfile::tempdir().unwrap();
        converted(&folder(name), DType::I4, at.path());
        let new = tensors(at.path());
        let bytes = |tensor: &str| new[tensor].1 == DType::U8 && new[&format!("{tensor}.scale")].0.len() == 2;
        let layers = new.keys().filter(|tensor| new[*tensor].1 == DType::U8).count();
        assert!(layers > 5 && new.keys().filter(|t| new[*t].1 == DType::U8).all(|t| bytes(t)), "{name}");
        assert!(new.values().any(|t| t.1 == DType::I8), "{name}: the embedding");
        let stored = load(at.path(), None);
        let all = logits(&stored, name, 0..2);
        assert!(all == logits(&load(&folder(name), Some(DType::I4)), name, 0..2), "{name}: on the fly");
        let exact = logits(&open(name), name, 0..2);
        let size = exact.iter().map(|x| x * x).sum::<f32>().sqrt();
        let off = exact.iter().zip(&all).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt() / size;
        println!("{name}: {off:.1e}");
        assert!(off > 0.0 && off < 1.0, "{name}: {off}");
        let first = logits(&stored, name, 0..1);
        assert!(all[..first.len()] == first[..], "{name}: alone");
        let back = tempfile::tempdir().unwrap();
        converted(at.path(), DType::F32, back.path());
        assert!(tensors(back.path()).values().all(|t| t.1 == DType::F32), "{name}");
    }
}

/// An example gets the same bits alone and in company, and what f32 gives is not far.
#[test]
fn logits_are_near_those_of_f32_and_do_not_depend_on_company() {
    for name in models() {
        if golden(name)["max_positions"].as_u64().is_some() {
            continue;
        }
        let model = load(&folder(name), Some(DType::I8));
        let exact = logits(&open(name), name, 0..2);
        let all = logits(&model, name, 0..2);
        let first = logits(&model, name, 0..1);
        assert!(all[..first.len()] == first[..], "{name}: alone");
        let size = exact.iter().map(|x| x * x).sum::<f32>().sqrt();
        let off = exact.iter().zip(&all).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt() / size;
        println!("{name}: {off:.1e}");
        // Of some twenty numbers a row; wide models are nearer.
        assert!(off < 0.1 && off > 0.0, "{name}: {off}");
    }
}

fn refusal(folder: &Path) -> String {
    let loaded = Plan::new(folder, &LoadOptions::default()).and_then(Plan::load);
    let error = loaded.err().expect("it is refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn what_cannot_be_right_is_refused_by_file_and_tensor() {
    let at = tempfile::tempdir().unwrap();
    converted(&folder("mt5"), DType::I8, at.path());
    let good = tensors(at.path());
    let name = "encoder.block.0.layer.0.SelfAttention.q.weight";
    let scale = format!("{name}.scale");
    let file = at.path().to_string_lossy().into_owned();
    let refused = |edit: &dyn Fn(&mut Tensors), about: &[&str]| {
        let mut tensors = good.clone();
        edit(&mut tensors);
        write(at.path(), &tensors);
        let said = refusal(at.path());
        for about in about.iter().chain(&[name, &file]) {
            assert!(said.contains(about), "{about}: {said}");
        }
    };
    refused(&|t| drop(t.remove(&scale)), &["are missing", &scale]);
    refused(
        &|t| {
            let scales = t.get_mut(&scale).unwrap();
            scales.0[0] -= 1;
            scales.2.truncate(4 * scales.0[0]);
        },
        &["its scales", "F32 ["],
    );
    refused(&|t| t.get_mut(&scale).unwrap().1 = DType::I32, &["its scales", "I32"]);
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let put = |t: &mut Tensors| t.get_mut(&scale).unwrap().2[8..12].copy_from_slice(&bad.to_le_bytes());
        refused(&put, &["model.safetensors: tensor", "row 2", "finite and above 0"]);
    }
    // Numbers of a norm have no scale.
    let norm = "encoder.final_layer_norm.weight";
    let mut tensors = good.clone();
    let width = tensors[norm].0[0];
    tensors.insert(norm.to_owned(), (vec![width], DType::I8, vec![1; width]));
    write(at.path(), &tensors);
    let said = refusal(at.path());
    assert!(said.contains(norm) && said.contains("I8"), "{said}");
    // Scales that belong to nothing are unexpected.
    let mut tensors = good.clone();
    tensors.insert("lm_head.scale".into(), (vec![1], DType::F32, vec![0; 4]));
    write(at.path(), &tensors);
    assert!(refusal(at.path()).contains("lm_head.scale is unexpected"));
    write(at.path(), &good);
    load(at.path(), None);
}
