//! The work that generating is, part by part: operations and bytes, and the least time that they can take on a machine whose
//! rates are known.
//!
//! Counted is what is done, by the rules of [`Widths`]: where targets are short the decoder looks at the source's features
//! instead of at keys and values of every layer. A multiply-add counts as two operations. Weights count once a step, in their
//! storage type, keys and values in what they are kept in, however often a cache loses them. What is not counted (norms, the
//! attention's softmax, activations and their traffic, the search) is why a floor is not reached.

use crate::memory::Widths;

/// A part of some work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// What is done.
    pub name: &'static str,
    /// Operations; a multiply-add is two.
    pub operations: f64,
    /// Bytes read.
    pub bytes: f64,
}

impl Work {
    /// The least seconds that it takes at so many operations a second and so many bytes a second, both at the same time.
    pub fn seconds(&self, operations_per_second: f64, bytes_per_second: f64) -> f64 {
        (self.operations / operations_per_second).max(self.bytes / bytes_per_second)
    }
}

/// Generation that is counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generation<'a> {
    /// Tokens of each source.
    pub sources: &'a [usize],
    /// Sources worked on together.
    pub batch: usize,
    /// Hypotheses of each source.
    pub hypotheses: usize,
    /// Tokens generated for each hypothesis.
    pub new_tokens: usize,
    /// Bytes of a number of the layers' weights.
    pub number: f64,
    /// Bytes of a number of the softmax.
    pub softmax: f64,
    /// Bytes of a number of the source's features, where the decoder looks at those.
    pub feature: f64,
    /// Bytes of a number of keys and values.
    pub kept: f64,
}

impl Widths {
    /// Weights of a feed-forward layer.
    fn ff_weights(&self) -> f64 {
        ((if self.gated { 3 } else { 2 }) * self.d_model * self.d_ff) as f64
    }

    /// Weights of an attention's four projections.
    fn attention_weights(&self) -> f64 {
        (4 * self.d_model * self.inner) as f64
    }

    /// Weights that a step reads, softmax and all, of hypotheses that are fed so many tokens.
    pub fn step_weights(&self, fed: usize) -> f64 {
        let layers = match self.decoder_layers {
            0 => self.encoder_layers as f64 * (self.attention_weights() + self.ff_weights()),
            _ => self.decoder_weights(self.generates_few(fed)),
        };
        layers + self.head_weights()
    }

    /// Weights that a target token passes through in the decoder: self-attention, the other's query and output, feed-forward;
    /// and the other's keys and values where it looks at features.
    fn decoder_weights(&self, few: bool) -> f64 {
        let cross = if few { self.attention_weights() } else { self.attention_weights() / 2.0 };
        self.decoder_layers as f64 * (self.attention_weights() + cross + self.ff_weights())
    }

    /// The softmax's weights, and the transform's before it.
    fn head_weights(&self) -> f64 {
        let transform = if self.transform { self.d_model * self.d_model } else { 0 };
        (self.d_model * self.rows + transform) as f64
    }

    /// The parts of generating.
    pub fn generation_work(&self, of: Generation<'_>) -> Vec<Work> {
        if self.decoder_layers == 0 { self.one_stack_work(of) } else { self.decoder_work(of) }
    }

    fn decoder_work(&self, of: Generation<'_>) -> Vec<Work> {
        let Totals { tokens, squares, rows, steps, new } = of.totals();
        let [d, inner, heads] = [self.d_model, self.inner, self.num_heads].map(|n| n as f64);
        let [encoders, decoders] = [self.encoder_layers, self.decoder_layers].map(|n| n as f64);
        // The start token is fed too.
        let few = self.generates_few((1 + of.new_tokens) * of.hypotheses);
        let encoder = encoders * (self.attention_weights() + self.ff_weights());
        let mut parts = vec![Work {
            name: "encoder",
            operations: 2.0 * (encoder * tokens + encoders * 2.0 * inner * squares),
            bytes: encoder * of.number * of.batches(),
        }];
        if !few {
            let keys = decoders * self.attention_weights() / 2.0;
            let (operations, bytes) = (2.0 * keys * tokens, keys * of.number * of.batches());
            parts.push(Work { name: "keys and values of the sources", operations, bytes });
        }
        let through = self.decoder_weights(few);
        parts.push(Work {
            name: "decoder layers",
            operations: 2.0 * through * rows * new,
            bytes: through * of.number * steps,
        });
        // Of its own past each token sees itself and those before, of the source all: scores, and sums over values.
        let own = rows * new * (new + 1.0) / 2.0 * inner;
        let wide = if few { heads * d } else { inner };
        let looked = of.hypotheses as f64 * tokens * new * wide;
        let position = decoders * 2.0 * inner;
        let source = if few { of.feature * d } else { of.kept * position };
        let past = of.kept * position * (new + 1.0) / 2.0;
        parts.push(Work {
            name: "decoder attention",
            operations: 2.0 * decoders * 2.0 * (own + looked),
            bytes: new * (source * tokens + past * rows),
        });
        parts.push(self.softmax_work(of));
        parts
    }

    /// One stack: the last layer makes keys and values of all source tokens, and nothing else.
    fn one_stack_work(&self, of: Generation<'_>) -> Vec<Work> {
        let Totals { tokens, squares, rows, steps, new } = of.totals();
        let (inner, layers) = (self.inner as f64, self.encoder_layers as f64);
        let layer = self.attention_weights() + self.ff_weights();
        let source = (layers - 1.0) * layer + self.attention_weights() / 2.0;
        // A token sees the source and what was said, (new + 1) / 2 on average, in every layer.
        let said = rows * (new + 1.0) / 2.0;
        let seen = layers * 2.0 * inner * new * (of.hypotheses as f64 * tokens + said);
        let read = layers * 2.0 * inner * new * (tokens + said);
        vec![
            Work {
                name: "sources",
                operations: 2.0 * (source * tokens + (layers - 1.0) * 2.0 * inner * squares),
                bytes: source * of.number * of.batches(),
            },
            Work {
                name: "layers of steps",
                operations: 2.0 * layers * layer * rows * new,
                bytes: layers * layer * of.number * steps,
            },
            Work { name: "attention of steps", operations: 2.0 * seen, bytes: of.kept * read },
            self.softmax_work(of),
        ]
    }

    fn softmax_work(&self, of: Generation<'_>) -> Work {
        let Totals { rows, steps, new, .. } = of.totals();
        let weights = self.head_weights();
        let (operations, bytes) = (2.0 * weights * rows * new, weights * of.softmax * steps);
        Work { name: "softmax", operations, bytes }
    }
}

/// Sums that the parts are made of.
struct Totals {
    /// Source tokens.
    tokens: f64,
    /// Pairs of tokens of the same source.
    squares: f64,
    /// Hypotheses of all sources.
    rows: f64,
    /// Steps of all batches.
    steps: f64,
    /// Tokens generated for each hypothesis.
    new: f64,
}

impl Generation<'_> {
    fn batches(&self) -> f64 {
        self.sources.len().div_ceil(self.batch.max(1)) as f64
    }

    fn totals(&self) -> Totals {
        let lengths = self.sources.iter().map(|&n| n as f64);
        Totals {
            tokens: lengths.clone().sum(),
            squares: lengths.map(|n| n * n).sum(),
            rows: (self.sources.len() * self.hypotheses) as f64,
            steps: self.batches() * self.new_tokens as f64,
            new: self.new_tokens as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BertConfig, T5Config};

    /// Sums as `bench/harness/floor.py` has them for such a shape: all but the encoder's bytes, which it does not count.
    #[test]
    fn a_batch_of_mt5_small() {
        let widths = Widths { rows: 32_704, ..crate::t5::widths(&T5Config::default()) };
        let sources = [256; 16];
        let of = Generation {
            sources: &sources,
            batch: 16,
            hypotheses: 1,
            new_tokens: 32,
            number: 4.0,
            softmax: 4.0,
            feature: 4.0,
            kept: 4.0,
        };
        let parts = widths.generation_work(of);
        let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
        assert_eq!(names, ["encoder", "decoder layers", "decoder attention", "softmax"]);
        // d 512, six heads of 64, d_ff 1024 gated, 8 layers.
        let (attention, ff) = (4.0 * 512.0 * 384.0, 3.0 * 512.0 * 1024.0);
        let encoder = 8.0 * (attention + ff);
        let own = 8.0 * 2.0 * 384.0 * 256.0 * 256.0;
        assert_eq!(parts[0].operations, 2.0 * 16.0 * (encoder * 256.0 + own));
        let decoder = 8.0 * (2.0 * attention + ff);
        assert_eq!(parts[1].operations, 2.0 * decoder * 16.0 * 32.0);
        assert_eq!(parts[1].bytes, 4.0 * decoder * 32.0);
        // The features once for all layers, and of each layer keys and values, 16.5 positions on average.
        assert_eq!(parts[2].bytes, 4.0 * 32.0 * 16.0 * (512.0 * 256.0 + 8.0 * 2.0 * 384.0 * 16.5));
        let attention = 8.0 * 2.0 * (384.0 * 16.0 * 528.0 + 6.0 * 512.0 * 16.0 * 256.0 * 32.0);
        assert_eq!(parts[2].operations, 2.0 * attention);
        assert_eq!(parts[3].bytes, 4.0 * 512.0 * 32_704.0 * 32.0);
        assert_eq!(widths.step_weights(33), decoder + 512.0 * 32_704.0);
        // Half the bytes, the same operations; one by one sixteen times the steps.
        let halves = widths.generation_work(Generation { number: 2.0, softmax: 2.0, ..of });
        assert_eq!((halves[1].operations, halves[1].bytes), (parts[1].operations, parts[1].bytes / 2.0));
        let apart = widths.generation_work(Generation { batch: 1, ..of });
        assert_eq!(apart[3].bytes, 16.0 * parts[3].bytes);
        // Long targets have keys and values made for them.
        let long = widths.generation_work(Generation { new_tokens: 200, ..of });
        assert_eq!(long[1].name, "keys and values of the sources");
    }

    /// What `bench/harness/floor.py` says of sixteen sources of 200 to 215 tokens.
    #[test]
    fn the_sums_are_those_of_the_harness() {
        let widths = Widths { rows: 32_704, ..crate::t5::widths(&T5Config::default()) };
        let sources: Vec<usize> = (200..216).collect();
        let of = |batch, hypotheses, new_tokens| {
            let numbers = Generation {
                number: 4.0,
                softmax: 4.0,
                feature: 4.0,
                kept: 4.0,
                sources: &sources,
                batch,
                hypotheses,
                new_tokens,
            };
            let parts = widths.generation_work(numbers);
            parts.iter().skip(1).map(|part| (part.operations, part.bytes)).collect::<Vec<_>>()
        };
        let few = [
            (25_769_803_776.0, 3_221_225_472.0),
            (10_547_625_984.0, 425_197_568.0),
            (17_146_314_752.0, 2_143_289_344.0),
        ];
        assert_eq!(of(16, 1, 32), few);
        let beams = of(1, 4, 32);
        let decoder = [
            (90_194_313_216.0, 45_097_156_608.0),
            (5_637_144_576.0, 3_441_426_432.0),
            (68_585_259_008.0, 34_292_629_504.0),
        ];
        assert_eq!((beams[0].0, &beams[1..]), (20_887_633_920.0, &decoder[..]));
        let encoder = widths.generation_work(Generation {
            sources: &sources,
            batch: 16,
            hypotheses: 1,
            new_tokens: 1,
            number: 4.0,
            softmax: 4.0,
            feature: 4.0,
            kept: 4.0,
        });
        assert_eq!(encoder[0].operations, 133_795_184_640.0);
    }

    #[test]
    fn one_stack() {
        let widths = crate::bert::widths(&BertConfig::default());
        let of = Generation {
            sources: &[100],
            batch: 1,
            hypotheses: 1,
            new_tokens: 1,
            number: 4.0,
            softmax: 4.0,
            feature: 4.0,
            kept: 4.0,
        };
        let parts = widths.generation_work(of);
        let layer = 12.0 * 768.0 * 768.0;
        assert_eq!(parts[1].operations, 2.0 * 12.0 * layer);
        // A token sees the source and itself.
        assert_eq!(parts[2].operations, 2.0 * 12.0 * 2.0 * 768.0 * 101.0);
        let seconds = parts[1].seconds(1e9, 1e9);
        assert_eq!(seconds, parts[1].bytes / 1e9);
        let four = widths.generation_work(Generation { hypotheses: 4, ..of });
        assert_eq!((four[1].operations, four[1].bytes), (4.0 * parts[1].operations, parts[1].bytes));
    }
}
