//! A regular expression as an automaton over the bytes of a text.

use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind, Repetition};

/// Why a pattern says nothing about a model's texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no regular expression.
    #[error("at character {at} of the pattern: {what}")]
    Syntax {
        /// Where, from 1.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// It asks for something that cannot be decided from left to right.
    #[error("the pattern: {0}")]
    Unsupported(String),
    /// It would take too much memory or time.
    #[error(
        "the pattern is too large: write it with fewer or shorter repetitions, and \\d or \\w as [0-9] or [a-z]"
    )]
    Large,
    /// No text that the vocabulary can write matches.
    #[error("no text that the model's tokenizer can write matches the pattern")]
    Nothing,
}

/// Whether a pattern is a regular expression, which is known before there is a vocabulary.
///
/// # Errors
/// [`PatternError::Syntax`].
pub fn check_pattern(pattern: &str) -> Result<(), PatternError> {
    regex_syntax::parse(pattern).map(|_| ()).map_err(|error| syntax(pattern, &error))
}

/// Bytes of the automaton before it is made deterministic, at most: what that takes grows with it.
const MOST_BYTES: usize = 4 << 20;
/// Bytes of the automaton itself.
const MOST_BYTES_AFTER: usize = 24 << 20;

/// A pattern that a whole text has to match.
pub(super) struct Pattern(dense::DFA<Vec<u32>>);

impl Pattern {
    /// Syntax is that of the regex crate. `spaceless`: spaces in the pattern stand for nothing, since texts are compared
    /// without theirs.
    pub fn new(pattern: &str, spaceless: bool) -> Result<Self, PatternError> {
        let hir = regex_syntax::parse(pattern).map_err(|error| syntax(pattern, &error))?;
        let hir = if spaceless { without_spaces(hir) } else { hir };
        let of_bytes = thompson::Config::new().nfa_size_limit(Some(MOST_BYTES)).shrink(false);
        let nfa =
            thompson::Compiler::new().configure(of_bytes).build_from_hir(&hir).map_err(
                |error| match error.size_limit() {
                    Some(_) => PatternError::Large,
                    None => PatternError::Unsupported(one_line(&error)),
                },
            )?;
        // All matches, so that the first alternative hides no other one.
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(StartKind::Anchored)
            .accelerate(false)
            .dfa_size_limit(Some(MOST_BYTES_AFTER))
            .determinize_size_limit(Some(MOST_BYTES_AFTER));
        let built = dense::Builder::new().configure(config).build_from_nfa(&nfa);
        built.map(Pattern).map_err(|error| match error.is_size_limit_exceeded() {
            true => PatternError::Large,
            false => {
                PatternError::Unsupported(format!("{}; write word boundaries as (?-u:\\b)", one_line(&error)))
            }
        })
    }

    /// Before a text.
    pub fn start(&self) -> Result<StateID, PatternError> {
        let start = self.0.start_state(&start::Config::new().anchored(Anchored::Yes));
        start.map_err(|error| PatternError::Unsupported(one_line(&error)))
    }

    /// After one more byte; `None` where nothing can match any more.
    pub fn next(&self, state: StateID, byte: u8) -> Option<StateID> {
        let next = self.0.next_state(state, byte);
        (!self.0.is_dead_state(next) && !self.0.is_quit_state(next)).then_some(next)
    }

    /// Whether what led here is a whole text.
    pub fn accepts(&self, state: StateID) -> bool {
        self.0.is_match_state(self.0.next_eoi_state(state))
    }
}

fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn syntax(pattern: &str, error: &regex_syntax::Error) -> PatternError {
    let (what, offset) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span().start.offset),
        other => (other.to_string(), 0),
    };
    let at = 1 + pattern.get(..offset).map_or(0, |before| before.chars().count());
    PatternError::Syntax { at, what }
}

/// What the texts of an expression are when spaces are taken out of them.
fn without_spaces(hir: Hir) -> Hir {
    let minimum = hir.properties().minimum_len();
    match hir.into_kind() {
        HirKind::Literal(literal) => {
            Hir::literal(literal.0.iter().copied().filter(|&byte| byte != b' ').collect::<Vec<_>>())
        }
        HirKind::Class(Class::Unicode(class))
            if class.ranges().iter().any(|r| r.start() <= ' ' && ' ' <= r.end()) =>
        {
            let mut others = class;
            others.difference(&ClassUnicode::new([regex_syntax::hir::ClassUnicodeRange::new(' ', ' ')]));
            Hir::alternation(vec![Hir::class(Class::Unicode(others)), Hir::empty()])
        }
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Repetition(Repetition { min, max, greedy, sub }) => {
            Hir::repetition(Repetition { min, max, greedy, sub: Box::new(without_spaces(*sub)) })
        }
        HirKind::Capture(capture) => without_spaces(*capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(without_spaces).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.into_iter().map(without_spaces).collect()),
        HirKind::Empty if minimum.is_none() => Hir::fail(),
        HirKind::Empty => Hir::empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, spaceless: bool, text: &str) -> bool {
        let pattern = Pattern::new(pattern, spaceless).unwrap();
        let mut bytes = text.bytes();
        let end = bytes.try_fold(pattern.start().unwrap(), |state, byte| pattern.next(state, byte));
        end.is_some_and(|state| pattern.accepts(state))
    }

    #[test]
    fn whole_texts_match() {
        for (pattern, text, does) in [
            ("正面|负面", "负面", true),
            ("正面|负面", "负面的", false),
            ("a|ab", "ab", true),
            ("a??", "a", true),
            ("^a$", "a", true),
            (r"\d{4}年", "2024年", true),
            (r"[0-9]{4}", "２０２４", false),
            ("", "", true),
            ("", "a", false),
            (".", "今", true),
            (".", "\n", false),
            ("(?i)yes", "YeS", true),
        ] {
            assert_eq!(matches(pattern, false, text), does, "{pattern} {text}");
        }
    }

    #[test]
    fn spaces_stand_for_nothing_where_there_are_none() {
        for (pattern, text, does) in [
            ("a b", "ab", true),
            ("a b", "a b", false),
            (r"a\sb", "ab", true),
            (r"a\sb", "a\tb", true),
            ("[ c]{2}d", "cd", true),
            ("[ c]{2}d", "ccd", true),
            ("[ c]{2}d", "cccd", false),
            ("( a| b)+", "abba", true),
            ("x|[^\\s\\S]", "x", true),
        ] {
            assert_eq!(matches(pattern, true, text), does, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_said_in_a_line() {
        for (pattern, message) in [
            ("正(面", "at character 2 of the pattern: unclosed group"),
            ("a{3", "at character 2 of the pattern: unclosed counted repetition"),
            (r"\p{Hanzi}", "at character 1 of the pattern: Unicode property not found"),
            (r"(a)\1", "at character 4 of the pattern: backreferences are not supported"),
            (r"\w{1,300}\w{1,300}", "the pattern is too large"),
            (r"a\bb", "word boundaries"),
        ] {
            let message_ = Pattern::new(pattern, false).map(|_| ()).unwrap_err().to_string();
            assert!(message_.contains(message) && !message_.contains('\n'), "{pattern}: {message_}");
        }
    }
}
