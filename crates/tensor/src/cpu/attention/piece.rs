//! One head of one sequence: scores, softmax, weighted sum, and the way back.

use std::cell::RefCell;

use crate::cpu::bias_table::BiasTable;
use crate::cpu::matmul::matmul_here;
use crate::ops::{Mask, RelativePositions};
use crate::{Context, Dropout, MatMut, MatRef, kernels};

/// Query rows whose scores are held at a time.
const BLOCK: usize = 128;

/// One head of one sequence.
pub(super) struct Piece<'a> {
    pub(super) q: MatRef<'a>,
    pub(super) k: MatRef<'a>,
    pub(super) v: MatRef<'a>,
    pub(super) position: usize,
    pub(super) mask: Mask,
    pub(super) scale: f32,
    pub(super) bias: Option<(&'a BiasTable, usize)>,
    pub(super) relative: Option<&'a RelativePositions>,
    pub(super) dropout: Option<Dropout>,
}

/// What the way back of a piece reads beside its inputs.
pub(super) struct Kept<'a> {
    /// The output, [queries, d_kv], and its derivative.
    pub(super) out: MatRef<'a>,
    pub(super) dout: MatRef<'a>,
    /// Logarithms of the softmax's denominators: [queries, 1].
    pub(super) lse: MatRef<'a>,
}

/// Where the derivatives of a piece go.
pub(super) struct Derivatives<'a> {
    pub(super) dq: MatMut<'a>,
    pub(super) keys: KeyDerivatives<'a>,
    pub(super) dbias: &'a mut [f32],
}

/// The derivatives by keys and values.
pub(super) enum KeyDerivatives<'a> {
    /// Nobody asks for them.
    Unwanted,
    /// To be overwritten.
    Apart { dk: MatMut<'a>, dv: MatMut<'a> },
    /// Those of rows that are both, to be added to or else overwritten.
    Shared { dx: MatMut<'a>, add: bool },
}

impl KeyDerivatives<'_> {
    fn zero_from(&mut self, row: usize) {
        let zero = |m: &mut MatMut<'_>| (row..m.rows).for_each(|row| m.row_mut(row).fill(0.0));
        match self {
            KeyDerivatives::Apart { dk, dv } => [dk, dv].into_iter().for_each(zero),
            KeyDerivatives::Shared { dx, add: false } => zero(dx),
            KeyDerivatives::Shared { .. } | KeyDerivatives::Unwanted => {}
        }
    }

    /// The first so many rows, and whether a block adds to them; `first`: whether it is the first block.
    fn values(&mut self, rows: usize, first: bool) -> Option<(MatMut<'_>, bool)> {
        match self {
            KeyDerivatives::Unwanted => None,
            KeyDerivatives::Apart { dv, .. } => Some((dv.reborrow().split_rows(rows).0, !first)),
            KeyDerivatives::Shared { dx, add } => Some((dx.reborrow().split_rows(rows).0, *add || !first)),
        }
    }

    /// The same of the keys, after the values.
    fn keys(&mut self, rows: usize, first: bool) -> Option<(MatMut<'_>, bool)> {
        match self {
            KeyDerivatives::Unwanted => None,
            KeyDerivatives::Apart { dk, .. } => Some((dk.reborrow().split_rows(rows).0, !first)),
            KeyDerivatives::Shared { dx, .. } => Some((dx.reborrow().split_rows(rows).0, true)),
        }
    }
}

impl Piece<'_> {
    /// Keys that the query `row` sees.
    fn seen(&self, row: usize) -> usize {
        self.mask.seen(self.position + row, self.k.rows)
    }

    fn bias_row(&self, row: usize, seen: usize) -> Option<&[f32]> {
        self.bias.map(|(table, head)| &table.row(head, self.position + row)[..seen])
    }

    /// Blocks of query rows, with the number of keys that any of them sees.
    fn blocks(&self) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
        (0..self.q.rows).step_by(BLOCK).map(|from| {
            let rows = BLOCK.min(self.q.rows - from);
            (from, rows, self.seen(from + rows - 1))
        })
    }

    /// Scores of a block against its keys: q·kᵀ.
    fn scores(&self, context: Context<'_>, s: &mut [f32], from: usize, rows: usize, keys: usize) {
        let (q, k) = (self.q.rows(from, rows), self.k.rows(0, keys));
        matmul_here(context, MatMut::new(s, rows, keys, keys), q, k.t(), false);
    }

    /// Distances whose vectors keys and values get; 0 where they get none.
    fn distances(&self) -> usize {
        self.relative.map_or(0, RelativePositions::distances)
    }

    /// Products of rows, of queries or of the output's derivatives, with the vectors of all distances.
    fn with_distances(&self, context: Context<'_>, by: &mut [f32], x: MatRef<'_>) {
        if let Some(relative) = self.relative {
            let width = relative.distances();
            matmul_here(
                context,
                MatMut::new(by, x.rows, width, width),
                x,
                relative.table().view().t(),
                false,
            );
        }
    }

    /// Adds what the products of `row` with the vectors of all distances say to its keys.
    fn spread(&self, context: Context<'_>, s: &mut [f32], by: &[f32], index: usize, row: usize) {
        if self.relative.is_some() {
            let width = self.distances();
            let by = &by[index * width..][..width];
            kernels::add_by_distance(context.isa, s, by, self.position + row);
        }
    }

    /// The way back: the sums of a row's numbers by distance.
    fn collect(&self, context: Context<'_>, by: &mut [f32], s: &[f32], index: usize, row: usize) {
        if self.relative.is_some() {
            let width = self.distances();
            let by = &mut by[index * width..][..width];
            kernels::sum_by_distance(context.isa, by, s, self.position + row);
        }
    }

    /// `to` += the vectors of all distances, times the sums by distance.
    fn add_vectors(&self, context: Context<'_>, to: MatMut<'_>, by: &[f32]) {
        if let Some(relative) = self.relative {
            let (rows, width) = (to.rows, relative.distances());
            matmul_here(context, to, MatRef::new(by, rows, width, width), relative.table().view(), true);
        }
    }

    fn drop_row(&self, context: Context<'_>, row: usize, values: &mut [f32]) {
        if let Some(d) = self.dropout {
            kernels::dropout_in_place(context.isa, values, d.key, (row * self.k.rows) as u64, d.rate);
        }
    }

    /// `out`: [queries, d_kv], overwritten; `lse`: [queries, 1].
    pub(super) fn forward(&self, context: Context<'_>, out: MatMut<'_>, mut lse: Option<MatMut<'_>>) {
        let mut rest = out;
        for (from, rows, keys) in self.blocks() {
            let (block, below) = rest.split_rows(rows);
            rest = below;
            with_scratch(|scratch| {
                let [s, by] = scratch.take([rows * keys, rows * self.distances()]);
                self.scores(context, s, from, rows, keys);
                self.with_distances(context, by, self.q.rows(from, rows));
                for (index, s) in s.chunks_exact_mut(keys).enumerate() {
                    let row = from + index;
                    let (s, unseen) = s.split_at_mut(self.seen(row));
                    unseen.fill(0.0);
                    self.spread(context, s, by, index, row);
                    let denominator =
                        kernels::softmax(context.isa, s, self.scale, self.bias_row(row, s.len()));
                    if let Some(lse) = lse.as_mut() {
                        lse.row_mut(row)[0] = denominator;
                    }
                    self.drop_row(context, row, s);
                    self.collect(context, by, s, index, row);
                }
                let (p, mut block) = (MatRef::new(s, rows, keys, keys), block);
                matmul_here(context, block.reborrow(), p, self.v.rows(0, keys), false);
                self.add_vectors(context, block, by);
            });
        }
    }

    /// Overwrites `dq` and, as they say, the derivatives by keys and values; adds the bias's derivatives by relative
    /// position to `dbias`, whose entry `position + queries − 1` is the distance 0.
    pub(super) fn backward(&self, context: Context<'_>, kept: Kept<'_>, to: Derivatives<'_>) {
        let Kept { out, dout, lse } = kept;
        let Derivatives { mut dq, keys: mut to, dbias } = to;
        // The first block overwrites; with a causal mask it may see fewer keys than there are.
        to.zero_from(self.blocks().next().map_or(0, |(_, _, keys)| keys));
        for (from, rows, keys) in self.blocks() {
            with_scratch(|scratch| {
                let (scores, distances) = (rows * keys, rows * self.distances());
                let [p, dropped, dp, by] = scratch.take([scores, scores, scores, distances]);
                self.scores(context, p, from, rows, keys);
                self.with_distances(context, by, self.q.rows(from, rows));
                for (index, p) in p.chunks_exact_mut(keys).enumerate() {
                    let row = from + index;
                    let (p, unseen) = p.split_at_mut(self.seen(row));
                    unseen.fill(0.0);
                    self.spread(context, p, by, index, row);
                    let bias = self.bias_row(row, p.len());
                    kernels::softmax_again(context.isa, p, self.scale, bias, lse.at(row, 0));
                }
                let weights = if self.dropout.is_some() {
                    dropped.copy_from_slice(p);
                    for (row, w) in (from..).zip(dropped.chunks_exact_mut(keys)) {
                        self.drop_row(context, row, &mut w[..self.seen(row)]);
                    }
                    MatRef::new(dropped, rows, keys, keys)
                } else {
                    MatRef::new(p, rows, keys, keys)
                };
                let dout = dout.rows(from, rows);
                if let Some((dv, add)) = to.values(keys, from == 0) {
                    matmul_here(context, dv, weights.t(), dout, add);
                }
                matmul_here(
                    context,
                    MatMut::new(dp, rows, keys, keys),
                    dout,
                    self.v.rows(0, keys).t(),
                    false,
                );
                self.with_distances(context, by, dout);
                for (index, (dp, p)) in dp.chunks_exact_mut(keys).zip(p.chunks_exact(keys)).enumerate() {
                    let row = from + index;
                    let seen = self.seen(row);
                    self.spread(context, &mut dp[..seen], by, index, row);
                    self.drop_row(context, row, &mut dp[..seen]);
                    let delta = row_dot(context, dout, index, out, row);
                    kernels::softmax_backward(context.isa, dp, p, delta);
                    if self.bias.is_some() {
                        let zero = self.position + self.q.rows - 1;
                        let first = zero - (self.position + row);
                        kernels::add(context.isa, &mut dbias[first..first + seen], &dp[..seen]);
                    }
                    if self.scale != 1.0 {
                        kernels::scale(context.isa, &mut dp[..seen], self.scale);
                    }
                    self.collect(context, by, &dp[..seen], index, row);
                }
                let ds = MatRef::new(dp, rows, keys, keys);
                let mut dq = dq.reborrow().rows(from..from + rows);
                matmul_here(context, dq.reborrow(), ds, self.k.rows(0, keys), false);
                self.add_vectors(context, dq, by);
                if let Some((dk, add)) = to.keys(keys, from == 0) {
                    matmul_here(context, dk, ds.t(), self.q.rows(from, rows), add);
                }
            });
        }
    }
}

fn row_dot(context: Context<'_>, a: MatRef<'_>, i: usize, b: MatRef<'_>, j: usize) -> f32 {
    kernels::dot(context.isa, a.row(i), b.row(j))
}

/// Working memory of a thread, kept between pieces.
#[derive(Default)]
pub(super) struct Scratch {
    buffers: [Vec<f32>; 4],
}

impl Scratch {
    pub(super) fn first(&mut self, len: usize) -> &mut [f32] {
        let [first] = self.take([len]);
        first
    }

    /// Some buffers of these lengths, at most four.
    pub(super) fn take<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [f32]; N] {
        let mut buffers = self.buffers.iter_mut();
        lengths.map(|len| {
            let buffer = buffers.next().expect("at most four buffers");
            buffer.resize(buffer.len().max(len), 0.0);
            &mut buffer[..len]
        })
    }
}

pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local!(static SCRATCH: RefCell<Scratch> = RefCell::default());
    SCRATCH.with_borrow_mut(f)
}
