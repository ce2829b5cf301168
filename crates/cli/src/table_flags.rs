//! The flags that say how tables and texts are read, the same for every subcommand, and what is said of them.

use anyhow::Result;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use t5kit_formats::encoding::Encoding;
use t5kit_formats::table::{Format, Head, Roles, TableOptions, Unpacked};

use t5kit_formats::lang::fill;

use crate::errors::usage;
use crate::lang::lang;

/// How tables and texts are read.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tables")]
pub struct TableFlags {
    #[command(flatten)]
    pub text: TextFlags,
    /// Read all files in this format, whatever their names
    #[arg(long, value_name = "FORMAT", value_parser = clap::builder::PossibleValuesParser::new(Format::NAMES))]
    pub format: Option<String>,
    /// Sheet of a workbook, by its name or its number [default: the first]
    #[arg(long, value_name = "NAME|N")]
    pub sheet: Option<String>,
    /// Whether the first row of TSV, CSV and sheets is a header [default: told from the file]
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    pub header: Option<bool>,
    /// The first row is no header: --header false
    #[arg(long, conflicts_with = "header")]
    pub no_header: bool,
}

/// How texts are read.
#[derive(clap::Args, Clone, Debug)]
pub struct TextFlags {
    /// Encoding of texts and tables: auto (by the byte order mark, else UTF-8, else GB18030), utf-8, gb18030, utf-16,
    /// big5, shift_jis, …
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = encoding, help_heading = "Tables")]
    pub encoding: Encoding,
}

impl TableFlags {
    /// As the library has them.
    pub fn options(&self) -> TableOptions {
        TableOptions {
            format: self.format.as_deref().and_then(Format::by_name),
            has_header: if self.no_header { Some(false) } else { self.header },
            encoding: self.text.encoding,
            sheet: self.sheet.clone(),
            text_as_table: true,
            ..TableOptions::default()
        }
    }
}

/// The encoding of that name, for clap.
pub fn encoding(name: &str) -> Result<Encoding> {
    Encoding::by_name(name).ok_or_else(|| {
        usage("there is auto, utf-8, gb18030, gbk, utf-16, utf-16le, utf-16be, big5, shift_jis, euc-kr, windows-1252")
    })
}

/// What a file was understood as, behind what is said of its columns: `, header: yes, encoding: GB18030`.
pub fn understood(head: &Head) -> String {
    let t = &lang().texts().terminal;
    let mut parts = Vec::new();
    if let Some(header) = head.header {
        parts.push(fill(t.header_is, &[("answer", if header { &t.yes } else { &t.no })]));
    }
    parts.extend(head.encoding.map(|encoding| fill(t.encoding_is, &[("name", &encoding)])));
    parts.extend(head.sheet.as_ref().map(|sheet| fill(t.sheet_is, &[("name", sheet)])));
    parts.into_iter().map(|part| format!("{}{part}", t.comma)).collect()
}

/// Which columns make an example: `source = 摘要, target = 标题`; `others` are columns of further targets.
pub fn said(head: &Head, roles: Roles, others: &[usize]) -> String {
    let t = &lang().texts().terminal;
    let targets = std::iter::once(&roles.target).chain(others);
    let targets = targets.map(|&place| fill(t.is_target, &[("name", &column_name(head, place))]));
    let parts = std::iter::once(source_said(head, roles.prompt, roles.source)).chain(targets);
    parts.collect::<Vec<_>>().join(t.comma)
}

/// The same of sources alone: `prompt = 任务, source = 摘要`.
pub fn source_said(head: &Head, prompt: Option<usize>, source: usize) -> String {
    let t = &lang().texts().terminal;
    let named = |text: &str, place| fill(text, &[("name", &column_name(head, place))]);
    let prompt = prompt.map(|place| named(t.is_prompt, place) + t.comma).unwrap_or_default();
    format!("{prompt}{}", named(t.is_source, source))
}

/// What a column of texts was understood as: `column 标题, encoding: GB18030`; without a column, lines.
pub fn column_said(column: Option<&str>, encoding: Option<&str>) -> String {
    let t = &lang().texts().terminal;
    let what = column.map_or(t.lines.to_owned(), |name| fill(t.is_column, &[("name", &name)]));
    let encoding = encoding.map(|name| format!("{}{}", t.comma, fill(t.encoding_is, &[("name", &name)])));
    what + &encoding.unwrap_or_default()
}

/// How a column is called when it is spoken of: by its name, or by its number from 1.
pub fn column_name(head: &Head, place: usize) -> String {
    match head.columns.get(place) {
        Some(column) if !column.name.is_empty() => column.name.clone(),
        _ => fill(lang().texts().terminal.nameless_column, &[("n", &(place + 1))]),
    }
}

/// What is said of the encoding that a file is read in: nothing where that is UTF-8.
pub fn encoding_line(path: &Path, encoding: Option<&str>) -> Option<String> {
    let encoding = encoding.filter(|name| *name != "UTF-8")?;
    let read_as = fill(lang().texts().terminal.read_as, &[("encoding", &encoding)]);
    Some(format!("t5kit: {}: {read_as}", spoken(path)))
}

/// Says [`encoding_line`].
pub fn say_encoding(path: &Path, encoding: Option<&str>) {
    if let Some(line) = encoding_line(path, encoding) {
        eprintln!("{line}");
    }
}

/// A path as it is spoken of.
pub fn spoken(path: &Path) -> String {
    if path.as_os_str() == "-" {
        lang().texts().terminal.standard_input.into()
    } else {
        path.display().to_string()
    }
}

/// A text that says in which encoding it is read as soon as that is known, where it is not UTF-8.
pub struct Announced {
    source: Unpacked,
    found: Arc<OnceLock<&'static str>>,
    said: bool,
}

impl Announced {
    /// Opens the text at `path`, `-` is standard input.
    pub fn open(path: &Path, encoding: Encoding) -> Result<Self> {
        let source = Unpacked::open_as(path, encoding)?;
        let found = source.encoding_cell();
        Ok(Self { source, found, said: false })
    }
}

impl Read for Announced {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buf);
        if !self.said
            && let Some(encoding) = self.found.get()
        {
            self.said = true;
            say_encoding(self.source.path(), Some(encoding));
        }
        read
    }
}
