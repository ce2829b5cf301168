//! One model in every form it is stored in: the same logits; and what a strict loader says of the others.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use t5kit_formats::progress::Progress;
use t5kit_formats::safetensors::{SafetensorsFile, SafetensorsWriter, TensorSpec};
use t5kit_model::{Allow, Batch, ConvertOptions, Error, LoadOptions, Plan, Seq2Seq, T5, T5Config, convert};
use t5kit_tensor::{DType, Graph, Pool, Regime, ops};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn golden(name: &str) -> PathBuf {
    data("goldens").join(name)
}

/// Logits of the golden's examples, all of them one after the other.
fn logits(model: &T5, name: &str) -> Vec<f32> {
    let text = std::fs::read_to_string(golden(name).join("golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sequences = |key: &str| -> Vec<Vec<u32>> { serde_json::from_value(golden[key].clone()).unwrap() };
    let batch = Batch::new(sequences("sources"), sequences("targets"), model.rows()).unwrap();
    let pool = Pool::new(2);
    let mut graph = Graph::inference(&model.params, &pool, Regime::Bulk);
    let hidden = model.hidden(&mut graph, &batch);
    ops::logits(&graph, &hidden.value, model.softmax().weight).data().to_vec()
}

fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest
}

fn reference(name: &str) -> Vec<f32> {
    let file = SafetensorsFile::open(&golden(name).join("golden.safetensors")).unwrap();
    let bytes = file.bytes("logits").unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// What TensorFlow wrote, with mesh-tensorflow's names, an optimizer's slots and a gin file, gives the logits that
/// transformers computed, and to the last bit those of the same weights as safetensors.
#[test]
fn bundles_of_tensorflow_give_the_same_logits() {
    for name in ["mt5", "t5-v1_0"] {
        let model = T5::load(&data("tensorflow").join(name).join("model.ckpt-1000000")).unwrap();
        let got = logits(&model, name);
        let d = difference(&got, &reference(name));
        println!("{name}: {d:.1e}");
        assert!(d < 1e-5, "{name}: {d:e}");
        assert_eq!(got, logits(&T5::load(&golden(name)).unwrap(), name), "{name}");
        let Summary { tied, scaled } = Summary::of(&model);
        assert_eq!((tied, scaled), (name == "t5-v1_0", name == "t5-v1_0"));
    }
}

struct Summary {
    tied: bool,
    scaled: bool,
}

impl Summary {
    fn of(model: &T5) -> Self {
        Summary {
            tied: model.shared() == model.softmax().weight,
            scaled: model.config.scales_decoder_outputs(),
        }
    }
}

/// A configuration in bert4keras's names serves a checkpoint of TensorFlow too.
#[test]
fn configurations_of_bert4keras() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mt5_config.json");
    let text = r#"{"hidden_dropout_prob": 0.1, "hidden_size": 18, "intermediate_size": 26, "num_attention_heads": 3,
        "attention_head_size": 8, "num_hidden_layers": 2, "vocab_size": 200, "hidden_act": ["gelu", "linear"]}"#;
    std::fs::write(&config, text).unwrap();
    let options = LoadOptions { config: Some(config), ..LoadOptions::default() };
    let prefix = data("tensorflow/mt5/model.ckpt-1000000");
    let model = Plan::<T5Config>::of(&prefix, &options).unwrap().load().unwrap();
    assert!(difference(&logits(&model, "mt5"), &reference("mt5")) < 1e-5);
}

/// `torch.save` in both its forms, shards of both kinds: torch and transformers wrote them, with all second names of
/// the embedding.
#[test]
fn files_of_torch_and_shards_give_the_same_logits() {
    let want = logits(&T5::load(&golden("t5-v1_0")).unwrap(), "t5-v1_0");
    for stored in ["zip", "legacy", "shards-pytorch", "shards-safetensors"] {
        let model = T5::load(&data("stored").join(stored)).unwrap();
        assert_eq!(logits(&model, "t5-v1_0"), want, "{stored}");
    }
}

/// Tensors by name, to be written as another checkpoint.
type Tensors = BTreeMap<String, (Vec<usize>, DType, Vec<u8>)>;

fn tensors(name: &str) -> Tensors {
    let file = SafetensorsFile::open(&golden(name).join("model.safetensors")).unwrap();
    let names: Vec<String> = file.names().map(String::from).collect();
    let tensor = |n: String| {
        let view = file.view(&n).unwrap();
        let value = (view.shape.to_vec(), view.dtype, view.data.to_vec());
        (n, value)
    };
    names.into_iter().map(tensor).collect()
}

/// A Hugging Face directory of these tensors with the golden's configuration, in which `edit` may change fields.
fn write(folder: &Path, name: &str, tensors: &Tensors, edit: &[(&str, serde_json::Value)]) {
    let text = std::fs::read_to_string(golden(name).join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (field, value) in edit {
        config[*field] = value.clone();
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let specs: Vec<_> = tensors.iter().map(|(n, t)| TensorSpec::new(n, t.1, &*t.0)).collect();
    let path = folder.join("model.safetensors");
    let mut writer = SafetensorsWriter::new(Vec::new(), &path, &specs, &[]).unwrap();
    for (name, (_, _, bytes)) in tensors {
        writer.tensor(name, [bytes]).unwrap();
    }
    std::fs::write(&path, writer.finish().unwrap()).unwrap();
}

fn refusal(folder: &Path) -> String {
    let error = T5::load(folder).err().expect("it is refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn every_tensor_that_does_not_fit_is_listed_and_may_be_let_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut t = tensors("mt5");
    let embedding = t["shared.weight"].clone();
    let (mut other, mut wider) = (embedding.clone(), t["encoder.final_layer_norm.weight"].clone());
    other.2[0] ^= 1;
    wider.0 = vec![9, 2];
    for i in 0..2 {
        t.remove(&format!("encoder.block.{i}.layer.0.SelfAttention.q.weight"));
    }
    t.insert("adapter.weight".into(), wider.clone());
    t.insert("encoder.final_layer_norm.weight".into(), wider);
    t.insert("encoder.embed_tokens.weight".into(), other);
    t.insert("decoder.embed_tokens.weight".into(), embedding);
    write(folder.path(), "mt5", &t, &[]);
    let error = refusal(folder.path());
    for part in [
        "encoder.block.{0..1}.layer.0.SelfAttention.q.weight is missing",
        "adapter.weight is unexpected",
        "encoder.final_layer_norm.weight has shape [9, 2], not [18]",
        "encoder.embed_tokens.weight differs from shared.weight",
        "`allow.missing`",
        "`allow.unexpected`",
        "`allow.mismatched`",
        "`allow.aliased`",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert!(!error.contains("decoder.embed_tokens"), "{error}");
    let all = Allow { missing: true, unexpected: true, mismatched: true, aliased: true };
    for i in 0..4 {
        let mut allow = all;
        *[&mut allow.missing, &mut allow.unexpected, &mut allow.mismatched, &mut allow.aliased][i] = false;
        let error = Plan::<T5Config>::of(folder.path(), &LoadOptions { allow, ..LoadOptions::default() })
            .unwrap_err();
        assert!(
            matches!(error, Error::Tensors { ref problems, .. } if problems.0.len() == [2, 1, 1, 1][i]),
            "{error}"
        );
    }
    let plan =
        Plan::<T5Config>::of(folder.path(), &LoadOptions { allow: all, ..LoadOptions::default() }).unwrap();
    assert_eq!(plan.notes.len(), 4, "{:?}", plan.notes);
    let model = plan.load().unwrap();
    let norm = model.params.id("encoder.final_layer_norm.weight").unwrap();
    assert!(model.params.get(norm).to_tensor().data().iter().all(|&x| x == 1.0));
}

#[test]
fn the_file_and_the_family_decide_whether_the_softmax_is_the_embedding() {
    let folder = tempfile::tempdir().unwrap();
    let tied = |value: bool| [("tie_word_embeddings", value.into())];
    // A softmax of its own, though the configuration says otherwise: then it is separate, and nothing is scaled.
    write(folder.path(), "mt5", &tensors("mt5"), &tied(true));
    let model = T5::load(folder.path()).unwrap();
    assert!(difference(&logits(&model, "mt5"), &reference("mt5")) < 1e-5);
    // T5 1.0 has none, whatever the configuration says.
    write(folder.path(), "t5-v1_0", &tensors("t5-v1_0"), &tied(false));
    let model = T5::load(folder.path()).unwrap();
    assert!(difference(&logits(&model, "t5-v1_0"), &reference("t5-v1_0")) < 1e-5);
    // The others' is missing.
    let mut without = tensors("mt5");
    without.remove("lm_head.weight");
    write(folder.path(), "mt5", &without, &tied(false));
    assert!(refusal(folder.path()).contains("lm_head.weight is missing (where the softmax is the embedding"));
    // A copy of the embedding is the embedding.
    let mut copied = tensors("t5-v1_0");
    copied.insert("lm_head.weight".into(), copied["shared.weight"].clone());
    write(folder.path(), "t5-v1_0", &copied, &tied(true));
    assert!(Summary::of(&T5::load(folder.path()).unwrap()).tied);
}

#[test]
fn the_embedding_is_found_under_its_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let [encoder, decoder, softmax] =
        ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"];
    let options = LoadOptions::default();
    for names in [
        &[decoder][..],
        &[encoder],
        &[encoder, decoder],
        &[softmax],
        &[encoder, softmax],
        &[encoder, decoder, softmax],
    ] {
        let mut t = tensors("t5-v1_0");
        let shared = t.remove("shared.weight").unwrap();
        names.iter().for_each(|name| drop(t.insert((*name).into(), shared.clone())));
        write(folder.path(), "t5-v1_0", &t, &[]);
        let plan = Plan::<T5Config>::of(folder.path(), &options).unwrap();
        assert_eq!(plan.notes, [format!("{} stands in for shared.weight, which is missing", names[0])]);
        let model = plan.load().unwrap();
        assert!(difference(&logits(&model, "t5-v1_0"), &reference("t5-v1_0")) < 1e-5, "{names:?}");
    }
    // mT5's softmax is a matrix of its own.
    let mut t = tensors("mt5");
    let shared = t.remove("shared.weight").unwrap();
    write(folder.path(), "mt5", &t, &[]);
    assert!(refusal(folder.path()).contains("shared.weight is missing"));
    t.insert(encoder.into(), shared.clone());
    write(folder.path(), "mt5", &t, &[]);
    assert!(difference(&logits(&T5::load(folder.path()).unwrap(), "mt5"), &reference("mt5")) < 1e-5);
    // Two that differ are not one.
    let mut other = shared;
    other.2[0] ^= 1;
    t.insert(decoder.into(), other);
    write(folder.path(), "mt5", &t, &[]);
    let error = refusal(folder.path());
    assert!(
        error.contains("decoder.embed_tokens.weight differs from encoder.embed_tokens.weight"),
        "{error}"
    );
    let allow = Allow { aliased: true, ..Allow::default() };
    let plan = Plan::<T5Config>::of(folder.path(), &LoadOptions { allow, ..LoadOptions::default() }).unwrap();
    assert!(difference(&logits(&plan.load().unwrap(), "mt5"), &reference("mt5")) < 1e-5);
}

#[test]
fn models_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let whole = tensors("mt5");
    for (keep, part) in [("encoder.", "the encoder of a T5 alone"), ("decoder.", "the decoder of a T5 alone")]
    {
        let some = whole.iter().filter(|(n, _)| n.starts_with(keep) || *n == "shared.weight");
        write(folder.path(), "mt5", &some.map(|(n, t)| (n.clone(), t.clone())).collect(), &[]);
        let error = refusal(folder.path());
        assert!(error.contains(part) && !error.contains("is missing"), "{error}");
    }
    let mut bert = BTreeMap::new();
    bert.insert("bert.embeddings.word_embeddings.weight".to_owned(), whole["shared.weight"].clone());
    write(folder.path(), "mt5", &bert, &[]);
    assert!(refusal(folder.path()).contains("an encoder of BERT's kind"));
}

#[test]
fn wrapped_names_are_the_models_own() {
    let folder = tempfile::tempdir().unwrap();
    for prefix in ["module.", "model.", "transformer.", "base_model.model.", "_orig_mod.", "a.b."] {
        let wrapped = tensors("mt5").into_iter().map(|(name, t)| (format!("{prefix}{name}"), t)).collect();
        write(folder.path(), "mt5", &wrapped, &[]);
        let plan = Plan::<T5Config>::of(folder.path(), &LoadOptions::default()).unwrap();
        assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
        assert!(difference(&logits(&plan.load().unwrap(), "mt5"), &reference("mt5")) < 1e-5, "{prefix}");
    }
}

#[test]
fn rows_are_cut_while_loading() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("keep.json");
    let keep: Vec<u32> = (0..200).filter(|i| i % 3 != 2 || *i < 3).collect();
    std::fs::write(&list, format!("{keep:?}")).unwrap();
    let options = LoadOptions { keep_tokens: Some(list.clone()), ..LoadOptions::default() };
    for path in [golden("mt5"), data("tensorflow/mt5/model.ckpt-1000000")] {
        let whole = T5::load(&path).unwrap();
        let plan = Plan::<T5Config>::of(&path, &options).unwrap();
        assert_eq!((plan.file_rows, plan.config.vocab_size), (200, keep.len()));
        let cut = plan.load().unwrap();
        for (a, b) in [(whole.shared(), cut.shared()), (whole.softmax().weight, cut.softmax().weight)] {
            let (a, b) = (whole.params.get(a).to_tensor(), cut.params.get(b).to_tensor());
            assert_eq!(b.rows(), keep.len());
            for (new, &old) in keep.iter().enumerate() {
                assert_eq!(a.row(old as usize), b.row(new));
            }
        }
    }
    std::fs::write(&list, "[1, 2, 3]").unwrap();
    let error = Plan::<T5Config>::of(&golden("mt5"), &options).unwrap_err().to_string();
    assert!(error.contains("pad_token_id: it is 0, a row that would be dropped"), "{error}");
    std::fs::write(&list, "[0, 1, 200]").unwrap();
    let error = Plan::<T5Config>::of(&golden("mt5"), &options).unwrap_err().to_string();
    assert!(error.contains("keep.json: row 200 is out of range: there are 200 rows"), "{error}");
}

fn converted(path: &Path, dtype: Option<DType>) -> (tempfile::TempDir, T5, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::<T5Config>::of(path, &LoadOptions::default()).unwrap();
    let mut told = (0, None);
    let mut watch = |at: Progress<'_>| {
        told = (at.done, at.total);
        ControlFlow::Continue(())
    };
    let options = ConvertOptions { dtype, ..Default::default() };
    let notes = convert(plan, options, folder.path(), &mut watch).unwrap();
    assert_eq!(Some(told.0), told.1, "all of it was written");
    let model = T5::load(folder.path()).unwrap();
    (folder, model, notes)
}

#[test]
fn converted_models_give_the_same_logits() {
    for name in ["mt5", "t5-v1_0", "umt5", "byt5"] {
        let (_folder, model, notes) = converted(&golden(name), None);
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(logits(&model, name), logits(&T5::load(&golden(name)).unwrap(), name), "{name}");
    }
    let (_folder, model, _) = converted(&data("tensorflow/t5-v1_0/model.ckpt-1000000"), None);
    assert_eq!(logits(&model, "t5-v1_0"), logits(&T5::load(&golden("t5-v1_0")).unwrap(), "t5-v1_0"));
    // The scale of bert4keras goes into the matrix, within rounding; its bias has no place elsewhere.
    let (folder, model, notes) = converted(&golden("bert4keras"), None);
    assert!(difference(&logits(&model, "bert4keras"), &reference("bert4keras")) < 1e-5);
    assert!(!model.config.scales_decoder_outputs());
    assert!(notes[0].contains("only t5kit runs this model"), "{notes:?}");
    assert!(
        !std::fs::read_to_string(folder.path().join("config.json"))
            .unwrap()
            .contains("scale_decoder_outputs")
    );
}

/// Every tensor in the type asked for, which `config.json` names. The bounds are wider than those of
/// `half_storage_is_close`, where norms stay f32.
#[test]
fn converted_to_half_precision() {
    for (dtype, name, bound) in [(DType::Bf16, "bfloat16", 8e-2), (DType::F16, "float16", 1.2e-2)] {
        let (folder, model, _) = converted(&golden("mt5"), Some(dtype));
        let d = difference(&logits(&model, "mt5"), &reference("mt5"));
        assert!(d < bound && d > 1e-5, "{name}: {d:e}");
        let file = SafetensorsFile::open(&folder.path().join("model.safetensors")).unwrap();
        let size = |n: &str| file.info(n).unwrap().0.size();
        assert!(file.names().all(|n| size(n) == 2), "{name}");
        let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(config.contains(&format!("\"torch_dtype\": \"{name}\"")), "{config}");
        // And back: what was rounded stays as it is.
        let (_folder, wide, _) = converted(folder.path(), Some(DType::F32));
        for ((_, name, a), (_, _, b)) in wide.params.iter().zip(model.params.iter()) {
            assert_eq!(a.to_tensor().data(), b.to_tensor().data(), "{name}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut t = tensors("mt5");
    t.get_mut("shared.weight").unwrap().2[..4].copy_from_slice(&7e4f32.to_le_bytes());
    write(folder.path(), "mt5", &t, &[]);
    let plan = Plan::<T5Config>::of(folder.path(), &LoadOptions::default()).unwrap();
    let error = convert(plan, ConvertOptions::default(), folder.path(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("model.safetensors: cannot create"), "its own file is not written over: {error}");
    let plan = Plan::<T5Config>::of(folder.path(), &LoadOptions::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut stop = |_: Progress<'_>| ControlFlow::Break(());
    let stopped = convert(plan, ConvertOptions::default(), out.path(), &mut stop).unwrap_err().to_string();
    assert_eq!(stopped, "stopped before its end");
    let plan = Plan::<T5Config>::of(folder.path(), &LoadOptions::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let error =
        convert(plan, ConvertOptions { dtype: Some(DType::F16), ..Default::default() }, out.path(), &mut ())
            .unwrap_err()
            .to_string();
    assert!(
        error.contains("tensor shared.weight: it holds 70000, which is beyond f16; choose bf16"),
        "{error}"
    );
}

#[test]
fn doubles_are_read_and_integers_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut t = tensors("mt5");
    for (_, dtype, bytes) in t.values_mut() {
        let wide = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap())).to_le_bytes();
        *bytes = bytes.chunks_exact(4).flat_map(wide).collect();
        *dtype = DType::F64;
    }
    write(folder.path(), "mt5", &t, &[]);
    let model = T5::load(folder.path()).unwrap();
    assert_eq!(logits(&model, "mt5"), logits(&T5::load(&golden("mt5")).unwrap(), "mt5"));
    t.get_mut("shared.weight").unwrap().1 = DType::I64;
    write(folder.path(), "mt5", &t, &[]);
    assert!(refusal(folder.path()).contains("shared.weight is stored as I64"), "{}", refusal(folder.path()));
}

#[test]
fn what_does_not_fit_in_memory_is_refused_with_the_numbers() {
    let options = LoadOptions { memory: Some(80_000), ..LoadOptions::default() };
    let plan = Plan::<T5Config>::of(&golden("mt5"), &options).unwrap();
    let held = plan.held_bytes();
    assert!(held > 90_000 && held < 100_000, "{held}");
    let error = plan.load().err().unwrap();
    assert!(matches!(error, Error::Memory { needed, available: 80_000, .. } if needed == held), "{error}");
    let half = LoadOptions { dtype: Some(DType::Bf16), ..options };
    Plan::<T5Config>::of(&golden("mt5"), &half).unwrap().load().unwrap();
}

/// Less than a window is mapped: of f32 the whole file is, when the last matrix is converted.
#[test]
fn loading_takes_more_where_the_type_changes() {
    let plan = |path: &Path, dtype| {
        Plan::<T5Config>::of(path, &LoadOptions { dtype, ..LoadOptions::default() }).unwrap()
    };
    let [same, half] = [None, Some(DType::Bf16)].map(|dtype| plan(&golden("mt5"), dtype));
    assert_eq!(same.loading_bytes(), same.held_bytes());
    assert_eq!(half.loading_bytes(), same.held_bytes() + half.held_bytes());
    let folder = tempfile::tempdir().unwrap();
    let options = ConvertOptions { dtype: Some(DType::Bf16), ..ConvertOptions::default() };
    convert(half, options, folder.path(), &mut ()).unwrap();
    let [half, other] = [None, Some(DType::F16)].map(|dtype| plan(folder.path(), dtype));
    let softmax = 4 * (half.config.vocab_size * half.config.d_model) as u64;
    assert!(other.loading_bytes() > half.held_bytes() + softmax);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever tensors are taken away, renamed or reshaped: an error of one line that names each of them, no panic.
    #[test]
    fn no_set_of_tensors_makes_it_fail_otherwise_than_by_an_error(
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        bent in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut t = tensors("t5-v1_0");
        let names: Vec<String> = t.keys().cloned().collect();
        let mut touched = std::collections::BTreeSet::new();
        for at in &bent {
            let name = at.get(&names);
            let tensor = t.get_mut(name).unwrap();
            tensor.0 = vec![1, tensor.0.iter().product()];
            touched.insert(name.clone());
        }
        for at in &gone {
            t.remove(at.get(&names));
            touched.insert(at.get(&names).clone());
        }
        write(folder.path(), "t5-v1_0", &t, &[]);
        match Plan::<T5Config>::of(folder.path(), &LoadOptions::default()) {
            Ok(plan) => {
                prop_assert!(touched.is_empty());
                plan.load().unwrap();
            }
            Err(Error::Tensors { problems, .. }) => {
                let listed: std::collections::BTreeSet<String> =
                    problems.0.iter().map(|p| p.tensor.clone()).collect();
                prop_assert_eq!(listed, touched);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
