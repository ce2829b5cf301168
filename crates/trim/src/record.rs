//! Where counts come from: what a file of counts says about itself.

use serde::{Deserialize, Serialize};
use t5kit_formats::encoding::Encoding;
use t5kit_formats::table::{ColumnRef, Columns, TableOptions};
use t5kit_tokenizer::Tokenizer;

use crate::count::{CountOptions, Tally};
use t5kit_formats::inputs::Input;

/// The record that goes with counts: the tokenizer they are of and the corpora they were made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Version of this record's form: 1.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// SHA-256 of the tokenizer's model file, in hexadecimal.
    pub tokenizer_sha256: String,
    /// How many pieces that tokenizer has.
    pub tokenizer_pieces: usize,
    /// How many of them occur.
    pub distinct_pieces: usize,
    /// Sums over all corpora.
    #[serde(flatten)]
    pub total: Tally,
    /// The corpora whose counts are added up here, one for each run of the counter.
    pub corpora: Vec<Corpus>,
}

/// One corpus, counted in one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corpus {
    /// The arguments that named it (the first 100 of them).
    pub inputs: Vec<String>,
    /// How many files they led to; 0 where only counts without a record are left of the corpus.
    pub files: usize,
    /// Bytes of these files on disk.
    pub disk_bytes: u64,
    /// How they were read.
    pub settings: Settings,
    /// Sums over this corpus.
    #[serde(flatten)]
    pub tally: Tally,
}

/// The settings of a count on which its numbers depend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The text columns; none: chosen by the program in each file.
    pub columns: Vec<String>,
    /// The format of all files; none: by their names.
    pub format: Option<String>,
    /// Whether TSV and CSV files begin with a header; none: decided by the program.
    pub header: Option<bool>,
    /// The encoding, where it was not told from the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The sheet of workbooks; none: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// The length in bytes from which rows are errors.
    pub max_row_bytes: usize,
    /// The length in bytes from which texts are cut.
    pub chunk_bytes: usize,
}

/// `columns` as they are given on the command line; none: chosen by the program in each file.
pub(crate) fn column_names(columns: &Columns) -> Vec<String> {
    match columns {
        Columns::Text => Vec::new(),
        Columns::All => vec!["*".into()],
        Columns::These(list) => list
            .iter()
            .map(|column| match column {
                ColumnRef::Name(name) => name.clone(),
                ColumnRef::Number(number) => number.to_string(),
            })
            .collect(),
    }
}

impl Settings {
    /// The settings of `options`.
    pub fn of(options: &CountOptions) -> Self {
        let columns = column_names(&options.columns);
        let TableOptions {
            format,
            has_header,
            encoding,
            sheet,
            text_as_table: _,
            empty_for_missing: _,
            max_row_bytes,
        } = &options.table;
        Self {
            columns,
            format: format.map(|f| f.name().into()),
            header: *has_header,
            encoding: (*encoding != Encoding::Auto).then(|| encoding.to_string()),
            sheet: sheet.clone(),
            max_row_bytes: *max_row_bytes,
            chunk_bytes: options.chunk_bytes,
        }
    }
}

impl Settings {
    /// The first setting in which `before` is another, in words.
    pub(crate) fn difference(&self, before: &Self) -> Option<String> {
        let given =
            |value: Option<&dyn std::fmt::Display>| value.map_or("not given".into(), |v| v.to_string());
        let fields = |s: &Self| if s.columns.is_empty() { given(None) } else { s.columns.join(", ") };
        let said = |what: &str, was: String, is: String| Some(format!("{what} was {was} and is {is}"));
        if self.columns != before.columns {
            return said("`columns`", fields(before), fields(self));
        }
        if self.format != before.format {
            let format = |s: &Self| given(s.format.as_ref().map(|f| f as _));
            return said("`table.format`", format(before), format(self));
        }
        if self.header != before.header {
            let header = |s: &Self| given(s.header.as_ref().map(|h| h as _));
            return said("`table.has_header`", header(before), header(self));
        }
        if self.encoding != before.encoding {
            let encoding = |s: &Self| given(s.encoding.as_ref().map(|e| e as _));
            return said("`table.encoding`", encoding(before), encoding(self));
        }
        if self.sheet != before.sheet {
            let sheet = |s: &Self| given(s.sheet.as_ref().map(|name| name as _));
            return said("`table.sheet`", sheet(before), sheet(self));
        }
        (self != before).then(|| "the limits on rows and chunks were others".into())
    }
}

impl Corpus {
    /// The corpus of `inputs`, which `arguments` led to, counted with these `options` to these sums.
    pub fn new(arguments: &[String], inputs: &[Input], options: &CountOptions, tally: Tally) -> Self {
        Self {
            inputs: arguments.iter().take(100).cloned().collect(),
            files: inputs.len(),
            disk_bytes: inputs.iter().map(|input| input.bytes).sum(),
            settings: Settings::of(options),
            tally,
        }
    }

    /// A corpus of which only a file of counts is left, that add up to `tokens`.
    pub fn unrecorded(path: &std::path::Path, tokens: u64) -> Self {
        Self {
            inputs: vec![path.to_string_lossy().into_owned()],
            files: 0,
            disk_bytes: 0,
            settings: Settings::of(&CountOptions::default()),
            tally: Tally { tokens, ..Tally::default() },
        }
    }
}

/// The version of [`Record`] written here.
pub(crate) const VERSION: u32 = 1;

/// `t5kit 0.1.0`.
pub(crate) fn program() -> String {
    concat!("t5kit ", env!("CARGO_PKG_VERSION")).to_owned()
}

impl Record {
    /// The record of counts of `tokenizer` over `corpora`.
    pub fn new(tokenizer: &Tokenizer, counts: &[u64], corpora: Vec<Corpus>) -> Self {
        let mut total = Tally::default();
        for corpus in &corpora {
            total.add(&corpus.tally);
        }
        Self {
            version: VERSION,
            program: program(),
            tokenizer_sha256: tokenizer.sha256().to_owned(),
            tokenizer_pieces: tokenizer.vocab_size(),
            distinct_pieces: counts.iter().filter(|&&n| n > 0).count(),
            total,
            corpora,
        }
    }
}
