//! A model's texts for the sources of the examples, and how fast it decodes.

use std::ops::ControlFlow;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use t5kit_formats::progress::{Progress, Stopped, Watch};
use t5kit_generate::{BatchLimits, GenerateOptions, Generated, generate};
use t5kit_pipeline::{Encoder, OnLong, Pipeline, Settled, Spelling, Wishes};
use t5kit_tokenizer::Punctuation;

use crate::Error;

/// How a model is asked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// How to generate, as far as it is not left to the model's files.
    pub wishes: Wishes,
    /// Tokens that a source is cut to.
    pub max_source_length: usize,
    /// What happens to half-width punctuation in generated Chinese.
    pub punctuation: Punctuation,
    /// Whether that was asked for, and is not the model's own.
    pub asks_punctuation: bool,
    /// Sources worked on together.
    pub limits: Option<BatchLimits>,
    /// How the speed is measured; `None`: it is not.
    pub speed: Option<SpeedOptions>,
}

/// How decoding speed is measured: the first sources, which are the same for all models, in batches of one size; once to
/// warm up, then so many times, of which the median counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpeedOptions {
    /// Sources, at most.
    pub sources: usize,
    /// Sources in a batch.
    pub batch_size: usize,
    /// Times that are measured.
    pub rounds: usize,
}

impl Default for SpeedOptions {
    fn default() -> Self {
        SpeedOptions { sources: 64, batch_size: 16, rounds: 3 }
    }
}

/// How fast a model decodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// How it was measured; the sources are those that there were.
    pub options: SpeedOptions,
    /// Tokens generated for the sources, the end included.
    pub tokens: usize,
    /// Seconds of each round.
    pub seconds: Vec<f64>,
}

impl Speed {
    /// The median round.
    fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let n = seconds.len();
        match n {
            0 => f64::NAN,
            _ => (seconds[(n - 1) / 2] + seconds[n / 2]) / 2.0,
        }
    }

    /// Sources a second.
    pub fn samples_per_second(&self) -> f64 {
        self.options.sources as f64 / self.median()
    }

    /// New tokens a second, the end included.
    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.median()
    }
}

/// What a model made of the examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// The best text for each source.
    pub texts: Vec<String>,
    /// Tokens generated for them, the end included.
    pub tokens: usize,
    /// How many sources were cut.
    pub cut: usize,
    /// How fast it decodes.
    pub speed: Option<Speed>,
    /// Pieces of its tokenizer.
    pub pieces: usize,
    /// The probability of each text among the labels, where labels were scored.
    #[serde(default)]
    pub probabilities: Vec<f32>,
    /// Texts that are no whole ones of those that were permitted.
    #[serde(default)]
    pub unfinished: usize,
}

/// Generates the best text for each source; its stages are `generating` and `measuring`. What became of the model's own
/// defaults is in `settled`.
///
/// # Errors
/// Those of generating; [`Error::Stopped`] by `watch`.
pub fn outputs(
    model: &Pipeline,
    sources: &[String],
    asked: &Asked,
    settled: &Settled,
    watch: &mut dyn Watch,
) -> Result<Outputs, Error> {
    let options = &settled.options;
    let mut encoder = Encoder::new(model, "source", asked.max_source_length, OnLong::Cut);
    let ids = sources.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
    let spelling = Spelling::new(&model.tokenizer, asked.punctuation);
    let spelling = spelling.constrained(options, asked.asks_punctuation);
    let mut found = Outputs {
        texts: vec![String::new(); sources.len()],
        cut: encoder.cut(),
        pieces: model.tokenizer.vocab_size(),
        ..Outputs::default()
    };
    let whole = GenerateOptions { limits: asked.limits.or(options.limits), ..options.clone() };
    let (mut done, mut end) = (0, Ok(()));
    generate(&*model.model, &model.pool, &ids, &whole, |i, targets: Vec<Generated>| {
        if let Some(best) = targets.first() {
            found.texts[i] = spelling.text(best);
            if let Some(probability) = best.probability {
                found.probabilities.resize(ids.len(), 0.0);
                found.probabilities[i] = probability;
            }
            let permitted = options.constraint.as_ref();
            let said = best.ids.get(options.prefix.len()..).unwrap_or_default();
            found.unfinished += usize::from(permitted.is_some_and(|constraint| !constraint.accepts(said)));
            found.tokens += best.ids.len();
        }
        done += 1;
        end = watch.go_on(Progress::items("generating", "texts", done, Some(sources.len())));
        if end.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    end?;
    if let Some(speed) = asked.speed.filter(|speed| speed.rounds > 0 && !ids.is_empty()) {
        found.speed =
            Some(measured(model, &ids[..speed.sources.clamp(1, ids.len())], speed, options, watch)?);
    }
    Ok(found)
}

fn measured(
    model: &Pipeline,
    sources: &[Vec<u32>],
    speed: SpeedOptions,
    options: &GenerateOptions,
    watch: &mut dyn Watch,
) -> Result<Speed, Error> {
    let limits = BatchLimits { sequences: speed.batch_size.max(1), tokens: usize::MAX };
    let options = GenerateOptions { limits: Some(limits), ..options.clone() };
    let speed = SpeedOptions { sources: sources.len(), ..speed };
    let mut found = Speed { options: speed, tokens: 0, seconds: Vec::new() };
    for round in 0..=speed.rounds {
        watch.go_on(Progress::items("measuring", "rounds", round, Some(speed.rounds + 1)))?;
        let (tokens, seconds) = timed(model, sources, &options, &mut || ControlFlow::Continue(()))?;
        if round > 0 {
            found.seconds.push(seconds);
        }
        found.tokens = tokens;
    }
    Ok(found)
}

/// Generates for all of the sources once: tokens of the best texts, and seconds. After every source
/// `ask` is asked whether to go on.
///
/// # Errors
/// Those of generating; [`Error::Stopped`] by `ask`.
pub(crate) fn timed(
    model: &Pipeline,
    sources: &[Vec<u32>],
    options: &GenerateOptions,
    ask: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<(usize, f64), Error> {
    let (mut tokens, mut flow) = (0, ControlFlow::Continue(()));
    let begun = Instant::now();
    generate(&*model.model, &model.pool, sources, options, |_, targets| {
        tokens += targets.first().map_or(0, |best| best.ids.len());
        flow = ask();
        flow
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    if flow.is_break() {
        return Err(Stopped.into());
    }
    Ok((tokens, seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_counts() {
        let options = SpeedOptions { sources: 8, batch_size: 4, rounds: 3 };
        let speed = Speed { options, tokens: 80, seconds: vec![9.0, 2.0, 4.0] };
        assert_eq!((speed.samples_per_second(), speed.tokens_per_second()), (2.0, 20.0));
        let speed = Speed { seconds: vec![2.0, 6.0], ..speed };
        assert_eq!(speed.samples_per_second(), 2.0);
    }
}
