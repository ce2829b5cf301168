//! Tables of positions that are computed: more rows of a learnt one, RoFormer's sinusoids as other programs store them, and
//! its turns as the network uses them.

use std::sync::{PoisonError, RwLock};

use t5kit_tensor::Weight;
use t5kit_tensor::ops::RotaryPositions;

/// The share of the coarse place (α in Su's decomposition).
pub const COARSE: f32 = 0.4;

/// A learnt table for more positions than it has rows, by Su's hierarchical decomposition
/// (<https://kexue.fm/archives/7947>): with `u_i = (p_i − α p_0) / (1 − α)` position `i·n + j` of a table of n rows is
/// `α u_i + (1 − α) u_j`, which for the first n positions is `p_j` itself.
///
/// `table`: [n, width], of any storage type; `shape`: [positions, width], at most n² positions. Returns f32.
///
/// # Panics
/// Where there is no table, or it has no rows for so many positions.
pub fn composed(table: Option<&Weight>, shape: &[usize]) -> Weight {
    let table = table.expect("a learnt table is there").to_tensor();
    let (rows, width) = (table.rows(), shape[1]);
    let learnt = table.data();
    let base = |row: usize| {
        let (own, first) = (&learnt[row * width..][..width], &learnt[..width]);
        own.iter().zip(first).map(|(p, first)| (p - COARSE * first) / (1.0 - COARSE))
    };
    let mut all = Vec::with_capacity(shape[0] * width);
    all.extend_from_slice(&learnt[..rows.min(shape[0]) * width]);
    for position in rows..shape[0] {
        let (coarse, fine) = (position / rows, position % rows);
        all.extend(
            base(coarse).zip(base(fine)).map(|(coarse, fine)| COARSE * coarse + (1.0 - COARSE) * fine),
        );
    }
    Weight::owned(shape, all)
}

/// The sines, then the cosines, by which a head of RoFormer is turned at each position:
/// `sin(position / 10000^(2j / width))`, as `RoFormerSinusoidalPositionalEmbedding` has them.
///
/// `shape`: [positions, width of a head]. Returns f32.
pub fn sinusoids(_: Option<&Weight>, shape: &[usize]) -> Weight {
    let (positions, width) = (shape[0], shape[1]);
    let angle =
        |position: usize, pair: usize| position as f64 / 10000f64.powf(2.0 * pair as f64 / width as f64);
    let half = width / 2;
    let rows = (0..positions).flat_map(|position| {
        let sines = (0..half).map(move |pair| angle(position, pair).sin() as f32);
        sines.chain((0..half).map(move |pair| angle(position, pair).cos() as f32))
    });
    Weight::owned(shape, rows.collect())
}

/// RoFormer's turns of as many positions as were asked for so far: rotary positions have no end.
pub(super) struct Turns {
    d_kv: usize,
    known: RwLock<RotaryPositions>,
}

impl Turns {
    /// Of heads so wide, for sequences that are usually no longer than `positions`.
    pub fn new(positions: usize, d_kv: usize) -> Self {
        Turns { d_kv, known: RwLock::new(RotaryPositions::new(positions, d_kv)) }
    }

    /// Those of all positions that are listed.
    pub fn of(&self, positions: &[u32]) -> RotaryPositions {
        let needed = positions.iter().max().map_or(0, |&most| most as usize + 1);
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        if needed <= known.len() {
            return known;
        }
        let more = RotaryPositions::new(needed.next_power_of_two(), self.d_kv);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = more.clone();
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_go_as_far_as_they_are_asked_for() {
        let turns = Turns::new(8, 4);
        assert_eq!((turns.of(&[]).len(), turns.of(&[7, 3]).len()), (8, 8));
        assert_eq!((turns.of(&[0, 40]).len(), turns.of(&[1]).len()), (64, 64));
    }

    #[test]
    fn the_first_rows_are_the_learnt_ones() {
        let learnt: Vec<f32> = (0..12).map(|i| (i * i % 7) as f32 - 3.0).collect();
        let table = Weight::owned(&[4, 3], learnt.clone());
        let more = composed(Some(&table), &[16, 3]);
        let more = more.to_tensor();
        assert_eq!(&more.data()[..12], &learnt);
        // By the formula in f64, position by position.
        for position in 0..16 {
            for feature in 0..3 {
                let u = |row: usize| {
                    let at = |row: usize| f64::from(learnt[row * 3 + feature]);
                    (at(row) - 0.4 * at(0)) / 0.6
                };
                let want = 0.4 * u(position / 4) + 0.6 * u(position % 4);
                let got = f64::from(more.data()[position * 3 + feature]);
                assert!((got - want).abs() < 1e-5, "{position} {feature}: {got} {want}");
            }
        }
    }
}
