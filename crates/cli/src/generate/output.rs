//! Results in the order of the sources, printed as soon as all before them are there.

use serde_json::json;
use std::io::{Result, StdoutLock, Write};
use t5kit_generate::Generated;
use t5kit_tokenizer::Tokenizer;

/// Prints the results of one window of sources.
pub struct Printer<'t> {
    tokenizer: &'t Tokenizer,
    json: bool,
    out: StdoutLock<'static>,
    waiting: Vec<Option<Vec<Generated>>>,
    printed: usize,
}

impl<'t> Printer<'t> {
    /// To standard output.
    pub fn new(tokenizer: &'t Tokenizer, json: bool) -> Self {
        Printer { tokenizer, json, out: std::io::stdout().lock(), waiting: Vec::new(), printed: 0 }
    }

    /// A window of so many sources begins.
    pub fn begin(&mut self, sources: usize) {
        self.waiting = vec![None; sources];
        self.printed = 0;
    }

    /// The targets of a source of the window.
    pub fn give(&mut self, source: usize, targets: Vec<Generated>) -> Result<()> {
        self.waiting[source] = Some(targets);
        let before = self.printed;
        while let Some(targets) = self.waiting.get_mut(self.printed).and_then(Option::take) {
            self.print(&targets)?;
            self.printed += 1;
        }
        // Whoever reads a pipe waits for whole results, not for a full buffer.
        if self.printed > before { self.out.flush() } else { Ok(()) }
    }

    fn print(&mut self, targets: &[Generated]) -> Result<()> {
        if self.json {
            let output = |t: &Generated| json!({"text": self.tokenizer.decode(&t.ids), "ids": t.ids, "score": t.score});
            let outputs: Vec<_> = targets.iter().map(output).collect();
            return writeln!(self.out, "{}", json!({"outputs": outputs}));
        }
        for target in targets {
            // A line stays a line.
            let text = self.tokenizer.decode(&target.ids).replace(['\n', '\r'], " ");
            match target.score.filter(|_| targets.len() > 1) {
                Some(score) => writeln!(self.out, "{score:.6}\t{text}")?,
                None => writeln!(self.out, "{text}")?,
            }
        }
        Ok(())
    }
}
