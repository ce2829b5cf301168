//! The optimizers: how gradients change the parameters. Moments are f32; updates are in place and do not depend on
//! the threads.

use serde::{Deserialize, Serialize};
use t5kit_tensor::ops::{self, Adafactor, AdamW, Learning, Lion, NonFinite};
use t5kit_tensor::{Context, Gradients, ParamId, Params, Pool, Tensor, Weight};

use crate::TrainOptions;

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (`torch.optim.AdamW`): betas 0.9 and 0.999, eps 1e-8.
    Adamw,
    /// `torch.optim.Adam`, the same numbers; weight decay is added to the gradient.
    Adam,
    /// `transformers.optimization.Adafactor` with `relative_step=False`: factored second moments, no first ones,
    /// clip threshold 1.0, decay rate −0.8, eps 1e-30 and 1e-3.
    Adafactor,
    /// Lion (Chen et al. 2023): betas 0.9 and 0.99.
    Lion,
}

impl OptimizerKind {
    /// All of them.
    pub const ALL: [OptimizerKind; 4] =
        [OptimizerKind::Adamw, OptimizerKind::Adam, OptimizerKind::Adafactor, OptimizerKind::Lion];

    /// The name in flags.
    pub fn name(self) -> &'static str {
        match self {
            OptimizerKind::Adamw => "adamw",
            OptimizerKind::Adam => "adam",
            OptimizerKind::Adafactor => "adafactor",
            OptimizerKind::Lion => "lion",
        }
    }

    /// What it remembers of a parameter of that shape: names and shapes of tensors.
    pub(crate) fn slots(self, shape: &[usize]) -> Vec<(&'static str, Vec<usize>)> {
        match (self, shape) {
            (OptimizerKind::Adamw | OptimizerKind::Adam, _) => {
                vec![("m", shape.to_vec()), ("v", shape.to_vec())]
            }
            (OptimizerKind::Lion, _) => vec![("m", shape.to_vec())],
            (OptimizerKind::Adafactor, &[rows, cols]) => vec![("row", vec![rows]), ("col", vec![cols])],
            (OptimizerKind::Adafactor, _) => vec![("v", shape.to_vec())],
        }
    }

    /// Numbers that it remembers of a parameter of that shape.
    pub(crate) fn state_elements(self, shape: &[usize]) -> usize {
        self.slots(shape).iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }
}

/// An optimizer with what it remembers, in f32.
#[derive(Clone)]
pub struct Optimizer {
    pub(crate) kind: OptimizerKind,
    /// By parameter, the tensors of [`OptimizerKind::slots`]; none for a parameter that is not trained.
    pub(crate) state: Vec<Vec<Tensor>>,
    /// Steps taken.
    pub(crate) steps: u64,
}

/// What a step did.
#[derive(Clone, Debug)]
pub struct Stepped {
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    /// Which gradient is not finite; the step was then not taken.
    pub non_finite: Option<String>,
}

impl Optimizer {
    /// No step taken, moments zero. Those of parameters whose gradients are kept by rows take memory row by row.
    pub fn new(kind: OptimizerKind, params: &Params, gradients: &Gradients) -> Self {
        let zeros = |(id, _, weight): (ParamId, &str, &Weight)| -> Vec<Tensor> {
            let slots = if params.trains(id) { kind.slots(weight.shape()) } else { Vec::new() };
            slots.iter().map(|(_, shape)| zeros(shape, gradients.by_rows(id))).collect()
        };
        Optimizer { kind, state: params.iter().map(zeros).collect(), steps: 0 }
    }

    /// Changes every parameter that has a gradient, at a learning rate `lr`. A gradient that is not finite changes
    /// nothing.
    pub fn step(
        &mut self,
        params: &mut Params,
        gradients: &Gradients,
        pool: &Pool,
        options: &TrainOptions,
        lr: f64,
    ) -> Stepped {
        let grad_norm = ops::sum_squares(Context::new(params, pool), gradients).sqrt();
        if !grad_norm.is_finite() {
            // The way back meets the last parameters first.
            let first = params.iter().rev().find_map(|(id, name, _)| {
                let NonFinite { row, col, value } = NonFinite::find(gradients.get(id)?)?;
                Some(format!("the gradient of {name} ({value} in row {row}, column {col})"))
            });
            let non_finite = Some(first.unwrap_or_else(|| "the norm of the gradient".into()));
            return Stepped { grad_norm, non_finite };
        }
        self.steps += 1;
        let clip = if options.max_grad_norm > 0.0 { options.max_grad_norm / (grad_norm + 1e-6) } else { 1.0 };
        let update = Update { kind: self.kind, options, lr, t: self.steps as f64, grad_scale: clip.min(1.0) };
        let lazy = options.lazy_embeddings;
        update.apply(pool, Learning { params, gradients, state: &mut self.state, lazy });
        Stepped { grad_norm, non_finite: None }
    }
}

/// A tensor of zeros of a weight's shape.
fn zeros(shape: &[usize], by_rows: bool) -> Tensor {
    match shape {
        [rows, cols] if by_rows => Tensor::untouched(*rows, *cols),
        [rows, cols] => Tensor::zeros(*rows, *cols),
        _ => Tensor::zeros(1, shape.iter().product()),
    }
}

/// One step's numbers.
struct Update<'a> {
    kind: OptimizerKind,
    options: &'a TrainOptions,
    lr: f64,
    /// Steps taken, with this one.
    t: f64,
    grad_scale: f64,
}

impl Update<'_> {
    fn apply(&self, pool: &Pool, of: Learning<'_>) {
        let &Update { kind, options, lr, t, grad_scale } = self;
        let (lr, grad_scale) = (lr as f32, grad_scale as f32);
        let weight_decay = options.weight_decay as f32;
        match kind {
            OptimizerKind::Adamw | OptimizerKind::Adam => {
                let (beta1, beta2) = (0.9f64, 0.999f64);
                let decoupled = kind == OptimizerKind::Adamw;
                let step = AdamW {
                    lr,
                    beta1: beta1 as f32,
                    beta2: beta2 as f32,
                    eps: 1e-8,
                    weight_decay: if decoupled { weight_decay } else { 0.0 },
                    l2: if decoupled { 0.0 } else { weight_decay },
                    bias1: (1.0 - beta1.powf(t)) as f32,
                    bias2: (1.0 - beta2.powf(t)) as f32,
                    grad_scale,
                };
                ops::adamw(pool, &step, of);
            }
            OptimizerKind::Lion => {
                let step = Lion { lr, beta1: 0.9, beta2: 0.99, weight_decay, grad_scale };
                ops::lion(pool, &step, of);
            }
            OptimizerKind::Adafactor => {
                let step = Adafactor {
                    lr,
                    beta2: (1.0 - t.powf(-0.8)) as f32,
                    eps1: 1e-30,
                    eps2: 1e-3,
                    clip_threshold: 1.0,
                    scale_parameter: options.scale_parameter,
                    weight_decay,
                    grad_scale,
                };
                ops::adafactor(pool, &step, of);
            }
        }
    }
}
