//! The documents of `t5kit pretrain`: flags, and what stream they make.

use anyhow::Result;
use std::num::NonZeroUsize;
use std::path::Path;
use t5kit_formats::inputs::expand;
use t5kit_formats::table::{ColumnRef, TableOptions};
use t5kit_tasks::objective::{Budget, Objective};
use t5kit_train::{DocumentSource, StreamOptions, WINDOW_BYTES};

use crate::errors::usage;
use crate::finetune::OnError;
use crate::table_flags::TableFlags;

/// Which documents, and what is made of them.
#[derive(clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Documents: files, folders and patterns of text, TSV, CSV, JSON lines, Parquet or workbooks, plain, .gz or .zst;
    /// with =WEIGHT behind it how often one of these is drawn beside the others
    #[arg(long, value_name = "PATH[=WEIGHT]", num_args = 1.., required = true)]
    pub data: Vec<String>,
    /// Column of tables that has the text, by name or number [default: the one whose name says so]
    #[arg(long, value_name = "COLUMN")]
    field: Option<String>,
    /// What is learnt from a text: t5kit objective --show prints what each makes of one
    #[arg(long, value_name = "NAME", default_value = "span-corruption", value_parser = clap::builder::PossibleValuesParser::new(Objective::NAMES))]
    objective: String,
    /// Share of the tokens that is corrupted [default: that of the objective's paper]
    #[arg(long, value_name = "SHARE")]
    noise_density: Option<f64>,
    /// span-corruption: tokens of a corrupted span on average [default: 3]
    #[arg(long, value_name = "N")]
    mean_noise_span_length: Option<f64>,
    /// Tokens of a source at most, </s> included; the text is cut so that they are filled
    #[arg(long, value_name = "N", default_value = "512")]
    max_source_length: NonZeroUsize,
    /// Tokens of a target at most, </s> included [default: 114 where the target is what was taken out, T5's; else as
    /// many as a source]
    #[arg(long, value_name = "N")]
    pub max_target_length: Option<NonZeroUsize>,
    /// Share of the documents that is never trained on and that the loss is measured on; 0: none
    #[arg(long, value_name = "SHARE", default_value = "0.01")]
    held_out: f64,
    /// Examples of them that the loss is measured on at most
    #[arg(long, value_name = "N", default_value = "256")]
    pub held_out_examples: NonZeroUsize,
    /// Text that is held in memory and shuffled at a time, in MiB, for each --data with a weight
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::new(WINDOW_BYTES >> 20).expect("not 0"))]
    shuffle_buffer: NonZeroUsize,
    /// What to do about a row that cannot be used
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    on_error: OnError,
    #[command(flatten)]
    tables: TableFlags,
}

/// Tokens of a target of T5's spans beside 512 of a source (Raffel et al. 2020, section 3.1.4: 114).
const TARGET: usize = 114;

impl DataArgs {
    /// The objective, and what stream it makes examples of, for a model whose positions may end.
    pub fn stream(
        &self,
        most_tokens: Option<usize>,
        batch_size: usize,
        seed: u64,
    ) -> Result<(Objective, StreamOptions)> {
        let objective = self.objective()?;
        let Budget { source, target } = self.budget(&objective);
        if let Some(most) = most_tokens
            && source + target > most
        {
            let what = "has so many positions; lower --max-source-length or --max-target-length";
            return Err(usage(format!(
                "{source} and {target} tokens are more than {most}: the model {what}"
            )));
        }
        let options = StreamOptions {
            sources: self.sources()?,
            column: self.field.as_deref().map(ColumnRef::parse),
            // A line of plain text is a text, tabs or not.
            table: TableOptions { text_as_table: self.field.is_some(), ..self.tables.options() },
            skip_bad_rows: self.on_error == OnError::Skip,
            budget: Budget { source, target },
            batch_size,
            window_bytes: self.shuffle_buffer.get() << 20,
            held_out: self.held_out,
            seed,
        };
        Ok((objective, options))
    }

    /// The objective with its numbers.
    pub fn objective(&self) -> Result<Objective> {
        let mut objective = Objective::by_name(&self.objective).map_err(|e| usage(e.to_string()))?;
        if let Some(density) = self.noise_density {
            if !objective.has_noise_density() {
                return Err(usage(format!("--noise-density: {} has none", objective.name())));
            }
            objective.noise_density = density;
        }
        if let Some(length) = self.mean_noise_span_length {
            if !objective.has_mean_span_length() {
                let what = "has no spans of a mean length; span-corruption has";
                return Err(usage(format!("--mean-noise-span-length: {} {what}", objective.name())));
            }
            objective.mean_span_length = length;
        }
        Ok(objective)
    }

    /// What an objective's sources and targets are cut to.
    pub fn budget(&self, objective: &Objective) -> Budget {
        let source = self.max_source_length.get();
        let taken_out =
            objective.is_cut_out() && objective.name() != "prefix-lm" && objective.name() != "ul2";
        let target = match self.max_target_length {
            Some(target) => target.get(),
            None if taken_out => TARGET.min(source),
            None => source,
        };
        Budget { source, target }
    }

    /// Each `--data` with a weight is a source of its own; where none has one, all files are one source.
    fn sources(&self) -> Result<Vec<DocumentSource>> {
        let weighted = self.data.iter().map(|path| weight(path)).collect::<Result<Vec<_>>>()?;
        if weighted.iter().all(|(_, weight)| weight.is_none()) {
            return Ok(vec![DocumentSource { files: expand(&self.data)?, weight: 1.0 }]);
        }
        let source = |(path, weight): (&str, Option<f64>)| -> Result<DocumentSource> {
            Ok(DocumentSource { files: expand(&[path.to_owned()])?, weight: weight.unwrap_or(1.0) })
        };
        weighted.into_iter().map(source).collect()
    }
}

/// A path and the weight behind it. What is there by the whole name has none.
fn weight(path: &str) -> Result<(&str, Option<f64>)> {
    if path == "-" {
        return Err(usage("--data -: documents are gone through again and again; give a file".to_owned()));
    }
    let Some((before, weight)) = path.rsplit_once('=').filter(|_| !Path::new(path).exists()) else {
        return Ok((path, None));
    };
    match weight.parse() {
        Ok(weight) if f64::is_finite(weight) && weight > 0.0 => Ok((before, Some(weight))),
        _ => Err(usage(format!("--data {path}: a weight is a number above 0, such as {before}=2"))),
    }
}
