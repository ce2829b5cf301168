//! The networks against transformers 4.57 (see `goldens/README.md`): encoder states and logits.

mod common;

use common::{T5S, folder, golden, models, open, sequences};
use t5kit_formats::safetensors::SafetensorsFile;
use t5kit_model::{Batch, Cache, Seq2Seq, T5};
use t5kit_tensor::{DType, Graph, Packed, Pool, Precision, Regime, Tensor, bf16_products, isa, ops};

fn tensor(name: &str, which: &str) -> Vec<f32> {
    let file = SafetensorsFile::open(&folder(name).join("golden.safetensors")).unwrap();
    let bytes = file.bytes(which).unwrap();
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Largest difference, relative to the largest value.
fn difference(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f32::max) / largest
}

/// Logits of the given examples as one packed batch.
fn forward(model: &dyn Seq2Seq, pool: &Pool, sources: &[Vec<u32>], targets: &[Vec<u32>]) -> Vec<f32> {
    forward_in(Precision::Stored, model, pool, sources, targets)
}

fn forward_in(
    precision: Precision,
    model: &dyn Seq2Seq,
    pool: &Pool,
    sources: &[Vec<u32>],
    targets: &[Vec<u32>],
) -> Vec<f32> {
    let batch = Batch::new(sources, targets, model.rows()).unwrap();
    let mut graph = Graph::inference(model.params(), pool, Regime::Bulk).with_precision(precision);
    let hidden = model.hidden(&mut graph, &batch);
    ops::logits(&graph, &hidden.value, model.softmax()).data().to_vec()
}

/// A cache with a slot for each source.
fn started(model: &dyn Seq2Seq, pool: &Pool, sources: &Packed, budgets: &[usize]) -> Cache {
    let mut graph = Graph::inference(model.params(), pool, Regime::Bulk);
    let mut cache = model.cache();
    model.start(&mut graph, &mut cache, sources, budgets);
    cache
}

#[test]
fn logits_are_those_of_the_reference() {
    for name in models() {
        let (model, golden) = (open(name), golden(name));
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        for threads in [1, 2] {
            let logits = forward(&*model, &Pool::new(threads), &sources, &targets);
            let d = difference(&logits, &tensor(name, "logits"));
            println!("{name}, {threads} threads: logits {d:.1e}");
            assert!(d < 1e-5, "{name}: logits {d:e}");
        }
    }
}

#[test]
fn encoder_states_are_those_of_the_reference() {
    for name in T5S.into_iter().chain(["shared"]) {
        let (model, golden) = (T5::load(&folder(name)).unwrap(), golden(name));
        let sources = Packed::new(sequences(&golden["sources"])).unwrap();
        for threads in [1, 2] {
            let pool = Pool::new(threads);
            let mut graph = Graph::inference(&model.params, &pool, Regime::Bulk);
            let encoded = model.encode(&mut graph, &sources);
            let d = difference(encoded.value.data(), &tensor(name, "encoder"));
            assert!(d < 1e-5, "{name}: encoder {d:e}");
        }
    }
}

/// Feeding targets token by token through the cache gives the hidden states of the whole, both where few tokens are
/// expected, which look at the source's features, and where many are, for which keys and values are made.
#[test]
fn decoding_step_by_step_is_decoding_at_once() {
    for (name, tokens) in models().flat_map(|name| [(name, 1), (name, usize::MAX)]) {
        let (model, golden) = (open(name), golden(name));
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let pool = Pool::new(2);
        let packed = Packed::new(&sources).unwrap();
        let mut cache = started(&*model, &pool, &packed, &vec![tokens; packed.len()]);
        let inputs = Packed::new(&targets).unwrap().shifted_right(model.special_ids().start);
        let mut rows = vec![Vec::new(); inputs.tokens()];
        let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
        let mut live: Vec<usize> = (0..inputs.len()).collect();
        for position in 0..targets.iter().map(Vec::len).max().unwrap() {
            // Those that have ended leave; the others move up, and every other step they change places.
            let mut next: Vec<usize> =
                live.iter().copied().filter(|&i| position < inputs.range(i).len()).collect();
            if position % 2 == 1 {
                next.reverse();
            }
            let parents: Vec<usize> =
                next.iter().map(|i| live.iter().position(|other| other == i).unwrap()).collect();
            cache.select(&parents);
            live = next;
            let ids: Vec<u32> = live.iter().map(|&i| inputs.sequence(i)[position]).collect();
            let hidden = model.step(&mut steps, &Packed::singles(&ids), &mut cache);
            let logits = ops::logits(&steps, &hidden, model.softmax());
            for (row, &sequence) in live.iter().enumerate() {
                rows[inputs.range(sequence).start + position] = logits.row(row).to_vec();
            }
        }
        let d = difference(&rows.concat(), &tensor(name, "logits"));
        assert!(d < 1e-5, "{name}, {tokens} tokens: {d:e}");
    }
}

/// Hypotheses that share a past and then part give what each gives alone, bit for bit.
#[test]
fn hypotheses_that_share_their_past_are_those_that_do_not() {
    for (name, tokens) in models().flat_map(|name| [(name, 1), (name, usize::MAX)]) {
        let (model, golden) = (open(name), golden(name));
        let sources = sequences(&golden["sources"]);
        let (pool, start) = (Pool::new(2), model.special_ids().start);
        let packed = Packed::new(&sources[..2]).unwrap();
        let budgets = [tokens; 2];
        let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
        // Two steps of both sources, then three ways on for the second and one for the first.
        let mut shared = started(&*model, &pool, &packed, &budgets);
        model.step(&mut steps, &Packed::singles(&[start; 2]), &mut shared);
        model.step(&mut steps, &Packed::singles(&[5, 6]), &mut shared);
        shared.select(&[1, 0, 1, 1]);
        model.step(&mut steps, &Packed::singles(&[7, 8, 9, 10]), &mut shared);
        shared.select(&[3, 2, 1]);
        let last = model.step(&mut steps, &Packed::singles(&[11, 12, 13]), &mut shared);
        for (row, (source, ids)) in
            [(1, [start, 6, 10, 11]), (1, [start, 6, 9, 12]), (0, [start, 5, 8, 13])].iter().enumerate()
        {
            let mut alone = started(&*model, &pool, &packed, &budgets);
            alone.select(&[*source]);
            let found: Vec<Tensor> =
                ids.iter().map(|&id| model.step(&mut steps, &Packed::singles(&[id]), &mut alone)).collect();
            assert_eq!((alone.slots(), alone.length(0)), (1, ids.len()));
            assert!(found[3].data() == last.row(row), "{name}, {tokens} tokens, row {row}");
        }
    }
}

/// Several tokens in a step are what they are in steps of their own, bit for bit, beside slots that are fed others; what
/// is taken back leaves no trace.
#[test]
fn several_tokens_in_a_step_are_those_of_as_many_steps() {
    let types = [DType::F32, DType::Bf16, DType::F16];
    for (name, dtype) in models().flat_map(|name| types.map(|dtype| (name, dtype))) {
        let (mut model, golden) = (open(name), golden(name));
        model.params_mut().store_matrices_as(dtype);
        let sources = sequences(&golden["sources"]);
        let start = model.special_ids().start;
        let packed = Packed::new(&sources[..2]).unwrap();
        for (tokens, threads) in [(1, 1), (1, 2), (usize::MAX, 1), (usize::MAX, 2)] {
            let pool = Pool::new(threads);
            let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
            let alone = |source: usize, ids: &[u32]| -> Vec<Vec<f32>> {
                let mut cache = started(&*model, &pool, &packed, &[tokens; 2]);
                cache.select(&[source]);
                let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
                let step =
                    |&id: &u32| model.step(&mut steps, &Packed::singles(&[id]), &mut cache).data().to_vec();
                ids.iter().map(step).collect()
            };
            let mut cache = started(&*model, &pool, &packed, &[tokens; 2]);
            // Two hypotheses of the second source, and one of the first between them.
            cache.select(&[1, 0, 1]);
            let mut fed: [Vec<u32>; 3] = Default::default();
            for (step, back) in [
                ([vec![start], vec![start, 5, 6], vec![start]], [0, 2, 0]),
                ([vec![7, 8, 9, 10], vec![11], vec![12, 13]], [3, 0, 0]),
                ([vec![5, 5], vec![8, 9, 4], vec![6, 7, 8]], [0, 1, 3]),
                ([vec![9], vec![6], vec![5, 6]], [0, 0, 0]),
            ] {
                let hidden = model.step(&mut steps, &Packed::new(&step).unwrap(), &mut cache);
                let mut row = 0;
                for (slot, source) in [1, 0, 1].into_iter().enumerate() {
                    fed[slot].extend(&step[slot]);
                    let want = alone(source, &fed[slot]);
                    for want in &want[want.len() - step[slot].len()..] {
                        assert!(want == hidden.row(row), "{name}, {dtype:?}, {tokens} tokens, slot {slot}");
                        row += 1;
                    }
                    cache.take_back(slot, back[slot]);
                    fed[slot].truncate(fed[slot].len() - back[slot]);
                    assert_eq!(cache.length(slot), fed[slot].len());
                }
                assert_eq!((row, hidden.rows()), (step.concat().len(), row));
            }
            assert_eq!(cache.held(), fed.concat().len());
        }
    }
}

/// Sources of which features are kept beside sources of which there are keys and values: each is what it is alone, bit
/// for bit, and room that one has left is used by the next.
#[test]
fn sources_kept_in_two_ways_go_side_by_side() {
    for name in models() {
        let (model, golden) = (open(name), golden(name));
        let sources = sequences(&golden["sources"]);
        let (pool, start) = (Pool::new(2), model.special_ids().start);
        let budgets: Vec<usize> = (0..3).map(|i| if i % 2 == 0 { 1 } else { usize::MAX }).collect();
        let alone = |i: usize, ids: &[u32]| -> Vec<f32> {
            let packed = Packed::new(&sources[i..=i]).unwrap();
            let mut cache = started(&*model, &pool, &packed, &budgets[i..=i]);
            let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
            ids.iter()
                .map(|&id| model.step(&mut steps, &Packed::singles(&[id]), &mut cache))
                .last()
                .unwrap()
                .data()
                .to_vec()
        };
        let packed = Packed::new(&sources[..2]).unwrap();
        let mut cache = started(&*model, &pool, &packed, &budgets[..2]);
        let mut steps = Graph::inference(model.params(), &pool, Regime::Steps);
        model.step(&mut steps, &Packed::singles(&[start; 2]), &mut cache);
        // A third comes when the others have a past, then the first goes.
        let mut bulk = Graph::inference(model.params(), &pool, Regime::Bulk);
        model.start(&mut bulk, &mut cache, &Packed::new(&sources[2..3]).unwrap(), &budgets[2..]);
        let hidden = model.step(&mut steps, &Packed::singles(&[5, 6, start]), &mut cache);
        for (row, ids) in [&[start, 5][..], &[start, 6], &[start]].iter().enumerate() {
            assert!(alone(row, ids) == hidden.row(row), "{name}, source {row}");
        }
        cache.select(&[2, 1]);
        let hidden = model.step(&mut steps, &Packed::singles(&[8, 9]), &mut cache);
        for (row, (source, ids)) in [(2, &[start, 8][..]), (1, &[start, 6, 9])].iter().enumerate() {
            assert!(alone(*source, ids) == hidden.row(row), "{name}, source {source} after another has gone");
        }
        assert_eq!((cache.slots(), cache.held()), (2, 5));
    }
}

/// Examples one by one give what they give together, bit for bit: the size of a batch chooses no kernel. The portable
/// kernels alone leave products of many rows to a crate that sums in another order.
#[test]
fn a_batch_is_its_examples() {
    for name in models() {
        let (model, golden) = (open(name), golden(name));
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        let pool = Pool::new(2);
        let logits = forward(&*model, &pool, &sources, &targets);
        let mut one_by_one = Vec::new();
        for (source, target) in sources.iter().zip(&targets) {
            let (source, target) = (std::slice::from_ref(source), std::slice::from_ref(target));
            one_by_one.extend(forward(&*model, &pool, source, target));
        }
        if isa().is_portable() {
            assert!(difference(&one_by_one, &logits) < 2e-6, "{name}");
        } else {
            assert!(one_by_one == logits, "{name}");
        }
    }
}

/// Half-precision storage stays within the rounding of its type: 2^-8 for bf16, 2^-11 for f16, a weight, and the
/// products of a few layers add a few of them up. Products in bf16 round their other factor too (6.5e-2 measured, where
/// transformers in bfloat16 is off by 7.5e-2); f16, and bf16 where there are no instructions for it, is the same in
/// either precision.
#[test]
fn half_storage_is_close() {
    for name in models() {
        let golden = golden(name);
        let (sources, targets) = (sequences(&golden["sources"]), sequences(&golden["targets"]));
        for (dtype, bound) in [(DType::Bf16, 5e-2), (DType::F16, 6e-3)] {
            let mut model = open(name);
            model.params_mut().store_matrices_as(dtype);
            let [wide, stored] = [Precision::F32, Precision::Stored]
                .map(|precision| forward_in(precision, &*model, &Pool::new(2), &sources, &targets));
            let fast = dtype == DType::Bf16 && bf16_products();
            assert_eq!(wide != stored, fast, "{name}, {}", dtype.name());
            for (logits, bound) in [(wide, bound), (stored, if fast { 8e-2 } else { bound })] {
                let d = difference(&logits, &tensor(name, "logits"));
                println!("{name}, {}: {d:.1e}", dtype.name());
                assert!(d < bound && d > 1e-5, "{name}, {}: {d:e}", dtype.name());
            }
        }
    }
}

/// The same with weights in bf16, sources of 1 to 300 tokens and any number of threads, whether there are instructions
/// for products in bf16 or the weights are widened.
#[test]
fn with_weights_in_bf16_a_batch_is_its_examples() {
    for name in ["mt5", "nezha", "roformer"] {
        let mut model = open(name);
        model.params_mut().store_matrices_as(DType::Bf16);
        let rows = model.rows();
        let sequence = |length: usize| (0..length).map(|i| (3 + i * i % (rows - 3)) as u32).collect();
        let all: Vec<Vec<u32>> = [1, 300, 2, 31, 33, 1, 64].map(sequence).into();
        let logits = forward(&*model, &Pool::new(2), &all, &all);
        for threads in [1, 2, 3] {
            let mut one_by_one = Vec::new();
            for ids in all.iter().map(std::slice::from_ref) {
                one_by_one.extend(forward(&*model, &Pool::new(threads), ids, ids));
            }
            if isa().is_portable() {
                assert!(difference(&one_by_one, &logits) < 2e-6, "{name}");
            } else {
                assert!(one_by_one == logits, "{name}, {threads} threads");
            }
        }
    }
}
