//! The AdamW step (Loshchilov and Hutter 2019), in torch.optim.AdamW's arithmetic.

use crate::kernels::{self, AdamW};
use crate::ops::cut;
use crate::{Pool, Tensor};

/// Updates a weight and its moments in place, split over the threads. All tensors have the weight's shape.
pub fn adamw(
    pool: &Pool,
    step: &AdamW,
    weight: &mut [f32],
    gradient: &Tensor,
    m: &mut Tensor,
    v: &mut Tensor,
) {
    let isa = kernels::isa();
    let ranges = pool.ranges(weight.len(), 4096);
    let moments = cut(m.data_mut(), &ranges, 1).into_iter().zip(cut(v.data_mut(), &ranges, 1));
    let parts = cut(weight, &ranges, 1).into_iter().zip(moments);
    pool.run_parts(ranges.iter().zip(parts).collect(), |(range, (w, (m, v)))| {
        kernels::adamw(isa, step, w, &gradient.data()[range.clone()], m, v);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;

    #[test]
    fn agrees_with_the_update_written_out() {
        let mut rng = Rng::new(2, 0);
        let n = 20_001;
        let mut normal = || -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
        let (mut w, g) = (normal(), Tensor::from_vec(1, n, normal()));
        let (mut m, mut v) = (Tensor::zeros(1, n), Tensor::zeros(1, n));
        let (mut ow, mut om, mut ov): (Vec<f64>, _, _) =
            (w.iter().map(|&x| f64::from(x)).collect(), vec![0.0f64; n], vec![0.0f64; n]);
        for t in 1..=3 {
            let (bias1, bias2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.999f64.powi(t));
            let step = AdamW {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.1,
                bias1: bias1 as f32,
                bias2: bias2 as f32,
                grad_scale: 0.5,
            };
            adamw(&Pool::new(2), &step, &mut w, &g, &mut m, &mut v);
            for i in 0..n {
                let g = 0.5 * f64::from(g.data()[i]);
                ow[i] *= 1.0 - 1e-2 * 0.1;
                om[i] = 0.9 * om[i] + 0.1 * g;
                ov[i] = 0.999 * ov[i] + 0.001 * g * g;
                ow[i] -= 1e-2 / bias1 * om[i] / ((ov[i] / bias2).sqrt() + 1e-8);
            }
        }
        for (a, b) in w.iter().zip(&ow) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
