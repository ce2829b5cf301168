//! The optimizer: how gradients change the parameters.

use t5kit_tensor::ops::{self, AdamW, NonFinite};
use t5kit_tensor::{Gradients, Graph, ParamId, Params, Pool, Regime, Tensor};

use crate::TrainOptions;

/// AdamW with its moments, in f32.
pub struct Optimizer {
    /// First and second moments of every parameter: the weight's shape each.
    pub(crate) moments: Vec<(Tensor, Tensor)>,
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
    /// No step taken, moments zero.
    pub fn new(params: &Params) -> Self {
        let zeros = |(_, _, w): (ParamId, &str, &t5kit_tensor::Weight)| {
            (Tensor::zeros(w.rows(), w.cols()), Tensor::zeros(w.rows(), w.cols()))
        };
        Optimizer { moments: params.iter().map(zeros).collect(), steps: 0 }
    }

    /// Changes every parameter that has a gradient. A gradient that is not finite changes nothing.
    pub fn step(
        &mut self,
        params: &mut Params,
        gradients: &Gradients,
        pool: &Pool,
        options: &TrainOptions,
    ) -> Stepped {
        let ids: Vec<ParamId> = params.iter().map(|(id, _, _)| id).collect();
        let run = Graph::inference(params, pool, Regime::Bulk).run;
        let squares = ids.iter().filter_map(|&id| gradients.param(id)).map(|g| ops::sum_squares(run, g));
        let grad_norm = squares.sum::<f64>().sqrt();
        if !grad_norm.is_finite() {
            let first = ids.iter().find_map(|&id| {
                let at = NonFinite::find(gradients.param(id)?)?;
                Some(format!("the gradient of {} (row {}, column {})", params.name(id), at.row, at.col))
            });
            let non_finite = Some(first.unwrap_or_else(|| "the norm of the gradient".into()));
            return Stepped { grad_norm, non_finite };
        }
        self.steps += 1;
        let clip = if options.max_grad_norm > 0.0 { options.max_grad_norm / (grad_norm + 1e-6) } else { 1.0 };
        let (beta1, beta2, t) = (0.9f64, 0.999f64, self.steps as f64);
        let step = AdamW {
            lr: options.learning_rate as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            eps: 1e-8,
            weight_decay: options.weight_decay as f32,
            bias1: (1.0 - beta1.powf(t)) as f32,
            bias2: (1.0 - beta2.powf(t)) as f32,
            grad_scale: clip.min(1.0) as f32,
        };
        for (&id, (m, v)) in ids.iter().zip(&mut self.moments) {
            if let Some(gradient) = gradients.param(id) {
                let weight =
                    params.get_mut(id).as_mut().expect("a trained model's weights are f32 of their own");
                ops::adamw(pool, &step, weight, gradient, m, v);
            }
        }
        Stepped { grad_norm, non_finite: None }
    }
}
