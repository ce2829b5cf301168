"""Golden examples of the pre-training objectives, made by t5's own preprocessors: crates/tasks/tests/golden/objectives.jsonl.

    python tools/objective_goldens.py crates/tasks/tests/golden/objectives.jsonl

Needs tensorflow 2.15, gin-config, babel, and the packages t5 0.9.4 and seqio 0.0.20 on the path (unpacked wheels are
enough: what they import beside these is not used by the preprocessors, and is replaced by nothing here).

Every example is recorded with the random numbers that TensorFlow drew for it, as the choices that t5kit asks for: "u" a
uniform number, "b" a whole number and its bound, "o" an order. Gap sentences are by independent Python versions of the
definitions (T5 PEGASUS's `pseudo_summary`; PEGASUS's Ind-Orig), as no package holds them.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import random
import re
import sys
from collections import Counter
from functools import partial
from unittest.mock import MagicMock

# What seqio and t5 import for other purposes.
ABSENT = ("apache_beam", "chex", "clu", "editdistance", "flax", "jax", "mesh_tensorflow", "nltk", "orbax", "packaging",
          "pandas", "pyglove", "rouge_score", "sacrebleu", "scipy", "sentencepiece", "sklearn", "tensorflow_datasets",
          "tensorflow_text", "tfds", "tqdm", "transformers")


class Nothing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds, after all others, a module without content."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module):
        pass


sys.meta_path.append(Nothing())

import numpy as np  # noqa: E402
import seqio  # noqa: E402
import tensorflow as tf  # noqa: E402

# The file itself: the package around it registers tasks.
where = importlib.util.find_spec("t5").submodule_search_locations[0] + "/data/preprocessors.py"
spec = importlib.util.spec_from_file_location("t5_preprocessors", where)
p = importlib.util.module_from_spec(spec)
spec.loader.exec_module(p)

VOCAB = 500
SENTINELS = 100
EOS = 1
# Ids of [NLU], [NLG] and [S2S] in the test's vocabulary.
MODES = {"[NLU]": 3, "[NLG]": 4, "[S2S]": 5}


class Vocabulary:
    vocab_size = VOCAB


class Feature:
    vocabulary = Vocabulary()
    add_eos = True


FEATURES = {"inputs": Feature(), "targets": Feature()}

drawn = []
uniform = tf.random.stateless_uniform


def recorded(*args, **kwargs):
    value = uniform(*args, **kwargs)
    drawn.append((value.numpy(), kwargs))
    return value


for module in (tf, p.tf, seqio.utils.tf):
    module.random.stateless_uniform = recorded


def order(values):
    """The order in which `stateless_shuffle` takes what it shuffles."""
    return ["o", tf.argsort(values).numpy().tolist()]


def u(x):
    return ["u", float(str(x))]


def denoised(tokens, seed, density, mask_fn, inputs_fn, targets_fn):
    drawn.clear()
    out = p.single_example_denoise(
        {"targets": tf.constant(tokens, tf.int32)}, tf.constant([seed, 7 * seed + 1]), output_features=FEATURES,
        noise_density=density, noise_mask_fn=mask_fn, inputs_fn=inputs_fn, targets_fn=targets_fn)
    return out["inputs"].numpy().tolist(), out["targets"].numpy().tolist(), list(drawn)


def spans(tokens, seed, density, mean):
    mask = partial(p.random_spans_noise_mask, mean_noise_span_length=mean)
    i, t, values = denoised(tokens, seed, density, mask, p.noise_span_to_unique_sentinel,
                            p.nonnoise_span_to_unique_sentinel)
    return i, t, [order(v) for v, _ in values]


def prefix(tokens, seed, density):
    i, t, values = denoised(tokens, seed, density, p.random_prefix_noise_mask, p.drop_nonnoise_tokens,
                            p.drop_noise_tokens)
    (value, bounds), = values
    least = int(bounds["minval"])
    return i, t, [["b", int(value) - least, int(bounds["maxval"]) - least]]


def iid(tokens, seed, density, inputs_fn, targets_fn):
    i, t, values = denoised(tokens, seed, density, p.iid_noise_mask, inputs_fn, targets_fn)
    choices = [u(x) for x in values[0][0]]
    if len(values) == 3:  # BERT-style: t5 draws for every token, t5kit for those that are noise.
        for noise, use, token in zip(values[0][0] < density, values[1][0], values[2][0]):
            if noise:
                choices.append(u(use))
                if use < 0.1:
                    choices.append(["b", int(token) - 3, VOCAB - 3])
    return i, t, choices


def deshuffled(tokens, seed):
    i, t, values = denoised(tokens, seed, 1.0, p.iid_noise_mask, p.permute_noise_tokens, None)
    return i, t, [order(values[1][0])]


def random_tokens(rng, n):
    return [rng.randrange(6, VOCAB - SENTINELS) for _ in range(n)]


def examples():
    rng = random.Random(1)
    seed = 0

    def example(objective, source, target, made, tokens, raw, **parameters):
        i, t, choices = made
        return {"objective": objective, "source": source, "target": target, "raw": raw, **parameters, "tokens": tokens,
                "choices": choices, "input_ids": i + [EOS], "target_ids": t + [EOS]}

    for density in (0.1, 0.15, 0.25, 0.5):
        for mean in (2.0, 3.0, 5.0, 10.0):
            raw, target = p.random_spans_helper(64, density, mean, 1, 1)
            for n in (raw, rng.randrange(2, raw)):
                tokens, seed = random_tokens(rng, n), seed + 1
                made = spans(tokens, seed, density, mean)
                yield example("span-corruption", 64, target, made, tokens, raw, noise_density=density,
                              mean_span_length=mean)
    forms = {
        "iid-unique": (p.noise_span_to_unique_sentinel, p.nonnoise_span_to_unique_sentinel),
        "bert-style": (p.noise_token_to_random_token_or_sentinel, None),
        "mass-style": (p.noise_token_to_sentinel, None),
        "drop-tokens": (p.drop_noise_tokens, p.drop_nonnoise_tokens),
    }
    for objective, (inputs_fn, targets_fn) in forms.items():
        for density in (0.1, 0.15, 0.25, 0.5):
            for n in (47, 20):  # 47: split_tokens_to_inputs_length leaves room for </s>
                tokens, seed = random_tokens(rng, n), seed + 1
                made = iid(tokens, seed, density, inputs_fn, targets_fn)
                yield example(objective, 48, 60, made, tokens, 47, noise_density=density)
    for n in (47, 20, 1):
        tokens, seed = random_tokens(rng, n), seed + 1
        yield example("deshuffling", 48, 48, deshuffled(tokens, seed), tokens, 47)
        # split_tokens_to_targets_length, and no inputs.
        yield example("full-lm", 48, 48, ([], tokens, []), tokens, 47)
    for density in (0.5, 0.25, 0.1):
        for n in (47, 20, 2):
            tokens, seed = random_tokens(rng, n), seed + 1
            yield example("prefix-lm", 48, 48, prefix(tokens, seed, density), tokens, 47, noise_density=density)

    # Tay et al. 2022: table 1, and how appendix 9.2 puts t5's functions together.
    table = [("[NLU]", 3.0, 0.15), ("[NLU]", 8.0, 0.15), ("[NLG]", 3.0, 0.5), ("[NLG]", 8.0, 0.5), ("[NLG]", 64.0, 0.15),
             ("[NLG]", 64.0, 0.5), ("[S2S]", None, 0.25)]
    # Short inputs would do for all but the spans of 64, which the helper rounds to none where the mask has one.
    lengths = [256 - 2 if mean is None else p.random_spans_helper(256 - 1, density, mean, 1, 1)[0]
               for _, mean, density in table]
    for which, (mode, mean, density) in enumerate(table):
        longest, length, seed = max(lengths), lengths[which], seed + 1
        tokens = random_tokens(rng, longest)
        start = rng.randrange(longest - length + 1)
        chunk = tokens[start:start + length]
        i, t, choices = prefix(chunk, seed, density) if mean is None else spans(chunk, seed, density, mean)
        share = 0.8 / 6
        first = [u(share * (which + 0.5) if which < 6 else 0.9)]
        place = [["b", start, longest - length + 1]] if length < longest else []
        yield example("ul2", 256, 256, ([MODES[mode]] + i, t, first + place + choices), tokens, longest)


def helper():
    """`random_spans_helper` and the numbers of noise tokens and spans of `random_spans_noise_mask`."""
    for source in (16, 64, 128, 512, 1024):
        for density in (0.1, 0.15, 0.25, 0.5):
            for mean in (2.0, 3.0, 5.0, 8.0, 10.0, 64.0):
                tokens, targets = p.random_spans_helper(source, density, mean, 1, 1)
                yield {"helper": [source, density, mean, tokens, targets]}
    for density in (0.1, 0.15, 0.25, 0.5):
        for mean in (2.0, 3.0, 5.0, 10.0):
            rows = []
            for length in [*range(2, 32), 37, 50, 90, 130, 190, 250, 310, 366]:
                mask = p.random_spans_noise_mask(length, density, tf.constant([[1, 2], [3, 4]]), mean).numpy()
                starts = int(mask[0]) + int(np.sum(mask[1:] & ~mask[:-1]))
                rows.append([length, int(mask.sum()), starts])
            yield {"mask": [density, mean], "rows": rows}


def sentences(text):
    return re.findall(r"[^。！？；]*[。！？；]", text)


def common(x, y):
    row = [0] * (len(y) + 1)
    for a in x:
        left = 0
        for j, b in enumerate(y, 1):
            row[j], left = (left + 1 if a == b else max(row[j], row[j - 1])), row[j]
    return row[-1]


def pseudo_summary(parts, rate=0.25):
    source, target = list(range(len(parts))), []

    def text(which):
        return "".join(parts[i] for i in which)

    while True:
        scores = [common(text([j for j in source if j != i]), text(sorted(target + [i]))) for i in source]
        best = source[int(np.argmax(scores))]
        source.remove(best)
        target = sorted(target + [best])
        if len(source) == 1 or len(text(target)) / len(text(source)) > rate:
            break
    if len(text(source)) < len(text(target)):
        source, target = target, source
    return target


def ind_orig(parts, rate):
    words = [Counter(re.findall(r"[a-z0-9]+|[\u4e00-\u9fff]", part.lower())) for part in parts]
    scores = []
    for i, own in enumerate(words):
        rest = sum((w for j, w in enumerate(words) if j != i), Counter())
        overlap = sum((own & rest).values())
        precision, recall = overlap / max(sum(own.values()), 1), overlap / max(sum(rest.values()), 1)
        scores.append(2 * precision * recall / (precision + recall) if overlap else 0.0)
    gaps = min(max(round(len(parts) * rate), 1), len(parts) - 1)
    return sorted(sorted(range(len(parts)), key=lambda i: (-scores[i], i))[:gaps])


TEXTS = [
    "明月几时有，把酒问青天，不知天上宫阙，今夕是何年。我欲乘风归去，唯恐琼楼玉宇，高处不胜寒；起舞弄清影，何似在人间。",
    "今天天气很好。我们去公园玩。公园里有很多花。花很好看！你去过那个公园吗？公园今天有很多人。",
    "地铁八号线今天开通。线路全长三十九公里；共设二十六座车站。市民说，线路开通后上班更快。地铁公司说，八号线每天运客三十万人。票价不变。",
    "一。二。",
    "the cat sat。a dog ran home！the dog sat on the cat？a cat ran；the end。",
]


def gaps():
    for text in TEXTS:
        parts = sentences(text)
        for choice, rate in (("lcs", 0.25), ("lcs", 0.5), ("rouge1", 0.3), ("rouge1", 0.5)):
            chosen = pseudo_summary(parts, rate) if choice == "lcs" else ind_orig(parts, rate)
            source = "".join("\x00" if i in chosen and choice == "rouge1" else "" if i in chosen else part
                             for i, part in enumerate(parts))
            yield {"gap": choice, "share": rate, "text": text, "source": source,
                   "target": "".join(parts[i] for i in chosen)}


with open(sys.argv[1], "w", encoding="utf-8") as out:
    for row in [*helper(), *examples(), *gaps()]:
        out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
