"""Write the random tiny models of BERT's family that the tests read, in each of the forms that people have them in.

usage: bert_checkpoints.py [OUT] [--tensorflow PYTHON]

OUT defaults to crates/model/tests/bert. Needs torch, transformers 4.57 and h5py; PYTHON is an interpreter with
tensorflow (by default this one). For bert, nezha and roformer: `NAME/`, what transformers writes (config.json,
model.safetensors) and vocab.txt; `NAME-google/`, the same weights as a TensorFlow checkpoint with Google's names, with an
optimizer's slots, and a bert_config.json without a model type; for bert also `bert-bin/` (`BertForPreTraining` by
torch.save) and `bert-keras/` (as bert4keras's `save_weights` does). NAME/logits.json has the logits of transformers.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = dict(
    vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
    max_position_embeddings=16, type_vocab_size=2, hidden_act="gelu", initializer_range=0.5,
    hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, layer_norm_eps=1e-12,
)
IDS, SEGMENTS = [2, 7, 30, 41, 9, 3, 55, 12, 3], [0, 0, 0, 0, 0, 0, 1, 1, 1]
# Special pieces, what [unusedN] stands for, Chinese characters, words of WoBERT's kind, Latin, continuations.
VOCABULARY = (
    "[PAD] [unused1] [CLS] [SEP] [UNK] [MASK] 。 ， ！ ？ 的 一 是 不 在 人 有 我 他 这 中 国 大 学 生 今 天 气 北 京 模 型 "
    "语 言 数 据 研 究 方 法 a b t h e the s un ##able ##aff ##s ##e ##d ##t ##h ##a ##b . , 1 2 3 ##1 ##2"
).split()


def models():
    """(name, class of transformers, what its configuration has beside the sizes)."""
    from transformers import BertForMaskedLM, RoFormerForMaskedLM
    from transformers.models.deprecated.nezha import NezhaForMaskedLM

    yield "bert", BertForMaskedLM, {}
    yield "nezha", NezhaForMaskedLM, {"max_relative_position": 4}
    # Its small models have embeddings of another width than the hidden states.
    yield "roformer", RoFormerForMaskedLM, {"embedding_size": 8, "rotary_value": False}


def google_name(name):
    """Google's name of a parameter of transformers, and whether it is transposed there; None: it has none."""
    if any(part in name for part in ("decoder.", "embed_positions", "position_ids")):
        return None
    body, _, rest = name.partition(".")
    name = name if body == "cls" else f"bert.{rest}"
    name = name.replace("embeddings_project", "encoder.embedding_hidden_mapping_in")
    name = name.replace(".layer.", ".layer_").replace("LayerNorm.weight", "LayerNorm.gamma")
    name = name.replace("LayerNorm.bias", "LayerNorm.beta").replace("_embeddings.weight", "_embeddings")
    name = name.replace("cls.predictions.bias", "cls.predictions.output_bias")
    name = name.replace("seq_relationship.weight", "seq_relationship.output_weights")
    name = name.replace("seq_relationship.bias", "seq_relationship.output_bias")
    kernel = name.endswith(".weight")
    return name.removesuffix(".weight").replace(".", "/") + ("/kernel" if kernel else ""), kernel


def write_google(folder, arrays):
    """A TensorFlow checkpoint, as TensorFlow 1's Saver writes one."""
    import numpy as np
    import tensorflow as tf

    with tf.Graph().as_default():
        for name in arrays.files:
            value = arrays[name]
            tf.compat.v1.get_variable(name, initializer=value)
            for slot in ("adam_m", "adam_v"):
                if value.ndim == 1:
                    tf.compat.v1.get_variable(f"{name}/{slot}", initializer=value)
        tf.compat.v1.get_variable("global_step", initializer=np.int64(1000), dtype=tf.int64)
        saver = tf.compat.v1.train.Saver()
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            saver.save(session, f"{folder}/bert_model.ckpt", write_meta_graph=False)
    os.remove(f"{folder}/checkpoint")


def write_keras(file, arrays, layers):
    """What `model.save_weights` of bert4keras's UniLM writes: Keras's groups, a layer each, with bert4keras's layers and
    their weights in the order of its `variable_mapping`. (bert4keras itself saves with Keras 2.3 alone.)"""
    import h5py
    import numpy as np

    def dense(name):
        return [(f"{name}/kernel", "kernel:0"), (f"{name}/bias", "bias:0")]

    def norm(name):
        return [(f"{name}/LayerNorm/beta", "beta:0"), (f"{name}/LayerNorm/gamma", "gamma:0")]

    table = "bert/embeddings/{}_embeddings".format
    listed = [
        ("Input-Token", []),
        ("Input-Segment", []),
        ("Embedding-Token", [(table("word"), "embeddings:0")]),
        ("Embedding-Segment", [(table("token_type"), "embeddings:0")]),
        ("Embedding-Position", [(table("position"), "embeddings:0")]),
        ("Embedding-Norm", norm("bert/embeddings")),
        ("Attention-UniLM-Mask", []),
    ]
    for i in range(layers):
        p, layer = f"bert/encoder/layer_{i}", f"Transformer-{i}"
        attention = [f"{p}/attention/self/{n}" for n in ("query", "key", "value")] + [f"{p}/attention/output/dense"]
        for name, parts in (("MultiHeadSelfAttention", attention), ("FeedForward", [f"{p}/{n}/dense" for n in ("intermediate", "output")])):
            weights = [(of, f"dense_{at}/{leaf}") for at, part in enumerate(parts) for of, leaf in dense(part)]
            listed.append((f"{layer}-{name}", weights))
            listed.append((f"{layer}-{name}-Norm", norm(f"{p}/attention/output" if "Attention" in name else f"{p}/output")))
    listed.append(("MLM-Dense", dense("cls/predictions/transform/dense")))
    listed.append(("MLM-Norm", norm("cls/predictions/transform")))
    listed.append(("MLM-Bias", [("cls/predictions/output_bias", "bias:0")]))
    with h5py.File(file, "w") as f:
        f.attrs["layer_names"] = np.array([layer.encode() for layer, _ in listed])
        f.attrs["backend"] = b"tensorflow"
        for layer, weights in listed:
            group = f.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/{leaf}".encode() for _, leaf in weights])
            for of, leaf in weights:
                group.create_dataset(f"{layer}/{leaf}", data=arrays[of])


def tensorflow_part(jobs):
    import numpy as np

    for folder, arrays in json.loads(jobs):
        write_google(folder, np.load(arrays))
        os.remove(arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", default=os.path.join(HERE, "../crates/model/tests/bert"))
    parser.add_argument("--tensorflow", default=sys.executable)
    parser.add_argument("--jobs", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.jobs:
        return tensorflow_part(args.jobs)
    import numpy as np
    import torch
    from transformers import BertForPreTraining

    assert len(VOCABULARY) == len(set(VOCABULARY)) <= SIZES["vocab_size"], len(VOCABULARY)
    vocabulary = VOCABULARY + [f"[unused{i}]" for i in range(2, 2 + SIZES["vocab_size"] - len(VOCABULARY))]
    jobs = []

    def folder(name):
        path = os.path.join(args.out, name)
        os.makedirs(path, exist_ok=True)
        with open(f"{path}/vocab.txt", "w") as file:
            file.write("".join(f"{piece}\n" for piece in vocabulary))
        return path

    def google(path, model, config):
        arrays = {}
        for name, value in model.state_dict().items():
            if named := google_name(name):
                arrays[named[0]] = np.ascontiguousarray(value.numpy().T if named[1] else value.numpy())
        np.savez(f"{path}/arrays.npz", **arrays)
        json.dump(config, open(f"{path}/bert_config.json", "w"), indent=2)
        jobs.append((path, f"{path}/arrays.npz"))
        return arrays

    for seed, (name, kind, more) in enumerate(models()):
        torch.manual_seed(seed)
        model = kind(kind.config_class(**SIZES, **more)).eval()
        with torch.no_grad():
            # They begin at 0 and 1, where a mistake would not show.
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.add_(torch.randn_like(parameter) * 0.3)
            inputs = dict(input_ids=torch.tensor([IDS]), token_type_ids=torch.tensor([SEGMENTS]))
            logits = model(**inputs).logits[0]
        path = folder(name)
        model.save_pretrained(path)
        if os.path.exists(f"{path}/generation_config.json"):
            os.remove(f"{path}/generation_config.json")
        json.dump(dict(ids=IDS, segments=SEGMENTS, logits=logits.tolist()), open(f"{path}/logits.json", "w"))
        # Google's files say neither the epsilon nor the type.
        said = {k: v for k, v in {**SIZES, **more}.items() if k not in ("layer_norm_eps", "rotary_value")}
        if name == "nezha":
            said["use_relative_position"] = True
        arrays = google(folder(f"{name}-google"), model, said)
        if name == "bert":
            whole = BertForPreTraining(model.config)
            whole.bert.load_state_dict(model.bert.state_dict(), strict=False)
            whole.cls.predictions.load_state_dict(model.cls.predictions.state_dict())
            path = folder("bert-bin")
            whole.save_pretrained(path, safe_serialization=False)
            path = folder("bert-keras")
            write_keras(f"{path}/best_model.weights", arrays, SIZES["num_hidden_layers"])
            json.dump(said, open(f"{path}/bert_config.json", "w"), indent=2)
    subprocess.run([args.tensorflow, os.path.abspath(__file__), "--jobs", json.dumps(jobs)], check=True)
    total = sum(os.path.getsize(os.path.join(top, f)) for top, _, files in os.walk(args.out) for f in files)
    print(total, "bytes")


if __name__ == "__main__":
    main()
