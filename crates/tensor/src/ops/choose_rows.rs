//! Choosing tokens from rows of logits, wherever they are.

use super::known_row::{Interest, Known};
use crate::ops::{LogitsRow, each_row, gather_rows};
use crate::{Graph, Tensor, cuda};

/// Calls `f(index, row)` for every row of the logits, as [`each_row`] does. `interest(index)` says what it looks at there;
/// `None`: at everything. Where the logits are on a device, that is all that comes of them, and `f` may be called again with
/// a row of which more is known. Only where they are in the processor's memory does a row stay as `f` has left it.
pub fn choose_rows<T: Send>(
    graph: &Graph<'_>,
    logits: &mut Tensor,
    interest: impl Fn(usize) -> Option<Interest>,
    f: impl Fn(usize, &mut LogitsRow<'_>) -> T + Sync,
) -> Vec<T> {
    if logits.core().is_none() {
        return each_row(graph, logits, f);
    }
    let (rows, cols) = (logits.rows(), logits.cols());
    let mut answers: Vec<Option<T>> = (0..rows).map(|_| None).collect();
    let few: Vec<(usize, Interest)> = (0..rows)
        .filter_map(|row| {
            let interest = interest(row)?.of(cols);
            interest.is_in_few().then_some((row, interest))
        })
        .collect();
    let wanted: Vec<(usize, &Interest)> = few.iter().map(|(row, interest)| (*row, interest)).collect();
    let looked = cuda::logits::look(logits, &wanted);

    let mut drawn: Vec<(usize, usize, Known)> = Vec::new();
    let try_with = |row: usize, known: &Known| {
        let mut known = known.clone();
        let answer = f(row, &mut LogitsRow::known(graph.context.isa, &mut known));
        (answer, known)
    };
    for (&(row, _), known) in wanted.iter().zip(looked) {
        let (answer, after) = try_with(row, &known);
        match after.wanted() {
            _ if !after.missed() => answers[row] = Some(answer),
            Some(part) => drawn.push((row, part, known)),
            None => {}
        }
    }
    if !drawn.is_empty() {
        let of: Vec<(usize, usize)> = drawn.iter().map(|&(row, part, _)| (row, part)).collect();
        let parts = cuda::logits::parts(logits, &of);
        for (at, (row, part, mut known)) in drawn.into_iter().enumerate() {
            known.add_part(part, parts.row(at).to_vec());
            let (answer, after) = try_with(row, &known);
            answers[row] = (!after.missed()).then_some(answer);
        }
    }
    let left: Vec<usize> = (0..rows).filter(|&row| answers[row].is_none()).collect();
    if !left.is_empty() {
        if let Some(core) = logits.core() {
            core.count(|counts| counts.rows += left.len() as u64);
        }
        let mut whole = gather_rows(logits, &left);
        let found = each_row(graph, &mut whole, |at, row| f(left[at], row));
        left.iter().zip(found).for_each(|(&row, answer)| answers[row] = Some(answer));
    }
    answers.into_iter().flatten().collect()
}
