"""T5 as bert4keras builds it (models.py of version 0.11.5, classes T5_Encoder and T5_Decoder), in plain PyTorch.

Written from that code and independently of transformers, whose names the weights have, so that the two things that
bert4keras does otherwise have a reference: cross-attention adds a relative bias, and hidden states are scaled by
d_model^-0.5 before a separate softmax. Only what make_goldens.py asks of a transformers model is here: no dropout, no
cache, greedy decoding.
"""
import json
import math
import os
import types

import torch
from safetensors.torch import load_file
from torch import nn


class Config(types.SimpleNamespace):
    def to_dict(self):
        return dict(vars(self))


def buckets(queries, keys, bidirectional, num_buckets, max_distance):
    """Bucket of every pair, [queries, keys]: RelativePositionEmbeddingT5.compute_position_ids."""
    table = torch.empty(queries, keys, dtype=torch.long)
    for q in range(queries):
        for k in range(keys):
            n, first, count = q - k, 0, num_buckets
            if bidirectional:
                count //= 2
                first = count if n < 0 else 0
                n = abs(n)
            else:
                n = max(n, 0)
            exact = count // 2
            if n >= exact:
                # In float32, as Keras computes it.
                log = torch.log(torch.tensor(n / exact, dtype=torch.float32)).item()
                n = min(exact + int(log / math.log(max_distance / exact) * (count - exact)), count - 1)
            table[q, k] = first + n
    return table


class Bert4kerasT5(nn.Module):
    def __init__(self, directory, dtype):
        super().__init__()
        with open(os.path.join(directory, "config.json")) as f:
            self.config = Config(**json.load(f))
        for name, value in load_file(os.path.join(directory, "model.safetensors")).items():
            *path, leaf = name.split(".")
            module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module._modules[part]
            module.register_parameter(leaf, nn.Parameter(value.to(dtype)))
        self.w = dict(self.named_parameters())

    @classmethod
    def from_pretrained(cls, directory, dtype, output_loading_info):
        return cls(directory, dtype), dict(missing_keys=[], unexpected_keys=[], mismatched_keys=[])

    def norm(self, x, name):
        # bert4keras's LayerNormalization without mean and offset.
        return x / (x.square().mean(-1, keepdim=True) + self.config.layer_norm_epsilon).sqrt() * self.w[name]

    def attention(self, x, context, name, bias, causal):
        heads, d_kv = self.config.num_heads, self.config.d_kv
        q, k, v = (
            (source @ self.w[f"{name}.{m}.weight"].T).reshape(-1, heads, d_kv).transpose(0, 1)
            for source, m in ((x, "q"), (context, "k"), (context, "v"))
        )
        scores = q @ k.transpose(1, 2) + bias
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), -math.inf)
        out = scores.softmax(-1) @ v
        return out.transpose(0, 1).reshape(len(x), heads * d_kv) @ self.w[f"{name}.o.weight"].T

    def bias(self, side, queries, keys):
        """[heads, queries, keys] of the side's only table; that of the decoder serves both its attentions."""
        c = self.config
        ids = buckets(
            queries, keys, side == "encoder", c.relative_attention_num_buckets, c.relative_attention_max_distance
        )
        table = self.w[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        return table[ids].permute(2, 0, 1)

    def feed_forward(self, x, name):
        inner = nn.functional.gelu(x @ self.w[f"{name}.wi_0.weight"].T, approximate="tanh")
        return (inner * (x @ self.w[f"{name}.wi_1.weight"].T)) @ self.w[f"{name}.wo.weight"].T

    def stack(self, side, layers, ids, context=None):
        x = self.w["shared.weight"][ids]
        own = self.bias(side, len(ids), len(ids))
        cross = None if context is None else self.bias(side, len(ids), len(context))
        for i in range(layers):
            p = f"{side}.block.{i}.layer"
            normed = self.norm(x, f"{p}.0.layer_norm.weight")
            x = x + self.attention(normed, normed, f"{p}.0.SelfAttention", own, context is not None)
            at = 1
            if context is not None:
                normed = self.norm(x, f"{p}.1.layer_norm.weight")
                x = x + self.attention(normed, context, f"{p}.1.EncDecAttention", cross, False)
                at = 2
            normed = self.norm(x, f"{p}.{at}.layer_norm.weight")
            x = x + self.feed_forward(normed, f"{p}.{at}.DenseReluDense")
        return self.norm(x, f"{side}.final_layer_norm.weight")

    def decode(self, ids, encoded):
        hidden = self.stack("decoder", self.config.num_decoder_layers, ids, encoded)
        return hidden * self.config.d_model**-0.5 @ self.w["lm_head.weight"].T

    def forward(self, input_ids, labels):
        encoded = self.stack("encoder", self.config.num_layers, input_ids[0])
        inputs = torch.cat([torch.tensor([self.config.decoder_start_token_id]), labels[0, :-1]])
        return types.SimpleNamespace(
            encoder_last_hidden_state=encoded[None], logits=self.decode(inputs, encoded)[None]
        )

    @torch.no_grad()
    def generate(self, input_ids, max_new_tokens, min_new_tokens=0, suppress_tokens=(), **_):
        """Greedy; what transformers returns with return_dict_in_generate and output_scores."""
        encoded = self.stack("encoder", self.config.num_layers, input_ids[0])
        ids, scores, eos = [self.config.decoder_start_token_id], [], self.config.eos_token_id
        while len(ids) <= max_new_tokens and (len(ids) == 1 or ids[-1] != eos):
            step = self.decode(torch.tensor(ids), encoded)[-1]
            banned = list(suppress_tokens) + ([eos] if len(ids) <= min_new_tokens else [])
            step[banned] = -math.inf
            scores.append(step[None])
            ids.append(step.argmax().item())
        return types.SimpleNamespace(sequences=torch.tensor([ids]), scores=scores)
