//! What a model's `generation_config.json` says becomes the options, with the meaning it has in transformers 4.57
//! (`GenerationConfig`, `GenerationMixin._prepare_generated_length`).

use t5kit_formats::generation_config::GenerationConfig;

use crate::{Error, GenerateOptions};

/// transformers' `top_k` where the file asks for sampling and does not say.
const TOP_K: usize = 50;
/// transformers' `max_length`: said by the file too, it counts new tokens only.
const MAX_LENGTH: usize = 20;

impl GenerateOptions {
    /// Takes over what the file says; [`Self::prefix`] must be set already, since `max_length` and `min_length` count
    /// it. What the file does not say stays (the ids are then those of `config.json`), but for `top_k`, which is 50 in transformers where `do_sample` is true.
    ///
    /// # Errors
    /// [`Error::Options`] where `max_length` leaves no room behind the prefix.
    pub fn apply(&mut self, file: &GenerationConfig) -> Result<(), Error> {
        let given = 1 + self.prefix.len();
        let set = |to: &mut usize, value: Option<usize>| *to = value.unwrap_or(*to);
        set(&mut self.num_beams, file.num_beams);
        set(&mut self.num_beam_groups, file.num_beam_groups);
        set(&mut self.num_return_sequences, file.num_return_sequences);
        set(&mut self.no_repeat_ngram_size, file.no_repeat_ngram_size);
        set(&mut self.top_k, file.top_k.or((file.do_sample == Some(true)).then_some(TOP_K)));
        let set = |to: &mut f32, value: Option<f64>| *to = value.map_or(*to, |x| x as f32);
        set(&mut self.diversity_penalty, file.diversity_penalty);
        set(&mut self.length_penalty, file.length_penalty);
        set(&mut self.temperature, file.temperature);
        set(&mut self.top_p, file.top_p);
        set(&mut self.min_p, file.min_p);
        set(&mut self.repetition_penalty, file.repetition_penalty);
        self.do_sample = file.do_sample.unwrap_or(self.do_sample);
        self.early_stopping = file.early_stopping.unwrap_or(self.early_stopping);
        self.max_new_tokens = match (file.max_new_tokens, file.max_length) {
            (Some(count), _) => count,
            (None, Some(MAX_LENGTH)) => MAX_LENGTH,
            (None, Some(length)) if length > given => length - given,
            (None, Some(length)) => {
                return Err(Error::Options(format!(
                    "the model's max_length {length} leaves no room behind start token and prefix ({given} tokens): \
                     give `max_new_tokens`"
                )));
            }
            (None, None) => self.max_new_tokens,
        };
        self.min_new_tokens = match (file.min_new_tokens, file.min_length) {
            (Some(count), _) => count,
            (None, Some(length)) => length.saturating_sub(given),
            (None, None) => self.min_new_tokens,
        };
        if let Some(words) = &file.bad_words_ids {
            self.bad_words_ids.clone_from(words);
        }
        self.suppress.extend(file.suppress_tokens.iter().flatten());
        self.ids.pad = file.pad_token_id.unwrap_or(self.ids.pad);
        self.ids.start = file.decoder_start_token_id.unwrap_or(self.ids.start);
        if let Some(ends) = &file.eos_token_id {
            self.ids.end.clone_from(ends);
        }
        Ok(())
    }
}
