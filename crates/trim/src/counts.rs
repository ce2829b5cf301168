//! Files of counts: TSV (`piece`, tab, `count`, the most frequent first) and JSON (`{piece: count}`, the
//! form in which the counts of bojone's Chinese corpus were published), both written and read.
//!
//! The [`Record`] of where counts come from is the first line of a TSV file, behind `#t5kit-counts` and a
//! tab; a JSON file has no place for it, so it lies beside, in `<name>.record.json`. Files without a record
//! are read too.

use std::collections::HashMap;
use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, MapAccess, Visitor};
use t5kit_formats::output::AtomicFile;
use t5kit_formats::table::{LineRead, Lines, Unpacked};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::builtin::{Builtin, ZH};
use crate::record::{Record, VERSION};

/// What the first line of a TSV file of counts begins with.
const HEADER: &str = "#t5kit-counts\t";
/// In the header, behind the record's own fields: whether pieces are written with escapes.
const ESCAPED: &str = "escaped";
/// Longest file of counts that is read; real ones have a few megabytes.
const MAX_BYTES: u64 = 1 << 30;

/// Counts of pieces, by their text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The file they were read from, for messages.
    path: PathBuf,
    /// Where they come from, if known.
    pub record: Option<Record>,
    /// Pieces with their counts, in the file's order.
    pub pieces: Vec<(String, u64)>,
}

impl Counts {
    /// The counts `counts[id]` of `tokenizer`'s pieces: those above 0, descending, equal ones by id.
    pub fn new(tokenizer: &Tokenizer, counts: &[u64], record: Record) -> Self {
        let mut ids: Vec<u32> = (0..).zip(counts).filter(|(_, n)| **n > 0).map(|(id, _)| id).collect();
        ids.sort_by_key(|&id| std::cmp::Reverse(counts[id as usize]));
        let piece = |id| tokenizer.piece(id).expect("there are as many counts as pieces").to_owned();
        let pieces = ids.into_iter().map(|id| (piece(id), counts[id as usize])).collect();
        Self { path: PathBuf::new(), record: Some(record), pieces }
    }

    /// The counts that come with the program under this name.
    ///
    /// # Errors
    /// None that is not a damaged program.
    pub fn builtin(builtin: Builtin) -> Result<Self, Error> {
        let path = Path::new(builtin.name);
        let plain = zstd::stream::read::Decoder::new(ZH).map_err(t5kit_formats::Error::io(path, "read"))?;
        Self::read_tsv(path, plain)
    }

    /// Reads a file of counts in either form, plain or packed.
    ///
    /// # Errors
    /// [`Error::Counts`] with the line for whatever is not a piece and its count, for a piece that occurs
    /// twice, and for a record that does not belong to the counts; [`Error::Table`] where the file cannot
    /// be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut source = Unpacked::open(path)?;
        let mut head = Vec::new();
        let fail = t5kit_formats::Error::io(path, "read");
        (&mut source).take(64 << 10).read_to_end(&mut head).map_err(fail)?;
        let is_json = head.trim_ascii_start().first() == Some(&b'{') && !head.contains(&b'\t');
        let rest = head.chain(source.take(MAX_BYTES));
        let counts = if is_json { Self::read_json(path, rest)? } else { Self::read_tsv(path, rest)? };
        if counts.pieces.is_empty() {
            return Err(counts.bad(None, "it holds no counts".into()));
        }
        let mut seen = HashMap::with_capacity(counts.pieces.len());
        for (i, (piece, _)) in counts.pieces.iter().enumerate() {
            if seen.insert(piece.as_str(), i).is_some() {
                return Err(counts.bad(None, format!("piece {piece:?} occurs twice")));
            }
        }
        let sum = counts.pieces.iter().try_fold(0u64, |sum, (_, n)| sum.checked_add(*n));
        let Some(sum) = sum else {
            return Err(counts.bad(None, "the counts add up to more than 2^64".into()));
        };
        if let Some(record) = &counts.record
            && record.total.tokens != sum
        {
            let what = format!(
                "its record speaks of {} tokens, but the counts add up to {sum}; it was changed after it was \
                 written",
                record.total.tokens
            );
            return Err(counts.bad(None, what));
        }
        Ok(counts)
    }

    fn read_tsv(path: &Path, reader: impl Read) -> Result<Self, Error> {
        let mut counts = Self { path: path.to_path_buf(), record: None, pieces: Vec::new() };
        let mut lines = Lines::new(reader, 1 << 20);
        let (mut buffer, mut escaped) = (Vec::new(), false);
        loop {
            let line = lines.line() + 1;
            match lines.next_line(&mut buffer) {
                Ok(LineRead::Line) => {}
                Ok(LineRead::End) => return Ok(counts),
                Ok(LineRead::TooLong) => {
                    return Err(counts.bad(Some(line), "too long for a piece and its count".into()));
                }
                Err(source) => return Err(t5kit_formats::Error::io(path, "read")(source).into()),
            }
            let Ok(text) = std::str::from_utf8(&buffer) else {
                return Err(counts.bad(Some(line), "not UTF-8".into()));
            };
            if line == 1
                && let Some(json) = text.strip_prefix(HEADER)
            {
                let bad = |e: serde_json::Error| counts.bad(Some(1), format!("the record is damaged: {e}"));
                let value: serde_json::Value = serde_json::from_str(json).map_err(bad)?;
                escaped = value.get(ESCAPED).and_then(serde_json::Value::as_bool).unwrap_or(false);
                counts.record = Some(counts.checked(serde_json::from_value(value).map_err(bad)?)?);
                continue;
            }
            if text.is_empty() {
                continue;
            }
            // The last tab parts them: a piece may be a tab itself.
            let entry = text.rsplit_once('\t').and_then(|(piece, n)| Some((piece, n.parse().ok()?)));
            let Some((piece, n)) = entry else {
                let what = "not a piece, a tab and its count; a file of counts is made by `t5kit count`";
                return Err(counts.bad(Some(line), what.into()));
            };
            let piece = if escaped { unescape(piece) } else { Some(piece.to_owned()) };
            let Some(piece) = piece else {
                return Err(counts.bad(Some(line), "a backslash with nothing to escape".into()));
            };
            counts.pieces.push((piece, n));
        }
    }

    fn read_json(path: &Path, reader: impl Read) -> Result<Self, Error> {
        let mut counts = Self { path: path.to_path_buf(), record: None, pieces: Vec::new() };
        let mut deserializer = serde_json::Deserializer::from_reader(std::io::BufReader::new(reader));
        counts.pieces = deserializer
            .deserialize_map(Pieces)
            .and_then(|pieces| deserializer.end().map(|()| pieces))
            .map_err(|e| counts.bad(None, format!("not an object of counts: {e}")))?;
        let beside = record_path(path);
        if beside.is_file() {
            let bytes = std::fs::read(&beside).map_err(t5kit_formats::Error::io(&beside, "read"))?;
            let record = serde_json::from_slice(&bytes)
                .map_err(|e| counts.bad(None, format!("its record {} is damaged: {e}", beside.display())))?;
            counts.record = Some(counts.checked(record)?);
        }
        Ok(counts)
    }

    fn checked(&self, record: Record) -> Result<Record, Error> {
        if record.version != VERSION {
            let what = format!(
                "its record has version {}, this program knows {VERSION}; use a newer one",
                record.version
            );
            return Err(self.bad(None, what));
        }
        Ok(record)
    }

    /// Writes the counts to `path`: JSON with its record beside where the name ends in `.json`, else TSV.
    ///
    /// # Errors
    /// Those of [`AtomicFile`]: the file exists and `force` is not set, the disk is full, …
    pub fn write(&self, path: &Path, force: bool) -> Result<(), Error> {
        let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let mut file = AtomicFile::create(path, force)?;
        if json {
            self.write_json(&mut file).map_err(unwritable(path))?;
            if let Some(record) = &self.record {
                let beside = record_path(path);
                let mut record_file = AtomicFile::create(&beside, force)?;
                serde_json::to_writer_pretty(&mut record_file, record)
                    .map_err(|e| unwritable(&beside)(e.into()))?;
                record_file.commit()?;
            }
        } else {
            self.write_tsv(&mut file).map_err(unwritable(path))?;
        }
        file.commit()?;
        Ok(())
    }

    fn write_tsv(&self, out: &mut impl Write) -> std::io::Result<()> {
        let escaped = self.pieces.iter().any(|(piece, _)| piece.contains(['\t', '\n', '\r']));
        if let Some(record) = &self.record {
            let mut value = serde_json::to_value(record)?;
            if escaped && let Some(object) = value.as_object_mut() {
                object.insert(ESCAPED.into(), true.into());
            }
            writeln!(out, "{HEADER}{value}")?;
        }
        for (piece, n) in &self.pieces {
            if escaped && self.record.is_some() {
                writeln!(out, "{}\t{n}", escape(piece))?;
            } else {
                writeln!(out, "{piece}\t{n}")?;
            }
        }
        Ok(())
    }

    fn write_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(b"{")?;
        for (i, (piece, n)) in self.pieces.iter().enumerate() {
            let before = if i == 0 { "" } else { "," };
            write!(out, "{before}\n{}: {n}", serde_json::to_string(piece)?)?;
        }
        out.write_all(b"\n}\n")
    }

    /// The counts by id of `tokenizer`'s pieces.
    ///
    /// # Errors
    /// [`Error::Counts`] for pieces that the tokenizer does not have and for counts that are recorded to be
    /// of another tokenizer.
    pub fn by_id(&self, tokenizer: &Tokenizer) -> Result<Vec<u64>, Error> {
        if let Some(record) = &self.record
            && record.tokenizer_sha256 != tokenizer.sha256()
        {
            let what = format!(
                "counts of another tokenizer: of one with {} pieces and SHA-256 {}…, not of {} pieces and {}…",
                record.tokenizer_pieces,
                record.tokenizer_sha256.get(..12).unwrap_or_default(),
                tokenizer.vocab_size(),
                &tokenizer.sha256()[..12]
            );
            return Err(self.bad(None, what));
        }
        let mut counts = vec![0; tokenizer.vocab_size()];
        let mut unknown = Vec::new();
        for (piece, n) in &self.pieces {
            match tokenizer.id_of(piece) {
                Some(id) => counts[id as usize] = *n,
                None => unknown.push(piece.as_str()),
            }
        }
        if unknown.is_empty() {
            return Ok(counts);
        }
        let some: Vec<String> = unknown.iter().take(3).map(|piece| format!("{piece:?}")).collect();
        let what = format!(
            "{} of its {} pieces are not in the tokenizer ({}{}); these are counts of another one",
            unknown.len(),
            self.pieces.len(),
            some.join(", "),
            if unknown.len() > some.len() { ", …" } else { "" }
        );
        Err(self.bad(None, what))
    }

    fn bad(&self, line: Option<u64>, what: String) -> Error {
        Error::Counts { path: self.path.clone(), line, what }
    }
}

fn unwritable(path: &Path) -> impl FnOnce(std::io::Error) -> t5kit_formats::Error {
    t5kit_formats::Error::io(path, "write")
}

/// Where the record of a JSON file of counts lies.
fn record_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".record.json");
    name.into()
}

fn escape(piece: &str) -> String {
    piece.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> Option<String> {
    let mut piece = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        piece.push(match c {
            '\\' => match characters.next()? {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            c => c,
        });
    }
    Some(piece)
}

/// Reads an object of counts in its own order, every entry of it.
struct Pieces;

impl<'de> Visitor<'de> for Pieces {
    type Value = Vec<(String, u64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of pieces and their counts")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut pieces = Vec::new();
        while let Some(entry) = map.next_entry()? {
            pieces.push(entry);
        }
        Ok(pieces)
    }
}
