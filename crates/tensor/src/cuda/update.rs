//! Optimizer steps of all parameters in one launch, and the norm of their gradients.

use std::ops::Range;

use super::device::THREADS;
use super::matrix::device;
use super::{Argument, Device, Memory};
use crate::ops::{AdamW, Learned, Lion};
use crate::{Context, Gradient, Gradients, Tensor};

/// Elements of a piece, which is a block's: what a card's processors share out among themselves.
pub(super) const PIECE: usize = 16 << 10;

/// What an optimizer remembers is beside the weight from its first step on.
pub(super) fn beside(device: &Device, tensors: &mut [Tensor]) {
    for tensor in tensors {
        if tensor.core().is_none() {
            *tensor = tensor.to_device(device);
        }
    }
}

/// Where element `at` of the f32 numbers from `from` on is; null is null everywhere.
pub(super) fn element(from: u64, at: usize) -> u64 {
    if from == 0 { 0 } else { from + (at * size_of::<f32>()) as u64 }
}

/// The pieces that the blocks of a step have, each the kernels' `Piece`. Those of gradients that are not kept by rows stay
/// what they are from step to step.
#[derive(Default)]
struct Pieces {
    dense: Vec<u64>,
    by_rows: Vec<u64>,
}

/// Numbers of a `Piece`.
const WORDS: usize = 5;

impl Pieces {
    /// Those of a parameter: its weights, and where its one or two moments are.
    fn add(&mut self, part: &mut Learned<'_>, lazy: bool) {
        let count = part.weight.len();
        assert!(part.state.iter().all(|t| t.rows() * t.cols() == count), "a parameter and its moments");
        let mut moments = part.state.iter_mut().map(Tensor::address_mut);
        let of = [part.weight.placed_mut(), moments.next().unwrap_or(0), moments.next().unwrap_or(0)];
        let cut = |list: &mut Vec<u64>, g: u64, range: Range<usize>| {
            for first in range.clone().step_by(PIECE) {
                let [w, m, v] = of.map(|from| element(from, first));
                let rest = PIECE.min(range.end - first) as u64;
                list.extend([w, element(g, first - range.start), m, v, rest]);
            }
        };
        match part.gradient {
            Gradient::Dense(g) => {
                assert_eq!(g.rows() * g.cols(), count, "a parameter and its gradient");
                cut(&mut self.dense, g.address(), 0..count);
            }
            Gradient::Rows(g) => {
                let (cols, values) = (g.cols(), g.address());
                let mut at = 0;
                for (row, place) in g.sorted() {
                    let row = row * cols..(row + 1) * cols;
                    if !lazy {
                        cut(&mut self.by_rows, 0, at..row.start);
                    }
                    at = row.end;
                    cut(&mut self.by_rows, element(values, place * cols), row);
                }
                if !lazy {
                    cut(&mut self.by_rows, 0, at..count);
                }
            }
        }
    }

    /// Starts a kernel on them with further arguments.
    fn launch(self, device: &Device, kernel: &'static str, numbers: &[Argument]) {
        let run = |blocks: usize, pieces: &Memory| {
            let arguments = [&[Argument::from(pieces)], numbers].concat();
            device.launch(kernel, [blocks / WORDS, 1, 1], THREADS, 0, &arguments);
        };
        let Pieces { dense, by_rows } = self;
        run(dense.len(), &device.kept(kernel, dense));
        if !by_rows.is_empty() {
            run(by_rows.len(), &device.upload(&by_rows));
        }
    }
}

fn pieces(device: &Device, parts: Vec<Learned<'_>>, lazy: bool) -> Pieces {
    let mut pieces = Pieces::default();
    for mut part in parts {
        beside(device, part.state);
        pieces.add(&mut part, lazy);
    }
    pieces
}

/// One AdamW step.
pub(crate) fn adamw(device: &Device, step: &AdamW, parts: Vec<Learned<'_>>, lazy: bool) {
    let AdamW { lr, beta1, beta2, eps, weight_decay, l2, bias1, bias2, grad_scale } = *step;
    let numbers = arguments![lr, beta1, beta2, eps, weight_decay, l2, bias1, bias2, grad_scale];
    pieces(device, parts, lazy).launch(device, "adamw", &numbers);
}

/// One Lion step.
pub(crate) fn lion(device: &Device, step: &Lion, parts: Vec<Learned<'_>>, lazy: bool) {
    let Lion { lr, beta1, beta2, weight_decay, grad_scale } = *step;
    let numbers = arguments![lr, beta1, beta2, weight_decay, grad_scale];
    pieces(device, parts, lazy).launch(device, "lion", &numbers);
}

/// f64 numbers on a device.
pub(super) fn doubles(device: &Device, count: usize) -> Memory {
    device.allocate(count * size_of::<f64>())
}

/// The pieces of some f32 numbers as the kernels' `Run`.
pub(super) fn runs(list: &mut Vec<u64>, at: u64, count: usize) {
    for first in (0..count).step_by(PIECE) {
        list.extend([element(at, first), PIECE.min(count - first) as u64]);
    }
}

/// The sum of squares of each run of a list that is kept by a name, and how many there are.
pub(super) fn squares_of(device: &Device, name: &'static str, list: Vec<u64>) -> (Memory, usize) {
    let count = list.len() / 2;
    let (parts, list) = (doubles(device, count), device.kept(name, list));
    device.launch("sum_squares", [count, 1, 1], THREADS, 0, &arguments![&parts, &*list]);
    (parts, count)
}

/// Sum of all squares of all gradients in f64.
pub(crate) fn sum_squares(context: Context<'_>, gradients: &Gradients) -> f64 {
    let device = device(context);
    let mut list = Vec::new();
    for (id, _, _) in context.params.iter() {
        match gradients.get(id) {
            Some(Gradient::Dense(g)) => runs(&mut list, g.address(), g.rows() * g.cols()),
            Some(Gradient::Rows(g)) => runs(&mut list, g.address(), g.rows() * g.cols()),
            None => {}
        }
    }
    let (parts, count) = squares_of(device, "gradients", list);
    let total = doubles(device, 1);
    device.launch("sum_doubles", [1, 1, 1], THREADS, 0, &arguments![&total, &parts, count as u64]);
    let mut sum = [0u8; 8];
    total.read(&mut sum);
    f64::from_ne_bytes(sum)
}
