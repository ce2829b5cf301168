"""The least time that the work can take here: operations over the measured rate of matrix products, bytes over the
measured bandwidth, part by part, the larger of the two each. The rates come from `crates/tensor/examples/machine.rs`.

Counted is the usual way of doing it, with keys and values made of every source token. For short targets t5kit does
with less (`crates/tensor/src/ops/heads.rs`), which is to its credit, not the floor's.

A multiply-add counts as two operations. f32 weights and caches: 4 bytes a number. What is not counted (norms, softmax,
activations, activations' traffic, the tokenizer) is why the floor is not reached.
"""
import json
import os
import statistics
from dataclasses import dataclass

import process

STEP_MB = 155  # machine.rs's size nearest to what a decoder step of mT5-small reads
F32 = 4
# AdamW reads weight, gradient and both moments, and writes all but the gradient.
ADAMW_BYTES = 7 * F32


@dataclass
class Rates:
    flops: float  # operations a second of f32 matrix products, all threads: the median over mT5-small's shapes
    bandwidth: float  # bytes a second read by all threads


@dataclass
class Part:
    name: str
    operations: float
    bytes: float

    def seconds(self, rates):
        return max(self.operations / rates.flops, self.bytes / rates.bandwidth)


@dataclass
class Shape:
    """Sizes of a T5 network, and the multiply-adds and weights they lead to."""

    d: int
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
        return cls(c["d_model"], c["num_heads"] * c["d_kv"], matrices * c["d_model"] * c["d_ff"], c["num_layers"],
                   c["num_decoder_layers"], c["vocab_size"])

    @property
    def encoder_weights(self):
        return self.encoder_layers * (4 * self.d * self.inner + self.ff)

    @property
    def cross_weights(self):
        """Keys and values of the source, once a source token."""
        return self.decoder_layers * 2 * self.d * self.inner

    @property
    def decoder_weights(self):
        """What each target token passes through: self-attention, cross-attention's query and output, feed-forward."""
        return self.decoder_layers * (6 * self.d * self.inner + self.ff)

    @property
    def softmax_weights(self):
        return self.d * self.rows

    @property
    def parameters(self):
        """Without norms and position biases; the softmax separate from the embedding."""
        return self.encoder_weights + self.cross_weights + self.decoder_weights + 2 * self.softmax_weights

    def encoder_multiply_adds(self, sources):
        scores = self.encoder_layers * 2 * self.inner * sum(n * n for n in sources)
        return self.encoder_weights * sum(sources) + scores

    def decoder_attention(self, pairs):
        """Scores and sums of self- and cross-attention over all target positions."""
        return self.decoder_layers * 2 * self.inner * sum(t * (t + 1) // 2 + t * s for s, t in pairs)


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
        space.rates = Rates(statistics.median(products) * 1e9, reads[0] * 1e9)
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
    position = shape.decoder_layers * 2 * shape.inner * F32
    # Every step reads the keys and values of the source, once for all its hypotheses, and of the targets so far,
    # (new_tokens + 1) / 2 on average.
    cache_bytes = position * new_tokens * (sum(sources) + hypotheses * (new_tokens + 1) / 2)
    return [
        Part("encoder", 2 * shape.encoder_multiply_adds(sources), 0),
        Part("keys and values of the sources", 2 * shape.cross_weights * sum(sources), 0),
        Part("decoder layers", 2 * shape.decoder_weights * hypotheses * new_tokens,
             F32 * shape.decoder_weights * steps),
        Part("decoder attention", 2 * beams * shape.decoder_attention([(s, new_tokens) for s in sources]), cache_bytes),
        Part("softmax", 2 * shape.softmax_weights * hypotheses * new_tokens, F32 * shape.softmax_weights * steps),
    ]


def training(space, model, batches):
    """Parts of training on `batches` (lists of row numbers) once: forward, and twice its operations backward."""
    shape, known = Shape.read(model), lengths(space, model)
    pairs = [known[i] for batch in batches for i in batch]
    sources, targets = [s for s, _ in pairs], sum(t for _, t in pairs)
    decoder = (shape.cross_weights * sum(sources) + shape.decoder_weights * targets + shape.decoder_attention(pairs))
    return [
        Part("encoder", 6 * shape.encoder_multiply_adds(sources), 0),
        Part("decoder", 6 * decoder, 0),
        Part("softmax", 6 * shape.softmax_weights * targets, 0),
        Part("AdamW", 0, ADAMW_BYTES * shape.parameters * len(batches)),
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
    for cell in fitting.CELLS:
        model, batches = fitting.batches(space, cell)
        add(f"train {cell}, {len(batches)} steps", training(space, model, batches))
    return (f"Measured: {measured.flops / 1e9:.0f} GFLOP/s of f32 matrix products, {measured.bandwidth / 1e9:.1f} GB/s "
            f"read, {space.threads} threads.\n\n" + "\n".join(lines))
