//! What training, scoring and generation need of a model, whatever its architecture.

use t5kit_tensor::ops::Linear;
use t5kit_tensor::{
    DType, Device, DeviceError, Graph, Packed, ParamId, Params, Precision, Tensor, Var, WIDEST_HEAD,
};

use crate::memory::Widths;
use crate::{Architecture, Batch, Cache, Config, Model};

/// A sequence-to-sequence model: hidden states of whole batches, and decoding step by step with a cache that
/// belongs to the caller, so that one loaded model serves many streams on many threads.
///
/// The hidden states are those that the softmax sees: the logits of a token are `hidden · softmaxᵀ`, and the softmax's
/// bias where it has one. In a pass of the same kind ([`Regime`](t5kit_tensor::Regime)) what a sequence gets does not
/// depend on the others in the batch.
pub trait Seq2Seq: Send + Sync {
    /// The configuration.
    fn config(&self) -> Config;

    /// The parameters, under the names of Hugging Face's checkpoints.
    fn params(&self) -> &Params;

    /// The parameters, to write.
    fn params_mut(&mut self) -> &mut Params;

    /// What makes logits of hidden states.
    fn softmax(&self) -> Softmax;

    /// Embeddings that nothing but looking up ids uses: their gradients are those of the rows that a step meets.
    fn looked_up(&self) -> Vec<ParamId>;

    /// The ids that the configuration gives a meaning to.
    fn special_ids(&self) -> SpecialIds;

    /// What memory is predicted from.
    fn widths(&self) -> Widths;

    /// The hidden states of a batch whose targets are known: [target tokens, d_model]. Row `i` says target token `i`.
    fn hidden<'a>(&'a self, graph: &mut Graph<'a>, batch: &Batch) -> Var;

    /// What keys and values are kept in while decoding, in passes of such a precision.
    fn kept(&self, precision: Precision) -> DType;

    /// A cache of nothing yet, of this model's widths.
    fn cache(&self) -> Cache;

    /// Encodes sources in a pass over whole sequences and gives each a slot of the cache, behind those that are there.
    /// `budgets[i]` is how many tokens source `i` will be fed at most, all its hypotheses together: room for them is
    /// reserved, and what is cheaper to keep of the source follows from it and from nothing else.
    ///
    /// Panics on ids without a row; [`Batch`] and [`Packed::check_ids`] check.
    fn start<'a>(&'a self, graph: &mut Graph<'a>, cache: &mut Cache, sources: &Packed, budgets: &[usize]);

    /// One decoding step: feeds sequence `i` of `fed` to slot `i`; hidden states of what comes next: [tokens fed, d_model].
    /// A token sees those that its slot was fed before it, in this step too, and gets the same, to the bit, however they
    /// are shared out among steps: so several that are only supposed to come next can be tried at once
    /// ([`Cache::take_back`] forgets those that do not).
    fn step<'a>(&'a self, graph: &mut Graph<'a>, fed: &Packed, cache: &mut Cache) -> Tensor;

    /// Gives embedding and softmax at least `rows` rows: row `means[i].0` begins as the mean of the rows `means[i].1`.
    fn grow(&mut self, rows: usize, means: &[(usize, Vec<u32>)]);

    /// Says what a device has no kernels for, where that is a part of this model.
    ///
    /// # Errors
    /// That.
    fn check_device(&self) -> Result<(), DeviceError>;

    /// Moves the weights to a device, which then runs every operation.
    ///
    /// # Errors
    /// What a device has no kernels for, or a storage type that it does not take; nothing has been moved then.
    fn move_to(&mut self, device: &Device) -> Result<(), DeviceError> {
        self.check_device()?;
        self.params_mut().move_to(device)
    }

    /// The same model with copies of all weights on a device.
    ///
    /// # Errors
    /// As [`Seq2Seq::move_to`].
    fn copied_to(&self, device: &Device) -> Result<Model, DeviceError> {
        self.check_device()?;
        let params = self.params().copied_to(device)?;
        Ok(self.config().build(params).expect("the parameters of a model that there is"))
    }

    /// Rows of embedding and softmax: every id is below.
    fn rows(&self) -> usize {
        self.params().get(self.softmax().weight).rows()
    }
}

/// Shows a value to a pass that looks for the first one that is not finite; `weight` is the layer's whose it is.
pub(crate) fn saw(graph: &mut Graph<'_>, x: &Var, what: &str, weight: ParamId) {
    let params = graph.context.params;
    graph.watch(&x.value, || format!("{what} {}", params.name(weight)));
}

/// An error where a device has no kernels for attention with heads of that width.
pub(crate) fn check_heads(d_kv: usize) -> Result<(), DeviceError> {
    match d_kv {
        0..=WIDEST_HEAD => Ok(()),
        _ => Err(DeviceError::Lacks(format!("attention heads of {d_kv} columns, only up to {WIDEST_HEAD}"))),
    }
}

/// What makes logits of hidden states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The matrix: [rows, d_model]; the embedding itself where they are tied.
    pub weight: ParamId,
    /// A number a row, where the model has them (BERT): [rows].
    pub bias: Option<ParamId>,
}

impl From<Softmax> for Linear {
    fn from(Softmax { weight, bias }: Softmax) -> Self {
        Linear { weight, bias }
    }
}

/// The ids with a meaning of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    /// What a decoder is fed first.
    pub start: u32,
    /// Those that end a target.
    pub end: Vec<u32>,
    /// What fills up where there is nothing.
    pub pad: u32,
}

impl Default for SpecialIds {
    /// T5's.
    fn default() -> Self {
        SpecialIds { start: 0, end: vec![1], pad: 0 }
    }
}

impl SpecialIds {
    /// Whether an id ends a target.
    pub fn ends(&self, id: u32) -> bool {
        self.end.contains(&id)
    }
}
