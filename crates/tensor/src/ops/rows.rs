//! Rows of an activation put together anew: outside of any tape what a decoding step does where its rows part ways, and on
//! it the rows that go on.

use crate::{Backward, Context, Gradients, Graph, Tensor, Var, cpu, cuda};

/// The rows of `x` listed, in that order: [rows.len(), cols]. Backward: `dx[rows[i]] += dy[i]`.
pub fn select_rows(graph: &mut Graph<'_>, x: &Var, rows: &[usize]) -> Var {
    let y = gather_rows(&x.value, rows);
    graph.record(y, || {
        Box::new(SelectRowsBackward { node: x.node(), count: x.value.rows(), rows: rows.to_vec() })
    })
}

struct SelectRowsBackward {
    node: Option<usize>,
    /// Rows of x.
    count: usize,
    rows: Vec<usize>,
}

impl Backward for SelectRowsBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let Some(node) = self.node else { return };
        let mut dx = match gradients.take(node) {
            Some(sum) => sum.into_unique(),
            None => context.zeros(self.count, dy.cols()),
        };
        on!(context => embedding::add_to_rows(context, &mut dx, &self.rows, &dy));
        gradients.put(node, dx);
    }
}

/// The rows of `x` listed, in that order: [rows.len(), cols].
pub fn gather_rows(x: &Tensor, rows: &[usize]) -> Tensor {
    let rows: Vec<u32> = rows.iter().map(|&row| u32::try_from(row).expect("a row's number")).collect();
    let mut out = x.unspecified_beside(rows.len(), x.cols());
    copy_rows(&mut out, Which::From(0), x, Which::List(&rows), rows.len(), 0);
    out
}

/// The way back: row `i` of `from` becomes row `rows[i]` of `to`.
pub fn scatter_rows(to: &mut Tensor, rows: &[usize], from: &Tensor) {
    assert_eq!((rows.len(), to.cols()), (from.rows(), from.cols()), "a row for every row");
    let rows: Vec<u32> = rows.iter().map(|&row| u32::try_from(row).expect("a row's number")).collect();
    copy_rows(to, Which::List(&rows), from, Which::From(0), from.rows(), 0);
}

/// Which rows.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// One after the other, from one on.
    From(usize),
    /// These.
    List(&'a [u32]),
}

/// `count` rows of `to` become rows of `from`: their columns from `column` on. Both are in the same memory.
pub(crate) fn copy_rows(
    to: &mut Tensor,
    to_rows: Which<'_>,
    from: &Tensor,
    from_rows: Which<'_>,
    count: usize,
    column: usize,
) {
    match from.core() {
        None => cpu::rows::copy(to, to_rows, from, from_rows, count, column),
        Some(core) => cuda::rows::copy(core, to, to_rows, from, from_rows, count, column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check};
    use crate::ops::residual;

    /// Rows that are left out, taken twice, and used beside the whole.
    #[test]
    fn selected_rows_and_their_derivatives() {
        for rows in [vec![], vec![2], vec![4, 0, 4, 1]] {
            let case = Case::new(&[(5, 3), (rows.len(), 3)]);
            check(
                &case,
                |g, v, _| {
                    let first = select_rows(g, &v[0], &rows);
                    let second = select_rows(g, &v[0], &rows);
                    let sum = residual(g, &v[1], first);
                    residual(g, &sum, second)
                },
                |x| {
                    let place = |i: usize| (i / 3, i % 3);
                    let of = |(row, c): (usize, usize)| x[1][row * 3 + c] + 2.0 * x[0][rows[row] * 3 + c];
                    (0..rows.len() * 3).map(|i| of(place(i))).collect()
                },
            );
        }
    }

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
