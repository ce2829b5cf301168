//! The threads of a count: one reads chunks and hands them out, the others tokenize and add up.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use t5kit_formats::progress::Progress;
use t5kit_formats::table;
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::chunk::{Body, Chunk, ChunkReader, Position};
use crate::count::{CountOptions, CountWatch, OnError, State, Tally};
use crate::queue::Queue;
use crate::split::Splitter;
use t5kit_formats::inputs::Input;

/// One worker's share.
#[derive(Default)]
pub(crate) struct Share {
    counts: Vec<u64>,
    tally: Tally,
}

/// What the threads share.
pub(crate) struct Counting<'a> {
    tokenizer: &'a Tokenizer,
    options: &'a CountOptions,
    splitter: Splitter,
    pub queue: Queue<Chunk>,
    pub shares: Vec<Mutex<Share>>,
    /// Bad rows and files that were left out and not yet spoken of.
    bad: Mutex<Vec<table::Error>>,
    /// The first error in the corpus's order.
    failed: Mutex<Option<(usize, u64, table::Error)>>,
    stop: AtomicBool,
}

/// What the thread that reads knows beside.
struct Reading<'a> {
    start: &'a State,
    watch: &'a mut dyn CountWatch,
    /// Bytes on disk of the files that are read.
    behind: u64,
    /// What an earlier run had read.
    before: u64,
    /// Bytes of all files, where each has a size.
    total: Option<u64>,
    /// When a state was last kept.
    saved: Instant,
}

impl Reading<'_> {
    /// Says that so many bytes of the file at hand are read too.
    fn tell(&mut self, bytes: u64) -> ControlFlow<()> {
        let at = Progress::bytes("counting", self.behind + bytes, self.total);
        self.watch.progress(Progress { before: self.before, ..at })
    }
}

impl<'a> Counting<'a> {
    pub fn new(tokenizer: &'a Tokenizer, options: &'a CountOptions) -> Self {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        Counting {
            tokenizer,
            options,
            splitter: Splitter::new(tokenizer),
            queue: Queue::new((2 * threads + 1) * options.chunk_bytes),
            shares: (0..threads).map(|_| Mutex::new(Share::default())).collect(),
            bad: Mutex::default(),
            failed: Mutex::new(None),
            stop: AtomicBool::new(false),
        }
    }

    /// Reads all inputs from `start` on and hands their chunks out; whether to the end.
    pub fn read(
        &self,
        inputs: &[Input],
        start: &State,
        watch: &mut dyn CountWatch,
    ) -> Result<ControlFlow<()>, Error> {
        let behind = inputs.iter().take(start.files).map(|i| i.bytes).sum();
        let total = inputs.iter().all(Input::is_regular).then(|| inputs.iter().map(|i| i.bytes).sum());
        let mut reading = Reading { start, watch, behind, before: 0, total, saved: Instant::now() };
        for (at, input) in inputs.iter().enumerate().skip(start.files) {
            match self.read_file(input, at, &mut reading) {
                Ok(Some(read)) => reading.behind += if input.is_regular() { input.bytes } else { read },
                Ok(None) => return Ok(ControlFlow::Break(())),
                Err(Error::Table(error)) => {
                    self.bad_file(at, error)?;
                    reading.behind += input.bytes;
                }
                Err(error) => return Err(error),
            }
        }
        // All is read: nothing is left to be stopped.
        let _ = reading.tell(0);
        Ok(ControlFlow::Continue(()))
    }

    /// Reads the input `at` and hands its chunks out; the bytes on disk that were read, or `None` when stopped.
    fn read_file(&self, input: &Input, at: usize, reading: &mut Reading<'_>) -> Result<Option<u64>, Error> {
        let CountOptions { columns, table, chunk_bytes, .. } = self.options;
        let start = reading.start;
        let from = if at == start.files { start.position } else { Position::default() };
        let mut reader =
            ChunkReader::open(at, &input.path, columns, table, &self.splitter, *chunk_bytes, from)?;
        reading.watch.opened(&input.path, reader.encoding());
        if at == start.files && *start != State::default() {
            reading.before = reading.behind + reader.disk_bytes();
        }
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            self.tell_bad(reading.watch);
            let stopped = reading.tell(reader.disk_bytes()).is_break();
            if stopped || reading.saved.elapsed() >= self.options.save_every {
                self.queue.wait_until_done();
                // What fails now comes before the place that would be saved.
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let (counts, tally) = self.sum(start);
                let counts = (0..).zip(counts).filter(|&(_, n)| n > 0).collect();
                reading.watch.save(&State { files: at, position: reader.position(), tally, counts })?;
                reading.saved = Instant::now();
                if stopped {
                    return Ok(None);
                }
            }
            let Some(chunk) = reader.next_chunk()? else { return Ok(Some(reader.disk_bytes())) };
            let size = chunk.size();
            self.queue.push(chunk, size);
        }
    }

    /// Says which bad rows were left out since it was last said.
    pub fn tell_bad(&self, watch: &mut dyn CountWatch) {
        let bad = std::mem::take(&mut *self.bad.lock().unwrap_or_else(PoisonError::into_inner));
        bad.iter().for_each(|error| watch.bad(error));
    }

    /// The first error in the corpus's order.
    pub fn first_error(&self) -> Result<(), table::Error> {
        let first = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or(Ok(()), |(_, _, error)| Err(error))
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
            OnError::Skip => self.bad.lock().unwrap_or_else(PoisonError::into_inner).push(error),
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
    pub fn sum(&self, start: &State) -> (Vec<u64>, Tally) {
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
    pub fn work(&self, share: &Mutex<Share>) {
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
