//! The training loop.

use std::path::{Path, PathBuf};
use std::time::Instant;

use t5kit_model::t5::Part;
use t5kit_model::{LoraConfig, T5, open_adapter};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{Dropout, Gradients, Pool, Precision, bf16_products, mix};

use crate::batches::Batches;
use crate::checkpoint::{self, BEST, LAST, TrainingState};
use crate::log::{EvalRecord, StepRecord, TrainLog};
use crate::lora;
use crate::memory::{Memory, predict, resident_bytes};
use crate::pass::{self, PassOptions};
use crate::validation::{Decoding, validate};
use crate::{Error, Examples, Optimizer, TrainOptions};

/// Steps in a row that may be skipped because something was not finite.
const PATIENCE: u32 = 4;

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Elements of all parameters.
    pub parameters: usize,
    /// Those that are trained.
    pub trained: usize,
    /// Predicted memory.
    pub memory: Memory,
    /// Training examples.
    pub examples: usize,
    /// Source and target tokens of an epoch.
    pub tokens_per_epoch: usize,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps that a resumed run has behind it.
    pub done_steps: u64,
}

/// Who watches a run; every method has a default that does nothing.
pub trait Observer {
    /// Before the first step.
    fn started(&mut self, _plan: &Forecast) {}
    /// After every step.
    fn step(&mut self, _record: &StepRecord) {}
    /// While validating: examples done, of how many.
    fn evaluating(&mut self, _done: usize, _of: usize) {}
    /// After a validation.
    fn evaluated(&mut self, _record: &EvalRecord) {}
    /// A step was skipped because of something that is not finite.
    fn skipped(&mut self, _step: u64, _what: &str) {}
    /// Asked after every step: whether to save and end.
    fn stop(&mut self) -> bool {
        false
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Steps done, with those before a resume.
    pub steps: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// The last step's loss.
    pub loss: Option<f64>,
    /// The best validation.
    pub best: Option<EvalRecord>,
    /// Whether it ended because nothing had become better for long enough.
    pub early: bool,
}

/// What to train on, how, and where to put it.
pub struct Setup<'a> {
    /// The threads.
    pub pool: &'a Pool,
    /// Training examples.
    pub examples: &'a Examples,
    /// Validation examples: with them there is a `best/`.
    pub valid: Option<&'a Examples>,
    /// The settings.
    pub options: &'a TrainOptions,
    /// The run's folder, made once nothing speaks against the run: `last/`, `best/` and `train_log.jsonl` are written
    /// there, and those of a former run that is not resumed go.
    pub folder: &'a Path,
    /// Files to copy beside each checkpoint.
    pub tokenizer_files: &'a [PathBuf],
    /// How targets are generated for the metrics of [`crate::ValidationOptions`].
    pub decoding: Option<Decoding<'a>>,
    /// Folder for TensorBoard's events; made where it is missing.
    pub tensorboard: Option<&'a Path>,
    /// What the model given is called; where adapters are trained they name it as theirs.
    pub base: &'a str,
    /// Whether to go on from `last/`, whose model is then the one given; where adapters are trained, still their base.
    pub resume: bool,
}

struct Run<'a> {
    setup: Setup<'a>,
    model: T5,
    lora: Option<LoraConfig>,
    optimizer: Optimizer,
    state: TrainingState,
    log: TrainLog,
    batches: Batches<'a>,
    /// Steps of the whole run.
    total: u64,
}

/// Trains a model. A resumed run ends with the bytes of one that was never stopped.
pub fn train(mut model: T5, setup: Setup<'_>, observer: &mut dyn Observer) -> Result<Outcome, Error> {
    let (examples, options) = (setup.examples, setup.options);
    check(&model, options)?;
    let batches = Batches::new(examples, options);
    let held = model.params.iter().map(|(_, _, w)| (w.len() * w.dtype().size()) as u64).sum();
    let memory = predict(&model.config, options, Some(held), batches.largest, Some(examples.pieces()));
    if let Some(available) = t5kit_model::memory::available_bytes()
        && memory.total() > available
    {
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
        return Err(Error::Memory { needed: gib(memory.total()), available: gib(available) });
    }
    let fresh = TrainingState {
        step: 0,
        updates: 0,
        evaluated: 0,
        best: None,
        stale: 0,
        options: options.clone(),
        examples: format!("{:016x}", examples.fingerprint()),
        valid: setup.valid.map(|valid| format!("{:016x}", valid.fingerprint())),
        base: options.lora_rank.map(|_| lora::fingerprint(&model)),
        threads: setup.pool.threads(),
    };
    let state = if setup.resume { checkpoint::read_state(setup.folder, &fresh)? } else { fresh };
    let lora = options.lora(setup.base);
    match &lora {
        Some(_) if setup.resume => {
            let adapter = open_adapter(&setup.folder.join(LAST), &model.config)?;
            model.attach_adapters(&adapter)?;
        }
        Some(lora) => model.begin_adapters(lora, options.seed)?,
        None => {
            model.train_only(&options.parts());
            model.make_trainable();
        }
    }
    let optimizer = match setup.resume {
        true => checkpoint::read_optimizer(setup.folder, &model, &state)?,
        false => Optimizer::new(options.optimizer, &model.params, &pass::new_gradients(&model)),
    };
    let trained = model.params.iter().filter(|(id, _, _)| model.params.trains(*id));
    let trained = trained.map(|(_, _, weight)| weight.len()).sum();
    let total = batches.total();
    observer.started(&Forecast {
        parameters: model.params.elements(),
        trained,
        memory,
        examples: examples.len(),
        tokens_per_epoch: examples.tokens(),
        total_steps: total,
        done_steps: state.step,
    });
    let log = TrainLog::open(setup.folder, setup.tensorboard, state.step, state.evaluated)?;
    checkpoint::remove_leavings(setup.folder);
    if !setup.resume {
        checkpoint::remove_former(setup.folder)?;
    }
    let state = TrainingState { options: options.clone(), ..state };
    let outcome = Run { setup, model, lora, optimizer, state, log, batches, total }.run(observer);
    t5kit_tensor::release_cached(); // the optimizer's memory: what comes next may load a model
    outcome
}

/// Refuses settings that make no sense for this model.
fn check(model: &T5, options: &TrainOptions) -> Result<(), Error> {
    if options.precision == Precision::Bf16 && !bf16_products() {
        let why = "this processor (or what T5KIT_ISA allows of it) has neither AMX nor AVX-512 BF16, and without them it \
                   would be slower than f32; leave the flag out";
        return Err(Error::Setting { flag: "--precision bf16".into(), why });
    }
    if !model.config.tie_word_embeddings {
        return Ok(());
    }
    let parts = options.parts();
    if parts.contains(&Part::Softmax) && !parts.contains(&Part::Embeddings) {
        let flag = format!("--train-parts {}", options.train_parts.join(","));
        let why = "this model's softmax matrix is its embedding matrix; name embeddings";
        return Err(Error::Setting { flag, why });
    }
    if options.lazy_embeddings {
        let why = "this model's softmax shares the embedding matrix, every row of which has a gradient in every \
                   step; leave the flag out";
        return Err(Error::Setting { flag: "--lazy-embeddings".into(), why });
    }
    Ok(())
}

impl Run<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<Outcome, Error> {
        let mut stopped = false;
        if self.evaluation_due() && self.state.evaluated != self.state.step {
            // The run was stopped between a step and the end of its validation.
            stopped = self.evaluate(observer)?;
            self.save()?;
        }
        let mut gradients = pass::new_gradients(&self.model);
        let (mut loss, mut skipped) = (None, 0);
        while self.state.step < self.total && !stopped && !self.hopeless() {
            let record = self.step(&mut gradients)?;
            match record {
                Ok(record) => {
                    skipped = 0;
                    loss = Some(record.loss);
                    self.log.step(&record)?;
                    observer.step(&record);
                }
                Err(what) => {
                    skipped += 1;
                    observer.skipped(self.state.step, &what);
                    if skipped == PATIENCE {
                        return Err(Error::NonFinite { step: self.state.step, what, times: skipped });
                    }
                }
            }
            stopped = observer.stop();
            if self.evaluation_due() && !stopped {
                stopped = self.evaluate(observer)?;
            }
            if self.save_due() || stopped || self.hopeless() {
                self.save()?;
            }
        }
        let early = self.hopeless() && self.state.step < self.total;
        Ok(Outcome { steps: self.state.step, stopped, loss, best: self.state.best, early })
    }

    fn evaluation_due(&self) -> bool {
        match self.state.options.validation.eval_every {
            Some(steps) => self.at_multiple(steps),
            None => self.batches.ends_epoch(self.state.step),
        }
    }

    fn save_due(&self) -> bool {
        match self.state.options.validation.save_every {
            Some(steps) => self.at_multiple(steps),
            None => self.evaluation_due(),
        }
    }

    fn at_multiple(&self, steps: u64) -> bool {
        let step = self.state.step;
        step > 0 && (step == self.total || step.is_multiple_of(steps.max(1)))
    }

    /// Whether nothing has become better for as long as one was ready to wait.
    fn hopeless(&self) -> bool {
        let patience = self.state.options.validation.early_stopping_patience;
        patience.is_some_and(|patience| self.state.stale >= patience)
    }

    /// One step; `Err(what)` when it was skipped because `what` is not finite.
    fn step(&mut self, gradients: &mut Gradients) -> Result<Result<StepRecord, String>, Error> {
        let start = Instant::now();
        let (options, pool) = (&self.state.options, self.setup.pool);
        let step = self.batches.step(self.state.step);
        let packed: Vec<_> =
            step.iter().map(|b| pass::pack(self.setup.examples, b.iter().copied())).collect();
        // The mean is over the target tokens of all the step's batches, as if they were one.
        let tokens: usize = packed.iter().map(|(_, targets)| targets.tokens()).sum();
        let loss_options = CrossEntropy {
            scale: 1.0 / tokens as f32,
            label_smoothing: options.label_smoothing,
            z_loss: options.z_loss,
            ..CrossEntropy::default()
        };
        let lr = options.rate(self.state.step, self.total);
        let key = mix(options.seed, self.state.step);
        self.state.step += 1;
        let mut sum = 0.0;
        gradients.clear();
        let pass = |batch: usize| {
            let key = if batch == 0 { key } else { mix(key, batch as u64) };
            PassOptions {
                dropout: Some(Dropout { rate: options.dropout, key }),
                precision: options.precision,
                recompute: options.recompute,
            }
        };
        let overflowed = |model: &T5, batch: usize| {
            let (sources, targets) = &packed[batch];
            pass::first_non_finite(model, pool, sources, targets, pass(batch))
        };
        for (i, (sources, targets)) in packed.iter().enumerate() {
            let model = &self.model;
            let losses = pass::accumulate(model, pool, sources, targets, loss_options, pass(i), gradients);
            if !losses.is_finite() {
                let softmax = || format!("the product with {}", model.params.name(model.softmax()));
                return Ok(Err(overflowed(model, i).unwrap_or_else(softmax)));
            }
            sum += losses;
        }
        let stepped = self.optimizer.step(&mut self.model.params, gradients, pool, options, lr);
        if let Some(gradient) = stepped.non_finite {
            // A norm can hide an infinity from the loss.
            let forward = (0..packed.len()).find_map(|batch| overflowed(&self.model, batch));
            return Ok(Err(forward.unwrap_or(gradient)));
        }
        self.state.updates = self.optimizer.steps;
        Ok(Ok(StepRecord {
            step: self.state.step,
            epoch: self.batches.epochs_after(self.state.step),
            loss: sum / tokens as f64,
            lr,
            grad_norm: stepped.grad_norm,
            real_tokens: packed.iter().map(|(s, t)| s.tokens() + t.tokens()).sum(),
            seconds: start.elapsed().as_secs_f64(),
            rss_bytes: resident_bytes(),
        }))
    }

    /// Validates and keeps the model if it is the best; returns whether the observer stopped it.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<bool, Error> {
        let Some(valid) = self.setup.valid else {
            self.state.evaluated = self.state.step;
            return Ok(false);
        };
        let size = self.state.options.batch_size;
        let options = &self.state.options.validation;
        let decoding = self.setup.decoding.as_ref();
        let found = validate(&self.model, self.setup.pool, valid, size, decoding, options, |done, of| {
            observer.evaluating(done, of);
            observer.stop()
        })?;
        let Some((valid_loss, metrics)) = found else { return Ok(true) };
        self.state.evaluated = self.state.step;
        let epoch = self.batches.epochs_after(self.state.step);
        let mut record = EvalRecord { step: self.state.step, epoch, valid_loss, best: false, metrics };
        record.best = options.is_better(&record, self.state.best.as_ref());
        if record.best {
            self.write(BEST, None)?;
            self.state.best = Some(record.clone());
            self.state.stale = 0;
        } else {
            self.state.stale += 1;
        }
        self.log.evaluation(&record)?;
        observer.evaluated(&record);
        Ok(false)
    }

    fn save(&self) -> Result<(), Error> {
        self.log.sync()?;
        self.write(LAST, Some((&self.optimizer, &self.state)))
    }

    fn write(&self, name: &str, training: Option<(&Optimizer, &TrainingState)>) -> Result<(), Error> {
        let Setup { folder, tokenizer_files, .. } = self.setup;
        checkpoint::write(folder, name, &self.model, tokenizer_files, self.lora.as_ref(), training)
    }
}
