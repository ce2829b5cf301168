"""Write the files that crates/formats/tests/keras.rs reads, with h5py as Keras 2 does, and what is in them.

usage: formats_keras.py [OUT]      needs h5py and numpy; OUT defaults to crates/formats/tests/data/keras

bert4keras itself wants TensorFlow 1 or 2.2; what is written here follows Keras's `save_weights_to_hdf5_group` (a group a
layer, lists of names as attributes, cut where they are over 64512 bytes) and bert4keras's layers and their weights'
order (`bert4keras/models.py`, `T5.variable_mapping`). The decoder is a model within the model, as bert4keras makes it.
"""
import json
import os
import sys

import h5py
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/formats/tests/data/keras")
os.makedirs(out, exist_ok=True)
D, INNER, FF, HEADS, ROWS, LAYERS = 4, 6, 5, 2, 7, 2
LIMIT = 64512
FIXED = True
rng = np.random.default_rng(0)
expected = {}


def new(name, *shape, transposed=False):
    """A weight as Keras keeps it; `shape` is Keras's."""
    value = rng.integers(-8, 8, shape).astype("float32")
    theirs = value.T if transposed else value
    expected[name] = {"shape": list(theirs.shape), "bytes": np.ascontiguousarray(theirs).tobytes().hex()}
    return value


def layers_of(side, gated):
    """(layer, [(weight's name, value)]) in the order of the network."""
    low, serial = side.lower(), iter(range(1000))
    dense = lambda layer, name, *shape: (f"{layer}/dense_{next(serial)}/kernel:0", new(name, *shape, transposed=True))
    norm = lambda layer, name: (layer, [(f"{layer}/gamma:0", new(name, D))])
    for i in range(LAYERS):
        block = f"{low}.block.{i}.layer"
        attentions = [("Self", 0, "SelfAttention")] + ([("Cross", 1, "EncDecAttention")] if low == "decoder" else [])
        for kind, at, module in attentions:
            layer = f"{side}-Transformer-{i}-MultiHead{kind}Attention"
            yield norm(f"{layer}-Norm", f"{block}.{at}.layer_norm.weight")
            if i == 0 and at == 0:
                position = f"{side}-Embedding-Relative-Position"
                name = f"{block}.0.SelfAttention.relative_attention_bias.weight"
                yield position, [(f"{position}/embeddings:0", new(name, 32, HEADS))]
            shapes = {"q": (D, INNER), "k": (D, INNER), "v": (D, INNER), "o": (INNER, D)}
            yield layer, [dense(layer, f"{block}.{at}.{module}.{m}.weight", *s) for m, s in shapes.items()]
        at = len(attentions)
        layer = f"{side}-Transformer-{i}-FeedForward"
        yield norm(f"{layer}-Norm", f"{block}.{at}.layer_norm.weight")
        wi = ["wi_0", "wi_1"] if gated else ["wi"]
        names = [(m, (D, FF)) for m in wi] + [("wo", (FF, D))]
        yield layer, [dense(layer, f"{block}.{at}.DenseReluDense.{m}.weight", *s) for m, s in names]
    yield norm(f"{side}-Output-Norm", f"{low}.final_layer_norm.weight")


def save_names(group, name, names):
    """Keras's `save_attributes_to_hdf5_group`."""
    names = [n.encode() for n in names]
    parts = 1
    while any(np.asarray(part).nbytes > LIMIT for part in np.array_split(np.asarray(names), parts)):
        parts += 1
    if parts == 1:
        # h5py 2 makes texts of one length of them, h5py 3 texts of any length.
        group.attrs[name] = np.asarray(names) if FIXED else names
    else:
        for i, part in enumerate(np.array_split(np.asarray(names), parts)):
            group.attrs[f"{name}{i}"] = part


def save_layers(group, layers):
    save_names(group, "layer_names", [layer for layer, _ in layers])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = b"2.3.1"
    for layer, weights in layers:
        inner = group.create_group(layer)
        save_names(inner, "weight_names", [name for name, _ in weights])
        for name, value in weights:
            inner.create_dataset(name, value.shape, dtype=value.dtype)[...] = value


def model(gated):
    embedding = ("Embedding-Token", [("Embedding-Token/embeddings:0", new("shared.weight", ROWS, D))])
    encoder = list(layers_of("Encoder", gated))
    decoder = list(layers_of("Decoder", gated))
    if gated:
        kernel = new("lm_head.weight", D, ROWS, transposed=True)
        decoder.append(("Decoder-Output-LM", [("Decoder-Output-LM/kernel:0", kernel)]))
    inner = [weight for _, weights in [embedding] + decoder for weight in weights]
    return ([("Encoder-Input-Token", []), embedding] + encoder
            + [("Decoder-Input-Token", []), ("T5_Decoder", inner), ("cross_entropy_1", [])])


# The blog's: model.save_weights('./best_model.weights').
layers = model(True)
with h5py.File(f"{out}/best_model.weights", "w") as f:
    save_layers(f, layers)
json.dump(expected, open(f"{out}/expected.json", "w"), indent=0)
# model.save('model.h5'), of T5 1.0, with the optimizer's state beside it; names so many that their list is cut.
LIMIT, LAYERS, FIXED = 1000, 1, False
expected = {}
with h5py.File(f"{out}/whole.h5", "w") as f:
    f.attrs["model_config"] = b"{}"
    save_layers(f.create_group("model_weights"), model(False))
    f.create_group("optimizer_weights").create_dataset("m:0", data=np.zeros((3, 3), "float32"))
json.dump(expected, open(f"{out}/whole.json", "w"), indent=0)
LIMIT = 64512
# What is no T5 of bert4keras.
FIXED = False
with h5py.File(f"{out}/bert.weights", "w") as f:
    save_layers(f, [("Transformer-0-FeedForward", [("Transformer-0-FeedForward/dense_1/kernel:0", np.zeros((2, 2), "f4"))])])
with h5py.File(f"{out}/tf_model.h5", "w") as f:
    name = "tf_t5_for_conditional_generation/encoder/block_._0/layer_._0/SelfAttention/q/kernel:0"
    save_layers(f, [("encoder", [(name, np.zeros((2, 2), "f4"))])])
with h5py.File(f"{out}/keras3.weights.h5", "w") as f:
    f.create_group("layers/dense/vars").create_dataset("0", data=np.zeros((2, 2), "f4"))
with h5py.File(f"{out}/latest.h5", "w", libver="latest") as f:
    save_layers(f, layers[:2])
with h5py.File(f"{out}/packed.h5", "w") as f:
    save_names(f, "layer_names", ["Embedding-Token"])
    inner = f.create_group("Embedding-Token")
    save_names(inner, "weight_names", ["Embedding-Token/embeddings:0"])
    inner.create_dataset("Embedding-Token/embeddings:0", data=np.zeros((8, 8), "f4"), compression="gzip")
print(sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)), "bytes")
