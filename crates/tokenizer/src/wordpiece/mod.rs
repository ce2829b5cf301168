//! WordPiece, the tokenizer of BERT, and WoBERT's words on top of it: `vocab.txt` to ids and back.
//!
//! `pieces` reads the file and finds the longest piece; `bert` and `words` are the two ways of cutting a text, with
//! `basic` as the first one's obvious version; `decode` makes text again; `unicode` sees characters as Python does.

mod basic;
mod bert;
mod decode;
#[cfg(test)]
mod oracle;
mod pieces;
mod settings;
mod unicode;
mod words;

use crate::added::Added;
use crate::error::Error;
pub(crate) use pieces::MAX_BYTES;
use pieces::Pieces;
pub use settings::PreTokenize;
pub(crate) use settings::Settings;
use std::path::Path;
use t5kit_formats::spiece::PieceKind;
use unicode::{is_chinese, is_punctuation};

/// A WordPiece vocabulary, ready to encode and decode.
pub(crate) struct WordPiece {
    pieces: Pieces,
    cut: Cut,
    /// Whether a Chinese character is a word of its own where no longer piece takes it.
    chinese_apart: bool,
    pub(crate) pre_tokenize: PreTokenize,
    /// The special pieces that are found in a text.
    specials: Vec<String>,
    pub(crate) unk: u32,
    pub(crate) pad: Option<u32>,
    pub(crate) cls: Option<u32>,
    pub(crate) sep: Option<u32>,
    mask: Option<u32>,
}

/// How a text is cut into words.
enum Cut {
    Bert(Box<bert::Bert>),
    Words(words::Words),
}

impl WordPiece {
    /// Reads `vocab.txt`: one piece a line.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is too large, not UTF-8, or lacks the unknown piece. Of the
    /// usual five only `[UNK]` has to be there; the others are then no special pieces.
    pub(crate) fn new(vocab: &[u8], mut settings: Settings, path: &Path) -> Result<Self, Error> {
        if settings.by_vocabulary && pieces::has_words(vocab) {
            settings.pre_tokenize = PreTokenize::Jieba;
        }
        let pieces = Pieces::read(vocab, settings.pre_tokenize, path)?;
        let missing = |name: &str, what: &str| Error::Invalid {
            path: path.into(),
            field: name.into(),
            what: format!("missing; {what}"),
        };
        let unk = pieces
            .id_of(&settings.unk_token)
            .ok_or_else(|| missing(&settings.unk_token, "is this the vocabulary of a BERT model?"))?;
        let role = |name: &mut Option<String>| {
            let id = name.as_deref().and_then(|name| pieces.id_of(name));
            *name = name.take().filter(|_| id.is_some());
            id
        };
        let (pad, cls) = (role(&mut settings.pad_token), role(&mut settings.cls_token));
        let (sep, mask) = (role(&mut settings.sep_token), role(&mut settings.mask_token));
        let pre_tokenize = settings.pre_tokenize;
        let words = pre_tokenize == PreTokenize::Jieba;
        let chinese_apart = words || settings.tokenize_chinese_chars;
        let specials = if words { Vec::new() } else { settings.specials().map(String::from).collect() };
        let cut = match settings.pre_tokenize {
            PreTokenize::None => Cut::Bert(Box::new(bert::Bert::new(settings, &pieces, unk))),
            PreTokenize::Jieba => Cut::Words(words::Words::new(&settings, unk)),
        };
        Ok(Self { pieces, cut, chinese_apart, pre_tokenize, specials, unk, pad, cls, sep, mask })
    }

    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether a piece is one that begins, ends, pads, hides or is unknown, or is special in a text.
    pub(crate) fn is_special(&self, piece: &str) -> bool {
        let roles = [Some(self.unk), self.pad, self.cls, self.sep, self.mask];
        self.specials.iter().any(|name| name == piece)
            || self.id_of(piece).is_some_and(|id| roles.contains(&Some(id)))
    }

    pub(crate) fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.piece(id)
    }

    pub(crate) fn id_of(&self, piece: &str) -> Option<u32> {
        self.pieces.id_of(piece)
    }

    pub(crate) fn kind(&self, id: u32) -> Option<PieceKind> {
        self.piece(id)?;
        let control = [self.pad, self.cls, self.sep, self.mask].contains(&Some(id));
        Some(match () {
            () if id == self.unk => PieceKind::Unknown,
            () if control => PieceKind::Control,
            () => PieceKind::Normal,
        })
    }

    /// The pieces of single characters by which a text is told where piece `id` is none: `un##able` by `u`, `##n`, …;
    /// `None` at a character that has no such piece.
    pub(crate) fn characters(&self, id: u32) -> Vec<Option<u32>> {
        let piece = self.piece(id).unwrap_or_default();
        let (mut inside, text) = match piece.strip_prefix("##") {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, piece),
        };
        let one = |c: char| {
            let alone = is_punctuation(c) || self.chinese_apart && is_chinese(c);
            let own = if inside && !alone {
                self.pieces.id_of(&format!("##{c}"))
            } else {
                self.pieces.id_of_char(c)
            };
            // What follows a word of its own begins another.
            inside = !alone;
            own
        };
        text.chars().map(one).collect()
    }

    /// Appends the ids of a text; bytes that are no UTF-8 count as U+FFFD.
    pub(crate) fn encode_into(&self, text: &[u8], ids: &mut Vec<u32>) {
        let text = String::from_utf8_lossy(text);
        match &self.cut {
            Cut::Bert(bert) => bert.encode(&text, &self.pieces, ids),
            Cut::Words(words) => words.encode(&text, &self.pieces, ids),
        }
    }

    /// The text of ids as bert4keras gives it: unknown, special and all other pieces in brackets vanish.
    /// Added tokens are words.
    pub(crate) fn decode(&self, ids: &[u32], added: &Added) -> String {
        let normal = |id: u32| self.piece(id).filter(|_| self.kind(id) == Some(PieceKind::Normal));
        decode::decode(ids.iter().filter_map(|&id| added.text(id).or_else(|| normal(id))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(settings: Settings, text: &str) -> String {
        let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n今\n天\n##天\nun\n##aff\n##able\nThe\nthe\ne\n.\n##é\n今天\nmask\n";
        let model = WordPiece::new(vocab.as_bytes(), settings, Path::new("vocab.txt")).unwrap();
        let mut ids = Vec::new();
        model.encode_into(text.as_bytes(), &mut ids);
        ids.iter().map(|id| model.piece(*id).unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn as_bert_does() {
        let cased = Settings { do_lower_case: false, ..Default::default() };
        for (settings, text, expected) in [
            (Settings::default(), "今天 Unaffable.THE", "今 天 un ##aff ##able . the"),
            (Settings::default(), "unaffablex é", "[UNK] e"),
            (Settings::default(), "a[MASK]今[mask]", "[UNK] [MASK] 今 [UNK] mask [UNK]"),
            (Settings::default(), "\u{200b}th\u{0}e\u{a0}the\u{fffd}\u{2028}the", "the the the"),
            (Settings::default(), "", ""),
            (cased.clone(), "The the É", "The the [UNK]"),
            (cased.clone(), "[MA\u{200b}SK]", "[MASK]"),
            (Settings { tokenize_chinese_chars: false, ..cased }, "今天天", "今天 ##天"),
            (Settings { strip_accents: Some(false), ..Default::default() }, "e\u{301} eé", "[UNK] e ##é"),
        ] {
            assert_eq!(tokens(settings.clone(), text), expected, "{text:?} {settings:?}");
        }
        assert_eq!(tokens(Settings::default(), &"e".repeat(101)), "[UNK]");
    }

    #[test]
    fn characters_stand_in() {
        let vocab = "[UNK]\nu\n##n\n##a\nab\n今\n天\n今天\n##na\nuna\nua今n\nn\n";
        let model = WordPiece::new(vocab.as_bytes(), Settings::default(), Path::new("vocab.txt")).unwrap();
        let of = |piece: &str| model.characters(model.id_of(piece).unwrap());
        let ids = |pieces: &str| pieces.split(' ').map(|p| model.id_of(p)).collect::<Vec<_>>();
        assert_eq!(of("una"), ids("u ##n ##a"));
        assert_eq!(of("##na"), ids("##n ##a"));
        assert_eq!(of("今天"), ids("今 天"));
        assert_eq!(of("ua今n"), ids("u ##a 今 n"));
        assert_eq!(of("ab"), [None, None]);
    }

    #[test]
    fn as_wobert_does() {
        let words = Settings { pre_tokenize: PreTokenize::Jieba, ..Default::default() };
        assert_eq!(tokens(words.clone(), "今天天 Unaffable"), "今天 天 un ##aff ##able");
        assert_eq!(tokens(words.clone(), "[MASK]\u{200b}\r\n今天天气"), "[UNK] mask [UNK] 今 天 天 [UNK]");
        assert_eq!(tokens(words, &"e".repeat(201)), "[UNK]");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |vocab: &[u8], settings: Settings| {
            WordPiece::new(vocab, settings, Path::new("vocab.txt")).err().unwrap().to_string()
        };
        assert!(error(b"a\nb\n", Settings::default()).contains("vocab.txt: [UNK]: missing"));
        assert!(error(b"", Settings::default()).contains("[UNK]: missing"));
        assert!(error(b"[UNK]\na\xff\n", Settings::default()).contains("vocab.txt: line 2: not UTF-8"));
        assert!(error(b"\xff", Settings::default()).contains("line 1: not UTF-8"));
        assert!(error(&vec![b'\n'; 33 << 20], Settings::default()).contains("size: 34603008 bytes"));
    }
}
