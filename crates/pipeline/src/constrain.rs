//! Which texts may come, from words to a model's tokens.

use t5kit_generate::GenerateOptions;
use t5kit_generate::constrain::{Automaton, Constraint, PatternError, Texts, Vocabulary};
use t5kit_tokenizer::Tokenizer;

use crate::Error;

/// Which texts may come, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constrain {
    /// These alone.
    List(Vec<String>),
    /// Those that begin with one of these.
    Beginnings(Vec<String>),
    /// Those that match a regular expression from beginning to end.
    Regex(String),
    /// One of these labels, which are scored instead of searched for.
    Labels(Vec<String>),
}

impl Constrain {
    /// What it is for a model: `options` say which ids never come, what a text begins with and ends in, and how many
    /// tokens it may have. `length_penalty` is that of labels.
    ///
    /// # Errors
    /// [`Error::Constrain`].
    pub(crate) fn settle(
        &self,
        tokenizer: &Tokenizer,
        options: &GenerateOptions,
        length_penalty: f32,
    ) -> Result<Constraint, Error> {
        let found = match self {
            Constrain::List(texts) => Constraint::List(encoded(texts, tokenizer, options)?.0),
            Constrain::Labels(labels) => {
                let (texts, same) = encoded(labels, tokenizer, options)?;
                if let Some((one, other)) = same {
                    let what = format!("{one:?} and {other:?} have the same tokens: keep one of them");
                    return fail(what);
                }
                Constraint::Labels { texts, length_penalty }
            }
            Constrain::Beginnings(texts) => {
                some(texts)?;
                // As the tokenizer writes them: its own marks and spaces.
                let written = texts.iter().map(|text| {
                    let ids = ids(text, tokenizer, &[])?;
                    Ok(regex_syntax::escape(&tokenizer.decode(&ids)))
                });
                let written = written.collect::<Result<Vec<_>, Error>>()?;
                Constraint::Pattern(automaton(
                    &format!("(?s:(?:{}).*)", written.join("|")),
                    tokenizer,
                    options,
                )?)
            }
            Constrain::Regex(pattern) => Constraint::Pattern(automaton(pattern, tokenizer, options)?),
        };
        let (shortest, most) = (found.shortest(), options.max_new_tokens);
        if shortest > most && found.labels().is_none() {
            return fail(format!(
                "the shortest text that it permits has {shortest} tokens with its end, more than `max_new_tokens` {most}"
            ));
        }
        Ok(found)
    }
}

fn fail<T>(what: String) -> Result<T, Error> {
    Err(Error::Constrain { what })
}

fn some(texts: &[String]) -> Result<(), Error> {
    if texts.is_empty() { fail("there are no texts: give one at least".into()) } else { Ok(()) }
}

fn automaton(pattern: &str, tokenizer: &Tokenizer, options: &GenerateOptions) -> Result<Automaton, Error> {
    let mut never = options.suppress.clone();
    never.extend(options.pieces as u32..tokenizer.vocab_size() as u32);
    let Some(vocabulary) = Vocabulary::new(tokenizer, &never, !options.prefix.is_empty()) else {
        return fail(
            "what this tokenizer's pieces say depends on their neighbours, so no pattern can be followed: give a list"
                .into(),
        );
    };
    Automaton::new(pattern, vocabulary, &options.ids.end).or_else(|error| {
        let full = pattern.contains(['，', '！', '？', '：', '；', '（', '）']);
        let hint = match error {
            PatternError::Nothing if full => " (mT5's and T5's write ，！？：；（） half-width)",
            _ => "",
        };
        fail(format!("{error}{hint}"))
    })
}

/// The ids of a text that may come behind the prefix, without an end.
fn ids(text: &str, tokenizer: &Tokenizer, prefix: &[u32]) -> Result<Vec<u32>, Error> {
    let mut ids = tokenizer.encode(text);
    if !prefix.is_empty() {
        ids = tokenizer.encode(&(tokenizer.decode(prefix) + text));
        match ids.strip_prefix(prefix) {
            Some(rest) => ids = rest.to_vec(),
            None => {
                return fail(format!(
                    "{text:?} makes one token with the end of the prefix: begin or end there with a space or a mark"
                ));
            }
        }
    }
    let unknown = ids.contains(&tokenizer.unk_id());
    match () {
        () if ids.is_empty() => fail(format!("{text:?} has no tokens")),
        () if unknown => fail(format!("{text:?} has a character that the tokenizer cannot write")),
        () => Ok(ids),
    }
}

/// Texts with their tokens, and two of them that are told by the same ones though they are written otherwise.
type Encoded = (Texts, Option<(String, String)>);

fn encoded(texts: &[String], tokenizer: &Tokenizer, options: &GenerateOptions) -> Result<Encoded, Error> {
    some(texts)?;
    let mut end = options.ids.end.clone();
    if let Some(at) = tokenizer.eos().and_then(|eos| end.iter().position(|&id| id == eos)) {
        // The one that training put behind targets.
        end.swap(0, at);
    }
    // What comes before a target's own tokens, where that is more than the start.
    let before = tokenizer.target_wrap(tokenizer.start_id()).before;
    let mut all = Vec::with_capacity(texts.len());
    for text in texts {
        let own = ids(text, tokenizer, &options.prefix)?;
        let ids: Vec<u32> =
            if options.prefix.is_empty() { before.iter().chain(&own).copied().collect() } else { own };
        let (tokens, most) = (ids.len() + 1, options.max_new_tokens);
        if tokens > most {
            return fail(format!(
                "{text:?} has {tokens} tokens with its end, more than `max_new_tokens` {most}: raise that"
            ));
        }
        if let Some(id) = ids.iter().find(|&id| options.suppress.contains(id)) {
            let piece = tokenizer.piece(*id).unwrap_or_default();
            return fail(format!("{text:?} has {piece:?}, which is never generated"));
        }
        all.push((text.clone(), ids));
    }
    let list = Texts::new(all.iter().cloned(), &end);
    let same = all.iter().find_map(|(text, ids)| {
        let first = &list.names()[list.text(ids)?];
        (first != text).then(|| (first.clone(), text.clone()))
    });
    Ok((list, same))
}
