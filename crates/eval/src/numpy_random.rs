//! `numpy.random.default_rng(seed)` as far as resampling needs it: the same indices for the same seed.
//!
//! A seed becomes a state by numpy's `SeedSequence` (after O'Neill's `seed_seq_fe`), numbers come from PCG64 (XSL-RR,
//! O'Neill 2014), 32 bits at a time, and are brought below a bound as Lemire (2019) does it.

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// The generator behind `default_rng`.
#[derive(Clone, Debug)]
pub struct Pcg64 {
    state: u128,
    increment: u128,
    /// The upper half of the last number, where only the lower was used.
    kept: Option<u32>,
}

impl Pcg64 {
    /// `default_rng(seed)`.
    pub fn new(seed: u64) -> Self {
        let words = seed_words(seed);
        let [high, low, inc_high, inc_low] =
            [0, 2, 4, 6].map(|i| u128::from(words[i]) | u128::from(words[i + 1]) << 32);
        let mut rng = Pcg64 { state: 0, increment: (inc_high << 64 | inc_low) << 1 | 1, kept: None };
        rng.step();
        rng.state = rng.state.wrapping_add(high << 64 | low);
        rng.step();
        rng
    }

    fn step(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }

    fn next_u64(&mut self) -> u64 {
        self.step();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        let both = self.next_u64();
        self.kept = Some((both >> 32) as u32);
        both as u32
    }

    /// A number below `bound`, as `choice(bound)` and `integers(bound)` draw it; 0 for a bound below 2, for which
    /// nothing is drawn.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound < 2 {
            return 0;
        }
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }
}

/// `SeedSequence(seed).generate_state(8)`.
fn seed_words(seed: u64) -> [u32; 8] {
    let mut hash = 0x43b0_d7e5u32;
    let mut hashed = |value: u32| {
        let value = value ^ hash;
        hash = hash.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(hash);
        value ^ value >> 16
    };
    let mix = |x: u32, y: u32| {
        let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        mixed ^ mixed >> 16
    };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut hashed);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                pool[to] = mix(pool[to], hashed(pool[from]));
            }
        }
    }
    let mut hash = 0x8b51_f9ddu32;
    std::array::from_fn(|i| {
        let value = pool[i % 4] ^ hash;
        hash = hash.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(hash);
        value ^ value >> 16
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.default_rng(seed).choice(bound, size=8)` of numpy 2.4.6.
    #[test]
    fn the_numbers_are_numpys() {
        for (seed, bound, want) in [
            (12345, 10, [6, 2, 7, 3, 2, 7, 6, 6]),
            (12345, 1000, [699, 227, 788, 316, 204, 797, 642, 676]),
            (
                0,
                3000000000,
                [2551872677, 1910885061, 1533409439, 809360140, 923488268, 122920571, 225720425, 49582906],
            ),
            (1099511627783, 100000, [20651, 82981, 60950, 25530, 1701, 15379, 50471, 67450]),
            (1, 1, [0, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            let mut rng = Pcg64::new(seed);
            assert_eq!(std::array::from_fn(|_| rng.below(bound)), want, "{seed} {bound}");
        }
    }
}
