//! An objective made ready for a tokenizer and lengths: chunks or texts in, inputs and targets out.

use super::masks::{self, spans_length_below};
use super::{Budget, Choices, Error, Kind, Objective, SentenceChoice, Unit};
use super::{corrupt, sentences, ul2};
use t5kit_formats::tokenizer_json::Wrap;
use t5kit_tokenizer::Tokenizer;

/// An objective that is ready to make examples; several threads may do so at once.
pub struct Prepared<'t> {
    tokenizer: &'t Tokenizer,
    name: &'static str,
    work: Work,
    /// `<extra_id_0>`, `<extra_id_1>`, …
    sentinels: Vec<u32>,
    around_source: Wrap,
    around_target: Wrap,
    budget: Budget,
}

/// What is done to a text.
enum Work {
    /// One way of corrupting chunks.
    Chunks(Chunks),
    /// Several, by their shares of the examples.
    Mixture(Vec<Chunks>),
    /// Whole sentences of whole texts.
    Sentences { choice: SentenceChoice, share: f64 },
}

/// A way of corrupting chunks of tokens.
struct Chunks {
    /// Tokens of the longest chunk.
    length: usize,
    /// What stands before the input: a mode's name.
    mode: Vec<u32>,
    noise_density: f64,
    way: Way,
}

enum Way {
    Spans { mean: f64 },
    IidUnique,
    BertStyle,
    MassStyle,
    DropTokens,
    Deshuffle,
    Prefix,
    Nothing,
}

impl Chunks {
    /// Tokens of the shortest chunk: below, there is nothing to hide or nothing beside it.
    fn least(&self) -> usize {
        match self.way {
            Way::Spans { .. } | Way::Prefix => 2,
            _ => 1,
        }
    }
}

impl<'t> Prepared<'t> {
    pub(super) fn new(
        objective: &Objective,
        tokenizer: &'t Tokenizer,
        budget: Budget,
    ) -> Result<Self, Error> {
        let mut around_source = tokenizer.source_wrap().clone();
        if around_source.after.is_empty() {
            around_source.after.push(tokenizer.eos_id());
        }
        let mut prepared = Self {
            tokenizer,
            name: objective.name(),
            work: Work::Sentences { choice: objective.sentence_choice, share: objective.noise_density },
            sentinels: corrupt::sentinels(tokenizer),
            around_source,
            around_target: tokenizer.target_wrap(tokenizer.start_id()),
            budget,
        };
        let way = match objective.kind {
            Kind::SpanCorruption => Way::Spans { mean: objective.mean_span_length },
            Kind::IidUnique => Way::IidUnique,
            Kind::BertStyle => Way::BertStyle,
            Kind::MassStyle => Way::MassStyle,
            Kind::DropTokens => Way::DropTokens,
            Kind::Deshuffling => Way::Deshuffle,
            Kind::PrefixLm => Way::Prefix,
            Kind::FullLm => Way::Nothing,
            Kind::Ul2 => {
                let modes = ul2::DENOISERS.iter().map(|denoiser| {
                    let way = denoiser.mean_span_length.map_or(Way::Prefix, |mean| Way::Spans { mean });
                    prepared.chunks(way, denoiser.noise_density, tokenizer.encode(denoiser.mode), true)
                });
                prepared.work = Work::Mixture(modes.collect::<Result<_, _>>()?);
                return Ok(prepared);
            }
            Kind::GapSentences => {
                if objective.sentence_choice == SentenceChoice::Rouge1 && prepared.sentinels.is_empty() {
                    return Err(Error::NoSentinels { objective: prepared.name });
                }
                let [source, target] = prepared.room();
                if source == 0 || target == 0 {
                    return Err(prepared.no_room());
                }
                return Ok(prepared);
            }
        };
        prepared.work = Work::Chunks(prepared.chunks(way, objective.noise_density, Vec::new(), false)?);
        Ok(prepared)
    }

    /// Tokens that input and target have beside what is around them.
    fn room(&self) -> [usize; 2] {
        let around = |wrap: &Wrap| wrap.before.len() + wrap.after.len();
        [
            self.budget.source.saturating_sub(around(&self.around_source)),
            self.budget.target.saturating_sub(around(&self.around_target)),
        ]
    }

    fn no_room(&self) -> Error {
        let Budget { source, target } = self.budget;
        Error::NoRoom { objective: self.name, source_length: source, target_length: target }
    }

    /// A way of corrupting chunks, with their length solved. `mixed`: one of several, which makes do with the sentinels
    /// that there are by shorter chunks.
    fn chunks(&self, way: Way, noise_density: f64, mode: Vec<u32>, mixed: bool) -> Result<Chunks, Error> {
        let [source, target] = self.room();
        let source = source.saturating_sub(mode.len());
        let sentinels = self.sentinels.len();
        let needs = matches!(way, Way::Spans { .. } | Way::IidUnique | Way::BertStyle | Way::MassStyle);
        if needs && sentinels == 0 {
            return Err(Error::NoSentinels { objective: self.name });
        }
        let length = match way {
            Way::Spans { mean } => {
                let solve = |source: usize| spans_chunk(source, target, noise_density, mean);
                let spans = |length: usize| masks::noise(length, noise_density, mean)[1];
                let mut length = solve(source);
                let need = spans(length);
                if need > sentinels && !mixed {
                    let fits = last(source, |source| spans(solve(source)) <= sentinels);
                    let how = "take a longer `mean_span_length`,";
                    return Err(self.too_few(need, fits, how));
                }
                while spans(length) > sentinels {
                    length -= 1;
                }
                length
            }
            Way::IidUnique => {
                // Runs begin where noise follows what is none, and what is none at the beginning counts as one.
                let runs = |length: usize| {
                    (length as f64 * noise_density * (1.0 - noise_density) + 1.0).ceil() as usize
                };
                if runs(source) > sentinels {
                    let fits = last(source, |source| runs(source) <= sentinels);
                    return Err(self.too_few(runs(source), fits, "take"));
                }
                source
            }
            Way::DropTokens => source,
            Way::BertStyle | Way::MassStyle | Way::Deshuffle => source.min(target),
            Way::Prefix => {
                let most = source.min(2 * target + 1).max(1);
                let fits = |length: usize| length - masks::least_prefix(length, noise_density) <= target;
                (2..=most).rev().find(|&length| fits(length)).unwrap_or(0)
            }
            Way::Nothing => target,
        };
        let chunks = Chunks { length, mode, noise_density, way };
        if length < chunks.least() || target == 0 {
            return Err(self.no_room());
        }
        Ok(chunks)
    }

    fn too_few(&self, need: usize, fits: usize, how: &'static str) -> Error {
        let around = self.around_source.before.len() + self.around_source.after.len();
        Error::TooFewSentinels {
            objective: self.name,
            need,
            have: self.sentinels.len(),
            source_length: self.budget.source,
            fits: fits + around,
            how,
        }
    }

    /// What an example is made of. For a mixture of denoisers it is the longest chunk that any of them takes: one that
    /// takes less has a part of the chunk, from a random place.
    pub fn unit(&self) -> Unit {
        match &self.work {
            Work::Chunks(chunks) => Unit::Tokens(chunks.length),
            Work::Mixture(modes) => Unit::Tokens(modes.iter().map(|mode| mode.length).max().unwrap_or(0)),
            Work::Sentences { .. } => Unit::Document,
        }
    }

    /// Appends an example to `input` and `target`, both in what the tokenizer puts around a text (`</s>` behind it in
    /// T5), and neither longer than its budget. For [`Unit::Tokens`] it is made of `ids`, raw tokens without `</s>`, of
    /// which those beyond the unit's length are left out; for [`Unit::Document`] of `text`.
    ///
    /// # Errors
    /// [`Error::TooShort`]; nothing is appended then.
    pub fn example(
        &self,
        ids: &[u32],
        text: &str,
        choices: &mut dyn Choices,
        input: &mut Vec<u32>,
        target: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let chunks = match &self.work {
            Work::Chunks(chunks) => chunks,
            Work::Mixture(modes) => &modes[ul2::pick(choices.uniform())],
            Work::Sentences { choice, share } => {
                return self.gap_sentences(text, *choice, *share, input, target);
            }
        };
        let short =
            |have| Error::TooShort { objective: self.name, what: "tokens", need: chunks.least(), have };
        if ids.len() < chunks.least() {
            return Err(short(ids.len()));
        }
        let spare = ids.len().saturating_sub(chunks.length);
        let start = match &self.work {
            Work::Mixture(_) if spare > 0 => choices.below(spare + 1),
            _ => 0,
        };
        let ids = &ids[start..ids.len().min(start + chunks.length)];
        input.extend_from_slice(&self.around_source.before);
        input.extend_from_slice(&chunks.mode);
        target.extend_from_slice(&self.around_target.before);
        self.corrupt(chunks, ids, choices, input, target);
        input.extend_from_slice(&self.around_source.after);
        target.extend_from_slice(&self.around_target.after);
        Ok(())
    }

    fn corrupt(
        &self,
        chunks: &Chunks,
        ids: &[u32],
        choices: &mut dyn Choices,
        input: &mut Vec<u32>,
        target: &mut Vec<u32>,
    ) {
        let density = chunks.noise_density;
        let [_, room] = self.room();
        let sentinel = self.sentinels.first().copied().unwrap_or(0);
        match chunks.way {
            Way::Spans { mean } => {
                let mask = masks::random_spans(ids.len(), density, mean, choices);
                corrupt::span_to_unique_sentinel(ids, &mask, true, &self.sentinels, input);
                corrupt::span_to_unique_sentinel(ids, &mask, false, &self.sentinels, target);
            }
            Way::IidUnique => {
                let mut mask = masks::iid(ids.len(), density, choices);
                corrupt::within(&mut mask, self.sentinels.len(), room);
                corrupt::span_to_unique_sentinel(ids, &mask, true, &self.sentinels, input);
                corrupt::span_to_unique_sentinel(ids, &mask, false, &self.sentinels, target);
            }
            Way::BertStyle => {
                let mask = masks::iid(ids.len(), density, choices);
                let vocab_size = self.tokenizer.vocab_size();
                corrupt::token_to_random_or_sentinel(ids, &mask, sentinel, vocab_size, choices, input);
                target.extend_from_slice(ids);
            }
            Way::MassStyle => {
                let mask = masks::iid(ids.len(), density, choices);
                corrupt::token_to_sentinel(ids, &mask, sentinel, input);
                target.extend_from_slice(ids);
            }
            Way::DropTokens => {
                let mut mask = masks::iid(ids.len(), density, choices);
                corrupt::at_most(&mut mask, room);
                corrupt::only(ids, &mask, false, input);
                corrupt::only(ids, &mask, true, target);
            }
            Way::Deshuffle => {
                input.extend(choices.order(ids.len()).into_iter().map(|from| ids[from]));
                target.extend_from_slice(ids);
            }
            Way::Prefix => {
                let (prefix, rest) = ids.split_at(masks::prefix(ids.len(), density, choices));
                input.extend_from_slice(prefix);
                target.extend_from_slice(rest);
            }
            Way::Nothing => target.extend_from_slice(ids),
        }
    }

    /// The beginning of a text that fills the input, less the sentences that are taken out, which are the target.
    fn gap_sentences(
        &self,
        text: &str,
        choice: SentenceChoice,
        share: f64,
        input: &mut Vec<u32>,
        target: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let [source_room, target_room] = self.room();
        let most = source_room + target_room.min((source_room as f64 * share).ceil() as usize);
        let all = sentences::cut(text);
        // Two at least, whatever their length.
        let (mut taken, mut tokens) = (0, 0);
        while taken < all.len() && (taken < 2 || tokens < most) {
            tokens += self.tokenizer.encode(all[taken]).len();
            taken += 1;
        }
        let taken = &all[..if taken > 2 && tokens > most { taken - 1 } else { taken }];
        if taken.len() < 2 {
            let have = taken.len();
            return Err(Error::TooShort { objective: self.name, what: "sentences", need: 2, have });
        }
        let gaps = sentences::choose(taken, choice, share);
        input.extend_from_slice(&self.around_source.before);
        let (start, mut run) = (input.len(), String::new());
        let mut summary = String::new();
        for (sentence, gap) in taken.iter().zip(&gaps) {
            match (gap, choice) {
                (false, _) => run += sentence,
                (true, SentenceChoice::Lcs) => summary += sentence,
                (true, SentenceChoice::Rouge1) => {
                    summary += sentence;
                    input.extend(self.tokenizer.encode(&std::mem::take(&mut run)));
                    input.push(self.sentinels[0]);
                }
            }
        }
        input.extend(self.tokenizer.encode(&run));
        input.truncate(start + source_room);
        input.extend_from_slice(&self.around_source.after);
        self.tokenizer.encode_wrapped(summary.as_bytes(), &self.around_target, self.budget.target, target);
        Ok(())
    }
}

/// The longest chunk whose corrupted spans leave at most `source` and `target` tokens, `</s>` not counted; t5's where
/// the target is long enough for t5, which refuses shorter ones. A token less where t5's helper and its mask round
/// differently, and t5 cuts the token that is too many.
fn spans_chunk(source: usize, target: usize, density: f64, mean: f64) -> usize {
    let (mut length, _) = spans_length_below(source + 1, density, mean, source + target);
    let fits = |length: usize| {
        let [noise, spans] = masks::noise(length, density, mean);
        length - noise + spans <= source && noise + spans <= target
    };
    while length >= 2 && !fits(length) {
        length -= 1;
    }
    length
}

/// The last of `0..=most` for which something holds that holds below it too; 0 where it holds for none.
fn last(most: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}
