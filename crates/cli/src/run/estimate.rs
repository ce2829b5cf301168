//! `t5kit run --dry-run`: what would be done, how long it would take, how much memory and disk.

use anyhow::{Context, Result};
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use t5kit_formats::hub::{self, HubOptions};
use t5kit_formats::lang::fill;
use t5kit_generate::{generation_bytes, most_proposed};
use t5kit_model::memory::{Work, available_bytes};
use t5kit_model::{Architecture, Config, T5Architecture};
use t5kit_pipeline::{OpenOptions, Prepared};
use t5kit_recipe::{
    How, PARTS, Part, Recipe, SPLIT, SplitOptions, SplitRecord, Stage, Standing, State, all_changes,
};
use t5kit_tensor::{Pool, Precision};
use t5kit_tokenizer::Tokenizer;
use t5kit_train::{Curves, Extent, LOG, PairColumns, TrainOptions};

use super::examples::{TOKENS_A_CHARACTER, read};
use super::speed::{Speed, Texts, clock};
use crate::Command;
use crate::commandline;
use crate::errors::in_flags;
use crate::lang::lang;
use crate::say::{bytes, count};
use crate::typed;

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
    let t = lang().texts();
    let mut out = std::io::stdout().lock();
    let mut known = Known::new(recipe, stages);
    let (mut all, mut disk) = (0.0, 0);
    for (number, (stage, standing)) in stages.iter().zip(standings).enumerate() {
        let (number, name) = (number + 1, stage.called(lang()));
        let heading = fill(t.terminal.work_at, &[("stage", &name), ("done", &said(standing, force))]);
        writeln!(out, "[{number}/{}] {heading}", stages.len())?;
        let how = standing.how().unwrap_or(How::New);
        writeln!(out, "  $ {}", typed::line(&stage.command(&recipe.output, how)))?;
        if *standing == Standing::Done {
            if let Some(record) = state.record(stage.name) {
                let values: [Value<'_>; 2] =
                    [("time", &clock(record.seconds)), ("bytes", &bytes(record.peak_bytes))];
                writeln!(out, "  {}", fill(t.recipes.dry_took, &values))?;
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
    let mut parts = Vec::new();
    if all > 0.0 {
        parts.push(fill(t.recipes.dry_all_time, &[("time", &clock(all))]));
    }
    if disk > 0 {
        parts.push(fill(t.recipes.dry_all_disk, &[("bytes", &bytes(disk))]));
    }
    if !parts.is_empty() {
        writeln!(out, "{}", fill(t.recipes.dry_in_all, &[("parts", &parts.join(t.terminal.comma))]))?;
    }
    if let Some(free) = available_bytes() {
        writeln!(out, "{}", fill(t.recipes.dry_free, &[("bytes", &bytes(free))]))?;
    }
    Ok(())
}

/// A place of a text and what stands there.
type Value<'a> = (&'a str, &'a dyn Display);

fn said(standing: &Standing, force: bool) -> String {
    let t = lang().texts();
    match standing {
        Standing::Done => t.recipes.dry_done.into(),
        Standing::New => t.recipes.dry_new.into(),
        Standing::Begun => t.recipes.stage_goes_on.into(),
        Standing::Gone => t.recipes.dry_gone.into(),
        Standing::Changed(changes) => {
            let why = match &changes[..] {
                [] => t.recipes.dry_before_changes.into(),
                changes => fill(t.recipes.dry_made_with, &[("changes", &all_changes(changes, lang()))]),
            };
            fill(&in_flags(if force { t.recipes.dry_again } else { t.recipes.dry_refused }), &[("why", &why)])
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
            ("pretrain", Command::Pretrain(args)) => {
                let lengths = args.lengths()?;
                // As many examples as there are steps for, each as long as it may be.
                let tokens = lengths.map(|n| n as f64);
                let texts = Texts { rows: [usize::MAX, 0, 0], tokens, longest: lengths };
                self.training(stage, &words, &args.options()?, lengths, args.run.threads(), Some(texts))
            }
            ("finetune", Command::Finetune(args)) => {
                let texts = self.texts()?;
                self.training(stage, &words, &args.options()?, args.lengths(), args.run.threads(), texts)
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
                let t = lang().texts();
                let note = if model.is_earlier { t.recipes.dry_before_others } else { "" };
                let lines = vec![fill(t.recipes.dry_disk, &[("bytes", &bytes(size)), ("note", &note)])];
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
        let t = lang().texts();
        let parts = [t.recipes.dry_train_rows, t.recipes.dry_valid_rows, t.recipes.dry_test_rows]
            .into_iter()
            .zip(texts.rows);
        let rows: Vec<String> = parts
            .filter(|(_, rows)| *rows > 0)
            .map(|(part, rows)| fill(part, &[("n", &count(rows))]))
            .collect();
        let [source, target] = texts.tokens.map(|tokens| format!("{tokens:.0}"));
        let by = match tokenizer {
            Some(_) => String::new(),
            None => fill(t.recipes.dry_a_character, &[("n", &TOKENS_A_CHARACTER)]),
        };
        let rows = rows.join(t.terminal.comma);
        let line = fill(
            t.recipes.dry_data,
            &[("rows", &rows), ("source", &source), ("target", &target), ("by", &by)],
        );
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

    fn training(
        &mut self,
        stage: &Stage,
        words: &[String],
        options: &TrainOptions,
        lengths: [usize; 2],
        threads: usize,
        texts: Option<Texts>,
    ) -> Result<Needs> {
        let (Some(model), Some(texts)) = (self.model(words), texts) else { return Ok(unknown()) };
        let t = lang().texts();
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
            Some(curves) => (curves.tokens / curves.seconds, t.recipes.dry_by_log.to_owned()),
            None => {
                let bf16 = options.precision == Precision::Bf16;
                let measured = self.speed.measure(bf16, threads);
                let seconds = self.speed.training(&widths, [source, target], bf16, threads);
                let by = measured_rate(measured, threads);
                ((source + target) / seconds, by)
            }
        };
        let mut seconds = tokens / rate;
        let mut lines = vec![fill(
            t.recipes.dry_training,
            &[
                ("time", &clock(seconds)),
                ("steps", &count(steps as usize)),
                ("examples", &format!("{a_step:.0}")),
                ("rate", &count(rate as usize)),
                ("by", &by),
            ],
        )];
        if texts.rows[1] > 0 && !options.validation.metrics.is_empty() {
            let times = match options.validation.eval_every {
                Some(every) => (steps / every as f64).ceil(),
                None => (steps / (rows as f64 / a_step).ceil()).ceil(),
            };
            let rows = options.validation.max_examples.map_or(texts.rows[1], |most| most.min(texts.rows[1]));
            let beams = options.validation.num_beams;
            let each = self.speed.generating(&widths, [source, target], beams, threads) * rows as f64;
            let values: [Value<'_>; 3] =
                [("time", &clock(times * each)), ("times", &format!("{times:.0}")), ("each", &clock(each))];
            lines.push(fill(t.recipes.dry_validation, &values));
            seconds += times * each;
        }
        let batch = [lengths[0].min(texts.longest[0]), lengths[1].min(texts.longest[1])];
        let a_batch = options.batch_tokens.unwrap_or(options.batch_size * (batch[0] + batch[1]));
        let sources = a_batch * batch[0] / (batch[0] + batch[1]).max(1);
        let extent = Extent { tokens: (sources, a_batch - sources), ..Extent::default() };
        let memory = t5kit_train::predict(&model.config, options, extent);
        let (kept, batch, note) = (bytes(memory.parameters), bytes(memory.activations), earlier(&model));
        lines.push(fill(
            t.recipes.dry_training_memory,
            &[("kept", &kept), ("batch", &batch), ("note", &note)],
        ));
        // best/, last/ and its moments; one of them twice while it is replaced.
        let weights: u64 =
            model.config.layout().iter().map(|s| 4 * s.shape.iter().product::<usize>() as u64).sum();
        let disk = match options.lora_rank {
            Some(_) => weights / 10,
            None => 2 * weights + memory.parameters.saturating_sub(2 * weights) + weights,
        };
        lines.push(fill(t.recipes.dry_disk, &[("bytes", &bytes(disk)), ("note", &note)]));
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
        let by = measured_rate(self.speed.measure(false, threads), threads);
        let [source_tokens, target_tokens] = texts.longest;
        let work = Work { sequences: TOGETHER, source_tokens, target_tokens, kept: 4 };
        let lookup = value(words, "--lookup").and_then(|n| n.parse().ok()).unwrap_or(0);
        let memory = generation_bytes(&widths, work, beams, most_proposed(lookup, TOGETHER * beams), threads);
        let t = lang().texts();
        let models = match models {
            1 => t.recipes.dry_one_model.to_owned(),
            n => fill(t.recipes.dry_models, &[("n", &n)]),
        };
        let (time, sources, note) = (clock(seconds), count(rows), earlier(&model));
        let generating: [Value<'_>; 4] =
            [("time", &time), ("sources", &sources), ("models", &models), ("by", &by)];
        let (weights, work) = (bytes(model.bytes), bytes(memory));
        let lines = vec![
            fill(t.recipes.dry_generating, &generating),
            fill(t.recipes.dry_generating_memory, &[("weights", &weights), ("work", &work), ("note", &note)]),
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
    if model.is_earlier { lang().texts().recipes.dry_before_trim } else { "" }
}

fn measured_rate(rate: f64, threads: usize) -> String {
    let rate = format!("{:.0}", rate / 1e9);
    fill(lang().texts().recipes.dry_by_measured, &[("rate", &rate), ("threads", &threads)])
}

fn unknown() -> Needs {
    Needs { lines: vec![lang().texts().recipes.dry_unknown.into()], ..Needs::default() }
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
        let architecture = value(words, "--architecture").and_then(T5Architecture::from_name);
        let halve = words.iter().any(|word| word == "--halve-layers");
        let config = Config::from_file(path).ok()?.arranged(architecture, halve).ok()?;
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
