//! Rows of an activation put together anew, outside of any tape: what a decoding step does where its rows part ways.

use crate::{Tensor, cpu};

/// The rows of `x` listed, in that order: [rows.len(), cols].
pub fn gather_rows(x: &Tensor, rows: &[usize]) -> Tensor {
    let mut out = Tensor::unspecified(rows.len(), x.cols());
    cpu::rows::copy(&mut out, 0..rows.len(), x, rows.iter().copied(), 0);
    out
}

/// The way back: row `i` of `from` becomes row `rows[i]` of `to`.
pub fn scatter_rows(to: &mut Tensor, rows: &[usize], from: &Tensor) {
    assert_eq!((rows.len(), to.cols()), (from.rows(), from.cols()), "a row for every row");
    cpu::rows::copy(to, rows.iter().copied(), from, 0..from.rows(), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gathered_rows_go_back_where_they_came_from() {
        let x = Tensor::from_vec(4, 2, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        let some = gather_rows(&x, &[3, 1]);
        assert_eq!(some.data(), [6.0, 7.0, 2.0, 3.0]);
        let mut back = Tensor::zeros(4, 2);
        scatter_rows(&mut back, &[3, 1], &some);
        assert_eq!(back.data(), [0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 6.0, 7.0]);
        assert_eq!(gather_rows(&x, &[]).rows(), 0);
    }
}
