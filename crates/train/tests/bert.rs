//! A BERT, a NEZHA and a RoFormer through the trainer that trains a T5: they learn, a stopped and resumed run ends with the
//! bytes of one that was never stopped, accumulated batches are the big batch, frozen parts stay.

use std::ops::ControlFlow;
use std::path::Path;

use t5kit_formats::progress::{Progress, Watch};
use t5kit_model::{Architecture, Batch, Bert, BertConfig, Seq2Seq, Trainable};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{Dropout, Gradients, Graph, Pool, Precision, Rng, bf16_products};
use t5kit_train::{
    Data, Examples, LAST, PassOptions, Setup, StepRecord, TrainOptions, TrainWatch, accumulate, gradients,
    train,
};

const FAMILY: [&str; 3] = ["bert", "nezha", "roformer"];
/// `[CLS]` and `[SEP]`.
const ENDS: [u32; 2] = [2, 3];

fn config(model_type: &str) -> BertConfig {
    BertConfig {
        model_type: model_type.into(),
        vocab_size: 60,
        hidden_size: 24,
        embedding_size: if model_type == "roformer" { 18 } else { 24 },
        num_hidden_layers: 3,
        num_attention_heads: 3,
        intermediate_size: 40,
        max_position_embeddings: 32,
        max_relative_position: 5,
        initializer_range: 0.1,
        cls_token_id: ENDS[0],
        sep_token_id: ENDS[1],
        ..BertConfig::default()
    }
}

fn start(model_type: &str) -> Bert {
    Bert::random(config(model_type), 3).unwrap()
}

/// Random texts; the target is the source's beginning, which can be learned.
fn pairs(count: usize) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut rng = Rng::new(1, 7);
    let mut pair = || {
        let text: Vec<u32> = (0..2 + rng.below(9)).map(|_| 4 + rng.below(50) as u32).collect();
        ([&ENDS[..1], &text, &ENDS[1..]].concat(), [&text[..2], &ENDS[1..]].concat())
    };
    (0..count).map(|_| pair()).collect()
}

#[derive(Default)]
struct Watcher {
    stop_after: Option<u64>,
    records: Vec<StepRecord>,
}

impl Watch for Watcher {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        match self.stop_after {
            Some(steps) if self.records.len() as u64 >= steps => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl TrainWatch for Watcher {
    fn step(&mut self, record: &StepRecord) {
        self.records.push(record.clone());
    }
}

/// Trains; a resumed run goes on with what lies in the folder. Returns the losses.
fn run(
    model_type: &str,
    folder: &Path,
    options: &TrainOptions,
    resume: bool,
    stop_after: Option<u64>,
) -> Vec<f64> {
    let model = match resume && options.lora_rank.is_none() {
        true => Bert::load(&folder.join(LAST)).unwrap(),
        false => start(model_type),
    };
    let pairs = pairs(24);
    let examples = Examples::from_ids(pairs.iter().map(|(source, target)| (&source[..], &target[..])));
    let (pool, mut watch) = (Pool::new(2), Watcher { stop_after, ..Watcher::default() });
    let setup = Setup {
        devices: None,
        pool: &pool,
        valid: None,
        options,
        folder,
        tokenizer_files: &[],
        decoding: None,
        tensorboard: None,
        base: "base",
        resume,
    };
    train(Box::new(model), Data::Examples(&examples), setup, &mut watch).unwrap();
    watch.records.iter().map(|record| record.loss).collect()
}

fn options() -> TrainOptions {
    TrainOptions { epochs: 3, batch_size: 4, learning_rate: 5e-3, seed: 5, ..TrainOptions::default() }
}

/// Every way to train, by name.
fn ways() -> Vec<(&'static str, TrainOptions)> {
    let lora_targets = ["query", "value", "dense"].map(String::from).to_vec();
    let lora = TrainOptions { lora_rank: Some(3), lora_alpha: 6.0, lora_targets, ..options() };
    vec![
        ("f32", options()),
        ("bf16", TrainOptions { precision: Precision::Bf16, ..options() }),
        ("recompute", TrainOptions { recompute: true, ..options() }),
        ("accumulation", TrainOptions { batch_size: 2, gradient_accumulation: 2, ..options() }),
        ("lora", lora.clone()),
        ("lora, recompute, bf16", TrainOptions { recompute: true, precision: Precision::Bf16, ..lora }),
    ]
}

#[test]
fn a_stopped_and_resumed_run_ends_with_the_bytes_of_one_that_was_not() {
    for (model_type, (name, options)) in FAMILY.iter().flat_map(|t| ways().into_iter().map(move |w| (t, w))) {
        if options.precision == Precision::Bf16 && !bf16_products() {
            continue;
        }
        let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let losses = run(model_type, whole.path(), &options, false, None);
        let mut found = run(model_type, parts.path(), &options, false, Some(7));
        assert_eq!(found.len(), 7, "{model_type}, {name}");
        found.extend(run(model_type, parts.path(), &options, true, None));
        assert_eq!(found, losses, "{model_type}, {name}");
        let files = |folder: &Path| -> Vec<(String, Vec<u8>)> {
            let entries = std::fs::read_dir(folder.join(LAST)).unwrap().map(|entry| entry.unwrap().path());
            let read = |path: std::path::PathBuf| {
                (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
            };
            let mut files: Vec<_> =
                entries.map(read).filter(|(name, _)| name.ends_with(".safetensors")).collect();
            files.sort();
            files
        };
        assert_eq!(files(whole.path()).len(), 2, "{model_type}, {name}: weights and moments");
        assert!(files(whole.path()) == files(parts.path()), "{model_type}, {name}");
        let (first, last) = (losses[..4].iter().sum::<f64>(), losses[losses.len() - 4..].iter().sum::<f64>());
        assert!(last < first, "{model_type}, {name}: {losses:?}");
    }
}

/// Keeping a layer's input alone changes no loss, and no gradient but for the order of its sums: with dropout, whose masks
/// are drawn again.
#[test]
fn layers_computed_again_give_what_they_gave() {
    let pool = Pool::new(2);
    let (sources, targets): (Vec<_>, Vec<_>) = pairs(6).into_iter().unzip();
    let batch = Batch::new(&sources, &targets, 60).unwrap();
    for model_type in FAMILY {
        let mut model = start(model_type);
        model.make_trainable();
        let pass = |recompute| {
            let pass =
                PassOptions { dropout: Some(Dropout { rate: 0.2, key: 4 }), recompute, ..Default::default() };
            let mut found = Gradients::new();
            (gradients(&model, &pool, &batch, pass, &mut found), found)
        };
        let (kept, again) = (pass(false), pass(true));
        assert_eq!(kept.0, again.0);
        let largest = |x: &[f32]| x.iter().fold(0f32, |m, x| m.max(x.abs()));
        for (id, name, _) in model.params.iter() {
            let (a, b) = (kept.1.param(id).unwrap().data(), again.1.param(id).unwrap().data());
            let bound = 1e-5 * largest(a).max(1e-2);
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= bound), "{model_type}, {name}");
        }
    }
}

#[test]
fn accumulated_gradients_are_those_of_the_big_batch() {
    let pool = Pool::new(2);
    let (sources, targets): (Vec<_>, Vec<_>) = pairs(12).into_iter().unzip();
    let tokens: usize = targets.iter().map(Vec::len).sum();
    let loss = CrossEntropy { scale: 1.0 / tokens as f32, ..CrossEntropy::default() };
    for model_type in FAMILY {
        let mut model = start(model_type);
        model.make_trainable();
        let pass = |ends: &[usize]| {
            let (mut found, mut sum, mut start) = (Gradients::new(), 0.0, 0);
            for &end in ends {
                let batch = Batch::new(&sources[start..end], &targets[start..end], 60).unwrap();
                start = end;
                sum += accumulate(&model, &pool, &batch, loss, PassOptions::default(), &mut found).sum();
            }
            (sum, found)
        };
        let (whole, parts) = (pass(&[12]), pass(&[5, 6, 12]));
        assert!((whole.0 - parts.0).abs() < 1e-6 * whole.0);
        for (id, name, _) in model.params.iter() {
            let (want, got) = (whole.1.param(id).unwrap().data(), parts.1.param(id).unwrap().data());
            let largest = want.iter().fold(1e-2f32, |m, w| m.max(w.abs()));
            let close = got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-5 * largest);
            assert!(close, "{model_type}, {name}");
        }
    }
}

/// What is frozen keeps its bits and has no gradient; what is trained gets the gradients that it has when everything is
/// trained; and the way back ends where nothing below is trained.
#[test]
fn frozen_parts_stay_as_they_are_and_cost_nothing() {
    let pool = Pool::new(2);
    let (sources, targets): (Vec<_>, Vec<_>) = pairs(6).into_iter().unzip();
    let batch = Batch::new(&sources, &targets, 60).unwrap();
    let pass = PassOptions { dropout: Some(Dropout { rate: 0.1, key: 4 }), ..PassOptions::default() };
    for model_type in FAMILY {
        let mut all = start(model_type);
        all.make_trainable();
        let mut want = Gradients::new();
        let want_loss = gradients(&all, &pool, &batch, pass, &mut want);
        for parts in ["embeddings", "encoder", "softmax", "embeddings,softmax"] {
            let train_parts = parts.split(',').map(String::from).collect();
            let options = TrainOptions { train_parts, max_steps: Some(3), ..options() };
            let mut model = start(model_type);
            model.train_only(&options.parts());
            model.make_trainable();
            let mut found = Gradients::new();
            assert_eq!(
                gradients(&model, &pool, &batch, pass, &mut found),
                want_loss,
                "{model_type}, {parts}"
            );
            let folder = tempfile::tempdir().unwrap();
            run(model_type, folder.path(), &options, false, None);
            let trained = Bert::load(&folder.path().join(LAST)).unwrap();
            let mut moved = 0;
            for slot in model.config.layout() {
                let (id, name) = (model.params.id(&slot.name).unwrap(), &slot.name);
                let trains = parts.split(',').any(|part| part == slot.part.name());
                let after = trained.params.get(trained.params.id(name).unwrap()).to_tensor();
                let same = after.data() == model.params.get(id).to_tensor().data();
                moved += usize::from(!same);
                if trains {
                    let (got, want) = (found.param(id).unwrap().data(), want.param(id).unwrap().data());
                    assert_eq!(got, want, "{model_type}, {parts}: {name}");
                } else {
                    assert!(found.get(id).is_none() && same, "{model_type}, {parts}: {name}");
                }
            }
            assert!(moved > 0, "{model_type}, {parts}");
            let mut graph = Graph::training(&model.params, &pool, None);
            assert!(model.hidden(&mut graph, &batch).node().is_some(), "{model_type}, {parts}");
        }
        // The embedding alone, which is the softmax too.
        let mut model = start(model_type);
        let words = model.softmax().weight;
        let others: Vec<_> = model.params.iter().map(|(id, _, _)| id).filter(|&id| id != words).collect();
        others.into_iter().for_each(|id| model.params.freeze(id));
        model.make_trainable();
        let mut found = Gradients::new();
        gradients(&model, &pool, &batch, pass, &mut found);
        assert_eq!(found.param(words).unwrap().data(), want.param(words).unwrap().data(), "{model_type}");
    }
}

#[test]
fn a_part_that_it_does_not_have_is_refused() {
    let pairs = pairs(4);
    let examples = Examples::from_ids(pairs.iter().map(|(source, target)| (&source[..], &target[..])));
    let folder = tempfile::tempdir().unwrap();
    let options = TrainOptions { train_parts: vec!["decoder".into()], ..options() };
    let setup = Setup {
        pool: &Pool::new(1),
        devices: None,
        valid: None,
        options: &options,
        folder: folder.path(),
        tokenizer_files: &[],
        decoding: None,
        tensorboard: None,
        base: "base",
        resume: false,
    };
    let error = train(Box::new(start("bert")), Data::Examples(&examples), setup, &mut Watcher::default())
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("`train_parts` decoder: this model has no"), "{error}");
}

/// The first value that is not finite is found where it arises.
#[test]
fn a_value_that_is_not_finite_is_found() {
    let pool = Pool::new(1);
    let (sources, targets): (Vec<_>, Vec<_>) = pairs(2).into_iter().unzip();
    let batch = Batch::new(&sources, &targets, 60).unwrap();
    for model_type in FAMILY {
        for (slot, said) in [
            ("encoder.layer.1.attention.self.query.bias", "encoder.layer.1.attention.self.query.weight"),
            ("encoder.layer.2.output.LayerNorm.bias", "encoder.layer.2.output.dense.weight"),
            ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.weight"),
        ] {
            let mut model = start(model_type);
            model.make_trainable();
            let id = model.params.id(&format!("{model_type}.{slot}")).unwrap();
            *model.params.get_mut(id) = model.params.get(id).map(|_, _| f32::INFINITY);
            let mut graph = Graph::watching(&model.params, &pool, None);
            model.hidden(&mut graph, &batch);
            let found = graph.found().unwrap();
            assert!(found.contains(said), "{model_type}, {slot}: {found}");
        }
    }
}
