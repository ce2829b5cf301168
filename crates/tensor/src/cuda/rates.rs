//! What a device can do at best, measured.

use std::time::Instant;

use super::driver::Task;
use super::{Device, Epilogue, Matrix, Memory, Product};
use crate::{DType, Rng};

/// Seconds that something has to take before it counts: beside them a start and a wait are little.
const LONG: f64 = 4e-3;
/// Times that it is tried.
const TIMES: usize = 5;

impl Device {
    /// Operations a second of large products as with weights stored as `dtype` (a multiply-add counts as two), and bytes a
    /// second that copying within its memory reads and writes. The best of some.
    pub(crate) fn rates(&self, dtype: DType) -> [f64; 2] {
        let dtype = match dtype {
            DType::Bf16 if self.has_bf16() => DType::Bf16,
            DType::F16 => DType::F16,
            _ => DType::F32,
        };
        let product = |n: usize| {
            let [a, b] = [(); 2].map(|()| self.numbers(n * n, dtype));
            let c = self.allocate(4 * n * n);
            let matrix = |memory: &Memory, dtype| Matrix {
                at: memory.at(),
                dtype,
                rows: n,
                cols: n,
                row_stride: n,
                col_stride: 1,
                batch_stride: 0,
            };
            // The second factor by columns, as weights are.
            let b = Matrix { row_stride: 1, col_stride: n, ..matrix(&b, dtype) };
            let (c, a) = (matrix(&c, DType::F32), matrix(&a, dtype));
            let epilogue = Epilogue::default();
            let product = Product { c, a, b, batches: 1, accumulate: false, tf32: false, epilogue };
            let seconds = self.best(|| self.multiply(&product));
            (2.0 * (n as f64).powi(3) / seconds, seconds)
        };
        let copy = |bytes: usize| {
            let (from, mut to) = (self.numbers(bytes / 4, DType::F32), self.allocate(bytes));
            let seconds = self.best(|| to.copy_from(&from, 0));
            (2.0 * bytes as f64 / seconds, seconds)
        };
        let sizes = |first: usize, last: usize| {
            std::iter::successors(Some(first), move |&size| (size < last).then_some(2 * size))
        };
        [long(sizes(64, 8192).map(product)), long(sizes(1 << 20, 1 << 30).map(copy))]
    }

    /// Numbers that are not all alike, which would cost a card less.
    fn numbers(&self, count: usize, dtype: DType) -> Memory {
        let mut rng = Rng::new(7, 0);
        let some: Vec<f32> = (0..count.min(1 << 16)).map(|_| rng.normal() as f32).collect();
        let bytes: Vec<u8> = match dtype {
            DType::F32 => bytemuck::cast_slice(&some).to_vec(),
            dtype => bytemuck::cast_slice(&crate::cpu::convert::narrow(&some, dtype)).to_vec(),
        };
        let (pattern, size) = (self.place(&bytes), dtype.size() * count);
        let all = self.allocate(size);
        for first in (0..size).step_by(bytes.len().max(1)) {
            let bytes = bytes.len().min(size - first);
            self.perform(Task::Copy { to: all.at() + first as u64, from: pattern.at(), bytes });
        }
        all
    }

    /// Seconds of some work on the device, the best of some.
    fn best(&self, mut work: impl FnMut()) -> f64 {
        let mut mark = self.allocate(4);
        let mut wait = || {
            mark.zero();
            mark.read(&mut [0u8; 4]);
        };
        let mut times = (0..=TIMES).map(|_| {
            wait();
            let begun = Instant::now();
            work();
            wait();
            begun.elapsed().as_secs_f64()
        });
        // The first time kernels are loaded, or chosen.
        times.next();
        times.fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE)
    }
}

/// The rate of the first size that takes long enough, or of the last.
fn long(sizes: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut rate = 0.0;
    for (found, seconds) in sizes {
        rate = found;
        if seconds >= LONG {
            break;
        }
    }
    rate
}
