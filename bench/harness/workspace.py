"""The work folder: models, texts and reference results, each made once and kept."""
import json
import os
import shutil
import statistics
import sys

import process

HARNESS = os.path.dirname(os.path.abspath(__file__))


class Mismatch(Exception):
    """t5kit and a peer disagree about a result: nothing is timed then."""


class Workspace:
    """Paths and settings of one call of bench/run; `path` properties make what they name on first use."""

    def __init__(self, args, t5kit):
        self.root = os.path.dirname(os.path.dirname(HARNESS))
        self.work = os.path.abspath(args.work)
        self.python, self.threads, self.rounds, self.lock = args.python, args.threads, args.rounds, args.lock
        self.peers, self.data = os.path.abspath(args.peers), os.path.abspath(args.data)
        self.cells = args.cells.split(",") if args.cells else None
        self.t5kit, self.built = t5kit, args.t5kit is None
        self.old, self.old_threads = args.old and os.path.abspath(args.old), args.old_threads or args.threads
        self.with_peers, self.beside = not args.t5kit_only, args.beside
        self.openvino, self.onnxruntime, self.shape = args.openvino, args.onnxruntime, args.shape
        os.makedirs(self.work, exist_ok=True)

    def say(self, what):
        """Where the run stands, on standard error."""
        print(f"bench: {what}", file=sys.stderr, flush=True)

    def timed(self, command, stdin=None, env=None):
        """Run to the end what is timed: alone under the lock, but for the busy loops that are asked for."""
        return process.run(command, stdin=stdin, lock=self.lock, beside=self.beside, env=env)

    def programs(self):
        """Names of the t5kits that are timed → (program, threads)."""
        found = {"t5kit": (self.t5kit, self.threads)} if self.t5kit else {}
        if self.old:
            found["old t5kit"] = (self.old, self.old_threads)
        return found

    def peer(self, script, *arguments):
        """The command line of a peer's script."""
        return [self.python, os.path.join(self.peers, script), *map(str, arguments)]

    def reference(self, name, *arguments, script="reference.py"):
        """JSON written by a script of this folder under the peers' interpreter; made once, kept in the work folder."""
        if self.shape != "small" and not name.startswith("lengths"):
            name = f"{name}-{self.shape}"
        path = os.path.join(self.work, f"{name}.json")
        if not os.path.exists(path):
            self.say(f"reference results: {name}")
            process.run([self.python, os.path.join(HARNESS, script), arguments[0], path + ".part", *map(str, arguments[1:])])
            os.rename(path + ".part", path)
        with open(path, encoding="utf8") as f:
            return json.load(f)

    def make(self, name, command):
        """`command(path)` writes the folder called `name`; it appears under its name only when it is complete."""
        path = os.path.join(self.work, name)
        if not os.path.exists(path):
            self.say(f"making {name}")
            part = path + ".part"
            shutil.rmtree(part, ignore_errors=True)
            process.run(command(part))
            os.rename(part, path)
        return path

    @property
    def spiece(self):
        return os.path.join(self.data, "tokenizer", "sentencepiece_cn.model")

    @property
    def spiece_full(self):
        return os.path.join(self.data, "tokenizer", "mt5_full_reconstructed.model")

    def spiece_of(self, model):
        """The tokenizer that a model folder carries."""
        return os.path.join(model, "spiece.model")

    @property
    def titles(self):
        return os.path.join(self.data, "csl", "title.tsv")

    @property
    def small(self):
        """The model that is timed: mT5-small's shape, or the one that was asked for."""
        return self.make(self.shape, lambda out: self.peer("make_model.py", self.shape, out, "--spm", self.spiece))

    @property
    def small_full(self):
        return self.make("small-full", lambda o: self.peer("make_model.py", "small-full", o, "--spm", self.spiece_full))

    @property
    def small_ct2(self):
        converter = os.path.join(os.path.dirname(self.python), "ct2-transformers-converter")
        return self.make(f"{self.shape}-ct2", lambda out: [converter, "--model", self.small, "--output_dir", out,
                                                   "--quantization", "float32"])

    @property
    def small_ct2_int8(self):
        converter = os.path.join(os.path.dirname(self.python), "ct2-transformers-converter")
        return self.make(f"{self.shape}-ct2-int8", lambda out: [converter, "--model", self.small, "--output_dir", out,
                                                        "--quantization", "int8"])

    @property
    def small_openvino_int8(self):
        """Where ov_generate.py finds its conversion, or puts it."""
        return os.path.join(self.work, f"{self.shape}-openvino-int8")

    @property
    def small_onnx_int8(self):
        """Where ort_peer.py finds its conversion, or puts it."""
        return os.path.join(self.work, f"{self.shape}-onnx-int8")

    @property
    def small_int8(self):
        return self.make(f"{self.shape}-int8", lambda out: [self.t5kit, "convert", "--model", self.small, "--dtype", "int8",
                                                    "--output", out])

    @property
    def unilm_peer(self):
        """The command line that begins every call of unilm_peer.py."""
        return [self.python, os.path.join(HARNESS, "unilm_peer.py")]

    @property
    def bert(self):
        """BERT base with random weights and a vocab.txt."""
        return self.make("bert", lambda out: [*self.unilm_peer, "model", out, self.titles])

    def rows(self, count=None):
        """The first `count` rows of the CSL titles: [prompt, abstract, title]."""
        with open(self.titles, encoding="utf8") as f:
            return [line.rstrip("\n").split("\t") for line in f][:count]

    def write(self, name, lines):
        path = os.path.join(self.work, name)
        with open(path, "w", encoding="utf8") as f:
            f.writelines(line + "\n" for line in lines)
        return path

    def in_turn(self, contestants):
        """Run each contestant (name → function returning a dict of numbers) `rounds` times, in turn, every other time
        the other way round. Returns name → figure → median, and what each run gave."""
        runs = {name: [] for name in contestants}
        for number in range(1, self.rounds + 1):
            for name in list(contestants)[:: 1 if number % 2 else -1]:
                self.say(f"round {number} of {self.rounds}: {name}")
                runs[name].append(contestants[name]())
        medians = {name: {key: statistics.median(r[key] for r in found) for key in found[0]}
                   for name, found in runs.items()}
        return medians, runs


def paired(runs, one, other, key):
    """How many times `other`'s figure `one`'s is: the median over rounds, each beside its neighbour in time."""
    return statistics.median(a[key] / b[key] for a, b in zip(runs[one], runs[other]))
