//! Pairs of texts, tokenized once and kept compactly.

use std::path::Path;

use t5kit_formats::table::{self, ColumnRef, TableOptions};
use t5kit_tokenizer::Tokenizer;

use crate::Error;

/// Which columns hold the texts; by default those named `source` and `target`, or a file's only two.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The source's column.
    pub source: Option<ColumnRef>,
    /// The target's column.
    pub target: Option<ColumnRef>,
}

/// Lengths that texts are cut to, `</s>` included.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens of a source, at most.
    pub source: usize,
    /// Tokens of a target, at most.
    pub target: usize,
}

/// Sources and targets as ids, each ending in `</s>`.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    ids: Vec<u32>,
    /// Ends of source 0, target 0, source 1, target 1, …
    ends: Vec<usize>,
    /// Sources and targets that were too long.
    pub cut: usize,
}

impl Examples {
    /// Reads a file of pairs (TSV, CSV, JSON lines, Parquet, packed or not).
    pub fn read(
        path: &Path,
        columns: &Columns,
        tokenizer: &Tokenizer,
        lengths: Lengths,
    ) -> Result<Self, Error> {
        let wanted: Vec<ColumnRef> = match (&columns.source, &columns.target) {
            (None, None) => Vec::new(),
            (source, target) => vec![
                source.clone().unwrap_or_else(|| ColumnRef::Name("source".into())),
                target.clone().unwrap_or_else(|| ColumnRef::Name("target".into())),
            ],
        };
        let mut examples = Examples::default();
        for row in table::open(path, &wanted, &TableOptions::default())? {
            let row = row?;
            let [source, target] = row.values.as_slice() else {
                return Err(Error::Columns { path: path.to_path_buf(), have: row.values.len() });
            };
            for (what, text) in [("source", source), ("target", target)] {
                if text.trim().is_empty() {
                    return Err(Error::EmptyText { path: path.to_path_buf(), line: row.line, what });
                }
            }
            examples.push(tokenizer, source, target, lengths);
        }
        if examples.is_empty() {
            return Err(Error::NoExamples { path: path.to_path_buf() });
        }
        Ok(examples)
    }

    /// Tokenizes and adds a pair.
    pub fn push(&mut self, tokenizer: &Tokenizer, source: &str, target: &str, lengths: Lengths) {
        for (text, most) in [(source, lengths.source), (target, lengths.target)] {
            let start = self.ids.len();
            tokenizer.encode_into(text.as_bytes(), &mut self.ids);
            if self.ids.len() - start >= most {
                self.cut += usize::from(self.ids.len() - start > most.saturating_sub(1));
                self.ids.truncate(start + most.saturating_sub(1));
            }
            self.ids.push(tokenizer.eos_id());
            self.ends.push(self.ids.len());
        }
    }

    /// Adds a pair of ids, each ending in `</s>`.
    pub fn push_ids(&mut self, source: &[u32], target: &[u32]) {
        for ids in [source, target] {
            self.ids.extend_from_slice(ids);
            self.ends.push(self.ids.len());
        }
    }

    fn text(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.ids[start..self.ends[at]]
    }

    /// The source of an example.
    pub fn source(&self, example: usize) -> &[u32] {
        self.text(2 * example)
    }

    /// The target of an example.
    pub fn target(&self, example: usize) -> &[u32] {
        self.text(2 * example + 1)
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Tokens of all sources and targets.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// An error when an id has no row in a model.
    pub fn check_ids(&self, pieces: usize, rows: usize) -> Result<(), Error> {
        match self.ids.iter().any(|&id| id as usize >= rows) {
            true => Err(Error::Vocabulary { pieces, rows }),
            false => Ok(()),
        }
    }

    /// A number that changes with any id: to recognise the examples of a resumed run.
    pub fn fingerprint(&self) -> u64 {
        let ids = self.ids.iter().fold(0, |hash, &id| t5kit_tensor::mix(hash, u64::from(id)));
        self.ends.iter().fold(ids, |hash, &end| t5kit_tensor::mix(hash, end as u64))
    }

    /// Tokens of the `batch_size` longest sources and, separately, targets: what the largest batch may hold.
    pub fn largest_batch(&self, batch_size: usize) -> (usize, usize) {
        let longest = |first: usize| {
            let mut lengths: Vec<usize> =
                (first..self.ends.len()).step_by(2).map(|i| self.text(i).len()).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.iter().take(batch_size).sum()
        };
        (longest(0), longest(1))
    }
}
