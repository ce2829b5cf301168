//! Reading examples: files of pairs, tokenized once, side by side on the pool.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{ReadRow, Row, Rows, Table, TableOptions};
use t5kit_formats::trained::with_prompt;
use t5kit_tasks::mixture::Task;
use t5kit_tasks::suite::Split;
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::columns::{PairColumns, Understood};
use crate::examples::{Building, Examples, Facts, Placement};

/// Lengths that texts are cut to, `</s>` included.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens of a source, at most.
    pub source: usize,
    /// Tokens of a target, at most.
    pub target: usize,
    /// Tokens of both together, at most, where the model's positions end: the longer one is cut.
    pub pair: Option<usize>,
}

/// How examples are read.
#[derive(Clone, Debug)]
pub struct DataOptions {
    /// The columns.
    pub columns: PairColumns,
    /// Text put before every source as it stands (and before its prompt).
    pub source_prefix: String,
    /// How the files are read: format, encoding, header.
    pub table: TableOptions,
    /// What longer texts are cut to.
    pub lengths: Lengths,
    /// Where the ids are kept.
    pub placement: Placement,
    /// Whether the targets' texts are kept beside their ids.
    pub references: bool,
}

/// Who watches the reading: its stage is `reading`, which counts examples.
pub trait ReadWatch: Watch {
    /// A row that cannot be used: whether to go on without it, or to end with its error.
    fn bad_row(&mut self, _error: &dyn std::fmt::Display) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    /// A file was opened and understood so; its rows are read next.
    fn understood(&mut self, _file: &Understood) {}
}

/// Nobody watches: the end at the first bad row.
impl ReadWatch for () {}

/// Text that is tokenized at a time: enough for every thread, little enough for any memory.
const WINDOW_BYTES: usize = 4 << 20;
/// Rows that a thread takes at a time.
const CHUNK_ROWS: usize = 64;

struct Pair {
    source: String,
    target: String,
    prompt: Option<String>,
}

impl Examples {
    /// Reads files of pairs (TSV, CSV, JSON lines, Parquet, packed or not), one after another. The same examples come
    /// out whatever the number of threads and wherever they are kept.
    ///
    /// # Errors
    /// A file that cannot be read, without the wanted columns, or without an example; a row that is bad or has an
    /// empty text, unless the watcher goes on; [`Error::Stopped`] where it stops the reading.
    pub fn read(
        paths: &[PathBuf],
        tokenizer: &Tokenizer,
        pool: &Pool,
        options: &DataOptions,
        watch: &mut dyn ReadWatch,
    ) -> Result<Self, Error> {
        let mut gathering = Gathering::new(tokenizer, pool, options);
        for path in paths {
            let before = gathering.len();
            let mut rows = open(path, &options.columns, &options.table, watch)?;
            for row in rows.by_ref() {
                let pair = row.map_err(Error::from).and_then(|row| pair(path, row, &options.source_prefix));
                match pair {
                    Ok(Some(pair)) => gathering.push(pair, watch)?,
                    Ok(None) => gathering.facts().blank += 1,
                    Err(error) if error.is_bad_row() && watch.bad_row(&error).is_continue() => {
                        gathering.facts().skipped += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            gathering.facts().replaced += rows.replaced();
            if gathering.len() == before {
                return Err(Error::NoExamples { path: path.clone() });
            }
        }
        gathering.finish(watch)
    }

    /// Reads a part of a task of a mixture, as [`Examples::read`] reads a table.
    ///
    /// # Errors
    /// Those of [`t5kit_tasks::mixture::Task::each`], and those of [`Examples::read`].
    pub fn read_task(
        task: &Task,
        split: Split,
        tokenizer: &Tokenizer,
        pool: &Pool,
        options: &DataOptions,
        watch: &mut dyn ReadWatch,
    ) -> Result<Self, Error> {
        let mut gathering = Gathering::new(tokenizer, pool, options);
        // Both the rows and what becomes of them are watched.
        let shared = std::cell::RefCell::new(&mut *watch);
        let mut bad_row = |error: &t5kit_tasks::mixture::Error| shared.borrow_mut().bad_row(error);
        let seen = task.each(split, &options.table, &mut bad_row, |pair| {
            let source = format!("{}{}", options.source_prefix, pair.source);
            gathering.push(Pair { source, target: pair.target, prompt: None }, *shared.borrow_mut())
        })?;
        gathering.facts().blank += seen.blank;
        gathering.facts().skipped += seen.skipped;
        gathering.finish(watch)
    }
}

/// Examples that are being read: pairs of texts come in, and are tokenized when there are many.
struct Gathering<'a> {
    building: Building,
    window: Vec<Pair>,
    bytes: usize,
    tokenizer: &'a Tokenizer,
    pool: &'a Pool,
    options: &'a DataOptions,
}

impl<'a> Gathering<'a> {
    fn new(tokenizer: &'a Tokenizer, pool: &'a Pool, options: &'a DataOptions) -> Self {
        let building = Building::new(options.placement.clone());
        Gathering { building, window: Vec::new(), bytes: 0, tokenizer, pool, options }
    }

    fn len(&self) -> usize {
        self.building.examples.len() + self.window.len()
    }

    fn facts(&mut self) -> &mut Facts {
        &mut self.building.examples.facts
    }

    fn push(&mut self, pair: Pair, watch: &mut dyn ReadWatch) -> Result<(), Error> {
        self.bytes += pair.source.len() + pair.target.len();
        let facts = self.facts();
        facts.first.get_or_insert_with(|| [pair.source.clone(), pair.target.clone()]);
        facts.prompts.add(pair.prompt.as_deref());
        self.window.push(pair);
        if self.bytes >= WINDOW_BYTES {
            self.tokenize()?;
            watch.go_on(self.told())?;
        }
        Ok(())
    }

    fn tokenize(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        tokenize(
            &mut self.building,
            std::mem::take(&mut self.window),
            self.tokenizer,
            self.pool,
            self.options,
        )
    }

    fn told(&self) -> Progress<'static> {
        Progress::items("reading", "examples", self.building.examples.len(), None)
    }

    fn finish(mut self, watch: &mut dyn ReadWatch) -> Result<Examples, Error> {
        self.tokenize()?;
        watch.go_on(self.told())?;
        self.building.finish()
    }
}

/// Gives the source and the target of each example of a file to `each`, as [`Examples::read`] would take them; returns
/// how many rows had nothing in them, and how many bad ones `watch` went on without.
///
/// # Errors
/// Those of [`Examples::read`] but for a file without examples, and those of `each`.
pub fn each_pair<E: From<Error>>(
    path: &Path,
    columns: &PairColumns,
    table: &TableOptions,
    watch: &mut dyn ReadWatch,
    mut each: impl FnMut(String, String) -> Result<(), E>,
) -> Result<[u64; 2], E> {
    let (mut blank, mut skipped, mut read) = (0, 0, 0);
    for row in open(path, columns, table, watch)? {
        match row.map_err(Error::from).and_then(|row| pair(path, row, "")) {
            Ok(Some(Pair { source, target, .. })) => each(source, target)?,
            Ok(None) => blank += 1,
            Err(error) if error.is_bad_row() && watch.bad_row(&error).is_continue() => skipped += 1,
            Err(error) => return Err(error.into()),
        }
        read += 1;
        if read % TOLD == 0 {
            watch.go_on(Progress::items("reading", "examples", read, None)).map_err(Error::from)?;
        }
    }
    Ok([blank, skipped])
}

/// Rows after which progress is told where nothing else is done with them.
const TOLD: usize = 1024;

/// The rows of a file: source, target, and the prompt where there is one.
fn open(
    path: &Path,
    columns: &PairColumns,
    options: &TableOptions,
    watch: &mut dyn ReadWatch,
) -> Result<Rows, Error> {
    let mut table = Table::open(path, &TableOptions { text_as_table: true, ..options.clone() })?;
    if table.head().columns.is_empty() {
        return Err(Error::NoExamples { path: path.to_path_buf() });
    }
    let roles = columns.choose(&mut table)?;
    watch.understood(&Understood { path: path.to_path_buf(), head: table.head().clone(), roles });
    let mut places = vec![roles.source, roles.target];
    if let Some(prompt) = roles.prompt {
        // What is to be done may need no text, as Alpaca's instructions do.
        table.allow_missing();
        places.push(prompt);
    }
    Ok(table.rows_at(&places)?)
}

/// The example of a row; `None` where there is nothing in it at all.
fn pair(path: &Path, row: Row, source_prefix: &str) -> Result<Option<Pair>, Error> {
    let mut values = row.values.into_iter();
    let (source, target) = (values.next().unwrap_or_default(), values.next().unwrap_or_default());
    let prompt = values.next();
    let source = prompt.as_ref().map_or_else(|| source.clone(), |prompt| with_prompt(prompt, &source));
    let empty = [source.trim().is_empty(), target.trim().is_empty()];
    let what = match empty {
        [false, false] => {
            return Ok(Some(Pair { source: format!("{source_prefix}{source}"), target, prompt }));
        }
        [true, true] => return Ok(None),
        [true, false] => "source",
        [false, true] => "target",
    };
    Err(Error::EmptyText { path: path.to_path_buf(), line: row.line, what })
}

/// The ids of some rows, and what was seen of them.
#[derive(Default)]
struct Chunk {
    ids: Vec<u32>,
    lengths: Vec<u32>,
    missed: [usize; 2],
    /// Tokens of each source and target before cutting, `</s>` included.
    whole: [Vec<usize>; 2],
    /// Sources and targets that were cut.
    cut: [usize; 2],
}

impl Chunk {
    fn add(&mut self, tokenizer: &Tokenizer, pair: &Pair, lengths: Lengths) {
        let target_wrap = tokenizer.target_wrap(tokenizer.start_id());
        let sides = [(&pair.source, tokenizer.source_wrap()), (&pair.target, &target_wrap)];
        let mut most = [lengths.source, lengths.target];
        let start = self.ids.len();
        let mut encode = |most: [usize; 2]| -> ([usize; 2], [usize; 2]) {
            self.ids.truncate(start);
            let (mut whole, mut ends) = ([0; 2], [0; 2]);
            for (side, (text, wrap)) in sides.into_iter().enumerate() {
                whole[side] = tokenizer.encode_wrapped(text.as_bytes(), wrap, most[side], &mut self.ids);
                ends[side] = self.ids.len();
            }
            (whole, ends)
        };
        let (whole, mut ends) = encode(most);
        if let Some(pair) = lengths.pair
            && ends[1] - start > pair
        {
            most = Tokenizer::lengths_within(ends[0] - start, ends[1] - ends[0], pair);
            (_, ends) = encode(most);
        }
        for (side, (text, _)) in sides.into_iter().enumerate() {
            let own = [start, ends[0]][side]..ends[side];
            let cut = whole[side] > most[side];
            self.whole[side].push(whole[side]);
            self.cut[side] += usize::from(cut);
            let missed = !cut && tokenizer.misses_sentinel(text.as_bytes(), &self.ids[own.clone()]);
            self.missed[side] += usize::from(missed);
            self.lengths.push(own.len() as u32);
        }
    }
}

/// Adds the pairs of a window, in order.
fn tokenize(
    building: &mut Building,
    window: Vec<Pair>,
    tokenizer: &Tokenizer,
    pool: &Pool,
    options: &DataOptions,
) -> Result<(), Error> {
    let chunks: Vec<_> = window.chunks(CHUNK_ROWS).map(|rows| Mutex::new((rows, Chunk::default()))).collect();
    pool.run_items(chunks.len(), |i| {
        let (rows, chunk) = &mut *chunks[i].lock().unwrap_or_else(|e| e.into_inner());
        for pair in *rows {
            chunk.add(tokenizer, pair, options.lengths);
        }
    });
    for chunk in chunks {
        let (_, chunk) = chunk.into_inner().unwrap_or_else(|e| e.into_inner());
        building.push(&chunk.ids, &chunk.lengths)?;
        let facts = &mut building.examples.facts;
        for side in 0..2 {
            facts.cut[side] += chunk.cut[side];
            for &whole in &chunk.whole[side] {
                facts.longest[side] = facts.longest[side].max(whole);
                facts.lengths[side].add(whole);
            }
            facts.missed_sentinels[side] += chunk.missed[side];
        }
    }
    if options.references {
        building.examples.references.extend(window.into_iter().map(|pair| pair.target));
    }
    Ok(())
}
