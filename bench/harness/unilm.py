"""BERT base as UniLM beside transformers' `BertForMaskedLM`: fine-tuning on CSL titles and greedy generation for CSL
abstracts, random weights, sources cut at 256 tokens and targets at 32.

First the losses of t5kit's first steps and its greedy ids are compared with PyTorch's; then both are timed in turn. What
the peer does is in unilm_peer.py: the explicit mask of queries × keys in training, a cache of keys and values while
generating. `careful` runs the peer's head on the rows that say the target alone, which `BertForMaskedLM` does not.
"""
import facts
import floor
import generation
import process
import training
from training import BATCH

STEPS = 4
# Greedy ids are compared for so many samples.
CHECKED = 8
# name → (batch, samples)
CELLS = {"b16": (16, 32), "b1": (1, 8)}


def lengths(space):
    return space.reference("unilm-lengths", "lengths", space.bert, space.titles, script="unilm_peer.py")


def peer(space, what, *options):
    line = [*space.unilm_peer, what, space.bert, space.titles, "--threads", str(space.threads), *map(str, options)]
    return space.timed(line)


def precisions():
    """Elsewhere bfloat16 is emulated, slower than float32."""
    return ["f32", "bf16"] if "bf16" in facts.cpu() else ["f32"]


def train(space):
    rows = space.rows(BATCH * STEPS)
    data, notes, contestants = space.write("unilm.tsv", ["\t".join(row) for row in rows]), [], {}
    if space.t5kit:
        expected = space.reference("unilm-losses", "losses", space.bert, space.titles, BATCH, training.CHECK_STEPS,
                                   script="unilm_peer.py")
        notes.append(training.compare(space, space.bert, expected))
    for precision in precisions():
        half = ["--bf16"] if precision == "bf16" else []
        for name, careful in (("transformers", []), ("transformers, careful,", ["--careful"])):
            if space.with_peers:
                def run(options=(*half, *careful)):
                    return training.peer_figures(
                        peer(space, "train", "--batch", BATCH, "--steps", STEPS, *options))
                contestants[f"{name} {precision}"] = run
        for who in space.programs():
            def run(who=who, precision=precision):
                return training.t5kit(space, who, space.bert, data, STEPS, "--precision", precision)
            contestants[f"{who} {precision}"] = run
    figures, runs = space.in_turn(contestants)
    table = []
    for who, f in figures.items():
        faster, memory = training.ratios(figures, runs, who)
        table.append(f"| {who} | {f['step']:.2f} | {f['tokens']:.0f} | {f['rss'] / 1e9:.2f} | {faster} | {memory} |")
    if space.t5kit:
        batches = [lengths(space)[i:i + BATCH] for i in range(0, BATCH * STEPS, BATCH)]
        least = floor.seconds(space, floor.unilm_training(space, batches))
        tokens = sum(map(sum, (pair for batch in batches for pair in batch)))
        reached = figures["t5kit f32"]["tokens"] * least / tokens
        table.append(f"| floor, f32 | {least / STEPS:.2f} | {tokens / least:.0f} | – | {reached:.0%} reached | – |")
    head = ("| program | s/step | real tokens/s | peak RSS, GB | t5kit, tokens/s × | t5kit, memory × |\n"
            "|---|---|---|---|---|---|")
    return "\n".join([head, *table, "", *notes])


def generate(space):
    notes, table, loads = [], [], {}
    if space.t5kit:
        expected = space.reference("unilm-greedy", "greedy", space.bert, space.titles, CHECKED, script="unilm_peer.py")
        sources = space.write("unilm-checked.txt", [row[1] for row in space.rows(CHECKED)])
        line = generation.command(space, BATCH, model=space.bert) + ["--json"]
        notes.append(generation.compare(process.run(line, stdin=sources), expected))
        loads = {who: generation.startup(space, who, space.bert) for who in space.programs()}
        said = ", ".join(f"{who}'s start-up, {load:.2f} s" for who, load in loads.items())
        notes.append(f"{said}, is left out of its samples/s; the whole process is in brackets.")
    for cell in space.cells or CELLS:
        if cell not in CELLS:
            raise process.Failed(f"unilm-generate has no cell {cell}: there are {', '.join(CELLS)}")
        batch, samples = CELLS[cell]
        sources = space.write(f"unilm-{cell}.txt", [row[1] for row in space.rows(samples)])
        contestants = {}
        for precision in precisions():
            if space.with_peers:
                def run(options=("--bf16",) if precision == "bf16" else ()):
                    return generation.peer_figures(
                        peer(space, "generate", "--samples", samples, "--batch", batch, *options))
                contestants[f"transformers {precision}"] = run
            for who, load in loads.items():
                def run(who=who, load=load, dtype=None if precision == "f32" else precision):
                    return generation.t5kit(space, who, sources, batch, 1, load, dtype, space.bert, samples)
                contestants[f"{who} {precision}"] = run
        figures, runs = space.in_turn(contestants)
        for who, f in figures.items():
            whole = f" ({f['whole']:.2f})" if "whole" in f else ""
            same = f"t5kit {who.rsplit(' ', 1)[1]}"
            ratio = f"{figures[same]['samples'] / f['samples']:.2f}" if same in figures and same != who else "–"
            table.append(f"| {cell} | {who} | {f['samples']:.2f}{whole} | {f['rss'] / 1e9:.2f} | {ratio} |")
        if space.t5kit:
            found = [source for source, _ in lengths(space)[:samples]]
            parts = floor.unilm_generation(space, found, batch, generation.NEW_TOKENS)
            for precision in precisions():
                of_it = parts if precision == "f32" else [floor.in_bf16(part) for part in parts]
                least = floor.seconds(space, of_it)
                reached = figures[f"t5kit {precision}"]["samples"] * least / samples
                table.append(f"| {cell} | floor, {precision} | {samples / least:.2f} | – | {reached:.0%} reached |")
    if space.t5kit:
        rates = floor.rates(space)
        notes.append(f"Floors are of {rates.flops / 1e9:.0f} GFLOP/s in f32, {rates.bf16 / 1e9:.0f} in bf16 and "
                     f"{rates.bandwidth / 1e9:.1f} GB/s read, measured in this call.")
    head = "| cell | program | samples/s | peak RSS, GB | t5kit is × as fast |\n|---|---|---|---|---|"
    return "\n".join([head, *table, "", *notes])
