//! A stopped and resumed run ends with the bytes of one that was never stopped.

use std::ops::ControlFlow;
use std::path::Path;

use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::spiece::{NormalizerSpec, Piece, PieceKind, SpieceModel, TrainerSpec};
use t5kit_formats::tfevents;
use t5kit_generate::GenerateOptions;
use t5kit_model::{SpecialIds, T5, T5Config};
use t5kit_tensor::{Pool, Rng};
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{
    BEST, Data, Decoding, EVENTS, EvalRecord, Examples, LAST, LOG, OptimizerKind, Outcome, Schedule, Setup,
    StepRecord, TrainLog, TrainOptions, TrainWatch, ValidationOptions, train,
};

fn config() -> T5Config {
    T5Config {
        vocab_size: 60,
        d_model: 24,
        d_kv: 6,
        d_ff: 40,
        num_layers: 2,
        num_decoder_layers: 2,
        num_heads: 3,
        ..T5Config::default()
    }
}

/// Random ids; the target is the source's beginning, which can be learned.
fn examples(count: usize, stream: u64) -> Examples {
    let mut rng = Rng::new(1, stream);
    let pairs: Vec<(Vec<u32>, Vec<u32>)> = (0..count)
        .map(|_| {
            let mut ids: Vec<u32> = (0..3 + rng.below(9)).map(|_| 2 + rng.below(58) as u32).collect();
            ids.push(1);
            let target = [&ids[..2], &[1]].concat();
            (ids, target)
        })
        .collect();
    Examples::from_ids(pairs.iter().map(|(source, target)| (&source[..], &target[..])))
}

/// Pieces `a0` … for the ids behind the control pieces.
fn tokenizer() -> (tempfile::TempDir, Tokenizer) {
    let piece = |text: String, kind| Piece { text, kind, score: -1.0, ..Piece::default() };
    let mut pieces = vec![
        piece("<pad>".into(), PieceKind::Control),
        piece("</s>".into(), PieceKind::Control),
        piece("<unk>".into(), PieceKind::Unknown),
    ];
    pieces.extend((3..60).map(|i| piece(format!("▁a{i}"), PieceKind::Normal)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spiece.model");
    let model = SpieceModel::new(pieces, TrainerSpec::default(), NormalizerSpec::default());
    std::fs::write(&path, model.to_bytes()).unwrap();
    let tokenizer = Tokenizer::load(&path).unwrap();
    (folder, tokenizer)
}

/// Validates every 4 steps by two metrics, saves every 3.
fn watched() -> TrainOptions {
    let validation = ValidationOptions {
        eval_every: Some(4),
        save_every: Some(3),
        metrics: vec!["chrf".into(), "accuracy".into()],
        max_new_tokens: 5,
        max_examples: Some(5),
        ..ValidationOptions::default()
    };
    TrainOptions { validation, ..options() }
}

fn options() -> TrainOptions {
    TrainOptions { epochs: 3, batch_size: 4, learning_rate: 5e-3, seed: 5, ..TrainOptions::default() }
}

fn adapters() -> TrainOptions {
    let lora_targets = ["q", "v", "wi_1"].map(String::from).to_vec();
    TrainOptions { lora_rank: Some(3), lora_alpha: 6.0, lora_targets, ..options() }
}

/// Stops after a number of steps; counts what it saw.
#[derive(Default)]
struct Watcher {
    stop_after: Option<u64>,
    stop_while_validating: bool,
    /// Within a validation: stops when asked this often there.
    stop_within: Option<usize>,
    asked: usize,
    seen: u64,
    evaluations: Vec<EvalRecord>,
    validating: bool,
}

impl Watch for Watcher {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        if at.stage != "training" {
            self.validating = true;
            self.asked += 1;
        }
        let stop = self.stop_after.is_some_and(|n| self.seen >= n)
            || (self.stop_while_validating && self.validating)
            || self.stop_within.is_some_and(|n| self.asked >= n);
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl TrainWatch for Watcher {
    fn step(&mut self, record: &StepRecord) {
        self.seen = record.step;
        assert!(record.loss.is_finite() && record.real_tokens > 0 && record.grad_norm > 0.0);
    }
    fn evaluated(&mut self, record: &EvalRecord) {
        self.evaluations.push(record.clone());
    }
}

fn run(
    folder: &Path,
    options: &TrainOptions,
    resume: bool,
    watch: &mut Watcher,
) -> Result<Outcome, t5kit_train::Error> {
    // Adapters go on beside their base.
    let base = || T5::random(config(), 3).unwrap();
    let last = resume && options.lora_rank.is_none();
    run_on(if last { T5::load(&folder.join(LAST)).unwrap() } else { base() }, folder, options, resume, watch)
}

fn run_on(
    model: T5,
    folder: &Path,
    options: &TrainOptions,
    resume: bool,
    watch: &mut Watcher,
) -> Result<Outcome, t5kit_train::Error> {
    let (training, valid) = (examples(21, 0), examples(7, 1));
    let pool = Pool::new(2);
    let (examples, valid) = (&training, Some(&valid));
    let (_files, tokenizer) = tokenizer();
    let decoding = Some(Decoding {
        tokenizer: &tokenizer,
        options: GenerateOptions::new(60, SpecialIds::default()),
        of_tasks: Vec::new(),
        punctuation: t5kit_tokenizer::Punctuation::Auto,
    });
    let events = folder.join("tensorboard");
    let (tensorboard, tokenizer_files) = (Some(events.as_path()), &[][..]);
    let (pool, base) = (&pool, "base");
    let devices = None;
    let job =
        Setup { devices, pool, valid, options, folder, tokenizer_files, decoding, tensorboard, base, resume };
    train(Box::new(model), Data::Examples(examples), job, watch)
}

/// The log without what a clock or the system decides.
fn log(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("train_log.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            let object = value.as_object_mut().unwrap();
            object.remove("seconds");
            object.remove("rss_bytes");
            value
        })
        .collect()
}

fn assert_same(a: &Path, b: &Path) {
    for name in [LAST, BEST] {
        for file in [
            "model.safetensors",
            "config.json",
            "adapter_model.safetensors",
            "adapter_config.json",
            "training_state.safetensors",
            "training_state.json",
        ] {
            let (a, b) = (a.join(name).join(file), b.join(name).join(file));
            assert_eq!(a.exists(), b.exists(), "{}", a.display());
            if a.exists() {
                assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap(), "{name}/{file} differs");
            }
        }
    }
    assert_eq!(log(a), log(b));
    assert_eq!(events(a), events(b));
}

/// TensorBoard's events without what a clock or the system decides.
fn events(folder: &Path) -> Vec<(i64, Vec<(String, u32)>)> {
    let events = tfevents::read(&folder.join("tensorboard").join(EVENTS)).unwrap();
    let kept = |(tag, value): (String, f32)| {
        let of_run = tag.starts_with("train/") || tag.starts_with("valid/");
        of_run.then_some((tag, value.to_bits()))
    };
    events.into_iter().map(|e| (e.step, e.scalars.into_iter().filter_map(kept).collect())).collect()
}

#[test]
fn a_resumed_run_is_the_run() {
    let whole = tempfile::tempdir().unwrap();
    let mut watch = Watcher::default();
    let summary = run(whole.path(), &options(), false, &mut watch).unwrap();
    assert_eq!((summary.steps, summary.stopped), (18, false));
    assert_eq!(watch.evaluations.len(), 3);
    assert!(watch.evaluations[2].valid_loss < watch.evaluations[0].valid_loss, "it learns");
    let losses = watch.evaluations.iter().map(|e| e.valid_loss);
    assert_eq!(summary.best.map(|best| best.valid_loss), losses.reduce(f64::min));

    // Stopped within an epoch, at an epoch's end, and while validating.
    for stop_after in [1, 6, 8, 17] {
        for stop_while_validating in [false, true] {
            let parts = tempfile::tempdir().unwrap();
            let stop_after = (!stop_while_validating).then_some(stop_after);
            let mut watch = Watcher { stop_after, stop_while_validating, ..Watcher::default() };
            let summary = run(parts.path(), &options(), false, &mut watch).unwrap();
            assert!(summary.stopped && summary.steps < 18);
            let summary = run(parts.path(), &options(), true, &mut Watcher::default()).unwrap();
            assert_eq!((summary.steps, summary.stopped), (18, false));
            assert_same(whole.path(), parts.path());
        }
    }
}

#[test]
fn validations_by_steps_and_metrics_resume_too() {
    let whole = tempfile::tempdir().unwrap();
    let mut watch = Watcher::default();
    run(whole.path(), &watched(), false, &mut watch).unwrap();
    assert_eq!(watch.evaluations.iter().map(|e| e.step).collect::<Vec<_>>(), [4, 8, 12, 16, 18]);
    let chrf = |e: &EvalRecord| e.metrics["chrf"].as_f64().unwrap();
    assert!(watch.evaluations.iter().all(|e| e.metrics.len() == 2 && (0.0..=1.0).contains(&chrf(e))));
    let best = watch.evaluations.iter().rev().find(|e| e.best).unwrap();
    assert!(watch.evaluations.iter().all(|e| chrf(e) <= chrf(best)), "the first metric decides");

    // Stopped in the loss's batches, while generating, and elsewhere; also twice in one validation.
    for (stop_within, stop_after) in
        [(Some(1), None), (Some(3), None), (Some(5), None), (Some(12), None), (None, Some(4))]
    {
        let parts = tempfile::tempdir().unwrap();
        let mut watch = Watcher { stop_within, stop_after, ..Watcher::default() };
        assert!(run(parts.path(), &watched(), false, &mut watch).unwrap().stopped);
        let mut again = Watcher { stop_within: Some(2), ..Watcher::default() };
        assert!(run(parts.path(), &watched(), true, &mut again).unwrap().stopped);
        assert!(!run(parts.path(), &watched(), true, &mut Watcher::default()).unwrap().stopped);
        assert_same(whole.path(), parts.path());
    }
}

#[test]
fn what_was_logged_after_the_last_checkpoint_is_taken_again() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &watched(), false, &mut Watcher::default()).unwrap();
    let parts = tempfile::tempdir().unwrap();
    let mut watch = Watcher { stop_within: Some(3), ..Watcher::default() };
    run(parts.path(), &watched(), false, &mut watch).unwrap();
    // As after a kill: the validation of the checkpoint's own step, a later step, and half a line.
    let path = parts.path().join(LOG);
    let mut log = std::fs::read_to_string(&path).unwrap();
    assert!(!log.contains("valid_loss"));
    log.push_str("{\"step\":4,\"epoch\":1,\"valid_loss\":1.0,\"best\":true}\n{\"step\":5,\"loss\":1.0}\n{\"step\":6,\"lo");
    std::fs::write(&path, log).unwrap();
    run(parts.path(), &watched(), true, &mut Watcher::default()).unwrap();
    assert_same(whole.path(), parts.path());
}

#[test]
fn a_run_that_gets_no_better_ends_early_and_stays_ended() {
    let mut patient = TrainOptions { epochs: 50, learning_rate: 1e-9, dropout: 0.0, ..watched() };
    patient.validation.early_stopping_patience = Some(2);
    let folder = tempfile::tempdir().unwrap();
    let summary = run(folder.path(), &patient, false, &mut Watcher::default()).unwrap();
    // The first is the best, the next two are not better.
    assert!(summary.early && summary.steps == 12, "{summary:?}");
    let again = run(folder.path(), &patient, true, &mut Watcher::default()).unwrap();
    assert!(again.early && again.steps == 12);
    patient.validation.early_stopping_patience = Some(3);
    assert_eq!(run(folder.path(), &patient, true, &mut Watcher::default()).unwrap().steps, 16);
}

#[test]
fn two_runs_in_one_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &options(), false, &mut Watcher::default()).unwrap();
    let _first = TrainLog::open(folder.path(), None, 0, 0, &TrainOptions::default()).unwrap();
    let error = run(folder.path(), &options(), false, &mut Watcher::default()).unwrap_err().to_string();
    assert!(error.contains("another run"), "{error}");
    assert!(folder.path().join("last/model.safetensors").is_file());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let (a, b, c) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let short = TrainOptions { max_steps: Some(3), ..options() };
    for (folder, seed) in [(&a, 5), (&b, 5), (&c, 6)] {
        run(folder.path(), &TrainOptions { seed, ..short.clone() }, false, &mut Watcher::default()).unwrap();
    }
    assert_same(a.path(), b.path());
    let weights =
        |folder: &tempfile::TempDir| std::fs::read(folder.path().join("last/model.safetensors")).unwrap();
    assert!(weights(&a) != weights(&c));
}

#[test]
fn resuming_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &TrainOptions { max_steps: Some(2), ..options() }, false, &mut Watcher::default())
        .unwrap();
    for (changed, message) in [
        (TrainOptions { batch_size: 5, ..options() }, "`batch_size` 4, not 5"),
        (TrainOptions { learning_rate: 1.0, ..options() }, "`learning_rate` 0.005, not 1"),
        (TrainOptions { seed: 1, ..options() }, "`seed` 5, not 1"),
        (watched(), "`validation.eval_every` unset, not 4"),
    ] {
        let error = run(folder.path(), &changed, true, &mut Watcher::default()).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    // With a schedule that ends at 0, longer is another run.
    let mad = TrainOptions { schedule: Schedule::Linear, ..options() };
    let error = run(folder.path(), &mad, true, &mut Watcher::default()).unwrap_err().to_string();
    assert!(error.contains("`schedule` constant, not linear"), "{error}");
    // Longer is the same run.
    let summary = run(folder.path(), &options(), true, &mut Watcher::default()).unwrap();
    assert_eq!(summary.steps, 18);
}

#[test]
fn a_damaged_state_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &TrainOptions { max_steps: Some(2), ..options() }, false, &mut Watcher::default())
        .unwrap();
    let last = folder.path().join(LAST);
    for (file, keep) in [("training_state.safetensors", 100), ("training_state.json", 10)] {
        let path = last.join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..keep]).unwrap();
        let error = run(folder.path(), &options(), true, &mut Watcher::default()).unwrap_err().to_string();
        assert!(error.contains(file) && error.lines().count() == 1, "{error}");
        std::fs::write(&path, bytes).unwrap();
    }
}

/// Every optimizer, and everything else that a step's arithmetic or the choice of its examples depends on.
#[test]
fn runs_of_every_kind_resume_bit_for_bit() {
    let kinds = OptimizerKind::ALL.map(|optimizer| TrainOptions { optimizer, ..options() });
    let more = [
        TrainOptions {
            optimizer: OptimizerKind::Adafactor,
            scale_parameter: true,
            schedule: Schedule::Cosine,
            warmup_steps: 3,
            label_smoothing: 0.1,
            z_loss: 1e-3,
            gradient_accumulation: 2,
            ..options()
        },
        TrainOptions {
            lazy_embeddings: true,
            batch_tokens: Some(30),
            schedule: Schedule::InverseSqrt,
            train_parts: vec!["embeddings".into(), "decoder".into()],
            ..options()
        },
        adapters(),
        TrainOptions { recompute: true, gradient_accumulation: 2, ..adapters() },
    ];
    for options in kinds.into_iter().chain(more) {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        run(whole.path(), &options, false, &mut Watcher::default()).unwrap();
        for (resume, stop_after) in [(false, Some(2)), (true, Some(7)), (true, None)] {
            run(parts.path(), &options, resume, &mut Watcher { stop_after, ..Watcher::default() }).unwrap();
        }
        assert_same(whole.path(), parts.path());
    }
}

#[test]
fn a_schedule_that_ends_cannot_be_made_longer() {
    let folder = tempfile::tempdir().unwrap();
    let linear = TrainOptions { schedule: Schedule::Linear, warmup_steps: 2, ..options() };
    run(folder.path(), &linear, false, &mut Watcher::default()).unwrap();
    let rates: Vec<f64> = log(folder.path()).iter().filter_map(|line| line["lr"].as_f64()).collect();
    let want: Vec<f64> = (0..18).map(|step| linear.rate(step, 18)).collect();
    assert_eq!(rates, want);
    let longer = TrainOptions { epochs: 4, ..linear };
    let error = run(folder.path(), &longer, true, &mut Watcher::default()).unwrap_err().to_string();
    assert!(error.contains("`epochs` 3, not 4"), "{error}");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_first_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let mad = TrainOptions { learning_rate: 1e30, epochs: 9, ..options() };
    let error = run(folder.path(), &mad, false, &mut Watcher::default()).unwrap_err().to_string();
    assert!(error.contains("not finite") && error.contains("`learning_rate`"), "{error}");
    assert!(error.contains("encoder.block.0.layer.0.SelfAttention.q.weight"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn adapters_learn_beside_their_base_and_go_on_only_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watcher::default();
    run(folder.path(), &adapters(), false, &mut watch).unwrap();
    assert!(watch.evaluations[2].valid_loss < watch.evaluations[0].valid_loss, "it learns");
    for name in [LAST, BEST] {
        assert!(!folder.path().join(name).join("model.safetensors").exists(), "{name} is an adapter alone");
    }
    // Moments of adapters alone.
    let moments =
        std::fs::metadata(folder.path().join(LAST).join("training_state.safetensors")).unwrap().len();
    let weights =
        std::fs::metadata(folder.path().join(LAST).join("adapter_model.safetensors")).unwrap().len();
    assert!(moments < 3 * weights, "{moments} {weights}");

    let longer = TrainOptions { epochs: 4, ..adapters() };
    let resumed = |base: T5, options: &TrainOptions| {
        run_on(base, folder.path(), options, true, &mut Watcher::default()).map_err(|e| e.to_string())
    };
    let base = |seed| T5::random(config(), seed).unwrap();
    let error = resumed(base(4), &longer).unwrap_err();
    assert!(error.contains("`base` another base model, not this one"), "{error}");
    for (changed, message) in [
        (TrainOptions { lora_rank: Some(4), ..longer.clone() }, "`lora_rank` 3, not 4"),
        (TrainOptions { lora_rank: None, ..longer.clone() }, "`lora_rank` 3, not none"),
        (TrainOptions { lora_alpha: 8.0, ..longer.clone() }, "`lora_alpha` 6.0, not 8.0"),
        (TrainOptions { lora_targets: vec!["q".into()], ..longer.clone() }, "`lora_targets` q,v,wi_1, not q"),
    ] {
        let error = resumed(base(3), &changed).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(resumed(base(3), &longer).unwrap().steps, 24);
}
