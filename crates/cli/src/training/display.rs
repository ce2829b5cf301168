//! A run on standard error.

use std::ops::ControlFlow;
use std::time::Duration;
use t5kit_formats::lang::fill;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_train::{EvalRecord, Forecast, RunState, StepRecord, TrainWatch};

use super::report::Page;
use crate::interrupt;
use crate::lang::lang;
use crate::progress::{Monitor, Took};
use crate::say::bytes;

/// Steps and seconds after which the time that is left can be told.
const FEW: (u64, f64) = (10, 5.0);

/// Shows a run: what is planned, a bar or plain lines, every validation.
#[derive(Default)]
pub struct Display<'a> {
    /// The run's page, which is written after every validation.
    pub page: Option<Page<'a>>,
    /// The best validation so far.
    best: Option<EvalRecord>,
    monitor: Monitor,
    /// What was planned.
    pub forecast: Option<Forecast>,
    /// Tokens, seconds and steps of this session, for a rate that does not jump.
    tokens: usize,
    seconds: f64,
    steps: u64,
    /// Whether the time that is left has been told.
    told: bool,
}

impl Display<'_> {
    /// Ends the progress bar.
    pub fn finish(&mut self) {
        self.monitor.finish();
    }

    /// The run's steps in all, once they are known.
    pub fn total_steps(&self) -> Option<u64> {
        self.forecast.as_ref().map(|forecast| forecast.total_steps)
    }

    fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }

    /// Says once how long the rest will take.
    fn tell_time(&mut self, step: u64) {
        let Some(forecast) = &self.forecast else { return };
        let known = self.steps >= FEW.0 || (self.steps >= 3 && self.seconds >= FEW.1);
        if self.told || !known {
            return;
        }
        self.told = true;
        let left = (forecast.total_steps.saturating_sub(step)) as f64 * self.seconds / self.steps as f64;
        if left > FEW.1 {
            let left = Took(Duration::from_secs_f64(left.min(1e9)));
            let (steps, rate) = (forecast.total_steps - step, format!("{:.0}", self.rate()));
            let values: [(&str, &dyn std::fmt::Display); 3] =
                [("steps", &steps), ("time", &left), ("rate", &rate)];
            self.monitor.println(fill(lang().texts().terminal.time_left, &values));
        }
    }
}

impl Watch for Display<'_> {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        match at.stage {
            "training" => self.monitor.show(at),
            // A validation, which the training waits for.
            _ => self.monitor.show_within(at),
        }
        interrupt::flow()
    }
}

impl TrainWatch for Display<'_> {
    fn started(&mut self, forecast: &Forecast) {
        let t = &lang().texts().terminal;
        let resumed = match forecast.done_steps {
            0 => String::new(),
            done => fill(t.of_them_done, &[("n", &done)]),
        };
        let trained = match forecast.trained {
            all if all == forecast.parameters => String::new(),
            some => fill(t.of_them_trained, &[("n", &some)]),
        };
        let data = match (forecast.examples, forecast.tokens_per_epoch) {
            (Some(examples), Some(tokens)) => {
                fill(t.planned_examples, &[("examples", &examples), ("tokens", &tokens)])
            }
            _ => t.planned_stream.to_owned(),
        };
        let planned = fill(
            t.planned,
            &[
                ("parameters", &forecast.parameters),
                ("trained", &trained),
                ("data", &data),
                ("steps", &forecast.total_steps),
                ("resumed", &resumed),
                ("memory", &bytes(forecast.memory.total())),
            ],
        );
        eprintln!("t5kit: {planned}");
        let (done, total) = (forecast.done_steps as usize, forecast.total_steps as usize);
        let at = Progress::items("training", "steps", done, Some(total));
        self.monitor.show(Progress { before: forecast.done_steps, ..at });
        self.forecast = Some(forecast.clone());
    }

    fn step(&mut self, record: &StepRecord) {
        self.tokens += record.real_tokens;
        self.seconds += record.seconds;
        self.steps += 1;
        let t = &lang().texts().terminal;
        let (loss, rate) = (format!("{:.4}", record.loss), format!("{:.0}", self.rate()));
        let mut message = vec![fill(t.loss_is, &[("value", &loss)]), fill(t.rate_is, &[("rate", &rate)])];
        if record.rss_bytes > 0 {
            message.push(bytes(record.rss_bytes));
        }
        let rate = format!("{:.2e}", record.lr).replace(".00e", "e");
        message.push(fill(t.learning_rate_is, &[("value", &rate)]));
        self.monitor.set_message(message);
        self.tell_time(record.step);
    }

    fn evaluated(&mut self, record: &EvalRecord) {
        let t = &lang().texts().terminal;
        let best = if record.best { t.is_best } else { "" };
        let metrics: String = record
            .metrics
            .iter()
            .map(|(name, value)| format!("{}{name} {:.4}", t.comma, value.as_f64().unwrap_or(f64::NAN)))
            .collect();
        let (loss, epoch) = (format!("{:.4}", record.valid_loss), format!("{:.2}", record.epoch));
        let found = fill(t.validation_found, &[("loss", &loss), ("metrics", &metrics)]);
        let values: [(&str, &dyn std::fmt::Display); 4] =
            [("step", &record.step), ("epoch", &epoch), ("found", &found), ("best", &best)];
        self.monitor.println(fill(t.validated, &values));
        self.monitor.set_message(vec![found]);
        if record.best {
            self.best = Some(record.clone());
        }
        if let (Some(page), Some(steps)) = (&self.page, self.total_steps()) {
            // A page that cannot be written now is written at the end, and if not, that is an error.
            let _ = page.write(RunState::GoingOn(steps), self.best.as_ref(), &[]);
        }
    }

    fn skipped(&mut self, step: u64, what: &str) {
        self.monitor.println(fill(lang().texts().terminal.skipped_step, &[("step", &step), ("what", &what)]));
    }
}
