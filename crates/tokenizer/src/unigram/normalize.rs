//! SentencePiece's normaliser, step by step as the library describes it: the oracle of the fast path, and
//! what rewrites decoded text where a model has a denormaliser.

use super::charsmap::CharsMap;
use crate::protected::Protected;
use t5kit_formats::spiece::NormalizerSpec;

/// What stands for a space inside pieces.
pub(crate) const SPACE_SYMBOL: &str = "\u{2581}";

/// How to normalise.
pub(crate) struct Normalizer {
    pub(crate) charsmap: Option<CharsMap>,
    pub(crate) add_dummy_prefix: bool,
    pub(crate) remove_extra_whitespaces: bool,
    pub(crate) escape_whitespaces: bool,
    pub(crate) treat_whitespace_as_suffix: bool,
    /// User-defined pieces: they are taken from the text as they are.
    pub(crate) protected: Protected,
}

impl Normalizer {
    /// # Errors
    /// What is wrong with the character map.
    pub(crate) fn new(spec: &NormalizerSpec) -> Result<Self, &'static str> {
        let blob = &spec.precompiled_charsmap;
        Ok(Self {
            charsmap: if blob.is_empty() { None } else { Some(CharsMap::parse(blob)?) },
            add_dummy_prefix: spec.add_dummy_prefix,
            remove_extra_whitespaces: spec.remove_extra_whitespaces,
            escape_whitespaces: spec.escape_whitespaces,
            treat_whitespace_as_suffix: false,
            protected: Protected::default(),
        })
    }

    /// What a space becomes.
    pub(crate) fn space(&self) -> &'static str {
        if self.escape_whitespaces { SPACE_SYMBOL } else { " " }
    }

    /// The replacement of the beginning of `input` (not empty) and how many bytes it replaces (at least 1).
    pub(crate) fn prefix<'a>(&'a self, input: &'a [u8]) -> (&'a str, usize) {
        if let Some(piece) = self.protected.longest_prefix(input) {
            return (piece, piece.len());
        }
        if let Some((length, text)) = self.charsmap.as_ref().and_then(|map| map.longest_prefix(input)) {
            return (text, length);
        }
        match first_char(input) {
            Some(text) => (text, text.len()),
            None => ("\u{fffd}", 1),
        }
    }

    /// Whether a text begins with a space, once its characters are replaced.
    pub(crate) fn begins_with_space(&self, input: &[u8]) -> bool {
        !input.is_empty() && self.prefix(input).0.starts_with(' ')
    }

    /// A text with its characters replaced and nothing else done to it.
    pub(crate) fn map(&self, mut input: &[u8]) -> String {
        let mut out = String::with_capacity(input.len());
        while !input.is_empty() {
            let (text, length) = self.prefix(input);
            out.push_str(text);
            input = &input[length..];
        }
        out
    }

    /// Normalises a text; a byte that begins no valid UTF-8 sequence becomes U+FFFD. Without `prefix` the text gets no
    /// space that it does not have, whatever the model says.
    pub(crate) fn normalize(&self, mut input: &[u8], prefix: bool) -> String {
        let dummy_prefix = self.add_dummy_prefix && prefix;
        let mut out = String::with_capacity(input.len() + 3);
        if self.remove_extra_whitespaces {
            while !input.is_empty() {
                let (text, length) = self.prefix(input);
                if text != " " {
                    break;
                }
                input = &input[length..];
            }
        }
        if input.is_empty() {
            return out;
        }
        let space = self.space();
        if !self.treat_whitespace_as_suffix && dummy_prefix {
            out.push_str(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while !input.is_empty() {
            let (mut text, length) = self.prefix(input);
            if after_space {
                text = text.trim_start_matches(' ');
            }
            if !text.is_empty() {
                for c in text.chars() {
                    if c == ' ' {
                        out.push_str(space);
                    } else {
                        out.push(c);
                    }
                }
                after_space = text.ends_with(' ');
            }
            input = &input[length..];
            after_space &= self.remove_extra_whitespaces;
        }
        if self.remove_extra_whitespaces {
            out.truncate(out.trim_end_matches(space).len());
        }
        if self.treat_whitespace_as_suffix && dummy_prefix {
            out.push_str(space);
        }
        out
    }
}

/// The first character of `input`, if it begins with valid UTF-8.
pub(crate) fn first_char(input: &[u8]) -> Option<&str> {
    let head = &input[..input.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).expect("checked by from_utf8"),
    };
    let c = valid.chars().next()?;
    Some(&valid[..c.len_utf8()])
}
