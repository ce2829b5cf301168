//! What one forward pass needs, the tape it may leave behind, and the gradients a backward pass gives.
//!
//! The same operations serve inference and training: with a tape they record how to go back, without one they
//! record nothing. A node of the tape has exactly one output; its `backward` is given that output's gradient
//! and adds to the gradients of its inputs.
//!
//! The convention for gradients: the first contribution to a gradient *overwrites* it, later ones *add*. So
//! nothing is cleared between steps, and most gradients are written exactly once.

use crate::cuda::{self, Step};
use crate::kernels::{self, Isa};
use crate::ops::NonFinite;
use crate::row_gradient::{Gradient, RowGradient};
use crate::{Device, ParamId, Params, Pool, Tensor};

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

/// In what the products of many rows are computed; sums, norms, softmax and everything else are f32 in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to TF32 (f32's exponent, ten bits of its mantissa), sums in f32: on NVIDIA's GPUs from Ampere on.
    /// Elsewhere F32.
    Tf32,
    /// Factors rounded to bf16, sums in f32.
    Bf16,
    /// Each layer's products in what its weights are stored in: `Bf16` with weights in bf16, where the processor has
    /// [instructions](crate::bf16_products) for it, else `F32`. Attention's products, in which no weight takes
    /// part, are F32.
    Stored,
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
pub struct Context<'a> {
    /// The model's parameters.
    pub params: &'a Params,
    /// The threads.
    pub pool: &'a Pool,
    /// In what products of many rows are computed.
    pub precision: Precision,
    /// The kernels' instruction set.
    pub(crate) isa: Isa,
    /// The device that runs them, where it is not the processor.
    pub(crate) device: Option<&'a Device>,
}

impl<'a> Context<'a> {
    /// Operations on these parameters by these threads, or where the parameters are on a device by that, products in what the weights are [stored](Precision::Stored)
    /// in.
    pub fn new(params: &'a Params, pool: &'a Pool) -> Self {
        Context { params, pool, precision: Precision::Stored, isa: kernels::isa(), device: params.device() }
    }

    /// `[rows, cols]` where operations run, whose elements the caller will all overwrite.
    pub(crate) fn unspecified(self, rows: usize, cols: usize) -> Tensor {
        match self.device {
            None => Tensor::unspecified(rows, cols),
            Some(device) => Tensor::on(device, rows, cols),
        }
    }

    /// What the way back reads of an activation that is a factor of products and nothing else: where these are in bf16, its
    /// elements rounded, which a device keeps then instead.
    pub(crate) fn factor(self, x: &Tensor) -> Tensor {
        match self.device {
            None => x.clone(),
            Some(_) => cuda::factor(self, x),
        }
    }

    /// `[rows, cols]` zeros there.
    pub(crate) fn zeros(self, rows: usize, cols: usize) -> Tensor {
        match self.device {
            None => Tensor::zeros(rows, cols),
            Some(device) => Tensor::zeros_on(device, rows, cols),
        }
    }
}

/// One node of the tape: what an operation's backward pass needs.
pub(crate) trait Backward {
    /// `dy` is the gradient of the operation's output; adds the gradients of its inputs and parameters.
    fn backward(self: Box<Self>, context: Context<'_>, dy: Tensor, gradients: &mut Gradients);
}

/// One forward pass.
pub struct Graph<'a> {
    /// What runs the operations.
    pub context: Context<'a>,
    /// Which kernels the products take.
    pub regime: Regime,
    /// Whether this is a training pass, on a tape or, where nothing is kept, seen again.
    trains: bool,
    dropout: Option<Dropout>,
    dropouts: u64,
    /// Whether [`recompute`](crate::ops::recompute) forgets what is within its parts.
    forgets: bool,
    tape: Option<Vec<Option<Box<dyn Backward + 'a>>>>,
    watch: Watch,
    /// What a device does in a decoding step, as one.
    _step: Option<Step>,
}

/// Looking for the first value that is not finite.
enum Watch {
    Off,
    Looking,
    Found(String),
}

impl<'a> Graph<'a> {
    /// A pass that records nothing, its products in what the weights are [stored](Precision::Stored) in.
    pub fn inference(params: &'a Params, pool: &'a Pool, regime: Regime) -> Self {
        let context = Context::new(params, pool);
        let watch = Watch::Off;
        Graph {
            context,
            regime,
            trains: false,
            dropout: None,
            dropouts: 0,
            forgets: false,
            tape: None,
            watch,
            _step: context.device.filter(|_| regime == Regime::Steps).and_then(Step::begin),
        }
    }

    /// A pass that can be run backwards.
    pub fn training(params: &'a Params, pool: &'a Pool, dropout: Option<Dropout>) -> Self {
        let context = Context { precision: Precision::F32, ..Context::new(params, pool) };
        let dropout = dropout.filter(|d| d.rate > 0.0);
        let tape = Some(Vec::new());
        let watch = Watch::Off;
        Graph {
            context,
            regime: Regime::Bulk,
            trains: true,
            dropout,
            dropouts: 0,
            forgets: false,
            tape,
            watch,
            _step: None,
        }
    }

    /// The same pass with products of many rows in `precision`.
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.context.precision = precision;
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
        Graph {
            context: self.context,
            regime: self.regime,
            trains: self.trains,
            dropout: self.dropout,
            dropouts: self.dropouts,
            forgets: false,
            tape: records.then(Vec::new),
            watch: Watch::Off,
            _step: None,
        }
    }

    /// This pass goes on with the dropout masks that come after those of `aside`.
    pub(crate) fn resume_after(&mut self, aside: &Graph<'a>) {
        self.dropouts = aside.dropouts;
    }

    /// A pass that records nothing and looks for the first value that is not finite. `dropout` as in the training
    /// pass whose numbers are to be seen again.
    pub fn watching(params: &'a Params, pool: &'a Pool, dropout: Option<Dropout>) -> Self {
        Graph { tape: None, watch: Watch::Looking, ..Graph::training(params, pool, dropout) }
    }

    /// Looks at a value, if this pass does that; `name` says whose it is.
    pub fn watch(&mut self, value: &Tensor, name: impl FnOnce() -> String) {
        if matches!(self.watch, Watch::Looking)
            && let Some(at) = NonFinite::find(Gradient::Dense(value))
        {
            let NonFinite { row, col, value } = at;
            self.watch = Watch::Found(format!("{} ({value} in row {row}, column {col})", name()));
        }
    }

    /// Whether this pass looks for values that are not finite.
    pub(crate) fn watches(&self) -> bool {
        !matches!(self.watch, Watch::Off)
    }

    /// The first value that was not finite in a pass that looks for them.
    pub fn found(&self) -> Option<&str> {
        match &self.watch {
            Watch::Found(what) => Some(what),
            _ => None,
        }
    }

    /// Runs `f`, recording only where gradients are `wanted`: not where neither what `f` computes nor anything before
    /// has any use for them. Dropout goes on.
    pub fn recording<R>(&mut self, wanted: bool, f: impl FnOnce(&mut Self) -> R) -> R {
        if wanted {
            return f(self);
        }
        let tape = self.tape.take();
        let result = f(self);
        self.tape = tape;
        result
    }

    /// Whether this is a training pass, also where it records nothing: one that is to be computed again, or watched.
    /// Its results need not be the same alone and in company to the bit.
    pub fn trains(&self) -> bool {
        self.trains
    }

    /// Whether there is attention to features ([`attention_to_features`](crate::ops::attention_to_features) and its
    /// relatives): only on the processor.
    pub fn looks_at_features(&self) -> bool {
        self.context.device.is_none()
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
        let context = self.context;
        gradients.frozen = context.params.iter().map(|(id, _, _)| !context.params.trains(id)).collect();
        for (node, op) in self.tape.unwrap_or_default().into_iter().enumerate().rev() {
            if let Some(op) = op
                && let Some(dy) = gradients.take(node)
            {
                op.backward(context, dy, gradients);
            }
        }
    }
}

/// Gradients of a pass: of parameters (kept from step to step) and of activations on the way.
#[derive(Default)]
pub struct Gradients {
    nodes: Vec<Option<Tensor>>,
    params: Vec<ParamGradient>,
    frozen: Vec<bool>,
}

/// The gradient of one parameter: the memory, and what it holds in this step.
#[derive(Default)]
struct ParamGradient {
    dense: Option<Tensor>,
    rows: RowGradient,
    by_rows: bool,
    holds: Holds,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Holds {
    #[default]
    Nothing,
    Dense,
    Rows,
}

impl Gradients {
    /// Gradients of no parameter yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the values of the last step, keeping the memory.
    pub fn clear(&mut self) {
        for param in &mut self.params {
            param.holds = Holds::Nothing;
        }
        self.next_pass();
    }

    /// Forgets the activations' gradients: a further pass adds to the parameters' gradients.
    pub fn next_pass(&mut self) {
        self.nodes.clear();
    }

    /// Keeps the gradient of an embedding matrix by rows, as long as nothing but embedding contributes to it.
    pub fn keep_rows(&mut self, id: ParamId) {
        self.at(id).by_rows = true;
    }

    /// Whether a parameter's gradient is kept by rows.
    pub fn by_rows(&self, id: ParamId) -> bool {
        self.params.get(id.0).is_some_and(|gradient| gradient.by_rows)
    }

    fn at(&mut self, id: ParamId) -> &mut ParamGradient {
        grow(&mut self.params, id.0, ParamGradient::default);
        &mut self.params[id.0]
    }

    /// Whether the gradient of a parameter is wanted; operations else skip the work. Known during
    /// [`Graph::backward`], from [`Params::trains`].
    pub fn wants(&self, id: ParamId) -> bool {
        !self.frozen.get(id.0).copied().unwrap_or(false)
    }

    /// The gradient of a parameter; `None` when nothing contributed to it.
    pub fn get(&self, id: ParamId) -> Option<Gradient<'_>> {
        let param = self.params.get(id.0)?;
        match param.holds {
            Holds::Nothing => None,
            Holds::Dense => param.dense.as_ref().map(Gradient::Dense),
            Holds::Rows => Some(Gradient::Rows(&param.rows)),
        }
    }

    /// The gradient of a parameter that is not kept by rows: `[rows, cols]` as its weight.
    pub fn param(&self, id: ParamId) -> Option<&Tensor> {
        match self.get(id)? {
            Gradient::Dense(tensor) => Some(tensor),
            Gradient::Rows(_) => None,
        }
    }

    /// The gradient of a parameter to write, and whether it must be added to (else: overwritten).
    pub(crate) fn param_mut(&mut self, context: Context<'_>, id: ParamId) -> (&mut Tensor, bool) {
        let weight = context.params.get(id);
        let ParamGradient { dense, rows, holds, .. } = self.at(id);
        let tensor = dense.get_or_insert_with(|| context.unspecified(weight.rows(), weight.cols()));
        let held = std::mem::replace(holds, Holds::Dense);
        if held == Holds::Rows {
            on!(context => elementwise::fill_zeros(context, tensor));
            rows.write_to(tensor);
        }
        (tensor, held != Holds::Nothing)
    }

    /// Like [`Gradients::param_mut`] for contributions that only ever add: zeros at first.
    pub(crate) fn param_add(&mut self, context: Context<'_>, id: ParamId) -> &mut Tensor {
        let (tensor, add) = self.param_mut(context, id);
        if !add {
            on!(context => elementwise::fill_zeros(context, tensor));
        }
        tensor
    }

    /// The gradient of a parameter to add rows to, where it is kept so.
    pub(crate) fn rows_mut(&mut self, id: ParamId) -> Option<&mut RowGradient> {
        let param = self.at(id);
        if !param.by_rows || param.holds == Holds::Dense {
            return None;
        }
        if param.holds == Holds::Nothing {
            param.rows.clear();
            param.holds = Holds::Rows;
        }
        Some(&mut param.rows)
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
    pub(crate) fn add(&mut self, context: Context<'_>, node: Option<usize>, gradient: Tensor) {
        let Some(node) = node else { return };
        let sum = match self.take(node) {
            None => gradient,
            Some(sum) => {
                let mut sum = sum.into_unique();
                on!(context => elementwise::add_in_place(context, &mut sum, &gradient));
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
