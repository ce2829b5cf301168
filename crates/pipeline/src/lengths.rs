//! Text to ids within a limit: what is too long is cut and counted, or refused.

use t5kit_tokenizer::Tokenizer;

use crate::{Error, Pipeline};

/// What happens to a text that is too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLong {
    /// It is cut; [`Encoder::cut`] counts.
    #[default]
    Cut,
    /// Nothing more is done: [`Error::TooLong`].
    Fail,
}

/// Encodes the texts of one kind, and counts those it cut.
pub struct Encoder<'p> {
    pipeline: &'p Pipeline,
    /// "source" or "target".
    what: &'static str,
    most: usize,
    on_long: OnLong,
    seen: usize,
    cut: usize,
    missed: usize,
}

impl<'p> Encoder<'p> {
    /// For texts of at most `most` tokens with the end. `what` they are, "source" or "target", is for messages.
    pub fn new(pipeline: &'p Pipeline, what: &'static str, most: usize, on_long: OnLong) -> Self {
        Encoder { pipeline, what, most, on_long, seen: 0, cut: 0, missed: 0 }
    }

    /// The ids of the next text with the end.
    ///
    /// # Errors
    /// [`Error::TooLong`] where it is and long ones are refused.
    pub fn encode(&mut self, text: &str) -> Result<Vec<u32>, Error> {
        self.seen += 1;
        let (ids, was_cut) = self.ids(text, self.most);
        if was_cut && self.on_long == OnLong::Fail {
            let (all, _) = self.ids(text, usize::MAX);
            let (what, number, most) = (self.what, self.seen, self.most);
            return Err(Error::TooLong { what, number, tokens: all.len(), most });
        }
        self.cut += usize::from(was_cut);
        self.missed +=
            usize::from(!was_cut && self.pipeline.tokenizer.misses_sentinel(text.as_bytes(), &ids));
        Ok(ids)
    }

    fn ids(&self, text: &str, most: usize) -> (Vec<u32>, bool) {
        match self.what {
            "target" => self.pipeline.encode_target(text, most),
            _ => self.pipeline.encode(text, most),
        }
    }

    /// How many texts name a sentinel (`<extra_id_0>`) that has not become one.
    pub fn missed_sentinels(&self) -> usize {
        self.missed
    }

    /// What encodes them.
    pub fn tokenizer(&self) -> &'p Tokenizer {
        &self.pipeline.tokenizer
    }

    /// "source" or "target".
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Tokens that a text may have.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many texts there were.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// How many were cut.
    pub fn cut(&self) -> usize {
        self.cut
    }
}
