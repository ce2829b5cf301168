//! The training loop.

use std::ops::ControlFlow;
use std::time::Instant;

use t5kit_formats::progress::Progress;
use t5kit_model::{Adapted, LoraConfig, Model, Seq2Seq, Trainable, open_adapter};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{Devices, Dropout, Gradients, Pool, mix};

use crate::checkpoint::{self, BEST, LAST, TrainingState};
use crate::feed::{Data, Fed, Feed};
use crate::log::{EvalRecord, StepRecord, TrainLog};
use crate::lora;
use crate::memory::{Extent, fitting, predict, resident_bytes};
use crate::pass::{self, PassOptions};
use crate::setup::{Forecast, Outcome, Setup, TrainWatch, check};
use crate::tasks::TaskLosses;
use crate::validation::validate;
use crate::worker::{Worker, add_up, side_by_side};
use crate::{Error, Examples, Optimizer};

/// Steps in a row that may be skipped because something was not finite.
const PATIENCE: u32 = 4;

struct Run<'a> {
    setup: Setup<'a>,
    model: Model,
    lora: Option<LoraConfig>,
    optimizer: Optimizer,
    /// What the other devices have, where there are several.
    others: Vec<Worker>,
    state: TrainingState,
    log: TrainLog,
    feed: Feed<'a>,
    /// Steps of the whole run.
    total: u64,
    /// Those that a resumed run had behind it.
    before: u64,
}

/// Trains a model. A resumed run ends with the bytes of one that was never stopped.
pub fn train(
    mut model: Model,
    data: Data<'_>,
    setup: Setup<'_>,
    watch: &mut dyn TrainWatch,
) -> Result<Outcome, Error> {
    let options = setup.options;
    check(&*model, options, setup.devices)?;
    let mut feed = Feed::new(data, options);
    let examples = feed.examples();
    let held = model.params().iter().map(|(_, _, w)| (w.len() * w.dtype().size()) as u64).sum();
    let extent = Extent {
        tokens: feed.largest(),
        held: Some(held),
        pieces: examples.map(Examples::pieces),
        on_device: setup.devices.is_some(),
    };
    let memory = predict(&model.config(), options, extent);
    let available = match setup.devices {
        Some(devices) => devices.all().iter().map(|device| device.memory().0 as u64).min(),
        None => t5kit_model::memory::available_bytes(),
    };
    if let Some(available) = available
        && memory.total() > available
    {
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64);
        let (field, fits) = fitting(&model.config(), options, extent, available);
        return Err(Error::Memory { needed: gib(memory.total()), available: gib(available), field, fits });
    }
    let fresh = TrainingState {
        step: 0,
        updates: 0,
        evaluated: 0,
        best: None,
        stale: 0,
        options: options.clone(),
        examples: feed.fingerprint(),
        place: None,
        valid: setup.valid.map(|valid| format!("{:016x}", valid.fingerprint())),
        base: options.lora_rank.map(|_| lora::fingerprint(&*model)),
        threads: setup.pool.threads(),
    };
    let state = if setup.resume { checkpoint::read_state(setup.folder, &fresh)? } else { fresh };
    let lora = options.lora(setup.base, &model.config());
    match &lora {
        Some(_) if setup.resume => {
            let adapter = open_adapter(&setup.folder.join(LAST), &model.config())?;
            model.attach_adapters(&adapter)?;
        }
        Some(lora) => model.begin_adapters(lora, options.seed)?,
        None => {
            model.train_only(&options.parts());
            model.make_trainable();
        }
    }
    let optimizer = match setup.resume {
        true => checkpoint::read_optimizer(setup.folder, &*model, &state)?,
        false => Optimizer::new(options.optimizer, model.params(), &pass::new_gradients(&*model)),
    };
    let mut others = Vec::new();
    if let Some([first, rest @ ..]) = setup.devices.map(Devices::all) {
        others =
            rest.iter().map(|device| Worker::new(&*model, &optimizer, device)).collect::<Result<_, _>>()?;
        model.move_to(first)?;
    }
    let trained = model.params().iter().filter(|(id, _, _)| model.params().trains(*id));
    let trained = trained.map(|(_, _, weight)| weight.len()).sum();
    feed.go_to(state.place.as_ref())?;
    let total = feed.total();
    watch.started(&Forecast {
        parameters: model.params().elements(),
        trained,
        memory,
        examples: examples.map(Examples::len),
        tokens_per_epoch: examples.map(Examples::tokens),
        total_steps: total,
        done_steps: state.step,
    });
    let log = TrainLog::open(setup.folder, setup.tensorboard, state.step, state.evaluated, options)?;
    checkpoint::remove_leavings(setup.folder);
    if !setup.resume {
        checkpoint::remove_former(setup.folder)?;
    }
    let before = state.step;
    let state = TrainingState { options: options.clone(), ..state };
    let outcome = Run { setup, model, lora, optimizer, others, state, log, feed, total, before }.run(watch);
    t5kit_tensor::release_cached(); // the optimizer's memory: what comes next may load a model
    outcome
}

impl Run<'_> {
    fn run(mut self, watch: &mut dyn TrainWatch) -> Result<Outcome, Error> {
        let mut stopped = false;
        if self.evaluation_due() && self.state.evaluated != self.state.step {
            // The run was stopped between a step and the end of its validation.
            stopped = self.evaluate(watch)?.is_break();
            self.save()?;
        }
        let mut gradients = pass::new_gradients(&*self.model);
        let (mut loss, mut skipped) = (None, 0);
        while self.state.step < self.total && !stopped && !self.hopeless() {
            let record = match self.step(&mut gradients, watch) {
                // The reading was stopped: nothing of the step has been done.
                Err(Error::Stopped(_)) => {
                    self.save()?;
                    stopped = true;
                    break;
                }
                record => record?,
            };
            match record {
                Ok(record) => {
                    skipped = 0;
                    loss = Some(record.loss);
                    self.log.step(&record)?;
                    watch.step(&record);
                }
                Err(what) => {
                    skipped += 1;
                    watch.skipped(self.state.step, &what);
                    if skipped == PATIENCE {
                        return Err(Error::NonFinite { step: self.state.step, what, times: skipped });
                    }
                }
            }
            stopped = watch.progress(self.training()).is_break();
            if self.evaluation_due() && !stopped {
                stopped = self.evaluate(watch)?.is_break();
            }
            if self.save_due() || stopped || self.hopeless() {
                self.save()?;
            }
        }
        let early = self.hopeless() && self.state.step < self.total;
        Ok(Outcome { steps: self.state.step, stopped, loss, best: self.state.best, early })
    }

    fn training(&self) -> Progress<'static> {
        let at = Progress::items("training", "steps", self.state.step as usize, Some(self.total as usize));
        Progress { before: self.before, ..at }
    }

    fn evaluation_due(&self) -> bool {
        match self.state.options.validation.eval_every {
            Some(steps) => self.at_multiple(steps),
            None => self.feed.ends_epoch(self.state.step),
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
    fn step(
        &mut self,
        gradients: &mut Gradients,
        watch: &mut dyn TrainWatch,
    ) -> Result<Result<StepRecord, String>, Error> {
        let start = Instant::now();
        let (options, pool) = (&self.state.options, self.setup.pool);
        let packed = self.feed.step(&*self.model, self.state.step, watch)?;
        self.state.place = self.feed.place();
        // The mean is over the target tokens of all the step's batches, as if they were one.
        let tokens: usize = packed.iter().map(|fed| fed.batch.targets().tokens()).sum();
        let loss_options = CrossEntropy {
            scale: 1.0 / tokens as f32,
            label_smoothing: options.label_smoothing,
            z_loss: options.z_loss,
            ..CrossEntropy::default()
        };
        let lr = options.rate(self.state.step, self.total);
        let key = mix(options.seed, self.state.step);
        self.state.step += 1;
        let pass = |batch: usize| {
            let key = if batch == 0 { key } else { mix(key, batch as u64) };
            PassOptions {
                dropout: Some(Dropout { rate: options.dropout, key }),
                precision: options.precision,
                recompute: options.recompute,
            }
        };
        let overflowed = |model: &dyn Seq2Seq, batch: usize| {
            pass::first_non_finite(model, pool, &packed[batch].batch, pass(batch))
        };
        // Device by device, every so manieth batch: as far as the losses are finite.
        let workers = 1 + self.others.len();
        let work = |worker: usize, model: &dyn Seq2Seq, pool: &Pool, gradients: &mut Gradients| {
            gradients.clear();
            let mut found = Vec::new();
            for i in (worker..packed.len()).step_by(workers) {
                let losses =
                    pass::accumulate(model, pool, &packed[i].batch, loss_options, pass(i), gradients);
                let finite = losses.sum().is_finite();
                found.push(losses);
                if !finite {
                    break;
                }
            }
            found
        };
        let model = &*self.model;
        let found = side_by_side(&mut self.others, &work, || work(0, model, pool, gradients));
        let (mut sum, mut by_task) = (0.0, TaskLosses::default());
        for (i, Fed { batch, tasks }) in packed.iter().enumerate() {
            let losses = &found[i % workers][i / workers];
            let batch_sum = losses.sum();
            if !batch_sum.is_finite() {
                let softmax = || format!("the product with {}", model.params().name(model.softmax().weight));
                return Ok(Err(overflowed(model, i).unwrap_or_else(softmax)));
            }
            sum += batch_sum;
            by_task.add(tasks, batch, &losses.tokens);
        }
        if let Some(devices) = self.setup.devices {
            add_up(devices, model, pool, gradients, &mut self.others);
        }
        let stepped = self.optimizer.step(self.model.params_mut(), gradients, pool, options, lr);
        if let Some(gradient) = stepped.non_finite {
            // A norm can hide an infinity from the loss.
            let forward = (0..packed.len()).find_map(|batch| overflowed(&*self.model, batch));
            return Ok(Err(forward.unwrap_or(gradient)));
        }
        for other in &mut self.others {
            other.step(options, lr);
        }
        self.state.updates = self.optimizer.steps;
        Ok(Ok(StepRecord {
            step: self.state.step,
            epoch: self.feed.epochs_after(self.state.step),
            loss: sum / tokens as f64,
            tasks: by_task.means(self.feed.examples()),
            lr,
            grad_norm: stepped.grad_norm,
            real_tokens: packed.iter().map(|fed| fed.batch.tokens()).sum(),
            seconds: start.elapsed().as_secs_f64(),
            rss_bytes: resident_bytes(),
        }))
    }

    /// Validates and keeps the model if it is the best; `Break` where that was stopped.
    fn evaluate(&mut self, watch: &mut dyn TrainWatch) -> Result<ControlFlow<()>, Error> {
        let Some(valid) = self.setup.valid else {
            self.state.evaluated = self.state.step;
            return Ok(ControlFlow::Continue(()));
        };
        let size = self.state.options.batch_size;
        let options = &self.state.options.validation;
        let decoding = self.setup.decoding.as_ref();
        let found = validate(&*self.model, self.setup.pool, valid, size, decoding, options, watch);
        let (valid_loss, metrics) = match found {
            Err(Error::Stopped(_)) => return Ok(ControlFlow::Break(())),
            found => found?,
        };
        self.state.evaluated = self.state.step;
        let epoch = self.feed.epochs_after(self.state.step);
        let mut record = EvalRecord { step: self.state.step, epoch, valid_loss, best: false, metrics };
        record.best = options.is_better(&record, self.state.best.as_ref());
        if record.best {
            self.write(BEST, None)?;
            checkpoint::link(self.setup.folder, BEST);
            self.state.best = Some(record.clone());
            self.state.stale = 0;
        } else {
            self.state.stale += 1;
        }
        self.log.evaluation(&record)?;
        watch.evaluated(&record);
        Ok(ControlFlow::Continue(()))
    }

    fn save(&self) -> Result<(), Error> {
        self.log.sync()?;
        self.write(LAST, Some((&self.optimizer, &self.state)))?;
        if self.state.best.is_none() {
            checkpoint::link(self.setup.folder, LAST);
        }
        Ok(())
    }

    fn write(&self, name: &str, training: Option<(&Optimizer, &TrainingState)>) -> Result<(), Error> {
        let Setup { folder, tokenizer_files, .. } = self.setup;
        checkpoint::write(folder, name, &*self.model, tokenizer_files, self.lora.as_ref(), training)
    }
}
