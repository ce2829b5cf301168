//! Facts about a gradient that a training step needs: its norm, and where it is not a number.

use crate::{Context, Gradient, Gradients, Weight, cpu};

/// The first element of a tensor, gradient or weight that is infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NonFinite {
    /// Row of the element.
    pub row: usize,
    /// Column of the element.
    pub col: usize,
    /// The value.
    pub value: f32,
}

impl NonFinite {
    /// Looks for one.
    pub fn find(gradient: Gradient<'_>) -> Option<Self> {
        match gradient {
            Gradient::Dense(tensor) if tensor.core().is_some() => {
                return Self::find(Gradient::Dense(&tensor.to_host()));
            }
            Gradient::Rows(rows) if rows.on_device() => return Self::find(Gradient::Rows(&rows.to_host())),
            _ => {}
        }
        let (at, value) = cpu::squares::first_non_finite(gradient)?;
        let (row, col) = match gradient {
            Gradient::Dense(tensor) => (at / tensor.cols(), at % tensor.cols()),
            Gradient::Rows(rows) => (rows.row_of(at / rows.cols()), at % rows.cols()),
        };
        Some(NonFinite { row, col, value })
    }

    /// Looks for one in a weight.
    pub fn in_weight(weight: &Weight) -> Option<Self> {
        if weight.core().is_some() {
            return Self::in_weight(&weight.to_host());
        }
        let (at, value) = cpu::squares::first_non_finite_weight(weight)?;
        Some(NonFinite { row: at / weight.cols(), col: at % weight.cols(), value })
    }
}

/// Sum of the squares of all elements of all gradients, in f64 and in an order that does not depend on the threads.
pub fn sum_squares(context: Context<'_>, gradients: &Gradients) -> f64 {
    on!(context => squares::sum_squares(context, gradients))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Pool, Rng, Tensor};

    #[test]
    fn sums_and_finds() {
        let mut rng = Rng::new(9, 9);
        let (rows, cols) = (401, 500);
        let data: Vec<f32> = (0..rows * cols).map(|_| rng.normal() as f32).collect();
        let want: f64 = data.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let mut tensor = Tensor::from_vec(rows, cols, data);
        let params = Params::default();
        let sum = |threads| {
            let pool = Pool::new(threads);
            cpu::squares::of_gradient(Context::new(&params, &pool), Gradient::Dense(&tensor))
        };
        assert!((sum(1) - want).abs() < 1e-6 * want);
        assert_eq!(sum(1), sum(2));
        assert_eq!(NonFinite::find(Gradient::Dense(&tensor)), None);
        tensor.data_mut()[3 * cols + 7] = f32::INFINITY;
        let found = NonFinite::find(Gradient::Dense(&tensor)).unwrap();
        assert_eq!((found.row, found.col), (3, 7));
        let weight = Weight::owned(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, f32::NEG_INFINITY, 6.0]);
        let found = NonFinite::in_weight(&weight).unwrap();
        assert_eq!((found.row, found.col, found.value), (1, 1, f32::NEG_INFINITY));
    }
}
