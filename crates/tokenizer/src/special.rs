//! The ids with a meaning of their own, and what a text is wrapped in.

use crate::{AddedToken, Model, PieceKind, Tokenizer, Wrap, is_sentinel};

/// The special ids of a tokenizer, as far as its files say them.
pub(crate) struct Special {
    pub(crate) pad: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) unk: Option<u32>,
    pub(crate) bos: Option<u32>,
    /// What decoding begins with.
    pub(crate) start: Option<u32>,
    /// What a source is wrapped in.
    pub(crate) wrap: Wrap,
}

impl Special {
    /// Whether an id pads, ends, begins, or stands for what is unknown.
    pub(crate) fn is(&self, id: u32) -> bool {
        [self.pad, self.eos, self.unk, self.bos].contains(&Some(id))
    }
}

impl Tokenizer {
    /// The id that pads batches (`<pad>`, `[PAD]`): 0 where the files name none, as in T5.
    pub fn pad_id(&self) -> u32 {
        self.special.pad.unwrap_or(0)
    }

    /// The id that ends a text: 1 where the files name none, as in T5.
    pub fn eos_id(&self) -> u32 {
        self.eos().unwrap_or(1)
    }

    /// The id that ends a text (`</s>`, `[SEP]`), where there is one.
    pub fn eos(&self) -> Option<u32> {
        self.special.eos
    }

    /// The id for unknown text: 2 where the files name none, as in T5.
    pub fn unk_id(&self) -> u32 {
        self.special.unk.unwrap_or(2)
    }

    /// The id that begins a text (`<s>`, `[CLS]`), where there is one (T5 and mT5 have none).
    pub fn bos_id(&self) -> Option<u32> {
        self.special.bos
    }

    /// The id with which a decoder begins where the model's configuration does not say: `[CLS]` of BERT's relatives, the
    /// padding of all others.
    pub fn start_id(&self) -> u32 {
        self.special.start.unwrap_or_else(|| self.pad_id())
    }

    /// What a source is wrapped in: `</s>` behind it in T5, `[CLS]` and `[SEP]` around it in BERT's relatives, what the
    /// post-processor of a `tokenizer.json` says.
    pub fn source_wrap(&self) -> &Wrap {
        &self.special.wrap
    }

    /// What a target is wrapped in, for a decoder that begins with `start`: as a source, but `start` is not said twice
    /// and the end always is.
    pub fn target_wrap(&self, start: u32) -> Wrap {
        let Wrap { mut before, mut after } = self.special.wrap.clone();
        if before.first() == Some(&start) {
            before.remove(0);
        }
        if after.is_empty() {
            after.push(self.eos_id());
        }
        Wrap { before, after }
    }

    /// Appends the ids of a text in its wrapping, at most `most` of them: the text is cut, never what is around it.
    /// Returns how many there would have been without a limit.
    pub fn encode_wrapped(&self, text: &[u8], wrap: &Wrap, most: usize, ids: &mut Vec<u32>) -> usize {
        ids.extend_from_slice(&wrap.before);
        let start = ids.len();
        self.encode_into(text, ids);
        let around = wrap.before.len() + wrap.after.len();
        let length = ids.len() - start + around;
        ids.truncate(start + most.saturating_sub(around).min(ids.len() - start));
        ids.extend_from_slice(&wrap.after);
        length
    }

    /// The lengths that a source and a target of so many tokens are cut to so that together they have at most `most`: of
    /// the longer one, and of the source where both are as long, a token at a time (bert4keras's `truncate_sequences`).
    pub fn lengths_within(source: usize, target: usize, most: usize) -> [usize; 2] {
        let even = most / 2;
        match () {
            () if source.saturating_add(target) <= most => [source, target],
            () if source.min(target) > even => [even, most - even],
            () if source > target => [most - target, target],
            () => [source, most - source],
        }
    }

    /// Whether an id is not part of what a text says: it pads, ends, begins, stands for what is unknown, or is added and
    /// special. Sentinels are not.
    pub fn is_special(&self, id: u32) -> bool {
        let kind = matches!(self.piece_kind(id), Some(PieceKind::Control | PieceKind::Unknown));
        kind || self.added.get(id).is_some_and(|token| token.special && !is_sentinel(&token.content))
    }

    /// The added tokens: those that are no pieces of the model, ascending by id.
    pub fn added_tokens(&self) -> &[AddedToken] {
        match &self.model {
            Model::Library(model) => model.added(),
            _ => self.added.tokens(),
        }
    }

    /// Whether an id is an added token's.
    pub fn is_added(&self, id: u32) -> bool {
        self.added_tokens().binary_search_by_key(&id, |token| token.id).is_ok()
    }

    /// Ids below [`Tokenizer::vocab_size`] that are nothing: there is no piece, and a model must not produce them.
    pub fn holes(&self) -> impl Iterator<Item = u32> {
        (0..self.vocab_size() as u32).filter(|&id| self.piece(id).is_none())
    }

    /// Whether an id is a sentinel, `<extra_id_N>` with or without a leading `▁`.
    pub fn is_sentinel(&self, id: u32) -> bool {
        self.piece(id).is_some_and(is_sentinel)
    }

    /// The ids of all sentinels, ascending.
    pub fn sentinels(&self) -> &[u32] {
        self.sentinels
            .get_or_init(|| (0..self.vocab_size() as u32).filter(|&id| self.is_sentinel(id)).collect())
    }

    /// The id of `<extra_id_n>`.
    pub fn sentinel(&self, n: u32) -> Option<u32> {
        self.id_of(&format!("\u{2581}<extra_id_{n}>")).or_else(|| self.id_of(&format!("<extra_id_{n}>")))
    }

    /// Whether a text names a sentinel that is none among its `ids`: mT5 knows them only after a space.
    pub fn misses_sentinel(&self, text: &[u8], ids: &[u32]) -> bool {
        const NAME: &str = "<extra_id_";
        let named = memchr::memmem::find_iter(text, NAME).filter(|&at| {
            let rest = &text[at..text.len().min(at + NAME.len() + 8)];
            let name =
                rest.iter().position(|&b| b == b'>').and_then(|end| std::str::from_utf8(&rest[..=end]).ok());
            name.is_some_and(is_sentinel)
        });
        let named = named.count();
        named > 0 && ids.iter().filter(|&&id| self.is_sentinel(id)).count() < named
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longer_one_is_cut(source in 0usize..40, target in 0usize..40, most in 0usize..90) {
            // `truncate_sequences`, whose argmax takes the first of equals.
            let (mut a, mut b) = (source, target);
            while a + b > most {
                if a >= b { a -= 1 } else { b -= 1 }
            }
            prop_assert_eq!(Tokenizer::lengths_within(source, target, most), [a, b]);
        }
    }
}
