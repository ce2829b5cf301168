"""Write the GGUF files that tests read, and what is in them, by the `gguf` package of llama.cpp.

usage: gguf_goldens.py [ROOT]      needs gguf, numpy, torch, transformers 4.57, sentencepiece; ROOT defaults to the repository

crates/model/tests/gguf: tiny random T5s as llama.cpp's converter writes them (names, metadata, a piece for every row),
and `golden.safetensors`, the logits that transformers computes in float64 from the values in the file. The weights of
`umt5-F32.gguf` are those of the golden model `umt5`, and so are its logits; it has no tokenizer.
crates/formats/tests/data/gguf: a tensor of each type, and the values that the package makes of it.

transformers itself reads the files: the script fails where it finds other tensors. Same versions and processor, same bytes
out.
"""
import json
import os
import sys

import gguf
import numpy as np
import sentencepiece
import torch
from gguf import GGMLQuantizationType as Type
from gguf import TokenType
from safetensors.numpy import load_file, save_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODELS = os.path.join(ROOT, "crates/model/tests")
OUT = os.path.join(MODELS, "gguf")
DATA = os.path.join(ROOT, "crates/formats/tests/data/gguf")
PIECES = os.path.join(ROOT, "crates/tokenizer/tests/goldens")
# Of blocks all that are read.
BLOCKS = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0]
SOURCES = [[9, 17, 33, 104, 80, 61, 2], [45, 2]]
TARGETS = [[12, 77, 5, 130, 2], [64, 8, 2]]

# Rows are whole blocks where they have to be. T5 1.0: 221 or 226 pieces, room for 100 sentinels, rows of padding. mT5's
# kind: bytes.
T5 = dict(d_model=32, d_kv=16, num_heads=2, d_ff=32, num_layers=2, num_decoder_layers=1, vocab_size=336,
          feed_forward_proj="relu", tie_word_embeddings=True, pad_token_id=3, eos_token_id=2, decoder_start_token_id=3)
FOLDED = dict(T5, pad_token_id=2, eos_token_id=0, decoder_start_token_id=2)
MT5 = dict(d_model=16, d_kv=8, num_heads=3, d_ff=24, num_layers=1, num_decoder_layers=2, vocab_size=480,
           feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=0, eos_token_id=2,
           decoder_start_token_id=0)
FILES = [
    # file, seed, configuration, spiece.model, types that matrices have in turn
    ("t5-F16", 31, T5, "symbols", [Type.F16]),
    ("t5-Q8_0", 31, FOLDED, "casefold", [Type.Q8_0]),
    ("t5-mixed", 31, T5, "symbols", BLOCKS),
    ("mt5-BF16", 32, MT5, "bytes", [Type.BF16]),
]


def names(config):
    """transformers' names and llama.cpp's, by the package's own table."""
    blocks = max(config["num_layers"], config["num_decoder_layers"])
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.T5, blocks)
    return lambda name: table.get_name(name, try_suffixes=(".weight",))


def tokens(path, rows, added):
    """A text, a score and a type for every row."""
    pieces = sentencepiece.SentencePieceProcessor(path)
    texts, scores, types = [], [], []
    for i in range(rows):
        if i in added:
            text, score, kind = added[i], -1000.0, TokenType.USER_DEFINED
        elif i >= len(pieces):
            text, score, kind = f"[PAD{i}]", -10000.0, TokenType.UNUSED
        else:
            kinds = [(pieces.IsUnknown, TokenType.UNKNOWN), (pieces.IsControl, TokenType.CONTROL),
                     (pieces.IsUnused, TokenType.UNUSED), (pieces.IsByte, TokenType.BYTE)]
            kind = next((kind for test, kind in kinds if test(i)), TokenType.NORMAL)
            text, score = pieces.IdToPiece(i), pieces.GetScore(i)
        texts.append(text.encode())
        scores.append(score)
        types.append(kind)
    return texts, scores, types


def stored(value, kind):
    """The bytes of a tensor in a type, and the values that these mean."""
    if kind == Type.F32:
        return value, value
    if kind == Type.F16:
        return value.astype(np.float16), value.astype(np.float16).astype(np.float32)
    data = gguf.quants.quantize(value, kind)
    return data, gguf.quants.dequantize(data, kind)


def write(path, config, weights, spiece, kinds, added={}):
    """Writes a file and returns the values in it by transformers' names."""
    writer = gguf.GGUFWriter(path, "t5")
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name("golden")
    writer.add_context_length(512)
    writer.add_embedding_length(config["d_model"])
    writer.add_feed_forward_length(config["d_ff"])
    writer.add_block_count(config["num_layers"])
    writer.add_decoder_block_count(config["num_decoder_layers"])
    writer.add_head_count(config["num_heads"])
    writer.add_key_length(config["d_kv"])
    writer.add_value_length(config["d_kv"])
    writer.add_layer_norm_eps(1e-6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_relative_attn_buckets_count(32)
    writer.add_decoder_start_token_id(config["decoder_start_token_id"])
    if spiece:
        from sentencepiece import sentencepiece_model_pb2

        proto = sentencepiece_model_pb2.ModelProto()
        with open(spiece, "rb") as file:
            proto.ParseFromString(file.read())
        texts, scores, types = tokens(spiece, config["vocab_size"], added)
        writer.add_tokenizer_model("t5")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(texts)
        writer.add_token_scores(scores)
        writer.add_token_types(types)
        writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
        writer.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
        if proto.normalizer_spec.precompiled_charsmap:
            writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
        pieces = sentencepiece.SentencePieceProcessor(spiece)
        writer.add_unk_token_id(pieces.unk_id())
        writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    name_of, values, turn = names(config), {}, 0
    for name, value in sorted(weights.items()):
        # Vectors and biases are never quantised.
        kind = Type.F32
        if value.ndim == 2 and "relative_attention_bias" not in name:
            kind = kinds[turn % len(kinds)]
            turn += 1
        data, values[name] = stored(value, kind)
        writer.add_tensor(name_of(name), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def logits(model):
    """[tokens of all targets, rows]"""
    with torch.no_grad():
        pairs = zip(SOURCES, TARGETS)
        all = [model(input_ids=torch.tensor([s]), labels=torch.tensor([t])).logits[0] for s, t in pairs]
    return torch.cat(all).double().numpy()


def random_weights(config, seed):
    """A T5 with weights that are apart from each other, so that no one can stand in for another."""
    torch.manual_seed(seed)
    model = T5ForConditionalGeneration(T5Config(**config, dropout_rate=0.0)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.copy_(1 + 0.2 * torch.randn_like(value))
            elif "relative_attention_bias" in name:
                value.copy_(torch.randn_like(value))
            elif ".q." in name:
                value.copy_(torch.randn_like(value) * 0.6 * config["d_model"] ** -0.5)
            elif "shared" in name:
                value.copy_(torch.randn_like(value))
            else:
                value.copy_(torch.randn_like(value) * value.shape[1] ** -0.5)
    return model


def own_weights(model):
    """By name, each once."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    state = {name: value for name, value in state.items() if not name.endswith("embed_tokens.weight")}
    if model.config.tie_word_embeddings:
        del state["lm_head.weight"]
    return state


def main():
    os.makedirs(OUT, exist_ok=True)
    os.makedirs(DATA, exist_ok=True)
    golden = {}
    for file, seed, config, spiece, kinds in FILES:
        model = random_weights(config, seed)
        path = os.path.join(OUT, f"{file}.gguf")
        values = write(path, config, own_weights(model), os.path.join(PIECES, f"{spiece}.model"), kinds)
        with torch.no_grad():
            missing = model.load_state_dict({k: torch.tensor(v) for k, v in values.items()}, strict=False)
        assert not missing.unexpected_keys, missing
        want = logits(model.double())
        golden[file] = want.astype(np.float32)
        # Of transformers' reader the tensors, as far as it goes: it takes every T5 for a gated one with as many decoder
        # layers as encoder layers.
        read = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
        beyond = tuple(f"decoder.block.{i}." for i in range(config["num_layers"], config["num_decoder_layers"]))
        assert {name for name in values if not name.startswith(beyond)} == set(read), set(read) ^ set(values)
        assert all(np.array_equal(value.float().numpy(), values[name]) for name, value in read.items()), file
        print(f"{file}: {os.path.getsize(path)} bytes")
    save_file(golden, os.path.join(OUT, "golden.safetensors"))
    with open(os.path.join(OUT, "golden.json"), "w") as file:
        json.dump({"sources": SOURCES, "targets": TARGETS}, file)
        file.write("\n")

    with open(os.path.join(MODELS, "goldens/umt5/config.json")) as file:
        config = json.load(file)
    weights = load_file(os.path.join(MODELS, "goldens/umt5/model.safetensors"))
    write(os.path.join(OUT, "umt5-F32.gguf"), config, weights, None, [Type.F32])

    rng = np.random.default_rng(7)
    writer, expected = gguf.GGUFWriter(os.path.join(DATA, "kinds.gguf"), "t5"), {}
    for kind in [Type.F32, Type.F16, Type.BF16] + BLOCKS:
        value = (rng.standard_normal((3, 64)) * 10.0 ** rng.integers(-3, 3, (3, 1))).astype(np.float32)
        # A block of nothing, and one beyond the smallest normal half.
        value[1, :32], value[2, :32] = 0, value[2, :32] * 1e-7
        data, values = stored(value, kind)
        writer.add_tensor(f"a.{kind.name}", data, raw_dtype=kind)
        bytes_ = data if kind in (Type.F32, Type.F16, Type.BF16) else values
        expected[f"a.{kind.name}"] = {"shape": [3, 64], "bytes": np.ascontiguousarray(bytes_).tobytes().hex()}
    writer.add_tensor("a.vector", np.arange(5, dtype=np.float32))
    expected["a.vector"] = {"shape": [5], "bytes": np.arange(5, dtype=np.float32).tobytes().hex()}
    writer.add_array("some.list", [[1, 2], [3, 4]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open(os.path.join(DATA, "kinds.json"), "w") as file:
        json.dump(expected, file)
        file.write("\n")


if __name__ == "__main__":
    main()
