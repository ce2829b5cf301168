//! Results as they are printed: texts as they are spelt, a line each or as JSON.

use serde_json::json;
use std::io::{Result, StdoutLock, Write};
use t5kit_generate::Generated;
use t5kit_pipeline::Spelling;

/// Prints results in the order they come in.
pub struct Printer<'s> {
    spelling: &'s Spelling<'s>,
    json: bool,
    /// Whether several targets of a source were asked for.
    several: bool,
    out: StdoutLock<'static>,
}

impl<'s> Printer<'s> {
    /// To standard output.
    pub fn new(spelling: &'s Spelling<'s>, json: bool, several: bool) -> Self {
        Printer { spelling, json, several, out: std::io::stdout().lock() }
    }

    /// Prints the targets of a source.
    pub fn print(&mut self, targets: &[Generated]) -> Result<()> {
        if self.json {
            let output = |t: &Generated| {
                let mut output = json!({"text": self.spelling.text(t), "ids": t.ids, "score": t.score});
                if let Some(probability) = t.probability {
                    output["probability"] = json!(probability);
                }
                output
            };
            let outputs: Vec<_> = targets.iter().map(output).collect();
            writeln!(self.out, "{}", json!({"outputs": outputs}))?;
        } else {
            for target in targets {
                // A line stays a line.
                let text = self.spelling.text(target).replace(['\n', '\r'], " ");
                match target.probability.or(target.score).filter(|_| self.several) {
                    Some(score) => writeln!(self.out, "{score:.6}\t{text}")?,
                    None => writeln!(self.out, "{text}")?,
                }
            }
        }
        // Whoever reads a pipe waits for whole results, not for a full buffer.
        self.out.flush()
    }
}
