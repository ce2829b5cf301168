"""Show that the folders that t5kit writes have the same ids in transformers 4.57, transformers 5, sentencepiece and t5kit.

usage: folders_check.py T5KIT --python5 PYTHON [--data ../shared/data] [--lines 2000] [--only NAME] [--keep DIR]

T5KIT is the program, PYTHON an interpreter with transformers 5 (and torch, sentencepiece, protobuf); this one needs
transformers 4.57, torch, safetensors, sentencepiece, protobuf and crc32c. For a small random model of each family, as people have
it, and with DATA for the setup of the blog post (a checkpoint of TensorFlow, sentencepiece_cn.model and its list of
rows) it runs `convert`, `trim` and `finetune` and compares the ids of lines of mixed scripts, half of them out of DATA
where that is there, in every folder that was written:
- AutoTokenizer of transformers 4.57, slow where there is a slow class, and fast; AutoTokenizer of transformers 5,
- the sentencepiece library where the folder has a spiece.model; sentinels behind the pieces as seqio adds them,
- `t5kit tokenize`, which the others are compared with,
and lets AutoModelForSeq2SeqLM of both load the folder and generate a token. A cell is the number of lines that differ;
those whose pieces have the same sum of scores (fast tokenizers add in double precision, sentencepiece in single) are
counted apart as `~N`. Ends with 1 where anything else differs.
"""
import argparse
import glob
import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
SCRIPTS = {
    "latin": "The quick brown fox jumps over lazy dogs while researchers measure naïve café résumé data again and again",
    "german": "Über größere Flüsse führen schöne Brücken zwischen Äckern und Häusern in Süddeutschland",
    "cyrillic": "Привет мир это проверка словаря на разных языках и длинных предложениях",
    "greek": "Η γρήγορη αλεπού πηδάει πάνω από το τεμπέλικο σκυλί κάθε μέρα",
    "arabic": "مرحبا بالعالم هذا اختبار للنصوص المختلفة في جمل طويلة",
    "hebrew": "שלום עולם זה מבחן של טקסטים שונים",
    "hindi": "नमस्ते दुनिया यह विभिन्न भाषाओं का परीक्षण है",
    "thai": "สวัสดีชาวโลก นี่คือ การทดสอบ ข้อความ หลายภาษา",
    "korean": "안녕하세요 세계 이것은 여러 언어의 시험 문장입니다",
    "japanese": "これは テスト です。 吾輩は 猫である。 名前は まだ 無い。 カタカナ も ある",
    "chinese": "今天天气很好， 我们一起去公园散步吧！ 机器学习模型 需要大量的数据 和计算资源。 本文研究了 水运工程项目管理 的方法； "
               "结果表明： 该方法（改进后） 明显优于 传统方法 深度学习 自然语言处理 标题生成 摘要 词表 裁剪",
}
ODD = ["龘靐齉", "𠀀𠮷", "😀👍🏽", "👨\u200d👩\u200d👧", "e\u0301", "ﷺ", "½‰№℡", "ｆｕｌｌ", "Ａ１", "\ue000", "10:30", "3,000.50", "http://a.b/c?d=e&f",
       "f(x)=y", "《书名》", "“引号”", "——", "……", "②", "㎡", "ﾊﾝｶｸ", "\u200b", "\u00a0", "A/B", "C++", "<b>", "&amp;", "\ufeff"]
PYTHON5 = None
SPACES = ["", " ", " ", " ", "  ", "\u3000", "   "]


def mixed(rng, count):
    """Lines of words and pieces of words of all scripts, odd characters and odd spaces."""
    words = {name: text.split(" ") for name, text in SCRIPTS.items()}
    lines = ["", " ", "  a  b   c ", "!!!!!!!!", "。。。。"]
    while len(lines) < count:
        line = ""
        for _ in range(rng.randint(1, 9)):
            word = rng.choice(words[rng.choice(list(words))]) if rng.random() < 0.8 else rng.choice(ODD)
            if rng.random() < 0.2:
                word = word[rng.randrange(len(word)):]
            line += word + rng.choice(SPACES)
        lines.append(line)
    return lines[:count]


def from_data(rng, data, count):
    """Lines of the files that are there, each cut to 200 characters."""
    lines = []
    for path in sorted(glob.glob(os.path.join(data, "csl", "*.tsv")) + glob.glob(os.path.join(data, "text", "*.jsonl"))):
        with open(path, encoding="utf8") as file:
            lines += [line.replace("\t", " ").strip()[:200] for line, _ in zip(file, range(2000))]
    rng.shuffle(lines)
    return lines[:count]


# ---- what is asked of an interpreter with one of the two versions


def ask(folder, lines, sentinels, fast, model):
    """Ids by AutoTokenizer, and with `model` what the model begins with, as this interpreter's transformers has them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=fast is not False)
    # Version 5 has one kind.
    if fast is not None and fast != tokenizer.is_fast:
        return None
    wrapped = tokenizer("今天 data").input_ids
    found = {
        "ids": [tokenizer(line, add_special_tokens=False).input_ids for line in lines],
        "sentinels": [tokenizer(line, add_special_tokens=False).input_ids for line in sentinels],
        "wrapped": wrapped,
    }
    if model:
        import torch
        from transformers import AutoModelForSeq2SeqLM

        loaded, info = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
        loaded.generate(torch.tensor([wrapped[:8]]), max_new_tokens=2, num_beams=1, do_sample=False)
    return found


def ask_all(folders, lines, sentinels, fast):
    """A line `ANSWER JSON` for each folder and whether its model is loaded: what `ask` says, or an error in a line."""
    for folder, model in folders:
        try:
            answer = ask(folder, lines, sentinels, fast, model)
        except Exception as error:  # whatever it is, it is the library's word on the folder
            answer = f"{type(error).__name__}: {error}".replace("\n", " ")[:200]
        print("ANSWER " + json.dumps(answer), flush=True)


def asked(python, folders, lines, sentinels, fast):
    script = f"import sys, json; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); " \
             "import folders_check as c; c.ask_all(*json.load(sys.stdin))"
    question = json.dumps([folders, lines, sentinels, fast])
    run = subprocess.run([python, "-c", script], input=question, capture_output=True, text=True)
    answers = [json.loads(line[7:]) for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    if len(answers) != len(folders):
        sys.exit(f"{python}: {run.stderr[-2000:]}")
    return answers


# ---- the families


def train_spiece(path, texts, extra=(), **settings):
    import sentencepiece as spm
    from sentencepiece import sentencepiece_model_pb2 as pb

    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=out, vocab_size=settings.pop("vocab_size", 3000),
        model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
        max_sentence_length=100000, **settings)
    model = pb.ModelProto()
    model.ParseFromString(out.getvalue())
    for name in extra:
        model.pieces.add(piece=name, score=0.0, type=pb.ModelProto.SentencePiece.USER_DEFINED)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return len(model.pieces)


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)


def write_model(folder, rows, **config):
    import torch
    from safetensors.torch import save_file

    import make_goldens as goldens

    small = dict(d_model=16, d_kv=4, d_ff=24, num_heads=2, num_layers=1, num_decoder_layers=1)
    full = {**goldens.COMMON, **small, "vocab_size": rows, **config}
    write_json(folder, "config.json", full)
    weights = goldens.random_weights(full, torch.Generator().manual_seed(1))
    save_file(weights, os.path.join(folder, "model.safetensors"), {"format": "pt"})


T5 = dict(architectures=["T5ForConditionalGeneration"], model_type="t5", feed_forward_proj="relu", tie_word_embeddings=True)
T511 = {**T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def t5(folder, texts):
    """As google-t5: spiece.model, tokenizer.json of transformers 4."""
    from transformers import T5TokenizerFast

    pieces = train_spiece(os.path.join(folder, "spiece.model"), texts, normalization_rule_name="nmt_nfkc", character_coverage=0.98)
    T5TokenizerFast(os.path.join(folder, "spiece.model"), extra_ids=100).save_pretrained(folder)
    write_model(folder, (pieces + 100 + 127) // 128 * 128, **T5)


def t5_bare(folder, texts):
    """spiece.model and config.json, nothing else."""
    pieces = train_spiece(os.path.join(folder, "spiece.model"), texts, normalization_rule_name="nmt_nfkc", character_coverage=0.98)
    write_model(folder, (pieces + 100 + 127) // 128 * 128, **T511)


def flan(folder, texts):
    """As Flan-T5: the slow tokenizer's files."""
    from transformers import T5Tokenizer

    pieces = train_spiece(os.path.join(folder, "spiece.model"), texts, normalization_rule_name="nmt_nfkc", character_coverage=0.98)
    T5Tokenizer(os.path.join(folder, "spiece.model"), extra_ids=100, legacy=True).save_pretrained(folder)
    write_model(folder, (pieces + 100 + 127) // 128 * 128, **T511)


def mengzi(folder, texts):
    """As mengzi-t5: Chinese, no normalisation of marks, a tokenizer_config.json without a word on legacy."""
    chinese = [text for text in texts if any("\u4e00" <= c <= "\u9fff" for c in text)]
    pieces = train_spiece(os.path.join(folder, "spiece.model"), chinese, normalization_rule_name="identity", character_coverage=0.98)
    write_json(folder, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>",
                                                 "pad_token": "<pad>", "extra_ids": 100})
    write_model(folder, (pieces + 100 + 127) // 128 * 128, **T511)


def mt5(folder, texts):
    """As google/mt5: byte fallback, sentinels among the pieces."""
    names = [f"▁<extra_id_{n}>" for n in reversed(range(100))]
    pieces = train_spiece(os.path.join(folder, "spiece.model"), texts, names, normalization_rule_name="nmt_nfkc", byte_fallback=True, character_coverage=0.98,
                          vocab_size=3600)
    write_json(folder, "tokenizer_config.json", {"model_max_length": 1000000000000000019884624838656, "eos_token": "</s>",
                                                 "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 0,
                                                 "additional_special_tokens": None, "tokenizer_class": "T5Tokenizer"})
    write_json(folder, "special_tokens_map.json", {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})
    write_model(folder, pieces + 12, **{**T511, "architectures": ["MT5ForConditionalGeneration"], "model_type": "mt5"})


def umt5(folder, texts):
    """As google/umt5: byte fallback, 300 sentinels behind the pieces."""
    from transformers import T5Tokenizer

    pieces = train_spiece(os.path.join(folder, "spiece.model"), texts, normalization_rule_name="nmt_nfkc", byte_fallback=True, character_coverage=0.98,
                          vocab_size=3600)
    T5Tokenizer(os.path.join(folder, "spiece.model"), extra_ids=300, legacy=True).save_pretrained(folder)
    umt5 = {**T511, "architectures": ["UMT5ForConditionalGeneration"], "model_type": "umt5"}
    write_model(folder, (pieces + 300 + 127) // 128 * 128, **umt5)


def byt5(folder, _texts):
    from transformers import ByT5Tokenizer

    ByT5Tokenizer().save_pretrained(folder)
    write_model(folder, 384, **{**T511, "tokenizer_class": "ByT5Tokenizer"})


def bert_t5(folder, texts):
    """As UER's T5: BERT's vocabulary."""
    from transformers import BertTokenizer

    chars = sorted({c for text in texts for c in text.lower() if not c.isspace()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + chars + ["##" + c for c in chars if c.isalnum()]
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf8") as file:
        file.write("\n".join(pieces + ["data", "##ata"]) + "\n")
    BertTokenizer(os.path.join(folder, "vocab.txt")).save_pretrained(folder)
    ids = dict(pad_token_id=0, eos_token_id=3, decoder_start_token_id=2, tokenizer_class="BertTokenizer")
    write_model(folder, len(pieces) + 2, **{**T511, **ids})


def json_never(folder, texts):
    """tokenizer.json alone, as transformers 4.57 makes it from a spiece.model: no space before a text."""
    t5(folder, texts)
    for name in ("spiece.model", "special_tokens_map.json"):
        os.remove(os.path.join(folder, name))


def json_only(folder, texts):
    """As transformers 5 saves a T5: tokenizer.json alone."""
    t5_bare(folder, texts)
    save = "import sys, transformers as t; t.AutoTokenizer.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])"
    subprocess.run([PYTHON5, "-c", save, folder], check=True, capture_output=True)
    os.remove(os.path.join(folder, "spiece.model"))


FAMILIES = {"t5": t5, "t5-bare": t5_bare, "flan": flan, "mengzi": mengzi, "mt5": mt5, "umt5": umt5, "byt5": byt5,
            "bert-t5": bert_t5, "json-only": json_only, "json-never": json_never}


# ---- the blog's setup: a checkpoint of TensorFlow


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def masked(data):
    import crc32c

    crc = crc32c.crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(entries):
    body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries)
    return body + struct.pack("<II", 0, 1)


def write_bundle(prefix, tensors):
    """TensorFlow's tensor bundle (tensorflow/core/util/tensor_bundle) of f32 arrays, in one block and one shard."""
    data, entries = b"", [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    for name, value in sorted(tensors.items()):
        raw = value.astype("<f4").tobytes()
        shape = b"".join(b"\x12" + varint(len(dim)) + dim for dim in (b"\x08" + varint(n) for n in value.shape))
        entry = b"\x08\x01\x12" + varint(len(shape)) + shape + b"\x20" + varint(len(data)) + b"\x28" + varint(len(raw))
        entries.append((name.encode(), entry + b"\x35" + struct.pack("<I", masked(raw))))
        data += raw
    with open(prefix + ".data-00000-of-00001", "wb") as file:
        file.write(data)
    file, handles = b"", []
    index = None
    for body in (block(entries), block([]), None):
        body = block([(entries[-1][0] + b"\x00", handles[0])]) if body is None else body
        handles.append(varint(len(file)) + varint(len(body)))
        file += body + b"\x00" + struct.pack("<I", masked(body + b"\x00"))
        index = handles[-1]
    footer = handles[1] + index
    file += footer + b"\x00" * (40 - len(footer)) + struct.pack("<Q", 0xDB4775248B80FB57)
    with open(prefix + ".index", "wb") as out:
        out.write(file)


def mesh(weights):
    """transformers' names and layouts to mesh-tensorflow's of mT5."""
    import re

    out = {}
    for name, value in weights.items():
        value = value.numpy()
        if name == "shared.weight":
            out["shared/embedding"] = value
        elif name == "lm_head.weight":
            out["decoder/logits/kernel"] = value.T
        elif match := re.fullmatch(r"(encoder|decoder)\.final_layer_norm\.weight", name):
            out[f"{match[1]}/rms_norm/scale"] = value
        elif match := re.fullmatch(r"(encoder|decoder)\.block\.(\d+)\.layer\.(\d+)\.(.+)\.weight", name):
            stack, i, j, rest = match[1], int(match[2]), int(match[3]), match[4]
            place = f"{stack}/block_{i:03}/layer_{j:03}/"
            if rest == "layer_norm":
                out[place + "rms_norm/scale"] = value
            elif rest.endswith("relative_attention_bias"):
                out[place + rest.replace(".", "/")] = value.T
            elif rest.startswith("DenseReluDense"):
                out[place + rest.replace(".", "/") + "/kernel"] = value.T
            else:
                out[place + rest.replace(".", "/")] = value.T
    return out


def blog(folder, data):
    """The flags of a model as the blog post has it."""
    from safetensors.torch import load_file

    config = {**T511, "architectures": ["MT5ForConditionalGeneration"], "model_type": "mt5", "d_model": 8}
    write_model(folder, 250112, **config)
    prefix = os.path.join(folder, "model.ckpt-1000000")
    write_bundle(prefix, mesh(load_file(os.path.join(folder, "model.safetensors"))))
    os.remove(os.path.join(folder, "model.safetensors"))
    tokenizer = os.path.join(data, "tokenizer")
    return ["--model", prefix, "--config", os.path.join(folder, "config.json"),
            "--tokenizer", os.path.join(tokenizer, "sentencepiece_cn.model"),
            "--keep-tokens", os.path.join(tokenizer, "sentencepiece_cn_keep_tokens.json")]


# ---- comparing


def spiece_ids(folder, lines):
    """By the sentencepiece library; sentinels behind the pieces are no part of plain lines."""
    import sentencepiece as spm

    model = spm.SentencePieceProcessor(model_file=os.path.join(folder, "spiece.model"))
    return model.encode(lines), [model.get_score(i) for i in range(len(model))]


def ours(t5kit, folder, lines):
    run = subprocess.run([t5kit, "tokenize", "--tokenizer", folder], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"{folder}: {run.stderr}")
    return [[int(id) for id in line.split()] for line in run.stdout.split("\n")[:-1]]


def differences(right, got, scores):
    """How many lists differ, and how many of them are ties."""
    score = lambda ids: sum(scores[i] if i < len(scores) else 0.0 for i in ids)
    wrong = [(i, r, g) for i, (r, g) in enumerate(zip(right, got)) if r != g]
    same = lambda r, g: r.count(2) == g.count(2) and abs(score(r) - score(g)) < 1e-3
    ties = [w for w in wrong if scores and same(w[1], w[2])]
    return [w for w in wrong if w not in ties], len(ties)


def check(t5kit, python5, name, folders, lines, sentinels):
    """Prints a line for each of the folders (name and path) and returns how many cells are no good."""
    asking = [(path, os.path.basename(path) not in ("best", "last")) for _, path in folders]
    programs = [("4 slow", sys.executable, False), ("4 fast", sys.executable, True), ("5", python5, None)]
    answers = {label: asked(python, asking, lines, sentinels, fast) for label, python, fast in programs}
    bad = 0
    for at, (what, folder) in enumerate(folders):
        right, sent = ours(t5kit, folder, lines), ours(t5kit, folder, sentinels) if sentinels else []
        scores, parts = [], []
        if os.path.exists(os.path.join(folder, "spiece.model")):
            ids, scores = spiece_ids(folder, lines)
            wrong, _ = differences(right, ids, [])
            parts.append(f"sentencepiece {len(wrong)}")
            bad += bool(wrong)
        for label, _, _ in programs:
            answer = answers[label][at]
            # A slow tokenizer of the family reads a spiece.model.
            if answer is None or label == "4 slow" and isinstance(answer, str) and not scores and "json" in name:
                parts.append(f"{label} -")
                continue
            if isinstance(answer, str):
                parts.append(f"{label} FAILS: {answer}")
                bad += 1
                continue
            wrong, ties = differences(right, answer["ids"], scores)
            more, _ = differences(sent, answer["sentinels"], [])
            shown = f"{label} {len(wrong)}" + (f" ~{ties}" if ties else "") + (f" ({len(more)} with sentinels)" if more else "")
            texts = [(lines[i], r, g) for i, r, g in wrong[:2]] + [(sentinels[i], r, g) for i, r, g in more[:2]]
            for text, r, g in texts:
                shown += f"\n      {text!r}\n        t5kit {r}\n        {label} {g}"
            parts.append(shown)
            bad += bool(wrong or more)
        print(f"{name} {what}: " + ", ".join(parts), flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("t5kit")
    parser.add_argument("--python5", required=True)
    parser.add_argument("--data", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../shared/data"))
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--only")
    parser.add_argument("--keep", help="folder in which what was written stays")
    args = parser.parse_args()
    global PYTHON5
    PYTHON5 = args.python5
    t5kit, rng = os.path.abspath(args.t5kit), random.Random(16)
    lines = from_data(rng, args.data, args.lines // 2)
    lines += mixed(rng, args.lines - len(lines))
    texts = mixed(random.Random(17), 1500) + from_data(random.Random(18), args.data, 1500)
    words = "今天 天气 the data 模型".split()
    sentinels = [f"{a} <extra_id_{n}> {b}" for a in words for b in words for n in (0, 1, 7)] + ["<extra_id_0> a", "a <extra_id_1>"]
    print(f"{len(lines)} lines of text, {len(sentinels)} with sentinels; a number is how many differ from t5kit", flush=True)

    def run(*command):
        done = subprocess.run([t5kit, *command], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"t5kit {' '.join(command)}: {done.stderr}")

    with tempfile.TemporaryDirectory() as temporary:
        work, bad = args.keep or temporary, 0
        os.makedirs(work, exist_ok=True)
        corpus = os.path.join(work, "corpus.txt")
        with open(corpus, "w", encoding="utf8") as file:
            file.write("\n".join(texts) + "\n")
        pairs = os.path.join(work, "pairs.tsv")
        with open(pairs, "w", encoding="utf8") as file:
            file.writelines(f"{a.strip()}\t{b.strip()}\n" for a, b in zip(texts[10:], texts[11:60]) if a.strip() and b.strip())
        names = [*FAMILIES, "blog"]
        for name in names if args.only is None else [args.only]:
            base = os.path.join(work, name)
            shutil.rmtree(base, ignore_errors=True)
            os.makedirs(base)
            if name == "blog":
                if not os.path.isdir(os.path.join(args.data, "tokenizer")):
                    print("blog: left out, there is no --data")
                    continue
                model = blog(base, args.data)
            else:
                FAMILIES[name](base, texts)
                model = ["--model", base]
            out = lambda what: os.path.join(work, f"{name}-{what}")
            for what in ("convert", "trim", "run"):
                shutil.rmtree(out(what), ignore_errors=True)
            run("convert", *model, "--output", out("convert"))
            # ByT5 has nothing to cut.
            if name != "byt5":
                counts = os.path.join(work, f"{name}.tsv")
                run("count", "--tokenizer", out("convert"), "--output", counts, "--force", corpus)
                run("trim", "--model", out("convert"), "--counts", counts, "--min-count", "3", "--allow-low-coverage",
                    "--output", out("trim"))
            run("finetune", *model, "--train", pairs, "--valid", pairs, "--source", "1", "--target", "2", "--max-steps", "1", "--output", out("run"))
            marked = [] if name == "bert-t5" else sentinels
            written = [(what, out(what)) for what in ("convert", "trim", "run", "run/best", "run/last")]
            written = [(what, path) for what, path in written if os.path.isdir(path)]
            bad += check(t5kit, args.python5, name, written, lines, marked)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
