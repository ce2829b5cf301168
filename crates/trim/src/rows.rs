//! Rows of the embedding and softmax matrices: which there are behind the pieces, which are kept, and the
//! file that lists them.
//!
//! A matrix has more rows than the tokenizer has pieces. T5's tokenizer has 32,000 pieces, its 100 sentinels
//! are rows 32,000 to 32,099 (umT5's 300 likewise), added tokens follow, and rows up to 32,127 pad to a multiple of 128. mT5's 250,100 pieces include
//! the sentinels, and 12 rows pad. The padding rows were never of use; the published Chinese cut keeps the
//! first two of them, and so does this one, so that its list of rows is the same.

use std::path::Path;

use t5kit_formats::spiece::{SpieceModel, T5_SENTINELS, is_sentinel};
use t5kit_tokenizer::Tokenizer;

use crate::Error;
use crate::pieces::is_spiece;

/// Padding rows that the published cut keeps.
const KEPT_PADDING: usize = 2;
/// Matrices are padded to multiples of this.
const ROW_MULTIPLE: usize = 128;

/// What the rows of a model's matrices are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Rows `0..pieces` belong to the tokenizer's pieces.
    pub pieces: usize,
    /// The next ones are what the tokenizer has behind its pieces: T5's 100 sentinels, added tokens; nothing in mT5.
    pub behind: usize,
    /// The rest, up to this number of rows, is padding; where no checkpoint says how many rows there are,
    /// as many as a list of rows to keep may name.
    pub rows: usize,
    /// Of the padding, so many rows are kept.
    kept_padding: usize,
}

impl Layout {
    /// The layout of a model with this tokenizer, of which `model` has the pieces that are chosen from, and, where a
    /// checkpoint is at hand, `rows` rows.
    ///
    /// # Errors
    /// [`Error::Mismatch`] where so many rows cannot belong to the tokenizer.
    pub fn new(model: &SpieceModel, tokenizer: &Tokenizer, rows: Option<usize>) -> Result<Self, Error> {
        let behind = tokenizer.vocab_size().saturating_sub(model.pieces.len());
        // T5's spiece.model by itself does not say that there are sentinels.
        let unsaid = behind == 0 && tokenizer.source_files().first().is_none_or(|file| is_spiece(file));
        Self::of(model, behind, unsaid, rows)
    }

    /// [`Layout::new`] with what it knows of the tokenizer: what is behind the pieces, and whether there may be T5's
    /// sentinels although nothing says so.
    fn of(model: &SpieceModel, behind: usize, unsaid: bool, rows: Option<usize>) -> Result<Self, Error> {
        let pieces = model.pieces.len();
        let has_sentinels = model.pieces.iter().any(|piece| is_sentinel(&piece.text));
        let unsaid = unsaid && !has_sentinels;
        let outside = if unsaid { T5_SENTINELS } else { behind };
        let Some(rows) = rows else {
            let rows = (pieces + outside + KEPT_PADDING).next_multiple_of(ROW_MULTIPLE);
            let kept_padding = if has_sentinels { KEPT_PADDING } else { 0 };
            return Ok(Self { pieces, behind: outside, rows, kept_padding });
        };
        let least = if unsaid { pieces } else { pieces + behind };
        if rows < least {
            return Err(Error::Mismatch(format!(
                "the model has {rows} rows, but the tokenizer {least} pieces; give the model's own tokenizer"
            )));
        }
        // A model of this program's family never pads by a whole multiple.
        if rows >= pieces + outside + 2 * ROW_MULTIPLE {
            return Err(Error::Mismatch(format!(
                "the model has {rows} rows, far more than the tokenizer's {pieces} pieces; give the model's own \
                 tokenizer, or where the tokenizer was cut already cut the rows like it by `keep_tokens` of \
                 `t5kit convert`"
            )));
        }
        let behind = if rows >= pieces + outside { outside } else { 0 };
        let padding = rows - pieces - behind;
        let kept_padding = if has_sentinels { KEPT_PADDING.min(padding) } else { 0 };
        Ok(Self { pieces, behind, rows, kept_padding })
    }

    /// The rows to keep with the pieces `kept`: those, what is behind them and the first rows
    /// of padding, ascending.
    pub fn kept_rows(&self, kept: &[u32]) -> Vec<u32> {
        let behind = self.pieces..self.pieces + self.behind + self.kept_padding;
        kept.iter().copied().chain(behind.map(|row| row as u32)).collect()
    }
}

/// Reads a list of rows to keep, in the form in which the Chinese cut's was published.
///
/// # Errors
/// Those of [`t5kit_formats::keep_tokens::read`].
pub fn read_keep_tokens(path: &Path, layout: &Layout) -> Result<Vec<u32>, Error> {
    Ok(t5kit_formats::keep_tokens::read(path, layout.rows)?)
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
            let layout = Layout::of(&tokenizer(pieces, sentinel), 0, true, rows).unwrap();
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
        // What the tokenizer has behind its pieces: umT5's sentinels, added tokens.
        let said = |sentinel, behind, rows| {
            let layout = Layout::of(&tokenizer(3000, sentinel), behind, false, rows).unwrap();
            layout.kept_rows(&[1, 5])[2..].to_vec()
        };
        assert_eq!(said(false, 300, Some(3384)), (3000..3300).collect::<Vec<_>>());
        assert_eq!(said(false, 96, Some(3096)), (3000..3096).collect::<Vec<_>>());
        assert_eq!(said(true, 2, Some(3008)), [3000, 3001, 3002, 3003]);
        assert!(said(false, 0, Some(3104)).is_empty());
        assert!(Layout::of(&tokenizer(3000, false), 96, false, Some(3095)).is_err());
    }

    #[test]
    fn rows_of_another_tokenizer() {
        let error =
            |pieces, rows| Layout::of(&tokenizer(pieces, true), 0, true, Some(rows)).unwrap_err().to_string();
        assert!(error(32_128, 32_000).contains("has 32000 rows, but the tokenizer 32128 pieces"));
        assert!(
            error(32_000, 250_112).contains("far more") && error(32_000, 250_112).contains("`keep_tokens`")
        );
    }
}
