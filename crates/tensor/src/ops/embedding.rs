//! Embedding: rows of a matrix by id, or the sums of rows of several.

use crate::{Backward, Context, Gradients, Graph, ParamId, Tensor, Var};

/// Rows `ids` of a weight: [rows, features] → [ids, features].
///
/// Backward: `dW[id] += dy` for every token of that id. Panics on an id without a row; batches are checked when
/// they are made.
pub fn embedding(graph: &mut Graph<'_>, weight: ParamId, ids: &[u32]) -> Var {
    let weights = graph.context.params.get(weight);
    let y = on!(graph.context => embedding::gather(graph.context, weights, ids));
    graph.record(y, || Box::new(EmbeddingBackward { weight, ids: ids.to_vec() }))
}

struct EmbeddingBackward {
    weight: ParamId,
    ids: Vec<u32>,
}

impl Backward for EmbeddingBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        if !gradients.wants(self.weight) {
            return;
        }
        if let Some(rows) = gradients.rows_mut(self.weight) {
            return rows.add(context, &self.ids, &dy);
        }
        on!(context => embedding::add_rows(context, gradients.param_add(context, self.weight), &self.ids, &dy));
    }
}

/// A table of which [`embeddings`] takes rows.
#[derive(Clone, Copy, Debug)]
pub struct Table<'i> {
    /// W: [rows, features].
    pub weight: ParamId,
    /// A row of it for each row of the result.
    pub ids: &'i [u32],
    /// What its rows are multiplied by.
    pub factor: f32,
}

impl<'i> Table<'i> {
    /// Its rows as they are.
    pub fn new(weight: ParamId, ids: &'i [u32]) -> Self {
        Table { weight, ids, factor: 1.0 }
    }
}

/// `Σ factorₖ · Wₖ[idsₖ]`: the sums of rows of several weights, such as those of a token, its position and its segment
/// (BERT). As many ids of each, the first's factor is 1; result: [ids, features]. Backward as for [`embedding`], for each.
pub fn embeddings(graph: &mut Graph<'_>, tables: &[Table<'_>]) -> Var {
    let (first, others) = tables.split_first().expect("at least one table");
    assert!(first.factor == 1.0, "the first table's rows as they are");
    let params = graph.context.params;
    let mut y = on!(graph.context => embedding::gather(graph.context, params.get(first.weight), first.ids));
    for table in others {
        let weight = params.get(table.weight);
        on!(graph.context => embedding::add_gathered(graph.context, &mut y, table.factor, weight, table.ids));
    }
    graph.record(y, || {
        let each = |t: &Table<'_>| (t.factor, EmbeddingBackward { weight: t.weight, ids: t.ids.to_vec() });
        Box::new(EmbeddingsBackward(tables.iter().map(each).collect()))
    })
}

struct EmbeddingsBackward(Vec<(f32, EmbeddingBackward)>);

impl Backward for EmbeddingsBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        for (factor, table) in self.0 {
            let dy = match factor {
                1.0 => dy.clone(),
                _ => on!(context => elementwise::multiply(context, dy.clone(), factor)),
            };
            Box::new(table).backward(context, dy, gradients);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check};
    use crate::{Gradient, Params, Pool, Rng, Weight};

    #[test]
    fn gathers_rows_and_adds_gradients_of_repeated_ids() {
        for ids in [vec![], vec![4], vec![0, 3, 3, 1, 3, 0, 2]] {
            let case = Case::new(&[]).param(&[5, 6]);
            check(
                &case,
                |g, _, p| embedding(g, p[0], &ids),
                |x| ids.iter().flat_map(|&id| x[0][id as usize * 6..][..6].to_vec()).collect(),
            );
        }
    }

    #[test]
    fn sums_rows_of_several_tables() {
        for tokens in crate::ops::check::sizes() {
            let ids = [7, 3, 2].map(|rows| (0..tokens as u32).map(|t| t * 5 % rows).collect::<Vec<u32>>());
            let case = Case::new(&[]).param(&[7, 6]).param(&[3, 6]).param(&[2, 6]);
            check(
                &case,
                |g, _, p| {
                    let table = |k: usize| Table::new(p[k], &ids[k]);
                    embeddings(g, &[table(0), Table { factor: -0.75, ..table(1) }, table(2)])
                },
                |x| {
                    let factors = [1.0, -0.75, 1.0];
                    let of = |k: usize, t: usize, c: usize| factors[k] * x[k][ids[k][t] as usize * 6 + c];
                    let sum = |t: usize, c: usize| (0..3).map(|k| of(k, t, c)).sum();
                    (0..tokens).flat_map(|t| (0..6).map(move |c| (t, c))).map(|(t, c)| sum(t, c)).collect()
                },
            );
        }
    }

    /// Kept by rows, over two passes, the gradient is the dense one; and it becomes dense when that is asked for.
    #[test]
    fn a_gradient_by_rows_is_the_dense_one() {
        let (rows, cols) = (7, 33);
        let mut rng = Rng::new(1, 1);
        let mut params = Params::default();
        let id = params.add("shared", Weight::zeros(&[rows, cols]));
        let pool = Pool::new(2);
        let context = Context::new(&params, &pool);
        let (mut dense, mut by_rows) = (Gradients::new(), Gradients::new());
        by_rows.keep_rows(id);
        for step in [vec![vec![4u32, 0, 4], vec![6, 0]], vec![vec![2]]] {
            dense.clear();
            by_rows.clear();
            let met: std::collections::BTreeSet<u32> = step.iter().flatten().copied().collect();
            for ids in step {
                let dy: Vec<f32> = (0..ids.len() * cols).map(|_| rng.normal() as f32).collect();
                for gradients in [&mut dense, &mut by_rows] {
                    gradients.next_pass();
                    let mut graph = Graph::training(&params, &pool, None);
                    let y = embedding(&mut graph, id, &ids);
                    gradients.put(y.node().unwrap(), Tensor::from_vec(ids.len(), cols, dy.clone()));
                    graph.backward(gradients);
                }
            }
            let want = dense.param(id).unwrap();
            let Some(Gradient::Rows(got)) = by_rows.get(id) else { panic!("kept by rows") };
            let sorted = got.sorted();
            assert!(sorted.iter().map(|&(row, _)| row as u32).eq(met));
            for (row, at) in sorted {
                assert_eq!((got.row(at), got.row_of(at)), (want.row(row), row));
            }
        }
        let want = dense.param(id).unwrap().data().to_vec();
        let (tensor, add) = by_rows.param_mut(context, id);
        assert!(add && tensor.data() == want);
        assert_eq!(by_rows.param(id).unwrap().data(), want);
    }
}
