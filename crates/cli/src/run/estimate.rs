//! `t5kit run --dry-run`: what would be done, how long it would take, how much memory and disk.

use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use t5kit_formats::hub::{self, HubOptions};
use t5kit_generate::{generation_bytes, most_proposed};
use t5kit_model::memory::{Work, available_bytes};
use t5kit_model::{Architecture, Config};
use t5kit_pipeline::{OpenOptions, Prepared};
use t5kit_recipe::{How, PARTS, Part, Recipe, SPLIT, SplitOptions, SplitRecord, Stage, Standing, State};
use t5kit_tensor::{Pool, Precision};
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{Curves, LOG, PairColumns, TrainOptions, each_pair};

use super::speed::{Speed, Texts, clock};
use crate::Command;
use crate::commandline;
use crate::progress::Monitor;
use crate::say::{bytes, count};
use crate::typed;

/// Examples that are tokenized to learn how many tokens a character makes.
const SAMPLE: usize = 200;
/// Tokens of a character where no tokenizer is at hand: Chinese text in mT5's pieces.
const TOKENS_A_CHARACTER: f64 = 0.7;
/// Sources that `t5kit evaluate` generates for at a time, and tokens that it generates at most by default.
const TOGETHER: usize = 32;

/// Prints the stages, their commands, what is done of them, and what the rest takes.
pub fn print(
    recipe: &Recipe,
    stages: &[Stage],
    standings: &[Standing],
    state: &State,
    force: bool,
) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut known = Known::new(recipe, stages);
    let (mut all, mut disk) = (0.0, 0);
    for (number, (stage, standing)) in stages.iter().zip(standings).enumerate() {
        writeln!(out, "[{}/{}] {}: {}", number + 1, stages.len(), stage.name, said(standing, force))?;
        let how = standing.how().unwrap_or(How::New);
        writeln!(out, "  $ {}", typed::line(&stage.command(&recipe.output, how)))?;
        if *standing == Standing::Done {
            if let Some(record) = state.record(stage.name) {
                writeln!(out, "  took {}, {} of memory", clock(record.seconds), bytes(record.peak_bytes))?;
            }
            continue;
        }
        let needs = known.needs(stage).with_context(|| format!("stage {}", stage.name))?;
        for line in &needs.lines {
            writeln!(out, "  {line}")?;
        }
        all += needs.seconds;
        disk += needs.disk;
    }
    let about =
        if all > 0.0 { format!("about {} of training and generating", clock(all)) } else { String::new() };
    let parts = [about, if disk > 0 { format!("up to {} on the disk", bytes(disk)) } else { String::new() }];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if !parts.is_empty() {
        writeln!(out, "in all {}", parts.join(", "))?;
    }
    if let Some(free) = available_bytes() {
        writeln!(out, "memory to be had: {}", bytes(free))?;
    }
    Ok(())
}

fn said(standing: &Standing, force: bool) -> String {
    match standing {
        Standing::Done => "done, passed over".into(),
        Standing::New => "to do".into(),
        Standing::Begun => "goes on where it stopped".into(),
        Standing::Gone => "to do again: what it made is gone".into(),
        Standing::Changed(why) => {
            let why =
                why.as_ref().map_or("a stage before it changes".into(), |why| format!("was made with {why}"));
            let what = if force { "to do again" } else { "refused without --force" };
            format!("{what}: {why}")
        }
    }
}

/// What a stage takes.
#[derive(Default)]
struct Needs {
    lines: Vec<String>,
    seconds: f64,
    disk: u64,
}

/// What was found out so far: the model, the examples, the machine.
struct Known<'a> {
    recipe: &'a Recipe,
    stages: &'a [Stage],
    texts: Option<Texts>,
    speed: Speed,
}

/// A model before its weights are read.
struct Model {
    config: Config,
    tokenizer: Option<Tokenizer>,
    /// Bytes of its weights as they are stored.
    bytes: u64,
    /// Whether a stage that is not done yet makes it smaller or another.
    is_earlier: bool,
}

impl<'a> Known<'a> {
    fn new(recipe: &'a Recipe, stages: &'a [Stage]) -> Self {
        Known { recipe, stages, texts: None, speed: Speed::default() }
    }

    fn needs(&mut self, stage: &Stage) -> Result<Needs> {
        let words = stage.command(&self.recipe.output, How::New);
        let line = std::iter::once("t5kit".to_owned()).chain(words.iter().cloned());
        let command = commandline::parse(line)?.cli.command;
        match (stage.name, command) {
            ("data", Command::Split(args)) => self.data(args.options()?),
            ("finetune", Command::Finetune(args)) => {
                self.finetune(stage, &words, &args.options()?, args.lengths(), args.threads())
            }
            ("evaluate", _) => self.evaluate(stage, &words),
            ("model" | "trim" | "export", _) => {
                let Some(model) = self.model(&words) else { return Ok(unknown()) };
                let dtype = value(&words, "--dtype");
                let size = dtype.map_or(model.bytes, |dtype| {
                    let size = if dtype == "f32" { 4 } else { 2 };
                    size * model
                        .config
                        .layout()
                        .iter()
                        .map(|s| s.shape.iter().product::<usize>() as u64)
                        .sum::<u64>()
                });
                let more = if model.is_earlier { ", before what stages before it make of it" } else { "" };
                let lines = vec![format!("disk: up to {}{more}", bytes(size))];
                Ok(Needs { lines, disk: size, ..Needs::default() })
            }
            _ => Ok(Needs::default()),
        }
    }

    /// Rows and lengths, by the record of a split that is done or by reading the files.
    fn data(&mut self, options: SplitOptions) -> Result<Needs> {
        let tokenizer = self.stages.iter().find_map(|stage| {
            let words = stage.command(&self.recipe.output, How::New);
            self.model(&words).and_then(|model| model.tokenizer)
        });
        let texts = read(&options, tokenizer.as_ref())?;
        let rows = PARTS.iter().zip(texts.rows).filter(|(_, rows)| *rows > 0);
        let rows: Vec<String> = rows.map(|(name, rows)| format!("{} {name}", count(rows))).collect();
        let [source, target] = texts.tokens;
        let by = if tokenizer.is_some() { "" } else { ", at 0.7 tokens a character" };
        let line =
            format!("{}; about {source:.0} tokens a source and {target:.0} a target{by}", rows.join(", "));
        self.texts = Some(texts);
        Ok(Needs { lines: vec![line], ..Needs::default() })
    }

    /// What is known of the texts; read from the parts where they are made already.
    fn texts(&mut self) -> Result<Option<Texts>> {
        if self.texts.is_none() {
            let folder = self.recipe.output.join("data");
            let Ok(text) = std::fs::read_to_string(folder.join(SPLIT)) else { return Ok(None) };
            let Ok(record) = serde_json::from_str::<SplitRecord>(&text) else { return Ok(None) };
            let mut parts: [Option<Part>; 3] = Default::default();
            for (i, name) in PARTS.iter().enumerate() {
                let file = folder.join(format!("{name}.tsv"));
                parts[i] =
                    record.parts.iter().any(|part| part.name == *name).then(|| Part::Files(vec![file]));
            }
            let options = SplitOptions {
                input: Vec::new(),
                parts,
                seed: 0,
                columns: PairColumns::default(),
                labels: Vec::new(),
                table: Default::default(),
            };
            self.data(options)?;
        }
        Ok(self.texts.clone())
    }

    fn finetune(
        &mut self,
        stage: &Stage,
        words: &[String],
        options: &TrainOptions,
        lengths: [usize; 2],
        threads: usize,
    ) -> Result<Needs> {
        let (Some(model), Some(texts)) = (self.model(words), self.texts()?) else { return Ok(unknown()) };
        let [source, target] = [0, 1].map(|i| texts.tokens[i].min(lengths[i] as f64));
        let widths = model.config.widths();
        let rows = texts.rows[0];
        let a_step = match options.batch_tokens {
            Some(tokens) => (tokens as f64 / (source + target)).max(1.0),
            None => options.batch_size as f64,
        } * options.gradient_accumulation as f64;
        let steps = (options.epochs as f64 * (rows as f64 / a_step).ceil())
            .min(options.max_steps.map_or(f64::INFINITY, |steps| steps as f64));
        let tokens = steps * a_step * (source + target);
        let log = std::fs::read_to_string(stage.output.join(LOG)).ok().map(|log| Curves::read(&log));
        let (rate, by) = match log.filter(|curves| curves.seconds > 0.0 && curves.tokens > 0.0) {
            Some(curves) => (curves.tokens / curves.seconds, "the rate of its log".to_owned()),
            None => {
                let bf16 = options.precision == Precision::Bf16;
                let measured = self.speed.measure(bf16, threads);
                let seconds = self.speed.training(&widths, [source, target], bf16, threads);
                let by = format!("{:.0} GFLOP/s measured on {threads} threads", measured / 1e9);
                ((source + target) / seconds, by)
            }
        };
        let mut seconds = tokens / rate;
        let mut lines = vec![format!(
            "training: about {}: {} steps of {a_step:.0} examples, {} tokens/s, by {by}",
            clock(seconds),
            count(steps as usize),
            count(rate as usize)
        )];
        if texts.rows[1] > 0 && !options.validation.metrics.is_empty() {
            let times = match options.validation.eval_every {
                Some(every) => (steps / every as f64).ceil(),
                None => (steps / (rows as f64 / a_step).ceil()).ceil(),
            };
            let rows = options.validation.max_examples.map_or(texts.rows[1], |most| most.min(texts.rows[1]));
            let beams = options.validation.num_beams;
            let each = self.speed.generating(&widths, [source, target], beams, threads) * rows as f64;
            lines.push(format!(
                "validation: about {}: {times:.0} times {}",
                clock(times * each),
                clock(each)
            ));
            seconds += times * each;
        }
        let batch = [lengths[0].min(texts.longest[0]), lengths[1].min(texts.longest[1])];
        let a_batch = options.batch_tokens.unwrap_or(options.batch_size * (batch[0] + batch[1]));
        let sources = a_batch * batch[0] / (batch[0] + batch[1]).max(1);
        let memory = t5kit_train::predict(&model.config, options, None, (sources, a_batch - sources), None);
        lines.push(format!(
            "memory: up to {} (weights, gradients, moments) + {} (the largest batch){}",
            bytes(memory.parameters),
            bytes(memory.activations),
            earlier(&model)
        ));
        // best/, last/ and its moments; one of them twice while it is replaced.
        let weights: u64 =
            model.config.layout().iter().map(|s| 4 * s.shape.iter().product::<usize>() as u64).sum();
        let disk = match options.lora_rank {
            Some(_) => weights / 10,
            None => 2 * weights + memory.parameters.saturating_sub(2 * weights) + weights,
        };
        lines.push(format!("disk: up to {}{}", bytes(disk), earlier(&model)));
        Ok(Needs { lines, seconds, disk })
    }

    fn evaluate(&mut self, stage: &Stage, words: &[String]) -> Result<Needs> {
        let (Some(model), Some(texts)) = (self.model(words), self.texts()?) else { return Ok(unknown()) };
        let threads =
            value(words, "--threads").and_then(|n| n.parse().ok()).unwrap_or_else(Pool::default_threads);
        let beams: usize = value(words, "--num-beams").and_then(|n| n.parse().ok()).unwrap_or(1);
        let rows = if texts.rows[2] > 0 { texts.rows[2] } else { texts.rows[1] };
        let widths = model.config.widths();
        let models = stage.given.iter().filter(|given| given.key.starts_with("compare.")).count() + 1;
        let each = self.speed.generating(&widths, texts.tokens, beams, threads);
        let seconds = each * rows as f64 * models as f64;
        let rate = self.speed.measure(false, threads) / 1e9;
        let work =
            Work { sequences: TOGETHER, source_tokens: texts.longest[0], target_tokens: texts.longest[1] };
        let lookup = value(words, "--lookup").and_then(|n| n.parse().ok()).unwrap_or(0);
        let memory = generation_bytes(&widths, work, beams, most_proposed(lookup, TOGETHER * beams), threads);
        let lines = vec![
            format!(
                "generating: about {}: {} sources, {models} model{}, by {rate:.0} GFLOP/s measured on {threads} threads",
                clock(seconds),
                count(rows),
                if models == 1 { "" } else { "s, taken as like the first" }
            ),
            format!("memory: {} (weights) + up to {}{}", bytes(model.bytes), bytes(memory), earlier(&model)),
        ];
        Ok(Needs { lines, seconds, disk: 0 })
    }

    /// The model that a command names, or where that is not made yet, one that it is made from; none where that would
    /// have to be fetched.
    fn model(&self, words: &[String]) -> Option<Model> {
        let own = value(words, "--model").or_else(|| value(words, "--tokenizer"))?;
        if let Some(model) = open(own, words, false) {
            return Some(model);
        }
        if !Path::new(own).starts_with(&self.recipe.output) {
            return None;
        }
        self.stages.iter().rev().find_map(|stage| {
            let words = stage.command(&self.recipe.output, How::New);
            let own = value(&words, "--model")?;
            open(own, &words, true)
        })
    }
}

fn earlier(model: &Model) -> &'static str {
    if model.is_earlier { ", less once it is trimmed" } else { "" }
}

fn unknown() -> Needs {
    let line = "cannot be told yet: the model or the data are not here";
    Needs { lines: vec![line.into()], ..Needs::default() }
}

/// The value of a flag.
fn value<'w>(words: &'w [String], flag: &str) -> Option<&'w str> {
    let at = words.iter().position(|word| word == flag)?;
    words.get(at + 1).map(String::as_str)
}

/// A model as it lies on this machine.
fn open(name: &str, words: &[String], is_earlier: bool) -> Option<Model> {
    let path = Path::new(name);
    let tokenizer = value(words, "--tokenizer").map(Path::new);
    if path.is_file() && path.extension().is_some_and(|e| e == "json") {
        let config = Config::from_file(path).ok()?;
        let elements: usize = config.layout().iter().map(|slot| slot.shape.iter().product::<usize>()).sum();
        let tokenizer = tokenizer.and_then(|tokenizer| Tokenizer::load(tokenizer).ok());
        return Some(Model { config, tokenizer, bytes: 4 * elements as u64, is_earlier });
    }
    let revision = value(words, "--revision").map(String::from);
    // Nothing is fetched to say what fetching it would lead to.
    let here = HubOptions { offline: true, revision: revision.clone(), ..HubOptions::from_env() };
    let place = hub::locate(name, &here, &mut ()).ok().filter(|place| place.exists() || path == place)?;
    let options = OpenOptions {
        revision,
        tokenizer: tokenizer.filter(|tokenizer| tokenizer.exists()).map(Path::to_path_buf),
        ..OpenOptions::new(place.to_string_lossy())
    };
    let prepared = Prepared::find(options, &mut ()).ok()?;
    let tokenizer = prepared.tokenizer().ok().map(|(tokenizer, _)| tokenizer);
    let bytes = t5kit_model::Inventory::of(&prepared.plan).bytes();
    Some(Model { config: prepared.plan.config.clone(), tokenizer, bytes, is_earlier })
}

/// Reads the examples once: how many go where, and how long they are.
fn read(options: &SplitOptions, tokenizer: Option<&Tokenizer>) -> Result<Texts> {
    let mut monitor = Monitor::default();
    let (mut characters, mut longest, mut sampled, mut tokens) =
        ([0usize; 2], [0usize; 2], [0usize; 2], [0usize; 2]);
    let (mut seen, mut rows) = (0, [0usize; 3]);
    let mut each = |path: &Path| -> Result<usize> {
        let mut here = 0;
        let mut watch = Passing(&mut monitor);
        each_pair(path, &options.columns, &options.table, &mut watch, |source, target| {
            for (side, text) in [&source, &target].into_iter().enumerate() {
                let n = text.chars().count();
                characters[side] += n;
                longest[side] = longest[side].max(n);
                if let Some(tokenizer) = tokenizer.filter(|_| seen < SAMPLE) {
                    sampled[side] += n;
                    tokens[side] += tokenizer.encode(text).len();
                }
            }
            seen += 1;
            here += 1;
            Ok::<_, t5kit_train::Error>(())
        })?;
        Ok(here)
    };
    let mut input = 0;
    for path in &options.input {
        input += each(path)?;
    }
    let mut left = input;
    for (i, part) in options.parts.iter().enumerate().rev() {
        rows[i] = match part {
            None => 0,
            Some(Part::Rows(rows)) => *rows,
            Some(Part::Share(share)) => ((share * input as f64).round() as usize).max(1),
            Some(Part::Rest) => left,
            Some(Part::Files(files)) => files.iter().map(|file| each(file)).sum::<Result<usize>>()?,
        };
        if !matches!(part, Some(Part::Files(_))) {
            left = left.saturating_sub(rows[i]);
        }
    }
    monitor.clear();
    let ratio = [0, 1].map(|i| match sampled[i] {
        0 => TOKENS_A_CHARACTER,
        n => tokens[i] as f64 / n as f64,
    });
    let mean = |i: usize| characters[i] as f64 / seen.max(1) as f64 * ratio[i] + 1.0;
    let most = |i: usize| (longest[i] as f64 * ratio[i]).ceil() as usize + 1;
    Ok(Texts { rows, tokens: [mean(0), mean(1)], longest: [most(0), most(1)] })
}

/// Bad rows are the stage's business.
struct Passing<'a>(&'a mut Monitor);

impl t5kit_formats::progress::Watch for Passing<'_> {
    fn progress(&mut self, at: t5kit_formats::progress::Progress<'_>) -> std::ops::ControlFlow<()> {
        self.0.progress(at)
    }
}

impl t5kit_train::ReadWatch for Passing<'_> {
    fn bad_row(&mut self, _error: &t5kit_train::Error) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }
}
