"""Write the reference values that T5 in the other architectures of Raffel et al. 2020, section 3.2, is tested against:
encoder and decoder that share, a language model, a prefix LM.

usage: architecture_goldens.py OUT_DIR [--only NAME]        (OUT_DIR: crates/model/tests/goldens)

Needs transformers 4.57, torch, safetensors. The layers are transformers' own. `shared` is its
`T5ForConditionalGeneration` whose encoder is made of the decoder's modules. `language-model` and `prefix-lm` run the
blocks of a `T5Stack` without cross-attention, with an explicit mask of queries × keys, over the sequence that
mesh-tensorflow's `delimited_lm` has: the start id, the source with its `</s>`, the target but for its last id. Buckets of
relative positions are those of mesh-tensorflow (`bidirectional = not fully_autoregressive`): a prefix LM has the
encoder's, everywhere. Nothing is cached. Files, exactness and checks are those of bert_goldens.py.
"""
import argparse
import logging
import os
from types import SimpleNamespace

import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Stack

import make_goldens
from bert_goldens import Searcher, make, searched
from make_goldens import EOS, PAD, generate, generation_cases, random_ids

MODELS = {
    # Plain feed-forward layers.
    "shared": dict(
        seed=8, pieces=90,
        config=dict(
            model_type="t5", t5kit_architecture="shared", d_model=18, d_kv=5, d_ff=30, num_heads=2, num_layers=2,
            num_decoder_layers=2, vocab_size=96, feed_forward_proj="relu", tie_word_embeddings=False,
        ),
    ),
    "language-model": dict(
        seed=2, pieces=100,
        config=dict(
            model_type="t5", t5kit_architecture="language-model", d_model=16, d_kv=6, d_ff=24, num_heads=3, num_layers=0,
            num_decoder_layers=3, vocab_size=112, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        ),
    ),
    # Softmax tied: hidden states are scaled.
    "prefix-lm": dict(
        seed=7, pieces=72,
        config=dict(
            model_type="mt5", t5kit_architecture="prefix-lm", d_model=14, d_kv=6, d_ff=26, num_heads=3, num_layers=0,
            num_decoder_layers=2, vocab_size=80, feed_forward_proj="gated-gelu", tie_word_embeddings=True,
        ),
    ),
}


def config_of(spec):
    one_stack = spec["config"]["t5kit_architecture"] != "shared"
    return {**spec["config"], **make_goldens.COMMON, "is_encoder_decoder": not one_stack}


def reference_config(spec):
    """transformers' configuration of the decoder, whose number of layers it calls `num_layers`."""
    config = {k: v for k, v in config_of(spec).items() if k not in ("t5kit_architecture", "model_type")}
    config["num_layers"] = config["num_decoder_layers"]
    config = T5Config(**config)
    config._attn_implementation = "eager"
    return config


class Shared(T5ForConditionalGeneration):
    """T5 whose encoder is made of the decoder's modules, which give the parameters their names."""

    def share(self):
        for mine, its in zip(self.encoder.block, self.decoder.block):
            for name in ("q", "k", "v", "o"):
                setattr(mine.layer[0].SelfAttention, name, getattr(its.layer[0].SelfAttention, name))
            if its.layer[0].SelfAttention.has_relative_attention_bias:
                bias = its.layer[0].SelfAttention.relative_attention_bias
                mine.layer[0].SelfAttention.relative_attention_bias = bias
            mine.layer[0].layer_norm = its.layer[0].layer_norm
            mine.layer[1].DenseReluDense = its.layer[2].DenseReluDense
            mine.layer[1].layer_norm = its.layer[2].layer_norm
        self.encoder.final_layer_norm = self.decoder.final_layer_norm
        return self

    def named_parameters(self, *args, **kwargs):
        seen = set()
        for name, p in super().named_parameters(remove_duplicate=False):
            if not name.startswith("encoder.") and id(p) not in seen:
                seen.add(id(p))
                yield name, p

    def parameters(self, recurse=True):
        yield from (p for _, p in self.named_parameters())


class OneStack(nn.Module):
    """A decoder over source and target as one sequence."""

    def __init__(self, config, prefix):
        super().__init__()
        self.config, self.prefix = config, prefix
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        # Not `is_decoder`: that would bring cross-attention. What is left of it is the rule of the buckets.
        self.decoder = T5Stack(config, self.shared)
        for block in self.decoder.block:
            block.layer[0].SelfAttention.is_decoder = not prefix
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)

    def rows(self, ids, before):
        """Logits [rows, tokens, vocab] of whole sequences [rows, tokens], of which so many tokens come before the target."""
        n = ids.shape[1]
        at = torch.arange(n)
        seen = at[None, :] <= at[:, None]
        if self.prefix:
            seen = seen | ((at[None, :] < before) & (at[:, None] < before))
        x = self.shared(ids)
        mask = torch.zeros(n, n, dtype=x.dtype).masked_fill(~seen, torch.finfo(x.dtype).min)[None, None]
        bias = None
        for block in self.decoder.block:
            x, bias = block(x, attention_mask=mask, position_bias=bias, cache_position=at, return_dict=True)[:2]
        x = self.decoder.final_layer_norm(x)
        if self.config.tie_word_embeddings:
            return x * self.config.d_model**-0.5 @ self.shared.weight.T
        return self.lm_head(x)

    def forward(self, input_ids, labels):
        """Logits of the labels, as transformers' sequence-to-sequence models give them."""
        start = torch.full_like(input_ids[:, :1], self.config.decoder_start_token_id)
        n = input_ids.shape[1] + 1
        logits = self.rows(torch.cat([start, input_ids, labels[:, :-1]], 1), n)[:, n - 1 :]
        return SimpleNamespace(logits=logits, encoder_last_hidden_state=[None])

    def following(self, source, ids):
        """Logits of what follows each row of ids, the first of which is the source's last."""
        start = torch.full_like(ids[:, :1], self.config.decoder_start_token_id)
        whole = torch.cat([start, source[:1, :-1].expand(len(ids), -1), ids], 1)
        return self.rows(whole, source.shape[1] + 1)[:, -1]

    def generate(self, input_ids, attention_mask, **options):
        """transformers' own searches: to them this is a decoder that has been given the source's last id."""
        config = transformers.PretrainedConfig(vocab_size=self.config.vocab_size, num_hidden_layers=0)
        searcher = Searcher(config, self)
        return searcher.generate(
            input_ids=input_ids[:, -1:], source=input_ids, pad_token_id=PAD, eos_token_id=EOS, **options)


def reference(spec):
    architecture = spec["config"]["t5kit_architecture"]
    config = reference_config(spec)
    return Shared(config).share() if architecture == "shared" else OneStack(config, architecture == "prefix-lm")


def load(directory, spec, dtype):
    """The model of the files; evaluation, so no dropout."""
    model = reference(spec)
    weights = load_file(os.path.join(directory, "model.safetensors"))
    named = dict(model.named_parameters())
    assert named.keys() == weights.keys(), named.keys() ^ weights.keys()
    with torch.no_grad():
        for name, p in named.items():
            p.copy_(weights[name])
    return model.to(dtype).eval()


def random_weights(spec, generator):
    """float32 tensors at make_goldens.py's scales."""
    config, weights = spec["config"], {}
    d, inner = config["d_model"], config["num_heads"] * config["d_kv"]
    for name, p in reference(spec).named_parameters():
        kind = name.split(".")[-2]
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if p.dim() == 1:
            noise = torch.rand(p.shape, generator=generator, dtype=torch.float64) + 0.5
        std = {
            "q": 1.5 * (d * config["d_kv"]) ** -0.5, "k": d**-0.5, "v": 1.5 * d**-0.5, "o": 1.5 * inner**-0.5,
            "wi": 1.5 * d**-0.5, "wi_0": 1.5 * d**-0.5, "wi_1": 1.5 * d**-0.5, "wo": 1.5 * config["d_ff"] ** -0.5,
            "lm_head": 0.5, "shared": 0.7 if config["tie_word_embeddings"] else 1.0,
        }.get(kind, 1.0)
        weights[name] = (noise * std).float()
    return weights


def search(model, sources, options):
    """transformers' searches of a T5, and those of one sequence."""
    if isinstance(model, Shared):
        return generate(model, sources, options, EOS)
    return searched(model, sources, options, EOS)


KIND = SimpleNamespace(
    config=config_of, random_weights=random_weights, load=load, source=random_ids, target=random_ids, searched=search,
    cases=generation_cases, silent=lambda name, gradients: set(), end=EOS, least=5, encoder=("shared",),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--only", choices=MODELS)
    args = parser.parse_args()
    if not transformers.__version__.startswith("4.57."):
        parser.error(f"transformers 4.57 is the reference, this is {transformers.__version__}")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    total = sum(make(name, spec, args.out, KIND) for name, spec in MODELS.items() if args.only in (None, name))
    print(f"{total / 1e3:.0f} kB in all")


if __name__ == "__main__":
    main()
