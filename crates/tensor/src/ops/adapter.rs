//! What an adapter adds to its linear layer: `y += scale·(x·Aᵀ)·Bᵀ` (LoRA, Hu et al. 2021, section 4.1).
//!
//! A and B are small: backward computes `x·Aᵀ` again rather than keep it.

use std::ops::Range;

use crate::{Adapter, Context, Gradients, Tensor};

/// With `dy` the columns `of` it and `u = scale·dy·B`: `dA = uᵀ·x`, `dB = scale·dyᵀ·(x·Aᵀ)`, and `dx += u·A` where it is
/// wanted.
pub(super) fn adapter_backward(
    context: Context<'_>,
    x: &Tensor,
    dy: &Tensor,
    of: Range<usize>,
    dx: Option<&mut Tensor>,
    adapter: Adapter,
    gradients: &mut Gradients,
) {
    let Adapter { a, b, scale } = adapter;
    let [weight_a, weight_b] = [a, b].map(|id| context.params.get(id));
    let rank = weight_a.rows();
    let mut u = context.unspecified(x.rows(), rank);
    on!(context => linear::derivative_by_input(context, &mut u, 0, dy, of.clone(), weight_b, false));
    let u = on!(context => elementwise::multiply(context, u, scale));
    if gradients.wants(b) {
        let down = on!(context => adapter::down(context, x, adapter));
        let (db, add) = gradients.param_mut(context, b);
        on!(context => linear::derivative_by_weight(context, db, dy, of, &down, add));
    }
    if gradients.wants(a) {
        let (da, add) = gradients.param_mut(context, a);
        on!(context => linear::derivative_by_weight(context, da, &u, 0..rank, x, add));
    }
    if let Some(dx) = dx {
        on!(context => linear::derivative_by_input(context, dx, 0, &u, 0..rank, weight_a, true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::bf16_products;
    use crate::ops::check::{Case, check, sizes};
    use crate::ops::linear;
    use crate::ops::linear::project;
    use crate::{DType, Graph, ParamId, Params, Pool, Regime, Rng, Weight};

    const K: usize = 130;

    /// Two layers side by side, of which the second has an adapter of rank 2.
    #[test]
    fn agrees_with_the_sum_and_its_derivatives() {
        for tokens in sizes() {
            let case = Case::new(&[(tokens, 5)]).param(&[3, 5]).param(&[7, 5]).param(&[2, 5]).param(&[7, 2]);
            check(
                &case.adapter(1, [2, 3], 0.75),
                |g, v, p| linear(g, &v[0], &p[..2]),
                |x| {
                    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                    let mut y = Vec::new();
                    for x_row in x[0].chunks(5) {
                        y.extend(x[1].chunks(5).map(|w| dot(w, x_row)));
                        let down: Vec<f64> = x[3].chunks(5).map(|a| dot(a, x_row)).collect();
                        let with = |(w, b): (&[f64], &[f64])| dot(w, x_row) + 0.75 * dot(b, &down);
                        y.extend(x[2].chunks(5).zip(x[4].chunks(2)).map(with));
                    }
                    y
                },
            );
        }
    }

    /// Random numbers for a layer of 130 inputs and `out` outputs with an adapter.
    fn layer(out: usize, rank: usize, dtype: DType) -> (Params, ParamId, Adapter) {
        let mut rng = Rng::new(3, rank as u64);
        let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let mut params = Params::default();
        let w = params.add("w", Weight::owned(&[out, K], normal(out * K)).to_dtype(dtype));
        let a = params.add("a", Weight::owned(&[rank, K], normal(rank * K)));
        let b = params.add("b", Weight::owned(&[out, rank], normal(out * rank)));
        let adapter = Adapter { a, b, scale: 0.5 };
        params.adapt(w, adapter);
        (params, w, adapter)
    }

    /// Whole sequences and steps: a sequence gets the same bits alone and in company, for every storage type of the
    /// layer's own weight, and they are the right numbers.
    #[test]
    fn a_row_does_not_depend_on_the_batch() {
        let mut rng = Rng::new(4, 0);
        let x: Vec<f32> = (0..400 * K).map(|_| rng.normal() as f32).collect();
        for (dtype, rank) in
            [(DType::F32, 1), (DType::F32, 2), (DType::F32, 3), (DType::Bf16, 8), (DType::F16, 70)]
        {
            let (params, w, adapter) = layer(300, rank, dtype);
            let run = |threads: usize, rows: usize, regime| {
                let pool = Pool::new(threads);
                let graph = Graph::inference(&params, &pool, regime);
                project(
                    graph.context,
                    regime,
                    &Tensor::from_vec(rows, K, x[..rows * K].to_vec()),
                    &[w.into()],
                )
            };
            let (wide, a, b) = (
                params.get(w).to_tensor(),
                params.get(adapter.a).to_tensor(),
                params.get(adapter.b).to_tensor(),
            );
            for regime in [Regime::Steps, Regime::Bulk] {
                let all = run(1, 400, regime);
                // The layer's own product, over 130 inputs, may be in bf16; the adapter's is not.
                let half = dtype == DType::Bf16 && bf16_products();
                let bound = if half { 0.2 } else { 1e-3 };
                for (row, y) in all.data().chunks(300).enumerate() {
                    let dot =
                        |w: &[f32], x: &[f64]| w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
                    let x: Vec<f64> = x[row * K..][..K].iter().map(|&x| x.into()).collect();
                    let down: Vec<f64> = (0..rank).map(|i| dot(a.row(i), &x)).collect();
                    for (i, &y) in y.iter().enumerate() {
                        let want = dot(wide.row(i), &x) + 0.5 * dot(b.row(i), &down);
                        assert!((f64::from(y) - want).abs() < bound, "row {row}, {i}: {y} {want}");
                    }
                }
                for threads in [1, 2, 3] {
                    for rows in [1, 2, 5, 63, 64, 65, 161, 256, 257, 399] {
                        let same = run(threads, rows, regime).data() == &all.data()[..rows * 300];
                        assert!(same, "{regime:?}, rank {rank}, {rows} rows, {threads} threads");
                    }
                }
            }
        }
    }
}
