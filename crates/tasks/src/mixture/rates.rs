//! How often each task of a mixture is drawn.

/// How the tasks' rates follow from how many examples they have. A task's weight multiplies its rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mixing {
    /// In proportion to the number of examples, of which no more than `cap` count: r_m = min(e_m, K) (Raffel et al. 2020,
    /// section 3.5.2, examples-proportional mixing; seqio's `mixing_rate_num_examples`).
    Examples {
        /// K.
        cap: Option<u64>,
    },
    /// The same to the power of 1/T (temperature-scaled mixing, there; Xue et al. 2021, section 3.1, as α = 1/T).
    Temperature {
        /// T: 1 is in proportion, ∞ equal.
        temperature: f64,
        /// K.
        cap: Option<u64>,
    },
    /// All tasks alike.
    Equal,
    /// As each task's `rate` says; together they are 1.
    Rates,
}

impl Mixing {
    /// The names, for messages.
    pub const NAMES: [&'static str; 4] = ["examples", "temperature", "equal", "rates"];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Mixing::Examples { .. } => "examples",
            Mixing::Temperature { .. } => "temperature",
            Mixing::Equal => "equal",
            Mixing::Rates => "rates",
        }
    }

    /// The rates of tasks with so many examples and these weights: shares that add up to 1.
    pub fn rates(self, tasks: &[(usize, f64)]) -> Vec<f64> {
        let counted =
            |examples: usize, cap: Option<u64>| (examples as u64).min(cap.unwrap_or(u64::MAX)) as f64;
        let rate = |&(examples, weight): &(usize, f64)| {
            weight
                * match self {
                    Mixing::Examples { cap } => counted(examples, cap),
                    Mixing::Temperature { temperature, cap } => {
                        counted(examples, cap).powf(1.0 / temperature)
                    }
                    Mixing::Equal | Mixing::Rates => 1.0,
                }
        };
        let rates: Vec<f64> = tasks.iter().map(rate).collect();
        let sum: f64 = rates.iter().sum();
        rates.into_iter().map(|rate| if sum > 0.0 { rate / sum } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// seqio 0.0.20, `mixing_rate_num_examples(task, maximum, temperature)` of tasks of 100, 2000 and 50000 examples,
    /// normalised as `Mixture.get_rate` over the sum: worked out with its formula.
    #[test]
    fn the_rates_are_seqios() {
        let tasks = [(100, 1.0), (2000, 1.0), (50_000, 1.0)];
        let close = |got: Vec<f64>, want: [f64; 3]| {
            assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{got:?} {want:?}");
        };
        close(Mixing::Examples { cap: None }.rates(&tasks), [100.0, 2000.0, 50_000.0].map(|n| n / 52_100.0));
        close(
            Mixing::Examples { cap: Some(1000) }.rates(&tasks),
            [100.0, 1000.0, 1000.0].map(|n| n / 2100.0),
        );
        let roots = [100f64, 2000.0, 4096.0].map(f64::sqrt);
        let sum: f64 = roots.iter().sum();
        close(
            Mixing::Temperature { temperature: 2.0, cap: Some(4096) }.rates(&tasks),
            roots.map(|r| r / sum),
        );
        close(Mixing::Equal.rates(&tasks), [1.0 / 3.0; 3]);
        let weighted = [(1, 0.5), (9, 0.3), (7, 0.2)];
        close(Mixing::Rates.rates(&weighted), [0.5, 0.3, 0.2]);
        close(Mixing::Examples { cap: None }.rates(&[(10, 2.0), (10, 1.0), (10, 1.0)]), [0.5, 0.25, 0.25]);
    }

    proptest! {
        #[test]
        fn a_higher_temperature_evens_out(sizes in prop::collection::vec(1usize..100_000, 2..6)) {
            let tasks: Vec<(usize, f64)> = sizes.iter().map(|&n| (n, 1.0)).collect();
            let spread = |temperature| {
                let rates = Mixing::Temperature { temperature, cap: None }.rates(&tasks);
                prop_assert!((rates.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                Ok(rates.iter().copied().fold(0.0, f64::max) - rates.iter().copied().fold(1.0, f64::min))
            };
            let (one, two, many) = (spread(1.0)?, spread(2.0)?, spread(1e9)?);
            prop_assert!(one + 1e-12 >= two && two + 1e-12 >= many && many < 1e-6);
            prop_assert_eq!(
                Mixing::Temperature { temperature: 1.0, cap: None }.rates(&tasks),
                Mixing::Examples { cap: None }.rates(&tasks)
            );
        }
    }
}
