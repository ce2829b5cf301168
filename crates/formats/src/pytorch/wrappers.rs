//! Where in what a training program saved the state dictionary of the model lies.
//!
//! Beside it there may be an optimizer's state, callbacks, settings, numbers: they are passed over, and said.

use std::collections::HashSet;
use std::path::Path;

use super::pickle::{Id, Pickled};
use super::state::{calls, dict, is_tensor, no_state, text};
use crate::error::{Error, Result};

/// Names under which programs keep a model's state dictionary; where several are there, the first of them counts:
/// Lightning's, torch's tutorials', fairseq's and others', DeepSpeed's, …
const WRAPPERS: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "model_state",
    "model_weights",
    "weights",
    "params",
    "parameters",
    "net",
    "network",
    "checkpoint",
];

/// Dictionaries within dictionaries that are looked into.
const MAX_DEPTH: usize = 3;
/// Names that a message lists.
const LISTED: usize = 8;

/// The entries of a dictionary.
type Entries<'p> = &'p [(Id, Id)];

/// A dictionary with tensors.
struct Candidate<'p> {
    /// The keys that lead to it.
    keys: Vec<&'p str>,
    entries: Entries<'p>,
    tensors: usize,
}

/// The entries of the state dictionary, and what is to be said of where it lay.
///
/// # Errors
/// [`Error::Unsupported`] where there is none, or several and none of them under a usual name.
pub(super) fn find<'p>(path: &Path, p: &'p Pickled) -> Result<(Entries<'p>, Vec<String>)> {
    let mut found = candidates(p);
    // Tensors that are no weights: states of generators of random numbers, losses.
    let most = found.iter().map(|c| c.tensors).max().unwrap_or(0);
    found.retain(|c| c.tensors * 4 >= most);
    let rank = |c: &Candidate| match c.keys.last() {
        None => 0,
        Some(last) => WRAPPERS.iter().position(|w| w == last).map_or(usize::MAX, |at| at + 1),
    };
    found.sort_by_key(rank);
    let chosen = match &found[..] {
        [] => {
            return match p.unknown(p.root) {
                Some(name) => Err(Error::unsupported(path, calls(name))),
                None => Err(no_state(path)),
            };
        }
        [one] => one,
        [first, second, ..] if rank(first) < rank(second) => first,
        several => {
            let names: Vec<String> = several.iter().map(|c| c.keys.join(".")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let what = format!(
                "several dictionaries of tensors: {}; save the model's alone, by torch.save(model.state_dict(), FILE)",
                listed(&names)
            );
            return Err(Error::unsupported(path, what));
        }
    };
    let mut notes = Vec::new();
    if let [first, ..] = chosen.keys[..] {
        let beside = dict(p, p.root).unwrap_or_default();
        let beside: Vec<&str> =
            beside.iter().filter_map(|e| text(p, e.0)).filter(|key| *key != first).collect();
        let rest = match beside.len() {
            0 => String::new(),
            _ => format!("; left out: {}", listed(&beside)),
        };
        notes.push(format!("the weights lie under {}{rest}", chosen.keys.join(".")));
    }
    Ok((chosen.entries, notes))
}

/// Every dictionary with tensors under names, from the outside to the inside.
fn candidates(p: &Pickled) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    // One that is met again has been looked into: many entries may share one.
    let mut seen = HashSet::from([p.root]);
    let mut level = vec![(p.root, Vec::new())];
    for _ in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for (id, keys) in std::mem::take(&mut level) {
            let Some(entries) = dict(p, id) else { continue };
            let mut tensors = 0;
            for &(key, value) in entries {
                let Some(key) = text(p, key) else { continue };
                if is_tensor(p, value) {
                    tensors += 1;
                } else if dict(p, value).is_some() && seen.insert(value) {
                    let mut keys: Vec<&str> = keys.clone();
                    keys.push(key);
                    next.push((value, keys));
                }
            }
            if tensors > 0 {
                found.push(Candidate { keys, entries, tensors });
            }
        }
        level = next;
    }
    found
}

/// Names in a row, not more of them than a line holds.
pub(super) fn listed(names: &[&str]) -> String {
    let mut text = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED {
        text.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    text
}
