//! The logits of a 250,112-row vocabulary never exist whole. A program of its own: it looks at this process's memory.

use t5kit_tensor::ops::{CrossEntropy, cross_entropy};
use t5kit_tensor::{Gradients, Graph, Params, Pool, Rng, Tensor, Weight};

const ROWS: usize = 250_112;

/// The most memory this process has had, in bytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<usize>().ok()? << 10)
}

#[test]
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
    let Some(before) = peak() else { return };
    let losses = cross_entropy(&graph, &x, id, &targets, options, Some(&mut gradients));
    let grown = peak().unwrap() - before;
    assert!(losses.tokens.iter().all(|l| l.is_finite()) && gradients.param(id).is_some());
    println!("the logits of all tokens: {} MB; memory grew by {} MB", whole >> 20, grown >> 20);
    assert!(grown < whole / 3, "{grown} of {whole} bytes");
}
