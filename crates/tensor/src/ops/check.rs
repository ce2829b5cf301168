//! The check every operation passes: forward against an obvious version in f64, backward against that version's
//! finite differences.

use crate::{Adapter, Gradients, Graph, ParamId, Params, Pool, Rng, Tensor, Var, Weight};

/// Numbers of rows that are awkward for kernels: none, one, and around the widths of vectors and tiles.
pub(crate) fn sizes() -> [usize; 6] {
    [0, 1, 3, 16, 17, 33]
}

/// What an operation is tried on: random inputs of these shapes.
pub(crate) struct Case {
    vars: Vec<(usize, usize)>,
    params: Vec<Vec<usize>>,
    adapters: Vec<(usize, [usize; 2], f32)>,
    spread: f64,
}

impl Case {
    pub(crate) fn new(vars: &[(usize, usize)]) -> Self {
        Case { vars: vars.to_vec(), params: Vec::new(), adapters: Vec::new(), spread: 1.0 }
    }

    pub(crate) fn param(mut self, shape: &[usize]) -> Self {
        self.params.push(shape.to_vec());
        self
    }

    /// Gives parameter number `weight` an adapter of the parameters numbered `[a, b]`.
    pub(crate) fn adapter(mut self, weight: usize, parts: [usize; 2], scale: f32) -> Self {
        self.adapters.push((weight, parts, scale));
        self
    }

    fn inputs(&self) -> Vec<Vec<f64>> {
        let mut rng = Rng::new(20, 20);
        let vars = self.vars.iter().map(|(r, c)| r * c);
        let params = self.params.iter().map(|s| s.iter().product());
        vars.chain(params)
            .map(|n: usize| (0..n).map(|_| f64::from((self.spread * rng.normal()) as f32)).collect())
            .collect()
    }
}

fn tensor(rows: usize, cols: usize, data: &[f64]) -> Tensor {
    Tensor::from_vec(rows, cols, data.iter().map(|&x| x as f32).collect())
}

/// `op` is given the activations and parameters of `case`; `oracle` the same numbers, activations first, and
/// returns the output's elements.
pub(crate) fn check(
    case: &Case,
    op: impl Fn(&mut Graph<'_>, &[Var], &[ParamId]) -> Var,
    oracle: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let inputs = case.inputs();
    let mut params = Params::default();
    let ids: Vec<ParamId> = case
        .params
        .iter()
        .zip(&inputs[case.vars.len()..])
        .enumerate()
        .map(|(i, (shape, data))| {
            params.add(format!("p{i}"), Weight::owned(shape, data.iter().map(|&x| x as f32).collect()))
        })
        .collect();
    for &(weight, [a, b], scale) in &case.adapters {
        params.adapt(ids[weight], Adapter { a: ids[a], b: ids[b], scale });
    }
    let want = oracle(&inputs);
    for threads in [1, 2] {
        let pool = Pool::new(threads);
        let mut graph = Graph::training(&params, &pool, None);
        let vars: Vec<Var> =
            case.vars.iter().zip(&inputs).map(|(&(r, c), data)| graph.leaf(tensor(r, c, data))).collect();
        let y = op(&mut graph, &vars, &ids);
        assert_eq!(y.value.data().len(), want.len(), "elements of the output");
        for (i, (&got, &want)) in y.value.data().iter().zip(&want).enumerate() {
            assert!((f64::from(got) - want).abs() <= 1e-5 * want.abs().max(1.0), "output {i}: {got} {want}");
        }

        let mut rng = Rng::new(21, 0);
        let dy: Vec<f64> = want.iter().map(|_| f64::from(rng.normal() as f32)).collect();
        let mut gradients = Gradients::new();
        gradients.put(y.node().expect("on the tape"), tensor(y.value.rows(), y.value.cols(), &dy));
        graph.backward(&mut gradients);
        let weighted =
            |inputs: &[Vec<f64>]| -> f64 { oracle(inputs).iter().zip(&dy).map(|(y, d)| y * d).sum() };
        for which in 0..inputs.len() {
            let got: Option<&Tensor> = match vars.get(which) {
                Some(var) => gradients.of(var),
                None => gradients.param(ids[which - vars.len()]),
            };
            let mut nudged = inputs.clone();
            for i in 0..inputs[which].len() {
                let h = 1e-5;
                nudged[which][i] = inputs[which][i] + h;
                let above = weighted(&nudged);
                nudged[which][i] = inputs[which][i] - h;
                let below = weighted(&nudged);
                nudged[which][i] = inputs[which][i];
                let want = (above - below) / (2.0 * h);
                let got = got.map_or(0.0, |g| f64::from(g.data()[i]));
                assert!(
                    (got - want).abs() <= 1e-4 * want.abs().max(1.0),
                    "derivative by element {i} of input {which}: {got}, by differences {want}"
                );
            }
        }
    }
}
