//! SentencePiece model files (`spiece.model`): reading, subsetting and writing back.
//!
//! The file is the protocol buffer message `ModelProto` of `sentencepiece_model.proto`. The reader decodes
//! what a tokenizer needs and keeps everything else byte for byte, so that a trimmed model still says how it
//! was trained. It checks the file's structure only; whether the pieces make a usable vocabulary (one
//! unknown piece, no duplicates, 256 bytes …) is the tokenizer's business.

use crate::wire::{Fields, Value, WireError, put_bytes, put_float, put_uint};
use std::path::{Path, PathBuf};

/// Why a SentencePiece model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SpieceError {
    /// The bytes are no `ModelProto`.
    #[error(
        "{}: not a SentencePiece model, or a damaged one: {field} at byte {offset}: {what}; copy the file again",
        path.display()
    )]
    Corrupt {
        /// The model file.
        path: PathBuf,
        /// The field of `ModelProto` that is being read, such as `pieces[17]`.
        field: String,
        /// Bytes from the beginning of the file.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// What a piece is for (`ModelProto.SentencePiece.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum PieceKind {
    /// An ordinary piece.
    #[default]
    Normal = 1,
    /// Stands for text that no piece covers.
    Unknown = 2,
    /// `<pad>`, `</s>` …: never produced from text, invisible in decoded text.
    Control = 3,
    /// Always one token wherever it stands in a text, such as `▁<extra_id_0>`.
    UserDefined = 4,
    /// Never produced.
    Unused = 5,
    /// `<0x00>` … `<0xFF>`: one byte of a character that no piece covers.
    Byte = 6,
}

impl PieceKind {
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

/// How the model was trained (`TrainerSpec.ModelType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModelType {
    /// Unigram language model: the family of T5 and mT5.
    #[default]
    Unigram = 1,
    /// Byte pair encoding.
    Bpe = 2,
    /// Words between spaces.
    Word = 3,
    /// Characters.
    Char = 4,
}

/// One entry of the vocabulary; its id is its place in [`SpieceModel::pieces`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Piece {
    /// The piece, with `▁` (U+2581) for a space.
    pub text: String,
    /// Its log-probability (natural logarithm).
    pub score: f32,
    /// What it is for.
    pub kind: PieceKind,
    /// Fields that this reader does not know, as they stood in the file.
    pub unknown_fields: Vec<u8>,
}

/// The fields of `TrainerSpec` that matter after training; the rest stays in the raw message.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerSpec {
    /// The kind of model.
    pub model_type: ModelType,
    /// The size that training aimed at. Published models do not always have as many pieces: mT5's says
    /// 250,000 and has 250,100, and so does its published Chinese cut of 32,596.
    pub vocab_size: i64,
    /// Spaces belong to the end of a word, not to its beginning.
    pub treat_whitespace_as_suffix: bool,
    /// Characters without a piece become byte pieces.
    pub byte_fallback: bool,
    /// What decoding writes for the unknown piece.
    pub unk_surface: String,
    /// The unknown piece.
    pub unk_piece: String,
    /// The piece that begins a text.
    pub bos_piece: String,
    /// The piece that ends a text.
    pub eos_piece: String,
    /// The piece that pads a batch.
    pub pad_piece: String,
}

impl Default for TrainerSpec {
    /// The defaults of `sentencepiece_model.proto`.
    fn default() -> Self {
        Self {
            model_type: ModelType::Unigram,
            vocab_size: 8000,
            treat_whitespace_as_suffix: false,
            byte_fallback: false,
            unk_surface: " \u{2047} ".into(),
            unk_piece: "<unk>".into(),
            bos_piece: "<s>".into(),
            eos_piece: "</s>".into(),
            pad_piece: "<pad>".into(),
        }
    }
}

impl TrainerSpec {
    /// The message with these fields alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_uint(&mut out, 3, self.model_type as u64);
        // A negative int32 is written as a 64-bit number.
        put_uint(&mut out, 4, self.vocab_size as u64);
        put_uint(&mut out, 24, self.treat_whitespace_as_suffix.into());
        put_uint(&mut out, 35, self.byte_fallback.into());
        put_bytes(&mut out, 44, self.unk_surface.as_bytes());
        put_bytes(&mut out, 45, self.unk_piece.as_bytes());
        put_bytes(&mut out, 46, self.bos_piece.as_bytes());
        put_bytes(&mut out, 47, self.eos_piece.as_bytes());
        put_bytes(&mut out, 48, self.pad_piece.as_bytes());
        out
    }
}

/// How text is normalised before (or after) the pieces are looked up (`NormalizerSpec`).
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizerSpec {
    /// The rule's name, such as `nmt_nfkc`; for people, not for programs.
    pub name: String,
    /// The character map: a double-array trie of byte strings and the strings that replace them.
    pub precompiled_charsmap: Vec<u8>,
    /// A space is put before (or, as suffix, after) the text.
    pub add_dummy_prefix: bool,
    /// Spaces at both ends vanish and runs of spaces become one.
    pub remove_extra_whitespaces: bool,
    /// Spaces become `▁`.
    pub escape_whitespaces: bool,
}

impl Default for NormalizerSpec {
    /// The defaults of `sentencepiece_model.proto`.
    fn default() -> Self {
        Self {
            name: String::new(),
            precompiled_charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        }
    }
}

impl NormalizerSpec {
    /// The message with these fields alone.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes(&mut out, 1, self.name.as_bytes());
        put_bytes(&mut out, 2, &self.precompiled_charsmap);
        put_uint(&mut out, 3, self.add_dummy_prefix.into());
        put_uint(&mut out, 4, self.remove_extra_whitespaces.into());
        put_uint(&mut out, 5, self.escape_whitespaces.into());
        out
    }
}

/// A SentencePiece model file in memory.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpieceModel {
    /// The vocabulary; the index is the id.
    pub pieces: Vec<Piece>,
    /// How the model was trained.
    pub trainer_spec: TrainerSpec,
    /// How text is normalised before encoding.
    pub normalizer_spec: NormalizerSpec,
    /// How decoded text is rewritten, if at all.
    pub denormalizer_spec: Option<NormalizerSpec>,
    /// Every top-level field but `pieces`, in the file's order: what [`SpieceModel::to_bytes`] writes after
    /// the pieces.
    rest: Vec<u8>,
}

/// Where a message stands, for errors.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    offset: usize,
}

impl Place<'_> {
    fn error(self, field: impl Into<String>, offset: usize, what: &'static str) -> SpieceError {
        let offset = self.offset + offset;
        SpieceError::Corrupt { path: self.path.into(), field: field.into(), offset, what }
    }

    fn wire(self, field: impl Into<String>, error: WireError) -> SpieceError {
        self.error(field, error.offset, error.what)
    }
}

impl SpieceModel {
    /// Decodes the bytes of a model file; `path` is only for error messages.
    ///
    /// # Errors
    /// [`SpieceError::Corrupt`] when the bytes are no `ModelProto`, hold no pieces, or hold text that is not
    /// UTF-8.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, SpieceError> {
        let top = Place { path, offset: 0 };
        // A piece takes some twenty bytes; where there are more than a million, growing is the lesser cost.
        let room = Vec::with_capacity((bytes.len() / 20).min(1 << 20));
        let mut model = Self { pieces: room, ..Self::default() };
        for field in Fields::new(bytes) {
            let field = field.map_err(|e| top.wire("ModelProto", e))?;
            // An embedded message's content ends where its field ends.
            let place =
                |content: &[u8]| Place { path, offset: field.offset + field.raw.len() - content.len() };
            match (field.number, field.value) {
                (1, Value::Bytes(content)) => {
                    let index = model.pieces.len();
                    model.pieces.push(parse_piece(content, index, place(content))?);
                    continue;
                }
                (2, Value::Bytes(content)) => {
                    parse_trainer(content, &mut model.trainer_spec, place(content))?;
                }
                (3, Value::Bytes(content)) => {
                    parse_normalizer(content, &mut model.normalizer_spec, "normalizer_spec", place(content))?;
                }
                (5, Value::Bytes(content)) => {
                    let spec = model.denormalizer_spec.get_or_insert_default();
                    parse_normalizer(content, spec, "denormalizer_spec", place(content))?;
                }
                (number @ (1 | 2 | 3 | 5), _) => {
                    let name = ["", "pieces", "trainer_spec", "normalizer_spec", "", "denormalizer_spec"];
                    return Err(top.error(name[number as usize], field.offset, "should be a message"));
                }
                _ => {}
            }
            model.rest.extend_from_slice(field.raw);
        }
        if model.pieces.is_empty() {
            return Err(top.error("pieces", 0, "there are none"));
        }
        Ok(model)
    }

    /// A new model, with the settings given and nothing else.
    pub fn new(pieces: Vec<Piece>, trainer_spec: TrainerSpec, normalizer_spec: NormalizerSpec) -> Self {
        let mut rest = Vec::new();
        put_bytes(&mut rest, 2, &trainer_spec.to_bytes());
        put_bytes(&mut rest, 3, &normalizer_spec.to_bytes());
        Self { pieces, trainer_spec, normalizer_spec, denormalizer_spec: None, rest }
    }

    /// The file's bytes: the pieces, then every other field as it was read.
    ///
    /// The decoded specs are not written from: they are for reading, and the messages they came from are
    /// kept whole.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.rest.len() + self.pieces.len() * 24);
        let mut message = Vec::new();
        for piece in &self.pieces {
            message.clear();
            put_bytes(&mut message, 1, piece.text.as_bytes());
            put_float(&mut message, 2, piece.score);
            // The default is left out, as the library does.
            if piece.kind != PieceKind::Normal {
                put_uint(&mut message, 3, piece.kind as u64);
            }
            message.extend_from_slice(&piece.unknown_fields);
            put_bytes(&mut out, 1, &message);
        }
        out.extend_from_slice(&self.rest);
        out
    }

    /// A model with the pieces at `keep`, in that order, and everything else unchanged.
    ///
    /// `trainer_spec.vocab_size` stays as it is, as in the published cut of mT5 (which still says 250,000):
    /// it tells how the pieces were trained, and no reader takes the vocabulary's size from it.
    ///
    /// # Panics
    /// When an index is not below the number of pieces.
    pub fn with_pieces(&self, keep: &[usize]) -> Self {
        Self { pieces: keep.iter().map(|&i| self.pieces[i].clone()).collect(), ..self.clone_specs() }
    }

    fn clone_specs(&self) -> Self {
        Self {
            pieces: Vec::new(),
            trainer_spec: self.trainer_spec.clone(),
            normalizer_spec: self.normalizer_spec.clone(),
            denormalizer_spec: self.denormalizer_spec.clone(),
            rest: self.rest.clone(),
        }
    }
}

/// Sentinels that T5's tokenizer class adds behind pieces that have none, where nothing is said of their number.
pub const T5_SENTINELS: usize = 100;

/// Whether a piece is a sentinel of span corruption: `<extra_id_N>`, with or without a leading `▁`.
pub fn is_sentinel(piece: &str) -> bool {
    let name = piece.strip_prefix('\u{2581}').unwrap_or(piece);
    let digits = name.strip_prefix("<extra_id_").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}

fn parse_piece(content: &[u8], index: usize, place: Place) -> Result<Piece, SpieceError> {
    let name = |field: &str| format!("pieces[{index}]{field}");
    let mut piece = Piece::default();
    for field in Fields::new(content) {
        let field = field.map_err(|e| place.wire(name(""), e))?;
        match (field.number, field.value) {
            (1, Value::Bytes(text)) => match std::str::from_utf8(text) {
                Ok(text) => piece.text = text.into(),
                Err(_) => return Err(place.error(name(".piece"), field.offset, "not UTF-8")),
            },
            (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Value::Varint(number)) => match PieceKind::from_number(number) {
                Some(kind) => piece.kind = kind,
                None => return Err(place.error(name(".type"), field.offset, "a type that is not known")),
            },
            (1..=3, _) => return Err(place.error(name(""), field.offset, "a field of the wrong type")),
            _ => piece.unknown_fields.extend_from_slice(field.raw),
        }
    }
    Ok(piece)
}

fn parse_trainer(content: &[u8], spec: &mut TrainerSpec, place: Place) -> Result<(), SpieceError> {
    for field in Fields::new(content) {
        let field = field.map_err(|e| place.wire("trainer_spec", e))?;
        let error = |name: &str, what| place.error(format!("trainer_spec.{name}"), field.offset, what);
        let text =
            |bytes: &[u8], name| String::from_utf8(bytes.to_vec()).map_err(|_| error(name, "not UTF-8"));
        match (field.number, field.value) {
            (3, Value::Varint(number)) => {
                spec.model_type = match number {
                    1 => ModelType::Unigram,
                    2 => ModelType::Bpe,
                    3 => ModelType::Word,
                    4 => ModelType::Char,
                    _ => return Err(error("model_type", "a type that is not known")),
                }
            }
            (4, Value::Varint(number)) => spec.vocab_size = number as i64,
            (24, Value::Varint(flag)) => spec.treat_whitespace_as_suffix = flag != 0,
            (35, Value::Varint(flag)) => spec.byte_fallback = flag != 0,
            (44, Value::Bytes(bytes)) => spec.unk_surface = text(bytes, "unk_surface")?,
            (45, Value::Bytes(bytes)) => spec.unk_piece = text(bytes, "unk_piece")?,
            (46, Value::Bytes(bytes)) => spec.bos_piece = text(bytes, "bos_piece")?,
            (47, Value::Bytes(bytes)) => spec.eos_piece = text(bytes, "eos_piece")?,
            (48, Value::Bytes(bytes)) => spec.pad_piece = text(bytes, "pad_piece")?,
            (3 | 4 | 24 | 35 | 44..=48, _) => {
                return Err(error(&field.number.to_string(), "a field of the wrong type"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse_normalizer(
    content: &[u8],
    spec: &mut NormalizerSpec,
    name: &str,
    place: Place,
) -> Result<(), SpieceError> {
    for field in Fields::new(content) {
        let field = field.map_err(|e| place.wire(name, e))?;
        match (field.number, field.value) {
            (1, Value::Bytes(bytes)) => spec.name = String::from_utf8_lossy(bytes).into_owned(),
            (2, Value::Bytes(bytes)) => spec.precompiled_charsmap = bytes.to_vec(),
            (3, Value::Varint(flag)) => spec.add_dummy_prefix = flag != 0,
            (4, Value::Varint(flag)) => spec.remove_extra_whitespaces = flag != 0,
            (5, Value::Varint(flag)) => spec.escape_whitespaces = flag != 0,
            (1..=5, _) => return Err(place.error(name, field.offset, "a field of the wrong type")),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (text, score, kind, extra) in
            [("<unk>", 0.0, 2, &b""[..]), ("▁a", -1.5, 1, b"\xc2\x0c\x01x"), ("b", -2.0, 4, b"")]
        {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, text.as_bytes());
            put_float(&mut message, 2, score);
            if kind != 1 {
                put_uint(&mut message, 3, kind);
            }
            message.extend_from_slice(extra);
            put_bytes(&mut bytes, 1, &message);
        }
        let mut trainer = Vec::new();
        put_uint(&mut trainer, 4, 250_000);
        put_uint(&mut trainer, 35, 1);
        put_bytes(&mut trainer, 47, b"<end>");
        put_bytes(&mut trainer, 250, b"an extension");
        put_bytes(&mut bytes, 2, &trainer);
        let mut normalizer = Vec::new();
        put_bytes(&mut normalizer, 1, b"identity");
        put_uint(&mut normalizer, 3, 0);
        put_bytes(&mut bytes, 3, &normalizer);
        put_bytes(&mut bytes, 4, b"self test data");
        bytes
    }

    #[test]
    fn reads_and_writes_back_every_byte() {
        let bytes = sample();
        let model = SpieceModel::parse(&bytes, Path::new("x")).unwrap();
        assert_eq!(model.pieces.len(), 3);
        assert_eq!(model.pieces[1].text, "▁a");
        assert_eq!(model.pieces[1].unknown_fields, b"\xc2\x0c\x01x");
        assert_eq!(model.pieces[2].kind, PieceKind::UserDefined);
        assert!(model.trainer_spec.byte_fallback);
        assert_eq!(model.trainer_spec.eos_piece, "<end>");
        assert_eq!(model.trainer_spec.pad_piece, "<pad>");
        assert!(!model.normalizer_spec.add_dummy_prefix && model.normalizer_spec.escape_whitespaces);
        assert_eq!(model.denormalizer_spec, None);
        assert_eq!(model.to_bytes(), bytes);
    }

    #[test]
    fn a_new_model_reads_back_as_it_was_made() {
        let piece =
            |text: &str, kind| Piece { text: text.into(), score: -3.25, kind, unknown_fields: vec![] };
        let pieces = vec![piece("<unk>", PieceKind::Unknown), piece("▁好", PieceKind::Normal)];
        let trainer = TrainerSpec {
            vocab_size: -1,
            byte_fallback: true,
            unk_surface: "?".into(),
            ..Default::default()
        };
        let normalizer = NormalizerSpec { name: "n".into(), add_dummy_prefix: false, ..Default::default() };
        let model = SpieceModel::new(pieces, trainer, normalizer);
        assert_eq!(SpieceModel::parse(&model.to_bytes(), Path::new("x")).unwrap(), model);
    }

    #[test]
    fn a_subset_keeps_everything_else() {
        let bytes = sample();
        let model = SpieceModel::parse(&bytes, Path::new("x")).unwrap();
        let cut = model.with_pieces(&[2, 0]);
        let again = SpieceModel::parse(&cut.to_bytes(), Path::new("x")).unwrap();
        assert_eq!(again, cut);
        assert_eq!(again.pieces, [model.pieces[2].clone(), model.pieces[0].clone()]);
        assert_eq!(again.trainer_spec.vocab_size, 250_000);
        assert!(cut.to_bytes().ends_with(&model.rest));
    }

    #[test]
    fn sentinels() {
        for (piece, is) in [
            ("<extra_id_0>", true),
            ("▁<extra_id_99>", true),
            ("<extra_id_>", false),
            ("<extra_id_x>", false),
            ("▁▁<extra_id_0>", false),
        ] {
            assert_eq!(is_sentinel(piece), is, "{piece}");
        }
    }

    #[test]
    fn every_truncation_is_an_error_or_a_shorter_model_and_names_the_place() {
        let bytes = sample();
        for end in 0..bytes.len() {
            if let Err(error) = SpieceModel::parse(&bytes[..end], Path::new("some.model")) {
                assert!(error.to_string().starts_with("some.model: "), "{error}");
            }
        }
        let error = SpieceModel::parse(&bytes[..12], Path::new("some.model")).unwrap_err().to_string();
        assert!(error.contains("ModelProto at byte 0: a field is longer"), "{error}");
        let error = SpieceModel::parse(b"\x0a\x03\x0a\x01\xff", Path::new("m")).unwrap_err().to_string();
        assert!(error.contains("pieces[0].piece at byte 2: not UTF-8"), "{error}");
        let error = SpieceModel::parse(b"", Path::new("m")).unwrap_err().to_string();
        assert!(error.contains("there are none"), "{error}");
    }
}
