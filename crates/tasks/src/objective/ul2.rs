//! UL2's mixture of denoisers (Tay et al. 2022, table 1).

use super::Objective;

/// A denoiser: its share of the examples, its mode's name, which is put before the input, and what it hides.
pub(super) struct Denoiser {
    pub(super) rate: f64,
    pub(super) mode: &'static str,
    pub(super) noise_density: f64,
    /// `None`: sequential, as a prefix language model.
    pub(super) mean_span_length: Option<f64>,
}

/// What the paper found best for the sequential denoiser (section 4.5: about 20 %); the other six share the rest, as
/// nothing says otherwise.
const SEQUENTIAL: f64 = 0.2;

const fn spans(mode: &'static str, mean_span_length: f64, noise_density: f64) -> Denoiser {
    Denoiser { rate: (1.0 - SEQUENTIAL) / 6.0, mode, noise_density, mean_span_length: Some(mean_span_length) }
}

/// The paper's R (regular), X (extreme) and S (sequential) are these in the released checkpoints.
const R: &str = Objective::MODES[0];
const X: &str = Objective::MODES[1];
const S: &str = Objective::MODES[2];

pub(super) const DENOISERS: [Denoiser; 7] = [
    spans(R, 3.0, 0.15),
    spans(R, 8.0, 0.15),
    spans(X, 3.0, 0.5),
    spans(X, 8.0, 0.5),
    spans(X, 64.0, 0.15),
    spans(X, 64.0, 0.5),
    // A target of a quarter of the text on average: uniform up to a half.
    Denoiser { rate: SEQUENTIAL, mode: S, noise_density: 0.25, mean_span_length: None },
];

/// The denoiser of a number that is uniform in [0, 1).
pub(super) fn pick(mut x: f64) -> usize {
    for (i, denoiser) in DENOISERS.iter().enumerate() {
        if x < denoiser.rate {
            return i;
        }
        x -= denoiser.rate;
    }
    DENOISERS.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_add_up_and_are_kept() {
        assert!((DENOISERS.iter().map(|d| d.rate).sum::<f64>() - 1.0).abs() < 1e-12);
        let mut counts = [0; 7];
        for i in 0..3000 {
            counts[pick(f64::from(i) / 3000.0)] += 1;
        }
        assert!(counts[..6].iter().all(|n| (399..=401).contains(n)), "{counts:?}");
        assert!((599..=601).contains(&counts[6]), "{counts:?}");
    }
}
