//! The probability of given targets.

use t5kit_model::T5;
use t5kit_tensor::{Graph, Pool, Regime, ops};

use crate::Error;
use crate::batches::{BatchLimits, group, pack};

/// How probable a model finds a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Log-probability (natural) of every token, `</s>` included.
    pub tokens: Vec<f32>,
}

impl Score {
    /// Log-probability of the whole target.
    pub fn log_prob(&self) -> f64 {
        self.tokens.iter().map(|&t| f64::from(t)).sum()
    }
}

/// Scores target `i` for source `i`. Both end in `</s>`; `each` is handed the number of pairs done so far.
pub fn score(
    model: &T5,
    pool: &Pool,
    sources: &[Vec<u32>],
    targets: &[Vec<u32>],
    limits: BatchLimits,
    mut each: impl FnMut(usize),
) -> Result<Vec<Score>, Error> {
    assert_eq!(sources.len(), targets.len(), "one target a source");
    let lengths: Vec<usize> = sources.iter().zip(targets).map(|(s, t)| s.len() + t.len()).collect();
    let mut scores = vec![Score::default(); sources.len()];
    let mut done = 0;
    for batch in group(&lengths, limits) {
        let rows = model.config.vocab_size;
        let source = pack("source", sources, &batch, rows)?;
        let target = pack("target", targets, &batch, rows)?;
        let mut graph = Graph::inference(&model.params, pool, Regime::Bulk);
        let encoded = model.encode(&mut graph, &source);
        let inputs = target.shifted_right(model.config.decoder_start_token_id);
        let hidden = model.decode(&mut graph, &inputs, &source, &encoded);
        let losses = ops::cross_entropy(
            &graph,
            &hidden,
            model.softmax(),
            target.ids(),
            ops::CrossEntropy::default(),
            None,
        );
        for (&i, range) in batch.iter().zip(target.ranges()) {
            scores[i].tokens = losses.tokens[range].iter().map(|loss| -loss).collect();
        }
        done += batch.len();
        each(done);
    }
    Ok(scores)
}
