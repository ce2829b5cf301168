//! How fast a model generates: by batch size and beams, beside the least time that it can take on this machine.

use std::ops::ControlFlow;

use serde_json::{Value, json};
use t5kit_formats::progress::{Progress, Stopped, Watch};
use t5kit_generate::{BatchLimits, GenerateOptions};
use t5kit_model::floor::Generation;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::{DType, Precision, rates};

use crate::outputs::timed;
use crate::{Error, Speed, SpeedOptions, begin_peak, peak_bytes};

/// One way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Sources of a request, worked on together.
    pub batch_size: usize,
    /// Beams; 1: greedy.
    pub num_beams: usize,
}

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The ways to ask.
    pub cells: Vec<Cell>,
    /// Tokens generated for every source, exactly.
    pub new_tokens: usize,
    /// Times that each way is measured, in turn with the others, after one request to warm up.
    pub rounds: usize,
}

/// The least time that the work can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Seconds of a round.
    pub seconds: f64,
    /// Operations of a round; a multiply-add is two.
    pub operations: f64,
    /// Bytes that a round reads, at least.
    pub bytes: f64,
}

/// What one way of asking came to.
#[derive(Clone, Debug, PartialEq)]
pub struct CellFigures {
    /// The way.
    pub cell: Cell,
    /// Sources, tokens and seconds of the rounds.
    pub speed: Speed,
    /// Seconds of every request of all rounds, the shortest first.
    pub requests: Vec<f64>,
    /// The most bytes that the process held meanwhile, where the system tells.
    pub peak_bytes: Option<u64>,
    /// The floor of a round.
    pub floor: Floor,
}

impl CellFigures {
    /// The least seconds that a share of the requests stays within, by the nearest rank.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.requests.len() as f64).ceil() as usize;
        self.requests.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// Sources a second at the floor.
    pub fn floor_samples_per_second(&self) -> f64 {
        self.speed.options.sources as f64 / self.floor.seconds
    }

    /// How much of the floor is reached: 1 is all that the machine can do.
    pub fn share(&self) -> f64 {
        self.speed.samples_per_second() / self.floor_samples_per_second()
    }

    fn to_json(&self) -> Value {
        let ms = |share| 1e3 * self.percentile(share);
        json!({
            "batch_size": self.cell.batch_size,
            "num_beams": self.cell.num_beams,
            "samples_per_second": self.speed.samples_per_second(),
            "new_tokens_per_second": self.speed.tokens_per_second(),
            "latency_ms": {"p50": ms(0.5), "p90": ms(0.9), "p99": ms(0.99)},
            "requests": self.requests.len(),
            "sources": self.speed.options.sources,
            "new_tokens": self.speed.tokens,
            "seconds": self.speed.seconds,
            "peak_memory_bytes": self.peak_bytes,
            "floor": {
                "samples_per_second": self.floor_samples_per_second(),
                "share": self.share(),
                "operations": self.floor.operations,
                "bytes": self.floor.bytes,
            },
        })
    }
}

/// A model in one storage type.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchFigures {
    /// What most numbers of the layers' matrices are stored as.
    pub dtype: &'static str,
    /// Bytes of the weights as they are held.
    pub weight_bytes: u64,
    /// Operations a second of products, and bytes a second read, as measured.
    pub rates: [f64; 2],
    /// What was measured so far, in the order asked for.
    pub cells: Vec<CellFigures>,
}

impl BenchFigures {
    /// For programs; see docs/bench.md.
    pub fn to_json(&self) -> Value {
        json!({
            "dtype": self.dtype,
            "weight_bytes": self.weight_bytes,
            "operations_per_second": self.rates[0],
            "bytes_per_second": self.rates[1],
            "results": self.cells.iter().map(CellFigures::to_json).collect::<Vec<_>>(),
        })
    }
}

/// Measures a model: `sources` are ids, at least as many as the largest batch. Of each cell as many sources count as make
/// whole requests. A request is a call of [`generate`](t5kit_generate::generate) that is waited for.
///
/// Where `watch` ends it there are the figures of the rounds that were finished; `stage` is what it is told. The second
/// result is whether all was measured.
///
/// # Errors
/// Those of generating.
pub fn bench(
    model: &Pipeline,
    sources: &[Vec<u32>],
    options: &BenchOptions,
    stage: &str,
    watch: &mut dyn Watch,
) -> Result<(BenchFigures, bool), Error> {
    let dtype = layers_type(model);
    let lengths: Vec<usize> = sources.iter().map(Vec::len).collect();
    let step = model.model.widths().step_weights(1 + options.new_tokens) * bytes_of(dtype);
    let read = (step as usize).min(MOST_READ);
    let measure = || rates(model.model.params(), &model.pool, dtype, read);
    let before = measure();
    let mut cells: Vec<CellFigures> = Vec::new();
    for &cell in &options.cells {
        let count = (sources.len() / cell.batch_size).max(1) * cell.batch_size;
        let count = count.min(sources.len());
        let speed = SpeedOptions { sources: count, batch_size: cell.batch_size, rounds: 0 };
        cells.push(CellFigures {
            cell,
            speed: Speed { options: speed, tokens: 0, seconds: Vec::new() },
            requests: Vec::new(),
            peak_bytes: None,
            floor: Floor { seconds: 0.0, operations: 0.0, bytes: 0.0 },
        });
    }
    let mut at = 0;
    let total = cells.len() * (options.rounds + 1);
    let mut all = || -> Result<(), Error> {
        for round in 0..=options.rounds {
            for figures in &mut cells {
                // Asked in the middle of a round too: a long one can be ended.
                let mut ask = || watch.progress(Progress::items(stage, "rounds", at, Some(total)));
                if ask().is_break() {
                    return Err(Stopped.into());
                }
                match round {
                    0 => warm_up(model, sources, options.new_tokens, figures.cell, &mut ask)?,
                    _ => figures.round(model, sources, options.new_tokens, &mut ask)?,
                }
                at += 1;
            }
        }
        Ok(())
    };
    let ended = all();
    let complete = match ended {
        Ok(()) => true,
        Err(Error::Stopped(Stopped)) => false,
        Err(error) => return Err(error),
    };
    cells.retain(|figures| !figures.speed.seconds.is_empty());
    // What the machine gave at its best is what it can do: others may have had a part of it before or after.
    let after = if complete { measure() } else { before };
    let rates = [before[0].max(after[0]), before[1].max(after[1])];
    for figures in &mut cells {
        let lengths = &lengths[..figures.speed.options.sources];
        figures.floor = floor(model, lengths, figures.cell, options.new_tokens, dtype, rates);
        figures.requests.sort_by(f64::total_cmp);
    }
    // By now products have made of weights what they will.
    let weight_bytes = model.model.params().iter().map(|(_, _, weight)| weight.bytes() as u64).sum();
    Ok((BenchFigures { dtype: dtype.name(), weight_bytes, rates, cells }, complete))
}

/// Bytes that reading is measured with, at most: more than any cache.
const MOST_READ: usize = 512 << 20;

/// What most numbers of the layers' matrices are stored as.
fn layers_type(model: &Pipeline) -> DType {
    let model = &model.model;
    let mut vocabulary = model.looked_up();
    vocabulary.push(model.softmax().weight);
    let numbers = |dtype: DType| -> usize {
        let layers = model.params().iter().filter(|(id, _, weight)| {
            weight.shape().len() == 2 && weight.dtype() == dtype && !vocabulary.contains(id)
        });
        layers.map(|(_, _, weight)| weight.len()).sum()
    };
    DType::WEIGHTS.into_iter().max_by_key(|&dtype| numbers(dtype)).unwrap_or(DType::F32)
}

/// Bytes of a number, the share of a scale among them.
fn bytes_of(dtype: DType) -> f64 {
    match dtype {
        // A scale for every 32 columns.
        DType::I4 => 0.5 + 4.0 / 32.0,
        dtype => dtype.size() as f64,
    }
}

fn floor(
    model: &Pipeline,
    sources: &[usize],
    cell: Cell,
    new_tokens: usize,
    dtype: DType,
    [operations, bytes]: [f64; 2],
) -> Floor {
    let Cell { batch_size: batch, num_beams: hypotheses } = cell;
    let softmax = model.model.params().get(model.model.softmax().weight).dtype();
    let kept = model.model.kept(Precision::Stored).size() as f64;
    // In a model of whole numbers the features are as well.
    let feature = if matches!(dtype, DType::I8 | DType::I4) { 1.0 } else { kept };
    let work = model.model.widths().generation_work(Generation {
        sources,
        batch,
        hypotheses,
        new_tokens,
        number: bytes_of(dtype),
        softmax: bytes_of(softmax),
        feature,
        kept,
    });
    Floor {
        seconds: work.iter().map(|part| part.seconds(operations, bytes)).sum(),
        operations: work.iter().map(|part| part.operations).sum(),
        bytes: work.iter().map(|part| part.bytes).sum(),
    }
}

/// As many tokens for every source, whatever the model would say.
fn options(model: &Pipeline, cell: Cell, new_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_new_tokens: new_tokens,
        min_new_tokens: new_tokens,
        num_beams: cell.num_beams,
        limits: Some(BatchLimits { sequences: cell.batch_size, tokens: usize::MAX }),
        ..model.generate_options()
    }
}

fn warm_up(
    model: &Pipeline,
    sources: &[Vec<u32>],
    new_tokens: usize,
    cell: Cell,
    ask: Ask<'_>,
) -> Result<(), Error> {
    let request = &sources[..cell.batch_size.min(sources.len())];
    timed(model, request, &options(model, cell, new_tokens), ask)?;
    Ok(())
}

/// Whether to go on.
type Ask<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

impl CellFigures {
    /// Measures one round: request after request.
    fn round(
        &mut self,
        model: &Pipeline,
        sources: &[Vec<u32>],
        new_tokens: usize,
        ask: Ask<'_>,
    ) -> Result<(), Error> {
        let options = options(model, self.cell, new_tokens);
        let (mut requests, mut tokens) = (Vec::new(), 0);
        let begun = begin_peak();
        for request in sources[..self.speed.options.sources].chunks(self.cell.batch_size) {
            let (made, seconds) = timed(model, request, &options, ask)?;
            tokens += made;
            requests.push(seconds);
        }
        if let Some(peak) = peak_bytes().filter(|_| begun) {
            self.peak_bytes = self.peak_bytes.max(Some(peak));
        }
        self.speed.tokens = tokens;
        self.speed.options.rounds += 1;
        self.speed.seconds.push(requests.iter().sum());
        self.requests.extend(requests);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_requests_and_shares_of_the_floor() {
        let speed = SpeedOptions { sources: 4, batch_size: 1, rounds: 1 };
        let figures = CellFigures {
            cell: Cell { batch_size: 1, num_beams: 1 },
            speed: Speed { options: speed, tokens: 8, seconds: vec![2.0] },
            requests: (1..=100).map(f64::from).collect(),
            peak_bytes: None,
            floor: Floor { seconds: 1.0, operations: 1e9, bytes: 1e6 },
        };
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| figures.percentile(share)), [50.0, 90.0, 99.0, 100.0]);
        assert_eq!((figures.floor_samples_per_second(), figures.share()), (4.0, 0.5));
        let json = figures.to_json();
        assert_eq!((&json["latency_ms"]["p90"], &json["floor"]["share"]), (&json!(90_000.0), &json!(0.5)));
        let one = CellFigures { requests: vec![3.0], ..figures };
        assert_eq!([0.5, 0.99].map(|share| one.percentile(share)), [3.0, 3.0]);
    }
}
