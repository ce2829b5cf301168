"""Training: seconds a step and real tokens a second (padding not counted) of fine-tuning on CSL titles, AdamW at 2e-4,
batch 16, sources cut at 256 tokens and targets at 32, dropout 0.1.

First the losses of t5kit's first steps are compared with PyTorch's (without dropout). Then transformers and t5kit are
timed in turn on the same rows: hf_train.py's first batches in file order, or its batches of like length. t5kit shuffles
those rows and trains on them twice; the second pass counts. An older t5kit does the same where one is given.
"""
import json
import os
import re
import shutil

import facts
import floor
import process
from workspace import Mismatch, paired

BATCH = 16
CHECK_STEPS = 3
# float32 sums in another order; both start from the same weights
TOLERANCE = 1e-4

# name → (model, order of the rows, steps)
CELLS = {
    "file order": ("small", "file order", 6),
    "bucketed": ("small", "bucketed", 6),
    "full vocabulary": ("small_full", "file order", 3),
}
DEFAULT_CELLS = list(CELLS)


def batches(space, cell):
    """The model's folder and the rows that hf_train.py trains on, batch by batch, its warm-up step left out."""
    model_name, order, steps = CELLS[cell]
    model = getattr(space, model_name)
    name = f"batches-{model_name}-{steps}"
    spm = space.spiece_of(model)
    return model, space.reference(name, "batches", spm, space.titles, BATCH, steps)[order]


def pieces(space, cell):
    """How many different pieces these rows have: so many rows of the embedding ever have a gradient."""
    model_name, order, steps = CELLS[cell]
    spm = space.spiece_of(getattr(space, model_name))
    return space.reference(f"pieces-{model_name}-{steps}", "pieces", spm, space.titles, BATCH, steps)[order]


def command(space, model, data, output, steps, *options, who="t5kit"):
    program, threads = space.programs()[who]
    return [program, "finetune", "--model", model, "--train", data, "--source", "2", "--target", "3", "--output",
            output, "--batch-size", str(BATCH), "--epochs", str(steps), "--max-steps", str(steps), "--learning-rate",
            "2e-4", "--weight-decay", "0.01", "--max-grad-norm", "0", "--max-source-length", "256",
            "--max-target-length", "32", "--seed", "0", "--threads", str(threads), "--force", *options]


def finetune(run, line, output):
    """`run` the line and return (process result, the steps' lines of train_log.jsonl); the output folder is removed."""
    shutil.rmtree(output, ignore_errors=True)
    try:
        result = run(line)
        with open(os.path.join(output, "train_log.jsonl"), encoding="utf8") as f:
            log = [entry for entry in map(json.loads, f) if "grad_norm" in entry]
    finally:
        shutil.rmtree(output, ignore_errors=True)
    return result, log


def check(space):
    """The losses of the first steps on one batch equal PyTorch's."""
    expected = space.reference(
        "losses", "losses", space.small, space.spiece, space.titles, BATCH, CHECK_STEPS
    )
    return compare(space, space.small, expected)


def compare(space, model, expected):
    """t5kit's losses of that model's first steps on one batch are the expected ones."""
    data = space.write("one_batch.tsv", ["\t".join(row) for row in space.rows(BATCH)])
    output = os.path.join(space.work, "check-run")
    line = command(space, model, data, output, CHECK_STEPS, "--dropout", "0")
    found = [entry["loss"] for entry in finetune(process.run, line, output)[1]]
    for step, (ours, theirs) in enumerate(zip(found, expected, strict=True), 1):
        if abs(ours - theirs) > TOLERANCE * theirs:
            raise Mismatch(f"step {step}: loss {ours:.6f}, PyTorch's is {theirs:.6f}")
    values = ", ".join(f"{x:.4f}" for x in found)
    return f"Checked: losses of {CHECK_STEPS} steps on one batch, {values}, are PyTorch's within {TOLERANCE}."


def transformers(space, model, order, steps, bf16=False):
    line = space.peer("hf_train.py", model, space.spiece_of(model), space.titles, "--batch", BATCH, "--steps", steps,
                      "--threads", space.threads, *(["--bucketed"] if order == "bucketed" else []),
                      *(["--bf16"] if bf16 else []))
    return peer_figures(space.timed(line))


def peer_figures(result):
    """The figures of the line that hf_train.py and unilm_peer.py print."""
    found = re.search(r"median ([\d.]+) s/step, (\d+) real tokens/s, peak RSS ([\d.]+) GB", result.stdout)
    if not found:
        raise process.Failed(f"no figures in: {result.stdout}")
    return {"step": float(found[1]), "tokens": float(found[2]), "rss": float(found[3]) * 1e9}


def t5kit(space, who, model, data, steps, *options):
    output = os.path.join(space.work, "timed-run")
    result, log = finetune(space.timed, command(space, model, data, output, 2 * steps, *options, who=who), output)
    if len(log) != 2 * steps:
        raise Mismatch(f"train_log.jsonl has {len(log)} steps, not {2 * steps}")
    second = log[steps:]
    seconds = sorted(entry["seconds"] for entry in second)
    return {"step": seconds[len(seconds) // 2], "rss": result.peak_rss,
            "tokens": sum(entry["real_tokens"] for entry in second) / sum(seconds)}


def contestants(space, model, data, order, steps):
    """What is timed: name → function."""
    found = {}
    half = "bf16" in facts.cpu()  # elsewhere bfloat16 is emulated, slower than float32
    if space.with_peers:
        found["transformers f32"] = lambda: transformers(space, model, order, steps)
        if half:
            found["transformers bf16 autocast"] = lambda: transformers(space, model, order, steps, bf16=True)
    for precision in ["f32", "bf16"] if half else ["f32"]:
        for who in space.programs():
            def timed(who=who, precision=precision):
                return t5kit(space, who, model, data, steps, "--precision", precision)
            found[f"{who} {precision}"] = timed
    return found


def ratios(figures, runs, who):
    """How many times transformers' or an older t5kit's tokens a second, and their memory, t5kit's are; like is compared
    with like, f32 or bf16."""
    same = "t5kit bf16" if "bf16" in who else "t5kit f32"
    if same not in figures or who == same:
        return "–", "–"
    memory = f"{figures[same]['rss'] / figures[who]['rss']:.2f}"
    if who.startswith("old "):
        return f"{paired(runs, same, who, 'tokens'):.3f}", memory
    return f"{figures[same]['tokens'] / figures[who]['tokens']:.2f}", memory


def run(space):
    notes, table = [], []
    if space.t5kit:
        notes.append(check(space))
    for cell in space.cells or DEFAULT_CELLS:
        if cell not in CELLS:
            raise process.Failed(f"train has no cell {cell}: there are {', '.join(CELLS)}")
        _, order, steps = CELLS[cell]
        (model, chosen), rows = batches(space, cell), space.rows()
        data = space.write(f"train-{cell.replace(' ', '-')}.tsv", ["\t".join(rows[i]) for b in chosen for i in b])
        figures, runs = space.in_turn(contestants(space, model, data, order, steps))
        for who, f in figures.items():
            faster, memory = ratios(figures, runs, who)
            table.append(f"| {cell} | {who} | {f['step']:.2f} | {f['tokens']:.0f} | {f['rss'] / 1e9:.2f} | {faster} | "
                         f"{memory} |")
        if space.t5kit:
            least = floor.seconds(space, floor.training(space, model, chosen, pieces(space, cell)))
            tokens = sum(map(sum, (floor.lengths(space, model)[i] for b in chosen for i in b)))
            reached = figures["t5kit f32"]["tokens"] * least / tokens
            table.append(f"| {cell} | floor, f32 | {least / steps:.2f} | {tokens / least:.0f} | – | "
                         f"{reached:.0%} reached | – |")
    head = ("| cell | program | s/step | real tokens/s | peak RSS, GB | t5kit, tokens/s × | t5kit, memory × |\n"
            "|---|---|---|---|---|---|---|")
    return "\n".join([head, *table, "", *notes])
