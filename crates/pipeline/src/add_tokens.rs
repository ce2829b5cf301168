//! New tokens: ids and rows of their own for words that the tokenizer would take apart.

use t5kit_tokenizer::{AddedToken, Tokenizer};

use crate::files::{copy_tokenizer, new_tokens_begin, write_added};
use crate::open::work_folder;
use crate::{Error, Pipeline};

impl Pipeline {
    /// Makes one token of each of these texts, wherever it stands, and returns how many there were not yet. Their rows
    /// begin as the mean of the rows of the pieces that they were before; the matrices grow where the padding behind the
    /// pieces has no room.
    ///
    /// # Errors
    /// [`Error::NewToken`] for a text that can be none; those of writing the tokenizer's files.
    pub fn add_tokens(&mut self, texts: &[String]) -> Result<usize, Error> {
        let rows = self.model.rows();
        let mut new: Vec<AddedToken> = Vec::new();
        let mut means: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut next = new_tokens_begin(&self.tokenizer, rows)?;
        for text in texts {
            let refused = |what| Error::NewToken { text: text.clone(), what };
            let known = self.tokenizer.added_tokens().iter().chain(&new).any(|token| token.content == *text);
            if known {
                continue;
            }
            if text.trim() != text || text.is_empty() || text.contains(['\n', '\r', '\0']) {
                return Err(refused("has spaces around it, or is none"));
            }
            let id = match self.tokenizer.id_of(text) {
                Some(id) if self.tokenizer.is_special(id) || self.tokenizer.is_sentinel(id) => {
                    return Err(refused("is a special token already"));
                }
                // A piece keeps its row, and is found whatever stands beside it from now on.
                Some(id) => id,
                None => {
                    means.push((next as usize, self.tokenizer.encode(text)));
                    next += 1;
                    next - 1
                }
            };
            new.push(AddedToken { id, content: text.clone(), ..AddedToken::default() });
        }
        if new.is_empty() {
            return Ok(0);
        }
        let folder = work_folder()?;
        copy_tokenizer(&self.tokenizer, rows, folder.path())?;
        write_added(&new, folder.path())?;
        let tokenizer = Tokenizer::load(folder.path())?;
        for token in &new {
            if tokenizer.id_of(&token.content) != Some(token.id) {
                let what = "gets another id than its row from these files";
                return Err(Error::NewToken { text: token.content.clone(), what });
            }
        }
        if let Some(file) = &self.generation_config {
            // It lies with the tokenizer where both were cut.
            let copy = folder.path().join(t5kit_formats::generation_config::NAME);
            std::fs::copy(file, &copy).map_err(t5kit_formats::Error::io(file, "copy"))?;
            self.generation_config = Some(copy);
        }
        self.model.grow(next as usize, &means);
        (self.tokenizer, self.work) = (tokenizer, Some(folder));
        Ok(new.len())
    }
}
