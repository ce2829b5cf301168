//! Reading examples: files of pairs, tokenized once, side by side on the pool.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{self, ColumnRef, Row, Rows, TableOptions};
use t5kit_tensor::Pool;
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::examples::{Building, Examples, Placement};

/// Which columns hold the texts; by default those named `source` and `target`, or a file's only two.
#[derive(Clone, Debug, Default)]
pub struct PairColumns {
    /// The source's column.
    pub source: Option<ColumnRef>,
    /// The target's column.
    pub target: Option<ColumnRef>,
    /// The column of what the model is asked to do, put before the source: see [`with_prompt`].
    pub prompt: Option<ColumnRef>,
}

/// Lengths that texts are cut to, `</s>` included.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// Tokens of a source, at most.
    pub source: usize,
    /// Tokens of a target, at most.
    pub target: usize,
}

/// How examples are read.
#[derive(Clone, Debug)]
pub struct DataOptions {
    /// The columns.
    pub columns: PairColumns,
    /// Text put before every source as it stands (and before its prompt).
    pub source_prefix: String,
    /// Whether TSV and CSV files begin with a header; `None`: where a column is given by name, or the first row says
    /// `source` and `target`.
    pub has_header: Option<bool>,
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
    fn bad_row(&mut self, _error: &Error) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// Nobody watches: the end at the first bad row.
impl ReadWatch for () {}

/// A source with what the model is asked to do before it, as T5 was trained: `summarize: The text`. A colon or space
/// at the prompt's end is not doubled; without a prompt the source stands alone.
pub fn with_prompt(prompt: &str, source: &str) -> String {
    match prompt.trim_end_matches([':', '：', ' ']) {
        "" => source.to_owned(),
        prompt => format!("{prompt}: {source}"),
    }
}

/// Text that is tokenized at a time: enough for every thread, little enough for any memory.
const WINDOW_BYTES: usize = 4 << 20;
/// Rows that a thread takes at a time.
const CHUNK_ROWS: usize = 64;

struct Pair {
    source: String,
    target: String,
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
        let told =
            |building: &Building| Progress::items("reading", "examples", building.examples.len(), None);
        let mut building = Building::new(options.placement.clone());
        let (mut window, mut bytes) = (Vec::new(), 0);
        for path in paths {
            let before = building.examples.len() + window.len();
            for row in open(path, options)? {
                let pair = row.map_err(Error::from).and_then(|row| pair(path, row, options));
                match pair {
                    Ok(pair) => {
                        bytes += pair.source.len() + pair.target.len();
                        window.push(pair);
                    }
                    Err(error) if error.is_bad_row() && watch.bad_row(&error).is_continue() => {
                        building.examples.facts.skipped += 1;
                    }
                    Err(error) => return Err(error),
                }
                if bytes >= WINDOW_BYTES {
                    tokenize(&mut building, std::mem::take(&mut window), tokenizer, pool, options)?;
                    bytes = 0;
                    watch.go_on(told(&building))?;
                }
            }
            if building.examples.len() + window.len() == before {
                return Err(Error::NoExamples { path: path.clone() });
            }
        }
        tokenize(&mut building, window, tokenizer, pool, options)?;
        watch.go_on(told(&building))?;
        building.finish()
    }
}

/// The rows of a file: source, target, and the prompt where there is one.
fn open(path: &Path, options: &DataOptions) -> Result<Rows, Error> {
    let PairColumns { source, target, prompt } = &options.columns;
    let table = TableOptions { has_header: options.has_header, ..TableOptions::default() };
    let named = |column: &Option<ColumnRef>, name: &str| {
        column.clone().unwrap_or_else(|| ColumnRef::Name(name.to_owned()))
    };
    let mut wanted = vec![named(source, "source"), named(target, "target")];
    wanted.extend(prompt.clone());
    if source.is_some() || target.is_some() || prompt.is_some() {
        return Ok(table::open(path, &wanted, &table)?);
    }
    // Nothing is said: the columns of these names where there are such, else the only two. A pipe is read once.
    if path.is_file()
        && options.has_header != Some(false)
        && let Ok(mut rows) = table::open(path, &wanted, &table)
        && rows.next().is_some_and(|row| row.is_ok())
    {
        return Ok(table::open(path, &wanted, &table)?);
    }
    Ok(table::open(path, &[], &table)?)
}

fn pair(path: &Path, row: Row, options: &DataOptions) -> Result<Pair, Error> {
    let mut values = row.values.into_iter();
    let have = values.len();
    let (Some(source), Some(target), prompt, None) =
        (values.next(), values.next(), values.next(), values.next())
    else {
        return Err(Error::Columns { path: path.to_path_buf(), have });
    };
    if prompt.is_some() != options.columns.prompt.is_some() {
        return Err(Error::Columns { path: path.to_path_buf(), have });
    }
    for (what, text) in [("source", &source), ("target", &target)] {
        if text.trim().is_empty() {
            return Err(Error::EmptyText { path: path.to_path_buf(), line: row.line, what });
        }
    }
    let source = prompt.map_or_else(|| source.clone(), |prompt| with_prompt(&prompt, &source));
    Ok(Pair { source: format!("{}{source}", options.source_prefix), target })
}

/// The ids of some rows, and what was seen of them.
#[derive(Default)]
struct Chunk {
    ids: Vec<u32>,
    lengths: Vec<u32>,
    cut: [usize; 2],
    longest: [usize; 2],
}

impl Chunk {
    fn add(&mut self, tokenizer: &Tokenizer, pair: &Pair, lengths: Lengths) {
        for (side, text, most) in [(0, &pair.source, lengths.source), (1, &pair.target, lengths.target)] {
            let start = self.ids.len();
            tokenizer.encode_into(text.as_bytes(), &mut self.ids);
            let whole = self.ids.len() - start + 1;
            self.longest[side] = self.longest[side].max(whole);
            if whole > most {
                self.cut[side] += 1;
                self.ids.truncate(start + most - 1);
            }
            self.ids.push(tokenizer.eos_id());
            self.lengths.push((self.ids.len() - start) as u32);
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
            facts.longest[side] = facts.longest[side].max(chunk.longest[side]);
        }
    }
    if options.references {
        building.examples.references.extend(window.into_iter().map(|pair| pair.target));
    }
    Ok(())
}
