//! What has to be said beside a `vocab.txt`: which class reads it, how words are cut, which pieces are special.

use std::path::Path;

use serde_json::{Map, Value};
use t5kit_tokenizer::{PreTokenize, Tokenizer};

use super::{SPECIAL_TOKENS, TOKENIZER_CONFIG, read_object, write_json};
use crate::Error;

/// How a `vocab.txt` is used.
#[derive(Debug)]
pub(super) struct VocabUse {
    /// Whether jieba cuts words first.
    words: bool,
    /// Roles and the pieces that have them.
    tokens: Map<String, Value>,
}

impl VocabUse {
    /// That of a tokenizer.
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let roles = [
            ("unk_token", Some(tokenizer.unk_id())),
            ("sep_token", tokenizer.eos()),
            ("pad_token", Some(tokenizer.pad_id())),
            ("cls_token", tokenizer.bos_id()),
            ("mask_token", tokenizer.id_of("[MASK]")),
        ];
        let named = |(role, id): (&str, Option<u32>)| Some((role.to_owned(), tokenizer.piece(id?)?.into()));
        let tokens = roles.into_iter().filter_map(named).collect();
        VocabUse { words: tokenizer.pre_tokenize() == Some(PreTokenize::Jieba), tokens }
    }

    /// Says in the folder's `tokenizer_config.json` and `special_tokens_map.json` what is not said there. Of transformers'
    /// classes `RoFormerTokenizer` is the one that asks jieba.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn complete(&self, out: &Path) -> Result<(), Error> {
        let path = out.join(TOKENIZER_CONFIG);
        let before = read_object(&path)?.unwrap_or_default();
        let mut config = before.clone();
        let mut say = |key: &str, value: Value| _ = config.entry(key).or_insert(value);
        say("tokenizer_class", if self.words { "RoFormerTokenizer" } else { "BertTokenizer" }.into());
        say("do_lower_case", true.into());
        if self.words {
            say("pre_tokenize", "jieba".into());
        }
        for (role, name) in &self.tokens {
            say(role, name.clone());
        }
        if config != before {
            write_json(&path, &config.into())?;
        }
        let path = out.join(SPECIAL_TOKENS);
        if !path.exists() {
            write_json(&path, &self.tokens.clone().into())?;
        }
        Ok(())
    }
}
