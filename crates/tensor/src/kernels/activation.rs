//! Activations and the gated products of feed-forward blocks, forward and backward.

use super::Isa;
use super::math::{normal, sigmoid};
use super::vector::{Simd, dispatch};
use crate::ops::Activation;

/// `y = act(x)`
pub fn activate(isa: Isa, act: Activation, y: &mut [f32], x: &[f32]) {
    assert_eq!(y.len(), x.len(), "an activation's two sides");
    dispatch!(isa, activate_any(act: Activation, y: &mut [f32], x: &[f32]))
}

/// `dx = dy · act'(x)`; `dx` is overwritten.
pub fn activate_backward(isa: Isa, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    assert!(dx.len() == x.len() && dy.len() == x.len(), "an activation's gradients");
    dispatch!(isa, activate_backward_any(act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]))
}

/// `y = act(x + bias)` for every row; `x`, `y`: [rows, cols], `bias`: [cols].
pub fn activate_biased(isa: Isa, act: Activation, y: &mut [f32], x: &[f32], bias: &[f32]) {
    assert!(y.len() == x.len() && whole_rows(x, bias), "a biased activation's two sides");
    dispatch!(isa, activate_biased_any(act: Activation, y: &mut [f32], x: &[f32], bias: &[f32]))
}

/// Backward of [`activate_biased`]: `dx = dy · act'(x + bias)`, overwritten, and `dbias += Σ` of its rows.
pub fn activate_biased_backward(
    isa: Isa,
    act: Activation,
    dx: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    bias: &[f32],
) {
    assert!(dx.len() == x.len() && dy.len() == x.len() && whole_rows(x, bias), "an activation's gradients");
    assert_eq!(dbias.len(), bias.len(), "the bias's gradient");
    dispatch!(isa, activate_biased_backward_any(
        act: Activation, dx: &mut [f32], dbias: &mut [f32], dy: &[f32], x: &[f32], bias: &[f32]
    ))
}

fn whole_rows(x: &[f32], bias: &[f32]) -> bool {
    if bias.is_empty() { x.is_empty() } else { x.len().is_multiple_of(bias.len()) }
}

/// `x: [rows, 2·cols]`, `y: [rows, cols]`: `y = act(x[:, ..cols]) · x[:, cols..]`
pub fn gated(isa: Isa, act: Activation, y: &mut [f32], x: &[f32], cols: usize) {
    assert!(x.len() == 2 * y.len() && y.len().is_multiple_of(cols), "a gated activation's two sides");
    dispatch!(isa, gated_any(act: Activation, y: &mut [f32], x: &[f32], cols: usize))
}

/// Backward of [`gated`]: `dx: [rows, 2·cols]` is overwritten, `dy: [rows, cols]`, `x` as it was in the forward.
pub fn gated_backward(isa: Isa, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], cols: usize) {
    assert!(
        x.len() == 2 * dy.len() && dx.len() == x.len() && dy.len().is_multiple_of(cols),
        "a gated activation's gradients"
    );
    dispatch!(isa, gated_backward_any(act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], cols: usize))
}

/// One activation on vectors.
trait Act {
    /// act(x)
    fn value<S: Simd>(s: S, x: S::F) -> S::F;
    /// act(x) and act'(x)
    fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F);
}

struct GeluTanh;
struct GeluErf;
struct Relu;
struct Silu;

/// √(2/π)
const TANH_SCALE: f32 = 0.797_884_6;
/// The cubic term of the tanh approximation.
const TANH_CUBIC: f32 = 0.044_715;

impl GeluTanh {
    /// x·(1 + 0.044715·x²)·2·√(2/π): since (1 + tanh u)/2 = σ(2u), the activation is x·σ(2u), without cancellation.
    #[inline(always)]
    fn twice_u<S: Simd>(s: S, x: S::F) -> S::F {
        let cubic = s.mul_add(s.mul(x, x), s.splat(2.0 * TANH_SCALE * TANH_CUBIC), s.splat(2.0 * TANH_SCALE));
        s.mul(x, cubic)
    }
}

impl Act for GeluTanh {
    #[inline(always)]
    fn value<S: Simd>(s: S, x: S::F) -> S::F {
        s.mul(x, sigmoid(s, Self::twice_u(s, x)).0)
    }
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
        let (sigma, e) = sigmoid(s, Self::twice_u(s, x));
        // Beyond ±16 the slope's second term has long vanished; the clamp keeps x² finite. NaN comes through.
        let x2 = s.min(s.splat(256.0), s.mul(x, x));
        let inner = s.mul_add(x2, s.splat(6.0 * TANH_SCALE * TANH_CUBIC), s.splat(2.0 * TANH_SCALE));
        let bell = s.mul(s.mul(e, sigma), sigma);
        (s.mul(x, sigma), s.mul_add(s.mul(x, bell), inner, sigma))
    }
}

impl Act for GeluErf {
    #[inline(always)]
    fn value<S: Simd>(s: S, x: S::F) -> S::F {
        s.mul(x, normal(s, x).0)
    }
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
        let (cdf, pdf) = normal(s, x);
        (s.mul(x, cdf), s.mul_add(x, pdf, cdf))
    }
}

impl Act for Relu {
    #[inline(always)]
    fn value<S: Simd>(s: S, x: S::F) -> S::F {
        // The second operand is the one that a NaN is taken from.
        s.max(s.splat(0.0), x)
    }
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
        (Self::value(s, x), s.select_less(s.splat(0.0), x, s.splat(1.0), s.splat(0.0)))
    }
}

impl Act for Silu {
    #[inline(always)]
    fn value<S: Simd>(s: S, x: S::F) -> S::F {
        s.mul(x, sigmoid(s, x).0)
    }
    #[inline(always)]
    fn value_and_slope<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
        let (sigma, e) = sigmoid(s, x);
        (s.mul(x, sigma), s.mul_add(x, s.mul(s.mul(e, sigma), sigma), sigma))
    }
}

/// Runs `$body` with `$kind` as the type of the activation `$act`.
macro_rules! with_act {
    ($act:expr, $kind:ident => $body:expr) => {
        match $act {
            Activation::GeluTanh => {
                type $kind = GeluTanh;
                $body
            }
            Activation::GeluErf => {
                type $kind = GeluErf;
                $body
            }
            Activation::Relu => {
                type $kind = Relu;
                $body
            }
            Activation::Silu => {
                type $kind = Silu;
                $body
            }
        }
    };
}

#[inline(always)]
fn activate_any<S: Simd>(s: S, act: Activation, y: &mut [f32], x: &[f32]) {
    with_act!(act, A => {
        let (mut ys, mut xs) = (y.chunks_exact_mut(S::LANES), x.chunks_exact(S::LANES));
        for (y, x) in (&mut ys).zip(&mut xs) {
            s.put(y, A::value(s, s.get(x)));
        }
        s.put_part(ys.into_remainder(), A::value(s, s.get_part(xs.remainder())));
    })
}

#[inline(always)]
fn activate_backward_any<S: Simd>(s: S, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    with_act!(act, A => {
        let (mut dxs, mut dys, mut xs) =
            (dx.chunks_exact_mut(S::LANES), dy.chunks_exact(S::LANES), x.chunks_exact(S::LANES));
        for ((dx, dy), x) in (&mut dxs).zip(&mut dys).zip(&mut xs) {
            s.put(dx, s.mul(s.get(dy), A::value_and_slope(s, s.get(x)).1));
        }
        let slope = A::value_and_slope(s, s.get_part(xs.remainder())).1;
        s.put_part(dxs.into_remainder(), s.mul(s.get_part(dys.remainder()), slope));
    })
}

#[inline(always)]
fn activate_biased_any<S: Simd>(s: S, act: Activation, y: &mut [f32], x: &[f32], bias: &[f32]) {
    let cols = bias.len().max(1);
    with_act!(act, A => {
        for (y, x) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)) {
            for at in (0..cols).step_by(S::LANES) {
                let x = s.add(s.next(&x[at..]), s.next(&bias[at..]));
                s.put_next(&mut y[at..], A::value(s, x));
            }
        }
    })
}

#[inline(always)]
fn activate_biased_backward_any<S: Simd>(
    s: S,
    act: Activation,
    dx: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    bias: &[f32],
) {
    let cols = bias.len().max(1);
    with_act!(act, A => {
        for ((dx, dy), x) in dx.chunks_exact_mut(cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(cols)) {
            for at in (0..cols).step_by(S::LANES) {
                let x = s.add(s.next(&x[at..]), s.next(&bias[at..]));
                let d = s.mul(s.next(&dy[at..]), A::value_and_slope(s, x).1);
                s.put_next(&mut dx[at..], d);
                let sum = s.add(s.next(&dbias[at..]), d);
                s.put_next(&mut dbias[at..], sum);
            }
        }
    })
}

#[inline(always)]
fn gated_any<S: Simd>(s: S, act: Activation, y: &mut [f32], x: &[f32], cols: usize) {
    if cols == 0 {
        return;
    }
    with_act!(act, A => {
        for (y, x) in y.chunks_exact_mut(cols).zip(x.chunks_exact(2 * cols)) {
            let (gate, linear) = x.split_at(cols);
            let (mut ys, mut gates, mut linears) =
                (y.chunks_exact_mut(S::LANES), gate.chunks_exact(S::LANES), linear.chunks_exact(S::LANES));
            for ((y, gate), linear) in (&mut ys).zip(&mut gates).zip(&mut linears) {
                s.put(y, s.mul(A::value(s, s.get(gate)), s.get(linear)));
            }
            let value = A::value(s, s.get_part(gates.remainder()));
            s.put_part(ys.into_remainder(), s.mul(value, s.get_part(linears.remainder())));
        }
    })
}

#[inline(always)]
fn gated_backward_any<S: Simd>(s: S, act: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], cols: usize) {
    if cols == 0 {
        return;
    }
    with_act!(act, A => {
        for ((dx, dy), x) in dx.chunks_exact_mut(2 * cols).zip(dy.chunks_exact(cols)).zip(x.chunks_exact(2 * cols)) {
            let (dgate, dlinear) = dx.split_at_mut(cols);
            let (gate, linear) = x.split_at(cols);
            let whole = cols / S::LANES * S::LANES;
            for at in (0..whole).step_by(S::LANES) {
                let (value, slope) = A::value_and_slope(s, s.get(&gate[at..]));
                let dy = s.get(&dy[at..]);
                s.put(&mut dgate[at..], s.mul(s.mul(dy, s.get(&linear[at..])), slope));
                s.put(&mut dlinear[at..], s.mul(dy, value));
            }
            let (value, slope) = A::value_and_slope(s, s.get_part(&gate[whole..]));
            let dy = s.get_part(&dy[whole..]);
            s.put_part(&mut dgate[whole..], s.mul(s.mul(dy, s.get_part(&linear[whole..])), slope));
            s.put_part(&mut dlinear[whole..], s.mul(dy, value));
        }
    })
}
