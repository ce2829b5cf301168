//! Rows of the embedding and softmax matrices: which there are behind the pieces, which are kept, and the
//! file that lists them.
//!
//! A matrix has more rows than the tokenizer has pieces. T5's tokenizer has 32,000 pieces, its 100 sentinels
//! are rows 32,000 to 32,099, and rows up to 32,127 pad to a multiple of 128. mT5's 250,100 pieces include
//! the sentinels, and 12 rows pad. The padding rows were never of use; the published Chinese cut keeps the
//! first two of them, and so does this one, so that its list of rows is the same.

use std::path::Path;

use t5kit_formats::spiece::{SpieceModel, is_sentinel};

use crate::Error;

/// Sentinels that T5's tokenizer class adds to pieces that have none.
const T5_SENTINELS: usize = 100;
/// Padding rows that the published cut keeps.
const KEPT_PADDING: usize = 2;
/// Matrices are padded to multiples of this.
const ROW_MULTIPLE: usize = 128;

/// What the rows of a model's matrices are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Rows `0..pieces` belong to the tokenizer's pieces.
    pub pieces: usize,
    /// The next ones are sentinels that are no pieces: 100 in T5, 0 in mT5.
    pub sentinels: usize,
    /// The rest, up to this number of rows, is padding; where no checkpoint says how many rows there are,
    /// as many as a list of rows to keep may name.
    pub rows: usize,
    /// Of the padding, so many rows are kept.
    kept_padding: usize,
}

impl Layout {
    /// The layout of a model with this tokenizer and, where a checkpoint is at hand, `rows` rows.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where so many rows cannot belong to the tokenizer.
    pub fn new(tokenizer: &SpieceModel, rows: Option<usize>) -> Result<Self, Error> {
        let pieces = tokenizer.pieces.len();
        let has_sentinels = tokenizer.pieces.iter().any(|piece| is_sentinel(&piece.text));
        let outside = if has_sentinels { 0 } else { T5_SENTINELS };
        let Some(rows) = rows else {
            let rows = (pieces + outside + KEPT_PADDING).next_multiple_of(ROW_MULTIPLE);
            let kept_padding = if has_sentinels { KEPT_PADDING } else { 0 };
            return Ok(Self { pieces, sentinels: outside, rows, kept_padding });
        };
        if rows < pieces {
            return Err(Error::Mismatch(format!(
                "the model has {rows} rows, but the tokenizer {pieces} pieces; give the model's own tokenizer"
            )));
        }
        // A model of this program's family never pads by a whole multiple.
        if rows >= pieces + outside + 2 * ROW_MULTIPLE {
            return Err(Error::Mismatch(format!(
                "the model has {rows} rows, far more than the tokenizer's {pieces} pieces; give the model's \
                 own tokenizer"
            )));
        }
        let sentinels = if rows >= pieces + outside { outside } else { 0 };
        let padding = rows - pieces - sentinels;
        let kept_padding = if has_sentinels { KEPT_PADDING.min(padding) } else { 0 };
        Ok(Self { pieces, sentinels, rows, kept_padding })
    }

    /// The rows to keep with the pieces `kept`: those, the sentinels and the first rows of padding, ascending.
    pub fn kept_rows(&self, kept: &[u32]) -> Vec<u32> {
        let behind = self.pieces..self.pieces + self.sentinels + self.kept_padding;
        kept.iter().copied().chain(behind.map(|row| row as u32)).collect()
    }
}

/// Reads a list of rows to keep, in the form in which the Chinese cut's was published: a JSON list of
/// numbers.
///
/// # Errors
/// [`Error::List`] where it is no such list, or is unsorted, repeated, or goes beyond the layout's rows.
pub fn read_keep_tokens(path: &Path, layout: &Layout) -> Result<Vec<u32>, Error> {
    let bad = |what: String| Error::List { path: path.to_path_buf(), what };
    let bytes = std::fs::read(path).map_err(t5kit_formats::Error::io(path, "read"))?;
    let rows: Vec<u32> = serde_json::from_slice(&bytes)
        .map_err(|e| bad(format!("not a JSON list of row numbers, such as [0, 1, 2]: {e}")))?;
    if rows.is_empty() {
        return Err(bad("the list of rows to keep is empty".into()));
    }
    for pair in rows.windows(2) {
        if pair[0] == pair[1] {
            return Err(bad(format!("row {} is listed twice; list each row once", pair[0])));
        }
        if pair[0] > pair[1] {
            return Err(bad(format!("row {} follows row {}; sort the list ascending", pair[1], pair[0])));
        }
    }
    if let Some(row) = rows.iter().find(|&&row| row as usize >= layout.rows) {
        return Err(bad(format!(
            "row {row} is out of range: there are {} pieces in {} rows; is the list of another model?",
            layout.pieces, layout.rows
        )));
    }
    Ok(rows)
}

/// The text of a list of rows, in the published form.
pub fn keep_tokens_json(rows: &[u32]) -> String {
    let list: Vec<String> = rows.iter().map(u32::to_string).collect();
    format!("[{}]", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_formats::spiece::Piece;

    fn tokenizer(pieces: usize, sentinel: bool) -> SpieceModel {
        let name = |i: usize| {
            if sentinel && i == pieces - 1 { "▁<extra_id_0>".into() } else { format!("p{i}") }
        };
        let mut model = SpieceModel::default();
        model.pieces = (0..pieces).map(|i| Piece { text: name(i), ..Piece::default() }).collect();
        model
    }

    #[test]
    fn families() {
        let behind = |pieces, sentinel, rows| {
            let layout = Layout::new(&tokenizer(pieces, sentinel), rows).unwrap();
            layout.kept_rows(&[1, 5])[2..].to_vec()
        };
        // mT5, uncut and cut before, with rows for pieces alone, and of unknown size.
        assert_eq!(behind(250_100, true, Some(250_112)), [250_100, 250_101]);
        assert_eq!(behind(32_596, true, Some(32_598)), [32_596, 32_597]);
        assert_eq!(behind(32_596, true, Some(32_597)), [32_596]);
        assert!(behind(300, true, Some(300)).is_empty());
        assert_eq!(behind(250_100, true, None), [250_100, 250_101]);
        // T5: sentinels behind the pieces, and no padding.
        let t5: Vec<u32> = (32_000..32_100).collect();
        assert_eq!(behind(32_000, false, Some(32_128)), t5);
        assert_eq!(behind(32_000, false, None), t5);
        assert!(behind(300, false, Some(300)).is_empty());
    }

    #[test]
    fn rows_of_another_tokenizer() {
        let error = |pieces, rows| Layout::new(&tokenizer(pieces, true), Some(rows)).unwrap_err().to_string();
        assert!(error(32_128, 32_000).contains("has 32000 rows, but the tokenizer 32128 pieces"));
        assert!(error(32_000, 250_112).contains("far more"));
    }

    #[test]
    fn lists() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("keep.json");
        let layout = Layout::new(&tokenizer(100, true), None).unwrap();
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_keep_tokens(&path, &layout).map_err(|e| e.to_string())
        };
        let rows = vec![0, 1, 99, 100, 101];
        assert_eq!(read(&keep_tokens_json(&rows)).unwrap(), rows);
        assert_eq!(keep_tokens_json(&rows), "[0, 1, 99, 100, 101]");
        for (text, part) in [
            ("[]", "empty"),
            ("[0, 1, 1]", "row 1 is listed twice"),
            ("[0, 2, 1]", "row 1 follows row 2"),
            ("[0, 128]", "row 128 is out of range: there are 100 pieces in 128 rows"),
            ("[0, -1]", "not a JSON list"),
            ("[0, 1.5]", "not a JSON list"),
            ("[0, 4294967296]", "not a JSON list"),
            ("{}", "not a JSON list"),
            ("[0, 1", "not a JSON list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains("keep.json: ") && error.contains(part), "{text}: {error}");
        }
        assert!(read_keep_tokens(&folder.path().join("none"), &layout).is_err());
    }
}
