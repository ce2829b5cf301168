//! `t5kit bench`: how fast a model generates, by batch size, beams and storage type, beside what the machine can do.

use anyhow::Result;
use serde_json::{Value, json};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use t5kit_evaluate::{BenchFigures, BenchOptions, Cell, bench};
use t5kit_formats::html::megabytes;
use t5kit_model::Architecture;
use t5kit_pipeline::{Encoder, OnLong, Pipeline};
use t5kit_tensor::{DType, Device, Instructions, instructions, release_cached};

use crate::columns::aligned;
use crate::device::{DeviceArgs, on_device};
use crate::errors::{Interrupted, usage};
use crate::form::{FormArgs, settle, warn_prompt};
use crate::generate::table::SourceFlags;
use crate::interrupt;
use crate::lengths::finish;
use crate::model_args::{ModelArgs, storage_type};
use crate::progress::Monitor;

/// The flags of `t5kit bench`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Sources: a table with a column of them, or a text a line [default: sentences of the program's own, 256 tokens]
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    table: SourceFlags,
    #[command(flatten)]
    form: FormArgs,
    /// Sources of a request, worked on together; several are measured in turn
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1.., default_value = "1,16")]
    batch_size: Vec<NonZeroUsize>,
    /// Beams, 1 for greedy; several are measured in turn
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1.., default_value = "1")]
    num_beams: Vec<NonZeroUsize>,
    /// Hold the weights as this; several one after another [default: as the file has them]
    #[arg(long, value_name = "TYPE", value_delimiter = ',', num_args = 1.., value_parser = storage_type())]
    dtype: Vec<DType>,
    /// Tokens generated for every source, exactly
    #[arg(long, value_name = "N", default_value = "32")]
    max_new_tokens: NonZeroUsize,
    /// Sources of a round, the first; fewer are repeated [default: 32, or a batch if that is more]
    #[arg(long, value_name = "N")]
    sources: Option<NonZeroUsize>,
    /// Times that everything is measured, after one request to warm up; the median counts
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZeroUsize,
    /// Threads to work on [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Tokens of a source of the program's own.
const OWN_TOKENS: usize = 256;
/// What such a source is made of.
const OWN: [&str; 6] = [
    "本文研究了不同施肥方式对水稻产量和品质的影响，结果表明有机肥与化肥配合施用的效果最好。",
    "The method was tested on two sets of samples and compared with what had been published before.",
    "针对传统方法计算量大、收敛速度慢的问题，提出一种改进的算法，并通过仿真实验验证了其有效性。",
    "采用问卷调查和访谈相结合的方法，对三所学校的学生进行了为期两年的跟踪调查。",
    "Results show that the error falls by a third while the time needed stays the same.",
    "最后讨论了该模型的适用范围，指出了存在的不足，并对今后的研究方向作了展望。",
];

/// Measures, and prints the table or JSON: what there is, where Ctrl-C has ended it.
pub fn run(args: Args) -> Result<()> {
    let ask = args.options();
    let device = args.device.open()?;
    let dtypes: Vec<Option<DType>> = match args.dtype.is_empty() {
        true => vec![None],
        false => args.dtype.iter().copied().map(Some).collect(),
    };
    let mut measured = Measured::new(device.as_ref().map(Device::name));
    // The same for every type.
    let mut sources = Vec::new();
    for (number, dtype) in dtypes.into_iter().enumerate() {
        // What the type before this one has left is not this one's.
        release_cached();
        let prepared = match number {
            0 => args.model.prepare(dtype, args.threads)?,
            _ => args.model.find(dtype, args.threads)?,
        };
        let model = on_device(prepared.load()?, device.as_ref())?;
        if number == 0 {
            sources = args.sources(&model)?;
        }
        measured.threads = model.pool.threads();
        measured.lengths = sources.iter().map(Vec::len).collect();
        let mut monitor = Monitor::default();
        let stage = dtype.map_or("measuring".to_owned(), |dtype| format!("measuring {}", dtype.name()));
        let (figures, complete) = bench(&model, &sources, &ask, &stage, &mut monitor)?;
        monitor.clear();
        measured.types.push(figures);
        measured.complete = complete && !interrupt::requested();
        if !measured.complete {
            break;
        }
    }
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{:#}", measured.json(&args, &ask))?,
        false => out.write_all(measured.table(&ask).as_bytes())?,
    }
    if measured.complete { Ok(()) } else { Err(Interrupted.into()) }
}

impl Args {
    fn options(&self) -> BenchOptions {
        let cells = self.num_beams.iter().flat_map(|beams| {
            let cell = |size: &NonZeroUsize| Cell { batch_size: size.get(), num_beams: beams.get() };
            self.batch_size.iter().map(cell)
        });
        BenchOptions {
            cells: cells.collect(),
            new_tokens: self.max_new_tokens.get(),
            rounds: self.rounds.get(),
        }
    }

    /// The ids of as many sources as a round has; says what they are.
    fn sources(&self, model: &Pipeline) -> Result<Vec<Vec<u32>>> {
        let largest = self.batch_size.iter().map(|size| size.get()).max().unwrap_or(1);
        let wanted = self.sources.map_or(32, NonZeroUsize::get).max(largest);
        let form = settle(model, &self.form.wishes(None), &["source_prefix", "max_source_length"]);
        let most = match model.model.config().most_tokens() {
            None => form.max_source_length,
            Some(positions) => {
                let new = self.max_new_tokens.get();
                let room = positions.saturating_sub(new).min(form.max_source_length);
                if room < 4 {
                    return Err(usage(format!(
                        "--max-new-tokens {new}: the model has {positions} positions for source and target together"
                    )));
                }
                room
            }
        };
        let (texts, most) = match &self.input {
            None => (own(model, wanted, most.min(OWN_TOKENS)), most.min(OWN_TOKENS)),
            Some(path) => {
                let sources = self.table.open(path, &form)?;
                warn_prompt(&form, sources.has_prompts());
                (sources.first(wanted)?, most)
            }
        };
        let mut encoder = Encoder::new(model, "source", most, OnLong::Cut);
        let ids = texts.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
        match &self.input {
            None => told!(own_sentences, n = wanted, tokens = most),
            Some(path) => {
                finish(encoder);
                match ids.len() {
                    0 => return Err(usage(format!("{}: holds no source", path.display()))),
                    n if n < wanted => told!(sources_repeated, n = n, wanted = wanted),
                    _ => {}
                }
            }
        }
        Ok(ids.iter().cycle().take(wanted).cloned().collect())
    }
}

/// Sources of the program's own sentences, each beginning with another one, of more than so many tokens.
fn own(model: &Pipeline, count: usize, tokens: usize) -> Vec<String> {
    let text = |first: usize| {
        let mut text = String::new();
        // A tokenizer that makes nothing of them has its say too.
        for at in 0..64 {
            text += OWN[(first + at) % OWN.len()];
            if model.encode(&text, usize::MAX).0.len() > tokens {
                break;
            }
        }
        text
    };
    let texts: Vec<String> = (0..OWN.len().min(count)).map(text).collect();
    texts.iter().cycle().take(count).cloned().collect()
}

/// What was measured.
struct Measured {
    types: Vec<BenchFigures>,
    /// Tokens of each source.
    lengths: Vec<usize>,
    threads: usize,
    instructions: Instructions,
    /// The GPU, where that is not the processor.
    device: Option<String>,
    /// Whether nothing is missing.
    complete: bool,
}

impl Measured {
    fn new(device: Option<String>) -> Self {
        let (types, lengths) = (Vec::new(), Vec::new());
        Measured { types, lengths, threads: 0, instructions: instructions(), device, complete: false }
    }

    fn mean_tokens(&self) -> f64 {
        self.lengths.iter().sum::<usize>() as f64 / self.lengths.len().max(1) as f64
    }

    fn json(&self, args: &Args, ask: &BenchOptions) -> Value {
        json!({
            "format": 1,
            "t5kit": env!("CARGO_PKG_VERSION"),
            "model": args.model.model,
            "data": args.input,
            "sources": self.lengths.len(),
            "source_tokens": self.mean_tokens(),
            "new_tokens": ask.new_tokens,
            "rounds": ask.rounds,
            "threads": self.threads,
            "instructions": {
                "isa": self.instructions.isa,
                "bf16": self.instructions.bf16,
                "int8": self.instructions.int8,
            },
            "device": self.device,
            "complete": self.complete,
            "types": self.types.iter().map(BenchFigures::to_json).collect::<Vec<_>>(),
        })
    }

    fn table(&self, ask: &BenchOptions) -> String {
        let head = "type,batch,beams,samples/s,tokens/s,p50 ms,p90 ms,p99 ms,weights,peak,floor/s,reached";
        let mut rows = vec![head.split(',').map(String::from).collect::<Vec<_>>()];
        for of in &self.types {
            for cell in &of.cells {
                let ms = |share| format!("{:.1}", 1e3 * cell.percentile(share));
                rows.push(vec![
                    of.dtype.to_owned(),
                    cell.cell.batch_size.to_string(),
                    cell.cell.num_beams.to_string(),
                    format!("{:.2}", cell.speed.samples_per_second()),
                    format!("{:.1}", cell.speed.tokens_per_second()),
                    ms(0.5),
                    ms(0.9),
                    ms(0.99),
                    megabytes(of.weight_bytes),
                    cell.peak_bytes.map_or("–".into(), megabytes),
                    format!("{:.2}", cell.floor_samples_per_second()),
                    format!("{:.0} %", 100.0 * cell.share()),
                ]);
            }
        }
        let mut out = aligned(&rows, 1);
        if let Some(device) = &self.device {
            out += &format!("device: {device}\n");
        }
        let Instructions { isa, bf16, int8 } = self.instructions;
        out += &format!("instructions: {isa}, bf16 by {bf16}, int8 by {int8}; threads: {}\n", self.threads);
        out += &format!(
            "{} sources of {:.0} tokens, {} new tokens each, medians of {} rounds; ms: a request of a batch\n",
            self.lengths.len(),
            self.mean_tokens(),
            ask.new_tokens,
            ask.rounds
        );
        let rates = self.types.iter().map(|of| {
            let [operations, bytes] = of.rates;
            format!("{} {:.0} G operations/s and {:.1} GB/s", of.dtype, operations / 1e9, bytes / 1e9)
        });
        out + &format!("floor, from measured rates: {}\n", rates.collect::<Vec<_>>().join(", "))
    }
}
