//! Parts of a text to ids: the search's path, followed back from its end.

use super::oracle::Oracle;
use super::parts::Part;
use super::trie::Trie;
use super::{Fast, SCRATCH, Scratch, Searcher, Unigram, scan, search};
use crate::added::Added;

impl Unigram {
    /// Appends the ids of a text.
    pub(crate) fn encode_into(&self, text: &[u8], added: &Added, ids: &mut Vec<u32>) {
        self.each_part(text, added, |part| self.encode_part(part, ids));
    }

    fn encode_part(&self, part: Part, ids: &mut Vec<u32>) {
        let start = ids.len();
        match (part, &self.searcher) {
            (Part::Token(token), _) => return ids.push(token.id),
            (part, Searcher::Fast(fast)) => SCRATCH.with_borrow_mut(|scratch| {
                self.search(fast, part, scratch);
                self.append_ids(fast, scratch, ids);
                scratch.give_back();
            }),
            (part, Searcher::Oracle(oracle)) => {
                self.append_tokens(&self.segment(oracle, part), ids);
            }
        }
        self.vocab.resolve_all(&mut ids[start..]);
    }

    /// Appends the ids of a text by the obvious search.
    #[cfg(fuzzing)]
    pub(crate) fn encode_obviously(&self, text: &[u8], added: &Added, ids: &mut Vec<u32>) {
        self.each_part(text, added, |part| match part {
            Part::Token(token) => ids.push(token.id),
            part => drop(self.append_tokens(&self.segment(&self.oracle, part), ids)),
        });
    }

    /// Appends the ids of a text and returns the piece of each of them; an unknown piece is the text that it
    /// stands for.
    pub(crate) fn encode_pieces(&self, text: &[u8], added: &Added, ids: &mut Vec<u32>) -> Vec<String> {
        let mut pieces = Vec::new();
        self.each_part(text, added, |part| match (part, &self.searcher) {
            (Part::Token(token), _) => {
                ids.push(token.id);
                pieces.push(token.content.clone());
            }
            (part, Searcher::Fast(fast)) => {
                let tokens = SCRATCH.with_borrow_mut(|scratch| {
                    self.search(fast, part, scratch);
                    let tokens = self.tokens(fast, scratch);
                    scratch.give_back();
                    tokens
                });
                pieces.extend(self.append_tokens(&tokens, ids));
            }
            (part, Searcher::Oracle(oracle)) => {
                pieces.extend(self.append_tokens(&self.segment(oracle, part), ids));
            }
        });
        pieces
    }

    fn search(&self, fast: &Fast, part: Part, scratch: &mut Scratch) {
        let Scratch { codes, memory } = scratch;
        match part {
            Part::Text { text, prefix } => {
                scan::scan(&self.normalizer, &fast.alphabet, &fast.classes, text, prefix, codes);
            }
            Part::Normalized(text) => scan::scan_normalized(&fast.alphabet, text, codes),
            Part::Token(_) => unreachable!("tokens are not searched for"),
        }
        search::search(&fast.trie, &codes.codes, codes.length, memory);
    }

    /// The pieces of a part by the obvious search.
    fn segment(&self, oracle: &Oracle, part: Part) -> Vec<(String, Option<u32>)> {
        match part {
            Part::Text { text, prefix } => oracle.segment(&self.vocab, &self.normalizer, text, prefix),
            Part::Normalized(text) => oracle.segment_normalized(&self.vocab, text),
            Part::Token(_) => unreachable!("tokens are not searched for"),
        }
    }

    /// Follows the best path back from its end and appends its ids.
    fn append_ids(&self, fast: &Fast, scratch: &Scratch, ids: &mut Vec<u32>) {
        let start = ids.len();
        let steps = &scratch.memory.steps;
        let mut place = scratch.codes.length;
        let mut before_unknown = false;
        while place > 0 {
            let step = steps[place];
            if step.id != Trie::UNKNOWN {
                ids.push(step.id);
            } else if let Some(bytes) = &self.vocab.bytes {
                let mut utf8 = [0; 4];
                let c = scratch.codes.char(&fast.alphabet, place - 1);
                let utf8 = c.encode_utf8(&mut utf8).bytes();
                ids.extend(utf8.rev().map(|byte| bytes[usize::from(byte)]));
            } else if !before_unknown {
                // A run of unknown characters is one token.
                ids.extend(self.vocab.unknown);
            }
            before_unknown = step.id == Trie::UNKNOWN;
            place -= fast.length(step);
        }
        ids[start..].reverse();
    }

    /// Follows the best path back from its end: the pieces as text, and their ids.
    fn tokens(&self, fast: &Fast, scratch: &Scratch) -> Vec<(String, Option<u32>)> {
        let mut tokens = Vec::new();
        let mut place = scratch.codes.length;
        while place > 0 {
            let step = scratch.memory.steps[place];
            let start = place - fast.length(step);
            let text = (start..place).map(|i| scratch.codes.char(&fast.alphabet, i)).collect();
            tokens.push((text, (step.id != Trie::UNKNOWN).then_some(step.id)));
            place = start;
        }
        tokens.reverse();
        tokens
    }

    /// Appends the ids of tokens and returns their pieces.
    pub(super) fn append_tokens(&self, tokens: &[(String, Option<u32>)], ids: &mut Vec<u32>) -> Vec<String> {
        let mut pieces: Vec<String> = Vec::with_capacity(tokens.len());
        let mut after_unknown = false;
        for (text, id) in tokens {
            match (id, &self.vocab.bytes) {
                (Some(id), _) => {
                    let meant = self.vocab.resolve(*id);
                    ids.push(meant);
                    let alias = meant != *id;
                    let name = if alias { self.vocab.piece(meant) } else { None };
                    pieces.push(name.unwrap_or(text).to_owned());
                }
                (None, Some(bytes)) => {
                    ids.extend(text.bytes().map(|byte| bytes[usize::from(byte)]));
                    pieces.extend(text.bytes().map(|byte| format!("<0x{byte:02X}>")));
                }
                // A run of unknown characters is one token.
                (None, None) if after_unknown => {
                    pieces.last_mut().expect("an unknown piece stands before").push_str(text);
                }
                (None, None) => {
                    ids.extend(self.vocab.unknown);
                    pieces.push(text.clone());
                }
            }
            after_unknown = id.is_none();
        }
        pieces
    }
}
