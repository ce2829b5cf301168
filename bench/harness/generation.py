"""Generation: exactly 32 new tokens for each of 64 CSL abstracts cut at 256 tokens, mT5-small's shape, random weights.

First t5kit's ids are compared with transformers' (by reference.py), those of beam search too where it is timed; then
transformers, CTranslate2 in its best configuration and t5kit with its best batch size (both found by a sweep on the
same work) are timed in turn, an older t5kit with the same batch size among them where one is given.
"""
import json
import re

import facts
import floor
import process
from workspace import Mismatch, paired

SAMPLES = 64
NEW_TOKENS = 32
# A choice that led by less than this in the reference's float32 logits may fall either way in another float32 program.
CLOSE_CALL = 1e-4
# Beam search by the reference takes long: so many samples are compared.
BEAM_SAMPLES = 8

# name → (batch, beams)
CELLS = {"b16": (16, 1), "b1": (1, 1), "beam4": (16, 4)}
DEFAULT_CELLS = ["b16", "b1"]


def abstracts(space):
    return space.write("abstracts.txt", [row[1] for row in space.rows(SAMPLES)])


def command(space, batch, beams=1, dtype=None, new_tokens=NEW_TOKENS, who="t5kit", model=None):
    program, threads = space.programs()[who]
    out = [program, "generate", "--model", model or space.small, "--max-source-length", "256", "--max-new-tokens",
           str(new_tokens), "--min-new-tokens", str(new_tokens), "--batch-size", str(batch), "--threads", str(threads)]
    if beams > 1:
        out += ["--num-beams", str(beams)]
    if dtype:
        out += ["--dtype", dtype]
    return out


def check(space, sources):
    """Greedy ids equal transformers'."""
    expected = space.reference("greedy", "greedy", space.small, space.spiece, space.titles, SAMPLES)
    return compare(process.run(command(space, 16) + ["--json"], stdin=sources), expected)


def compare(result, expected):
    """The ids that `result` printed are the expected ones, but for choices that were close calls there: after one the
    rest is free."""
    found = result.stdout.splitlines()
    if len(found) != len(expected):
        raise Mismatch(f"t5kit generate printed {len(found)} lines for {len(expected)} sources")
    equal = close = 0
    for number, (line, reference) in enumerate(zip(found, expected), 1):
        ids = json.loads(line)["outputs"][0]["ids"]
        if ids == reference["ids"]:
            equal += 1
            continue
        if len(ids) != NEW_TOKENS:
            raise Mismatch(f"source {number}: {len(ids)} new tokens, not {NEW_TOKENS}")
        at = next(i for i, (a, b) in enumerate(zip(ids, reference["ids"])) if a != b)
        if reference["leads"][at] > CLOSE_CALL:
            raise Mismatch(f"source {number}: token {at} is {ids[at]}, transformers gives {reference['ids'][at]} "
                           f"with a lead of {reference['leads'][at]:.4f}")
        close += 1
    return (f"Checked: greedy ids equal transformers' for {equal} of {len(expected)} sources, {close} part at a choice "
            f"that led by less than {CLOSE_CALL}.")


def check_beams(space, beams):
    """Ids of beam search equal transformers', but where its score is reached by other ids: a close call there."""
    expected = space.reference(f"beam{beams}", "beam", space.small, space.spiece, space.titles, BEAM_SAMPLES, beams)
    sources = space.write("beam_abstracts.txt", [row[1] for row in space.rows(BEAM_SAMPLES)])
    found = process.run(command(space, BEAM_SAMPLES, beams) + ["--json"], stdin=sources).stdout.splitlines()
    if len(found) != len(expected):
        raise Mismatch(f"t5kit generate printed {len(found)} lines for {len(expected)} sources")
    equal = 0
    for number, (line, reference) in enumerate(zip(found, expected), 1):
        output = json.loads(line)["outputs"][0]
        if abs(output["score"] - reference["score"]) > CLOSE_CALL:
            raise Mismatch(f"source {number}: score {output['score']:.5f} with {beams} beams, transformers has "
                           f"{reference['score']:.5f}")
        equal += output["ids"] == reference["ids"]
    return (f"Checked: ids of {beams} beams equal transformers' for {equal} of {len(expected)} sources, the others "
            f"have its score within {CLOSE_CALL}.")


def peer_figures(result):
    """The figures of the line that hf_generate.py and ct2_generate.py print; they leave loading out."""
    found = re.search(r"([\d.]+) samples/s, (\d+) tokens/s, peak RSS ([\d.]+) GB", result.stdout)
    if not found:
        raise process.Failed(f"no figures in: {result.stdout}")
    return {"samples": float(found[1]), "rss": float(found[3]) * 1e9}


def transformers(space, batch, beams, bf16=False):
    line = space.peer("hf_generate.py", space.small, space.spiece, space.titles, "--samples", SAMPLES, "--batch", batch,
                      "--beams", beams, "--threads", space.threads, *(["--bf16"] if bf16 else []))
    return peer_figures(space.timed(line))


def ctranslate2(space, beams, configuration):
    batch, inter, intra = configuration
    line = space.peer("ct2_generate.py", space.small_ct2, space.spiece, space.titles, "--samples", SAMPLES, "--batch",
                      batch, "--beams", beams, "--inter", inter, "--intra", intra)
    return peer_figures(space.timed(line))


def best_ctranslate2(space, batch, beams):
    """Sweep batch size and threads: one worker of all threads against workers of one thread. Batch 1 stays batch 1,
    where a second worker has nothing to do."""
    n = space.threads
    if batch == 1:
        grid = [(1, 1, n), (1, 1, 1)] if n > 1 else [(1, 1, 1)]
    else:
        grid = [(b, inter, intra) for b in (batch, 2 * batch, 4 * batch) for inter, intra in {(1, n), (n, 1)}]
    space.say(f"CTranslate2's best of {len(grid)} configurations")
    speeds = {c: ctranslate2(space, beams, c)["samples"] for c in sorted(grid)}
    best = max(speeds, key=speeds.get)
    swept = ", ".join(f"batch {b} {i}×{t}: {s:.1f}" for (b, i, t), s in speeds.items())
    return best, f"CTranslate2 sweep, samples/s (batch, workers × threads): {swept}."


def best_t5kit(space, sources, batch, beams, load):
    """The same sweep of batch sizes; t5kit has no workers to choose."""
    sizes = [1] if batch == 1 else [batch, 2 * batch, 4 * batch]
    speeds = {b: t5kit(space, "t5kit", sources, b, beams, load)["samples"] for b in sizes}
    swept = ", ".join(f"batch {b}: {s:.1f}" for b, s in speeds.items())
    return max(speeds, key=speeds.get), f"t5kit sweep, samples/s: {swept}."


def startup(space, who, model=None):
    """Seconds t5kit needs to load and answer one short source with one token: what the peers' scripts leave out."""
    source = space.write("one_source.txt", ["好"])
    line = command(space, 1, new_tokens=1, who=who, model=model)
    return sorted(space.timed(line, source).seconds for _ in range(3))[1]


def t5kit(space, who, sources, batch, beams, load, dtype=None, model=None, samples=SAMPLES):
    result = space.timed(command(space, batch, beams, dtype, who=who, model=model), sources)
    lines = result.stdout.count("\n")  # texts may hold what Python takes for line ends
    if lines != samples:
        raise Mismatch(f"t5kit generate printed {lines} lines for {samples} sources")
    return {"samples": samples / (result.seconds - load), "whole": samples / result.seconds, "rss": result.peak_rss}


def t5kits(space, sources, size, beams, loads, half):
    """The runs of t5kit that are timed: name → function."""
    found = {}
    for dtype in [None, "bf16"] if half else [None]:
        for who, load in loads.items():
            def timed(who=who, load=load, dtype=dtype):
                return t5kit(space, who, sources, size, beams, load, dtype)
            found[f"{who} {dtype or 'f32'}"] = timed
    return found


def ratio(figures, runs, who):
    """How many times as fast t5kit in f32 is as this one; as an older t5kit in bf16, t5kit in bf16."""
    if "t5kit f32" not in figures or who == "t5kit f32":
        return "–"
    if who.startswith("old "):
        return f"{paired(runs, who[len('old '):], who, 'samples'):.3f}"
    return f"{figures['t5kit f32']['samples'] / figures[who]['samples']:.2f}"


def line(cell, who, figures, times):
    """A contestant's row of the table."""
    whole = f" ({figures['whole']:.2f})" if "whole" in figures else ""
    return (f"| {cell} | {who} | {figures['samples']:.2f}{whole} | {NEW_TOKENS * figures['samples']:.0f} | "
            f"{figures['rss'] / 1e9:.2f} | {times} |")


def floor_line(cell, kind, seconds, reached):
    """The floor's."""
    return (f"| {cell} | floor, {kind} | {SAMPLES / seconds:.2f} | {NEW_TOKENS * SAMPLES / seconds:.0f} | – | "
            f"{reached:.0%} reached |")


def run(space):
    sources, notes, table = abstracts(space), [], []
    half = "bf16" in facts.cpu()  # elsewhere bfloat16 is emulated, slower than float32
    loads = {}
    if space.t5kit:
        notes.append(check(space, sources))
        loads = {who: startup(space, who) for who in space.programs()}
        said = ", ".join(f"{who}'s start-up, {load:.2f} s" for who, load in loads.items())
        notes.append(f"{said}, is left out of its samples/s as loading is out of the peers'; the whole process is in "
                     "brackets.")
    for cell in space.cells or DEFAULT_CELLS:
        if cell not in CELLS:
            raise process.Failed(f"generate has no cell {cell}: there are {', '.join(CELLS)}")
        batch, beams = CELLS[cell]
        if space.t5kit and beams > 1:
            notes.append(check_beams(space, beams))
        contestants = {}
        if space.with_peers:
            best, sweep = best_ctranslate2(space, batch, beams)
            notes.append(f"{cell}: {sweep}")
            contestants["transformers f32"] = lambda: transformers(space, batch, beams)
            if half:
                contestants["transformers bf16"] = lambda: transformers(space, batch, beams, bf16=True)
            name = f"CTranslate2 f32, batch {best[0]}, {best[1]} × {best[2]} threads"
            contestants[name] = lambda: ctranslate2(space, beams, best)
        if space.t5kit:
            size, sweep = best_t5kit(space, sources, batch, beams, loads["t5kit"])
            notes.append(f"{cell}: {sweep} The table has batch {size}.")
            contestants.update(t5kits(space, sources, size, beams, loads, half))
        figures, runs = space.in_turn(contestants)
        for who, f in figures.items():
            table.append(line(cell, who, f, ratio(figures, runs, who)))
        if space.t5kit:
            least = floor.seconds(space, floor.generation(space, SAMPLES, size, beams, NEW_TOKENS))
            reached = figures["t5kit f32"]["samples"] * least / SAMPLES
            table.append(floor_line(cell, "f32", least, reached))
    head = ("| cell | program | samples/s | new tokens/s | peak RSS, GB | t5kit f32 is × as fast |\n"
            "|---|---|---|---|---|---|")
    return "\n".join([head, *table, "", *notes])
