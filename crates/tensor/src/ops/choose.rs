//! Choosing tokens from what a softmax is given.

use crate::cpu::choose::known;
use crate::cpu::linear::Side;
use crate::cpu::parts::each;
use crate::ops::{Interest, Known, Linear, LogitsRow, choose_rows, each_row, gather_rows, logits};
use crate::{Graph, Regime, Tensor};

/// Best ones that are kept of every part of a row at most.
const MANY_BEST: usize = 32;

/// Calls `f(index, row)` for the logits of every row of `x`, [tokens, in], and gives what it returns, in the order of the
/// rows. `interest(index)` says what it looks at there; `None`: at everything.
///
/// Logits of which little is looked at are nowhere as a whole: a row's best, the ids named and the sum of all are taken from
/// tiles of them as they are made. What else is asked of such a row is answered too, from all its logits; `f` is then called
/// again. Which way a row goes, and so its bits, depends on nothing but the row.
pub fn choose<T: Send>(
    graph: &Graph<'_>,
    x: &Tensor,
    softmax: impl Into<Linear>,
    interest: impl Fn(usize) -> Option<Interest>,
    f: impl Fn(usize, &mut LogitsRow<'_>) -> T + Sync,
) -> Vec<T> {
    let (softmax, context) = (softmax.into(), graph.context);
    let weight = context.params.get(softmax.weight);
    let plain = context.params.adapter(softmax.weight).is_none() && graph.regime == Regime::Steps;
    if x.core().is_some() || !plain {
        return choose_rows(graph, &mut logits(graph, x, softmax), interest, f);
    }
    let few = |row: usize| {
        let interest = interest(row)?.of(weight.rows());
        let sums = interest.sums.iter().all(|&divisor| divisor == 1.0);
        (interest.is_in_few() && interest.best <= MANY_BEST && sums).then_some((row, interest))
    };
    let few: Vec<(usize, Interest)> = (0..x.rows()).filter_map(few).collect();
    let of = |rows: &[usize]| if rows.len() == x.rows() { x.clone() } else { gather_rows(x, rows) };
    let mut answers: Vec<Option<T>> = (0..x.rows()).map(|_| None).collect();
    if !few.is_empty() {
        let (rows, interests): (Vec<usize>, Vec<&Interest>) = few.iter().map(|(row, i)| (*row, i)).unzip();
        let bias = softmax.bias.map(|id| context.params.vector(id));
        let mut looked = known(context, &of(&rows), Side { weight, bias }, &interests);
        let mut found: Vec<Option<T>> = rows.iter().map(|_| None).collect();
        each(context, looked.iter_mut().zip(&mut found).collect(), |at, (known, found): (&mut Known, _)| {
            let answer = f(rows[at], &mut LogitsRow::known(context.isa, known));
            *found = (!known.missed()).then_some(answer);
        });
        rows.into_iter().zip(found).for_each(|(row, answer)| answers[row] = answer);
    }
    let left: Vec<usize> = (0..x.rows()).filter(|&row| answers[row].is_none()).collect();
    if !left.is_empty() {
        let mut whole = logits(graph, &of(&left), softmax);
        let found = each_row(graph, &mut whole, |at, row| f(left[at], row));
        left.iter().zip(found).for_each(|(&row, answer)| answers[row] = Some(answer));
    }
    answers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, ParamId, Params, Pool, Rng, Weight};

    const FEATURES: usize = 24;

    fn softmax(dtype: DType, ids: usize) -> (Params, ParamId) {
        let mut params = Params::default();
        let weight = Weight::normal(&[ids, FEATURES], 0.5, Rng::new(ids as u64, 0)).to_dtype(dtype);
        let id = params.add("softmax", if dtype == DType::I8 { weight.packed() } else { weight });
        (params, id)
    }

    fn rows(count: usize) -> Tensor {
        let mut rng = Rng::new(count as u64, 1);
        Tensor::from_vec(count, FEATURES, (0..count * FEATURES).map(|_| rng.normal() as f32).collect())
    }

    /// The best, what is named, before and after a change, and the sum: bit for bit those of the logits but for the sum,
    /// and the same alone, in company and on any number of threads.
    #[test]
    fn is_what_the_logits_say() {
        let sizes = [(DType::F32, 9000), (DType::Bf16, 4096), (DType::I8, 5001), (DType::I8, 13)];
        for (dtype, ids) in sizes {
            let (params, id) = softmax(dtype, ids);
            let x = rows(70);
            let interest = |row: usize| match row % 5 {
                0 => Some(Interest { best: 1, ..Interest::default() }),
                1 => Some(Interest { best: 8, ids: vec![7, 2, 7, 1 << 20], sums: vec![1.0] }),
                2 => Some(Interest { best: 3, ids: vec![4095, 12], sums: vec![1.0] }),
                3 => None,
                // Less than what is looked at.
                _ => Some(Interest { best: 2, ids: Vec::new(), sums: Vec::new() }),
            };
            let look = |row: usize, logits: &mut LogitsRow<'_>| {
                let sum = if row.is_multiple_of(5) { 0.0 } else { logits.log_sum_exp() };
                let named = logits.get(12);
                let before = logits.top([1, 8, 3, 5, 4][row % 5]);
                if row % 5 == 1 {
                    logits.set(7, f32::NEG_INFINITY);
                    logits.set(2, 1e9);
                }
                (sum, named, before, logits.argmax())
            };
            let chosen = |threads: usize, x: &Tensor, first: usize| {
                let pool = Pool::new(threads);
                let graph = Graph::inference(&params, &pool, Regime::Steps);
                choose(&graph, x, id, |row| interest(first + row), |row, logits| look(first + row, logits))
            };
            let got = chosen(1, &x, 0);
            let pool = Pool::new(1);
            let graph = Graph::inference(&params, &pool, Regime::Steps);
            let want = each_row(&graph, &mut logits(&graph, &x, id), look);
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(&want) {
                assert!((got.0 - want.0).abs() <= 2e-6 * want.0.abs(), "{} {}", got.0, want.0);
                assert_eq!((got.1, &got.2, got.3), (want.1, &want.2, want.3));
            }
            for threads in [2, 3] {
                assert_eq!(chosen(threads, &x, 0), got);
            }
            for row in 0..10 {
                let one = Tensor::from_vec(1, FEATURES, x.row(row).to_vec());
                assert_eq!(chosen(2, &one, row), got[row..=row]);
            }
        }
    }

    /// Sums that are no numbers are those of the logits.
    #[test]
    fn what_is_not_finite_is_looked_at_as_a_whole() {
        let (params, id) = softmax(DType::F32, 100);
        let pool = Pool::new(1);
        let graph = Graph::inference(&params, &pool, Regime::Steps);
        let mut x = rows(2);
        x.data_mut()[3] = f32::NAN;
        let interest = |_| Some(Interest { best: 1, ids: Vec::new(), sums: vec![1.0] });
        let sums = choose(&graph, &x, id, interest, |_, row| row.log_sum_exp());
        let want = each_row(&graph, &mut logits(&graph, &x, id), |_, row| row.log_sum_exp());
        assert_eq!(sums[0].is_nan(), want[0].is_nan());
        assert!(sums[1].is_finite());
    }
}
