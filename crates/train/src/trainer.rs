//! The training loop.

use std::path::{Path, PathBuf};
use std::time::Instant;

use t5kit_model::T5;
use t5kit_tensor::{Dropout, Gradients, Pool, mix};

use crate::checkpoint::{self, BEST, LAST, TrainingState};
use crate::log::{EvalRecord, StepRecord, TrainLog};
use crate::memory::{Memory, predict, resident_bytes};
use crate::order::epoch_order;
use crate::pass;
use crate::validation::{Decoding, validate};
use crate::{Error, Examples, Optimizer, TrainOptions};

/// Steps in a row that may be skipped because something was not finite.
const PATIENCE: u32 = 4;

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Elements of all parameters.
    pub parameters: usize,
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
    fn started(&mut self, _plan: &Plan) {}
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
pub struct Summary {
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
pub struct Job<'a> {
    /// The threads.
    pub pool: &'a Pool,
    /// Training examples.
    pub examples: &'a Examples,
    /// Validation examples: with them there is a `best/`.
    pub valid: Option<&'a Examples>,
    /// The settings.
    pub options: &'a TrainOptions,
    /// The run's folder, which exists: `last/`, `best/` and `train_log.jsonl` are written there.
    pub folder: &'a Path,
    /// Files to copy beside each checkpoint.
    pub tokenizer_files: &'a [PathBuf],
    /// How targets are generated for the metrics of [`crate::ValidationOptions`].
    pub decoding: Option<Decoding<'a>>,
    /// Folder for TensorBoard's events; made where it is missing.
    pub tensorboard: Option<&'a Path>,
    /// Whether to go on from `last/`, whose model is then the one given.
    pub resume: bool,
}

struct Run<'a> {
    job: Job<'a>,
    model: T5,
    optimizer: Optimizer,
    state: TrainingState,
    log: TrainLog,
    steps_per_epoch: u64,
}

/// Trains a model. A resumed run ends with the bytes of one that was never stopped.
pub fn train(mut model: T5, job: Job<'_>, observer: &mut dyn Observer) -> Result<Summary, Error> {
    let (examples, options) = (job.examples, job.options);
    let (source, target) = examples.largest_batch(options.batch_size);
    let memory = predict(&model, source, target);
    if let Some(available) = t5kit_model::memory::available_bytes()
        && memory.total() > available
    {
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
        return Err(Error::Memory { needed: gib(memory.total()), available: gib(available) });
    }
    model.make_trainable();
    let fresh = TrainingState {
        step: 0,
        updates: 0,
        evaluated: 0,
        best: None,
        stale: 0,
        options: options.clone(),
        examples: format!("{:016x}", examples.fingerprint()),
        valid: job.valid.map(|valid| format!("{:016x}", valid.fingerprint())),
        threads: job.pool.threads(),
    };
    let (optimizer, state) = match job.resume {
        true => checkpoint::read(job.folder, &model, &fresh)?,
        false => (Optimizer::new(&model.params), fresh),
    };
    let total = options.total_steps(examples.len());
    observer.started(&Plan {
        parameters: model.params.elements(),
        memory,
        examples: examples.len(),
        tokens_per_epoch: examples.tokens(),
        total_steps: total,
        done_steps: state.step,
    });
    let log = TrainLog::open(job.folder, job.tensorboard, state.step, state.evaluated)?;
    checkpoint::remove_leavings(job.folder);
    let state = TrainingState { options: options.clone(), ..state };
    let steps_per_epoch = options.steps_per_epoch(examples.len());
    Run { job, model, optimizer, state, log, steps_per_epoch }.run(total, observer)
}

impl Run<'_> {
    fn run(mut self, total: u64, observer: &mut dyn Observer) -> Result<Summary, Error> {
        let mut stopped = false;
        if self.evaluation_due(total) && self.state.evaluated != self.state.step {
            // The run was stopped between a step and the end of its validation.
            stopped = self.evaluate(observer)?;
            self.save()?;
        }
        let mut gradients = Gradients::new();
        let mut order = (u64::MAX, Vec::new());
        let (mut loss, mut skipped) = (None, 0);
        while self.state.step < total && !stopped && !self.hopeless() {
            let (epoch, at) =
                (self.state.step / self.steps_per_epoch, self.state.step % self.steps_per_epoch);
            if order.0 != epoch {
                order = (epoch, epoch_order(self.job.examples.len(), self.state.options.seed, epoch));
            }
            let size = self.state.options.batch_size;
            let first = at as usize * size;
            let batch = &order.1[first..order.1.len().min(first + size)];
            let record = self.step(batch, &mut gradients)?;
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
            if self.evaluation_due(total) && !stopped {
                stopped = self.evaluate(observer)?;
            }
            if self.save_due(total) || stopped || self.hopeless() {
                self.save()?;
            }
        }
        let early = self.hopeless() && self.state.step < total;
        Ok(Summary { steps: self.state.step, stopped, loss, best: self.state.best, early })
    }

    fn evaluation_due(&self, total: u64) -> bool {
        match self.state.options.validation.eval_every {
            Some(steps) => self.at_multiple(steps, total),
            None => self.ends_epoch(total),
        }
    }

    fn save_due(&self, total: u64) -> bool {
        match self.state.options.validation.save_every {
            Some(steps) => self.at_multiple(steps, total),
            None => self.evaluation_due(total),
        }
    }

    fn at_multiple(&self, steps: u64, total: u64) -> bool {
        let step = self.state.step;
        step > 0 && (step == total || step.is_multiple_of(steps.max(1)))
    }

    /// Whether nothing has become better for as long as one was ready to wait.
    fn hopeless(&self) -> bool {
        let patience = self.state.options.validation.early_stopping_patience;
        patience.is_some_and(|patience| self.state.stale >= patience)
    }

    fn ends_epoch(&self, total: u64) -> bool {
        self.at_multiple(self.steps_per_epoch, total)
    }

    /// One step; `Err(what)` when it was skipped because `what` is not finite.
    fn step(
        &mut self,
        batch: &[u32],
        gradients: &mut Gradients,
    ) -> Result<Result<StepRecord, String>, Error> {
        let start = Instant::now();
        let options = &self.state.options;
        let (sources, targets) = pass::pack(self.job.examples, batch.iter().map(|&i| i as usize));
        let dropout = Dropout { rate: options.dropout, key: mix(options.seed, self.state.step) };
        let loss = pass::gradients(&self.model, self.job.pool, &sources, &targets, Some(dropout), gradients);
        self.state.step += 1;
        if !loss.is_finite() {
            return Ok(Err("the loss".into()));
        }
        let stepped = self.optimizer.step(&mut self.model.params, gradients, self.job.pool, options);
        if let Some(what) = stepped.non_finite {
            return Ok(Err(what));
        }
        self.state.updates = self.optimizer.steps;
        Ok(Ok(StepRecord {
            step: self.state.step,
            epoch: self.state.step as f64 / self.steps_per_epoch as f64,
            loss,
            lr: options.learning_rate,
            grad_norm: stepped.grad_norm,
            real_tokens: sources.tokens() + targets.tokens(),
            seconds: start.elapsed().as_secs_f64(),
            rss_bytes: resident_bytes(),
        }))
    }

    /// Validates and keeps the model if it is the best; returns whether the observer stopped it.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<bool, Error> {
        let Some(valid) = self.job.valid else {
            self.state.evaluated = self.state.step;
            return Ok(false);
        };
        let size = self.state.options.batch_size;
        let options = &self.state.options.validation;
        let decoding = self.job.decoding.as_ref();
        let found = validate(&self.model, self.job.pool, valid, size, decoding, options, |done, of| {
            observer.evaluating(done, of);
            observer.stop()
        })?;
        let Some((valid_loss, metrics)) = found else { return Ok(true) };
        self.state.evaluated = self.state.step;
        let epoch = self.state.step as f64 / self.steps_per_epoch as f64;
        let mut record = EvalRecord { step: self.state.step, epoch, valid_loss, best: false, metrics };
        record.best = options.is_better(&record, self.state.best.as_ref());
        if record.best {
            checkpoint::write(self.job.folder, BEST, &self.model, self.job.tokenizer_files, None)?;
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
        let training = Some((&self.optimizer, &self.state));
        checkpoint::write(self.job.folder, LAST, &self.model, self.job.tokenizer_files, training)
    }
}
