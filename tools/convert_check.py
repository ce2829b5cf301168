"""Show that what `t5kit convert` writes is what transformers and CTranslate2 load: the same logits.

usage: convert_check.py T5KIT [--python5 PYTHON] [--keep DIR] [--only bert|t5]

T5KIT is the program. Needs transformers 4.57, ctranslate2, torch, sentencepiece, protobuf; PYTHON is an interpreter with
transformers 5 (--only bert needs transformers 4.57 alone). For a tiny random model of each family (and for a checkpoint of
TensorFlow from the tests) it converts to f32, bf16 and f16 and prints the largest difference of the logits, relative to the largest logit, from those that
transformers 4.57 computes from the original weights; for CTranslate2, which shows none, that of the log-probabilities
of a target. Ends with 1 where a difference is over its bound.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SOURCE, TARGET = [5, 17, 33, 4, 80, 61, 1], [9, 42, 7, 55, 1]
# Rounding of weights, times what a few layers make of it; f32 is copied.
BOUNDS = {"f32": 1e-5, "bf16": 8e-2, "f16": 1.2e-2}


def logits(directory):
    """[target, rows] in f32 from the weights as they are stored, by whichever transformers this interpreter has."""
    import torch
    import transformers

    kind = json.load(open(os.path.join(directory, "config.json")))["architectures"][0]
    if kind == "NezhaForMaskedLM":
        from transformers.models.deprecated.nezha import NezhaForMaskedLM as loader
    else:
        loader = getattr(transformers, kind)
    model, info = loader.from_pretrained(directory, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    model = model.float().eval()
    if kind.endswith("MaskedLM"):
        with open(os.path.join(ROOT, "crates/model/tests/bert/bert/logits.json")) as file:
            given = json.load(file)
        ids, segments = (torch.tensor([given[key]]) for key in ("ids", "segments"))
        with torch.no_grad():
            return model(input_ids=ids, token_type_ids=segments).logits[0].tolist()
    with torch.no_grad():
        return model(input_ids=torch.tensor([SOURCE]), labels=torch.tensor([TARGET])).logits[0].tolist()


def relative(a, b):
    import numpy as np

    a, b = np.array(a), np.array(b)
    return float(np.abs(a - b).max() / np.abs(b).max())


def other(python, directory):
    script = f"import sys, json; sys.path.insert(0, {HERE!r}); import convert_check as c; " \
             f"print('LOGITS ' + json.dumps(c.logits({directory!r})))"
    run = subprocess.run([python, "-c", script], capture_output=True, text=True)
    lines = [l for l in run.stdout.splitlines() if l.startswith("LOGITS ")]
    if run.returncode or not lines:
        sys.exit(f"{python}: {run.stderr[-2000:]}")
    return json.loads(lines[0][7:])


def log_probs_ct2(directory):
    """Log-probability of each target token, by CTranslate2 from its own conversion of the directory."""
    import ctranslate2

    with tempfile.TemporaryDirectory() as parent:
        out = os.path.join(parent, "ct2")
        ctranslate2.converters.TransformersConverter(directory).convert(out)
        vocabulary = json.load(open(os.path.join(out, "shared_vocabulary.json")))
        translator = ctranslate2.Translator(out, device="cpu", compute_type="float32")
        tokens = [[[vocabulary[i] for i in ids]] for ids in (SOURCE, TARGET[:-1])]
        return translator.score_batch(*tokens)[0].log_probs


def log_probs(logits):
    import torch

    return torch.tensor(logits).log_softmax(-1).gather(1, torch.tensor(TARGET)[:, None])[:, 0].tolist()


def berts():
    """The same as `originals`, of BERT's family: from every form that they have in the tests."""
    for name in ("bert", "nezha", "roformer", "bert-google", "nezha-google", "roformer-google", "bert-bin", "bert-keras"):
        tests = os.path.join(ROOT, "crates/model/tests/bert")
        yield name, [os.path.join(tests, name)], os.path.join(tests, name.split("-")[0])


def tokenizes(directory):
    """Whether transformers' tokenizer of the directory gives t5kit's own ids."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory, use_fast=False)
    return tokenizer("今天天气, unaffable The").input_ids


def originals(folder):
    """(name, arguments of --model, Hugging Face directory with the original weights)."""
    import torch
    from safetensors.torch import save_file

    import make_goldens as goldens

    # Pad 0, eos 1 and unk 2 as in T5; more pieces than the ids above.
    import sentencepiece

    spiece = os.path.join(folder, "spiece.model")
    sentencepiece.SentencePieceTrainer.train(
        input=os.path.join(ROOT, "README.md"), model_prefix=spiece.removesuffix(".model"), vocab_size=250,
        hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )
    for name, spec in goldens.MODELS.items():
        if name == "bert4keras":
            continue
        directory = os.path.join(folder, name)
        os.makedirs(directory)
        # As many rows as the tokenizer needs.
        config = {**spec["config"], **goldens.COMMON, "vocab_size": 384}
        json.dump(config, open(os.path.join(directory, "config.json"), "w"))
        weights = goldens.random_weights(config, torch.Generator().manual_seed(1))
        save_file(weights, os.path.join(directory, "model.safetensors"), {"format": "pt"})
        yield name, [directory, "--tokenizer", spiece], directory
    for name in ("mt5", "t5-v1_0"):
        prefix = os.path.join(ROOT, f"crates/model/tests/tensorflow/{name}/model.ckpt-1000000")
        yield f"{name} (TensorFlow)", [prefix], os.path.join(ROOT, "crates/model/tests/goldens", name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("t5kit")
    parser.add_argument("--python5")
    parser.add_argument("--keep", help="folder in which the converted models stay; it must be there")
    parser.add_argument("--only", choices=("bert", "t5"), help="only the models of this kind")
    args = parser.parse_args()
    import transformers

    with tempfile.TemporaryDirectory() as temporary:
        work, bad = args.keep or temporary, 0
        versions = {"transformers 4": transformers.__version__}
        if args.only != "bert":
            import ctranslate2

            versions["CTranslate2"] = ctranslate2.__version__
        if args.python5:
            query = [args.python5, "-c", "import transformers; print(transformers.__version__)"]
            versions["transformers 5"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
        print(", ".join(f"{name}: {version}" for name, version in versions.items()))
        models = [] if args.only == "bert" else originals(work)
        models = list(models) + ([] if args.only == "t5" else list(berts()))
        for name, model, directory in models:
            want, bert = logits(directory), "/bert/" in directory
            for dtype, bound in BOUNDS.items():
                out = os.path.join(work, f"{name.split()[0]}-{len(name)}-{dtype}")
                command = [args.t5kit, "convert", "--model", *model, "--output", out, "--dtype", dtype]
                # f32 in several files: that is how big models are written.
                command += ["--max-shard-size", "10KB"] if dtype == "f32" else []
                subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
                assert os.path.exists(os.path.join(out, "model.safetensors.index.json")) == (dtype == "f32")
                figures = {"transformers 4": relative(logits(out), want)}
                if bert:
                    ids = subprocess.run(
                        [args.t5kit, "tokenize", "--tokenizer", out], input="今天天气, unaffable The\n",
                        capture_output=True, text=True, check=True,
                    ).stdout.split()
                    theirs = tokenizes(out)
                    assert theirs[1:-1] == [int(i) for i in ids], (theirs, ids)
                if args.python5 and not bert:
                    figures["transformers 5"] = relative(other(args.python5, out), want)
                # The converter of CTranslate2 wants a tokenizer.
                if not bert and os.path.exists(os.path.join(out, "tokenizer_config.json")):
                    ours, theirs = log_probs(want), log_probs_ct2(out)
                    figures["CTranslate2"] = max(abs(a - b) for a, b in zip(ours, theirs)) / max(map(abs, ours))
                over = any(not figure <= bound for figure in figures.values())
                bad += over
                told = ", ".join(f"{program} {figure:.1e}" for program, figure in figures.items())
                print(f"{name}, {dtype}: {told}{'  OVER ' + str(bound) if over else ''}", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
