//! Counting how often each piece of a tokenizer occurs in a corpus, on all cores, in bounded memory.
//!
//! One thread reads chunks, the others tokenize and count, each in a table of its own. From time to time
//! the reader lets them finish what they have, so that the sum of the tables belongs to one place in the
//! corpus; that sum and place are a [`State`], from which an interrupted count goes on to the same numbers.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use t5kit_formats::progress::Watch;
use t5kit_formats::table::{self, Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::chunk::Position;
use crate::counting::Counting;
use crate::queue::CloseOnDrop;
use t5kit_formats::inputs::Input;

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
    /// How often [`CountWatch::save`] is called.
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
    pub(crate) files: usize,
    /// Where the next one goes on.
    pub(crate) position: Position,
    pub(crate) tally: Tally,
    /// Pieces that have occurred, by id, with their counts.
    pub(crate) counts: Vec<(u32, u64)>,
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

/// Who watches a count: [`Watch::progress`] hears of the bytes on disk that were read, of all files together, and ends it
/// early and in order.
pub trait CountWatch: Watch {
    /// A file was opened and is read in this encoding, as far as that is known.
    fn opened(&mut self, _path: &Path, _encoding: Option<&str>) {}
    /// A bad row or file was left out.
    fn bad(&mut self, _error: &table::Error) {}
    /// Keeps a state from which [`count`] can go on. Called every [`CountOptions::save_every`] and before an
    /// early end.
    ///
    /// # Errors
    /// What kept it from being kept; the count ends with it.
    fn save(&mut self, _state: &State) -> Result<(), Error> {
        Ok(())
    }
}

/// Nobody watches, nothing is kept.
impl CountWatch for () {}

/// The end of a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// `counts[id]` is how often piece `id` occurs.
    pub counts: Vec<u64>,
    /// Sums over the corpus.
    pub tally: Tally,
    /// Whether the count is complete, or was stopped.
    pub complete: bool,
}

/// Counts the pieces of all texts in `inputs`, going on from `state`.
///
/// The counts are those of tokenizing every text by itself. Memory does not depend on the size of files,
/// rows or texts.
///
/// # Errors
/// With [`OnError::Fail`] the first bad row or file (those of several threads in the corpus's order); in
/// any case columns that cannot be found and the errors of [`CountWatch::save`].
pub fn count(
    tokenizer: &Tokenizer,
    inputs: &[Input],
    options: &CountOptions,
    state: &State,
    watch: &mut dyn CountWatch,
) -> Result<Counted, Error> {
    let counting = Counting::new(tokenizer, options);
    let read = std::thread::scope(|scope| {
        let _closed_at_the_end = CloseOnDrop(&counting.queue);
        for share in &counting.shares {
            let counting = &counting;
            scope.spawn(move || counting.work(share));
        }
        let read = counting.read(inputs, state, watch);
        // Chunks still in the queue come before whatever stopped the reading.
        counting.queue.wait_until_done();
        read
    });
    counting.tell_bad(watch);
    counting.first_error()?;
    let complete = read?.is_continue();
    let (counts, tally) = counting.sum(state);
    Ok(Counted { counts, tally, complete })
}
