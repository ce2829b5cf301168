//! The AdamW step (Loshchilov and Hutter 2019), in torch.optim.AdamW's arithmetic, and Adam's (Kingma and Ba 2015).

use super::Learning;
use crate::{Pool, cpu, cuda};

/// One AdamW step's numbers, as `torch.optim.AdamW` names them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the denominator.
    pub eps: f32,
    /// Decoupled weight decay: every step first multiplies the weights by 1 − lr·weight_decay.
    pub weight_decay: f32,
    /// L2 penalty, added to the gradient as `torch.optim.Adam`'s weight decay is; 0 in AdamW.
    pub l2: f32,
    /// 1 − beta1^t, t counting steps from 1; computed from this very `beta1`, since 1 − beta is sensitive to the
    /// rounding of beta to f32.
    pub bias1: f32,
    /// 1 − beta2^t
    pub bias2: f32,
    /// Multiplies every gradient (clipping).
    pub grad_scale: f32,
}

/// Updates weights and their moments, m and v (each of the weight's shape), in place, split over the threads.
pub fn adamw(pool: &Pool, step: &AdamW, of: Learning<'_>) {
    let lazy = of.lazy;
    let (device, parts) = of.parts();
    match device {
        Some(device) => cuda::update::adamw(&device, step, parts, lazy),
        None => parts.into_iter().for_each(|part| {
            let [m, v] = part.state else { panic!("two moments") };
            cpu::update::adamw(pool, step, part.weight, part.gradient, [m, v], lazy);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Gradient, Rng, Tensor, Weight};

    #[test]
    fn agrees_with_the_update_written_out() {
        let mut rng = Rng::new(2, 0);
        let n = 20_001;
        let mut normal = || -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let (mut w, g) = (Weight::owned(&[n], normal()), Tensor::from_vec(1, n, normal()));
        let (mut m, mut v) = (Tensor::zeros(1, n), Tensor::zeros(1, n));
        let (mut ow, mut om, mut ov): (Vec<f64>, _, _) =
            (w.to_tensor().data().iter().map(|&x| f64::from(x)).collect(), vec![0.0f64; n], vec![0.0f64; n]);
        for t in 1..=3 {
            let (bias1, bias2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
            let step = AdamW {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.1,
                l2: 0.0,
                bias1: bias1 as f32,
                bias2: bias2 as f32,
                grad_scale: 0.5,
            };
            let gradient = Gradient::Dense(&g);
            cpu::update::adamw(&Pool::new(2), &step, &mut w, gradient, [&mut m, &mut v], false);
            for i in 0..n {
                let g = 0.5 * f64::from(g.data()[i]);
                ow[i] *= 1.0 - 1e-2 * 0.1;
                om[i] = 0.9 * om[i] + 0.1 * g;
                ov[i] = 0.999 * ov[i] + 0.001 * g * g;
                ow[i] -= 1e-2 / bias1 * om[i] / ((ov[i] / bias2).sqrt() + 1e-8);
            }
        }
        for (a, b) in w.to_tensor().data().iter().zip(&ow) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
