//! `t5kit convert --check`: what converting costs in quality, on examples of the user's own.

use anyhow::Result;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use t5kit_eval::{Bootstrap, Figure, Report};
use t5kit_evaluate::{Asked, Comparison, Examples, Judged, judge};
use t5kit_pipeline::{Form, Prepared, Wishes};

use crate::columns::aligned;
use crate::errors::usage;
use crate::form::{FormArgs, say_form, warn_prompt};
use crate::model_args::ModelArgs;
use crate::pairs::PairFlags;
use crate::progress::Monitor;
use crate::say::{Side, notice_cut};

/// Examples that the result is compared on.
#[derive(clap::Args)]
pub struct CheckArgs {
    /// Compare the result with the original on this table of sources, and targets where it has them: generate greedily
    /// with both, score the same texts with both, and print how they differ
    #[arg(long, value_name = "FILE", help_heading = "Check")]
    pub check: Option<PathBuf>,
    /// Examples taken, the first; others are left out [default: all]
    #[arg(long, value_name = "N", requires = "check", help_heading = "Check")]
    max_examples: Option<NonZeroUsize>,
    /// Tokens generated at most [default: the model's, else 64]
    #[arg(long, value_name = "N", requires = "check", help_heading = "Check")]
    max_new_tokens: Option<NonZeroUsize>,
    /// Bootstrap samples for the 95 % confidence intervals; 0: none
    #[arg(long, value_name = "N", default_value = "1000", help_heading = "Check")]
    bootstrap: usize,
    /// Threads to generate on [default: all cores]
    #[arg(long, value_name = "N", requires = "check", help_heading = "Check")]
    threads: Option<NonZeroUsize>,
    /// Print JSON instead of the table
    #[arg(long, requires = "check", help_heading = "Check")]
    json: bool,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    pairs: PairFlags,
}

/// A table of examples that was read.
pub struct Check {
    examples: Examples,
    form: Form,
}

impl CheckArgs {
    /// Reads the table in the form that the model wants, so that what is wrong with it is said before anything is converted.
    pub fn begin(&self, original: &Prepared) -> Result<Option<Check>> {
        let Some(path) = &self.check else { return Ok(None) };
        let form = self.form.wishes(None).settle(original.trained()?.as_ref());
        say_form(&form, &["source_prefix", "max_source_length", "punctuation"]);
        let nothing = || usage(format!("{}: holds no example", path.display()));
        let pairs = self.pairs.open_with_or_without(path, &form)?.ok_or_else(nothing)?;
        pairs.say();
        warn_prompt(&form, pairs.roles.prompt.is_some());
        let has_targets = pairs.has_targets;
        let (mut sources, mut references) = pairs.references()?;
        let most = self.max_examples.map_or(usize::MAX, NonZeroUsize::get);
        std::iter::once(&mut sources).chain(&mut references).for_each(|texts| texts.truncate(most));
        if sources.is_empty() {
            return Err(nothing());
        }
        let references = if has_targets { references } else { Vec::new() };
        Ok(Some(Check { examples: Examples { sources, references }, form }))
    }

    /// Compares the model in `folder` with the original, and prints how they differ; nothing where no table was given.
    pub fn run(&self, check: Option<Check>, original: &ModelArgs, folder: &Path) -> Result<()> {
        let Some(check) = check else { return Ok(()) };
        let targets = check.examples.references.first();
        let first = self.judge(original.find(None, self.threads)?, &check, targets)?;
        let Examples { sources, .. } = &check.examples;
        notice_cut(Side::Source, first.cut, sources.len(), check.form.max_source_length, "");
        t5kit_tensor::release_cached();
        let converted = ModelArgs::at(folder.to_string_lossy()).find(None, self.threads)?;
        // Both find the same texts probable: the targets, else what the original has said.
        let second = self.judge(converted, &check, targets.or(Some(&first.texts)))?;
        let bootstrap = Bootstrap { samples: self.bootstrap, ..Bootstrap::default() };
        let found = Comparison::new(&check.examples, &first, &second, bootstrap)?;
        let mut out = std::io::stdout().lock();
        match self.json {
            true => writeln!(out, "{:#}", found.to_json())?,
            false => out.write_all(table(&found).as_bytes())?,
        }
        Ok(())
    }

    /// What one model makes of the examples; it scores `texts`, else its own.
    fn judge(&self, model: Prepared, check: &Check, texts: Option<&Vec<String>>) -> Result<Judged> {
        let model = model.load()?;
        let wishes = Wishes {
            max_new_tokens: self.max_new_tokens.map(NonZeroUsize::get),
            num_beams: Some(1),
            num_return_sequences: Some(1),
            do_sample: Some(false),
            ..Wishes::default()
        };
        let settled = model.settle(&wishes)?;
        let (max_source_length, punctuation) = (check.form.max_source_length, check.form.punctuation);
        let asked = Asked { wishes, max_source_length, punctuation, ..Asked::default() };
        let mut monitor = Monitor::default();
        let sources = &check.examples.sources;
        let judged = judge(&model, sources, texts.map(|texts| &texts[..]), &asked, &settled, &mut monitor);
        monitor.clear();
        Ok(judged?)
    }
}

/// The comparison for a terminal, in percent.
fn table(found: &Comparison) -> String {
    let percent = |x: f64, most: f64| 100.0 * x / most;
    let value = |figure: &Figure| {
        let half =
            figure.interval.map(|(low, high)| format!(" ±{:.2}", percent(high - low, figure.most) / 2.0));
        format!("{:.2}", percent(figure.value, figure.most)) + &half.unwrap_or_default()
    };
    let name = |figure: &Figure| match figure.name.as_str() {
        "accuracy" => "identical".to_owned(),
        other => t5kit_evaluate::title(other),
    };
    let mut head = vec![String::new()];
    head.extend(found.same.figures.iter().map(name));
    let mut rows = vec![head];
    let mut add = |what: &str, report: &Report, cell: &dyn Fn(&Figure) -> String| {
        rows.push(std::iter::once(what.to_owned()).chain(report.figures.iter().map(cell)).collect());
    };
    add("converted against original", &found.same, &value);
    if let Some(right) = &found.right {
        let first = |figure: &Figure| {
            figure.against.map_or(String::new(), |against| {
                value(&Figure { value: against.value, interval: against.interval, ..figure.clone() })
            })
        };
        let second = |figure: &Figure| {
            let sure = t5kit_evaluate::chance(figure).is_some_and(|p| p < 0.05);
            value(figure) + if sure { "*" } else { "" }
        };
        add("original against targets", right, &first);
        add("converted against targets", right, &second);
    }
    let mut out = aligned(&rows, 1);
    let of = if found.right.is_some() { "targets" } else { "original's outputs" };
    let l = &found.likelihood;
    let within = l.interval.map(|(low, high)| format!(" ({low:+.5} to {high:+.5})")).unwrap_or_default();
    out += &format!(
        "log-probability of a token of the {of}: {:.5} under the original, {:.5} converted, difference {:+.5}{within}\n",
        l.original,
        l.converted,
        l.difference()
    );
    out +=
        &format!("a whole text differs by {:.4} on average, by {:.4} at most\n", l.mean_absolute, l.greatest);
    out += &format!("{} examples, in percent; greedy", found.examples);
    if found.same.figures.iter().any(|figure| figure.interval.is_some()) {
        out += "; ±: half of the 95 % confidence interval";
    }
    if found.right.is_some() {
        out += "; *: differs from the original (p < 0.05)";
    }
    out + "\n"
}
