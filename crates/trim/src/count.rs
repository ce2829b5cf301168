//! Counting how often each piece of a tokenizer occurs in a corpus, on all cores, in bounded memory.
//!
//! One thread reads chunks, the others tokenize and count, each in a table of its own. From time to time
//! the reader lets them finish what they have, so that the sum of the tables belongs to one place in the
//! corpus; that sum and place are a [`State`], from which an interrupted count goes on to the same numbers.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use t5kit_formats::table::{self, Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::chunk::{Body, Chunk, ChunkReader, Position};
use crate::inputs::Input;
use crate::queue::{CloseOnDrop, Queue};
use crate::split::Splitter;

/// What to do about a bad row or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// End with an error at the first one.
    Fail,
    /// Report it, count it, and go on behind it.
    Skip,
}

/// How to count.
#[derive(Debug, Clone)]
pub struct CountOptions {
    /// Which columns hold text; every value is a text of its own.
    pub columns: Columns,
    /// How to read the files.
    pub table: TableOptions,
    /// What to do about bad rows and files.
    pub on_error: OnError,
    /// How many threads tokenize; 0 means one for each core.
    pub threads: usize,
    /// How often [`Observer::save`] is called.
    pub save_every: Duration,
    /// Work is dealt out in chunks of this many bytes, and longer texts are cut (at a space where there is
    /// one, see [`Tally::forced_cuts`]).
    pub chunk_bytes: usize,
}

impl Default for CountOptions {
    fn default() -> Self {
        Self {
            columns: Columns::Text,
            table: TableOptions::default(),
            on_error: OnError::Fail,
            threads: 0,
            save_every: Duration::from_secs(15),
            chunk_bytes: 1 << 20,
        }
    }
}

/// Sums over the corpus, apart from the counts themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows counted.
    pub lines: u64,
    /// Bytes of their texts in UTF-8.
    pub text_bytes: u64,
    /// Pieces they were split into.
    pub tokens: u64,
    /// Rows that were bad and left out.
    pub bad_rows: u64,
    /// Files that could not be read, or not to their ends.
    pub bad_files: u64,
    /// Cuts of overlong texts that were not at a space: each may have added a piece or two.
    pub forced_cuts: u64,
}

impl Tally {
    /// Adds another corpus's sums.
    pub fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.text_bytes += other.text_bytes;
        self.tokens += other.tokens;
        self.bad_rows += other.bad_rows;
        self.bad_files += other.bad_files;
        self.forced_cuts += other.forced_cuts;
    }
}

/// How far a count has come: everything before a place in the corpus is counted, nothing behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Files that are done.
    files: usize,
    /// Where the next one goes on.
    position: Position,
    tally: Tally,
    /// Pieces that have occurred, by id, with their counts.
    counts: Vec<(u32, u64)>,
}

impl State {
    /// The sums so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether it can have come from counting `files` files with a tokenizer of `pieces` pieces.
    pub(crate) fn fits(&self, files: usize, pieces: usize) -> bool {
        self.files <= files && self.counts.iter().all(|&(id, _)| (id as usize) < pieces)
    }
}

/// Is told about a count as it goes. All methods may be called from several threads.
pub trait Observer: Sync {
    /// The count goes on from where so many bytes on disk were read by an earlier run.
    fn begin(&self, _bytes: u64) {}
    /// So many bytes on disk are read, of all files together.
    fn progress(&self, _bytes: u64) {}
    /// A bad row or file was left out.
    fn bad(&self, _error: &table::Error) {}
    /// Whether to end early, in order.
    fn interrupted(&self) -> bool {
        false
    }
    /// Keeps a state from which [`count`] can go on. Called every [`CountOptions::save_every`] and before an
    /// early end.
    ///
    /// # Errors
    /// What kept it from being kept; the count ends with it.
    fn save(&self, _state: &State) -> Result<(), Error> {
        Ok(())
    }
}

/// An observer that does nothing.
impl Observer for () {}

/// The end of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// `counts[id]` is how often piece `id` occurs.
    pub counts: Vec<u64>,
    /// Sums over the corpus.
    pub tally: Tally,
    /// Whether the count is complete, or [`Observer::interrupted`] ended it.
    pub complete: bool,
}

/// One worker's share.
#[derive(Default)]
struct Share {
    counts: Vec<u64>,
    tally: Tally,
}

/// What the threads share.
struct Counting<'a> {
    tokenizer: &'a Tokenizer,
    options: &'a CountOptions,
    splitter: Splitter,
    observer: &'a dyn Observer,
    queue: Queue<Chunk>,
    shares: Vec<Mutex<Share>>,
    /// The first error in the corpus's order.
    failed: Mutex<Option<(usize, u64, table::Error)>>,
    stop: AtomicBool,
}

/// Counts the pieces of all texts in `inputs`, going on from `state`.
///
/// The counts are those of tokenizing every text by itself. Memory does not depend on the size of files,
/// rows or texts.
///
/// # Errors
/// With [`OnError::Fail`] the first bad row or file (those of several threads in the corpus's order); in
/// any case columns that cannot be found and the errors of [`Observer::save`].
pub fn count(
    tokenizer: &Tokenizer,
    inputs: &[Input],
    options: &CountOptions,
    state: &State,
    observer: &dyn Observer,
) -> Result<Counted, Error> {
    let threads = match options.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let counting = Counting {
        tokenizer,
        options,
        splitter: Splitter::new(tokenizer),
        observer,
        queue: Queue::new((2 * threads + 1) * options.chunk_bytes),
        shares: (0..threads).map(|_| Mutex::new(Share::default())).collect(),
        failed: Mutex::new(None),
        stop: AtomicBool::new(false),
    };
    let complete = std::thread::scope(|scope| {
        let _closed_at_the_end = CloseOnDrop(&counting.queue);
        for share in &counting.shares {
            let counting = &counting;
            scope.spawn(move || counting.work(share));
        }
        let done = counting.read(inputs, state);
        // Chunks still in the queue come before whatever stopped the reading.
        counting.queue.wait_until_done();
        done
    });
    let first = counting.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((_, _, error)) = first {
        return Err(error.into());
    }
    let complete = complete?;
    let (counts, tally) = counting.sum(state);
    Ok(Counted { counts, tally, complete })
}

impl Counting<'_> {
    /// Reads all inputs from `state` on and hands their chunks out; false when interrupted.
    fn read(&self, inputs: &[Input], state: &State) -> Result<bool, Error> {
        let mut disk_bytes: u64 = inputs.iter().take(state.files).map(|i| i.bytes).sum();
        let mut position = state.position;
        let mut saved = Instant::now();
        for (at, input) in inputs.iter().enumerate().skip(state.files) {
            match self.read_file(input, at, position, disk_bytes, &mut saved, state) {
                Ok(Some(read)) => disk_bytes += if input.is_regular() { input.bytes } else { read },
                Ok(None) => return Ok(false),
                Err(Error::Table(error)) => {
                    self.bad_file(at, error)?;
                    disk_bytes += input.bytes;
                }
                Err(error) => return Err(error),
            }
            position = Position::default();
            self.observer.progress(disk_bytes);
        }
        Ok(true)
    }

    /// Reads the input `at` and hands its chunks out; the bytes on disk that were read, or `None` when interrupted.
    fn read_file(
        &self,
        input: &Input,
        at: usize,
        from: Position,
        disk_bytes: u64,
        saved: &mut Instant,
        start: &State,
    ) -> Result<Option<u64>, Error> {
        let CountOptions { columns, table, chunk_bytes, .. } = self.options;
        let mut reader =
            ChunkReader::open(at, &input.path, columns, table, &self.splitter, *chunk_bytes, from)?;
        if at == start.files && *start != State::default() {
            self.observer.begin(disk_bytes + reader.disk_bytes());
        }
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let interrupted = self.observer.interrupted();
            if interrupted || saved.elapsed() >= self.options.save_every {
                self.queue.wait_until_done();
                // What fails now comes before the place that would be saved.
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let (counts, tally) = self.sum(start);
                let counts = (0..).zip(counts).filter(|&(_, n)| n > 0).collect();
                self.observer.save(&State { files: at, position: reader.position(), tally, counts })?;
                *saved = Instant::now();
                if interrupted {
                    return Ok(None);
                }
            }
            let Some(chunk) = reader.next_chunk()? else { return Ok(Some(reader.disk_bytes())) };
            self.observer.progress(disk_bytes + reader.disk_bytes());
            let size = chunk.size();
            self.queue.push(chunk, size);
        }
    }

    /// A file cannot be read (on).
    fn bad_file(&self, at: usize, error: table::Error) -> Result<(), Error> {
        let choice = matches!(
            error,
            table::Error::Column { .. } | table::Error::Choose { .. } | table::Error::NoHeader { .. }
        );
        // A column that cannot be found is the user's question, not the corpus's fault.
        if choice {
            return Err(error.into());
        }
        self.report(at, u64::MAX, error);
        let mut share = self.shares[0].lock().unwrap_or_else(PoisonError::into_inner);
        share.tally.bad_files += 1;
        Ok(())
    }

    /// Handles a bad row or file as the options say; `file` and `line` order it among others.
    fn report(&self, file: usize, line: u64, error: table::Error) {
        match self.options.on_error {
            OnError::Skip => self.observer.bad(&error),
            OnError::Fail => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                // Chunks leave the queue in order and are all worked off, so the first error is among those
                // that come here; of one file, the rows come before its end.
                if failed.as_ref().is_none_or(|(f, l, _)| (file, line) < (*f, *l)) {
                    *failed = Some((file, line, error));
                }
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// All that was counted since `start`, and what `start` brought along.
    fn sum(&self, start: &State) -> (Vec<u64>, Tally) {
        let mut counts = vec![0; self.tokenizer.vocab_size()];
        let mut tally = start.tally;
        for &(id, n) in &start.counts {
            counts[id as usize] += n;
        }
        for share in &self.shares {
            let share = share.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(&share.tally);
            for (sum, n) in counts.iter_mut().zip(&share.counts) {
                *sum += n;
            }
        }
        (counts, tally)
    }

    /// A worker: counts chunks until there are no more.
    fn work(&self, share: &Mutex<Share>) {
        let _stop_on_panic = StopOnPanic(self);
        let mut ids = Vec::new();
        while let Some((chunk, size)) = self.queue.pop() {
            let mut share = share.lock().unwrap_or_else(PoisonError::into_inner);
            share.counts.resize(self.tokenizer.vocab_size(), 0);
            self.count_chunk(chunk, &mut share, &mut ids);
            drop(share);
            self.queue.finish(size);
        }
    }

    fn count_chunk(&self, chunk: Chunk, share: &mut Share, ids: &mut Vec<u32>) {
        let mut bad_rows = 0;
        for error in chunk.bad {
            bad_rows += 1;
            let line = line_of(&error);
            self.report(chunk.file, line, error);
        }
        match chunk.body {
            Body::Texts { text, ends, rows } => {
                let mut start = 0;
                for end in ends {
                    self.count_text(&text[start..end], share, ids);
                    start = end;
                }
                share.tally.lines += rows;
            }
            Body::Lines { parser, bytes, first_line, limit, unfinished, forced_cut } => {
                let mut values: Vec<Cow<'_, str>> = Vec::new();
                let mut rest = &bytes[..];
                let mut line_number = first_line;
                while !rest.is_empty() {
                    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    let line = &rest[..end];
                    // A line that goes on in the next chunk is counted there.
                    let whole = !unfinished || end < rest.len();
                    rest = &rest[(end + 1).min(rest.len())..];
                    let parsed = if line.len() > limit {
                        Err(format!("longer than {limit} bytes"))
                    } else {
                        parser.parse(line.strip_suffix(b"\r").unwrap_or(line), &mut values)
                    };
                    match parsed {
                        Ok(false) => {}
                        Ok(true) => {
                            for value in &values {
                                self.count_text(value, share, ids);
                            }
                            share.tally.lines += u64::from(whole);
                        }
                        Err(what) => {
                            bad_rows += 1;
                            let path = chunk.path.to_path_buf();
                            let error = table::Error::Row { path, line: line_number, what };
                            self.report(chunk.file, line_number, error);
                        }
                    }
                    line_number += 1;
                }
                share.tally.forced_cuts += u64::from(forced_cut);
            }
        }
        share.tally.bad_rows += bad_rows;
    }

    fn count_text(&self, text: &str, share: &mut Share, ids: &mut Vec<u32>) {
        ids.clear();
        if text.len() <= self.options.chunk_bytes {
            self.tokenizer.encode_into(text.as_bytes(), ids);
        } else {
            let (parts, forced) = self.splitter.parts(text, self.options.chunk_bytes);
            for part in parts {
                self.tokenizer.encode_into(part.as_bytes(), ids);
            }
            share.tally.forced_cuts += forced;
        }
        share.tally.text_bytes += text.len() as u64;
        share.tally.tokens += ids.len() as u64;
        for &id in &*ids {
            share.counts[id as usize] += 1;
        }
    }
}

/// The line that an error names, to order errors by.
fn line_of(error: &table::Error) -> u64 {
    match error {
        table::Error::Row { line, .. } => *line,
        _ => u64::MAX,
    }
}

/// Ends the counting when a worker's thread ends by a panic, so that the reader does not wait for it.
struct StopOnPanic<'a, 'b>(&'a Counting<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.store(true, Ordering::Relaxed);
            self.0.queue.close();
        }
    }
}
