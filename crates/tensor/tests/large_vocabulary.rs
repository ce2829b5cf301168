//! The logits of a 250,112-row vocabulary never exist whole, nor do the moments of rows that no text has. A program of
//! its own: it looks at this process's memory.

use t5kit_tensor::ops::{AdamW, CrossEntropy, Learning, adamw, cross_entropy, embedding};
use t5kit_tensor::{Gradients, Graph, Params, Pool, Rng, Tensor, Weight};

const ROWS: usize = 250_112;

/// The most memory this process has had, in bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() << 10
}

/// Both: what one does must not grow while the other looks.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs Linux's /proc")]
fn memory() {
    the_logits_of_all_tokens_are_never_there_at_once();
    moments_take_memory_row_by_row();
}

fn the_logits_of_all_tokens_are_never_there_at_once() {
    let (tokens, features) = (600, 4);
    let whole = 4 * tokens * ROWS;
    let mut rng = Rng::new(1, 0);
    let mut normal = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.normal() as f32).collect() };
    let mut params = Params::default();
    let id = params.add("lm_head", Weight::owned(&[ROWS, features], normal(ROWS * features)));
    let pool = Pool::new(2);
    let mut graph = Graph::training(&params, &pool, None);
    let x = graph.leaf(Tensor::from_vec(tokens, features, normal(tokens * features)));
    let targets: Vec<u32> = (0..tokens as u32).map(|t| t * 416).collect();
    let options = CrossEntropy { label_smoothing: 0.1, z_loss: 1e-4, ..CrossEntropy::default() };
    let mut gradients = Gradients::new();
    let before = peak();
    let losses = cross_entropy(&graph, &x, id, &targets, options, Some(&mut gradients));
    let grown = peak() - before;
    assert!(losses.tokens.iter().all(|l| l.is_finite()) && gradients.param(id).is_some());
    println!("the logits of all tokens: {} MB; memory grew by {} MB", whole >> 20, grown >> 20);
    assert!(grown < whole / 3, "{grown} of {whole} bytes");
}

fn moments_take_memory_row_by_row() {
    let features = 64;
    let whole = 4 * ROWS * features;
    let mut params = Params::default();
    let id = params.add("shared", Weight::owned(&[ROWS, features], vec![1.0; ROWS * features]));
    let pool = Pool::new(2);
    let mut gradients = Gradients::new();
    gradients.keep_rows(id);
    let mut state = [[(); 2].map(|()| Tensor::untouched(ROWS, features)).to_vec()];
    let step = AdamW {
        lr: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.5,
        l2: 0.0,
        bias1: 0.1,
        bias2: 0.001,
        grad_scale: 1.0,
    };
    let before = peak();
    for ids in [[7, 250_000, 7], [1, 8, 30_000]] {
        gradients.clear();
        let mut graph = Graph::training(&params, &pool, None);
        let y = embedding(&mut graph, id, &ids);
        gradients.put(y.node().unwrap(), Tensor::from_vec(3, features, vec![1.0; 3 * features]));
        graph.backward(&mut gradients);
        let params = &mut params;
        adamw(&pool, &step, Learning { params, gradients: &gradients, state: &mut state, lazy: false });
    }
    let grown = peak().saturating_sub(before);
    println!("two moments of {ROWS} rows: {} MB; memory grew by {} MB", whole >> 19, grown >> 20);
    let w = params.get(id).to_tensor();
    let w = w.data();
    // Twice 5 % less where there is no gradient, and more than that where there was one.
    assert!((w[0] - 0.9025).abs() < 1e-6 && w[7 * features] < 0.8 && w[250_000 * features] < 0.8, "{}", w[0]);
    let [m, v] = &state[0][..] else { panic!("two moments") };
    assert!(m.row(7)[0] > 0.0 && m.row(0)[0] == 0.0 && v.row(30_000)[63] > 0.0);
    assert!(grown < whole / 8, "{grown} of {} bytes", 2 * whole);
}
