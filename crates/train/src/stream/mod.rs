//! Documents without an end for continued pre-training: streamed, shuffled in a bounded window, cut into chunks that fill
//! what an objective wants, in batches that are always full.
//!
//! Everything that comes out is a function of the settings and of the place ([`Place`]): which window of which source,
//! how far into it, how many draws. So a checkpoint needs no more than that to go on bit for bit.

mod held_out;
mod window;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use t5kit_formats::inputs::Input;
use t5kit_formats::progress::Watch;
use t5kit_formats::table::{ColumnRef, TableOptions};
use t5kit_tasks::objective::{Budget, Choices, Prepared};
use t5kit_tensor::{Pool, Rng, mix};
use t5kit_tokenizer::Tokenizer;

use crate::{Error, Examples, Stream};
pub use held_out::held_out_examples;
use window::{At, Window};

/// Files whose documents are drawn together, and how often one of them is.
#[derive(Clone, Debug)]
pub struct DocumentSource {
    /// The files.
    pub files: Vec<Input>,
    /// How probable each draw is to be from here, in proportion to the other sources' weights.
    pub weight: f64,
}

/// What a stream is made of.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Where documents come from.
    pub sources: Vec<DocumentSource>,
    /// The column of tables that has the text, where its name does not say so.
    pub column: Option<ColumnRef>,
    /// How the files are read.
    pub table: TableOptions,
    /// Bad rows are left out.
    pub skip_bad_rows: bool,
    /// What sources and targets are cut to, `</s>` included.
    pub budget: Budget,
    /// Examples a batch.
    pub batch_size: usize,
    /// Text that is held and shuffled at a time, in bytes.
    pub window_bytes: usize,
    /// The share of the documents that is held out: never part of the stream.
    pub held_out: f64,
    /// Decides the order of everything and which documents are held out.
    pub seed: u64,
}

/// The default of [`StreamOptions::window_bytes`].
pub const WINDOW_BYTES: usize = 16 << 20;

/// Names of columns that hold documents.
const USUAL: [&str; 8] = ["text", "content", "document", "article", "sentence", "abstract", "body", "正文"];

/// Where a stream stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    /// Examples that were drawn.
    draws: u64,
    /// Bytes of text that were used.
    bytes: f64,
    /// Each source's window, and the next chunk in it.
    sources: Vec<At>,
}

/// Documents as examples of an objective.
pub struct Documents<'a> {
    options: StreamOptions,
    tokenizer: &'a Tokenizer,
    pool: &'a Pool,
    objective: &'a Prepared<'a>,
    windows: Vec<Window>,
    draws: u64,
    bytes: f64,
    /// Bytes of all files.
    all_bytes: f64,
    fingerprint: String,
    /// What was passed over.
    pub facts: StreamFacts,
}

/// What was seen while documents were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// Bad rows left out.
    pub skipped: u64,
    /// Documents, or what was left of them, too short for the objective.
    pub too_short: u64,
}

impl<'a> Documents<'a> {
    /// A stream from the beginning. `objective_name` is part of what a resumed run knows its data by.
    pub fn new(
        options: StreamOptions,
        objective: &'a Prepared<'a>,
        objective_name: &str,
        tokenizer: &'a Tokenizer,
        pool: &'a Pool,
    ) -> Self {
        let mut hash = mix(options.seed, options.batch_size as u64);
        let mut text = |text: &str| hash = held_out::hash(hash, text.as_bytes());
        text(objective_name);
        text(tokenizer.sha256());
        text(&format!("{:?} {:?} {}", options.budget, options.column, options.window_bytes));
        text(&format!("{}", options.held_out));
        for source in &options.sources {
            text(&format!("{}", source.weight));
            source.files.iter().for_each(|file| text(&format!("{} {}", file.bytes, file.head_sha256)));
        }
        let all_bytes =
            options.sources.iter().flat_map(|source| &source.files).map(|file| file.bytes).sum::<u64>();
        let windows = (0..options.sources.len()).map(Window::new).collect();
        Documents {
            fingerprint: format!("{hash:016x}"),
            windows,
            objective,
            tokenizer,
            pool,
            draws: 0,
            bytes: 0.0,
            all_bytes: all_bytes.max(1) as f64,
            facts: StreamFacts::default(),
            options,
        }
    }

    /// The source of a draw, by the weights.
    fn drawn(&self, rng: &mut Rng) -> usize {
        let sources = &self.options.sources;
        let mut left = rng.uniform() * sources.iter().map(|source| source.weight).sum::<f64>();
        let found = sources.iter().position(|source| {
            left -= source.weight;
            left < 0.0
        });
        found.unwrap_or(sources.len() - 1)
    }
}

impl Stream for Documents<'_> {
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn largest(&self) -> (usize, usize) {
        let Budget { source, target } = self.options.budget;
        (source * self.options.batch_size, target * self.options.batch_size)
    }

    fn batch(&mut self, watch: &mut dyn Watch) -> Result<Examples, Error> {
        let mut ids: Vec<[Vec<u32>; 2]> = Vec::with_capacity(self.options.batch_size);
        let mut failed = 0;
        while ids.len() < self.options.batch_size {
            let mut rng = Rng::new(mix(self.options.seed, DRAWS), self.draws);
            let source = self.drawn(&mut rng);
            let reading = window::Reading {
                options: &self.options,
                objective: self.objective,
                tokenizer: self.tokenizer,
                pool: self.pool,
            };
            let chunk = self.windows[source].next(&reading, &mut self.facts, watch)?;
            self.draws += 1;
            self.bytes += chunk.bytes;
            let [mut input, mut target] = [Vec::new(), Vec::new()];
            match self.objective.example(chunk.ids, chunk.text, &mut Drawn(rng), &mut input, &mut target) {
                Ok(()) => {
                    ids.push([input, target]);
                    failed = 0;
                }
                Err(error) => {
                    self.facts.too_short += 1;
                    failed += 1;
                    if failed == PATIENCE {
                        return Err(Error::Objective(error));
                    }
                }
            }
        }
        Ok(Examples::from_ids(ids.iter().map(|[input, target]| (&input[..], &target[..]))))
    }

    fn epochs(&self) -> f64 {
        self.bytes / self.all_bytes
    }

    fn place(&self) -> Value {
        let sources = self.windows.iter().map(Window::at).collect();
        let place = Place { draws: self.draws, bytes: self.bytes, sources };
        serde_json::to_value(place).expect("numbers")
    }

    fn go_to(&mut self, place: &Value) -> Result<(), Error> {
        let place: Place = serde_json::from_value(place.clone())
            .map_err(|e| Error::Place { what: format!("is none ({e})") })?;
        if place.sources.len() != self.windows.len() {
            return Err(Error::Place { what: format!("has {} sources", place.sources.len()) });
        }
        (self.draws, self.bytes) = (place.draws, place.bytes);
        self.windows = place.sources.into_iter().enumerate().map(|(i, at)| Window::going_on(i, at)).collect();
        Ok(())
    }
}

/// An objective's choices, out of a stream of random numbers.
pub struct Drawn(pub Rng);

impl Choices for Drawn {
    fn uniform(&mut self) -> f64 {
        self.0.uniform()
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }
}

/// The stream of a seed that examples are drawn by.
const DRAWS: u64 = 0x646f_6373;
/// Chunks in a row that may be no examples before that is an error.
const PATIENCE: u32 = 10_000;
