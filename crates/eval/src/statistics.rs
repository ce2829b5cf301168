//! What resampling needs of lines: figures of any selection, without looking at the texts again.

use std::thread;

/// Lines that figures can be made of.
pub trait Statistics: Sync {
    /// The figures of the lines, each taken so many `times`; there is one for each line.
    fn figures(&self, times: &[u32]) -> Vec<f64>;

    /// How many lines.
    fn count(&self) -> usize;
}

/// Sums and the number of lines to figures.
type Score = dyn Fn(&[f64], f64) -> Vec<f64> + Sync;

/// Figures of the sum over lines of a few numbers each.
pub struct Sums {
    width: usize,
    /// `[lines][width]`.
    rows: Vec<f64>,
    score: Box<Score>,
}

impl Sums {
    /// `row(i, out)` writes the `width` numbers of line `i`, on all cores; `score(sums, lines)` makes figures of them.
    pub fn new(
        lines: usize,
        width: usize,
        row: impl Fn(usize, &mut [f64]) + Sync,
        score: impl Fn(&[f64], f64) -> Vec<f64> + Sync + 'static,
    ) -> Self {
        let mut rows = vec![0.0; lines * width];
        let part = lines.div_ceil(threads()).max(64);
        thread::scope(|scope| {
            for (number, part_rows) in rows.chunks_mut(part * width).enumerate() {
                let row = &row;
                let work = move || {
                    part_rows.chunks_mut(width).enumerate().for_each(|(i, out)| row(number * part + i, out));
                };
                scope.spawn(work);
            }
        });
        Sums { width, rows, score: Box::new(score) }
    }

    /// Means of the numbers themselves.
    pub fn means(lines: usize, width: usize, row: impl Fn(usize, &mut [f64]) + Sync) -> Self {
        Sums::new(lines, width, row, |sums, lines| sums.iter().map(|sum| sum / lines.max(1.0)).collect())
    }

    /// The numbers of each line.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.chunks_exact(self.width)
    }
}

impl Statistics for Sums {
    fn figures(&self, times: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        let mut lines = 0.0;
        for (row, &times) in self.rows().zip(times).filter(|(_, times)| **times > 0) {
            let times = f64::from(times);
            lines += times;
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += times * value);
        }
        (self.score)(&sums, lines)
    }

    fn count(&self) -> usize {
        self.rows.len() / self.width
    }
}

/// How many threads to work on.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_lines_taken_several_times() {
        let sums = Sums::new(
            200,
            2,
            |i, out| out.copy_from_slice(&[i as f64, 1.0]),
            |sums, n| vec![sums[0], sums[1], n],
        );
        assert_eq!(sums.figures(&[1; 200]), [19900.0, 200.0, 200.0]);
        let mut times = vec![0; 200];
        (times[3], times[199]) = (2, 1);
        assert_eq!(sums.figures(&times), [205.0, 3.0, 3.0]);
        assert_eq!((sums.count(), sums.rows().nth(7).unwrap()), (200, &[7.0, 1.0][..]));
        assert_eq!(Sums::means(0, 1, |_, _| {}).figures(&[]), [0.0]);
    }
}
