//! Scoring labels: every beginning of a label is fed once, and what the model finds of its next tokens adds up.
//!
//! In a step a row is fed all that labels have in common until they part, several tokens at once; where they part it
//! becomes as many rows. So there are as many steps as partings one behind the other, and no more, whatever the labels'
//! lengths.

use t5kit_tensor::ops::{Interest, LogitsRow};

use super::{Found, Look, Next, Parent, Prepared};
use crate::Generated;
use crate::constrain::{Constraint, Texts};

/// The labels of one request.
pub(crate) struct Labels {
    texts: Texts,
    length_penalty: f32,
    rows: Vec<Row>,
    /// What each token that the rows are fed is followed by: log-probabilities of ids.
    found: Vec<Vec<(f32, u32)>>,
    /// Of each label, its log-probability and its ids.
    scored: Vec<(f64, Vec<u32>)>,
}

/// A beginning of labels.
struct Row {
    /// The ids of labels before those that it is fed now.
    before: Vec<u32>,
    /// What it is fed; the first of the first row is the last of what is given.
    fed: Vec<u32>,
    /// The beginning that it is after each of them.
    nodes: Vec<usize>,
    /// Log-probability of the labels' ids up to the first of them.
    sum: f64,
}

impl Row {
    /// Begins at a node, with the id that leads there and those that follow as long as labels have them in common.
    fn new(texts: &Texts, before: Vec<u32>, (id, node): (u32, usize), sum: f64) -> Self {
        let mut row = Row { before, fed: vec![id], nodes: vec![node], sum };
        let mut at = node;
        while let [(id, next)] = texts.node(at).next[..] {
            row.fed.push(id);
            row.nodes.push(next);
            at = next;
        }
        row
    }
}

impl Labels {
    /// Before the first step; `None` where the constraint is no list of labels.
    pub fn new(prepared: &Prepared) -> Option<Self> {
        let Some(Constraint::Labels { texts, length_penalty }) = prepared.options.constraint.as_deref()
        else {
            return None;
        };
        let last = *prepared.given.last()?;
        let rows = vec![Row::new(texts, Vec::new(), (last, 0), 0.0)];
        let scored = vec![(f64::NEG_INFINITY, Vec::new()); texts.names().len()];
        let (texts, length_penalty) = (texts.clone(), *length_penalty);
        Some(Labels { texts, length_penalty, rows, found: Vec::new(), scored })
    }

    pub fn fed<'s>(&'s self, rows: &mut Vec<&'s [u32]>) {
        rows.extend(self.rows.iter().map(|row| &row.fed[..]));
    }

    /// Tokens that are fed beyond the first of each row.
    pub fn ahead(&self) -> usize {
        self.rows.iter().map(|row| row.fed.len() - 1).sum()
    }

    /// The ids by which labels go on there, an end the last.
    fn next(&self, row: usize, ahead: usize) -> impl Iterator<Item = u32> + '_ {
        let node = self.texts.node(self.rows[row].nodes[ahead]);
        let ends = node.text.map(|_| self.texts.end());
        node.next.iter().map(|&(id, _)| id).chain(ends)
    }

    pub fn interest(&self, row: usize, ahead: usize) -> Interest {
        Interest { best: 0, ids: self.next(row, ahead).collect(), sums: vec![1.0] }
    }

    pub fn look(&self, row: usize, ahead: usize, logits: &LogitsRow<'_>) -> Look {
        let all = logits.log_sum_exp();
        let log_prob = |id| (logits.get(id).unwrap_or(f32::NEG_INFINITY) - all, id);
        Look { wants_sentinel: false, found: Found::Best(self.next(row, ahead).map(log_prob).collect()) }
    }

    pub fn take(&mut self, looks: Vec<Option<Look>>) {
        let found = looks.into_iter().map(|look| match look.map(|look| look.found) {
            Some(Found::Best(found)) => found,
            _ => Vec::new(),
        });
        self.found = found.collect();
    }

    pub fn advance(&mut self, prepared: &Prepared) -> Next {
        let (mut parents, mut rows) = (Vec::new(), Vec::new());
        let mut found = std::mem::take(&mut self.found).into_iter();
        for (place, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            let Row { before: mut ids, fed, nodes, mut sum } = row;
            // The first row begins with what is given, which is no part of a label.
            let given = nodes[0] == 0;
            ids.extend(fed.first().filter(|_| !given));
            for (i, &node) in nodes.iter().enumerate() {
                let found = found.next().unwrap_or_default();
                let of = |id: u32| {
                    let log_prob = found.iter().find(|&&(_, other)| other == id).map(|&(x, _)| x);
                    f64::from(log_prob.unwrap_or(f32::NEG_INFINITY))
                };
                let node = self.texts.node(node);
                if let Some(text) = node.text {
                    let end = self.texts.end();
                    // The end is the last that was looked at.
                    let log_prob = found.last().map_or(f64::NEG_INFINITY, |&(x, _)| f64::from(x));
                    self.scored[text] = (sum + log_prob, ids.iter().copied().chain([end]).collect());
                }
                match fed.get(i + 1) {
                    Some(&id) => {
                        sum += of(id);
                        ids.push(id);
                    }
                    None => {
                        for &next in &node.next {
                            parents.push(Parent { row: place, rejected: 0 });
                            rows.push(Row::new(&self.texts, ids.clone(), next, sum + of(next.0)));
                        }
                    }
                }
            }
        }
        self.rows = rows;
        if self.rows.is_empty() { Next::Done(self.outputs(prepared)) } else { Next::Rows(parents) }
    }

    /// The labels, the likeliest first, as many as are asked for; each with its share among all.
    fn outputs(&mut self, prepared: &Prepared) -> Vec<Generated> {
        let scored = std::mem::take(&mut self.scored).into_iter();
        let over = |ids: &[u32]| (ids.len() as f64).powf(f64::from(self.length_penalty));
        let mut all: Vec<(f64, Vec<u32>)> = scored.map(|(x, ids)| (x / over(&ids), ids)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best = all.first().map_or(0.0, |(x, _)| *x);
        // Where the model gives numbers that are none, or none to any label, there are no shares.
        let sum: f64 = all.iter().map(|(x, _)| (x - best).exp()).sum();
        all.truncate(prepared.options.num_return_sequences);
        let generated = |(score, ids): (f64, Vec<u32>)| Generated {
            ids: prepared.options.prefix.iter().copied().chain(ids).collect(),
            score: Some(score as f32),
            probability: Some(((score - best).exp() / sum) as f32),
        };
        all.into_iter().map(generated).collect()
    }
}
