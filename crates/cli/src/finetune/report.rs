//! `report.html` of a finished run: outputs of its best or last model, and the page.

use anyhow::Result;
use std::path::Path;
use t5kit_formats::progress::Progress;
use t5kit_pipeline::Pipeline;
use t5kit_tensor::Pool;
use t5kit_train::{Decoding, EvalRecord, Examples, RunReport, TrainOptions, samples, write_report};

use crate::interrupt;

/// Outputs that are shown.
const SAMPLES: usize = 12;
/// Training examples that are shown.
const SHOWN: usize = 5;

/// What a page is made from.
pub struct Finished<'a> {
    pub loaded: Pipeline,
    pub folder: &'a Path,
    pub command: &'a [String],
    pub pool: &'a Pool,
    pub options: &'a TrainOptions,
    pub settings: &'a [(&'a str, String)],
    pub examples: &'a Examples,
    pub valid: Option<&'a Examples>,
    pub best: Option<&'a EvalRecord>,
}

impl Finished<'_> {
    /// Generates some targets with the run's best model, or its last, and writes the page.
    pub fn write(&self) -> Result<()> {
        let loaded = &self.loaded;
        let decoding = Decoding { tokenizer: &loaded.tokenizer, options: loaded.generate_options() };
        let from = self.valid.unwrap_or(self.examples);
        let how = &self.options.validation;
        let mut quiet = |_: Progress<'_>| interrupt::flow();
        let samples = samples(&loaded.model, self.pool, from, SAMPLES, &decoding, how, &mut quiet)?;
        let text = |ids: &[u32]| loaded.tokenizer.decode(ids);
        let shown: Vec<(String, String)> = (0..self.examples.len().min(SHOWN))
            .map(|i| (text(self.examples.source(i)), text(self.examples.target(i))))
            .collect();
        let report = RunReport {
            program: concat!("t5kit ", env!("CARGO_PKG_VERSION")),
            command: &command_line(self.command),
            parameters: loaded.model.params.elements(),
            options: self.options,
            settings: self.settings,
            examples: self.examples,
            valid: self.valid,
            shown: &shown,
            best: self.best,
            samples: &samples,
        };
        Ok(write_report(self.folder, &report)?)
    }
}

/// The arguments as one would type them, without those that only matter where a run is there already.
fn command_line(arguments: &[String]) -> String {
    let typed = arguments.iter().filter(|a| !matches!(a.as_str(), "--resume" | "--force"));
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = typed.map(|a| match a.chars().all(plain) && !a.is_empty() {
        true => a.clone(),
        false => format!("'{}'", a.replace('\'', r"'\''")),
    });
    std::iter::once("t5kit".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_typed_again() {
        let arguments =
            ["finetune", "--source-prefix", "it's ", "--force", "--train", "训练.tsv", "--target", ""];
        assert_eq!(
            command_line(&arguments.map(String::from)),
            r"t5kit finetune --source-prefix 'it'\''s ' --train 训练.tsv --target ''"
        );
    }
}
