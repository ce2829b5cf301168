//! A tokenizer with the pieces that have a row left: the same kind of file, cut, and the small files beside it with new
//! ids.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use t5kit_formats::gguf::spiece_bytes;
use t5kit_formats::keep_tokens::Renumbering;
use t5kit_formats::spiece::SpieceModel;
use t5kit_formats::tokenizer_json;
use t5kit_tokenizer::{AddedToken, Tokenizer};

use super::both::for_both;
use super::{
    ADDED_TOKENS, Kind, SPECIAL_TOKENS, TOKENIZER_CONFIG, VocabUse, complete, copy, read_object,
    renumber_added, sentinels_behind, tokenizer_config, write, write_added_ids, write_json,
};
use crate::Error;

/// A tokenizer that has been cut.
#[derive(Debug)]
pub struct CutTokenizer {
    main: Main,
    /// How a `vocab.txt` is used.
    vocab: VocabUse,
    renumbering: Renumbering,
    /// Added tokens that are left, by their new ids.
    added: Vec<AddedToken>,
}

/// What is left of the main file.
#[derive(Debug)]
enum Main {
    /// A SentencePiece model, and how many sentinels are rows behind it: 100 in T5, none in mT5.
    Spiece(Box<SpieceModel>, usize),
    Vocab(String),
    Json(Value),
}

impl CutTokenizer {
    /// `keep` are the rows that are left of `rows`, ascending: those of pieces, of what is behind them, and of padding.
    ///
    /// # Errors
    /// [`Error::Uncuttable`] for a tokenizer that cannot be cut; those of reading its file.
    pub fn new(tokenizer: &Tokenizer, keep: &[u32], rows: usize) -> Result<Self, Error> {
        let file = tokenizer.source_files().first();
        let uncuttable =
            |what: &str| Error::Uncuttable { path: file.cloned().unwrap_or_default(), what: what.to_owned() };
        let file = file.ok_or_else(|| uncuttable("there is no file to cut"))?;
        let read = || fs::read(file).map_err(t5kit_formats::Error::io(file, "read"));
        let renumbering = Renumbering::new(keep);
        let main = match Kind::of(file) {
            Kind::Spiece => {
                let model = SpieceModel::parse(&spiece_bytes(file)?, file)?;
                let pieces = keep.iter().map(|&row| row as usize).filter(|&row| row < model.pieces.len());
                let behind = sentinels_behind(tokenizer, &model, rows);
                let sentinels = keep.iter().filter(|row| behind.contains(row)).count();
                Main::Spiece(Box::new(model.with_pieces(&pieces.collect::<Vec<_>>())), sentinels)
            }
            Kind::Vocab => Main::Vocab(vocab(tokenizer, keep).ok_or_else(|| {
                uncuttable("lines that stand there twice have no ids of their own; make them different")
            })?),
            Kind::Json => Main::Json(tokenizer_json::cut(&read()?, &renumbering, file)?),
            Kind::BytePairs => return Err(uncuttable("pieces of a BPE are made of one another")),
            Kind::Bytes => return Err(uncuttable("a tokenizer of bytes has no pieces to leave out")),
        };
        let new = |token: &AddedToken| {
            let id = renumbering.id(token.id.into())?;
            Some(AddedToken { id: id as u32, ..token.clone() })
        };
        let added = tokenizer.added_tokens().iter().filter_map(new).collect();
        Ok(Self { main, vocab: VocabUse::of(tokenizer), renumbering, added })
    }

    /// Writes the main file, `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` where there are
    /// such tokens, and, where a SentencePiece model has the usual shape, `tokenizer.json` into the folder `out`, and
    /// returns the size of the main file in bytes. `folders` are those of the uncut tokenizer and of its model: the first
    /// that says something about the tokenizer is heard.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn write(&self, folders: &[&Path], out: &Path) -> Result<u64, Error> {
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        let before = find(TOKENIZER_CONFIG).map(|file| read_object(&file)).transpose()?.flatten();
        if let Some(file) = find(SPECIAL_TOKENS) {
            copy(&file, &out.join(SPECIAL_TOKENS))?;
        }
        let json = matches!(self.main, Main::Json(_));
        if !json || find(ADDED_TOKENS).is_some() {
            write_added_ids(&self.added, out)?;
        }
        let renumbered = |before: Option<Map<String, Value>>| match before {
            Some(mut config) => {
                renumber_added(&mut config, &self.renumbering);
                write_json(&out.join(TOKENIZER_CONFIG), &config.into())
            }
            None => Ok(()),
        };
        let bytes = match &self.main {
            Main::Spiece(model, sentinels) => {
                let config = tokenizer_config(before, &self.renumbering, *sentinels);
                complete(model, *sentinels, &self.added, Some(config), out)?;
                model.to_bytes()
            }
            Main::Vocab(text) => {
                renumbered(before)?;
                // What is left of the vocabulary may not show any more how words are cut.
                self.vocab.complete(out)?;
                text.clone().into_bytes()
            }
            Main::Json(file) => {
                renumbered(before)?;
                file.to_string().into_bytes()
            }
        };
        write(&out.join(self.main_file()), &bytes)?;
        for_both(out, json)?;
        Ok(bytes.len() as u64)
    }

    /// The name of the main file in the folder that is written.
    pub fn main_file(&self) -> &'static str {
        match self.main {
            Main::Spiece(..) => "spiece.model",
            Main::Vocab(_) => "vocab.txt",
            Main::Json(_) => "tokenizer.json",
        }
    }
}

/// The lines of a `vocab.txt` with the pieces that are left; nothing where a piece stands there twice.
fn vocab(tokenizer: &Tokenizer, keep: &[u32]) -> Option<String> {
    let mut text = String::new();
    let mut seen = HashSet::new();
    for &id in keep.iter().filter(|&&id| !tokenizer.is_added(id)) {
        // Rows behind the file are no lines.
        let Some(piece) = tokenizer.piece(id) else { continue };
        if !seen.insert(piece) || tokenizer.id_of(piece) != Some(id) {
            return None;
        }
        text.push_str(piece);
        text.push('\n');
    }
    Some(text)
}
