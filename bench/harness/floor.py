"""The least time that t5kit's way of doing the work can take here: operations over the measured rate of matrix
products, bytes over the measured bandwidth, part by part, the larger of the two each. The rates come from
`crates/tensor/examples/machine.rs`.

Counted is what t5kit does, by its own rules. Where targets are short the decoder looks at the source's features
instead of at keys and values of every layer (`crates/model/src/memory.rs`: `features_cost_less`): that is less
work, and the floor is lower with it. Bytes count once a step, however often a cache loses them.

A multiply-add counts as two operations. Weights and caches of f32 have 4 bytes a number, those of bf16 two. What is not counted (norms, softmax,
activations, activations' traffic, the tokenizer) is why the floor is not reached.
"""
import json
import os
import statistics
from dataclasses import dataclass

import process

STEP_MB = 155  # machine.rs's size nearest to what a decoder step of mT5-small reads
F32, BF16 = 4, 2
# AdamW reads weight, gradient and both moments, and writes all but the gradient; of rows of the embedding that no text
# has had so far it reads and writes the weight alone, which decays.
ADAMW_BYTES = 7 * F32
DECAY_BYTES = 2 * F32
# Products of scores and of sums over values: two forwards; backwards the scores once more, and two for each.
ATTENTION_BACKWARD = 5 / 2


@dataclass
class Rates:
    flops: float  # operations a second of f32 matrix products, all threads: the median over mT5-small's shapes
    bandwidth: float  # bytes a second read by all threads
    bf16: float  # operations a second of products in bf16 as t5kit makes them, all threads
    int8: float  # operations a second of int8 products, all threads: the instruction by itself, from registers


@dataclass
class Part:
    name: str
    operations: float
    bytes: float
    int8: float = 0  # operations that are done in int8, beside the others
    bf16: float = 0  # and in bf16

    def seconds(self, rates):
        arithmetic = self.operations / rates.flops + self.int8 / rates.int8 + self.bf16 / rates.bf16
        return max(arithmetic, self.bytes / rates.bandwidth)


@dataclass
class Shape:
    """Sizes of a T5 network, and the multiply-adds and weights they lead to."""

    d: int
    heads: int
    inner: int
    ff: int  # weights of one feed-forward layer
    encoder_layers: int
    decoder_layers: int
    rows: int

    @classmethod
    def read(cls, directory):
        with open(os.path.join(directory, "config.json"), encoding="utf8") as f:
            c = json.load(f)
        matrices = 3 if c["feed_forward_proj"].startswith("gated") else 2
        return cls(c["d_model"], c["num_heads"], c["num_heads"] * c["d_kv"], matrices * c["d_model"] * c["d_ff"],
                   c["num_layers"], c["num_decoder_layers"], c["vocab_size"])

    @property
    def encoder_weights(self):
        return self.encoder_layers * (4 * self.d * self.inner + self.ff)

    @property
    def cross_weights(self):
        """Key and value matrices of the attention to the source: every source token passes through them, or where the
        decoder looks at features, every target token."""
        return self.decoder_layers * 2 * self.d * self.inner

    @property
    def decoder_weights(self):
        """What each target token passes through: self-attention, cross-attention's query and output, feed-forward."""
        return self.decoder_layers * (6 * self.d * self.inner + self.ff)

    @property
    def softmax_weights(self):
        return self.d * self.rows

    @property
    def dense_parameters(self):
        """All but the embedding, norms and position biases; the softmax is separate."""
        return self.encoder_weights + self.cross_weights + self.decoder_weights + self.softmax_weights

    def features_cost_less(self, sources, targets, pairs):
        """`features_cost_less` of memory.rs: whether `targets` tokens that look at `sources` tokens, `pairs` in all,
        do so with fewer multiplications by way of the features."""
        d, inner = self.d, self.inner
        return pairs * self.heads * d + targets * d * inner <= sources * d * inner + pairs * inner

    def generates_few(self, tokens):
        """`generates_few` of memory.rs: how a source is looked at when its hypotheses are fed so many tokens."""
        return self.features_cost_less(1, 0, tokens)

    def targets_are_short(self, pairs):
        """`targets_are_short` of network.rs, for a training batch of (source, target) lengths."""
        sources, targets = (sum(lengths) for lengths in zip(*pairs))
        return (targets * self.heads * self.d <= 2 * sources * self.inner
                and self.features_cost_less(sources, targets, sum(s * t for s, t in pairs)))

    def encoder_attention(self, sources):
        return self.encoder_layers * 2 * self.inner * sum(n * n for n in sources)

    def own_attention(self, targets):
        """The decoder's, of each position to itself and those before."""
        return self.decoder_layers * 2 * self.inner * sum(t * (t + 1) // 2 for t in targets)

    def source_attention(self, pairs, few):
        """Scores and sums over the source: as wide as its features for every head, or as keys and values."""
        return self.decoder_layers * 2 * (self.heads * self.d if few else self.inner) * sum(s * t for s, t in pairs)


@dataclass
class UniLM:
    """Sizes of a BERT as UniLM. The last layer makes keys and values of all tokens, and all else of those that say
    something alone."""

    d: int
    ff: int
    layers: int
    rows: int

    @classmethod
    def read(cls, directory):
        with open(os.path.join(directory, "config.json"), encoding="utf8") as f:
            c = json.load(f)
        return cls(c["hidden_size"], c["intermediate_size"], c["num_hidden_layers"], c["vocab_size"])

    @property
    def layer(self):
        return 4 * self.d**2 + 2 * self.d * self.ff

    @property
    def head(self):
        """The transform and the softmax, which is the embedding."""
        return self.d**2 + self.d * self.rows

    def layer_weights(self, tokens, saying):
        """Multiply-adds of the layers' products: `tokens` in all, `saying` of them go on from the last layer."""
        keys = 2 * self.d**2
        return (self.layers - 1) * self.layer * tokens + keys * tokens + (self.layer - keys) * saying

    def attention(self, source, target):
        """Multiply-adds of scores and sums: the source sees itself, the target the source and its own past; the last
        target token is fed to nobody. From the last layer only what says something looks."""
        own = sum(source + i for i in range(1, target))
        return 2 * self.d * ((self.layers - 1) * (source**2 + own) + (source + own if target else 0))


def unilm_training(space, batches):
    """Parts of training a BERT on `batches` of (source, target) lengths once, forward and backward."""
    shape = UniLM.read(space.bert)
    pairs = [pair for batch in batches for pair in batch]
    tokens, saying = sum(s + t - 1 for s, t in pairs), sum(t for _, t in pairs)
    attention = sum(shape.attention(s, t) for s, t in pairs)
    parameters = shape.layers * shape.layer + shape.head
    return [
        Part("layers", 6 * shape.layer_weights(tokens, saying), 0),
        Part("attention", 2 * (1 + ATTENTION_BACKWARD) * attention, 0),
        Part("head", 6 * shape.head * saying, 0),
        Part("AdamW", 0, ADAMW_BYTES * parameters * len(batches)),
    ]


def in_bf16(part):
    """The same with products in bf16, of half the bytes."""
    return Part(part.name, 0, part.bytes * BF16 / F32, bf16=part.operations)


def unilm_generation(space, sources, batch, new_tokens):
    """Parts of generating `new_tokens` for sources of these lengths with a BERT, in batches of `batch`."""
    shape = UniLM.read(space.bert)
    steps = new_tokens * -(-len(sources) // batch)
    through = shape.layers * shape.layer
    # A step looks at the source and at what was said, (new_tokens + 1) / 2 on average, in every layer.
    seen = shape.layers * 2 * shape.d * sum(s + (new_tokens + 1) / 2 for s in sources) * new_tokens
    encoded = shape.layer_weights(sum(sources), 0) + sum(shape.attention(s, 0) for s in sources)
    said = len(sources) * new_tokens
    return [
        Part("sources", 2 * encoded, 0),
        Part("layers of steps", 2 * through * said, F32 * through * steps),
        Part("attention of steps", 2 * seen, F32 * seen),
        Part("head", 2 * shape.head * said, F32 * shape.head * steps),
    ]


def rates(space):
    """Measured once in a call of bench/run."""
    if getattr(space, "rates", None) is None:
        target = os.path.join(space.work, "target")
        build = ["cargo", "build", "--release", "-p", "t5kit-tensor", "--example", "machine", "--target-dir", target]
        process.run([*build, "--manifest-path", os.path.join(space.root, "Cargo.toml")])
        binary = os.path.join(target, "release", "examples", "machine")
        lines = [x.split("\t") for x in process.run([binary, str(space.threads)], lock=space.lock).stdout.splitlines()]
        products = [float(x[5]) for x in lines if x[0] == "gemm" and int(x[1]) > 1000 and int(x[4]) == space.threads]
        reads = [float(x[3]) for x in lines if x[0] == "read" and int(x[1]) == STEP_MB and int(x[2]) == space.threads]
        int8 = [float(x[2]) for x in lines if x[0] == "int8" and int(x[1]) == space.threads]
        bf16 = [float(x[2]) for x in lines if x[0] == "bf16" and int(x[1]) == space.threads]
        space.rates = Rates(statistics.median(products) * 1e9, reads[0] * 1e9, bf16[0] * 1e9, int8[0] * 1e9)
    return space.rates


def lengths(space, model):
    """(source, target) lengths in tokens of every CSL title pair, cut at 256 and 32."""
    spm = space.spiece_of(model)
    name = f"lengths-{os.path.basename(os.path.dirname(spm))}"
    return space.reference(name, "lengths", spm, space.titles)


def generation(space, samples, batch, beams, new_tokens):
    """Parts of generating `new_tokens` for the first `samples` abstracts, in batches of `batch`."""
    shape = Shape.read(space.small)
    sources = [s for s, _ in lengths(space, space.small)[:samples]]
    hypotheses, steps = samples * beams, new_tokens * -(-samples // batch)
    few = shape.generates_few((1 + new_tokens) * beams)  # the start token is fed too
    through = shape.decoder_weights + (shape.cross_weights if few else 0)
    pairs = [(s, new_tokens) for s in sources]
    attention = beams * (shape.own_attention(new_tokens for _ in sources) + shape.source_attention(pairs, few))
    # Every step reads what it sees of the source, once for all hypotheses (features once for all layers), and of the
    # targets so far, (new_tokens + 1) / 2 on average.
    position = shape.decoder_layers * 2 * shape.inner
    seen = (shape.d if few else position) * sum(sources) + position * hypotheses * (new_tokens + 1) / 2
    parts = [Part("encoder", 2 * (shape.encoder_weights * sum(sources) + shape.encoder_attention(sources)), 0)]
    if not few:
        parts.append(Part("keys and values of the sources", 2 * shape.cross_weights * sum(sources), 0))
    return parts + [
        Part("decoder layers", 2 * through * hypotheses * new_tokens, F32 * through * steps),
        Part("decoder attention", 2 * attention, F32 * new_tokens * seen),
        Part("softmax", 2 * shape.softmax_weights * hypotheses * new_tokens, F32 * shape.softmax_weights * steps),
    ]


def generation_in_int8(space, samples, batch, beams, new_tokens):
    """The same with weights and the source's features in int8, a byte a number. Attention of whole sequences and to the
    target so far stay in f32."""
    shape = Shape.read(space.small)
    sources = [s for s, _ in lengths(space, space.small)[:samples]]
    hypotheses, steps = samples * beams, new_tokens * -(-samples // batch)
    few = shape.generates_few((1 + new_tokens) * beams)
    through = shape.decoder_weights + (shape.cross_weights if few else 0)
    pairs = [(s, new_tokens) for s in sources]
    own = beams * shape.own_attention(new_tokens for _ in sources)
    looked = beams * shape.source_attention(pairs, few)
    position = shape.decoder_layers * 2 * shape.inner
    targets = F32 * position * hypotheses * (new_tokens + 1) / 2
    # Features are there twice, by rows and by columns; keys and values are f32.
    seen = (2 * shape.d if few else F32 * position) * sum(sources)
    parts = [Part("encoder", 2 * shape.encoder_attention(sources), 0, 2 * shape.encoder_weights * sum(sources))]
    if not few:
        parts.append(Part("keys and values of the sources", 0, 0, 2 * shape.cross_weights * sum(sources)))
    return parts + [
        Part("decoder layers", 0, through * steps, 2 * through * hypotheses * new_tokens),
        Part("decoder attention", 2 * (own + (0 if few else looked)), new_tokens * (seen + targets),
             2 * looked if few else 0),
        Part("softmax", 0, shape.softmax_weights * steps, 2 * shape.softmax_weights * hypotheses * new_tokens),
    ]


def scoring_in_int8(space, samples):
    """Parts of scoring the first `samples` titles: sequences as wholes, whose attention stays in f32; keys and values of
    all source tokens."""
    shape = Shape.read(space.small)
    pairs = lengths(space, space.small)[:samples]
    sources, targets = (sum(n) for n in zip(*pairs))
    own = shape.own_attention([t for _, t in pairs])
    return [
        Part("encoder", 2 * shape.encoder_attention([s for s, _ in pairs]), 0, 2 * shape.encoder_weights * sources),
        Part("decoder", 2 * (own + shape.source_attention(pairs, False)), 0,
             2 * (shape.decoder_weights * targets + shape.cross_weights * sources)),
        Part("softmax", 0, 0, 2 * shape.softmax_weights * targets),
    ]


def training(space, model, batches, pieces):
    """Parts of training on `batches` (lists of row numbers) once, forward and backward; `pieces`: how many there are in
    these rows. A product has two on its way back."""
    shape, known = Shape.read(model), lengths(space, model)
    encoder, decoder, targets = 0, 0, 0
    for batch in batches:
        pairs = [known[i] for i in batch]
        source, target = (sum(n) for n in zip(*pairs))
        few = shape.targets_are_short(pairs)
        encoder += 3 * shape.encoder_weights * source
        encoder += (1 + ATTENTION_BACKWARD) * shape.encoder_attention([s for s, _ in pairs])
        decoder += 3 * (shape.decoder_weights * target + shape.cross_weights * (target if few else source))
        own = shape.own_attention([t for _, t in pairs])
        decoder += (1 + ATTENTION_BACKWARD) * (own + shape.source_attention(pairs, few))
        targets += target
    embedding = ADAMW_BYTES * pieces + DECAY_BYTES * (shape.rows - pieces)
    return [
        Part("encoder", 2 * encoder, 0),
        Part("decoder", 2 * decoder, 0),
        Part("softmax", 6 * shape.softmax_weights * targets, 0),
        Part("AdamW", 0, (ADAMW_BYTES * shape.dense_parameters + shape.d * embedding) * len(batches)),
    ]


def seconds(space, parts):
    return sum(p.seconds(rates(space)) for p in parts)


def run(space):
    import generation as generating
    import training as fitting

    measured = rates(space)
    lines = ["| work | part | Gop | GB | floor, s |", "|---|---|---|---|---|"]

    def add(work, parts):
        for p in parts:
            lines.append(f"| {work} | {p.name} | {p.operations / 1e9:.1f} | {p.bytes / 1e9:.2f} | "
                         f"{p.seconds(measured):.3f} |")
        lines.append(f"| {work} | **all** | | | **{seconds(space, parts):.3f}** |")

    for cell, (batch, beams) in generating.CELLS.items():
        add(f"generate {cell}, {generating.SAMPLES} × {generating.NEW_TOKENS} tokens",
            generation(space, generating.SAMPLES, batch, beams, generating.NEW_TOKENS))
    for cell, (batch, beams) in generating.CELLS.items():
        add(f"generate {cell} in int8",
            generation_in_int8(space, generating.SAMPLES, batch, beams, generating.NEW_TOKENS))
    for cell in fitting.CELLS:
        model, batches = fitting.batches(space, cell)
        add(f"train {cell}, {len(batches)} steps", training(space, model, batches, fitting.pieces(space, cell)))
    return (f"Measured: {measured.flops / 1e9:.0f} GFLOP/s of f32 matrix products, {measured.bandwidth / 1e9:.1f} GB/s "
            f"read, {space.threads} threads.\n\n" + "\n".join(lines))
