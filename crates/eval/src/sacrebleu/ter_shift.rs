//! Edits of one sentence for TER: Tercom's greedy search for shifts over an edit distance around the diagonal.
//!
//! The limits and the order in which equal shifts are preferred are part of the definition: other ones give other
//! scores.

const MAX_SHIFT_SIZE: usize = 10;
const MAX_SHIFT_DISTANCE: usize = 50;
const MAX_SHIFTS_TRIED: usize = 1000;
const BEAM: usize = 25;
const FAR: u32 = u32::MAX / 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Keep,
    Substitute,
    /// A word of the reference that the prediction lacks.
    Insert,
    Delete,
}

/// A cell of the edit distance: cost, and the last edit; `None` where the beam has not been.
type Cell = (u32, Option<Edit>);

/// The least edits, shifts included, that make `reference` of `prediction`.
pub fn edits(prediction: &[u32], reference: &[u32]) -> usize {
    if reference.is_empty() {
        return prediction.len();
    }
    let mut words = prediction.to_vec();
    let mut table = Table::new(&words, reference);
    let (mut shifts, mut tried) = (0, 0);
    loop {
        let (gain, shifted) = best_shift(&words, reference, &table, &mut tried);
        if tried >= MAX_SHIFTS_TRIED || gain <= 0 {
            break;
        }
        shifts += 1;
        words = shifted;
        table = Table::new(&words, reference);
    }
    shifts + table.cost() as usize
}

/// The edit distance of all beginnings of a prediction to those of the reference, as far as the beam goes.
#[derive(Clone)]
struct Table<'a> {
    reference: &'a [u32],
    words: Vec<u32>,
    /// Of each row the first column that it has, and where that is in `cells`.
    rows: Vec<(usize, usize)>,
    /// What the beam reaches of each row; the last is whole from its first column on.
    cells: Vec<Cell>,
}

impl<'a> Table<'a> {
    fn new(words: &[u32], reference: &'a [u32]) -> Self {
        let (n, m) = (words.len(), reference.len());
        let ratio = if n == 0 { 1.0 } else { m as f64 / n as f64 };
        let beam =
            if (BEAM as f64) < ratio / 2.0 { (ratio / 2.0 + BEAM as f64).ceil() as usize } else { BEAM };
        let (mut rows, mut at) = (vec![(0, 0)], m + 1);
        for i in 1..=n {
            let diagonal = (i as f64 * ratio).floor() as usize;
            let first = diagonal.saturating_sub(beam);
            let end = if i == n { m + 1 } else { (m + 1).min(diagonal + beam) };
            rows.push((first, at));
            at += end.saturating_sub(first);
        }
        let mut cells = vec![(FAR, None); at];
        for (j, cell) in cells[..=m].iter_mut().enumerate() {
            *cell = (j as u32, Some(Edit::Insert));
        }
        let mut table = Table { reference, words: words.to_vec(), rows, cells };
        table.fill(0);
        table
    }

    /// Where row `i` is in `cells`.
    fn row(&self, i: usize) -> std::ops::Range<usize> {
        self.rows[i].1..self.rows.get(i + 1).map_or(self.cells.len(), |next| next.1)
    }

    /// Fills the rows after `from`.
    fn fill(&mut self, from: usize) {
        for i in from + 1..=self.words.len() {
            let (above, here) = (self.row(i - 1), self.row(i));
            let (first_above, first) = (self.rows[i - 1].0, self.rows[i].0);
            let (before, rest) = self.cells.split_at_mut(here.start);
            let (before, row) = (&before[above], &mut rest[..here.len()]);
            // Beyond the beam everything is far.
            let above = |j: usize| {
                j.checked_sub(first_above).and_then(|at| before.get(at)).map_or(FAR, |cell| cell.0)
            };
            let mut left = FAR;
            for (j, cell) in (first..).zip(row) {
                *cell = (FAR, None);
                if j == 0 {
                    *cell = (above(0) + 1, Some(Edit::Delete));
                } else {
                    let same = self.words[i - 1] == self.reference[j - 1];
                    let replaced = if same { (0, Edit::Keep) } else { (1, Edit::Substitute) };
                    for (cost, edit) in [
                        (above(j - 1) + replaced.0, replaced.1),
                        (above(j) + 1, Edit::Delete),
                        (left + 1, Edit::Insert),
                    ] {
                        if cost < cell.0 {
                            *cell = (cost, Some(edit));
                        }
                    }
                }
                left = cell.0;
            }
        }
    }

    fn cost(&self) -> u32 {
        self.cells[self.cells.len() - 1].0
    }

    /// The cost of other words of the same number, worked out in `scratch`, which holds the rows of some of them.
    fn cost_of(&self, words: &[u32], scratch: &mut Table) -> u32 {
        let same = scratch.words.iter().zip(words).take_while(|(a, b)| a == b).count();
        if same < words.len() {
            scratch.words.copy_from_slice(words);
            scratch.fill(same);
        }
        scratch.cost()
    }

    /// The edits from the first word on.
    fn trace(&self) -> Vec<Edit> {
        let (mut i, mut j) = (self.words.len(), self.reference.len());
        let mut edits = Vec::with_capacity(i + j);
        while i > 0 || j > 0 {
            // A cell that the beam has not been to lies on no path; should one ever, the border leads home.
            let cell = j.checked_sub(self.rows[i].0).and_then(|at| self.cells[self.row(i)].get(at));
            let border = if j > 0 { Edit::Insert } else { Edit::Delete };
            let edit = cell.and_then(|cell| cell.1).unwrap_or(border);
            match edit {
                Edit::Keep | Edit::Substitute => (i, j) = (i - 1, j - 1),
                Edit::Insert => j -= 1,
                Edit::Delete => i -= 1,
            }
            edits.push(edit);
        }
        edits.reverse();
        edits
    }
}

/// How the words stand to one another.
struct Alignment {
    /// Of each word of the reference: the place after the word of the prediction that it is aligned to.
    after: Vec<usize>,
    /// Whether the words are wrong.
    wrong_reference: Vec<bool>,
    wrong_prediction: Vec<bool>,
}

impl Alignment {
    fn of(edits: &[Edit]) -> Self {
        let mut all =
            Alignment { after: Vec::new(), wrong_reference: Vec::new(), wrong_prediction: Vec::new() };
        for &edit in edits {
            let wrong = edit != Edit::Keep;
            if edit != Edit::Insert {
                all.wrong_prediction.push(wrong);
            }
            if edit != Edit::Delete {
                all.after.push(all.wrong_prediction.len());
                all.wrong_reference.push(wrong);
            }
        }
        all
    }
}

/// Which shift is preferred: the highest gain, then the longest, the earliest, the one with the earliest target.
type Rank = (i64, usize, i64, i64);

/// By how much the best shift lowers the edit distance, and the words after it.
fn best_shift(words: &[u32], reference: &[u32], table: &Table, tried: &mut usize) -> (i64, Vec<u32>) {
    let aligned = Alignment::of(&table.trace());
    let before = i64::from(table.cost());
    let mut scratch = table.clone();
    let mut best: Option<(Rank, Vec<u32>)> = None;
    for (start, to, length) in same_runs(words, reference) {
        let all_right = |wrong: &[bool], from: usize| !wrong[from..from + length].contains(&true);
        if all_right(&aligned.wrong_prediction, start) || all_right(&aligned.wrong_reference, to) {
            continue;
        }
        // Not within itself.
        if (start + 1..=start + length).contains(&aligned.after[to]) {
            continue;
        }
        let mut last = None;
        for offset in 0..=length {
            // Behind the word before the run in the reference, then behind each of the run.
            let target = match (to + offset).checked_sub(1) {
                None => 0,
                Some(place) if place < aligned.after.len() => aligned.after[place],
                Some(_) => break,
            };
            if last.replace(target) == Some(target) {
                continue;
            }
            let shifted = shift(words, start, length, target);
            let gain = before - i64::from(table.cost_of(&shifted, &mut scratch));
            *tried += 1;
            let rank = (gain, length, -(start as i64), -(target as i64));
            if best.as_ref().is_none_or(|(best, _)| rank > *best) {
                best = Some((rank, shifted));
            }
        }
        if *tried >= MAX_SHIFTS_TRIED {
            break;
        }
    }
    best.map_or((0, words.to_vec()), |((gain, ..), shifted)| (gain, shifted))
}

/// Runs of words that both have, not too long nor too far apart: start in the prediction, in the reference, length.
fn same_runs(words: &[u32], reference: &[u32]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..words.len()).flat_map(move |i| {
        let near = i.saturating_sub(MAX_SHIFT_DISTANCE)..reference.len().min(i + MAX_SHIFT_DISTANCE + 1);
        near.flat_map(move |j| {
            let same =
                words[i..].iter().zip(&reference[j..]).take(MAX_SHIFT_SIZE).take_while(|(a, b)| a == b);
            (1..=same.count()).map(move |length| (i, j, length))
        })
    })
}

/// The words with `length` of them from `start` on moved before the word `target`.
fn shift(words: &[u32], start: usize, length: usize, target: usize) -> Vec<u32> {
    let end = start + length;
    let (moved, cut) =
        (&words[start..end], |from: usize, to: usize| &words[from.min(words.len())..to.min(words.len())]);
    if target < start {
        [cut(0, target), moved, cut(target, start), cut(end, words.len())].concat()
    } else if target > end {
        [cut(0, start), cut(end, target), moved, cut(target, words.len())].concat()
    } else {
        [cut(0, start), cut(end, length + target), moved, cut(length + target, words.len())].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_count_once() {
        assert_eq!(edits(&[1, 2, 3], &[1, 2, 3]), 0);
        assert_eq!(edits(&[3, 4, 1, 2], &[1, 2, 3, 4]), 1);
        assert_eq!(edits(&[], &[1, 2]), 2);
        assert_eq!(edits(&[1, 2], &[]), 2);
        assert_eq!(edits(&[5, 2], &[1, 2, 3]), 2);
    }

    #[test]
    fn very_different_lengths_are_no_problem() {
        let long: Vec<u32> = (0..300).collect();
        // The word is too far from the diagonal to be found.
        assert_eq!(edits(&[7], &long), 300);
        assert_eq!(edits(&long, &[7]), 299);
        // A table of all cells would be 80 GB.
        let long: Vec<u32> = (0..100_000).collect();
        assert_eq!(edits(&long, &[&long[..50_000], &[7; 50_000]].concat()), 50_000);
    }
}
