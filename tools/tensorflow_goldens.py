"""Write the golden models of make_goldens.py as checkpoints of TensorFlow, as Google's are.

usage: tensorflow_goldens.py [OUT]      needs tensorflow and safetensors; OUT defaults to crates/model/tests/tensorflow

TensorFlow's own saver writes them: mesh-tensorflow's names and layouts, an optimizer's slots, global_step, and
operative_config.gin beside them. The logits they must give are those in crates/model/tests/goldens, which transformers
computed.
"""
import json
import os
import re
import sys

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

here = os.path.dirname(os.path.abspath(__file__))
goldens = os.path.join(here, "../crates/model/tests/goldens")
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../crates/model/tests/tensorflow")

GIN = """\
# Macros:
# ==============================================================================
d_ff = {d_ff}
d_kv = {d_kv}
d_model = {d_model}
dropout_rate = 0.1
num_heads = {num_heads}

# Parameters for transformer_layers.DenseReluDense:
# ==============================================================================
decoder/DenseReluDense.activation = {activation}
decoder/DenseReluDense.dropout_rate = %dropout_rate
decoder/DenseReluDense.hidden_size = %d_ff
encoder/DenseReluDense.activation = {activation}
encoder/DenseReluDense.dropout_rate = %dropout_rate
encoder/DenseReluDense.hidden_size = %d_ff

# Parameters for transformer_layers.EncDecAttention:
# ==============================================================================
decoder/EncDecAttention.relative_attention_type = None

# Parameters for make_layer_stack:
# ==============================================================================
decoder/make_layer_stack.layers = \\
    [@transformer_layers.SelfAttention,
     @transformer_layers.EncDecAttention,
     @transformer_layers.DenseReluDense]
decoder/make_layer_stack.num_layers = {num_decoder_layers}
encoder/make_layer_stack.layers = \\
    [@transformer_layers.SelfAttention, @transformer_layers.DenseReluDense]
encoder/make_layer_stack.num_layers = {num_layers}

# Parameters for transformer_layers.SelfAttention:
# ==============================================================================
decoder/transformer_layers.SelfAttention.key_value_size = %d_kv
decoder/transformer_layers.SelfAttention.num_heads = %num_heads
decoder/transformer_layers.SelfAttention.relative_attention_num_buckets = 32
decoder/transformer_layers.SelfAttention.relative_attention_type = 'bias_shared'
encoder/transformer_layers.SelfAttention.key_value_size = %d_kv
encoder/transformer_layers.SelfAttention.num_heads = %num_heads
encoder/transformer_layers.SelfAttention.relative_attention_num_buckets = 32
encoder/transformer_layers.SelfAttention.relative_attention_type = 'bias_shared'

# Parameters for sublayer_rms_norm:
# ==============================================================================
sublayer_rms_norm.epsilon = 1e-06

# Parameters for Unitransformer:
# ==============================================================================
decoder/Unitransformer.d_model = %d_model
decoder/Unitransformer.shared_embedding_and_softmax_weights = {tied}
encoder/Unitransformer.d_model = %d_model
"""


def mesh_name(name, norm):
    """mesh-tensorflow's name of one of transformers', and whether the matrix lies the other way round."""
    if name == "shared.weight":
        return "shared/embedding", False
    if name == "lm_head.weight":
        return "decoder/logits/kernel", True
    if m := re.fullmatch(r"(encoder|decoder)\.final_layer_norm\.weight", name):
        return f"{m[1]}/{'rms_norm' if norm == 'rms_norm' else 'final_layer_norm'}/scale", False
    m = re.fullmatch(r"(encoder|decoder)\.block\.(\d+)\.layer\.(\d+)\.(.+)\.weight", name)
    place = f"{m[1]}/block_{int(m[2]):03}/layer_{int(m[3]):03}"
    if m[4] == "layer_norm":
        return f"{place}/{norm}/scale", False
    kernel = "/kernel" if m[4].startswith("DenseReluDense") else ""
    return f"{place}/{m[4].replace('.', '/')}{kernel}", True


def save(name, norm):
    directory = f"{out}/{name}"
    os.makedirs(directory, exist_ok=True)
    with open(f"{goldens}/{name}/config.json") as f:
        config = json.load(f)
    mesh = {}
    for hf, value in load_file(f"{goldens}/{name}/model.safetensors").items():
        variable, transposed = mesh_name(hf, norm)
        mesh[variable] = np.ascontiguousarray(value.T if transposed else value)
    if norm == "layer_norm":
        # As T5 1.0's checkpoints have it: a table that its network never reads.
        bias = mesh["decoder/block_000/layer_000/SelfAttention/relative_attention_bias"]
        mesh["decoder/block_000/layer_001/EncDecAttention/relative_attention_bias"] = bias + 1
    with tf.Graph().as_default():
        for variable, value in mesh.items():
            tf.compat.v1.get_variable(variable, initializer=value)
            if value.ndim == 2:
                for slot, axis in (("vr", 1), ("vc", 0)):
                    tf.compat.v1.get_variable(f"{variable}_slot_{slot}", initializer=value.sum(axis))
            else:
                tf.compat.v1.get_variable(f"{variable}_slot_v", initializer=value)
        tf.compat.v1.get_variable("global_step", initializer=np.int64(1000000), dtype=tf.int64)
        saver = tf.compat.v1.train.Saver()
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, f"{directory}/model.ckpt-1000000", write_meta_graph=False)
    os.remove(f"{directory}/checkpoint")
    gated = config["feed_forward_proj"].startswith("gated")
    with open(f"{directory}/operative_config.gin", "w") as f:
        activation = "['gelu', 'linear']" if gated else "'relu'"
        f.write(GIN.format(**config, activation=activation, tied=config["tie_word_embeddings"]))
    print(name, sum(os.path.getsize(os.path.join(directory, f)) for f in os.listdir(directory)), "bytes")


save("mt5", "rms_norm")
save("t5-v1_0", "layer_norm")
