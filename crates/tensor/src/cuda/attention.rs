//! Attention over packed sequences, and of a decoding step against a cache.

use std::sync::Arc;

use super::device::{THREADS, stored_as};
use super::elementwise::dropout_arguments;
use super::matrix::{at_column, device, only_rounded, rounded};
use super::{Argument, Device, Memory};
use crate::cpu::attention::Results;
use crate::ops::{Attention, CachedAttention, CachedRows, Mask, RelativeBias, RelativePositions};
use crate::{Context, DType, Dropout, Precision, Tensor};

/// Queries of a block, and keys of a tile, as the kernels have them; backwards in f32 a block has fewer queries, the second
/// number where heads are wider than that and the first would not fit.
const QUERIES: usize = 64;
const KEYS: usize = 32;
const QUERIES_BACK: [usize; 2] = [32, 16];
const NARROW: usize = 64;
/// The widest head that there are kernels for.
pub const WIDEST: usize = 128;

/// A tensor and the column at which the first head begins.
type Operand<'a> = (&'a Tensor, usize);

/// The bias written out, [heads, width], for keys up to `before` positions before their query.
struct Table {
    values: Tensor,
    buckets: Arc<Memory>,
    width: usize,
    before: usize,
}

impl Table {
    fn new(context: Context<'_>, bias: &RelativeBias, heads: usize, before: usize, after: usize) -> Table {
        let (device, width) = (device(context), before + 1 + after);
        let weight = context.params.get(bias.weight);
        assert_eq!((weight.rows(), weight.cols()), (bias.num_buckets, heads), "shape of the relative bias");
        let (placed, buckets) = (weight.placed(), device.buckets(bias, before, after));
        let mut values = Tensor::on(device, heads, width);
        let arguments = arguments![
            &mut values, at placed.at, at placed.scales, stored_as(placed.dtype), &*buckets, heads as u32, width as u32
        ];
        device.launch_each("bias_table", heads * width, &arguments);
        Table { values, buckets, width, before }
    }

    /// Its values, width and `before`, as kernels take them; null where there is none.
    fn arguments(table: Option<&Table>) -> [Argument; 3] {
        match table {
            Some(t) => arguments![&t.values, t.width as u32, t.before as u32],
            None => arguments![at 0, 0u32, 0u32],
        }
    }
}

/// Vectors by relative position as kernels take them; null where there are none.
fn vectors(device: &Device, relative: Option<&RelativePositions>) -> [Argument; 2] {
    let Some(relative) = relative else { return arguments![at 0, 0u32] };
    arguments![&relative.table_on(device), number(relative.distances() / 2)]
}

fn table(context: Context<'_>, what: &Attention) -> Option<Table> {
    let bias = what.bias.as_ref()?;
    let before = what.spans.iter().map(|s| s.position + s.queries.len()).max().unwrap_or(0);
    let after = what.spans.iter().map(|s| s.mask.ahead(s.keys.len())).max().unwrap_or(0);
    Some(Table::new(context, bias, what.num_heads, before, after))
}

/// How many of a span's keys every query sees.
fn prefix(mask: Mask, keys: usize) -> usize {
    match mask {
        Mask::Full => keys,
        Mask::Causal => 0,
        Mask::Prefix(prefix) => prefix,
    }
}

/// Each span's queries in blocks of `size`, as the kernels' `Queries`.
fn query_blocks(device: &Device, what: &Attention, size: usize) -> (Memory, usize) {
    let mut blocks: Vec<[u32; 8]> = Vec::new();
    for (span, s) in what.spans.iter().enumerate() {
        for row in (0..s.queries.len()).step_by(size) {
            let count = size.min(s.queries.len() - row);
            let prefix = prefix(s.mask, s.keys.len());
            let block =
                [s.queries.start + row, count, row, s.keys.start, s.keys.len(), s.position, prefix, span];
            blocks.push(block.map(number));
        }
    }
    (device.upload(&blocks), blocks.len())
}

/// Each span's keys in blocks of `size`, as the kernels' `Keys`.
fn key_blocks(device: &Device, what: &Attention, size: usize) -> (Memory, usize) {
    let mut blocks: Vec<[u32; 9]> = Vec::new();
    for (span, s) in what.spans.iter().enumerate() {
        for key in (0..s.keys.len()).step_by(size) {
            let count = size.min(s.keys.len() - key);
            let (queries, prefix) = (&s.queries, prefix(s.mask, s.keys.len()));
            let of_span = [queries.start, queries.len(), s.keys.len(), s.position, prefix, span];
            let [first, rows, keys, position, prefix, span] = of_span.map(number);
            let [start, count, key] = [s.keys.start + key, count, key].map(number);
            blocks.push([start, count, key, first, rows, keys, position, prefix, span]);
        }
    }
    (device.upload(&blocks), blocks.len())
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("rows of an attention")
}

fn check(what: &Attention, operands: &[Operand<'_>; 3]) {
    let (d, inner) = (what.d_kv, what.num_heads * what.d_kv);
    assert!(d <= WIDEST, "heads of {d} columns, where a GPU takes {WIDEST}");
    assert!(what.relative.as_ref().is_none_or(|r| r.table().cols() == d), "vectors of a head's width");
    for (i, (tensor, column)) in operands.iter().enumerate() {
        let rows = |s: &crate::ops::Span| if i == 0 { s.queries.end } else { s.keys.end };
        let last = what.spans.iter().map(rows).max().unwrap_or(0);
        assert!(column + inner <= tensor.cols() && last <= tensor.rows(), "operands of an attention");
    }
}

/// Operands as kernels take them, in f32 or bf16: where the first head's column is, and the stride of rows.
fn placed(device: &Device, operands: &[Operand<'_>; 3], in_bf16: bool) -> [Argument; 6] {
    let [q, k, v] = operands.map(|(tensor, column)| {
        let at = match in_bf16 {
            true => rounded(device, tensor).at() + (column * size_of::<u16>()) as u64,
            false => at_column(tensor, column),
        };
        arguments![at at, tensor.cols() as u32]
    });
    [q[0], q[1], k[0], k[1], v[0], v[1]]
}

/// The output, [queries, num_heads · d_kv], of queries, keys and values; with `keep` the logarithms of the softmax's
/// denominators, [queries, num_heads].
pub(crate) fn forward(
    context: Context<'_>,
    what: &Attention,
    operands: [Operand<'_>; 3],
    keep: bool,
    dropout: Option<Dropout>,
) -> (Tensor, Option<Tensor>) {
    check(what, &operands);
    let (device, heads, d, rows) = (device(context), what.num_heads, what.d_kv, operands[0].0.rows());
    let mut out = Tensor::on(device, rows, heads * d);
    let mut lse = keep.then(|| Tensor::on(device, rows, heads));
    let table = table(context, what);
    let (blocks, count) = query_blocks(device, what, QUERIES);
    let mut arguments = Vec::from(arguments![&mut out]);
    arguments.push(lse.as_mut().map_or(Argument::Pointer(0), Argument::from));
    let in_bf16 = in_bf16(context, what, keep);
    arguments.extend(placed(device, &operands, in_bf16));
    arguments.extend(arguments![&blocks, d as u32, what.scale]);
    arguments.extend(Table::arguments(table.as_ref()));
    if !in_bf16 {
        arguments.extend(vectors(device, what.relative.as_ref()));
    }
    arguments.extend(dropout_arguments(dropout));
    let softmax = QUERIES * (KEYS + 1) + 3 * QUERIES;
    let (kernel, factors) = match in_bf16 {
        true => ("attention_bf16", (QUERIES + KEYS) * bf16_row(d)),
        false => ("attention", (QUERIES + KEYS) * (d + 1)),
    };
    device.launch(kernel, [count, heads, 1], THREADS, softmax + factors, &arguments);
    (out, lse)
}

/// Floats that a row of a head takes in bf16, as the kernels on tensor cores have it.
fn bf16_row(d: usize) -> usize {
    (d.next_multiple_of(16) + 8) / 2
}

/// What the kernels backwards are called and how they cut their work.
struct Back {
    kernels: [&'static str; 2],
    /// Queries of a block, in the second of a tile; keys of a block in the second.
    queries: usize,
    keys: usize,
    /// Floats of memory that a block shares.
    shared: [usize; 2],
}

impl Back {
    fn new(device: &Device, d: usize, in_bf16: bool) -> Back {
        if in_bf16 {
            let (tile, factors) = (QUERIES * (KEYS + 1), 2 * (QUERIES + KEYS) * bf16_row(d));
            let kernels = ["attention_bf16_backward_queries", "attention_bf16_backward_keys"];
            return Back {
                kernels,
                queries: QUERIES,
                keys: QUERIES,
                shared: [factors + tile, factors + 2 * tile],
            };
        }
        let with = |queries: usize| {
            let (tile, factors) = (queries * (KEYS + 1), 2 * (queries + KEYS) * (d + 1));
            let kernels = ["attention_backward_queries", "attention_backward_keys"];
            Back { kernels, queries, keys: KEYS, shared: [factors + tile, factors + 2 * tile] }
        };
        let [many, few] = QUERIES_BACK.map(with);
        // Beside that are the numbers of a tile's diagonals.
        let needed = 4 * (many.shared[1] + 2 * (QUERIES_BACK[0] + KEYS));
        if d > NARROW && needed > device.shared_memory() { few } else { many }
    }
}

/// Whether attention's products are of factors in bf16, by tensor cores: where the pass says so, and as on the processor
/// beside weights that are as small where nothing is kept for the way back. Not with vectors by relative position.
fn in_bf16(context: Context<'_>, what: &Attention, keep: bool) -> bool {
    let wanted = match context.precision {
        Precision::Bf16 => true,
        Precision::Stored => what.dtype == DType::Bf16 && !keep,
        _ => false,
    };
    wanted && device(context).has_bf16() && what.relative.is_none()
}

/// What the way back reads of queries, keys, values, and of what was found: where products are in bf16, that.
pub(crate) fn kept(context: Context<'_>, what: &Attention, x: &Tensor) -> Tensor {
    match in_bf16(context, what, true) {
        true => only_rounded(device(context), x),
        false => x.clone(),
    }
}

/// Derivatives by the bias of every block of queries, head and bucket.
pub(crate) struct ByBucket {
    /// [blocks · heads, num_buckets]
    values: Tensor,
    heads: usize,
}

impl ByBucket {
    /// Adds them to the derivative by the bias's weight: [num_buckets, heads].
    pub(crate) fn add_to(&self, context: Context<'_>, gradient: &mut Tensor) {
        let (heads, buckets) = (self.heads, self.values.cols());
        assert_eq!((gradient.rows(), gradient.cols()), (buckets, heads), "shape of the relative bias");
        let blocks = self.values.rows() / heads;
        let arguments = arguments![gradient, &self.values, blocks as u32, heads as u32, buckets as u32];
        device(context).launch_each("add_by_bucket", heads * buckets, &arguments);
    }
}

/// The derivatives by queries, keys and values, a tensor for each of `groups` (operands that are columns of one tensor,
/// from left to right), and those by the bias where there is one.
pub(crate) fn backward(
    context: Context<'_>,
    what: &Attention,
    operands: [Operand<'_>; 3],
    groups: &[Vec<usize>],
    of: Results<'_>,
    dy: &Tensor,
) -> (Vec<Tensor>, Option<ByBucket>) {
    check(what, &operands);
    let (device, heads, d) = (device(context), what.num_heads, what.d_kv);
    let inner = heads * d;
    let table = table(context, what);
    let covered = |i: usize| -> usize {
        what.spans.iter().map(|s| if i == 0 { s.queries.len() } else { s.keys.len() }).sum()
    };
    let mut tensors: Vec<Tensor> = Vec::new();
    // Where each operand's derivative goes, and the stride of its rows.
    let mut to = [(0, 0); 3];
    for group in groups {
        let of = operands[group[0]].0;
        let all = group.len() * inner == of.cols() && group.iter().all(|&i| covered(i) == of.rows());
        let mut tensor = match all {
            true => Tensor::on(device, of.rows(), of.cols()),
            false => Tensor::zeros_on(device, of.rows(), of.cols()),
        };
        let _ = tensor.address_mut();
        group.iter().for_each(|&i| to[i] = (at_column(&tensor, operands[i].1), of.cols() as u32));
        tensors.push(tensor);
    }
    let rows = dy.rows();
    let mut delta = Tensor::on(device, rows, heads);
    let in_bf16 = in_bf16(context, what, true);
    let at = |tensor: &Tensor| if in_bf16 { rounded(device, tensor).at() } else { tensor.address() };
    let dy = at(dy);
    let kernel = if in_bf16 { "attention_bf16_delta" } else { "attention_delta" };
    let arguments = arguments![&mut delta, at at(of.out), at dy, d as u32, (rows * heads) as u32];
    let per_block = (THREADS / 32) as usize;
    device.launch(kernel, [(rows * heads).div_ceil(per_block), 1, 1], THREADS, 0, &arguments);

    let back = Back::new(device, d, in_bf16);
    let common = |blocks: &Memory| {
        let mut arguments = Vec::from(placed(device, &operands, in_bf16));
        arguments.extend(arguments![at dy, of.lse, &delta, blocks, d as u32]);
        if !in_bf16 {
            arguments.push(Argument::U32(back.queries as u32));
        }
        arguments.push(Argument::F32(what.scale));
        arguments.extend(Table::arguments(table.as_ref()));
        if !in_bf16 {
            arguments.extend(vectors(device, what.relative.as_ref()));
        }
        arguments.extend(dropout_arguments(of.dropout));
        arguments
    };
    let (blocks, count) = query_blocks(device, what, back.queries);
    let mut by_bucket = what.bias.as_ref().map(|bias| {
        assert!(bias.num_buckets <= THREADS as usize, "buckets of a relative bias");
        ByBucket { values: Tensor::on(device, count * heads, bias.num_buckets), heads }
    });
    let [(dq, dq_stride), (dk, dk_stride), (dv, dv_stride)] = to;
    let mut arguments = Vec::from(arguments![at dq, dq_stride]);
    arguments.extend(match (&mut by_bucket, &table) {
        (Some(by), Some(table)) => {
            let buckets = by.values.cols() as u32;
            arguments![&mut by.values, &*table.buckets, buckets]
        }
        _ => arguments![at 0, at 0, 0u32],
    });
    arguments.extend(common(&blocks));
    device.launch(back.kernels[0], [count, heads, 1], THREADS, back.shared[0], &arguments);

    let (blocks, count) = key_blocks(device, what, back.keys);
    let mut arguments = Vec::from(arguments![at dk, dk_stride, at dv, dv_stride]);
    arguments.extend(common(&blocks));
    device.launch(back.kernels[1], [count, heads, 1], THREADS, back.shared[1], &arguments);
    (tensors, by_bucket)
}

/// Attention of a decoding step against cached keys and values.
pub(crate) mod cached {
    use super::*;

    /// Threads of a block.
    const THREADS: u32 = 128;

    /// Every query by itself.
    pub(crate) fn attend(
        context: Context<'_>,
        q: &Tensor,
        column: usize,
        what: &CachedAttention<'_>,
    ) -> Tensor {
        let (device, heads, d) = (device(context), what.num_heads, what.d_kv);
        assert!(d <= WIDEST, "heads of {d} columns, where a GPU takes {WIDEST}");
        assert!(what.relative.as_ref().is_none_or(|r| r.table().cols() == d), "vectors of a head's width");
        let table = what.bias.as_ref().map(|bias| {
            let before = what.spans.iter().map(|s| s.position).max().unwrap_or(0);
            let after = what.spans.iter().map(|s| s.keys.len().saturating_sub(s.position + 1)).max();
            // Steps go on by one: lists of buckets for some further serve them all.
            Table::new(context, bias, heads, before.next_multiple_of(64), after.unwrap_or(0))
        });
        let dtype = what.spans.first().map_or(DType::F32, |span| span.cache.dtype());
        // All lists of rows, one after the other, and for each query where its own begins.
        let mut lists: Vec<u32> = Vec::new();
        let mut queries: Vec<([u64; 2], Option<usize>, [u64; 2])> = Vec::new();
        let mut at = 0;
        for span in &what.spans {
            assert_eq!(span.queries.start, at, "spans are in the order of their rows, every row in one");
            at = span.queries.end;
            let position = u64::from(number(span.position));
            let own_at = |cache: &crate::ops::KeyValues| cache.tensor().address();
            assert!(span.cache.dtype() == dtype, "keys and values of one type");
            let row_bytes = (2 * heads * d * dtype.size()) as u64;
            let pack = |first: usize, own: usize| u64::from(number(first)) | u64::from(number(own)) << 32;
            let mut list = |rows: &[u32]| {
                lists.extend_from_slice(rows);
                Some(lists.len() - rows.len())
            };
            match &span.keys {
                CachedRows::Range(range) => {
                    assert!(range.end <= span.cache.rows(), "rows of a cache");
                    let first = match range.len() {
                        0 => 0,
                        _ => own_at(span.cache) + range.start as u64 * row_bytes,
                    };
                    let query = ([first, 0], None, [pack(range.len(), 0), position]);
                    queries.extend(std::iter::repeat_n(query, span.queries.len()));
                }
                CachedRows::List(rows) => {
                    let query = ([0, own_at(span.cache)], list(rows), [pack(0, rows.len()), position]);
                    queries.extend(std::iter::repeat_n(query, span.queries.len()));
                }
                CachedRows::Shared { first, rows, own } => {
                    assert_eq!(own.len(), span.queries.len(), "a list of rows for every query");
                    assert!(first.dtype() == dtype, "keys and values of one type");
                    let from = own_at(first) + rows.start as u64 * row_bytes;
                    for own in own {
                        let cache = if own.is_empty() { 0 } else { own_at(span.cache) };
                        queries.push(([from, cache], list(own), [pack(rows.len(), own.len()), position]));
                    }
                }
            }
        }
        assert_eq!(at, q.rows(), "every query row is in a span");
        let lists = device.upload(&lists);
        let list_at = |place: Option<usize>| place.map_or(0, |place| lists.at() + 4 * place as u64);
        let queries: Vec<[u64; 5]> = queries
            .into_iter()
            .map(|([first, own], list, [keys, position])| [first, own, list_at(list), keys, position])
            .collect();
        let queries = device.upload(&queries);
        let mut out = Tensor::on(device, q.rows(), heads * d);
        let mut arguments = Vec::from(arguments![
            &mut out, at at_column(q, column), q.cols() as u32, &queries, stored_as(dtype), d as u32, what.scale
        ]);
        arguments.extend(Table::arguments(table.as_ref()));
        arguments.extend(vectors(device, what.relative.as_ref()));
        device.launch("attend_cached", [q.rows(), heads, 1], THREADS, 0, &arguments);
        out
    }
}
