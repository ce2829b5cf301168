"""Generation in int8, as generation.py times it in f32: CTranslate2's int8 in the best of a sweep over batch size, workers,
threads and both of its libraries of products, OpenVINO's through optimum-intel and ONNX Runtime's through optimum where their
interpreters are given, in the best of a sweep over batch size, t5kit's.

Beside generating: `encode`, sources into one new token each, and `score`, log-probabilities of given titles (int8_peer.py).

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

# Cells of whole sequences, and pairs that are scored.
WHOLE = ["encode", "score"]
PAIRS = 256

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
    line = [space.openvino, os.path.join(space.peers, "ov_generate.py"), space.small, space.small_openvino_int8, space.spiece, space.titles,
            "--kind", "int8", "--samples", str(SAMPLES), "--batch", str(batch), "--beams", str(beams), "--threads",
            str(space.threads)]
    return generation.peer_figures(space.timed(line))


def onnxruntime(space, batch, beams):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ort_peer.py")
    line = [space.onnxruntime, script, space.small, space.small_onnx_int8, space.spiece, space.titles, "--samples", SAMPLES,
            "--batch", batch, "--beams", beams, "--threads", space.threads]
    return generation.peer_figures(space.timed([str(x) for x in line]))


def other_peers(space):
    """What generates through optimum: name → function of batch and beams."""
    found = {"OpenVINO": openvino} if space.openvino else {}
    return found | ({"ONNX Runtime": onnxruntime} if space.onnxruntime else {})


def whole_peer(space, python, peer, what, model, batch, inter, intra, env=None):
    """A peer's run of a cell of whole sequences."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "int8_peer.py")
    samples = PAIRS if what == "score" else SAMPLES
    line = [python, script, peer, what, model, space.spiece, space.titles, "--samples", samples, "--batch", batch,
            "--inter", inter, "--intra", intra]
    return generation.peer_figures(space.timed([str(x) for x in line], env=env))


def whole_command(space, what, batch, who, model, dtype, samples):
    """t5kit's command line for a cell of whole sequences, and what it reads."""
    if what == "encode":
        sources = space.write(f"encode-{samples}.txt", [row[1] for row in space.rows(samples)])
        return generation.command(space, batch, dtype=dtype, new_tokens=1, who=who, model=model), sources
    program, threads = space.programs()[who]
    pairs = space.write(f"pairs-{samples}.tsv", [f"{row[1]}\t{row[2]}" for row in space.rows(samples)])
    line = [program, "score", "--model", model or space.small, "--input", pairs, "--no-header", "--max-source-length",
            "256", "--max-target-length", "32", "--batch-size", str(batch), "--threads", str(threads)]
    return line + (["--dtype", dtype] if dtype else []), None


def whole_t5kit(space, what, batch, who="t5kit", model=None, dtype=None):
    """The same by t5kit, without what a single sample takes: its start-up."""
    samples = PAIRS if what == "score" else SAMPLES
    line, stdin = whole_command(space, what, batch, who, model, dtype, samples)
    one, of_one = whole_command(space, what, 1, who, model, dtype, 1)
    load = sorted(space.timed(one, of_one).seconds for _ in range(3))[1]
    result = space.timed(line, stdin)
    if (lines := result.stdout.count("\n")) != samples:
        raise Mismatch(f"t5kit {what} printed {lines} lines for {samples} samples")
    return {"samples": samples / (result.seconds - load), "whole": samples / result.seconds, "rss": result.peak_rss}


def whole(space, what, half):
    """A table's rows of a cell of whole sequences, and what is to be said about them."""
    n, notes, contestants = space.threads, [], {}
    if space.with_peers:
        def ct2(batch, inter, intra, library):
            return whole_peer(space, space.python, "ctranslate2", what, space.small_ct2_int8, batch, inter, intra,
                              LIBRARIES[library])

        own, other = LIBRARIES
        shapes = [(b, inter, intra, own) for b in (16, 32, 64) for inter, intra in sorted({(1, n), (n, 1)})]
        space.say(f"{what}: CTranslate2's best of {len(shapes) + 1} configurations")
        speeds = {shape: ct2(*shape)["samples"] for shape in shapes}
        best = (*max(speeds, key=speeds.get)[:3], other)
        speeds[best] = ct2(*best)["samples"]
        best = max(speeds, key=speeds.get)
        swept = ", ".join(f"batch {b} {i}×{t} {lib}: {s:.1f}" for (b, i, t, lib), s in speeds.items())
        notes.append(f"{what}: CTranslate2 int8 sweep, samples/s (batch, workers × threads): {swept}.")
        contestants[f"CTranslate2 int8, batch {best[0]}, {best[1]} × {best[2]} threads, {best[3]}"] = lambda: ct2(*best)
        for name, python, peer, model in (("OpenVINO", space.openvino, openvino, space.small_openvino_int8),
                                          ("ONNX Runtime", space.onnxruntime, onnxruntime, space.small_onnx_int8)):
            if not python:
                continue
            if not os.path.exists(model):
                peer(space, 16, 1)  # converts on the way
            contestants[f"{name} int8, batch 16"] = lambda run=(python, peer.__name__, what, model): whole_peer(
                space, *run, 16, 1, n)
    if space.t5kit:
        speeds = {b: whole_t5kit(space, what, b, model=space.small_int8)["samples"] for b in (16, 32, 64)}
        size = max(speeds, key=speeds.get)
        swept = ", ".join(f"batch {b}: {s:.1f}" for b, s in speeds.items())
        notes.append(f"{what}: t5kit sweep, samples/s: {swept}. The table has batch {size}.")
        if half:
            contestants["t5kit bf16"] = lambda: whole_t5kit(space, what, size, dtype="bf16")
        if space.old:
            contestants["old t5kit int8"] = lambda: whole_t5kit(space, what, size, "old t5kit", space.small_int8)
        contestants["t5kit int8"] = lambda: whole_t5kit(space, what, size, model=space.small_int8)
    figures, _ = space.in_turn(contestants)
    ours, table = figures.get("t5kit int8"), []
    for who, f in figures.items():
        times = f"{ours['samples'] / f['samples']:.2f}" if ours and who != "t5kit int8" else "–"
        started = f" ({f['whole']:.2f})" if "whole" in f else ""
        table.append(f"| {what} | {who} | {f['samples']:.2f}{started} | – | {f['rss'] / 1e9:.2f} | {times} |")
    if ours:
        samples, parts = ((PAIRS, floor.scoring_in_int8(space, PAIRS)) if what == "score" else
                          (SAMPLES, floor.generation_in_int8(space, SAMPLES, size, 1, 1)))
        fastest = samples / floor.seconds(space, parts)
        reached = 100 * ours["samples"] / fastest
        table.append(f"| {what} | floor, int8 | {fastest:.2f} | – | – | {reached:.0f}% reached |")
    return table, notes


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
        if cell not in [*generation.CELLS, *WHOLE]:
            raise process.Failed(f"int8 has no cell {cell}: there are {', '.join([*generation.CELLS, *WHOLE])}")
        if cell in WHOLE:
            rows, said = whole(space, cell, half)
            table += rows
            notes += said
            continue
        batch, beams = generation.CELLS[cell]
        contestants, size = {}, batch
        if space.with_peers:
            best, sweep = best_ctranslate2(space, batch, beams)
            notes.append(f"{cell}: {sweep}")
            contestants[f"CTranslate2 int8, batch {best[0]}, {best[1]} × {best[2]} threads, {best[3]}"] = (
                lambda: ctranslate2(space, beams, best))
            for name, peer in other_peers(space).items():
                sizes = [1] if batch == 1 else [batch, 2 * batch]
                speeds = {b: peer(space, b, beams)["samples"] for b in sizes}
                size = max(speeds, key=speeds.get)
                contestants[f"{name} int8, batch {size}"] = lambda run=(peer, size): run[0](space, run[1], beams)
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
