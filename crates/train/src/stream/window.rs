//! The window of one source: so many documents as fit, shuffled, as ids, cut into the chunks that an objective wants.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::Texts;
use t5kit_tasks::objective::{Prepared, Unit};
use t5kit_tensor::{Pool, Rng, mix};
use t5kit_tokenizer::Tokenizer;

use super::held_out::is_held_out;
use super::{StreamFacts, StreamOptions, USUAL};
use crate::Error;
use crate::order::epoch_order;

/// Where a source stands: at which window, and at which chunk of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// Times that all of its files were gone through.
    epoch: u64,
    /// The file that the window begins in, in this epoch's order.
    file: u64,
    /// Texts of that file before the window.
    text: u64,
    /// The next chunk.
    chunk: u64,
}

/// What documents are read with.
pub(super) struct Reading<'a> {
    pub options: &'a StreamOptions,
    pub objective: &'a Prepared<'a>,
    pub tokenizer: &'a Tokenizer,
    pub pool: &'a Pool,
}

/// A chunk: what an example is made of.
pub(super) struct Chunk<'w> {
    pub ids: &'w [u32],
    /// The text, where the objective wants whole documents.
    pub text: &'w str,
    /// Bytes of text that it stands for.
    pub bytes: f64,
}

/// Which documents are wanted.
#[derive(Clone, Copy)]
pub(super) enum Kept {
    /// Those that are not held out.
    Training,
    /// Those that are, until there are enough for so many examples.
    HeldOut { most: usize },
}

/// A source that is being read.
pub(super) struct Window {
    source: usize,
    at: At,
    /// Where the next window begins.
    after: At,
    /// The reader, where it stands at `after`.
    open: Option<Texts>,
    filled: bool,
    texts: Vec<String>,
    ids: Vec<u32>,
    /// Chunks, shuffled: where in `ids`, or which text.
    chunks: Vec<(usize, usize)>,
    bytes_a_chunk: f64,
}

impl Window {
    pub fn new(source: usize) -> Self {
        Self::going_on(source, At::default())
    }

    pub fn going_on(source: usize, at: At) -> Self {
        let (texts, ids, chunks) = (Vec::new(), Vec::new(), Vec::new());
        Window { source, at, after: at, open: None, filled: false, texts, ids, chunks, bytes_a_chunk: 0.0 }
    }

    pub fn at(&self) -> At {
        self.at
    }

    /// The next chunk; after the last file comes the first of the next epoch.
    pub fn next(
        &mut self,
        reading: &Reading<'_>,
        facts: &mut StreamFacts,
        watch: &mut dyn Watch,
    ) -> Result<Chunk<'_>, Error> {
        let mut empty = 0;
        while !self.filled || self.at.chunk as usize >= self.chunks.len() {
            if self.filled {
                self.at = self.after;
            }
            let begins = self.at.epoch;
            self.fill(reading, Kept::Training, facts, watch)?;
            // A whole epoch without a chunk: there is nothing to learn from.
            empty = if self.chunks.is_empty() { empty + u32::from(self.after.epoch > begins) } else { 0 };
            if empty > 1 {
                let files = &reading.options.sources[self.source].files;
                return Err(Error::NoExamples { path: files[0].path.clone() });
            }
        }
        let chunk = self.at.chunk as usize;
        self.at.chunk += 1;
        Ok(self.chunk(chunk))
    }

    /// The next chunk of documents of that kind in the first epoch; `None` at its end.
    pub fn next_of(
        &mut self,
        reading: &Reading<'_>,
        kept: Kept,
        facts: &mut StreamFacts,
        watch: &mut dyn Watch,
    ) -> Result<Option<Chunk<'_>>, Error> {
        while !self.filled || self.at.chunk as usize >= self.chunks.len() {
            if self.filled {
                self.at = self.after;
            }
            if self.at.epoch > 0 {
                return Ok(None);
            }
            self.fill(reading, kept, facts, watch)?;
        }
        let chunk = self.at.chunk as usize;
        self.at.chunk += 1;
        Ok(Some(self.chunk(chunk)))
    }

    fn chunk(&self, chunk: usize) -> Chunk<'_> {
        let (start, end) = self.chunks[chunk];
        let bytes = self.bytes_a_chunk;
        match self.ids.is_empty() {
            true => Chunk { ids: &[], text: &self.texts[start], bytes },
            false => Chunk { ids: &self.ids[start..end], text: "", bytes },
        }
    }

    /// Reads the window that begins at `self.at`; `self.after` is behind it. A window ends where an epoch does.
    fn fill(
        &mut self,
        reading: &Reading<'_>,
        kept: Kept,
        facts: &mut StreamFacts,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        let options = reading.options;
        let files = &options.sources[self.source].files;
        let key = mix(options.seed, self.source as u64);
        let order = epoch_order(files.len(), mix(key, FILES), self.at.epoch);
        self.texts.clear();
        let wanted = match kept {
            Kept::Training => options.window_bytes,
            // Some ten bytes a token at most, so that the examples asked for are there.
            Kept::HeldOut { most } => {
                options.window_bytes.min(most * 10 * (options.budget.source + options.budget.target))
            }
        };
        let (mut bytes, mut all_bytes) = (0, 0);
        let mut at = At { chunk: 0, ..self.at };
        let go_on = match self.open.take() {
            Some(texts) if self.after == at => Some(texts),
            _ => None,
        };
        let mut texts = go_on;
        while bytes < wanted {
            let Some(&file) = order.get(at.file as usize) else {
                at = At { epoch: at.epoch + 1, ..At::default() };
                break;
            };
            let path = &files[file as usize].path;
            let reader = match &mut texts {
                Some(reader) => reader,
                none => {
                    let mut reader = Texts::open(path, options.column.as_ref(), &USUAL, &options.table)?;
                    reader.by_ref().take(at.text as usize).for_each(drop);
                    none.insert(reader)
                }
            };
            match reader.next() {
                None => {
                    texts = None;
                    at = At { file: at.file + 1, text: 0, ..at };
                }
                Some(text) => {
                    at.text += 1;
                    let text = match text {
                        Ok(text) => text,
                        Err(error) if options.skip_bad_rows && error.is_bad_row() => {
                            facts.skipped += 1;
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    };
                    all_bytes += text.len() + 1;
                    let out = is_held_out(&text, options.held_out, options.seed);
                    if out == matches!(kept, Kept::HeldOut { .. }) && !text.trim().is_empty() {
                        bytes += text.len() + 1;
                        self.texts.push(text);
                    }
                    if at.text.is_multiple_of(TOLD) {
                        watch.go_on(Progress::items("reading", "documents", self.texts.len(), None))?;
                    }
                }
            }
        }
        self.open = texts;
        self.after = at;
        let window = mix(mix(mix(key, self.at.epoch), self.at.file), self.at.text);
        let mut rng = Rng::new(window, 0);
        rng.shuffle(&mut self.texts);
        self.cut(reading);
        rng.shuffle(&mut self.chunks);
        self.bytes_a_chunk = all_bytes as f64 / self.chunks.len().max(1) as f64;
        self.filled = true;
        Ok(())
    }

    /// Makes chunks of the texts: of their ids end to end, or of each text.
    fn cut(&mut self, reading: &Reading<'_>) {
        self.ids.clear();
        self.chunks.clear();
        let Unit::Tokens(raw) = reading.objective.unit() else {
            self.chunks.extend((0..self.texts.len()).map(|i| (i, i + 1)));
            return;
        };
        let parts: Vec<_> =
            self.texts.chunks(TEXTS_A_PART).map(|texts| Mutex::new((texts, Vec::new()))).collect();
        reading.pool.run_items(parts.len(), |i| {
            let (texts, ids) = &mut *parts[i].lock().unwrap_or_else(|e| e.into_inner());
            texts.iter().for_each(|text| reading.tokenizer.encode_into(text.as_bytes(), ids));
        });
        for part in parts {
            self.ids.extend(part.into_inner().unwrap_or_else(|e| e.into_inner()).1);
        }
        self.texts = Vec::new();
        let starts = (0..self.ids.len()).step_by(raw.max(1));
        self.chunks.extend(starts.map(|start| (start, (start + raw).min(self.ids.len()))));
    }
}

/// Texts that a thread tokenizes at a time.
const TEXTS_A_PART: usize = 64;
/// Texts between reports.
const TOLD: u64 = 1024;
/// The stream of a seed that files are ordered by.
const FILES: u64 = 0x6669_6c65;
