"""Generation in int8, as generation.py times it in f32: CTranslate2's int8 in the best of a sweep over batch size, workers,
threads and both of its libraries of products, OpenVINO's through optimum-intel where its interpreter is given, t5kit's.

Random weights say nothing about quality (docs/BENCHMARKS.md has that of a trained model), so what is checked first is that
t5kit's ids are those of the same source alone, and of the file converted beforehand those of converting while loading.
"""
import os

import facts
import floor
import generation
import process
from generation import NEW_TOKENS, SAMPLES
from workspace import Mismatch

# CTranslate2 asks for the library by name: oneDNN is its own choice on AMD's processors, MKL on Intel's.
LIBRARIES = {"oneDNN": {"CT2_USE_MKL": "0"}, "MKL": {"CT2_USE_MKL": "1"}}


def ctranslate2(space, beams, configuration):
    batch, inter, intra, library = configuration
    line = space.peer("ct2_generate.py", space.small_ct2_int8, space.spiece, space.titles, "--samples", SAMPLES,
                      "--batch", batch, "--beams", beams, "--inter", inter, "--intra", intra)
    return generation.peer_figures(space.timed(line, env=LIBRARIES[library]))


def best_ctranslate2(space, batch, beams):
    n = space.threads
    shapes = [(1, 1, n), (1, 1, 1)] if batch == 1 else [
        (b, inter, intra) for b in (batch, 2 * batch, 4 * batch) for inter, intra in {(1, n), (n, 1)}]
    own, other = LIBRARIES
    space.say(f"CTranslate2's best of {len(shapes) + 1} configurations")
    speeds = {c: ctranslate2(space, beams, c)["samples"] for c in ((*shape, own) for shape in sorted(set(shapes)))}
    # The other library in the best of these. On processors of other makers it can take minutes for one text at a time.
    if batch > 1:
        best = (*max(speeds, key=speeds.get)[:3], other)
        speeds[best] = ctranslate2(space, beams, best)["samples"]
    swept = ", ".join(f"batch {b} {i}×{t} {lib}: {s:.1f}" for (b, i, t, lib), s in speeds.items())
    return max(speeds, key=speeds.get), f"CTranslate2 int8 sweep, samples/s (batch, workers × threads): {swept}."


def openvino(space, batch, beams):
    folder = os.path.join(space.work, "small-openvino-int8")
    line = [space.openvino, os.path.join(space.peers, "ov_generate.py"), space.small, folder, space.spiece, space.titles,
            "--kind", "int8", "--samples", str(SAMPLES), "--batch", str(batch), "--beams", str(beams), "--threads",
            str(space.threads)]
    return generation.peer_figures(space.timed(line))


def check(space, sources):
    def printed(batch, **how):
        return process.run(generation.command(space, batch, **how) + ["--json"], stdin=sources).stdout

    batched, alone = (printed(batch, model=space.small_int8) for batch in (16, 1))
    loaded = printed(16, dtype="int8")
    if batched != alone or batched != loaded:
        raise Mismatch("int8: other ids in a batch, alone, or converted while loading")
    return f"Checked: ids and scores of {SAMPLES} sources in batches, one at a time and converted while loading are the same."


def run(space):
    sources, notes, table, loads = generation.abstracts(space), [], [], {}
    half = "bf16" in facts.cpu()
    if space.t5kit:
        notes.append(check(space, sources))
        loads = {kind: generation.startup(space, "t5kit", model) for kind, model in
                 (("int8", space.small_int8), ("bf16", space.small))}
        notes.append(f"t5kit's start-up, {loads['int8']:.2f} s, is left out of its samples/s; the whole process is in brackets.")
    for cell in space.cells or generation.CELLS:
        if cell not in generation.CELLS:
            raise process.Failed(f"int8 has no cell {cell}: there are {', '.join(generation.CELLS)}")
        batch, beams = generation.CELLS[cell]
        contestants, size = {}, batch
        if space.with_peers:
            best, sweep = best_ctranslate2(space, batch, beams)
            notes.append(f"{cell}: {sweep}")
            contestants[f"CTranslate2 int8, batch {best[0]}, {best[1]} × {best[2]} threads, {best[3]}"] = (
                lambda: ctranslate2(space, beams, best))
            if space.openvino:
                contestants["OpenVINO int8"] = lambda: openvino(space, batch, beams)
        if space.t5kit:
            def int8(size):
                return generation.t5kit(space, "t5kit", sources, size, beams, loads["int8"], model=space.small_int8)
            speeds = {b: int8(b)["samples"] for b in ([1] if batch == 1 else [batch, 2 * batch, 4 * batch])}
            size = max(speeds, key=speeds.get)
            swept = ", ".join(f"batch {b}: {s:.1f}" for b, s in speeds.items())
            notes.append(f"{cell}: t5kit sweep, samples/s: {swept}. The table has batch {size}.")
            if half:
                contestants["t5kit bf16"] = lambda: generation.t5kit(
                    space, "t5kit", sources, size, beams, loads["bf16"], "bf16")
            contestants["t5kit int8"] = lambda: int8(size)
        figures, _ = space.in_turn(contestants)
        for who, f in figures.items():
            space.say(f"{cell}: {who}: {f['samples']:.2f} samples/s")
            ours = figures.get("t5kit int8")
            times = f"{ours['samples'] / f['samples']:.2f}" if ours and who != "t5kit int8" else "–"
            table.append(generation.line(cell, who, f, times))
        if space.t5kit:
            least = floor.seconds(space, floor.generation_in_int8(space, SAMPLES, size, beams, NEW_TOKENS))
            reached = figures["t5kit int8"]["samples"] * least / SAMPLES
            table.append(generation.floor_line(cell, "int8", least, reached))
    head = ("| cell | program | samples/s | new tokens/s | peak RSS, GB | t5kit int8 is × as fast |\n"
            "|---|---|---|---|---|---|")
    return "\n".join([head, *table, "", *notes])
