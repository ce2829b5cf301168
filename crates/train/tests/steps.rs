//! What a step computes: accumulated batches are the big batch, frozen parts stay, rows by choice, memory for what is
//! trained alone.

use std::ops::ControlFlow;
use std::path::Path;

use t5kit_formats::progress::{Progress, Watch};
use t5kit_model::{Batch, Seq2Seq, T5, T5Config, Trainable};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{Dropout, Gradients, Graph, Pool, Rng};
use t5kit_train::{
    Data, Examples, LAST, OptimizerKind, PassOptions, Setup, StepRecord, TrainOptions, TrainWatch,
    accumulate, gradients, train,
};

fn config(tie_word_embeddings: bool) -> T5Config {
    T5Config {
        vocab_size: 60,
        d_model: 24,
        d_kv: 6,
        d_ff: 40,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 3,
        tie_word_embeddings,
        ..T5Config::default()
    }
}

fn texts(count: usize, stream: u64) -> Vec<Vec<u32>> {
    let mut rng = Rng::new(8, stream);
    let mut text = || -> Vec<u32> {
        let ids = (0..3 + rng.below(9)).map(|_| 2 + rng.below(50) as u32);
        ids.chain([1]).collect()
    };
    (0..count).map(|_| text()).collect()
}

fn examples(count: usize) -> Examples {
    let (sources, targets) = (texts(count, 0), texts(count, 1));
    Examples::from_ids(sources.iter().zip(&targets).map(|(source, target)| (&source[..], &target[..])))
}

#[derive(Default)]
struct Records(Vec<StepRecord>);

impl Watch for Records {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl TrainWatch for Records {
    fn step(&mut self, record: &StepRecord) {
        self.0.push(record.clone());
    }
}

fn run(
    folder: &Path,
    options: &TrainOptions,
    tied: bool,
) -> Result<(T5, Vec<StepRecord>), t5kit_train::Error> {
    let model = T5::random(config(tied), 3).unwrap();
    let (examples, pool) = (examples(24), Pool::new(2));
    let mut watch = Records::default();
    let job = Setup {
        devices: None,
        pool: &pool,
        valid: None,
        options,
        folder,
        tokenizer_files: &[],
        decoding: None,
        tensorboard: None,
        base: "base",
        resume: false,
    };
    train(Box::new(model), Data::Examples(&examples), job, &mut watch)?;
    Ok((T5::load(&folder.join(LAST)).unwrap(), watch.0))
}

/// Batches one after the other give the loss and gradients of the batch that they are together, with either kind of
/// softmax, with the embedding's gradient by rows or not, and the same bits every time.
#[test]
fn accumulated_gradients_are_those_of_the_big_batch() {
    let pool = Pool::new(2);
    let (sources, targets) = (texts(12, 0), texts(12, 1));
    let tokens: usize = targets.iter().map(Vec::len).sum();
    let loss = CrossEntropy {
        scale: 1.0 / tokens as f32,
        label_smoothing: 0.1,
        z_loss: 1e-3,
        ..CrossEntropy::default()
    };
    for (tied, by_rows) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut model = T5::random(config(tied), 3).unwrap();
        model.make_trainable();
        let pass = |ends: &[usize], by_rows: bool| {
            let mut found = Gradients::new();
            if by_rows {
                found.keep_rows(model.shared());
            }
            found.clear();
            let mut sum = 0.0;
            let mut start = 0;
            for &end in ends {
                let batch = Batch::new(&sources[start..end], &targets[start..end], model.rows()).unwrap();
                start = end;
                sum += accumulate(&model, &pool, &batch, loss, PassOptions::default(), &mut found).sum();
            }
            (sum, found)
        };
        let (whole_loss, whole) = pass(&[12], false);
        let (loss, parts) = pass(&[5, 6, 12], by_rows);
        let (again_loss, again) = pass(&[5, 6, 12], by_rows);
        assert!((loss - whole_loss).abs() < 1e-6 * whole_loss && loss == again_loss);
        for (id, name, weight) in model.params.iter() {
            let want = whole.param(id).unwrap().data();
            let values = |gradients: &Gradients| -> Vec<f32> {
                let mut dense = vec![0.0; weight.len()];
                match gradients.get(id).unwrap() {
                    t5kit_tensor::Gradient::Dense(tensor) => dense.copy_from_slice(tensor.data()),
                    t5kit_tensor::Gradient::Rows(rows) => {
                        for (row, at) in rows.sorted() {
                            dense[row * weight.cols()..][..weight.cols()].copy_from_slice(rows.row(at));
                        }
                    }
                }
                dense
            };
            let got = values(&parts);
            assert!(got == values(&again), "{name}");
            let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
            for (a, b) in got.iter().zip(want) {
                assert!((a - b).abs() < 2e-5 * largest, "{name}: {a} {b}");
            }
        }
    }
}

/// The trainer's steps with accumulation are those of the bigger batch (without dropout, whose masks differ).
#[test]
fn a_run_with_accumulation_is_the_run_with_the_bigger_batch() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let big = TrainOptions { batch_size: 9, learning_rate: 1e-3, dropout: 0.0, ..TrainOptions::default() };
    let small = TrainOptions { batch_size: 3, gradient_accumulation: 3, ..big.clone() };
    let (_, big) = run(a.path(), &big, false).unwrap();
    let (_, small) = run(b.path(), &small, false).unwrap();
    assert_eq!((big.len(), small.len()), (9, 9));
    for (big, small) in big.iter().zip(&small) {
        assert_eq!((big.step, big.epoch, big.real_tokens), (small.step, small.epoch, small.real_tokens));
        assert!((big.loss - small.loss).abs() < 1e-5 * big.loss, "{} {}", big.loss, small.loss);
        assert!((big.grad_norm - small.grad_norm).abs() < 1e-4 * big.grad_norm);
    }
}

/// What is frozen keeps its bits, has no gradient and no state; what is trained gets the gradients that it has when
/// everything is trained.
#[test]
fn frozen_parts_stay_as_they_are_and_cost_nothing() {
    let pool = Pool::new(2);
    let batch = Batch::new(texts(6, 0), texts(6, 1), config(false).vocab_size).unwrap();
    let dropout = Some(Dropout { rate: 0.1, key: 4 });
    let mut all = T5::random(config(false), 3).unwrap();
    all.make_trainable();
    let mut want = Gradients::new();
    let want_loss =
        gradients(&all, &pool, &batch, PassOptions { dropout, ..PassOptions::default() }, &mut want);
    for parts in ["encoder", "decoder", "embeddings", "softmax", "encoder,softmax", "embeddings,decoder"] {
        let options = TrainOptions {
            train_parts: parts.split(',').map(String::from).collect(),
            max_steps: Some(3),
            ..TrainOptions::default()
        };
        let mut model = T5::random(config(false), 3).unwrap();
        model.train_only(&options.parts());
        model.make_trainable();
        let mut found = Gradients::new();
        let loss =
            gradients(&model, &pool, &batch, PassOptions { dropout, ..PassOptions::default() }, &mut found);
        assert_eq!(loss, want_loss, "{parts}");
        // The way back ends where nothing below is trained.
        let mut graph = Graph::training(&model.params, &pool, None);
        let encoded = model.encode(&mut graph, batch.sources());
        let recorded = parts.contains("encoder") || parts.contains("embeddings");
        assert_eq!(encoded.node().is_some(), recorded, "{parts}");
        let hidden = model.decode(&mut graph, &batch.inputs(0), batch.sources(), &encoded);
        assert_eq!(hidden.node().is_some(), parts != "softmax", "{parts}");

        let folder = tempfile::tempdir().unwrap();
        let (trained, _) = run(folder.path(), &options, false).unwrap();
        let state = std::fs::read(folder.path().join("last/training_state.safetensors")).unwrap();
        let state = String::from_utf8_lossy(&state).into_owned();
        let mut moved = 0;
        for (id, name, weight) in model.params.iter() {
            let part = match name {
                "shared.weight" => "embeddings",
                "lm_head.weight" => "softmax",
                _ => name.split('.').next().unwrap(),
            };
            let trains = parts.split(',').any(|p| p == part);
            let after = trained.params.get(trained.params.id(name).unwrap()).to_tensor();
            let same = after.data() == weight.to_tensor().data();
            moved += usize::from(!same);
            assert_eq!(state.contains(&format!("\"m.{name}\"")), trains, "{parts}: {name}");
            if trains {
                assert_eq!(
                    found.param(id).unwrap().data(),
                    want.param(id).unwrap().data(),
                    "{parts}: {name}"
                );
            } else {
                assert!(found.get(id).is_none() && same, "{parts}: {name}");
            }
        }
        assert!(moved > 0, "{parts}");
    }
}

/// Lazily, rows that no batch uses keep their bits, though weight decay and moments would move them.
#[test]
fn lazy_embeddings_leave_unused_rows_alone() {
    for optimizer in [OptimizerKind::Adamw, OptimizerKind::Lion] {
        for lazy_embeddings in [false, true] {
            let options =
                TrainOptions { optimizer, lazy_embeddings, weight_decay: 0.1, ..TrainOptions::default() };
            let folder = tempfile::tempdir().unwrap();
            let (trained, _) = run(folder.path(), &options, false).unwrap();
            let start = T5::random(config(false), 3).unwrap();
            let rows = |model: &T5| model.params.get(model.shared()).to_tensor();
            let (before, after) = (rows(&start), rows(&trained));
            // Ids are below 52.
            for row in 52..60 {
                assert_eq!(before.row(row) == after.row(row), lazy_embeddings, "{optimizer:?}, row {row}");
            }
            assert_ne!(before.row(10), after.row(10));
        }
    }
}

#[test]
fn settings_that_a_model_cannot_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lazy = TrainOptions { lazy_embeddings: true, ..TrainOptions::default() };
    let error = run(folder.path(), &lazy, true).err().unwrap().to_string();
    assert!(error.starts_with("`lazy_embeddings`: ") && error.lines().count() == 1, "{error}");
    let softmax = TrainOptions { train_parts: vec!["softmax".into()], ..TrainOptions::default() };
    let error = run(folder.path(), &softmax, true).err().unwrap().to_string();
    assert!(error.starts_with("`train_parts` softmax: ") && error.contains("embeddings"), "{error}");
    let both = TrainOptions { train_parts: vec!["embeddings".into()], max_steps: Some(1), ..softmax };
    run(folder.path(), &both, true).unwrap();
}

#[test]
fn adafactor_remembers_rows_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        TrainOptions { optimizer: OptimizerKind::Adafactor, max_steps: Some(1), ..TrainOptions::default() };
    run(folder.path(), &options, false).unwrap();
    let size = |name: &str| std::fs::metadata(folder.path().join("last").join(name)).unwrap().len();
    assert!(size("training_state.safetensors") < size("model.safetensors") * 2 / 3);
}
