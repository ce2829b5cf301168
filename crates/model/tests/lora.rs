//! LoRA against peft 0.21 (`goldens/lora`, on the base `goldens/mt5`): adapters beside the weights and merged into them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{
    Adapted, Batch, ConvertOptions, LoadOptions, LoraConfig, Plan, Seq2Seq, T5, T5Config, convert,
    open_adapter, save_adapter,
};
use t5kit_tensor::{DType, Graph, Packed, Pool, Precision, Regime, ops};

/// The examples that the golden has logits of.
const SHOWN: [usize; 5] = [0, 2, 3, 4, 5];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

fn examples(rows: usize) -> Batch {
    let text = std::fs::read_to_string(golden("mt5/golden.json")).unwrap();
    let golden: Value = serde_json::from_str(&text).unwrap();
    let shown = |key: &str| {
        let all: Vec<Vec<u32>> = serde_json::from_value(golden[key].clone()).unwrap();
        SHOWN.map(|i| all[i].clone())
    };
    Batch::new(shown("sources"), shown("targets"), rows).unwrap()
}

fn logits(model: &T5) -> Vec<f32> {
    logits_in(model, Precision::Stored)
}

fn logits_in(model: &T5, precision: Precision) -> Vec<f32> {
    let pool = Pool::new(2);
    let mut graph = Graph::inference(&model.params, &pool, Regime::Bulk).with_precision(precision);
    let hidden = model.hidden(&mut graph, &examples(model.rows()));
    ops::logits(&graph, &hidden.value, model.softmax().weight).data().to_vec()
}

/// The same token by token; `tokens`: as many as the decoder is told to expect.
fn logits_by_steps(model: &T5, precision: Precision, tokens: usize) -> Vec<f32> {
    let batch = examples(model.rows());
    let pool = Pool::new(2);
    let mut bulk = Graph::inference(&model.params, &pool, Regime::Bulk).with_precision(precision);
    let inputs = batch.inputs(model.special_ids().start);
    let mut steps = Graph::inference(&model.params, &pool, Regime::Steps).with_precision(precision);
    let mut rows = vec![Vec::new(); inputs.tokens()];
    for (i, range) in inputs.ranges().enumerate() {
        // One source at a time.
        let source = Packed::new([batch.sources().sequence(i)]).unwrap();
        let mut cache = model.cache();
        model.start(&mut bulk, &mut cache, &source, &[tokens]);
        for at in range {
            let hidden = model.step(&mut steps, &Packed::singles(&inputs.ids()[at..=at]), &mut cache);
            rows[at] = ops::logits(&steps, &hidden, model.softmax().weight).data().to_vec();
        }
    }
    rows.concat()
}

/// Largest difference, relative to the largest value.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest
}

/// Tensors of a file of f32, by name.
fn tensors(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let file = SafetensorsFile::open(path).unwrap();
    let names: Vec<String> = file.names().map(String::from).collect();
    let tensor = |name: String| {
        let (dtype, shape) = file.info(&name).unwrap();
        assert_eq!(dtype, DType::F32);
        let value = (shape.to_vec(), file.bytes(&name).unwrap().to_vec());
        (name, value)
    };
    names.into_iter().map(tensor).collect()
}

fn reference() -> Vec<f32> {
    reference_of("lora")
}

fn reference_of(adapter: &str) -> Vec<f32> {
    let (_, bytes) = tensors(&golden(adapter).join("golden.safetensors")).remove("logits").unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// The base with peft's adapter beside its weights.
fn attached(mut base: T5) -> T5 {
    let file = open_adapter(&golden("lora"), &base.config).unwrap();
    base.attach_adapters(&file).unwrap();
    base
}

fn with_adapter() -> LoadOptions {
    LoadOptions { adapter: Some(golden("lora")), ..LoadOptions::default() }
}

#[test]
fn logits_are_those_of_peft_beside_the_weights_and_in_them() {
    let model = attached(T5::load(&golden("mt5")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    convert(
        Plan::<T5Config>::of(&golden("mt5"), &with_adapter()).unwrap(),
        ConvertOptions::default(),
        folder.path(),
        &mut (),
    )
    .unwrap();
    let merged = Plan::<T5Config>::of(&golden("mt5"), &with_adapter()).unwrap().load().unwrap();
    let converted = T5::load(folder.path()).unwrap();
    assert_eq!(logits(&merged), logits(&converted));
    for (how, got) in [
        ("beside", logits(&model)),
        ("beside, by few steps", logits_by_steps(&model, Precision::Stored, 1)),
        ("beside, by many steps", logits_by_steps(&model, Precision::Stored, usize::MAX)),
        ("merged", logits(&merged)),
        ("merged, by few steps", logits_by_steps(&merged, Precision::Stored, 1)),
        ("merged, by many steps", logits_by_steps(&merged, Precision::Stored, usize::MAX)),
    ] {
        let d = difference(&got, &reference());
        println!("{how}: {d:.1e}");
        assert!(d < 1e-5, "{how}: {d:e}");
    }
    assert!(
        difference(&logits(&T5::load(&golden("mt5")).unwrap()), &reference()) > 0.1,
        "the adapter does something"
    );
}

/// The sum is taken in f32 and rounded once.
#[test]
fn a_merged_model_has_the_type_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let options = ConvertOptions { dtype: Some(DType::Bf16), ..ConvertOptions::default() };
    convert(Plan::<T5Config>::of(&golden("mt5"), &with_adapter()).unwrap(), options, folder.path(), &mut ())
        .unwrap();
    let rounded = Plan::<T5Config>::of(folder.path(), &LoadOptions::default()).unwrap().load().unwrap();
    let mut merged = Plan::<T5Config>::of(&golden("mt5"), &with_adapter()).unwrap().load().unwrap();
    merged.params.store_matrices_as(DType::Bf16);
    for ((_, name, a), (_, _, b)) in
        rounded.params.iter().zip(merged.params.iter()).filter(|(a, _)| a.2.shape().len() == 2)
    {
        assert_eq!(a.dtype(), DType::Bf16, "{name}");
        assert_eq!(a.to_tensor().data(), b.to_tensor().data(), "{name}");
    }
}

/// The base stays in its own storage type, and the numbers are those of its rounded weights in f32; within the rounding
/// of its products' other factor where those are in bf16 (2.1e-2 measured).
#[test]
fn a_base_in_half_precision_stays_so() {
    for dtype in [DType::Bf16, DType::F16] {
        let mut half = T5::load(&golden("mt5")).unwrap();
        half.params.store_matrices_as(dtype);
        let mut wide = T5::load(&golden("mt5")).unwrap();
        wide.params.store_matrices_as(dtype);
        wide.params.store_matrices_as(DType::F32);
        let (half, wide) = (attached(half), attached(wide));
        let q = half.params.id("encoder.block.0.layer.0.SelfAttention.q.weight").unwrap();
        assert_eq!(half.params.get(q).dtype(), dtype);
        let want = logits(&wide);
        for (precision, bound) in
            [(Precision::F32, 1e-5), (Precision::Stored, if dtype == DType::Bf16 { 4e-2 } else { 1e-5 })]
        {
            for got in [logits_in(&half, precision), logits_by_steps(&half, precision, 1)] {
                let d = difference(&got, &want);
                println!("{}, {precision:?}: {d:.1e}", dtype.name());
                assert!(d < bound, "{}, {precision:?}: {d:e}", dtype.name());
            }
        }
    }
}

#[test]
fn what_is_written_is_what_peft_wrote() {
    let model = attached(T5::load(&golden("mt5")).unwrap());
    let lora = open_adapter(&golden("lora"), &model.config).unwrap().config;
    let folder = tempfile::tempdir().unwrap();
    save_adapter(&model, &lora, folder.path()).unwrap();
    let file = "adapter_model.safetensors";
    assert!(tensors(&folder.path().join(file)) == tensors(&golden("lora").join(file)));
    assert_eq!(open_adapter(folder.path(), &model.config).unwrap().config, lora);
}

/// `adapter_model.bin`, which peft writes with `safe_serialization=False` and wrote first.
#[test]
fn the_older_form_of_an_adapter_is_the_same_adapter() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["adapter_config.json", "adapter_model.bin"] {
        std::fs::copy(golden("lora").join(name), folder.path().join(name)).unwrap();
    }
    let mut model = T5::load(&golden("mt5")).unwrap();
    let file = open_adapter(folder.path(), &model.config).unwrap();
    assert_eq!(file.path(), folder.path().join("adapter_model.bin"));
    model.attach_adapters(&file).unwrap();
    assert_eq!(logits(&model), logits(&attached(T5::load(&golden("mt5")).unwrap())));
}

/// Rank-stabilised, with ranks and alphas by pattern and a softmax that was trained whole.
#[test]
fn what_peft_lets_layers_differ_in_is_merged_as_peft_does() {
    let options = LoadOptions { adapter: Some(golden("lora_patterns")), ..LoadOptions::default() };
    let plan = || Plan::<T5Config>::of(&golden("mt5"), &options).unwrap();
    let merged = plan().load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    convert(plan(), ConvertOptions::default(), folder.path(), &mut ()).unwrap();
    assert_eq!(logits(&merged), logits(&T5::load(folder.path()).unwrap()));
    let d = difference(&logits(&merged), &reference_of("lora_patterns"));
    println!("{d:.1e}");
    assert!(d < 1e-5, "{d:e}");
    // Rows are cut of the whole weight too.
    let list = folder.path().join("keep.json");
    std::fs::write(&list, "[0, 1, 5, 199]").unwrap();
    let cut = LoadOptions { keep_tokens: Some(list), ..options.clone() };
    let cut = Plan::<T5Config>::of(&golden("mt5"), &cut).unwrap().load().unwrap();
    let (all, few) = (
        merged.params.get(merged.softmax().weight).to_tensor(),
        cut.params.get(cut.softmax().weight).to_tensor(),
    );
    assert_eq!((few.rows(), few.row(3)), (4, all.row(199)));
    // It cannot be trained on beside the weights, and belongs to no other model.
    let file = open_adapter(&golden("lora_patterns"), &merged.config).unwrap();
    let error = T5::load(&golden("mt5")).unwrap().attach_adapters(&file).unwrap_err().to_string();
    assert!(error.contains("lm_head.weight: a whole weight beside the adapter"), "{error}");
    let error = Plan::<T5Config>::of(&golden("t5-v1_1"), &options).unwrap_err().to_string();
    assert!(error.contains("is it the adapter's base?") || error.contains("where the model has"), "{error}");
}

#[test]
fn new_adapters_change_nothing_yet_and_alone_are_trained() {
    let lora = |targets: &[&str]| LoraConfig {
        r: 5,
        lora_alpha: 8.0,
        target_modules: targets.iter().map(|t| (*t).to_owned()).collect(),
        ..LoraConfig::default()
    };
    let begin = |seed| {
        let mut model = T5::load(&golden("mt5")).unwrap();
        let base = model.params.len();
        model.begin_adapters(&lora(&["q", "wi_1"]), seed).unwrap();
        let new: Vec<_> =
            model.params.iter().skip(base).map(|(_, n, w)| (n.to_owned(), w.to_tensor())).collect();
        (model, base, new)
    };
    let (model, base, new) = begin(3);
    assert_eq!(logits(&model), logits(&T5::load(&golden("mt5")).unwrap()));
    // Two layers of three attentions and two feed-forward layers.
    assert_eq!(new.len(), 2 * 2 * (3 + 2));
    for (id, name, weight) in model.params.iter() {
        assert_eq!(model.params.trains(id), id.index() >= base, "{name}");
        let side = |side: &str| name.ends_with(&format!("lora_{side}.weight"));
        if side("A") {
            let bound = (weight.cols() as f32).powf(-0.5);
            let largest = weight.to_tensor().data().iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(largest < bound && largest > 0.9 * bound, "{name}: {largest} {bound}");
        }
        assert!(!side("B") || weight.to_tensor().data().iter().all(|&x| x == 0.0), "{name}");
    }
    assert!(new.iter().zip(begin(3).2).all(|(a, b)| a.1.data() == b.1.data()));
    assert!(new.iter().zip(begin(4).2).any(|(a, b)| a.1.data() != b.1.data()));
    let mut model = T5::load(&golden("mt5")).unwrap();
    assert_eq!(
        model.begin_adapters(&lora(&["q", "wi"]), 0).unwrap_err().to_string(),
        "the LoRA target wi names no layer of this model, whose layers are k, o, q, v, wi_0, wi_1, wo"
    );
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let options = with_adapter();
    let error = Plan::<T5Config>::of(&golden("t5-v1_1"), &options).unwrap_err().to_string();
    assert!(error.contains("adapter_model.safetensors: tensor base_model.model.decoder.block.0"), "{error}");
    assert!(error.contains("24 inputs and 18 outputs, where the model has 24 and 16"), "{error}");
    // ReLU: one wi alone.
    let error = Plan::<T5Config>::of(&golden("t5-v1_0"), &options).unwrap_err().to_string();
    assert!(error.contains("no such linear layer") || error.contains("where the model has"), "{error}");
    let error = Plan::<T5Config>::of(&golden("lora"), &LoadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("an adapter without its model: give the base by `model`"), "{error}");
}
