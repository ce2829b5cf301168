//! Which texts may come at all: some given ones, those that match a pattern, or labels, of which the likeliest is told.
//!
//! A constraint stands between the other processors ([`crate::processors`]): it looks at what a hypothesis has said and
//! makes every id impossible that no permitted text continues with, or none that is short enough for the tokens that are
//! left (transformers' `prefix_allowed_tokens_fn`, and the length besides). So it goes with every search, and what it
//! leaves ends as it should unless other processors forbid what it needs.

mod automaton;
mod pattern;
mod texts;
mod vocabulary;

use std::fmt;

pub use automaton::Automaton;
pub use pattern::{PatternError, check_pattern};
pub use texts::Texts;
pub use vocabulary::Vocabulary;

use t5kit_tensor::ops::ids_of;

use crate::processors::{History, LogitsProcessor, Scores};

/// Ids that a pattern permits, as long as they are told one by one.
const FEW: usize = 1 << 10;

/// Which texts may come. What `prefix` gives stands before them and is no part of them.
#[derive(Clone)]
pub enum Constraint {
    /// These, in these tokens.
    List(Texts),
    /// Those that match a pattern, in whatever tokens.
    Pattern(Automaton),
    /// These, which are not searched for: all of them are scored.
    Labels {
        /// The labels.
        texts: Texts,
        /// A label's log-probability is divided by its number of tokens, the end included, to this power; 0: it is not.
        length_penalty: f32,
    },
}

impl Constraint {
    /// What is scored, where labels are.
    pub fn labels(&self) -> Option<&Texts> {
        match self {
            Constraint::Labels { texts, .. } => Some(texts),
            _ => None,
        }
    }

    /// Tokens of the shortest text that is permitted, the end included.
    pub fn shortest(&self) -> usize {
        match self {
            Constraint::List(texts) | Constraint::Labels { texts, .. } => texts.shortest(),
            Constraint::Pattern(automaton) => automaton.shortest(),
        }
    }

    /// Whether a target says a permitted text, with its end or without; `ids` are those behind the prefix.
    pub fn accepts(&self, ids: &[u32]) -> bool {
        match self {
            Constraint::List(texts) | Constraint::Labels { texts, .. } => texts.text(ids).is_some(),
            Constraint::Pattern(automaton) => automaton.accepts(ids),
        }
    }

    /// The text that `ids`, those behind the prefix, stand for, as it was given; `None` where none was.
    pub fn text(&self, ids: &[u32]) -> Option<&str> {
        match self {
            Constraint::List(texts) | Constraint::Labels { texts, .. } => {
                texts.text(ids).map(|at| &*texts.names()[at])
            }
            Constraint::Pattern(_) => None,
        }
    }
}

/// What was given, without what was made of it.
impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constraint::List(texts) => f.debug_tuple("List").field(&texts.names()).finish(),
            Constraint::Pattern(automaton) => f.debug_tuple("Pattern").field(&automaton.pattern()).finish(),
            Constraint::Labels { texts, length_penalty } => {
                f.debug_tuple("Labels").field(&texts.names()).field(length_penalty).finish()
            }
        }
    }
}

/// Makes everything impossible that a constraint does not permit.
pub(crate) struct Constrained {
    pub constraint: std::sync::Arc<Constraint>,
    /// Tokens that a target may have beyond what was given.
    pub max_new_tokens: usize,
}

impl LogitsProcessor for Constrained {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        let said = &history.ids[history.given..];
        let left = self.max_new_tokens.saturating_sub(said.len());
        match &*self.constraint {
            Constraint::List(texts) | Constraint::Labels { texts, .. } => {
                scores.keep(&texts.allowed(said, left));
            }
            Constraint::Pattern(automaton) => scores.keep_where(&automaton.allowed(said, left)),
        }
    }

    fn touches(&self, history: History<'_>) -> Option<Vec<u32>> {
        let said = &history.ids[history.given..];
        let left = self.max_new_tokens.saturating_sub(said.len());
        match &*self.constraint {
            Constraint::List(texts) | Constraint::Labels { texts, .. } => Some(texts.allowed(said, left)),
            Constraint::Pattern(automaton) => {
                let allowed = automaton.allowed(said, left);
                let few: Vec<u32> = ids_of(&allowed).take(FEW + 1).collect();
                (few.len() <= FEW).then_some(few)
            }
        }
    }
}
