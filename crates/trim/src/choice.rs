//! Which pieces are kept.

use serde::{Deserialize, Serialize};
use t5kit_formats::spiece::{PieceKind, SpieceModel, is_sentinel};

use crate::Error;

/// How pieces are chosen by their counts. Pieces that the tokenizer cannot do without are kept in any case,
/// see [`is_indispensable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// Pieces that occur at least so often.
    MinCount(u64),
    /// So many of the most frequent pieces; of equally frequent ones those with the lower id. The
    /// indispensable pieces are not among their number.
    Top(usize),
    /// The fewest pieces that together with the indispensable ones make up at least this share (0 to 1) of
    /// all tokens; the most frequent first, of equally frequent ones those with the lower id.
    Coverage(f64),
    /// These rows, ascending; rows behind the last piece are for [`crate::rows`] to judge.
    Rows(Vec<u32>),
}

/// Why a piece is kept; the first reason that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is a control, unknown, byte or user-defined piece, or a sentinel.
    Indispensable,
    /// Its count, or a list of rows, speaks for it.
    Chosen,
    /// It is required by the user.
    Required,
}

/// The pieces to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Ids in the old model, ascending.
    pub ids: Vec<u32>,
    /// Why each of them is kept.
    pub reasons: Vec<Reason>,
}

/// Whether piece `id` of `model` is kept whatever its count: control, unknown, byte and user-defined pieces,
/// and sentinels (`<extra_id_N>`, with or without `▁`), of whichever kind a model has them.
pub fn is_indispensable(model: &SpieceModel, id: u32) -> bool {
    let piece = &model.pieces[id as usize];
    match piece.kind {
        PieceKind::Control | PieceKind::Unknown | PieceKind::Byte | PieceKind::UserDefined => true,
        PieceKind::Normal | PieceKind::Unused => is_sentinel(&piece.text),
    }
}

/// Chooses among the pieces of `model`, of which piece `id` occurs `counts[id]` times; `required` are ids
/// to keep besides.
///
/// # Errors
/// [`Error::Mismatch`] where the choice cannot be made: a coverage that is no share, counts that are all 0.
///
/// # Panics
/// Where there are not as many counts as pieces, or a required id is none.
pub fn choose(model: &SpieceModel, counts: &[u64], choice: &Choice, required: &[u32]) -> Result<Kept, Error> {
    assert_eq!(model.pieces.len(), counts.len(), "one count for each piece");
    let mut reasons: Vec<Option<Reason>> = (0..counts.len() as u32)
        .map(|id| is_indispensable(model, id).then_some(Reason::Indispensable))
        .collect();
    let chosen: Vec<u32> = match choice {
        Choice::MinCount(least) => (0..).zip(counts).filter(|&(_, n)| n >= least).map(|(id, _)| id).collect(),
        Choice::Top(n) => {
            let ordinary = by_frequency(counts).into_iter();
            ordinary.filter(|&id| reasons[id as usize].is_none()).take(*n).collect()
        }
        Choice::Coverage(share) => cover(counts, *share, &reasons)?,
        Choice::Rows(rows) => rows.iter().copied().filter(|&row| (row as usize) < counts.len()).collect(),
    };
    for (ids, reason) in [(&chosen[..], Reason::Chosen), (required, Reason::Required)] {
        for &id in ids {
            reasons[id as usize].get_or_insert(reason);
        }
    }
    let kept = (0..).zip(reasons).filter_map(|(id, reason)| Some((id, reason?)));
    let (ids, reasons) = kept.unzip();
    Ok(Kept { ids, reasons })
}

/// Ids with a count above 0, the most frequent first, equal ones by id.
pub(crate) fn by_frequency(counts: &[u64]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..).zip(counts).filter(|(_, n)| **n > 0).map(|(id, _)| id).collect();
    // The sort is stable.
    ids.sort_by_key(|&id| std::cmp::Reverse(counts[id as usize]));
    ids
}

fn cover(counts: &[u64], share: f64, reasons: &[Option<Reason>]) -> Result<Vec<u32>, Error> {
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::Mismatch(format!("a coverage of {share} is none: give a share from 0 to 1")));
    }
    let total: u128 = counts.iter().map(|&n| u128::from(n)).sum();
    if total == 0 {
        return Err(Error::Mismatch("all counts are 0, so that nothing can be covered".into()));
    }
    // In whole tokens, so that a share of 1 leaves out nothing; rounding can only add a piece.
    let wanted = ((total as f64 * share).ceil() as u128).min(total);
    let kept_anyway = counts.iter().zip(reasons).filter(|(_, reason)| reason.is_some());
    let mut covered: u128 = kept_anyway.map(|(&n, _)| u128::from(n)).sum();
    let mut chosen = Vec::new();
    for id in by_frequency(counts) {
        if covered >= wanted {
            break;
        }
        if reasons[id as usize].is_none() {
            covered += u128::from(counts[id as usize]);
            chosen.push(id);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_formats::spiece::Piece;

    /// `<pad>`, `<unk>`, a byte, a user-defined sentinel and six ordinary pieces, one of them a sentinel.
    fn model() -> SpieceModel {
        let kinds = [
            ("<pad>", PieceKind::Control),
            ("<unk>", PieceKind::Unknown),
            ("<0x00>", PieceKind::Byte),
            ("a", PieceKind::Normal),
            ("b", PieceKind::Normal),
            ("c", PieceKind::Normal),
            ("d", PieceKind::Normal),
            ("e", PieceKind::Unused),
            ("<extra_id_1>", PieceKind::Normal),
            ("▁<extra_id_0>", PieceKind::UserDefined),
        ];
        let pieces = kinds.map(|(text, kind)| Piece { text: text.into(), kind, ..Piece::default() });
        let mut model = SpieceModel::default();
        model.pieces = pieces.to_vec();
        model
    }

    const COUNTS: [u64; 10] = [0, 1, 9, 20, 50, 20, 0, 0, 0, 0];

    fn ids(choice: Choice, required: &[u32]) -> Vec<u32> {
        choose(&model(), &COUNTS, &choice, required).unwrap().ids
    }

    #[test]
    fn by_count() {
        assert_eq!(ids(Choice::MinCount(20), &[]), [0, 1, 2, 3, 4, 5, 8, 9]);
        assert_eq!(ids(Choice::MinCount(21), &[]), [0, 1, 2, 4, 8, 9]);
        assert_eq!(ids(Choice::MinCount(51), &[6]), [0, 1, 2, 6, 8, 9]);
        assert_eq!(ids(Choice::MinCount(0), &[]).len(), 10);
        assert_eq!(ids(Choice::Top(0), &[]), [0, 1, 2, 8, 9]);
        // Of the two with 20 the first.
        assert_eq!(ids(Choice::Top(2), &[]), [0, 1, 2, 3, 4, 8, 9]);
        // Pieces that never occur are not among the most frequent.
        assert_eq!(ids(Choice::Top(100), &[]), [0, 1, 2, 3, 4, 5, 8, 9]);
    }

    #[test]
    fn by_coverage() {
        // 10 of 100 tokens are indispensable pieces.
        for (share, expected) in [
            (0.0, &[][..]),
            (0.1, &[]),
            (0.100001, &[4]),
            (0.6, &[4]),
            (0.61, &[3, 4]),
            (0.8, &[3, 4]),
            (1.0, &[3, 4, 5]),
        ] {
            let kept = choose(&model(), &COUNTS, &Choice::Coverage(share), &[]).unwrap();
            let chosen = kept.ids.iter().zip(&kept.reasons).filter(|(_, r)| **r == Reason::Chosen);
            assert_eq!(chosen.map(|(id, _)| *id).collect::<Vec<_>>(), expected, "{share}");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            assert!(choose(&model(), &COUNTS, &Choice::Coverage(share), &[]).is_err());
        }
        assert!(choose(&model(), &[0; 10], &Choice::Coverage(0.5), &[]).is_err());
    }

    #[test]
    fn by_rows_and_reasons() {
        let kept = choose(&model(), &COUNTS, &Choice::Rows(vec![0, 4, 9, 10, 11]), &[4, 6]).unwrap();
        assert_eq!(kept.ids, [0, 1, 2, 4, 6, 8, 9]);
        use Reason::*;
        let expected =
            [Indispensable, Indispensable, Indispensable, Chosen, Required, Indispensable, Indispensable];
        assert_eq!(kept.reasons, expected);
    }
}
