//! What one forward pass needs, the tape it may leave behind, and the gradients a backward pass gives.
//!
//! The same operations serve inference and training: with a tape they record how to go back, without one they
//! record nothing. A node of the tape has exactly one output; its `backward` is given that output's gradient
//! and adds to the gradients of its inputs.
//!
//! The convention for gradients: the first contribution to a gradient *overwrites* it, later ones *add*. So
//! nothing is cleared between steps, and most gradients are written exactly once.

use crate::kernels::{self, Isa};
use crate::{ParamId, Params, Pool, Tensor};

/// An activation: a value and, while a tape records, its place on the tape.
#[derive(Clone, Debug)]
pub struct Var {
    /// The value: `[tokens, features]`.
    pub value: Tensor,
    node: Option<usize>,
}

impl Var {
    /// An activation that no gradient flows back from.
    pub fn constant(value: Tensor) -> Self {
        Var { value, node: None }
    }

    /// Its place on the tape.
    pub fn node(&self) -> Option<usize> {
        self.node
    }
}

/// How many rows the products of a pass have, which decides the kernel. The caller says so, and not the
/// size of the batch, because the two round differently and results must not depend on the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// Whole sequences: encoder, scoring, training.
    Bulk,
    /// One token of each sequence: a decoding step.
    Steps,
}

/// In what the products of many rows are computed; sums, norms, softmax and everything else are f32 in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bf16, sums in f32.
    Bf16,
}

/// Dropout of a training pass: every element is dropped with probability `rate`, decided by `key`.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Probability in [0, 1).
    pub rate: f32,
    /// Seeds the masks: the same key gives the same masks.
    pub key: u64,
}

/// What runs operations: parameters, threads, instruction set.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The model's parameters.
    pub params: &'a Params,
    /// The threads.
    pub pool: &'a Pool,
    /// The kernels' instruction set.
    pub isa: Isa,
    /// In what products of many rows are computed.
    pub precision: Precision,
}

/// One node of the tape: what an operation's backward pass needs.
pub trait Backward {
    /// `dy` is the gradient of the operation's output; adds the gradients of its inputs and parameters.
    fn backward(self: Box<Self>, run: Run<'_>, dy: Tensor, gradients: &mut Gradients);
}

/// One forward pass.
pub struct Graph<'a> {
    /// What runs the operations.
    pub run: Run<'a>,
    /// Which kernels the products take.
    pub regime: Regime,
    dropout: Option<Dropout>,
    dropouts: u64,
    /// Whether [`recompute`](crate::ops::recompute) forgets what is within its parts.
    forgets: bool,
    tape: Option<Vec<Option<Box<dyn Backward + 'a>>>>,
}

impl<'a> Graph<'a> {
    /// A pass that records nothing.
    pub fn inference(params: &'a Params, pool: &'a Pool, regime: Regime) -> Self {
        let run = Run { params, pool, isa: kernels::isa(), precision: Precision::F32 };
        Graph { run, regime, dropout: None, dropouts: 0, forgets: false, tape: None }
    }

    /// A pass that can be run backwards.
    pub fn training(params: &'a Params, pool: &'a Pool, dropout: Option<Dropout>) -> Self {
        let run = Run { params, pool, isa: kernels::isa(), precision: Precision::F32 };
        let dropout = dropout.filter(|d| d.rate > 0.0);
        Graph { run, regime: Regime::Bulk, dropout, dropouts: 0, forgets: false, tape: Some(Vec::new()) }
    }

    /// The same pass with products of many rows in `precision`.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.run.precision = precision;
        self
    }

    /// The same pass trading time for memory: parts that can be are computed again on the way back.
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.forgets = recompute;
        self
    }

    /// Whether parts that can be computed again are not to be kept.
    pub(crate) fn forgets(&self) -> bool {
        self.forgets && self.records()
    }

    /// A pass from this point on, dropout masks included, that records or not, apart from this one.
    pub(crate) fn aside(&self, records: bool) -> Graph<'a> {
        Graph { tape: records.then(Vec::new), forgets: false, ..*self }
    }

    /// This pass goes on with the dropout masks that come after those of `aside`.
    pub(crate) fn resume_after(&mut self, aside: &Graph<'a>) {
        self.dropouts = aside.dropouts;
    }

    /// Whether operations must keep what their backward pass reads.
    pub fn records(&self) -> bool {
        self.tape.is_some()
    }

    /// The dropout of the next operation that wants one; each gets masks of its own.
    pub(crate) fn next_dropout(&mut self) -> Option<Dropout> {
        let Dropout { rate, key } = self.dropout?;
        self.dropouts += 1;
        Some(Dropout { rate, key: crate::mix(key, self.dropouts) })
    }

    /// An input that gradients are wanted of.
    pub fn leaf(&mut self, value: Tensor) -> Var {
        let node = self.tape.as_mut().map(|tape| {
            tape.push(None);
            tape.len() - 1
        });
        Var { value, node }
    }

    /// The output of an operation; `op` is called only when the tape records.
    pub(crate) fn record(&mut self, value: Tensor, op: impl FnOnce() -> Box<dyn Backward + 'a>) -> Var {
        let node = self.tape.as_mut().map(|tape| {
            tape.push(Some(op()));
            tape.len() - 1
        });
        Var { value, node }
    }

    /// Runs the tape backwards from the gradients that are already in `gradients`.
    ///
    /// What each operation had saved is freed as soon as it has been used.
    pub fn backward(self, gradients: &mut Gradients) {
        let run = self.run;
        for (node, op) in self.tape.unwrap_or_default().into_iter().enumerate().rev() {
            if let Some(op) = op
                && let Some(dy) = gradients.take(node)
            {
                op.backward(run, dy, gradients);
            }
        }
    }
}

/// Gradients of a pass: of parameters (kept from step to step) and of activations on the way.
#[derive(Default)]
pub struct Gradients {
    nodes: Vec<Option<Tensor>>,
    params: Vec<Option<Tensor>>,
    written: Vec<bool>,
    frozen: Vec<bool>,
}

impl Gradients {
    /// Gradients of no parameter yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the values of the last step, keeping the memory.
    pub fn clear(&mut self) {
        self.written.fill(false);
        self.nodes.clear();
    }

    /// Parameters that need no gradient; operations then skip the work.
    pub fn freeze(&mut self, id: ParamId) {
        grow(&mut self.frozen, id.0, || false);
        self.frozen[id.0] = true;
    }

    /// Whether the gradient of a parameter is wanted.
    pub fn wants(&self, id: ParamId) -> bool {
        !self.frozen.get(id.0).copied().unwrap_or(false)
    }

    /// The gradient of a parameter: `[rows, cols]` as its weight; `None` when nothing contributed to it.
    pub fn param(&self, id: ParamId) -> Option<&Tensor> {
        self.params.get(id.0)?.as_ref().filter(|_| self.written[id.0])
    }

    /// The gradient of a parameter to write, and whether it must be added to (else: overwritten).
    pub(crate) fn param_mut(&mut self, run: Run<'_>, id: ParamId) -> (&mut Tensor, bool) {
        grow(&mut self.params, id.0, || None);
        grow(&mut self.written, id.0, || false);
        let add = std::mem::replace(&mut self.written[id.0], true);
        let weight = run.params.get(id);
        let tensor =
            self.params[id.0].get_or_insert_with(|| Tensor::unspecified(weight.rows(), weight.cols()));
        (tensor, add)
    }

    /// Like [`Gradients::param_mut`] for contributions that only ever add: zeros at first.
    pub(crate) fn param_add(&mut self, run: Run<'_>, id: ParamId) -> &mut Tensor {
        let (tensor, add) = self.param_mut(run, id);
        if !add {
            let ranges = run.pool.ranges(tensor.data().len(), 4096);
            let mut rest = tensor.data_mut();
            let mut parts = Vec::with_capacity(ranges.len());
            for range in ranges {
                let (part, tail) = rest.split_at_mut(range.len());
                parts.push(part);
                rest = tail;
            }
            run.pool.run_parts(parts, |part| part.fill(0.0));
        }
        tensor
    }

    /// The gradient of an activation so far, to be added to and given back by [`Gradients::put`].
    pub(crate) fn take(&mut self, node: usize) -> Option<Tensor> {
        self.nodes.get_mut(node)?.take()
    }

    /// Sets the gradient of an activation.
    pub fn put(&mut self, node: usize, gradient: Tensor) {
        grow(&mut self.nodes, node, || None);
        self.nodes[node] = Some(gradient);
    }

    /// Adds to the gradient of an activation, if it is on the tape.
    pub(crate) fn add(&mut self, run: Run<'_>, node: Option<usize>, gradient: Tensor) {
        let Some(node) = node else { return };
        let sum = match self.take(node) {
            None => gradient,
            Some(sum) => {
                let mut sum = sum.into_unique();
                crate::ops::add_in_place(run, &mut sum, &gradient);
                sum
            }
        };
        self.put(node, sum);
    }

    /// Runs a pass of its own backwards from the gradient `dy` of its result, and returns the gradients of its leaves.
    /// Those of parameters are added to the ones here.
    pub(crate) fn within(
        &mut self,
        graph: Graph<'_>,
        y: &Var,
        dy: Tensor,
        leaves: &[Var],
    ) -> Vec<Option<Tensor>> {
        let outside = std::mem::take(&mut self.nodes);
        if let Some(node) = y.node {
            self.put(node, dy);
        }
        graph.backward(self);
        let found = leaves.iter().map(|leaf| self.take(leaf.node?)).collect();
        self.nodes = outside;
        found
    }

    /// The gradient of a leaf after the backward pass.
    pub fn of(&self, leaf: &Var) -> Option<&Tensor> {
        self.nodes.get(leaf.node?)?.as_ref()
    }
}

fn grow<T>(v: &mut Vec<T>, index: usize, empty: impl FnMut() -> T) {
    if v.len() <= index {
        v.resize_with(index + 1, empty);
    }
}
