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
        os.makedirs(self.work, exist_ok=True)

    def say(self, what):
        """Where the run stands, on standard error."""
        print(f"bench: {what}", file=sys.stderr, flush=True)

    def peer(self, script, *arguments):
        """The command line of a peer's script."""
        return [self.python, os.path.join(self.peers, script), *map(str, arguments)]

    def reference(self, name, *arguments):
        """JSON written by reference.py under the peers' interpreter; made once, kept in the work folder."""
        path = os.path.join(self.work, f"{name}.json")
        if not os.path.exists(path):
            self.say(f"reference results: {name}")
            script = os.path.join(HARNESS, "reference.py")
            process.run([self.python, script, arguments[0], path + ".part", *map(str, arguments[1:])])
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
        return self.make("small", lambda out: self.peer("make_model.py", "small", out, "--spm", self.spiece))

    @property
    def small_full(self):
        return self.make("small-full", lambda o: self.peer("make_model.py", "small-full", o, "--spm", self.spiece_full))

    @property
    def small_ct2(self):
        converter = os.path.join(os.path.dirname(self.python), "ct2-transformers-converter")
        return self.make("small-ct2", lambda out: [converter, "--model", self.small, "--output_dir", out,
                                                   "--quantization", "float32"])

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
        """Run each contestant (name → function returning a dict of figures) `rounds` times, in turn.
        Returns name → figure → median; a contestant's other figures keep those of its last run."""
        runs = {name: [] for name in contestants}
        for number in range(1, self.rounds + 1):
            for name, contestant in contestants.items():
                self.say(f"round {number} of {self.rounds}: {name}")
                runs[name].append(contestant())
        return {
            name: {key: statistics.median(r[key] for r in found) if isinstance(found[-1][key], (int, float))
                   else found[-1][key] for key in found[-1]}
            for name, found in runs.items()
        }
