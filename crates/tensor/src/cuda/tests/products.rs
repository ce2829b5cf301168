//! Products with what becomes of their elements: in one, by few rows, and in two.

use super::super::driver::{Launch, Matrix, Product, Task, Tasks};
use super::{close, device, normal, tensor};
use crate::cuda::driver::{DeviceError, Driver, Epilogue};
use crate::ops::{self, Activation, Linear};
use crate::{Adapter, DType, Gradients, Graph, Params, Pool, Precision, Regime, Rng, Tensor, Var, Weight};

const ACTIVATIONS: [Activation; 4] =
    [Activation::GeluTanh, Activation::GeluErf, Activation::Relu, Activation::Silu];

/// Where nothing is kept: with a bias and without, with an adapter and without, by few rows and many, from weights of every
/// type, as the processor does it.
#[test]
fn dense_layers_of_inference() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(4, 0);
    for (inner, dtype, precision) in [
        (16, DType::F32, Precision::F32),
        (3, DType::F32, Precision::F32),
        (16, DType::F32, Precision::Bf16),
        (16, DType::I8, Precision::Stored),
        (32, DType::I4, Precision::Stored),
    ] {
        // The processor's in f32, whatever the device's are stored in.
        let (mut host, mut params) = (Params::default(), Params::default());
        let mut add = |name: &str, shape: &[usize], dtype| {
            let weight = Weight::owned(shape, normal(&mut rng, shape.iter().product())).to_dtype(dtype);
            host.add(name, Weight::owned(shape, weight.to_tensor().data().to_vec()));
            params.add(name, weight)
        };
        let a = add("a", &[2, inner], DType::F32);
        let b = add("b", &[70, 2], DType::F32);
        let bias = add("bias", &[70], DType::F32);
        let [plain, adapted] = ["plain", "adapted"].map(|name| add(name, &[70, inner], dtype));
        [&mut host, &mut params]
            .into_iter()
            .for_each(|params| params.adapt(adapted, Adapter { a, b, scale: 0.5 }));
        let inputs = [1, 4, 5, 66].map(|rows| tensor(&mut rng, rows, inner));
        let run = |params: &Params| {
            let pool = Pool::new(1);
            let mut graph = Graph::inference(params, &pool, Regime::Bulk).with_precision(precision);
            let mut found = Vec::new();
            for x in &inputs {
                let x = match params.device() {
                    None => Var::constant(x.clone()),
                    Some(device) => Var::constant(x.to_device(device)),
                };
                for (weight, bias) in [plain, adapted].into_iter().flat_map(|w| [(w, None), (w, Some(bias))])
                {
                    for activation in ACTIVATIONS {
                        let y = ops::dense(&mut graph, &x, Linear { weight, bias }, activation).value;
                        found.push(y.to_host().data().to_vec());
                    }
                }
            }
            found
        };
        let host = run(&host);
        params.move_to(&device).unwrap();
        // Both round to bf16 and sum in f32.
        let bound = if precision == Precision::Bf16 { 1e-5 } else { 3e-6 };
        for (i, (got, want)) in run(&params).iter().zip(&host).enumerate() {
            close(&format!("{dtype:?} in {precision:?}, number {i}"), got, want, bound);
        }
    }
}

/// What multiplies, but has no epilogues, as libraries may; and how often it was asked to.
struct WithoutEpilogues<'d>(&'d dyn Driver, std::cell::Cell<usize>);

impl Tasks for WithoutEpilogues<'_> {
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.0.copy(to, from, bytes)
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError> {
        self.0.zero(at, bytes)
    }

    fn upload(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        Tasks::upload(self.0, to, from, bytes)
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        assert_ne!(launch.kernel, "matmul", "it multiplies by itself");
        self.0.launch(launch)
    }

    fn multiply(&self, product: &Product) -> Result<bool, DeviceError> {
        if product.epilogue != Epilogue::default() {
            return Ok(false);
        }
        self.1.set(self.1.get() + 1);
        product.plainly().perform(self.0).map(|()| true)
    }
}

/// In one and in two it is the same to the bit, in some columns of a wider matrix, and added to what is there.
#[test]
fn epilogues_apart() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(5, 0);
    let (rows, cols, inner, width, first) = (37, 70, 19, 80, 6);
    let [a, b] = [(rows, inner), (inner, cols)].map(|(m, n)| tensor(&mut rng, m, n).to_device(&device));
    let (bias, before) = (tensor(&mut rng, 1, cols).to_device(&device), tensor(&mut rng, rows, width));
    let matrix = |x: &Tensor, at: u64, cols| Matrix {
        at,
        dtype: DType::F32,
        rows: x.rows(),
        cols,
        row_stride: x.cols(),
        col_stride: 1,
        batch_stride: 0,
    };
    for activation in ACTIVATIONS.into_iter().map(Some).chain([None]) {
        for (biased, accumulate) in [(false, false), (true, false), (false, true), (true, true)] {
            let epilogue = Epilogue { bias: if biased { bias.address() } else { 0 }, activation };
            let run = |with: &dyn Tasks| {
                let mut c = before.to_device(&device);
                let at = c.address_mut() + 4 * first as u64;
                let product = Product {
                    c: matrix(&c, at, cols),
                    a: matrix(&a, a.address(), inner),
                    b: matrix(&b, b.address(), cols),
                    batches: 1,
                    accumulate,
                    tf32: false,
                    epilogue,
                };
                Task::Multiply(product).perform(with).unwrap();
                c.to_host().data().to_vec()
            };
            let apart = WithoutEpilogues(device.driver(), Default::default());
            let (one, two) = (run(device.driver()), run(&apart));
            assert!(one == two, "{epilogue:?}");
            assert_eq!(apart.1.get(), 1);
            for (row, (c, before)) in one.chunks(width).zip(before.data().chunks(width)).enumerate() {
                assert_eq!((&c[..first], &c[first + cols..]), (&before[..first], &before[first + cols..]));
                assert!(c[first..first + cols] != before[first..first + cols], "row {row}");
            }
        }
    }
}

/// In bf16 a linear layer keeps its input so: half the memory, and the bits of gradients of the whole input.
#[test]
fn what_is_kept_in_bf16() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(6, 0);
    let (rows, inner, outer) = (40, 64, 24);
    let mut params = Params::default();
    let [a, b] = ["a", "b"]
        .map(|name| params.add(name, Weight::owned(&[outer, inner], normal(&mut rng, outer * inner))));
    params.move_to(&device).unwrap();
    let (x, dy) = (tensor(&mut rng, rows, inner), tensor(&mut rng, rows, 2 * outer));
    let pool = Pool::new(1);
    let run = |precision| {
        let mut graph = Graph::training(&params, &pool, None).with_precision(precision);
        let before = device.used().0;
        let x = Var::constant(x.to_device(&device));
        let y = ops::linear(&mut graph, &x, &[a, b]);
        drop(x);
        let kept = device.used().0 - before - 4 * rows * 2 * outer;
        let mut gradients = Gradients::new();
        gradients.put(y.node().unwrap(), dy.to_device(&device));
        drop(y);
        graph.backward(&mut gradients);
        (kept, [a, b].map(|id| gradients.param(id).unwrap().to_host().data().to_vec()))
    };
    let (whole, exact) = run(Precision::F32);
    let (half, found) = run(Precision::Bf16);
    assert_eq!((whole, half), (4 * rows * inner, 2 * rows * inner));
    // What the processor makes of rounded factors.
    let host = |x: &Tensor| x.data().iter().map(|&x| half::bf16::from_f32(x).to_f64()).collect::<Vec<_>>();
    let (x, dy) = (host(&x), host(&dy));
    for (side, (found, exact)) in found.iter().zip(&exact).enumerate() {
        for (i, (found, exact)) in found.iter().zip(exact).enumerate() {
            let (out, column) = (side * outer + i / inner, i % inner);
            let want: f64 = (0..rows).map(|t| dy[t * 2 * outer + out] * x[t * inner + column]).sum();
            assert!((f64::from(*found) - want).abs() < 1e-4, "{found} {want}");
            assert!((found - exact).abs() < 0.2, "{found} {exact}");
        }
        assert!(found != exact);
    }
}

/// Elements in bf16 that were made for a product are none of what is written there later.
#[test]
fn rounded_elements_are_those_that_are_there() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(7, 0);
    let mut params = Params::default();
    let w = params.add("w", Weight::owned(&[24, 20], normal(&mut rng, 24 * 20)));
    params.move_to(&device).unwrap();
    let pool = Pool::new(1);
    let mut graph = Graph::inference(&params, &pool, Regime::Bulk).with_precision(Precision::Bf16);
    let x = Var::constant(tensor(&mut rng, 9, 20).to_device(&device));
    let once = ops::linear(&mut graph, &x, &[w]).value.to_host();
    let at = x.value.address();
    let x = ops::scale(&mut graph, x, 2.0);
    assert_eq!(x.value.address(), at, "in place");
    let twice = ops::linear(&mut graph, &x, &[w]).value.to_host();
    assert!(once.data().iter().zip(twice.data()).all(|(once, twice)| 2.0 * once == *twice));
}
