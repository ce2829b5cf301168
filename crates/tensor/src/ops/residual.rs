//! Residual connection, with the dropout that T5 applies to the branch.

use crate::{Backward, Context, Dropout, Gradients, Graph, Tensor, Var};

/// `x + dropout(y)`; both [tokens, features]. Written into `y`'s memory.
pub fn residual(graph: &mut Graph<'_>, x: &Var, y: Var) -> Var {
    let dropout = graph.next_dropout();
    let branch = y.node();
    let sum = on!(graph.context => elementwise::add_branch(graph.context, &x.value, y.value, dropout));
    let node = x.node();
    graph.record(sum, || Box::new(ResidualBackward { node, branch, dropout }))
}

struct ResidualBackward {
    node: Option<usize>,
    branch: Option<usize>,
    dropout: Option<Dropout>,
}

impl Backward for ResidualBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let branch = match self.dropout {
            None => dy.clone(),
            Some(dropout) => on!(context => dropout::drop_elements(context, dropout, dy.clone())),
        };
        gradients.add(context, self.branch, branch);
        gradients.add(context, self.node, dy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};
    use crate::{Params, Pool};

    #[test]
    fn adds() {
        for rows in sizes() {
            let case = Case::new(&[(rows, 9), (rows, 9)]);
            check(
                &case,
                |g, v, _| residual(g, &v[0], v[1].clone()),
                |x| x[0].iter().zip(&x[1]).map(|(a, b)| a + b).collect(),
            );
        }
    }

    #[test]
    fn drops_the_branch_alone() {
        let (params, pool) = (Params::default(), Pool::new(1));
        let mut graph = Graph::training(&params, &pool, Some(Dropout { rate: 0.5, key: 1 }));
        let ones = || Tensor::from_vec(4, 50, vec![1.0; 200]);
        let (x, y) = (graph.leaf(ones()), graph.leaf(ones()));
        let z = residual(&mut graph, &x, y.clone());
        assert!(z.value.data().iter().all(|&v| v == 1.0 || v == 3.0));
        let mut gradients = Gradients::new();
        gradients.put(z.node().unwrap(), ones());
        graph.backward(&mut gradients);
        assert_eq!(gradients.of(&x).unwrap().data(), ones().data());
        let want: Vec<f32> = z.value.data().iter().map(|v| v - 1.0).collect();
        assert_eq!(gradients.of(&y).unwrap().data(), want);
    }
}
