//! `report.html`: the page of a run, from its first validation on; at its end with outputs of its best or last model.

use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use t5kit_formats::lang::Lang;
use t5kit_formats::progress::Progress;
use t5kit_generate::GenerateOptions;
use t5kit_generate::constrain::Constraint;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::Pool;
use t5kit_tokenizer::{Punctuation, Tokenizer};
use t5kit_train::{
    Decoding, EvalRecord, Examples, RunReport, RunState, Sample, TrainOptions, samples, write_report,
};

use crate::interrupt;

/// Outputs that are shown.
const SAMPLES: usize = 12;
/// Training examples that are shown.
const SHOWN: usize = 5;

/// What a page is made from beside the log: all that is known before the first step.
pub struct Page<'a> {
    pub lang: Lang,
    pub folder: &'a Path,
    pub model: &'a str,
    pub train: &'a [PathBuf],
    pub command: String,
    pub parameters: usize,
    pub options: &'a TrainOptions,
    pub settings: Vec<(&'static str, String)>,
    pub lengths: [usize; 2],
    pub examples: &'a Examples,
    /// Whether these are but the first of many more.
    pub sampled: bool,
    pub valid: Option<&'a Examples>,
    /// Training examples to show.
    pub shown: Vec<(String, String)>,
    /// The share of the training tokens that are bytes or unknown.
    pub bytes_share: f64,
    pub date: String,
    /// What happens to the punctuation of generated Chinese.
    pub punctuation: Punctuation,
    /// What alone may be generated.
    pub permitted: Permitted,
}

/// What alone may be generated for the examples of a run.
#[derive(Clone, Default)]
pub struct Permitted {
    /// For all of them; `None`: anything.
    pub all: Option<Arc<Constraint>>,
    /// For those of tasks of a mixture, by name.
    pub of_tasks: Vec<(String, Arc<Constraint>)>,
}

impl Permitted {
    /// How targets are generated under it and otherwise as `options` say.
    pub fn decoding(
        self,
        tokenizer: &Tokenizer,
        options: GenerateOptions,
        punctuation: Punctuation,
    ) -> Decoding<'_> {
        let options = GenerateOptions { constraint: self.all, ..options };
        Decoding { tokenizer, options, of_tasks: self.of_tasks, punctuation }
    }
}

impl Page<'_> {
    /// Writes the page of a run that has come so far.
    pub fn write(&self, state: RunState, best: Option<&EvalRecord>, samples: &[Sample]) -> Result<()> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        // A run in `.` has the name of the folder that this is.
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.to_path_buf());
        let data: Vec<String> = self.train.iter().filter_map(|path| name(path)).collect();
        let report = RunReport {
            lang: self.lang,
            run: &name(&folder).unwrap_or_else(|| folder.display().to_string()),
            model: &name(Path::new(self.model)).unwrap_or_else(|| self.model.to_owned()),
            data: &data.join(", "),
            date: &self.date,
            state,
            lengths: self.lengths,
            bytes_share: self.bytes_share,
            program: concat!("t5kit ", env!("CARGO_PKG_VERSION")),
            command: &self.command,
            parameters: self.parameters,
            options: self.options,
            settings: &self.settings,
            examples: self.examples,
            sampled: self.sampled,
            valid: self.valid,
            shown: &self.shown,
            best,
            samples,
        };
        Ok(write_report(self.folder, &report)?)
    }

    /// Generates some targets with the run's best model, or its last, and writes the page for good.
    pub fn finish(&self, loaded: &Pipeline, pool: &Pool, best: Option<&EvalRecord>) -> Result<()> {
        let options = loaded.generate_options();
        let decoding = self.permitted.clone().decoding(&loaded.tokenizer, options, self.punctuation);
        let from = self.valid.unwrap_or(self.examples);
        let how = &self.options.validation;
        let mut quiet = |_: Progress<'_>| interrupt::flow();
        let samples = samples(&*loaded.model, pool, from, 0..SAMPLES, &decoding, how, &mut quiet)?;
        self.write(RunState::Ended, best, &samples)
    }
}

/// The first training examples as the model sees them, and the share of all their tokens that are bytes or unknown.
pub fn seen(tokenizer: &Tokenizer, examples: &Examples) -> (Vec<(String, String)>, f64) {
    let text = |ids: &[u32]| tokenizer.decode(ids);
    let shown = (0..examples.len().min(SHOWN))
        .map(|i| (text(examples.source(i)), text(examples.target(i))))
        .collect();
    let poor: Vec<bool> = (0..tokenizer.vocab_size() as u32)
        .map(|id| id == tokenizer.unk_id() || tokenizer.piece(id).is_some_and(is_byte))
        .collect();
    // ByT5 has nothing but bytes, and means it.
    if poor.iter().all(|poor| *poor) || tokenizer.vocab_size() < 1000 {
        return (shown, 0.0);
    }
    let count = |ids: &[u32]| ids.iter().filter(|&&id| poor.get(id as usize) == Some(&true)).count();
    let all: usize = (0..examples.len()).map(|i| count(examples.source(i)) + count(examples.target(i))).sum();
    (shown, all as f64 / examples.tokens().max(1) as f64)
}

fn is_byte(piece: &str) -> bool {
    piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>')
}
