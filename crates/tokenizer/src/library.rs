//! Tokenizers that are none of ours, run by Hugging Face's `tokenizers`: BPE (CodeT5, Pile-T5, T5Gemma), WordPiece and
//! Unigram models with steps that SentencePiece does not have.
//!
//! Ids, pieces and text are the library's own. Special tokens are found in a text, as there.

use crate::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use t5kit_formats::added_tokens::{AddedToken, SpecialTokens};
use t5kit_formats::spiece::{PieceKind, is_sentinel};
use tokenizers::Tokenizer;

/// Ids beyond this belong to no vocabulary.
const MAX_IDS: usize = 1 << 26;

/// Characters that hardly any vocabulary has: a model that cannot encode them says so here, not in the middle of work.
const PROBE: &str = "a \u{1}\u{e000}\u{10ffff} 中";

/// A tokenizer of the library.
pub(crate) struct Library {
    tokenizer: Tokenizer,
    /// The piece of each id.
    names: Vec<Option<String>>,
    /// The added tokens, ascending by id.
    added: Vec<AddedToken>,
    pub(crate) pad: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) unk: Option<u32>,
    pub(crate) bos: Option<u32>,
    pub(crate) cls: Option<u32>,
}

impl Library {
    /// From the bytes of a `tokenizer.json`; `special` is what the files beside it say.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the library refuses the file, gives an added token another id than the file says, or
    /// cannot encode every text.
    pub(crate) fn new(bytes: &[u8], special: &SpecialTokens, path: &Path) -> Result<Self, Error> {
        let invalid = |field: &str, what: String| Error::Invalid {
            path: path.into(),
            field: field.into(),
            what: one_line(&what),
        };
        let read = catch_unwind(|| Tokenizer::from_bytes(bytes));
        let mut tokenizer = match read {
            Ok(Ok(tokenizer)) => tokenizer,
            Ok(Err(error)) => return Err(invalid("tokenizers", error.to_string())),
            Err(_) => return Err(invalid("tokenizers", "the library gave up on this file".into())),
        };
        // What a file says of batches is not about tokens; transformers ignores it too.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| invalid("truncation", e.to_string()))?;
        let known = |tokenizer: &Tokenizer, token: &AddedToken| tokenizer.token_to_id(&token.content);
        for token in special.tokens.iter().chain(&special.named) {
            if known(&tokenizer, token).is_none() {
                let made = tokenizers::AddedToken::from(token.content.clone(), token.special)
                    .single_word(token.single_word)
                    .lstrip(token.lstrip)
                    .rstrip(token.rstrip)
                    .normalized(token.normalized);
                let _ = if token.special {
                    tokenizer.add_special_tokens(&[made])
                } else {
                    tokenizer.add_tokens(&[made])
                };
            }
        }
        for token in &special.tokens {
            if known(&tokenizer, token).is_some_and(|id| id != token.id) {
                let id = known(&tokenizer, token).unwrap_or_default();
                let what = format!("{:?} has id {} here and {id} in the vocabulary", token.content, token.id);
                return Err(invalid("added_tokens", what));
            }
        }
        let vocab = tokenizer.get_vocab(true);
        let ids = vocab.values().max().map_or(0, |&id| id as usize + 1);
        if ids > MAX_IDS {
            return Err(invalid("model.vocab", format!("id {} is beyond any vocabulary", ids - 1)));
        }
        let mut names = vec![None; ids];
        for (name, id) in vocab {
            names[id as usize] = Some(name);
        }
        let mut added: Vec<AddedToken> =
            tokenizer.get_added_tokens_decoder().into_iter().map(|(id, token)| ours(id, token)).collect();
        added.sort_by_key(|token| token.id);
        for token in &added {
            if let Some(name) = names.get_mut(token.id as usize) {
                *name = Some(token.content.clone());
            }
        }
        let role = |field: &str, usual: &[&str]| {
            let named = special.role(field).into_iter().chain(usual.iter().copied());
            named.into_iter().find_map(|name| tokenizer.token_to_id(name))
        };
        let (pad, unk) = (role("pad_token", &["<pad>", "[PAD]"]), role("unk_token", &["<unk>", "[UNK]"]));
        let eos = role("eos_token", &["</s>", "<eos>"]).or_else(|| role("sep_token", &["[SEP]"]));
        let (bos, cls) = (role("bos_token", &["<s>", "<bos>"]), role("cls_token", &["[CLS]"]));
        let library = Self { tokenizer, names, added, pad, eos, unk, bos, cls };
        library.encoding(PROBE).map_err(|what| {
            invalid("model", format!("not every text can be encoded: {what}; name an unk_token"))
        })?;
        Ok(library)
    }

    /// The number of ids, holes among them included.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.names.get(id as usize)?.as_deref()
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        let name = self.piece(id)?;
        let byte = name.len() == 6 && name.starts_with("<0x") && name.ends_with('>');
        Some(match () {
            () if self.unk == Some(id) => PieceKind::Unknown,
            () if [self.pad, self.eos, self.bos, self.cls].contains(&Some(id)) => PieceKind::Control,
            () if byte => PieceKind::Byte,
            () if is_sentinel(name) || self.token(id).is_some() => PieceKind::UserDefined,
            () => PieceKind::Normal,
        })
    }

    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        self.tokenizer.token_to_id(piece)
    }

    /// The added tokens, ascending by id.
    pub(crate) fn added(&self) -> &[AddedToken] {
        &self.added
    }

    fn token(&self, id: u32) -> Option<&AddedToken> {
        let at = self.added.binary_search_by_key(&id, |token| token.id).ok()?;
        Some(&self.added[at])
    }

    /// The library's encoding of a text, or why there is none.
    fn encoding(&self, text: &str) -> Result<tokenizers::Encoding, String> {
        match catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode_fast(text, false))) {
            Ok(result) => result.map_err(|error| one_line(&error.to_string())),
            Err(_) => Err("the library gave up on it".into()),
        }
    }

    /// Appends the ids of a text; bytes that are no UTF-8 count as U+FFFD. A text that the library cannot encode, which
    /// the check when loading makes all but impossible, is one unknown token.
    pub(crate) fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        match self.encoding(&String::from_utf8_lossy(text)) {
            Ok(encoding) => ids.extend_from_slice(encoding.get_ids()),
            Err(_) => ids.extend(self.unk),
        }
    }

    /// The text of ids; the unknown token and those that begin, end and pad vanish.
    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let said = |id: &u32| !matches!(self.kind(*id), None | Some(PieceKind::Unknown | PieceKind::Control));
        let ids: Vec<u32> = ids.iter().copied().filter(said).collect();
        let decoded = catch_unwind(AssertUnwindSafe(|| self.tokenizer.decode(&ids, false)));
        decoded.ok().and_then(Result::ok).unwrap_or_default()
    }
}

/// An added token as our files have it.
fn ours(id: u32, token: tokenizers::AddedToken) -> AddedToken {
    AddedToken {
        id,
        content: token.content,
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
