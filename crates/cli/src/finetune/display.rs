//! A run on standard error.

use std::time::Duration;
use t5kit_train::{EvalRecord, Forecast, Observer, StepRecord};

use crate::interrupt;
use crate::progress::{Progress, Style, Took, Unit};
use crate::say::bytes;

/// Steps and seconds after which the time that is left can be told.
const FEW: (u64, f64) = (10, 5.0);

/// Shows a run: what is planned, a bar or plain lines, every validation.
#[derive(Default)]
pub struct Display {
    progress: Option<Progress>,
    /// What was planned.
    pub forecast: Option<Forecast>,
    /// Tokens, seconds and steps of this session, for a rate that does not jump.
    tokens: usize,
    seconds: f64,
    steps: u64,
    /// Whether the time that is left has been told.
    told: bool,
}

impl Display {
    /// Ends the progress bar.
    pub fn finish(&self) {
        if let Some(progress) = &self.progress {
            progress.finish();
        }
    }

    fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }

    /// Says once how long the rest will take.
    fn tell_time(&mut self, step: u64) {
        let (Some(forecast), Some(progress)) = (&self.forecast, &self.progress) else { return };
        let known = self.steps >= FEW.0 || (self.steps >= 3 && self.seconds >= FEW.1);
        if self.told || !known {
            return;
        }
        self.told = true;
        let left = (forecast.total_steps.saturating_sub(step)) as f64 * self.seconds / self.steps as f64;
        if left > FEW.1 {
            let left = Took(Duration::from_secs_f64(left.min(1e9)));
            progress.println(format!(
                "the {} steps left take about {left}, {:.0} tokens/s (validation not counted)",
                forecast.total_steps - step,
                self.rate()
            ));
        }
    }
}

impl Observer for Display {
    fn started(&mut self, forecast: &Forecast) {
        let resumed = match forecast.done_steps {
            0 => String::new(),
            done => format!(", {done} of them done"),
        };
        let trained = match forecast.trained {
            all if all == forecast.parameters => String::new(),
            some => format!(", {some} of them trained"),
        };
        eprintln!(
            "t5kit: {} parameters{trained}; {} examples, {} tokens an epoch, {} steps{resumed}; about {} of memory",
            forecast.parameters,
            forecast.examples,
            forecast.tokens_per_epoch,
            forecast.total_steps,
            bytes(forecast.memory.total())
        );
        let progress =
            Progress::new(Some(forecast.total_steps), Style::new("training", Unit::Items("steps")));
        progress.begin_at(forecast.done_steps);
        self.forecast = Some(forecast.clone());
        self.progress = Some(progress);
    }

    fn step(&mut self, record: &StepRecord) {
        self.tokens += record.real_tokens;
        self.seconds += record.seconds;
        self.steps += 1;
        if let Some(progress) = &self.progress {
            let memory = match record.rss_bytes {
                0 => String::new(),
                rss => format!(", {}", bytes(rss)),
            };
            let lr = format!("{:.2e}", record.lr).replace(".00e", "e");
            let rate = self.rate();
            progress.set_message(format!("loss {:.4}, {rate:.0} tokens/s{memory}, lr {lr}", record.loss));
            progress.set_position(record.step);
        }
        self.tell_time(record.step);
    }

    fn evaluating(&mut self, done: usize, of: usize) {
        if let Some(progress) = &self.progress {
            progress.set_message(format!("validating {done} of {of}"));
        }
    }

    fn evaluated(&mut self, record: &EvalRecord) {
        if let Some(progress) = &self.progress {
            let best = if record.best { " (best)" } else { "" };
            let metrics: String = record
                .metrics
                .iter()
                .map(|(name, value)| format!(", {name} {:.4}", value.as_f64().unwrap_or(f64::NAN)))
                .collect();
            let found = format!("validation loss {:.4}{metrics}", record.valid_loss);
            progress.println(format!("step {}, epoch {:.2}: {found}{best}", record.step, record.epoch));
            progress.set_message(found);
        }
    }

    fn skipped(&mut self, step: u64, what: &str) {
        if let Some(progress) = &self.progress {
            progress.println(format!("step {step}: skipped, {what} is not finite"));
        }
    }

    fn stop(&mut self) -> bool {
        interrupt::requested()
    }
}
