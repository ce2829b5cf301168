"""Write the checkpoints that crates/formats/tests/tensorflow.rs reads, with TensorFlow, and what is in them.

usage: formats_tensorflow.py [OUT]      needs tensorflow; OUT defaults to crates/formats/tests/data/tensorflow

The names and layouts are mesh-tensorflow's, as Google's checkpoints have them, with an optimizer's slots; the
expectation is written under transformers' names by this script's own table.
"""
import json
import os
import sys

import numpy as np
import tensorflow as tf

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/formats/tests/data/tensorflow")
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(7)
D, FF, INNER, HEADS, V, LAYERS = 6, 10, 8, 2, 12, 2
expected = {}


def random(*shape):
    return rng.integers(-64, 64, shape).astype(np.float32) / 16


def variables(norm, gated):
    """Mesh name -> value, and transformers' name -> value."""
    mesh, hf = {}, {}

    def put(mesh_name, hf_name, value, transpose):
        mesh[mesh_name] = value
        hf[hf_name] = value.T if transpose else value

    put("shared/embedding", "shared.weight", random(V, D), False)
    for side in ("encoder", "decoder"):
        for i in range(LAYERS):
            layers = ["SelfAttention"] + (["EncDecAttention"] if side == "decoder" else []) + ["DenseReluDense"]
            for j, layer in enumerate(layers):
                m, h = f"{side}/block_{i:03}/layer_{j:03}", f"{side}.block.{i}.layer.{j}"
                put(f"{m}/{norm}/scale", f"{h}.layer_norm.weight", random(D), False)
                if layer == "DenseReluDense":
                    for w in ("wi_0", "wi_1") if gated else ("wi",):
                        put(f"{m}/{layer}/{w}/kernel", f"{h}.{layer}.{w}.weight", random(D, FF), True)
                    put(f"{m}/{layer}/wo/kernel", f"{h}.{layer}.wo.weight", random(FF, D), True)
                    continue
                for w in "qkv":
                    put(f"{m}/{layer}/{w}", f"{h}.{layer}.{w}.weight", random(D, INNER), True)
                put(f"{m}/{layer}/o", f"{h}.{layer}.o.weight", random(INNER, D), True)
                if i == 0 and layer == "SelfAttention":
                    name = "relative_attention_bias"
                    put(f"{m}/{layer}/{name}", f"{h}.{layer}.{name}.weight", random(HEADS, 4), True)
        final = "rms_norm" if norm == "rms_norm" else "final_layer_norm"
        put(f"{side}/{final}/scale", f"{side}.final_layer_norm.weight", random(D), False)
    if gated:
        put("decoder/logits/kernel", "lm_head.weight", random(D, V), True)
    return mesh, hf


def save(prefix, mesh, dtype=np.float32):
    """As TensorFlow 1's Saver does, which Google's checkpoints come from."""
    with tf.Graph().as_default():
        for name, value in mesh.items():
            tf.compat.v1.get_variable(name, initializer=tf.cast(tf.constant(value), dtype))
            if value.ndim == 2:
                for slot, axis in (("vr", 1), ("vc", 0)):
                    tf.compat.v1.get_variable(f"{name}_slot_{slot}", initializer=value.sum(axis))
            else:
                tf.compat.v1.get_variable(f"{name}_slot_v", initializer=value)
        tf.compat.v1.get_variable("global_step", initializer=np.int64(1000), dtype=tf.int64)
        saver = tf.compat.v1.train.Saver()
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, f"{out}/{prefix}", write_meta_graph=False)


def remember(name, hf, dtype="F32"):
    def raw(value):
        if dtype == "BF16":
            return (np.ascontiguousarray(value).view(np.uint32) >> 16).astype("<u2").tobytes()
        return np.ascontiguousarray(value).astype("<f4").tobytes()

    expected[name] = {k: {"dtype": dtype, "shape": list(v.shape), "bytes": raw(v).hex()} for k, v in hf.items()}


for name, norm, gated in (("t5", "layer_norm", False), ("mt5", "rms_norm", True)):
    mesh, hf = variables(norm, gated)
    save(f"{name}.ckpt-1000", mesh)
    remember(name, hf)
mesh, hf = variables("rms_norm", True)
save("bf16.ckpt-1000", mesh, tf.bfloat16)
remember("bf16", hf, "BF16")
os.remove(f"{out}/checkpoint")

# TensorFlow 2's own, with its object graph, which is not a tensor of numbers; many names, so that there are
# several blocks; all types.
kinds = {"f16": tf.float16, "f64": tf.float64, "i32": tf.int32, "i64": tf.int64, "u8": tf.uint8, "bool": tf.bool}
tf2 = tf.train.Checkpoint(
    **{k: tf.Variable(tf.cast(tf.constant([1, 0, 3]), t)) for k, t in kinds.items()},
    many=[tf.Variable(float(i)) for i in range(200)],
)
tf2.write(f"{out}/tf2")

# Two data files, as several machines write them.
parts = [f"{out}/part{i}" for i in range(2)]
for i, part in enumerate(parts):
    tf.raw_ops.SaveV2(prefix=part, tensor_names=[f"v{i}"], shape_and_slices=[""], tensors=[tf.fill([2], 1.5 + i)])
tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=f"{out}/sharded", delete_old_dirs=False)
json.dump(expected, open(f"{out}/expected.json", "w"), separators=(",", ":"))
print(sum(os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)), "bytes")
