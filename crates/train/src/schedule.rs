//! Learning-rate schedules, by transformers' formulas (`get_*_schedule_with_warmup` in its `optimization.py`).

use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run, after warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays (`get_constant_schedule_with_warmup`).
    #[default]
    Constant,
    /// Down to 0 in a line (`get_linear_schedule_with_warmup`).
    Linear,
    /// Down to 0 in half a cosine (`get_cosine_schedule_with_warmup`).
    Cosine,
    /// Falls as 1/√step (`get_inverse_sqrt_schedule`; its time scale is the warm-up's length, or 10,000).
    InverseSqrt,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Schedule; 4] =
        [Schedule::Constant, Schedule::Linear, Schedule::Cosine, Schedule::InverseSqrt];

    /// The name in flags.
    pub fn name(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::Linear => "linear",
            Schedule::Cosine => "cosine",
            Schedule::InverseSqrt => "inverse_sqrt",
        }
    }

    /// Whether the rate of a step depends on how many there will be.
    pub(crate) fn needs_total(self) -> bool {
        matches!(self, Schedule::Linear | Schedule::Cosine)
    }

    /// What the learning rate is multiplied by in a step, counted from 0, of `total`. The first `warmup` steps rise
    /// from 0 in a line.
    pub fn factor(self, step: u64, warmup: u64, total: u64) -> f64 {
        if step < warmup {
            return step as f64 / warmup as f64;
        }
        let rest = total.saturating_sub(warmup).max(1) as f64;
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear => total.saturating_sub(step) as f64 / rest,
            Schedule::Cosine => {
                let progress = (step - warmup) as f64 / rest;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
            Schedule::InverseSqrt => {
                let timescale = if warmup > 0 { warmup as f64 } else { 10_000.0 };
                1.0 / ((step as f64 + timescale - warmup as f64) / timescale).sqrt()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that transformers 4.57.6 gives at these steps with 4 warm-up steps of 20.
    #[test]
    fn factors_are_those_of_transformers() {
        for (schedule, want) in [
            (Schedule::Constant, [0.0, 0.75, 1.0, 1.0, 1.0]),
            (Schedule::Linear, [0.0, 0.75, 1.0, 0.5, 0.0625]),
            (Schedule::Cosine, [0.0, 0.75, 1.0, 0.5, 0.009607359798384785]),
            (Schedule::InverseSqrt, [0.0, 0.75, 1.0, 0.5773502691896258, 0.4588314677411235]),
        ] {
            for (step, want) in [0, 3, 4, 12, 19].into_iter().zip(want) {
                let got = schedule.factor(step, 4, 20);
                assert!((got - want).abs() < 1e-12, "{schedule:?}, step {step}: {got} {want}");
            }
        }
        assert_eq!(Schedule::InverseSqrt.factor(30_000, 0, 1), 0.5);
        assert_eq!(Schedule::Linear.factor(0, 0, 10), 1.0);
    }
}
