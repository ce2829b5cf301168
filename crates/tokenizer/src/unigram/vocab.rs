//! The pieces of a SentencePiece Unigram model, checked.

use crate::error::Error;
use std::collections::HashMap;
use std::path::Path;
use t5kit_formats::spiece::{ModelType, PieceKind, SpieceModel};

/// The library refuses longer pieces.
const MAX_PIECE_BYTES: usize = 8000;

/// What the pieces are and which of them are special.
pub(crate) struct Vocab {
    /// All pieces, one after the other.
    text: String,
    /// Where each piece ends in `text`.
    ends: Vec<u32>,
    /// What each piece adds to a path's score.
    scores: Vec<f32>,
    kinds: Vec<PieceKind>,
    /// Ids of control, unknown and byte pieces. One of the others may have the same name; these are meant by it.
    reserved: HashMap<String, u32>,
    /// Ids of unused pieces.
    unused: HashMap<String, u32>,
    /// What further spellings of pieces mean. They stand behind the pieces: the first has the id `len()`.
    aliases: Vec<u32>,
    /// Ids of `<0x00>` … `<0xFF>`, where the model falls back to bytes.
    pub(crate) bytes: Option<Box<[u32; 256]>>,
    /// The unknown piece, if there is one.
    pub(crate) unknown: Option<u32>,
    /// What a character without a piece adds to a path's score.
    pub(crate) unknown_score: f32,
    /// The special pieces by their name in the trainer's settings, if they have the right kind.
    pub(crate) unk: Option<u32>,
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
    pub(crate) pad: Option<u32>,
}

impl Vocab {
    /// Checks the pieces as the library does. `aliases` are further spellings, none of them a piece, each with the id of
    /// the piece that it means; they win over other pieces as user-defined ones do.
    ///
    /// # Errors
    /// [`Error::Invalid`], naming the field.
    pub(crate) fn new(model: &SpieceModel, aliases: &[(String, u32)], path: &Path) -> Result<Self, Error> {
        let invalid =
            |field: String, what: &str| Error::Invalid { path: path.into(), field, what: what.into() };
        let spec = &model.trainer_spec;
        if spec.model_type != ModelType::Unigram {
            let what = format!(
                "this is a {:?} model; only Unigram models (the T5 and mT5 families) can be read",
                spec.model_type
            );
            return Err(invalid("trainer_spec.model_type".into(), &what));
        }
        let mut vocab = Self {
            text: String::with_capacity(model.pieces.iter().map(|p| p.text.len()).sum()),
            ends: Vec::with_capacity(model.pieces.len()),
            scores: Vec::with_capacity(model.pieces.len()),
            kinds: Vec::with_capacity(model.pieces.len()),
            reserved: HashMap::new(),
            unused: HashMap::new(),
            aliases: Vec::new(),
            bytes: None,
            unknown: None,
            unknown_score: 0.0,
            unk: None,
            bos: None,
            eos: None,
            pad: None,
        };
        let mut min_score = f32::MAX;
        let mut usable = 0;
        let mut bytes = Box::new([u32::MAX; 256]);
        for (i, piece) in model.pieces.iter().enumerate() {
            let error = |field: &str, what: &str| invalid(format!("pieces[{i}]{field}"), what);
            let id = u32::try_from(i).map_err(|_| error("", "more than 4 billion pieces"))?;
            let mut kind = piece.kind;
            if spec.byte_fallback && piece.text == "\0" {
                // Some converters add a raw zero byte beside <0x00>; the library ignores it too.
                kind = PieceKind::Unused;
            }
            if piece.text.is_empty() {
                return Err(error(".piece", "empty"));
            }
            if piece.text.len() >= MAX_PIECE_BYTES {
                return Err(error(".piece", "longer than 8000 bytes"));
            }
            if !piece.score.is_finite() {
                return Err(error(".score", "not a finite number"));
            }
            if piece.text.contains('\0') && (kind, piece.text.as_str()) != (PieceKind::Unused, "\0") {
                return Err(error(".piece", "holds a zero byte"));
            }
            vocab.text.push_str(&piece.text);
            vocab.ends.push(u32::try_from(vocab.text.len()).map_err(|_| error("", "over 4 GiB of text"))?);
            vocab.kinds.push(kind);
            vocab.scores.push(match kind {
                PieceKind::UserDefined => user_defined_score(&piece.text),
                _ => piece.score,
            });
            let map = match kind {
                PieceKind::Normal | PieceKind::UserDefined => {
                    usable += 1;
                    None
                }
                PieceKind::Unused => Some(&mut vocab.unused),
                PieceKind::Unknown | PieceKind::Control | PieceKind::Byte => Some(&mut vocab.reserved),
            };
            let first = map.filter(|_| piece.text != "\0").and_then(|map| map.insert(piece.text.clone(), id));
            if let Some(first) = first {
                return Err(error(".piece", &duplicate(&piece.text, first)));
            }
            match kind {
                PieceKind::Normal => min_score = min_score.min(piece.score),
                PieceKind::Unknown => {
                    if let Some(first) = vocab.unknown.replace(id) {
                        return Err(error(
                            ".type",
                            &format!("unknown, but piece {first} is the unknown one"),
                        ));
                    }
                }
                PieceKind::Byte => match byte_of(&piece.text) {
                    _ if !spec.byte_fallback => {
                        return Err(error(".type", "a byte, but trainer_spec.byte_fallback is off"));
                    }
                    Some(byte) => bytes[usize::from(byte)] = id,
                    None => return Err(error(".piece", "a byte's name goes from <0x00> to <0xFF>")),
                },
                _ => {}
            }
        }
        if usable + vocab.unused.len() == 0 {
            return Err(invalid("pieces".into(), "no piece to cut a text into"));
        }
        if spec.byte_fallback {
            if let Some(byte) = bytes.iter().position(|&id| id == u32::MAX) {
                let what = format!("<0x{byte:02X}> is missing although trainer_spec.byte_fallback is on");
                return Err(invalid("pieces".into(), &what));
            }
            vocab.bytes = Some(bytes);
        } else if vocab.unknown.is_none() {
            return Err(invalid("pieces".into(), "there is no unknown piece and no byte fallback"));
        }
        vocab.unknown_score = min_score - 10.0;
        for (text, id) in aliases {
            vocab.text.push_str(text);
            vocab.ends.push(vocab.text.len() as u32);
            vocab.kinds.push(PieceKind::UserDefined);
            vocab.scores.push(user_defined_score(text));
            vocab.aliases.push(*id);
        }
        let named = |name: &str, default: &str, kind: PieceKind| {
            let id = *vocab.reserved.get(if name.is_empty() { default } else { name })?;
            (vocab.kinds[id as usize] == kind).then_some(id)
        };
        let unk = named(&spec.unk_piece, "<unk>", PieceKind::Unknown);
        let bos = named(&spec.bos_piece, "<s>", PieceKind::Control);
        let eos = named(&spec.eos_piece, "</s>", PieceKind::Control);
        let pad = named(&spec.pad_piece, "<pad>", PieceKind::Control);
        Ok(Self { unk, bos, eos, pad, ..vocab })
    }

    /// The number of pieces.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() - self.aliases.len()
    }

    /// The number of pieces and aliases.
    pub(crate) fn spellings(&self) -> usize {
        self.ends.len()
    }

    /// The id of a piece or of the piece that an alias means.
    pub(crate) fn resolve(&self, id: u32) -> u32 {
        (id as usize).checked_sub(self.len()).map_or(id, |alias| self.aliases[alias])
    }

    /// Puts the ids that are meant in the place of those of aliases.
    pub(crate) fn resolve_all(&self, ids: &mut [u32]) {
        if !self.aliases.is_empty() {
            ids.iter_mut().for_each(|id| *id = self.resolve(*id));
        }
    }

    /// The text of a piece or an alias.
    fn spelling(&self, id: u32) -> Option<&str> {
        let end = *self.ends.get(id as usize)?;
        let start = if id == 0 { 0 } else { self.ends[id as usize - 1] };
        Some(&self.text[start as usize..end as usize])
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.spelling(id).filter(|_| (id as usize) < self.len())
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        self.kinds.get(id as usize).copied().filter(|_| (id as usize) < self.len())
    }

    /// The id of a piece that no text is cut into. Those come before the others where names meet, but for the
    /// unused ones, which come after.
    pub(crate) fn reserved_id(&self, piece: &str) -> Option<u32> {
        self.reserved.get(piece).copied()
    }

    /// The id of an unused piece.
    pub(crate) fn unused_id(&self, piece: &str) -> Option<u32> {
        self.unused.get(piece).copied()
    }

    /// The pieces and aliases that a text is cut into, with what they add to a path's score.
    pub(crate) fn usable(&self) -> impl Iterator<Item = (u32, &str, f32)> {
        (0..self.spellings() as u32).filter_map(|id| {
            let usable = matches!(self.kinds[id as usize], PieceKind::Normal | PieceKind::UserDefined);
            usable.then_some((id, self.spelling(id)?, self.scores[id as usize]))
        })
    }

    /// The error for two pieces with the same text.
    pub(crate) fn duplicate(&self, path: &Path, first: u32, second: u32) -> Error {
        let what = duplicate(self.spelling(second).unwrap_or_default(), first);
        Error::Invalid { path: path.into(), field: format!("pieces[{second}].piece"), what }
    }

    /// The user-defined pieces, and the aliases.
    pub(crate) fn user_defined(&self) -> impl Iterator<Item = &str> {
        let user_defined = |id: &u32| self.kinds[*id as usize] == PieceKind::UserDefined;
        (0..self.spellings() as u32).filter(user_defined).filter_map(|id| self.spelling(id))
    }

    /// The byte that a piece of kind [`PieceKind::Byte`] stands for.
    pub(crate) fn byte(&self, id: u32) -> Option<u8> {
        byte_of(self.piece(id)?)
    }
}

/// The score with which a user-defined piece wins over the same text in other pieces; the library's formula.
fn user_defined_score(text: &str) -> f32 {
    (0.1 * (text.len() - 1) as f64) as f32
}

fn duplicate(piece: &str, first: u32) -> String {
    format!("{piece:?} is piece {first} already; a piece may be there only once")
}

/// The byte named by `<0x00>` … `<0xFF>` (upper case, as the library writes them).
fn byte_of(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let valid = digits.len() == 2 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    if valid { u8::from_str_radix(digits, 16).ok() } else { None }
}
