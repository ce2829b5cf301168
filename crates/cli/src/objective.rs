//! `t5kit objective`: what the pre-training objectives make of texts, for people and for programs.

mod painted;

use crate::demo::vocabulary;
use crate::errors::usage;
use crate::lang::lang;
use crate::model_args::locate_tokenizer;
use crate::table_flags::Announced;
use anyhow::{Result, anyhow};
use console::{measure_text_width, style};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_formats::encoding::Encoding;
use t5kit_tasks::objective::{Budget, Error, Objective, Prepared, SentenceChoice, Unit};
use t5kit_tensor::{Rng, mix};
use t5kit_tokenizer::Tokenizer;
use t5kit_train::Drawn;

/// The text of the blog post behind this project (kexue.fm/archives/7867), whose blanks its own figure shows.
const POEM: &str = "明月几时有，把酒问青天，不知天上宫阙，今夕是何年。我欲乘风归去，唯恐琼楼玉宇，高处不胜寒；起舞弄清影，何似在人间。";

/// The flags of `t5kit objective`.
#[derive(clap::Args)]
pub struct Args {
    /// Print inputs and targets of the lines on standard input [default: of a poem]
    #[arg(long, required = true)]
    show: bool,
    /// Only these objectives, with commas between [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = Objective::NAMES)]
    objective: Vec<String>,
    /// Tokenizer file, a directory that holds one, or a name on the hub [default: characters]
    #[arg(long, value_name = "FILE|DIR|NAME")]
    tokenizer: Option<PathBuf>,
    /// A text instead of standard input
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Decides what is corrupted
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Share of the tokens that is corrupted [default: the objective's own]
    #[arg(long, value_name = "X")]
    noise_density: Option<f64>,
    /// Tokens of a span on average, for span-corruption [default: 3]
    #[arg(long, value_name = "X")]
    mean_noise_span_length: Option<f64>,
    /// How gap-sentences chooses
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Gaps::Lcs)]
    gap_sentences: Gaps,
    /// Tokens that an input has at most, </s> included; longer texts become several examples
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Tokens that a target has at most, </s> included
    #[arg(long, value_name = "N", default_value = "512")]
    max_target_length: NonZeroUsize,
    /// Print an object a line: objective, input, target, input_ids, target_ids
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Gaps {
    /// By the longest common subsequence with the rest, as T5 PEGASUS
    Lcs,
    /// By ROUGE-1 with the rest, as PEGASUS
    Rouge1,
}

/// Prints the examples on standard output, and on standard error what makes none.
pub fn run(args: Args) -> Result<()> {
    debug_assert!(args.show, "clap asks for it");
    let objectives = args.objectives()?;
    let budget = Budget { source: args.max_source_length.get(), target: args.max_target_length.get() };
    let mut texts = args.texts()?;
    let tokenizer = match &args.tokenizer {
        Some(path) => Tokenizer::load(&locate_tokenizer(path)?)?,
        None => {
            told!(every_character_a_token);
            let all = texts.collect::<Result<Vec<_>>>()?;
            let tokenizer = vocabulary::of_characters(all.iter().map(|(_, text)| text.as_str()))?;
            texts = Box::new(all.into_iter().map(Ok));
            tokenizer
        }
    };
    let out = std::io::stdout().lock();
    let mut show = Show { tokenizer: &tokenizer, args: &args, out, shown: 0, place: String::new() };
    let mut prepared = Vec::new();
    for objective in &objectives {
        match objective.prepare(&tokenizer, budget) {
            Ok(ready) => prepared.push((objective, ready)),
            Err(error) => show.without(error)?,
        }
    }
    // Texts and lines are named only where there are several.
    let mut first = texts.next().transpose()?;
    let mut next = texts.next().transpose()?;
    let several = next.is_some();
    while let Some((line, text)) = first {
        if several && !args.json {
            writeln!(show.out, "{}", style(&text).bold())?;
        }
        show.place = if several { format!("line {line}: ") } else { String::new() };
        for (objective, prepared) in &prepared {
            show.text(objective, prepared, line, &text)?;
        }
        first = next;
        next = texts.next().transpose()?;
    }
    show.out.flush()?;
    Ok(())
}

impl Args {
    fn objectives(&self) -> Result<Vec<Objective>> {
        let all = self.objective.is_empty();
        let names = if all { Objective::NAMES.map(String::from).to_vec() } else { self.objective.clone() };
        let mut objectives =
            names.iter().map(|name| Objective::by_name(name)).collect::<Result<Vec<_>, _>>()?;
        if !all {
            let density = objectives.iter().any(Objective::has_noise_density);
            let spans = objectives.iter().any(Objective::has_mean_span_length);
            for (given, says, flag) in [
                (self.noise_density.is_some(), density, "--noise-density"),
                (self.mean_noise_span_length.is_some(), spans, "--mean-noise-span-length"),
            ] {
                if given && !says {
                    return Err(usage(format!("{flag} says nothing to {}: leave it out", names.join(", "))));
                }
            }
        }
        for objective in &mut objectives {
            // Of all, a prefix takes what it can.
            let most = if all && objective.name() == "prefix-lm" { 0.5 } else { 1.0 };
            objective.noise_density = self.noise_density.map_or(objective.noise_density, |x| x.min(most));
            objective.mean_span_length = self.mean_noise_span_length.unwrap_or(objective.mean_span_length);
            objective.sentence_choice = match self.gap_sentences {
                Gaps::Lcs => SentenceChoice::Lcs,
                Gaps::Rouge1 => SentenceChoice::Rouge1,
            };
        }
        Ok(objectives)
    }

    /// The texts with the numbers of their lines: the one given, those of standard input, or the poem where there are
    /// none. Empty lines are none.
    fn texts(&self) -> Result<Texts> {
        let poem = || (1, POEM.to_owned());
        if let Some(text) = &self.text {
            return Ok(Box::new(std::iter::once(Ok((1, text.clone())))));
        }
        if std::io::stdin().is_terminal() {
            return Ok(Box::new(std::iter::once(Ok(poem()))));
        }
        let lines = BufReader::new(Announced::open(Path::new("-"), Encoding::Auto)?).split(b'\n');
        let read = |(i, line): (usize, std::io::Result<Vec<u8>>)| -> Result<(usize, String)> {
            let line = String::from_utf8(line?).map_err(|_| {
                anyhow!("standard input, line {}: not UTF-8, nor another encoding's text", i + 1)
            })?;
            Ok((i + 1, line.trim_end_matches('\r').to_owned()))
        };
        let mut lines =
            lines.enumerate().map(read).filter(|read| !matches!(read, Ok((_, l)) if l.trim().is_empty()));
        let first = lines.next().unwrap_or_else(|| Ok(poem()));
        Ok(Box::new(std::iter::once(first).chain(lines)))
    }
}

/// Texts with the numbers of their lines.
type Texts = Box<dyn Iterator<Item = Result<(usize, String)>>>;

/// Where examples are printed.
struct Show<'a> {
    tokenizer: &'a Tokenizer,
    args: &'a Args,
    out: std::io::StdoutLock<'static>,
    shown: usize,
    /// The line that is worked on, `line 3: `, where there are several.
    place: String,
}

impl Show<'_> {
    /// An error where the objective was asked for; of all, one is left out with a note.
    fn without(&self, error: Error) -> Result<()> {
        let place = &self.place;
        if !self.args.objective.is_empty() || error.is_usage() {
            return Err(if place.is_empty() { error.into() } else { anyhow!("{place}{error}") });
        }
        let why = format!("{place}{}", crate::errors::in_flags(&error.to_string()));
        told!(objective_left_out, why = why);
        Ok(())
    }

    /// What an objective makes of a text: of each of its chunks, or of the whole.
    fn text(
        &mut self,
        objective: &Objective,
        prepared: &Prepared<'_>,
        line: usize,
        text: &str,
    ) -> Result<()> {
        let ids = self.tokenizer.encode(text);
        let chunks: Vec<&[u32]> = match prepared.unit() {
            Unit::Tokens(most) if !ids.is_empty() => ids.chunks(most).collect(),
            _ => vec![&[]],
        };
        for (number, chunk) in chunks.iter().enumerate() {
            // The same line is corrupted in the same way whatever else is shown.
            let mut choices = Drawn(Rng::new(mix(self.args.seed, line as u64), number as u64));
            let (mut input, mut target) = (Vec::new(), Vec::new());
            match prepared.example(chunk, text, &mut choices, &mut input, &mut target) {
                Ok(()) => self.example(objective, &input, &target)?,
                // The rest of a long text.
                Err(_) if number > 0 => {}
                Err(error) => self.without(error)?,
            }
        }
        Ok(())
    }

    fn example(&mut self, objective: &Objective, input: &[u32], target: &[u32]) -> Result<()> {
        if self.args.json {
            let object = serde_json::json!({
                "objective": objective.name(),
                "input": self.tokenizer.decode(input),
                "target": self.tokenizer.decode(target),
                "input_ids": input,
                "target_ids": target,
            });
            return Ok(writeln!(self.out, "{object}")?);
        }
        if self.shown > 0 {
            writeln!(self.out)?;
        }
        self.shown += 1;
        writeln!(self.out, "{}", style(objective.name()).bold())?;
        let t = &lang().texts().pages;
        let width = [t.source, t.target].map(measure_text_width).into_iter().max().unwrap_or(0);
        let (input, target) = painted::example(self.tokenizer, objective, input, target);
        for (side, text) in [(t.source, input), (t.target, target)] {
            let pad = " ".repeat(width - measure_text_width(side));
            writeln!(self.out, "  {}{pad}  {text}", style(side).dim())?;
        }
        Ok(())
    }
}
