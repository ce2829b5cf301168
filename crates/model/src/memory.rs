//! How much memory a model needs, and how much there is.
//!
//! A model says how wide its layers are ([`Widths`]); everything that is predicted follows from that.

/// How wide a model's layers are, and how many it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Rows of the softmax.
    pub rows: usize,
    /// Width of hidden states.
    pub d_model: usize,
    /// Width of all heads together.
    pub inner: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Width within a feed-forward layer.
    pub d_ff: usize,
    /// Whether feed-forward layers have a gate, as wide again.
    pub gated: bool,
    /// Layers that source tokens pass through.
    pub encoder_layers: usize,
    /// Layers that target tokens pass through, each with attention to its own past and to the source; 0 where source and
    /// target pass through one stack together, the encoder's.
    pub decoder_layers: usize,
    /// Whether a dense layer stands between the last layer and the softmax (BERT).
    pub transform: bool,
    /// Whether vectors by relative position stand beside keys and values (NEZHA): such attention is in f32 in any case.
    pub beside_keys: bool,
}

/// What memory is predicted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Sequences worked on together.
    pub sequences: usize,
    /// Tokens of each source.
    pub source_tokens: usize,
    /// Tokens generated, or of each target.
    pub target_tokens: usize,
    /// Bytes that a number is kept in while decoding, of keys and values or of features.
    pub kept: u64,
}

/// How far a training pass goes back, and what it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayBack {
    /// Whether gradients go through the encoder.
    pub encoder: bool,
    /// Whether they go through the decoder.
    pub decoder: bool,
    /// Whether layers are computed again instead of kept.
    pub recompute: bool,
    /// Logits held at a time, beside those of sixteen tokens.
    pub chunk: usize,
    /// Whether a GPU does it.
    pub device: bool,
    /// Whether its products are in bf16.
    pub bf16: bool,
}

impl WayBack {
    /// Whether factors of products are copied in bf16.
    fn rounds(self) -> bool {
        self.device && self.bf16
    }

    /// Bytes of numbers that are kept for products alone.
    fn multiplied(self, numbers: u64) -> u64 {
        if self.rounds() { 2 * numbers } else { 4 * numbers }
    }
}

impl Widths {
    /// Bytes a token that an attention layer keeps for the way back: what goes in and its norm, queries, keys and values,
    /// what it found.
    fn kept_by_attention(&self, way: WayBack) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        let heads = match self.beside_keys && way.rounds() {
            // What it found once more, for the product behind it.
            true => (4 * 4 + 2) * inner,
            false => way.multiplied(4 * inner),
        };
        4 * d + way.multiplied(d) + heads
    }

    /// Bytes a token that a feed-forward layer keeps: what goes in and its norm, both halves and their product.
    fn kept_by_feed_forward(&self, way: WayBack) -> u64 {
        let (d, ff) = (self.d_model as u64, self.d_ff as u64);
        4 * (d + self.within() - ff) + way.multiplied(d + ff)
    }

    /// Numbers a token that a feed-forward layer makes between its two products.
    fn within(&self) -> u64 {
        ((if self.gated { 3 } else { 2 }) * self.d_ff) as u64
    }

    /// Numbers a token of queries, or of what they found, in terms of the source's features.
    fn over_features(&self) -> u64 {
        (self.num_heads * self.d_model) as u64
    }

    /// Whether it takes fewer multiplications to look at the source's features than to make keys and values of all
    /// `sources` tokens first, when `targets` tokens look at them, `pairs` in all.
    pub(crate) fn features_cost_less(&self, sources: usize, targets: usize, pairs: usize) -> bool {
        let [sources, targets, pairs, d, heads, inner] =
            [sources, targets, pairs, self.d_model, self.num_heads, self.inner].map(|n| n as u128);
        pairs * heads * d + targets * d * inner <= sources * d * inner + pairs * inner
    }

    /// Whether source and target are one sequence, in one stack.
    fn one_stack(&self) -> bool {
        self.decoder_layers == 0
    }

    /// Whether a decoder that is fed at most so many tokens for each source looks at the source's features. It depends
    /// on nothing else, so that a source gets the same alone and in company; the weights pass by in any case.
    pub fn generates_few(&self, tokens: usize) -> bool {
        !self.one_stack() && self.features_cost_less(1, 0, tokens)
    }

    /// Bytes of activations, at their widest, while so many source tokens are encoded together.
    pub fn encoding_bytes(&self, tokens: usize) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        (4 * tokens as u64).saturating_mul(2 * d + (4 * inner).max(self.within()))
    }

    /// Bytes that a decoder holds of sources and of what it was fed, one hypothesis of each source.
    pub fn cache_bytes(&self, work: Work) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        let source = (work.sequences as u64).saturating_mul(work.source_tokens as u64);
        let positions = (work.sequences as u64).saturating_mul(work.target_tokens as u64);
        let layers = if self.one_stack() { self.encoder_layers } else { self.decoder_layers } as u64;
        let few = self.generates_few(work.target_tokens);
        let seen = source.saturating_mul(if few { d } else { layers * 2 * inner });
        seen.saturating_add(positions.saturating_mul(layers * 2 * inner)).saturating_mul(work.kept)
    }

    /// Bytes of a decoding step of so many hypotheses with its logits; `tokens`: those that a source is fed.
    pub fn step_bytes(&self, hypotheses: usize, tokens: usize) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        let wide = if self.generates_few(tokens) { 2 * self.over_features() } else { 0 };
        (4 * hypotheses as u64).saturating_mul(self.rows as u64 + 2 * d + 3 * inner + wide + self.within())
    }

    /// Bytes of activations while given targets are scored together.
    pub fn scoring_bytes(&self, work: Work, chunk: usize) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        let (s, t) = (work.sequences * work.source_tokens, work.sequences * work.target_tokens);
        if self.one_stack() {
            return self.encoding_bytes(s + t).max(4 * (2 * t as u64 * d + self.logits(t as u64, chunk)));
        }
        let decoder = t as u64 * (3 * d + (4 * inner).max(self.within())) + s as u64 * (d + 2 * inner);
        self.encoding_bytes(s).max(4 * (decoder + self.logits(t as u64, chunk)))
    }

    /// Numbers of the logits that are there at a time.
    fn logits(&self, targets: u64, chunk: usize) -> u64 {
        let rows = self.rows as u64;
        (chunk as u64).max(16 * rows).min(targets * rows)
    }

    /// Bytes that a training pass keeps for its way back, and of the working memory on top, for batches of so many source
    /// and target tokens.
    ///
    /// Counts what the operations save: of every encoder layer the norms' inputs and outputs, queries, keys and values,
    /// the attention's output, both halves of the feed-forward layer and their product; of a decoder layer the same and
    /// the cross-attention; of the softmax a chunk of logits. A GPU keeps what products in bf16 alone read in that. Layers
    /// that no gradient goes through save nothing, those that are computed again their input.
    pub fn training_bytes(&self, source_tokens: usize, target_tokens: usize, way: WayBack) -> u64 {
        let (s, t) = (source_tokens as u64, target_tokens as u64);
        if self.one_stack() {
            return self.training_bytes_of_one_stack(s, t, way);
        }
        let (d, ff, inner) = (self.d_model as u64, self.d_ff as u64, self.inner as u64);
        let (attention, feed_forward) = (self.kept_by_attention(way), self.kept_by_feed_forward(way));
        let keys = way.multiplied(2 * s * inner);
        // A block that is computed again keeps its input alone, and one of them at a time all of this.
        let (attention, feed_forward, block) = match way.recompute {
            false => (attention, feed_forward, 0),
            true => (0, 4 * d, (s + t) * (2 * attention + feed_forward) + keys),
        };
        // Keys and values of the source, or where targets are short queries and findings as wide as its features.
        let wide = 4 * t * self.over_features();
        // A GPU always makes keys and values.
        let source = if wide <= keys && !way.device { keys.max(2 * wide) } else { keys };
        let encoder =
            if way.encoder { self.encoder_layers as u64 * s * (attention + feed_forward) } else { 0 };
        let kept = if way.recompute { 0 } else { source };
        let decoder = match way.decoder {
            true => self.decoder_layers as u64 * (t * (2 * attention + feed_forward) + kept),
            false => 0,
        };
        // On the way back: gradients of one block's activations, and of the encoder's output.
        let working = s * (2 * d + 2 * ff + 3 * inner) + 2 * s * d;
        encoder + decoder + block + 4 * (self.logits(t, way.chunk) + working) + self.narrowed(t, way)
    }

    /// The same where source and target are one sequence: of every layer the norms' inputs and outputs, queries, keys and
    /// values, the attention's output, what the feed-forward layer makes before and after its activation. From the last
    /// layer only what says a target token goes on: of the others there are its input, keys and values.
    fn training_bytes_of_one_stack(&self, s: u64, t: u64, way: WayBack) -> u64 {
        let (d, inner) = (self.d_model as u64, self.inner as u64);
        let (tokens, layer) = (s + t, self.kept_by_attention(way) + self.kept_by_feed_forward(way));
        let layers = (self.encoder_layers as u64).saturating_sub(1);
        // Of T5 its norm's output too, which comes before keys and values.
        let input = if self.transform { 0 } else { way.multiplied(d) };
        let last = tokens * (4 * d + input + way.multiplied(2 * inner)) + t * layer;
        let kept = match (way.encoder, way.recompute) {
            (false, _) => 0,
            (true, false) => layers * tokens * layer + last,
            (true, true) => (layers + 1) * tokens * 4 * d + tokens * layer,
        };
        // The transform before the softmax: its input, before and after the activation, and normalised; or a last norm.
        let head = (if self.transform { 4 } else { 2 }) * t * d + self.logits(t, way.chunk);
        // On the way back: gradients of one layer's activations.
        let working = tokens * (2 * d + self.within() + 3 * inner);
        kept + 4 * (head + working) + self.narrowed(t, way)
    }

    /// Bytes of the factors of a GPU's largest product in bf16, which are copies.
    fn narrowed(&self, targets: u64, way: WayBack) -> u64 {
        match way.rounds() {
            true => 2 * (self.logits(targets, way.chunk) + (self.rows * self.d_model) as u64),
            false => 0,
        }
    }
}

/// Bytes that this process could still be given: what the system has left, and what the limit of its control group
/// leaves; `None` where the system does not tell.
pub fn available_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let field = |text: &str, name: &str, unit: u64| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * unit)
    };
    let system = read("/proc/meminfo").and_then(|text| field(&text, "MemAvailable", 1024));
    let group = || {
        let limit: u64 = read("/sys/fs/cgroup/memory.max")?.trim().parse().ok()?;
        let used: u64 = read("/sys/fs/cgroup/memory.current")?.trim().parse().ok()?;
        // Cached files go when memory is needed.
        let cached =
            read("/sys/fs/cgroup/memory.stat").and_then(|s| field(&s, "inactive_file", 1)).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    };
    match (system, group()) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{T5Architecture, T5Config};

    #[test]
    fn generation_of_mt5_small() {
        let widths = crate::t5::widths(&T5Config::default());
        let work = Work { sequences: 16, source_tokens: 256, target_tokens: 128, kept: 4 };
        // 8 layers of keys and values: 4,096 + 2,048 positions of 768 floats; logits of 16 × 250,112.
        assert_eq!(widths.cache_bytes(work), 8 * (4096 + 2048) * 768 * 4);
        assert!((16 * 250_112 * 4..20 << 20).contains(&widths.step_bytes(16, 128)));
        // Short targets need none of the sources'.
        let short = Work { target_tokens: 32, ..work };
        assert_eq!(widths.cache_bytes(short), (4096 * 512 + 8 * 512 * 768) * 4);
        let none = Work { sequences: 0, source_tokens: 0, target_tokens: 0, kept: 4 };
        assert_eq!(
            (widths.cache_bytes(none), widths.encoding_bytes(0), widths.scoring_bytes(none, 1)),
            (0, 0, 0)
        );
        assert!(widths.scoring_bytes(short, 1 << 20) > widths.encoding_bytes(4096) / 2);
    }

    /// BERT base: 12 layers of keys and values of the sources, for which nothing else is kept however short targets are.
    #[test]
    fn one_stack() {
        let widths = crate::bert::widths(&crate::BertConfig::default());
        let work = Work { sequences: 16, source_tokens: 256, target_tokens: 8, kept: 4 };
        assert_eq!(widths.cache_bytes(work), 12 * 16 * (256 + 8) * 2 * 768 * 4);
        assert!(!widths.generates_few(1));
        let way = WayBack {
            encoder: true,
            decoder: true,
            recompute: false,
            chunk: 32 << 20,
            device: false,
            bf16: false,
        };
        let bytes = |way| widths.training_bytes(16 * 256, 16 * 32, way);
        // 11 layers of 12,288 numbers a token.
        assert!((11 * 4608 * 12_288 * 4..12 * 4608 * 12_288 * 4 + (400 << 20)).contains(&bytes(way)));
        assert!(bytes(WayBack { recompute: true, ..way }) < bytes(way) / 3);
        assert!(bytes(WayBack { encoder: false, ..way }) < bytes(way) / 5);
    }

    /// T5 as a language model: one stack of the decoder's layers, without a transform before the softmax.
    #[test]
    fn a_language_model() {
        let config = T5Config { num_decoder_layers: 4, ..T5Config::default() };
        let lm = config.clone().arranged(Some(T5Architecture::LanguageModel), false).unwrap();
        let widths = crate::t5::widths(&lm);
        assert_eq!((widths.encoder_layers, widths.decoder_layers), (4, 0));
        let work = Work { sequences: 2, source_tokens: 100, target_tokens: 8, kept: 4 };
        assert_eq!(widths.cache_bytes(work), 4 * 2 * (100 + 8) * 2 * 384 * 4);
        assert!(!widths.generates_few(1));
        // A step reads four layers and the softmax, and nothing else.
        let layer = 4 * 512 * 384 + 3 * 512 * 1024;
        assert_eq!(widths.step_weights(9), f64::from(4 * layer + 512 * 250_112));
        // What encoder and decoder share is counted once, and both of them pass through it.
        let shared = T5Config { num_layers: 4, ..config.clone() };
        let shared = shared.arranged(Some(T5Architecture::Shared), false).unwrap();
        let widths = crate::t5::widths(&shared);
        assert_eq!((widths.encoder_layers, widths.decoder_layers), (4, 4));
        let elements = |c: &T5Config| crate::t5::layout(c).iter().map(|s| s.elements()).sum::<u64>();
        let cross = 4 * (4 * 512 * 384 + 512);
        assert_eq!(elements(&shared), elements(&lm) + cross);
        let plain = T5Config { num_layers: 4, ..config };
        assert_eq!(elements(&plain), 2 * elements(&lm) + cross - 2 * 512 * 250_112);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(available_bytes().unwrap() > 0);
    }
}
