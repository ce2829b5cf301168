"""What the commands of `tools/same_bytes` work on: texts, tables, tokenizers, and a random model of every family.

Everything comes from fixed seeds and the committed goldens, so both programs, on any day, read the same bytes. The
standard library alone is needed; checkpoints are written here, so that no program under test has a part in its inputs.
"""
import array
import json
import math
import os
import random
import shutil
import struct

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDENS = os.path.join(ROOT, "crates", "tokenizer", "tests", "goldens")
STORED = os.path.join(ROOT, "crates", "model", "tests", "stored")
TENSORFLOW = os.path.join(ROOT, "crates", "model", "tests", "tensorflow")

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4

# name → (configuration beside the sizes below, tokenizer)
FAMILIES = {
    "t5": ({"model_type": "t5", "feed_forward_proj": "relu", "tie_word_embeddings": True}, "t5"),
    "t5-v1_1": ({"model_type": "t5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, "t5"),
    "mt5": ({"model_type": "mt5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, "mt5"),
    "umt5": ({"model_type": "umt5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, "mt5"),
    "byt5": ({"model_type": "t5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
              "tokenizer_class": "ByT5Tokenizer"}, "byt5"),
    "bert4keras": ({"model_type": "mt5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
                    "scale_decoder_outputs": True, "cross_attention_relative_bias": True}, "mt5"),
}
SIZES = {"d_model": 36, "d_kv": 7, "num_heads": 3, "d_ff": 50, "num_layers": 2, "num_decoder_layers": 2}
# Wide enough for every kernel to leave its small cases.
WIDE = {"d_model": 256, "d_kv": 64, "num_heads": 4, "d_ff": 512, "num_layers": 2, "num_decoder_layers": 3}
COMMON = {"is_encoder_decoder": True, "layer_norm_epsilon": 1e-6, "dropout_rate": 0.1,
          "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "pad_token_id": 0,
          "eos_token_id": 1, "decoder_start_token_id": 0}

WORDS = ("今天 天气 很好 我们 一起 去 公园 散步 学习 模型 北京 大学 数据 计算 深度 语言 处理 的 了 是 在 the and learning model "
         "data weather is very good 2021 3.14 of language we walk Straße café мир 안녕").split()
MARKS = ["，", "。", "！", "？", " ", " ", "；", "：", ", ", ". ", "（注）", "——", "“引”"]


def make(folder):
    """Writes all inputs into `folder`, which is made."""
    os.makedirs(folder)
    texts(folder)
    tokenizers(folder)
    for name, (family, tokenizer) in FAMILIES.items():
        model(folder, name, {**SIZES, **family}, tokenizer)
    model(folder, "wide", {**WIDE, **FAMILIES["mt5"][0]}, "mt5")
    with open(os.path.join(folder, "wide", "generation_config.json"), "w") as f:
        json.dump({"max_new_tokens": 9, "num_beams": 3, "length_penalty": 0.7, "no_repeat_ngram_size": 3}, f)
    with open(os.path.join(folder, "keep.json"), "w") as f:
        json.dump([*range(300), *range(320, 574), 575, 576], f)
    for name in os.listdir(STORED):
        shutil.copytree(os.path.join(STORED, name), os.path.join(folder, f"stored-{name}"))
    for name in os.listdir(TENSORFLOW):
        shutil.copytree(os.path.join(TENSORFLOW, name), os.path.join(folder, f"tensorflow-{name}"))


def sentence(rng, words):
    return "".join(rng.choice(WORDS) + (rng.choice(MARKS) if rng.random() < 0.4 else "") for _ in range(words))


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w", encoding="utf8", newline="") as f:
        f.writelines(line + "\n" for line in lines)


def texts(folder):
    rng = random.Random("texts")
    sources = [sentence(rng, rng.choice([1, 2, 3, 5, 8, 13, 21, 34])) for _ in range(37)]
    write(folder, "sources.txt", sources)
    write(folder, "few.txt", sources[:5])
    write(folder, "corpus.txt", [sentence(rng, 12) for _ in range(400)])
    # Every tokenizer here has so many pieces.
    write(folder, "ids.txt", [" ".join(str(rng.randrange(200)) for _ in range(n)) for n in range(40)])
    # Lines for tokenizers: what the golden files have, with spaces, rare characters and broken ones.
    with open(os.path.join(GOLDENS, "symbols.jsonl"), encoding="utf8") as f:
        lines = [bytes.fromhex(case["bytes"]) for case in map(json.loads, f) if "bytes" in case]
    with open(os.path.join(folder, "lines.txt"), "wb") as f:
        f.writelines(line + b"\n" for line in lines if b"\n" not in line and b"\r" not in line and is_utf8(line))
    for name, count in (("train", 44), ("valid", 9)):
        rows = []
        for _ in range(count):
            text = sentence(rng, rng.choice([2, 4, 7, 16]))
            rows.append((text, text[1:6]))
        write(folder, f"{name}.tsv", ["source\ttarget", *map("\t".join, rows)])
        write(folder, f"{name}.jsonl", [json.dumps(dict(zip(("source", "target"), row))) for row in rows])
        write(folder, f"{name}-pairs.tsv", map("\t".join, rows))
        write(folder, f"{name}-references.txt", [target for _, target in rows])
        write(folder, f"{name}-predictions.txt", [target[:3] + "的" for _, target in rows])


def is_utf8(line):
    try:
        line.decode("utf8")
    except UnicodeDecodeError:
        return False
    return True


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def field(number, value):
    """A field of a protocol buffer: bytes, text, a whole number or a float."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """(number, bytes) of each length-delimited field of a message that has no others."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        assert key & 7 == 2, "a field of another kind"
        length = number()
        yield key >> 3, data[at : at + length]
        at += length


def tokenizers(folder):
    """`mt5.model` with its sentinels and `t5/` without, from the golden model with byte pieces."""
    with open(os.path.join(GOLDENS, "bytes.model"), "rb") as f:
        parts = list(fields(f.read()))

    def piece(text, kind):
        return field(1, field(1, text) + field(2, 0.0) + field(3, kind))

    control = piece("<pad>", CONTROL) + piece("</s>", CONTROL) + piece("<unk>", UNKNOWN)
    known = b"".join(field(1, data) for number, data in [p for p in parts if p[0] == 1][3:])
    trainer = b"".join(data for number, data in parts if number == 2)
    # The last word counts: ids of unknown, start (none), end and padding.
    trainer += field(40, 2) + field(41, (1 << 64) - 1) + field(42, 1) + field(43, 0)
    rest = field(2, trainer) + b"".join(field(number, data) for number, data in parts if number > 2)
    sentinels = b"".join(piece(f"▁<extra_id_{i}>", USER_DEFINED) for i in reversed(range(100)))
    with open(os.path.join(folder, "mt5.model"), "wb") as f:
        f.write(control + known + sentinels + rest)
    with open(os.path.join(folder, "t5.model"), "wb") as f:
        f.write(control + known + rest)
    # Few enough for the rows of the committed TensorFlow checkpoints' mT5; without bytes.
    few = b"".join(field(1, data) for number, data in [p for p in parts if p[0] == 1][259:439])
    with open(os.path.join(folder, "few.model"), "wb") as f:
        f.write(control + few + field(2, trainer + field(35, 0)) + rest[len(field(2, trainer)) :])
    for name in ("symbols.model", "casefold.model", "suffix.model"):
        shutil.copy(os.path.join(GOLDENS, name), folder)
    words = sorted({part for text in WORDS for part in (text, *text)} | {*".,!?。，！？；：（）“”—"})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *(f"##{word}" for word in words)]
    write(folder, "vocab.txt", pieces)
    for name in ("bytes", "symbols"):
        shutil.copy(os.path.join(GOLDENS, "json", f"{name}.json"), os.path.join(folder, f"{name}.tokenizer.json"))


ROWS = {"mt5": 592, "t5": 592, "byt5": 384}


def model(folder, name, config, tokenizer):
    """A folder as Hugging Face has it: config.json, model.safetensors and the tokenizer's files."""
    path = os.path.join(folder, name)
    os.makedirs(path)
    config = {**config, "vocab_size": ROWS[tokenizer], **COMMON}
    with open(os.path.join(path, "config.json"), "w") as f:
        json.dump(config, f)
    if tokenizer == "byt5":
        described = {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}
    else:
        shutil.copy(os.path.join(folder, f"{tokenizer}.model"), os.path.join(path, "spiece.model"))
        described = {"tokenizer_class": "T5Tokenizer", "extra_ids": 100 if tokenizer == "t5" else 0}
    with open(os.path.join(path, "tokenizer_config.json"), "w") as f:
        json.dump(described, f)
    checkpoint(os.path.join(path, "model.safetensors"), config, random.Random(name))


def checkpoint(path, config, rng):
    """Random weights of the sizes that a configuration says, large enough that outputs differ from source to source."""
    d, ff, rows, heads = config["d_model"], config["d_ff"], config["vocab_size"], config["num_heads"]
    inner = heads * config["d_kv"]
    tensors = {}

    def linear(name, outs, ins, gain=1.5):
        add(name, [outs, ins], gain * ins**-0.5)

    def add(name, shape, std, mean=0.0):
        width = std * math.sqrt(3.0)
        values = (mean + width * (2.0 * rng.random() - 1.0) for _ in range(math.prod(shape)))
        tensors[name] = (shape, array.array("f", values))

    # A tied matrix of the usual size would drown what the layers find: every output would repeat its source.
    add("shared.weight", [rows, d], 0.25 if config["tie_word_embeddings"] else 1.0)
    for side, layers in (("encoder", config["num_layers"]), ("decoder", config["num_decoder_layers"])):
        for i in range(layers):
            attentions = ["SelfAttention"] + (["EncDecAttention"] if side == "decoder" else [])
            for at, attention in enumerate(attentions):
                prefix = f"{side}.block.{i}.layer.{at}"
                linear(f"{prefix}.{attention}.q.weight", inner, d, 1.5 * config["d_kv"] ** -0.5)
                for which in "kv":
                    linear(f"{prefix}.{attention}.{which}.weight", inner, d)
                linear(f"{prefix}.{attention}.o.weight", d, inner)
                if at == 0 and (i == 0 or config["model_type"] == "umt5"):
                    add(f"{prefix}.{attention}.relative_attention_bias.weight", [32, heads], 0.5)
                add(f"{prefix}.layer_norm.weight", [d], 0.1, 1.0)
            prefix = f"{side}.block.{i}.layer.{len(attentions)}"
            for wi in ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated") else ("wi",):
                linear(f"{prefix}.DenseReluDense.{wi}.weight", ff, d)
            linear(f"{prefix}.DenseReluDense.wo.weight", d, ff)
            add(f"{prefix}.layer_norm.weight", [d], 0.1, 1.0)
        add(f"{side}.final_layer_norm.weight", [d], 0.1, 1.0)
    if not config["tie_word_embeddings"]:
        linear("lm_head.weight", rows, d, 3.0)
    # With </s> scaled up some targets end before they must; T5 1.0's logits are flat, being scaled down themselves.
    more = 8.0 if config["tie_word_embeddings"] else 1.6
    values = tensors.get("lm_head.weight", tensors["shared.weight"])[1]
    end = slice(config["eos_token_id"] * d, (config["eos_token_id"] + 1) * d)
    values[end] = array.array("f", [more * x for x in values[end]])
    header, at = {}, 0
    for name, (shape, values) in tensors.items():
        size = 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head)
        for _, values in tensors.values():
            f.write(values.tobytes())
