//! NEZHA's relative positions (Wei et al. 2019, section 2.1): a vector for each distance between query and key, which
//! scores and values get beside the key's own (`NezhaRelativePositionsEncoding` in transformers' modeling_nezha.py,
//! `RelativePositionEmbedding` in bert4keras). Constant: nothing learns it.

use std::sync::{Arc, Mutex};

use crate::Tensor;
use crate::cuda::Core;

/// A vector for each distance `key position − query position`, distances beyond the largest taken for that one.
#[derive(Clone, Debug)]
pub struct RelativePositions {
    table: Tensor,
    /// Copies of it, one on each device that has asked.
    copies: Arc<Mutex<Vec<Tensor>>>,
}

impl RelativePositions {
    /// Sines and cosines: with i = distance + max_distance, column 2c is sin(i·10000^(−2c/d_kv)) and column 2c + 1 the
    /// cosine. `max_distance`: `max_relative_position`; `d_kv`: width of a head, even.
    pub fn sinusoidal(max_distance: usize, d_kv: usize) -> Self {
        RelativePositions { table: sinusoids(2 * max_distance + 1, d_kv), copies: Arc::default() }
    }

    /// [2 · max_distance + 1, d_kv]: from the furthest before the query to the furthest after it.
    pub(crate) fn table(&self) -> &Tensor {
        &self.table
    }

    /// The same on a device.
    pub(crate) fn table_on(&self, device: &Arc<Core>) -> Tensor {
        let mut copies = self.copies.lock().unwrap_or_else(|e| e.into_inner());
        let there = |copy: &&Tensor| copy.core().is_some_and(|core| Arc::ptr_eq(core, device));
        if let Some(copy) = copies.iter().find(there) {
            return copy.clone();
        }
        let copy = self.table.to_device(device);
        copies.push(copy.clone());
        copy
    }

    /// Number of distances.
    pub(crate) fn distances(&self) -> usize {
        self.table.rows()
    }
}

/// [positions, width]: row p has sin(p·10000^(−2c/width)) in column 2c and the cosine in column 2c + 1, each computed in
/// f64.
pub(crate) fn sinusoids(positions: usize, width: usize) -> Tensor {
    assert!(width.is_multiple_of(2), "sines and cosines of an odd width {width}");
    let mut data = Vec::with_capacity(positions * width);
    for position in 0..positions {
        for pair in (0..width).step_by(2) {
            let angle = position as f64 / 10_000f64.powf(pair as f64 / width as f64);
            data.extend([angle.sin() as f32, angle.cos() as f32]);
        }
    }
    Tensor::from_vec(positions, width, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of transformers' `NezhaRelativePositionsEncoding(length, depth=4, max_relative_position=2)`.
    #[test]
    fn sinusoids_are_those_of_the_reference() {
        let table = RelativePositions::sinusoidal(2, 4);
        assert_eq!(table.distances(), 5);
        let want = [
            [0.0, 1.0, 0.0, 1.0],
            [0.841_471, 0.540_302_3, 0.009_999_833, 0.999_95],
            [0.909_297_4, -0.416_146_84, 0.019_998_666, 0.999_8],
            [0.141_120_01, -0.989_992_5, 0.029_995_5, 0.999_550_04],
            [-0.756_802_5, -0.653_643_6, 0.039_989_334, 0.999_200_1],
        ];
        for (row, want) in want.iter().enumerate() {
            for (got, want) in table.table().row(row).iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "{got} {want}");
            }
        }
    }
}
