//! Making a tokenizer of its files: which pieces there are, which tokens are added to them, which of them are special.

use crate::added::Added;
use crate::byte_pairs;
use crate::bytes::ByT5;
use crate::error::Error;
use crate::files::{self, Found};
use crate::library::Library;
use crate::unigram::Unigram;
use crate::wordpiece::{self, WordPiece};
use crate::{Model, Options, Special};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;
use t5kit_formats::added_tokens::{AddedToken, SpecialTokens};
use t5kit_formats::spiece::{ModelType, Piece, PieceKind, SpieceModel, T5_SENTINELS, is_sentinel};
use t5kit_formats::tokenizer_json::{self, Steps, TokenizerJson, UnigramJson, Wrap};

/// What umT5's tokenizer has.
const UMT5_EXTRA_IDS: u64 = 300;
/// What `ByT5Tokenizer` adds where nothing is said.
const BYT5_EXTRA_IDS: u64 = 125;
/// More sentinels than this are no sentinels.
const MAX_EXTRA_IDS: u64 = 10_000;

/// The parts of a tokenizer.
pub(crate) struct Parts {
    pub(crate) model: Model,
    pub(crate) added: Added,
    pub(crate) special: Special,
}

/// From the bytes of a tokenizer's file and what lies beside it.
pub(crate) fn load(bytes: &[u8], found: &Found, options: Options) -> Result<Parts, Error> {
    let file = &*found.file;
    if files::is_vocab(file) {
        return word_piece(bytes, found, options);
    }
    if files::is_config(file) {
        return Ok(byt5(found));
    }
    if files::is_byte_pairs(file) {
        let merges = files::read(&files::merges(file), files::MAX_BYTES)?;
        let prefix = found.field("add_prefix_space").and_then(Value::as_bool).unwrap_or(false);
        let json = byte_pairs::tokenizer_json(bytes, &merges, found.class(), prefix, &found.special, file)?;
        return json_file(&json, &found.special, file);
    }
    if files::is_json(file) {
        return json_file(bytes, &found.special, file);
    }
    let model = SpieceModel::parse(bytes, file)?;
    if model.trainer_spec.model_type == ModelType::Bpe {
        // Its tokenizer.json says the same, and the library runs it.
        let json = file.with_file_name("tokenizer.json");
        if json.is_file() {
            return json_file(&files::read(&json, files::MAX_BYTES)?, &found.special, &json);
        }
    }
    let extra_ids = extra_ids(&model, found);
    let steps =
        Steps { prefix_first_only: found.field("legacy") == Some(&Value::Bool(false)), ..Steps::default() };
    let rows = found.model_number("vocab_size");
    unigram(Sources { model, extra_ids, tokens: Vec::new(), steps, wrap: None, rows }, &found.special, file)
}

/// From the bytes of a `spiece.model` or a `tokenizer.json` alone.
pub(crate) fn alone(bytes: &[u8], path: &Path) -> Result<Parts, Error> {
    let special = SpecialTokens::default();
    let others = Vec::new();
    let file = path.into();
    load(bytes, &Found { file, config: None, model: None, special, others, spiece: None }, Options::default())
}

/// What a Unigram tokenizer is made of.
struct Sources {
    model: SpieceModel,
    /// Sentinels to put behind the pieces.
    extra_ids: u64,
    /// Added tokens that the file itself has.
    tokens: Vec<AddedToken>,
    steps: Steps,
    wrap: Option<Wrap>,
    /// Rows of the model that it is for, where they are known.
    rows: Option<u64>,
}

fn json_file(bytes: &[u8], special: &SpecialTokens, file: &Path) -> Result<Parts, Error> {
    let TokenizerJson { model, wrap } = tokenizer_json::read(bytes, file)?;
    match model {
        tokenizer_json::Model::Unigram(read) => {
            let UnigramJson { model, added: tokens, steps } = *read;
            unigram(Sources { model, extra_ids: 0, tokens, steps, wrap, rows: None }, special, file)
        }
        tokenizer_json::Model::Other(_) => {
            let library = Library::new(bytes, special, file)?;
            let (pad, eos, unk) = (library.pad, library.eos, library.unk);
            // BERT's relatives begin to decode with [CLS].
            let cls = library.cls.filter(|&id| library.piece(id) == Some("[CLS]"));
            let wrap = wrap.unwrap_or_else(|| Wrap { before: Vec::new(), after: eos.into_iter().collect() });
            let special = Special { pad, eos, unk, bos: library.bos.or(cls), start: cls.or(pad), wrap };
            Ok(Parts { model: Model::Library(Box::new(library)), added: Added::default(), special })
        }
    }
}

fn unigram(sources: Sources, special: &SpecialTokens, file: &Path) -> Result<Parts, Error> {
    let Sources { mut model, extra_ids, tokens, steps, wrap, rows } = sources;
    let within = model.pieces.len();
    let from_json = files::is_json(file);
    let sentinels: HashSet<String> =
        model.pieces.iter().map(|piece| &piece.text).filter(|text| is_sentinel(text)).cloned().collect();
    for n in (0..extra_ids).rev() {
        push_sentinel(&mut model, format!("<extra_id_{n}>"));
    }
    // Further spellings, and tokens that are no pieces.
    let mut aliases: Vec<(String, u32)> = Vec::new();
    let mut added: Vec<AddedToken> = Vec::new();
    let listed = tokens.iter().chain(&special.tokens);
    let mut listed: Vec<AddedToken> = listed.cloned().collect();
    listed.sort_by_key(|token| token.id);
    for token in listed {
        let id = token.id as usize;
        match model.pieces.get(id) {
            Some(piece) if piece.text == token.content => {
                let own = piece.kind != PieceKind::Normal || is_sentinel(&piece.text);
                if !own {
                    added.push(token);
                }
            }
            Some(piece) if is_sentinel(&token.content) && bare(&piece.text) == bare(&token.content) => {
                aliases.push((token.content, token.id));
            }
            None if id == model.pieces.len() && is_sentinel(&token.content) => {
                push_sentinel(&mut model, token.content);
            }
            _ => added.push(token),
        }
    }
    added.dedup_by(|a, b| a.id == b.id);
    // Spaces before a sentinel belong to it, as in seqio, which spells sentinels with one. Those that a SentencePiece
    // file has itself are spelled as they are.
    for (id, piece) in model.pieces.iter().enumerate() {
        if (id >= within || from_json) && is_sentinel(&piece.text) && bare(&piece.text) == piece.text {
            aliases.push((format!("\u{2581}{}", piece.text), id as u32));
        }
    }
    aliases.retain(|(text, _)| !sentinels.contains(text));
    aliases.sort();
    aliases.dedup_by(|a, b| a.0 == b.0);
    let unigram = Unigram::new(&model, &aliases, steps, file)?;
    // Special tokens that have no id yet follow behind everything else.
    for token in &special.named {
        let piece = unigram.id_of(&token.content);
        let known = added.iter().any(|other| other.content == token.content);
        let sentinel = sentinels.contains(&format!("\u{2581}{}", token.content));
        if known || sentinel || piece.is_some() || special.is_role(&token.content) {
            continue;
        }
        let id = next_id(&added, model.pieces.len());
        if rows.is_none_or(|rows| u64::from(id) < rows) {
            added.push(AddedToken { id, ..token.clone() });
        }
    }
    let added = if from_json {
        let text = |token: &AddedToken| unigram.for_tokens(token.content.as_bytes());
        Added::with_normalized(added, |token| token.normalized.then(|| text(token)))
    } else {
        Added::new(added)
    };
    // A tokenizer.json need not say of a piece that it is special.
    let usual = |name: &str| if from_json { unigram.id_of(name) } else { None };
    let role = |field: &str, own: Option<u32>| {
        let named = special.role(field);
        named.and_then(|name| added.id_of(name).or_else(|| unigram.id_of(name))).or(own)
    };
    let vocab = &unigram.vocab;
    let pad = role("pad_token", vocab.pad.or_else(|| usual("<pad>")));
    let eos = role("eos_token", vocab.eos.or_else(|| usual("</s>")));
    let (unk, bos) = (role("unk_token", vocab.unk.or(vocab.unknown)), role("bos_token", vocab.bos));
    let wrap = wrap.unwrap_or_else(|| Wrap { before: Vec::new(), after: eos.into_iter().collect() });
    let special = Special { pad, eos, unk, bos, start: pad, wrap };
    Ok(Parts { model: Model::Unigram(Box::new(unigram)), added, special })
}

/// The id of a special token that is named and has none: as transformers counts, the number of all that there are; behind
/// them where another has that one.
fn next_id(added: &[AddedToken], pieces: usize) -> u32 {
    let behind = added.iter().filter(|token| token.id as usize >= pieces).count();
    let id = (pieces + behind) as u32;
    let taken = added.iter().any(|token| token.id == id);
    let last = added.iter().map(|token| token.id + 1).max().unwrap_or(0);
    if taken { last.max(id) } else { id }
}

/// A sentinel's name without the space before it.
fn bare(sentinel: &str) -> &str {
    sentinel.strip_prefix('\u{2581}').unwrap_or(sentinel)
}

fn push_sentinel(model: &mut SpieceModel, text: String) {
    model.pieces.push(Piece { text, kind: PieceKind::UserDefined, ..Piece::default() });
}

/// How many sentinels, `<extra_id_99>` … `<extra_id_0>`, follow T5's pieces: none where the `spiece.model` has them, else
/// as many as `extra_ids` of `tokenizer_config.json` says, and as the class or the kind of model has where nothing is
/// said.
fn extra_ids(model: &SpieceModel, found: &Found) -> u64 {
    if model.pieces.iter().any(|piece| is_sentinel(&piece.text)) {
        return 0;
    }
    if let Some(count) = found.field("extra_ids").and_then(Value::as_u64) {
        return count.min(MAX_EXTRA_IDS);
    }
    let usual = match (found.class(), found.model_type()) {
        (_, "umt5") => UMT5_EXTRA_IDS,
        ("T5Tokenizer" | "MT5Tokenizer", _) | ("", "t5") => T5_SENTINELS as u64,
        _ => return 0,
    };
    // A model without rows for them does not know them.
    let rows = found.model_number("vocab_size").unwrap_or(u64::MAX);
    if rows >= model.pieces.len() as u64 + usual { usual } else { 0 }
}

fn word_piece(bytes: &[u8], found: &Found, options: Options) -> Result<Parts, Error> {
    let (path, mut config) = match &found.config {
        Some((path, config)) => (path.clone(), config.clone()),
        None => (found.file.clone(), files::Config::new()),
    };
    // What special_tokens_map.json says counts where the configuration does not.
    for (role, name) in &found.special.roles {
        if config.get(role).is_none_or(Value::is_null) {
            config.insert(role.clone(), name.clone());
        }
    }
    let mut settings = wordpiece::Settings::read(&config, &path)?;
    settings.do_lower_case = options.lower_case.unwrap_or(settings.do_lower_case);
    settings.strip_accents = options.strip_accents.or(settings.strip_accents);
    if let Some(asked) = options.pre_tokenize {
        (settings.pre_tokenize, settings.by_vocabulary) = (asked, false);
    }
    settings.additional_special_tokens = found.special.named.iter().map(|t| t.content.clone()).collect();
    let model = WordPiece::new(bytes, settings, &found.file)?;
    let mut added: Vec<AddedToken> = Vec::new();
    for token in &found.special.tokens {
        // Special pieces of the vocabulary are found in a text as it is.
        if model.piece(token.id) != Some(&*token.content) || !model.is_special(&token.content) {
            added.push(token.clone());
        }
    }
    for token in &found.special.named {
        let known = added.iter().any(|other| other.content == token.content);
        if !known && model.id_of(&token.content).is_none() && !found.special.is_role(&token.content) {
            added.push(AddedToken { id: next_id(&added, model.len()), ..token.clone() });
        }
    }
    let wrap = Wrap { before: model.cls.into_iter().collect(), after: model.sep.into_iter().collect() };
    let (pad, eos, unk, bos) = (model.pad, model.sep, Some(model.unk), model.cls);
    let special = Special { pad, eos, unk, bos, start: bos.or(pad), wrap };
    Ok(Parts { model: Model::WordPiece(model), added: Added::new(added), special })
}

fn byt5(found: &Found) -> Parts {
    let said = found.field("extra_ids").and_then(Value::as_u64).unwrap_or(BYT5_EXTRA_IDS);
    // transformers writes extra_ids 0 and lists them.
    let listed = found.special.tokens.iter().filter(|token| is_sentinel(&token.content)).count() as u64;
    let model = ByT5::new(said.max(listed).min(MAX_EXTRA_IDS) as u32);
    let own = |token: &&AddedToken| model.piece(token.id) == Some(&*token.content);
    let added = found.special.tokens.iter().filter(|token| !own(token)).cloned().collect();
    let (pad, eos, unk) = (Some(crate::bytes::PAD), Some(crate::bytes::EOS), Some(crate::bytes::UNK));
    let wrap = Wrap { before: Vec::new(), after: eos.into_iter().collect() };
    let special = Special { pad, eos, unk, bos: None, start: pad, wrap };
    Parts { model: Model::Bytes(model), added: Added::new(added), special }
}
