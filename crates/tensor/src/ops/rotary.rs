//! Rotary positions (RoFormer, Su et al. 2021, section 3.4.2): queries and keys turned by their positions, so that their
//! product knows of the distance alone (`apply_rotary_position_embeddings` in transformers' modeling_roformer.py and
//! bert4keras's `p_bias='rotary'`: neighbouring numbers are a pair).

use std::ops::Range;
use std::sync::Arc;

use crate::ops::relative_positions::sinusoids;
use crate::{Backward, Context, Gradients, Graph, Tensor, Var};

/// The sines and cosines of all positions.
#[derive(Clone, Debug)]
pub struct RotaryPositions {
    /// [positions, d_kv]: for each pair the sine, then the cosine.
    turns: Tensor,
}

impl RotaryPositions {
    /// For so many positions and heads of width `d_kv`, which is even: position p turns pair i by p·10000^(−2i/d_kv).
    pub fn new(positions: usize, d_kv: usize) -> Self {
        RotaryPositions { turns: sinusoids(positions, d_kv) }
    }

    /// Positions that there are.
    pub fn len(&self) -> usize {
        self.turns.rows()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Turns the heads in `columns` of `x` by the position of each row: `(a, b)` becomes
/// `(a·cos θ − b·sin θ, b·cos θ + a·sin θ)`. The other columns stay as they are, so that queries and keys can be turned
/// where they lie beside the values; in `x`'s memory where nobody shares it.
///
/// `x`: [tokens, features]; `columns`: whole heads; `positions`: [tokens], each below [`RotaryPositions::len`]. Backward
/// turns the derivative back.
pub fn rotary(
    graph: &mut Graph<'_>,
    x: Var,
    columns: Range<usize>,
    positions: &Arc<[u32]>,
    rotary: &RotaryPositions,
) -> Var {
    let (node, turns) = (x.node(), &rotary.turns);
    assert_eq!(positions.len(), x.value.rows(), "a position a row");
    assert!(
        columns.end <= x.value.cols() && columns.len().is_multiple_of(turns.cols()),
        "columns of whole heads"
    );
    let y = on!(graph.context => rotary::rotate(graph.context, x.value, columns.clone(), positions, turns, false));
    graph.record(y, || {
        Box::new(RotaryBackward { node, columns, positions: positions.clone(), turns: turns.clone() })
    })
}

struct RotaryBackward {
    node: Option<usize>,
    columns: Range<usize>,
    positions: Arc<[u32]>,
    turns: Tensor,
}

impl Backward for RotaryBackward {
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients) {
        let dx =
            on!(context => rotary::rotate(context, dy, self.columns, &self.positions, &self.turns, true));
        gradients.add(context, self.node, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{Case, check, sizes};

    #[test]
    fn agrees_with_the_formula_and_its_derivatives() {
        let (d_kv, columns, cols) = (6, 2..14, 17);
        let positions = RotaryPositions::new(50, d_kv);
        assert_eq!((positions.len(), positions.is_empty()), (50, false));
        for tokens in sizes() {
            let at: Arc<[u32]> = (0..tokens as u32).map(|t| t * 7 % 50).collect();
            let case = Case::new(&[(tokens, cols)]);
            check(
                &case,
                |g, v, _| rotary(g, v[0].clone(), columns.clone(), &at, &positions),
                |x| {
                    let mut y = x[0].clone();
                    for (row, &p) in y.chunks_mut(cols).zip(at.iter()) {
                        for head in row[columns.clone()].chunks_mut(d_kv) {
                            for (i, pair) in head.chunks_mut(2).enumerate() {
                                let angle = f64::from(p) * 10_000f64.powf(-2.0 * i as f64 / d_kv as f64);
                                let (a, b) = (pair[0], pair[1]);
                                pair[0] = a * angle.cos() - b * angle.sin();
                                pair[1] = b * angle.cos() + a * angle.sin();
                            }
                        }
                    }
                    y
                },
            );
        }
    }

    /// What transformers' `RoFormerSelfAttention.apply_rotary_position_embeddings` (4.57) makes of 1, 2, 3, 4 at
    /// position 3.
    #[test]
    fn turns_are_those_of_the_reference() {
        let (params, pool) = (crate::Params::default(), crate::Pool::new(1));
        let mut graph = Graph::inference(&params, &pool, crate::Regime::Steps);
        let x = Var::constant(Tensor::from_vec(1, 4, vec![1.0, 2.0, 3.0, 4.0]));
        let y = rotary(&mut graph, x, 0..4, &[3].into(), &RotaryPositions::new(4, 4)).value;
        for (got, want) in y.data().iter().zip([-1.272_232_5, -1.838_865, 2.878_668, 4.088_186_7f32]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }
}
