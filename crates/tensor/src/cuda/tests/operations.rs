//! Forwards and backwards through the tape, once on the processor and once on the device, with the same numbers.

use super::{close, device, normal, tensor};
use crate::cuda::{Argument, Device};
use crate::ops::{
    self, Activation, Attention, CachedAttention, CachedRows, CachedSpan, Columns, CrossEntropy, KeyValues,
    LayerNorm, Linear, Mask, RelativeBias, RotaryPositions, Span, Table,
};
use crate::{
    Adapter, DType, Dropout, Gradients, Graph, ParamId, Params, Pool, Precision, Regime, Rng, Tensor, Var,
    Weight,
};

/// Sizes around those of warps, blocks and tiles.
const SIZES: [(usize, usize); 7] = [(0, 8), (1, 1), (2, 31), (33, 32), (5, 300), (70, 65), (129, 48)];

/// What an operation is tried on.
pub(super) struct Case {
    pub(super) vars: Vec<Tensor>,
    pub(super) params: Params,
    ids: Vec<ParamId>,
    dropout: Option<Dropout>,
    pub(super) precision: Precision,
    pub(super) bound: f32,
    /// Whether the derivative by the output is of numbers that bf16 has.
    pub(super) rounded: bool,
}

/// To bf16, halves down.
pub(super) fn round(x: &mut Tensor) {
    x.data_mut().iter_mut().for_each(|x| *x = f32::from_bits((x.to_bits() + 0x7fff) & 0xffff_0000));
}

impl Case {
    pub(super) fn new(vars: &[(usize, usize)], params: &[&[usize]]) -> Case {
        let mut rng = Rng::new(5, vars.len() as u64);
        let vars = vars.iter().map(|&(rows, cols)| tensor(&mut rng, rows, cols)).collect();
        let mut all = Params::default();
        let mut add = |(i, shape): (usize, &&[usize])| {
            all.add(format!("p{i}"), Weight::owned(shape, normal(&mut rng, shape.iter().product())))
        };
        let ids = params.iter().enumerate().map(&mut add).collect();
        Case { vars, params: all, ids, dropout: None, precision: Precision::F32, bound: 2e-6, rounded: false }
    }

    pub(super) fn with_dropout(mut self) -> Case {
        self.dropout = Some(Dropout { rate: 0.3, key: 77 });
        self
    }

    /// The output of `op`, and from a derivative by it those by all inputs and parameters, are the same on both.
    fn check(self, what: &str, op: impl Fn(&mut Graph<'_>, &[Var], &[ParamId]) -> Var) {
        self.check_on(device(), what, op);
    }

    pub(super) fn check_on(
        mut self,
        device: Option<Device>,
        what: &str,
        op: impl Fn(&mut Graph<'_>, &[Var], &[ParamId]) -> Var,
    ) {
        let Some(device) = device else { return };
        let host = self.run(&op);
        self.params.move_to(&device).unwrap();
        let there = self.run(&op);
        assert_eq!(host.len(), there.len());
        for (i, (got, want)) in there.iter().zip(&host).enumerate() {
            assert_eq!(got.is_some(), want.is_some(), "{what}, number {i}");
            if let (Some(got), Some(want)) = (got, want) {
                close(&format!("{what}, number {i}"), got, want, self.bound);
            }
        }
    }

    pub(super) fn run(
        &self,
        op: impl Fn(&mut Graph<'_>, &[Var], &[ParamId]) -> Var,
    ) -> Vec<Option<Vec<f32>>> {
        let pool = Pool::new(1);
        let mut graph = Graph::training(&self.params, &pool, self.dropout).with_precision(self.precision);
        let place = |tensor: &Tensor| match self.params.device() {
            None => tensor.clone(),
            Some(device) => tensor.to_device(device),
        };
        let vars: Vec<Var> = self.vars.iter().map(|x| graph.leaf(place(x))).collect();
        let y = op(&mut graph, &vars, &self.ids);
        let (rows, cols) = (y.value.rows(), y.value.cols());
        let mut found = vec![Some(y.value.to_host().data().to_vec())];
        let mut gradients = Gradients::new();
        let mut dy = tensor(&mut Rng::new(6, 0), rows, cols);
        if self.rounded {
            round(&mut dy);
        }
        gradients.put(y.node().expect("on the tape"), place(&dy));
        graph.backward(&mut gradients);
        found.extend(vars.iter().map(|x| gradients.of(x).map(|g| g.to_host().data().to_vec())));
        found.extend(self.ids.iter().map(|&id| gradients.param(id).map(|g| g.to_host().data().to_vec())));
        found
    }
}

#[test]
fn norms() {
    for (rows, cols) in SIZES {
        let case = Case::new(&[(rows, cols), (rows, cols)], &[&[cols]]);
        case.check("RMSNorm", |g, v, p| {
            // Twice, so that derivatives are added to what there is.
            let sum = ops::residual(g, &v[0], v[1].clone());
            let y = ops::rms_norm(g, &sum, p[0], 1e-6);
            ops::residual(g, &sum, y)
        });
        let norm = |p: &[ParamId]| LayerNorm { weight: p[0], bias: p[1], eps: 1e-6 };
        Case::new(&[(rows, cols)], &[&[cols], &[cols]])
            .check("LayerNorm", |g, v, p| ops::layer_norm(g, &v[0], norm(p)));
        Case::new(&[(rows, cols), (rows, cols)], &[&[cols], &[cols], &[cols]])
            .with_dropout()
            .check("residual and LayerNorm", |g, v, p| {
                ops::residual_norm(g, &v[0], v[1].clone(), Some(p[2]), norm(p))
            });
    }
}

#[test]
fn element_by_element() {
    for (rows, cols) in SIZES {
        Case::new(&[(rows, cols), (rows, cols)], &[]).with_dropout().check("residual", |g, v, _| {
            let y = ops::residual(g, &v[0], v[1].clone());
            let y = ops::scale(g, y, -0.75);
            ops::dropout(g, y)
        });
        for act in [Activation::GeluTanh, Activation::GeluErf, Activation::Relu, Activation::Silu] {
            Case::new(&[(rows, cols)], &[]).check("activation", |g, v, _| ops::activate(g, act, &v[0]));
            Case::new(&[(rows, 2 * cols)], &[]).check("gated", |g, v, _| ops::gated(g, act, &v[0]));
            for biased in [false, true] {
                Case::new(&[(rows, 3)], &[&[cols, 3], &[cols]]).check("dense", |g, v, p| {
                    ops::dense(g, &v[0], Linear { weight: p[0], bias: biased.then_some(p[1]) }, act)
                });
            }
        }
    }
}

#[test]
fn rows_by_number() {
    for (rows, cols) in SIZES {
        let few = rows.min(3);
        let ids: Vec<u32> = (0..rows as u32).map(|i| i * i % 7).collect();
        Case::new(&[(rows, cols)], &[&[7, cols], &[9, cols]]).check("embedding", |g, v, p| {
            let tables = [Table::new(p[0], &ids), Table { factor: -0.5, ..Table::new(p[1], &ids) }];
            let y = ops::embeddings(g, &tables);
            let y = ops::residual(g, &v[0], y);
            let of: Vec<usize> = (0..2 * few).map(|i| i / 2).collect();
            ops::select_rows(g, &y, &of)
        });
        let width = 2 * cols;
        let positions: std::sync::Arc<[u32]> = ids.clone().into();
        Case::new(&[(rows, 3 * width)], &[]).check("rotary", |g, v, _| {
            ops::rotary(g, v[0].clone(), width..3 * width, &positions, &RotaryPositions::new(7, width))
        });
    }
}

/// With a bias, without, and with an adapter; alone and beside others.
#[test]
fn linear_layers() {
    for (rows, cols) in SIZES {
        for precision in [Precision::F32, Precision::Bf16] {
            let shapes: [&[usize]; 6] = [&[70, cols], &[70], &[3, cols], &[33, cols], &[2, cols], &[33, 2]];
            let mut case = Case::new(&[(rows, cols)], &shapes);
            case.precision = precision;
            // Both round to bf16 and sum in f32.
            case.bound = if precision == Precision::Bf16 { 1e-5 } else { 2e-6 };
            let adapter = Adapter { a: case.ids[4], b: case.ids[5], scale: 0.5 };
            case.params.adapt(case.ids[3], adapter);
            case.check("linear", |g, v, p| {
                let biased = Linear { weight: p[0], bias: Some(p[1]) };
                ops::linear(g, &v[0], &[biased, p[2].into(), p[3].into()])
            });
        }
    }
}

pub(super) fn attention(d_kv: usize, bias: Option<RelativeBias>, spans: Vec<Span>) -> Attention {
    Attention { num_heads: 3, d_kv, scale: 0.7, bias, relative: None, dtype: DType::F32, spans }
}

/// Spans of awkward lengths under each mask, with a bias and without, with dropout and without; queries, keys and values
/// beside one another and apart.
#[test]
fn attention_over_packed_sequences() {
    for (d, bidirectional) in [(1, true), (16, true), (20, false), (64, false), (80, true), (128, false)] {
        for (mask, lengths) in [
            (Mask::Full, vec![1, 33, 70]),
            (Mask::Causal, vec![70, 1, 33, 5]),
            (Mask::Prefix(6), vec![4, 65, 9]),
        ] {
            let rows: usize = lengths.iter().sum();
            let mut first = 0;
            let spans: Vec<Span> = lengths
                .iter()
                .map(|&len| {
                    first += len;
                    Span { queries: first - len..first, keys: first - len..first, position: 0, mask }
                })
                .collect();
            for (dropout, biased) in [(false, true), (true, false), (true, true)] {
                let case = Case::new(&[(rows, 9 * d + 2)], &[&[8, 3]]);
                let mut case = if dropout { case.with_dropout() } else { case };
                // Scores are as large as the square root of d, unscaled, and so is what rounding does to them.
                case.bound = 1e-5;
                case.check(&format!("attention, {mask:?}, {d} columns"), |g, v, p| {
                    let bias = RelativeBias { weight: p[0], num_buckets: 8, max_distance: 20, bidirectional };
                    let what = attention(d, biased.then_some(bias), spans.clone());
                    let at = |column| Columns { var: &v[0], column };
                    ops::attention(g, at(0), at(3 * d + 1), at(6 * d + 2), &what)
                });
            }
        }
    }
}

/// Nothing recorded, and products left to what weights are stored in: beside weights in bf16 attention is in bf16, to the bit
/// what a pass in bf16 computes; beside those in f32 it is f32.
#[test]
fn attention_beside_weights_in_bf16() {
    let Some(device) = device() else { return };
    let (d, rows, mask) = (20, 70, Mask::Causal);
    let qkv = tensor(&mut Rng::new(16, 0), rows, 3 * 3 * d);
    let (params, pool) = (Params::default(), Pool::new(1));
    let run = |on_device: bool, precision: Precision, dtype: DType| {
        let place = || if on_device { qkv.to_device(&device) } else { qkv.clone() };
        let mut graph = Graph::inference(&params, &pool, Regime::Bulk).with_precision(precision);
        graph.context.device = on_device.then_some(&device);
        let var = Var::constant(place());
        let columns = |i: usize| Columns { var: &var, column: i * 3 * d };
        let spans = vec![Span { queries: 0..rows, keys: 0..rows, position: 0, mask }];
        let what = Attention { dtype, ..attention(d, None, spans) };
        let y = ops::attention(&mut graph, columns(0), columns(1), columns(2), &what);
        y.value.to_host().data().to_vec()
    };
    let exact = run(false, Precision::F32, DType::F32);
    close("attention in f32", &run(true, Precision::Stored, DType::F32), &exact, 2e-6);
    let rounded = run(true, Precision::Stored, DType::Bf16);
    close("attention in bf16", &rounded, &exact, 8e-3);
    assert!(rounded == run(true, Precision::Bf16, DType::F32) && rounded != exact);
}

/// Targets that look at sources: other rows, of which some are looked at by nobody.
#[test]
fn attention_to_other_rows() {
    let (d, spans) = (12, [(0..1, 0..40), (1..36, 41..42), (36..40, 45..110)]);
    let spans: Vec<Span> = spans
        .into_iter()
        .map(|(queries, keys)| Span { queries, keys, position: 3, mask: Mask::Full })
        .collect();
    let mut case = Case::new(&[(40, 3 * d), (110, 6 * d)], &[]);
    case.bound = 1e-5;
    case.check("attention to a source", |g, v, _| {
        let (q, kv) = (|column| Columns { var: &v[0], column }, |column| Columns { var: &v[1], column });
        ops::attention(g, q(0), kv(0), kv(3 * d), &attention(d, None, spans.clone()))
    });
}

/// Steps against caches of every kind, more keys than are looked at together, and a bias; kept in bf16, they are what f32
/// makes of the same numbers rounded.
#[test]
fn attention_of_steps() {
    let Some(device) = device() else { return };
    for (heads, d, dtype) in [
        (3, 5, DType::F32),
        (2, 64, DType::F32),
        (1, 128, DType::F32),
        (3, 6, DType::Bf16),
        (2, 64, DType::Bf16),
    ] {
        let inner = heads * d;
        let mut rng = Rng::new(8, d as u64);
        let mut kept = |rows| {
            let mut kept = tensor(&mut rng, rows, 2 * inner);
            if dtype == DType::Bf16 {
                kept.data_mut().iter_mut().for_each(|x| *x = half::bf16::from_f32(*x).to_f32());
            }
            kept
        };
        let (new, source) = (kept(700), kept(40));
        let mut params = Params::default();
        let weight = params.add("bias", Weight::owned(&[8, heads], normal(&mut rng, 8 * heads)));
        let q = tensor(&mut rng, 6, 3 * inner);
        let order: Vec<u32> = (0..700).map(|i| i * 3 % 701 % 700).collect();
        let run = |params: &Params| {
            let pool = Pool::new(1);
            let graph = Graph::inference(params, &pool, Regime::Steps);
            let place = |x: &Tensor| params.device().map_or_else(|| x.clone(), |device| x.to_device(device));
            let dtype = if params.device().is_some() { dtype } else { DType::F32 };
            let mut cache = KeyValues::new(300, inner, dtype);
            cache.store(
                &order[..200].iter().map(|&i| i % 300).collect::<Vec<_>>(),
                &place(&new.rows_copied(0..200)),
                0,
            );
            cache.grow(700, 300);
            cache.store(&order, &place(&new), 0);
            let kept = |from: &Tensor, rows| {
                KeyValues::taken(graph.context, &place(from), [rows], 0, inner, dtype).remove(0)
            };
            let (source, taken) = (kept(&source, 0..40), kept(&new, 5..9));
            let own = vec![&order[3..9], &order[10..16]];
            let span = |queries, keys, position| CachedSpan { queries, cache: &cache, keys, position };
            let spans = vec![
                span(0..1, CachedRows::List(&order[..600]), 599),
                span(1..2, CachedRows::Range(4..7), 2),
                span(2..4, CachedRows::Shared { first: &source, rows: 1..38, own }, 42),
                CachedSpan { queries: 4..5, cache: &taken, keys: CachedRows::Range(0..4), position: 3 },
                span(5..6, CachedRows::Shared { first: &source, rows: 0..40, own: vec![&[]] }, 39),
            ];
            let bias = Some(RelativeBias { weight, num_buckets: 8, max_distance: 20, bidirectional: false });
            let what = CachedAttention { num_heads: heads, d_kv: d, scale: 0.5, bias, relative: None, spans };
            let found = ops::attend_cached(&graph, &place(&q), inner, &what).to_host().data().to_vec();
            (found, [699, 0, 5].map(|row| cache.position(row)))
        };
        let host = run(&params);
        params.move_to(&device).unwrap();
        let there = run(&params);
        close("a step", &there.0, &host.0, 5e-6);
        assert_eq!(there.1, host.1);
    }
}

#[test]
fn losses_and_their_derivatives() {
    let Some(device) = device() else { return };
    for (tokens, rows, chunk, label_smoothing, z_loss) in [
        (1, 5, 1 << 20, 0.0, 0.0),
        (40, 70, 70 * 16, 0.1, 0.02),
        (17, 1500, 1 << 20, 0.1, 0.0),
        (0, 9, 1, 0.0, 0.0),
    ] {
        let mut rng = Rng::new(9, tokens as u64);
        let mut params = Params::default();
        let weight = params.add("w", Weight::owned(&[rows, 12], normal(&mut rng, rows * 12)));
        let bias = Some(params.add("b", Weight::owned(&[rows], normal(&mut rng, rows))));
        let x = tensor(&mut rng, tokens, 12);
        let targets: Vec<u32> = (0..tokens as u32).map(|t| t * 7 % rows as u32).collect();
        let run = |params: &Params| {
            let pool = Pool::new(1);
            let mut graph = Graph::training(params, &pool, None);
            let place = |x: &Tensor| params.device().map_or_else(|| x.clone(), |device| x.to_device(device));
            let x = graph.leaf(place(&x));
            let mut gradients = Gradients::new();
            let options = CrossEntropy { chunk, scale: 0.3, label_smoothing, z_loss };
            let losses = ops::cross_entropy(
                &graph,
                &x,
                Linear { weight, bias },
                &targets,
                options,
                Some(&mut gradients),
            );
            let mut found = vec![losses.tokens];
            found.extend(gradients.of(&x).map(|g| g.to_host().data().to_vec()));
            let of = |id: Option<ParamId>| gradients.param(id?).map(|g| g.to_host().data().to_vec());
            found.extend([Some(weight), bias].into_iter().filter_map(of));
            found
        };
        let host = run(&params);
        params.move_to(&device).unwrap();
        let there = run(&params);
        assert_eq!(host.len(), there.len());
        for (got, want) in there.iter().zip(&host) {
            close("a loss", got, want, 2e-6);
        }
    }
}

/// Weights of every storage type: looked up, multiplied in the type they are stored in, and brought back as they were; few
/// rows of activations and many, columns that are read together and not.
#[test]
fn weights_of_every_storage_type() {
    let Some(device) = device() else { return };
    let mut rng = Rng::new(10, 0);
    for (cols, dtype) in [40, 39].into_iter().flat_map(|cols| DType::WEIGHTS.map(|dtype| (cols, dtype))) {
        let values = normal(&mut rng, 70 * cols);
        let mut params = Params::default();
        let id = params.add("w", Weight::owned(&[70, cols], values).to_dtype(dtype).packed());
        let wide = params.get(id).to_tensor().data().to_vec();
        params.move_to(&device).unwrap();
        let (there, pool) = (params.get(id), Pool::new(1));
        assert_eq!((there.dtype(), there.rows(), there.cols()), (dtype, 70, cols));
        let most = match dtype {
            DType::I4 => 70 * (20 + 2 * 4),
            dtype => 70 * cols * dtype.size() + 70 * 4,
        };
        assert!(there.bytes() <= most, "{dtype:?}: {} bytes", there.bytes());
        assert_eq!(there.to_tensor().data(), wide, "{dtype:?}");
        for (rows, precision) in [3, 9, 40, 130]
            .into_iter()
            .flat_map(|rows| [Precision::F32, Precision::Stored].map(|p| (rows, p)))
        {
            let x = tensor(&mut rng, rows, cols);
            let mut graph = Graph::inference(&params, &pool, Regime::Bulk).with_precision(precision);
            let found = ops::embedding(&mut graph, id, &[69, 0, 7]).value.to_host();
            assert_eq!(found.row(0), &wide[69 * cols..], "{dtype:?}");
            let y = ops::logits(&graph, &x.to_device(&device), id).to_host();
            let round = |x: f32| match (precision, dtype) {
                (Precision::Stored, DType::Bf16) => half::bf16::from_f32(x).to_f32(),
                (Precision::Stored, DType::F16) => half::f16::from_f32(x).to_f32(),
                _ => x,
            };
            let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(&x, w)| round(x) * w).sum::<f32>();
            let want: Vec<f32> = x
                .data()
                .chunks(cols)
                .flat_map(|x| wide.chunks(cols).map(|w| dot(x, w)).collect::<Vec<_>>())
                .collect();
            let what = format!("{dtype:?} in {precision:?}, {rows} rows of {cols}");
            close(&what, y.data(), &want, 2e-6);
            let x = Var::constant(x.to_device(&device));
            let beside = ops::linear(&mut graph, &x, &[id, id]).value.to_host();
            assert!((0..rows).all(|row| beside.row(row) == [y.row(row), y.row(row)].concat()), "{what}");
        }
    }
}

/// Factors rounded to ten bits of mantissa: near what they were, and not what they were.
#[test]
fn products_in_tf32() {
    let layer = |precision, bound| {
        let mut case = Case::new(&[(33, 70)], &[&[41, 70]]);
        (case.precision, case.bound) = (precision, bound);
        case
    };
    let linear = |g: &mut Graph<'_>, v: &[Var], p: &[ParamId]| ops::linear(g, &v[0], &p[..1]);
    layer(Precision::Tf32, 1e-3).check("linear in TF32", linear);
    let Some(device) = device() else { return };
    let [exact, rounded] = [Precision::F32, Precision::Tf32].map(|precision| {
        let mut case = layer(precision, 0.0);
        case.params.move_to(&device).unwrap();
        case.run(linear)
    });
    let values = exact.iter().flatten().zip(rounded.iter().flatten());
    values.for_each(|(exact, rounded)| {
        let far = exact.iter().zip(rounded).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
        assert!(far > exact.len() / 2, "{far} of {} are rounded", exact.len());
    });
}

/// Half-precision numbers as the processor rounds them, all of f16's and what lies between.
#[test]
fn conversions() {
    let Some(device) = device() else { return };
    let mut x: Vec<f32> = (0..=u16::MAX).map(|bits| half::f16::from_bits(bits).to_f32()).collect();
    let between: Vec<f32> = x.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    x.extend(
        between.iter().flat_map(|&x| [x, f32::from_bits(x.to_bits() + 1), f32::from_bits(x.to_bits() - 1)]),
    );
    let tensor = Tensor::from_vec(1, x.len(), x.clone()).to_device(&device);
    for (code, dtype) in [(1u32, DType::Bf16), (2, DType::F16)] {
        let bits = device.allocate(2 * x.len());
        let (cols, count) = (x.len() as u32, x.len() as u64);
        let arguments: [Argument; 6] =
            [(&bits).into(), (&tensor).into(), code.into(), cols.into(), cols.into(), count.into()];
        device.launch_each("narrow", x.len(), &arguments);
        let mut back = Tensor::on(&device, 1, x.len());
        let null = Argument::Pointer(0);
        let arguments: [Argument; 6] =
            [(&mut back).into(), (&bits).into(), null, code.into(), cols.into(), count.into()];
        device.launch_each("widen", x.len(), &arguments);
        let mut found = vec![0u16; x.len()];
        bits.read(bytemuck::cast_slice_mut(&mut found));
        for (i, ((&x, bits), back)) in x.iter().zip(found).zip(back.to_host().data()).enumerate() {
            let (want, wide) = match dtype {
                DType::Bf16 => (half::bf16::from_f32(x).to_bits(), half::bf16::from_bits(bits).to_f32()),
                _ => (half::f16::from_f32(x).to_bits(), half::f16::from_bits(bits).to_f32()),
            };
            assert!(
                bits == want || x.is_nan() && wide.is_nan(),
                "{dtype:?}, element {i}: {x} {bits:x} {want:x}"
            );
            assert!(
                back.to_bits() == wide.to_bits() || back.is_nan() && wide.is_nan(),
                "{dtype:?}, {i}: {back}"
            );
        }
    }
}
