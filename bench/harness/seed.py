"""The speed column of the blog post's table: how fast BERT base, WoBERT base, mT5 small and mT5 base decode titles, beside
BERT. Random weights in the true shapes, one beam, batches of 16, CSL abstracts cut at 256 tokens.

Every output has as many new tokens as its title has in the model's own pieces, the end included and cut at 32 as in the
post: the 64 abstracts are sorted by that into four batches, and all of a batch get its mean, rounded. Random weights never
end by themselves at a sensible place; speed does not depend on what they are.
"""
import json
import os
import statistics

import generation
import process
from workspace import Mismatch

SAMPLES, BATCH = 64, 16
LONGEST = 32

_BERT = {"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 768, "num_hidden_layers": 12,
         "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu", "max_position_embeddings": 512,
         "type_vocab_size": 2, "layer_norm_eps": 1e-12}
_MT5 = {"model_type": "mt5", "architectures": ["MT5ForConditionalGeneration"], "d_kv": 64, "vocab_size": 32598,
        "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "decoder_start_token_id": 0,
        "pad_token_id": 0, "eos_token_id": 1}
# name → (configuration, the post's speed)
MODELS = {
    "BERT base": ({**_BERT, "vocab_size": 21128}, "1x"),
    "WoBERT base": ({**_BERT, "vocab_size": 33586}, "1.1x"),
    "mT5 small": ({**_MT5, "d_model": 512, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8, "num_heads": 6},
                  "2.3x"),
    "mT5 base": ({**_MT5, "d_model": 768, "d_ff": 2048, "num_layers": 12, "num_decoder_layers": 12, "num_heads": 12},
                 "1.6x"),
}


def model(space, name):
    """A folder of the model's shape with random weights, made by t5kit itself."""
    config, _ = MODELS[name]
    plain = name.lower().replace(" ", "-")
    tokenizer = space.spiece if name.startswith("mT5") else vocabulary(space, plain, config["vocab_size"])
    file = space.write(f"seed-{plain}.json", [json.dumps(config)])
    return space.make(f"seed-{plain}", lambda out: [space.t5kit, "convert", "--model", file, "--tokenizer", tokenizer,
                                                    "--output", out])


def vocabulary(space, name, rows):
    """A vocab.txt of so many rows: characters, and for WoBERT the 20,000 words that its author added by their frequency."""
    folder = os.path.join(space.work, f"seed-{name}-vocabulary")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "vocab.txt")
    if not os.path.exists(path):
        words = ["--words"] if name.startswith("wobert") else []
        process.run([*space.unilm_peer, "vocabulary", path + ".part", space.titles, str(rows), *words])
        os.rename(path + ".part", path)
    return path


def batches(space, name, folder):
    """[(file of abstracts, new tokens of each)], shortest titles first, and the mean length of all titles."""
    rows = space.rows(SAMPLES)
    titles = space.write("seed-titles.txt", [row[2] for row in rows])
    ids = process.run([space.t5kit, "tokenize", "--tokenizer", folder, "--input", titles, "--eos"]).stdout.splitlines()
    if len(ids) != len(rows):
        raise Mismatch(f"t5kit tokenize printed {len(ids)} lines for {len(rows)} titles")
    lengths = [min(len(line.split(" ")), LONGEST) for line in ids]
    order = sorted(range(len(rows)), key=lambda i: lengths[i])
    found = []
    for number, at in enumerate(range(0, len(order), BATCH)):
        chosen = order[at:at + BATCH]
        file = space.write(f"{os.path.basename(folder)}-{number}.txt", [rows[i][1] for i in chosen])
        found.append((file, round(statistics.mean(lengths[i] for i in chosen))))
    return found, statistics.mean(lengths)


def check(space, who, folder, work):
    """Each output has the tokens it is to have."""
    for file, tokens in work:
        line = generation.command(space, BATCH, new_tokens=tokens, who=who, model=folder) + ["--json"]
        for printed in process.run(line, stdin=file).stdout.splitlines():
            found = len(json.loads(printed)["outputs"][0]["ids"])
            if found != tokens:
                raise Mismatch(f"{who}: {found} new tokens where {tokens} are wanted")


def decode(space, who, folder, work, load):
    seconds, rss = 0.0, 0
    for file, tokens in work:
        line = generation.command(space, BATCH, new_tokens=tokens, who=who, model=folder)
        result = space.timed(line, file)
        seconds, rss = seconds + result.seconds - load, max(rss, result.peak_rss)
    return {"samples": SAMPLES / seconds, "tokens": BATCH * sum(tokens for _, tokens in work) / seconds, "rss": rss}


def run(space):
    if not space.t5kit:
        raise process.Failed("seed times t5kit alone: leave --peers-only out")
    names = space.cells or list(MODELS)
    for name in names:
        if name not in MODELS:
            raise process.Failed(f"seed has no cell {name}: there are {', '.join(MODELS)}")
    contestants, lengths, loads = {}, {}, {}  # the first and the last by model and program
    for name in names:
        folder = model(space, name)
        work, lengths[name] = batches(space, name, folder)
        for who in space.programs():
            check(space, who, folder, work)
            load = loads[name, who] = generation.startup(space, who, folder)

            def timed(who=who, folder=folder, work=work, load=load):
                return decode(space, who, folder, work, load)
            contestants[f"{name}, {who}"] = timed
    figures, _ = space.in_turn(contestants)
    table = []
    for name, who in loads:
        f, first = figures[f"{name}, {who}"], figures.get(f"BERT base, {who}")
        relative = f"{f['samples'] / first['samples']:.2f}x" if first else "–"
        table.append(f"| {name} | {who} | {lengths[name]:.1f} | {f['samples']:.2f} | {f['tokens']:.0f} | "
                     f"{f['rss'] / 1e9:.2f} | {relative} | {MODELS[name][1]} |")
    starts = ", ".join(f"{name} {load:.2f} s" for (name, who), load in loads.items() if who == "t5kit")
    notes = [f"Checked: every output has the tokens of its batch. Start-up is left out of all figures: {starts}.",
             "The post's program has no cache: a BERT computes source and target anew for every token, a T5 the target."]
    head = ("| model | program | tokens of a title | samples/s | new tokens/s | peak RSS, GB | speed | in the post |\n"
            "|---|---|---|---|---|---|---|---|")
    return "\n".join([head, *table, "", *notes])
