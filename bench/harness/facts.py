"""What was compared, and on what: the table at the head of every report."""
import os
import platform
import subprocess

import process

PACKAGES = ["torch", "transformers", "ctranslate2", "sentencepiece"]


def cpu():
    model, flags = platform.machine(), set()
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() in ("flags", "Features"):
                flags = set(value.split())
    known = ["avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8",
             "asimd", "asimddp", "i8mm", "bf16"]
    return f"{model}, {os.cpu_count()} logical cores; {' '.join(f for f in known if f in flags)}"


def memory():
    with open("/proc/meminfo") as f:
        return f"{int(f.readline().split()[1]) / 1e6:.0f} GB"


def versions(python):
    code = "from importlib.metadata import version\n" + "\n".join(
        f"print('{p}', version('{p}'))" for p in PACKAGES
    )
    return ", ".join(process.run([python, "-c", code]).stdout.split("\n")[: len(PACKAGES)])


def commit(root):
    out = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return out.stdout.strip() or "unknown"


def table(space):
    rows = [("processor", cpu()), ("memory", memory()), ("system", platform.platform(terse=True)),
            ("threads", space.threads), ("rounds", space.rounds),
            ("beside", f"{space.beside} busy loops beside every timed run" if space.beside else "nothing of ours")]
    if space.with_peers:
        rows.insert(3, ("peers", versions(space.python)))
    if space.t5kit:
        version = process.run([space.t5kit, "--version"]).stdout.strip()
        # Of a binary that was given nobody knows which commit it is.
        rows.insert(3, ("t5kit", f"{version}, commit {commit(space.root)}" if space.built else version))
    if space.old:
        version = process.run([space.old, "--version"]).stdout.strip()
        rows.insert(4, ("old t5kit", f"{version}, {space.old}, {space.old_threads} threads"))
    return "| what | value |\n|---|---|\n" + "\n".join(f"| {k} | {v} |" for k, v in rows)
