"""Write the logits that bert4keras itself gives for UniLM, which a test compares with ours.

usage: bert4keras_check.py [FOLDER]        (FOLDER: crates/model/tests/bert)

Needs bert4keras 0.11.5 and tensorflow 2.15 (`pip install --no-deps bert4keras==0.11.5`, `pip install
tensorflow-cpu==2.15.1`), no other. For the TensorFlow checkpoints that bert_checkpoints.py wrote (`bert-google`,
`nezha-google`, `roformer-google`) the model is `build_transformer_model(application='unilm', with_mlm='linear')`, and for
`bert-google` once more with `hierarchical_position=True` and a sequence longer than its table. Written is
`NAME/unilm.json`: a list of examples with source, target and the logits of the rows that say the target.

Computed in float64. Unless told otherwise, as it is here, bert4keras takes GELU by its tanh approximation and 1e-7 as the
epsilon of the norms, whatever the configuration says.
"""
import argparse
import importlib
import json
import os

os.environ |= {"TF_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import numpy as np
import tensorflow as tf

# What bert4keras imports as keras; the lazy module of that name does not bear being imported from.
tf.keras = importlib.import_module("keras.api._v2.keras")

from bert4keras.backend import set_gelu
from bert4keras.models import build_transformer_model

CLS, SEP = 2, 3
# No longer than the tables of positions, which have 16 rows.
EXAMPLES = [
    ([CLS, 30, 41, 9, SEP], [55, 12, 7, SEP]), ([CLS, SEP], [SEP]),
    ([CLS, 8, 8, 60, 17, 33, 21, 5, SEP], [11, 40, 41, 42, 43, 44, SEP]),
]
LONG = [([CLS, *range(5, 35), SEP], [*range(20, 40), SEP])]


def logits(model, source, target):
    """[target tokens, rows] of one example: the rows from the source's last on."""
    ids = np.array([source + target[:-1]])
    segments = np.array([[0] * len(source) + [1] * (len(target) - 1)])
    return model.predict([ids, segments], verbose=0)[0, len(source) - 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("folder", nargs="?", default=os.path.join(here, "../crates/model/tests/bert"))
    args = parser.parse_args()
    set_gelu("erf")
    tf.keras.backend.set_floatx("float64")
    tf.keras.backend.set_epsilon(1e-12)
    for name in ("bert", "nezha", "roformer"):
        folder = os.path.join(args.folder, f"{name}-google")
        runs = [(EXAMPLES, {})]
        if name == "bert":
            runs.append((LONG, {"hierarchical_position": True}))
        found = []
        for examples, options in runs:
            model = build_transformer_model(
                os.path.join(folder, "bert_config.json"), os.path.join(folder, "bert_model.ckpt"), name,
                application="unilm", with_mlm="linear", **options)
            for source, target in examples:
                values = [round(float(x), 6) for x in logits(model, source, target).ravel()]
                found.append({"long": bool(options), "source": source, "target": target, "logits": values})
        with open(os.path.join(folder, "unilm.json"), "w") as out:
            json.dump(found, out, separators=(",", ":"))
            out.write("\n")
        print(name, [np.abs(f["logits"]).max() for f in found])


if __name__ == "__main__":
    main()
