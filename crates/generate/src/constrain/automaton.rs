//! A pattern over the pieces of a vocabulary: which may come next so that the text can still be brought to match.
//!
//! A state is one of the pattern's automaton between two pieces. All that can be reached are found once, each by one walk
//! over the tree of the vocabulary's bytes, which ends where the pattern does; then how many tokens each is away from a
//! text that matches. The ids that may come at a state are found when it is first met, and kept: a bit an id.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use regex_automata::util::primitives::StateID;

use super::PatternError;
use super::pattern::Pattern;
use super::vocabulary::{Bytes, Vocabulary};

/// Nodes of the vocabulary that are looked at before a pattern counts as too large: some seconds' work.
const MOST_STEPS: usize = 2_000_000_000;

/// Which pieces may come after which, so that the whole text matches a pattern.
#[derive(Clone)]
pub struct Automaton(Arc<Inner>);

struct Inner {
    pattern: String,
    dfa: Pattern,
    vocabulary: Vocabulary,
    end: Vec<u32>,
    /// The first is the beginning of a text.
    states: Vec<State>,
    /// Which state the pattern's own is, behind the beginning.
    places: HashMap<StateID, usize>,
}

struct State {
    dfa: StateID,
    /// Tokens to the nearest end, the end included; `None` where there is none.
    left: Option<usize>,
    /// The most of that of a state that the next token may lead to.
    farthest: usize,
    /// What may come where there are tokens enough for all of it.
    mask: OnceLock<Vec<u64>>,
}

impl Automaton {
    /// A pattern, in the regex crate's syntax, that the whole text matches; each of `end` ends one.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(pattern: &str, vocabulary: Vocabulary, end: &[u32]) -> Result<Self, PatternError> {
        let dfa = Pattern::new(pattern, vocabulary.spaceless)?;
        let state = |dfa| State { dfa, left: None, farthest: 0, mask: OnceLock::new() };
        let states = vec![state(dfa.start()?)];
        let (pattern, end) = (pattern.to_owned(), end.to_vec());
        let mut inner = Inner { pattern, dfa, vocabulary, end, states, places: HashMap::new() };
        // Which states each leads to.
        let mut next: Vec<Vec<usize>> = Vec::new();
        let mut steps = 0;
        while next.len() < inner.states.len() {
            let at = next.len();
            let mut found: Vec<(bool, StateID)> = Vec::new();
            steps += inner.walk(at, |_, first, dfa| {
                if found.last() != Some(&(first, dfa)) {
                    found.push((first, dfa));
                }
            });
            if steps > MOST_STEPS {
                return Err(PatternError::Large);
            }
            found.sort_unstable();
            found.dedup();
            let mut place = |(first, dfa): (bool, StateID)| {
                if first {
                    return 0;
                }
                let new = inner.states.len();
                let place = *inner.places.entry(dfa).or_insert(new);
                if place == new {
                    inner.states.push(state(dfa));
                }
                place
            };
            next.push(found.into_iter().map(&mut place).collect());
        }
        inner.measure(&next);
        match inner.states[0].left {
            Some(_) => Ok(Automaton(Arc::new(inner))),
            None => Err(PatternError::Nothing),
        }
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// Tokens of the shortest text that matches, the end included.
    pub fn shortest(&self) -> usize {
        self.0.states[0].left.unwrap_or(usize::MAX)
    }

    /// Whether the text of these ids matches, with an end or without.
    pub fn accepts(&self, ids: &[u32]) -> bool {
        let said = match ids.split_last() {
            Some((last, before)) if self.0.end.contains(last) => before,
            _ => ids,
        };
        self.0.after(said).is_some_and(|at| self.0.dfa.accepts(self.0.states[at].dfa))
    }

    /// The ids that may come after these where `left` tokens may still come, a bit each, the lowest of a word first.
    pub(crate) fn allowed(&self, said: &[u32], left: usize) -> Cow<'_, [u64]> {
        let inner = &*self.0;
        match inner.after(said) {
            Some(at) if inner.states[at].farthest < left => {
                Cow::Borrowed(inner.states[at].mask.get_or_init(|| inner.mask(at, left)))
            }
            Some(at) => Cow::Owned(inner.mask(at, left)),
            None => Cow::Borrowed(&[]),
        }
    }
}

impl Inner {
    /// Calls `found(ids, first, state)` with ids that may follow a state and what they lead to, the beginning of a text
    /// still (`first`) or a state of the pattern; how many nodes were looked at.
    fn walk(&self, at: usize, mut found: impl FnMut(&[u32], bool, StateID)) -> usize {
        let start = self.states[at].dfa;
        let Bytes { nodes, .. } = self.pieces(at);
        let pieces = self.pieces(at);
        if !pieces.ids(0).is_empty() {
            found(pieces.ids(0), self.vocabulary.begins_again, start);
        }
        let mut open = vec![(nodes.len(), start)];
        let (mut at, mut steps) = (1, 0);
        while let Some(node) = nodes.get(at) {
            steps += 1;
            while open.len() > 1 && open[open.len() - 1].0 <= at {
                open.pop();
            }
            let behind = node.behind as usize;
            let Some(state) = self.dfa.next(open[open.len() - 1].1, node.byte) else {
                at = behind;
                continue;
            };
            let ids = pieces.ids(at);
            if !ids.is_empty() {
                found(ids, false, state);
            }
            if behind > at + 1 {
                open.push((behind, state));
            }
            at += 1;
        }
        steps
    }

    /// The pieces that may follow a state.
    fn pieces(&self, at: usize) -> &Bytes {
        if at == 0 { &self.vocabulary.first } else { &self.vocabulary.later }
    }

    /// How far the states are from an end, where each leads to `next`.
    fn measure(&mut self, next: &[Vec<usize>]) {
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); next.len()];
        for (at, next) in next.iter().enumerate() {
            next.iter().for_each(|&next| before[next].push(at));
        }
        let mut nearest: Vec<usize> = Vec::new();
        for (at, state) in self.states.iter_mut().enumerate().filter(|(_, s)| self.dfa.accepts(s.dfa)) {
            state.left = Some(1);
            nearest.push(at);
        }
        let mut left = 1;
        while !nearest.is_empty() {
            left += 1;
            let mut farther = Vec::new();
            for at in nearest {
                for &at in &before[at] {
                    if self.states[at].left.is_none() {
                        self.states[at].left = Some(left);
                        farther.push(at);
                    }
                }
            }
            nearest = farther;
        }
        for (at, next) in next.iter().enumerate() {
            let farthest = next.iter().filter_map(|&next| self.states[next].left).max();
            self.states[at].farthest = farthest.unwrap_or(0);
        }
    }

    /// The state after ids, where they can be said.
    fn after(&self, ids: &[u32]) -> Option<usize> {
        let mut at = 0;
        for &id in ids {
            let text = self.vocabulary.text(id, at == 0)?;
            if text.is_empty() && self.vocabulary.begins_again {
                continue;
            }
            let dfa = text.iter().try_fold(self.states[at].dfa, |state, &byte| self.dfa.next(state, byte))?;
            at = *self.places.get(&dfa)?;
        }
        Some(at)
    }

    /// The ids that may come at a state and leave a way to an end within `left` tokens.
    fn mask(&self, at: usize, left: usize) -> Vec<u64> {
        let most = self.end.iter().map(|&id| id as usize + 1).max().unwrap_or(0).max(self.vocabulary.ids());
        let mut mask = vec![0u64; most.div_ceil(64)];
        let mut allow = |ids: &[u32]| ids.iter().for_each(|&id| mask[id as usize / 64] |= 1 << (id % 64));
        if self.dfa.accepts(self.states[at].dfa) && left > 0 {
            allow(&self.end);
        }
        self.walk(at, |ids, first, dfa| {
            let next = if first { Some(&0) } else { self.places.get(&dfa) };
            if next.and_then(|&next| self.states[next].left).is_some_and(|needs| needs < left) {
                allow(ids);
            }
        });
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use t5kit_tokenizer::LeadingSpace;

    const END: u32 = 1;

    fn bits(mask: &[u64]) -> Vec<u32> {
        (0..mask.len() as u32 * 64).filter(|id| mask[*id as usize / 64] >> (id % 64) & 1 == 1).collect()
    }

    /// The text of ids, as a tokenizer with these pieces would decode them.
    fn text(pieces: &[Option<&str>], space: LeadingSpace, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut at_start = true;
        for &id in ids {
            let piece = pieces[id as usize].unwrap();
            let cut = at_start && space != LeadingSpace::Stays && piece.starts_with(' ');
            text += &piece[usize::from(cut)..];
            at_start = at_start && text.is_empty() && space == LeadingSpace::AllGo;
        }
        text
    }

    /// Whether a text of at most `most` more pieces matches, by trying all of them.
    fn completes(
        whole: &regex_automata::meta::Regex,
        pieces: &[Option<&str>],
        space: LeadingSpace,
        said: &mut Vec<u32>,
        most: usize,
    ) -> bool {
        if whole.is_match(&text(pieces, space, said)) {
            return true;
        }
        most > 0
            && (0..pieces.len() as u32).filter(|&id| pieces[id as usize].is_some_and(|p| !p.is_empty())).any(
                |id| {
                    said.push(id);
                    let does = completes(whole, pieces, space, said, most - 1);
                    said.pop();
                    does
                },
            )
    }

    /// A random expression over a, b, c and space.
    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("b".to_owned()),
            Just("今".to_owned()),
            Just(" ".to_owned()),
            Just("[ab]".to_owned()),
            Just(".".to_owned()),
            Just("[^b]".to_owned())
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
                proptest::collection::vec(inner.clone(), 2..4)
                    .prop_map(|parts| format!("(?:{})", parts.join("|"))),
                (inner.clone(), prop_oneof![Just("*"), Just("+"), Just("?"), Just("{2}"), Just("{1,3}")])
                    .prop_map(|(of, times)| format!("(?:{of}){times}")),
            ]
        })
    }

    const PIECES: [Option<&str>; 12] = [
        None,
        None,
        Some("a"),
        Some("b"),
        Some("ab"),
        Some(" "),
        Some(" a"),
        Some("ba"),
        Some("今"),
        Some("今a"),
        Some(""),
        Some(" b今"),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// What may come is what some completion within the tokens that are left begins with, and what comes of it
        /// matches.
        #[test]
        fn exactly_what_can_be_completed_may_come(
            pattern in pattern(), space in 0usize..3, said in proptest::collection::vec(2u32..12, 0..4), left in 1usize..5,
            choices in proptest::collection::vec(any::<u32>(), 8),
        ) {
            let space = [LeadingSpace::Stays, LeadingSpace::Goes, LeadingSpace::AllGo][space];
            let whole = regex_automata::meta::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            let automaton = match Automaton::new(&pattern, Vocabulary::of_pieces(&PIECES, space), &[END]) {
                Ok(automaton) => automaton,
                Err(error) => {
                    prop_assert_eq!(error, PatternError::Nothing);
                    prop_assert!(!completes(&whole, &PIECES, space, &mut Vec::new(), 4));
                    return Ok(());
                }
            };
            let mut said: Vec<u32> = said.into_iter().filter(|&id| id != 10).collect();
            let mut want = Vec::new();
            if whole.is_match(&text(&PIECES, space, &said)) {
                want.push(END);
            }
            prop_assert_eq!(automaton.accepts(&said), !want.is_empty());
            for id in 2..12 {
                said.push(id);
                if id != 10 && left > 1 && completes(&whole, &PIECES, space, &mut said, left - 2) {
                    want.push(id);
                }
                said.pop();
            }
            prop_assert_eq!(bits(&automaton.allowed(&said, left)), want, "{} {:?} {:?}", pattern, space, said);
            // Whatever is chosen, it ends, and matches.
            let mut said = Vec::new();
            let most = automaton.shortest().max(6);
            for choice in choices.iter().cycle() {
                let may = bits(&automaton.allowed(&said, most - said.len()));
                prop_assert!(!may.is_empty(), "{pattern}: nothing after {said:?}");
                let id = may[*choice as usize % may.len()];
                said.push(id);
                if id == END {
                    break;
                }
            }
            prop_assert!(automaton.accepts(&said));
            prop_assert!(whole.is_match(&text(&PIECES, space, &said[..said.len() - 1])), "{} {:?}", pattern, said);
        }
    }

    #[test]
    fn dead_ends_are_not_entered() {
        // 天 can be said by no piece.
        let of = |pattern: &str| {
            Automaton::new(pattern, Vocabulary::of_pieces(&PIECES, LeadingSpace::AllGo), &[END])
        };
        let automaton = of("a(b|天)|b天").unwrap();
        assert_eq!(bits(&automaton.allowed(&[], 9)), [2, 4, 5, 6], "the space goes");
        assert_eq!(automaton.shortest(), 2);
        assert_eq!(bits(&automaton.allowed(&[], 2)), [4], "ab in one piece");
        assert!(bits(&automaton.allowed(&[], 1)).is_empty());
        assert_eq!(of("天").map(|_| ()).unwrap_err(), PatternError::Nothing);
        assert!(automaton.accepts(&[2, 3, END]) && !automaton.accepts(&[2]) && !automaton.accepts(&[0]));
    }
}
