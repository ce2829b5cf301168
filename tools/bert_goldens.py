"""Write the reference values that BERT, NEZHA and RoFormer as UniLM are tested against.

usage: bert_goldens.py OUT_DIR [--only NAME]        (OUT_DIR: crates/model/tests/goldens)

Needs transformers 4.57, torch, safetensors. The layers are transformers' own (`BertForMaskedLM`, `NezhaForMaskedLM`,
`RoFormerForMaskedLM`); UniLM (Dong et al. 2019, arXiv:1905.03197) is written here: one sequence
`[CLS] source [SEP] target [SEP]`, segments 0 and 1, an explicit mask of queries × keys, logits of the rows that say the
target. Nothing is cached: every step of a search computes everything again. A source whose search was a close call has
no outputs. Files, exactness and checks are those of
make_goldens.py, whose README, beside the goldens, says what each holds.
"""
import argparse
import json
import logging
import math
import os
import shutil
from types import SimpleNamespace

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig, BertForMaskedLM, GenerationMixin, NezhaConfig, NezhaForMaskedLM, PretrainedConfig, PreTrainedModel,
    RoFormerConfig, RoFormerForMaskedLM,
)
from transformers.modeling_outputs import CausalLMOutput

from make_generation_goldens import beam_search
from make_goldens import (
    TRAIN_BATCHES, TRAININGS, batch_loss, check, forward, generate, generation_cases, gradients, relative, training_losses,
)

PAD, UNK, CLS, SEP, MASK = range(5)
# `[CLS]` and `[SEP]` count. The last source is an empty text; lengths are crossed as those of T5.
SOURCE_LENGTHS = [150, 33, 2, 64, 9, 3]
TARGET_LENGTHS = [1, 150, 5, 17, 2, 9]
# The author's share of the row of the block (kexue.fm/archives/7947).
ALPHA = 0.4

COMMON = dict(
    hidden_act="gelu", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, layer_norm_eps=1e-12,
    initializer_range=0.02, type_vocab_size=2, pad_token_id=PAD,
    cls_token_id=CLS, sep_token_id=SEP,
)
# `pieces`: rows from here on are never generated. `positions`: what the configuration's `max_position_embeddings` is
# raised to before the model is run; its table stays. `ends`: how much likelier `[SEP]` is than other tokens.
MODELS = {
    "bert": dict(
        classes=(BertConfig, BertForMaskedLM), seed=3, ends=4, pieces=110,
        config=dict(
            architectures=["BertForMaskedLM"], model_type="bert", hidden_size=24, num_hidden_layers=3,
            num_attention_heads=3, intermediate_size=40, vocab_size=112, max_position_embeddings=200,
        ),
    ),
    "bert-long": dict(
        classes=(BertConfig, BertForMaskedLM), seed=19, ends=2.5, pieces=60, positions=200,
        config=dict(
            architectures=["BertForMaskedLM"], model_type="bert", hidden_size=12, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=20, vocab_size=64, max_position_embeddings=40,
        ),
    ),
    "nezha": dict(
        classes=(NezhaConfig, NezhaForMaskedLM), seed=10, ends=2.5, pieces=90,
        config=dict(
            architectures=["NezhaForMaskedLM"], model_type="nezha", hidden_size=24, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=36, vocab_size=96, max_position_embeddings=200,
            max_relative_position=20, use_relative_position=True, classifier_dropout=0.1,
        ),
    ),
    "roformer": dict(
        classes=(RoFormerConfig, RoFormerForMaskedLM), seed=2, ends=1.5, pieces=78,
        config=dict(
            architectures=["RoFormerForMaskedLM"], model_type="roformer", hidden_size=16, embedding_size=12,
            num_hidden_layers=2, num_attention_heads=2, intermediate_size=28, vocab_size=80,
            max_position_embeddings=200, rotary_value=False,
        ),
    ),
}


class Hierarchical(torch.nn.Module):
    """Positions beyond a table of n rows p: position i·n + j is α u_i + (1 − α) u_j, u_i = (p_i − α p_0) / (1 − α)."""

    def __init__(self, table):
        super().__init__()
        self.weight = table.weight

    def forward(self, positions):
        n = len(self.weight)
        u = (self.weight - ALPHA * self.weight[:1]) / (1 - ALPHA)
        return ALPHA * u[positions // n] + (1 - ALPHA) * u[positions % n]


class UniLM(torch.nn.Module):
    """A masked language model run as a sequence-to-sequence model; parameters under the names of the file."""

    def __init__(self, model, positions=None):
        super().__init__()
        self.model = model
        # A pad id is an id as any other here; transformers would leave its row without a gradient.
        model.base_model.embeddings.word_embeddings.padding_idx = None
        if positions is not None:
            embeddings = model.bert.embeddings
            assert positions > len(embeddings.position_embeddings.weight)
            embeddings.position_embeddings = Hierarchical(embeddings.position_embeddings)

    def named_parameters(self, *args, **kwargs):
        yield from ((n, p) for n, p in self.model.named_parameters(*args, **kwargs) if "embed_positions" not in n)

    def parameters(self, recurse=True):
        yield from (p for _, p in self.named_parameters())

    def rows(self, ids, sources):
        """Logits [rows, tokens, vocab] of whole sequences [rows, tokens] whose first `sources` ids are the source."""
        segments = (torch.arange(ids.shape[1]) >= sources).long()
        reached = segments.cumsum(0)
        # Position i sees j where j's count of target tokens is not larger than its own.
        mask = (reached[None, :] <= reached[:, None]).long()
        kwargs = {}
        if isinstance(self.model, BertForMaskedLM):
            kwargs["position_ids"] = torch.arange(ids.shape[1])[None]
        return self.model(
            input_ids=ids, attention_mask=mask.expand(len(ids), -1, -1),
            token_type_ids=segments.expand(len(ids), -1), **kwargs,
        ).logits

    def forward(self, input_ids, labels):
        """Logits of the labels, as transformers' sequence-to-sequence models give them."""
        n = input_ids.shape[1]
        logits = self.rows(torch.cat([input_ids, labels], 1), n)[:, n - 1 : -1]
        return SimpleNamespace(logits=logits, encoder_last_hidden_state=[None])

    def following(self, source, ids):
        """Logits of what follows each row of ids, the first of which is the source's last."""
        whole = torch.cat([source[:1, :-1].expand(len(ids), -1), ids], 1)
        return self.rows(whole, source.shape[1])[:, -1]

    def generate(self, input_ids, attention_mask, **options):
        """transformers' own searches: to them this is a decoder that has been given the source's last id."""
        config = PretrainedConfig(vocab_size=self.model.config.vocab_size, num_hidden_layers=0)
        searcher = Searcher(config, self)
        return searcher.generate(
            input_ids=input_ids[:, -1:], source=input_ids, pad_token_id=PAD, eos_token_id=SEP, **options)


class Searcher(PreTrainedModel, GenerationMixin):
    """What transformers' searches want of a model."""

    def __init__(self, config, unilm):
        super().__init__(config)
        self.unilm = unilm

    def prepare_inputs_for_generation(self, input_ids, source, **kwargs):
        return {"input_ids": input_ids, "source": source}

    def forward(self, input_ids, source, return_dict=True):
        return CausalLMOutput(logits=self.unilm.following(source, input_ids)[:, None])


def load(directory, spec, dtype):
    """The model of the files; evaluation, so no dropout."""
    config_class, model_class = spec["classes"]
    config = config_class.from_pretrained(directory)
    config._attn_implementation = "eager"
    model = model_class(config)
    missing, unexpected = model.load_state_dict(load_file(os.path.join(directory, "model.safetensors")), strict=False)
    # Second names of tied tensors, and tables that follow from the configuration.
    derived = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "roformer.encoder.embed_positions.weight")
    assert not unexpected and set(missing) <= set(derived), (missing, unexpected)
    model.tie_weights()
    return UniLM(model, spec.get("positions")).to(dtype).eval()


def random_weights(spec, generator):
    """float32 tensors under transformers' names, livelier than an initialisation's: norms differ from 1, biases from 0,
    positions and attention scores count, so that a mistake in any of them moves the logits. Tokens of the vocabulary
    are as long as each other and what comes out of a feed-forward layer has no part in common, so that no token is the
    answer to everything."""
    config_class, model_class = spec["classes"]
    model = model_class(config_class(**COMMON, **spec["config"]))
    weights = {}
    for name, p in UniLM(model).named_parameters():
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if "LayerNorm.weight" in name:
            value = torch.rand(p.shape, generator=generator, dtype=torch.float64) + 0.5
        elif "word_embeddings" in name:
            value = noise / noise.norm(dim=1, keepdim=True) * 0.5 * p.shape[1] ** 0.5
        elif "embeddings" in name and p.dim() == 2 and "project" not in name:
            value = noise * 0.6
        elif p.dim() == 1:
            value = noise * 0.1
        else:
            value = noise * (3 if "attention.output" in name or "value" in name else 1.5) * p.shape[1] ** -0.5
        if name.endswith("output.dense.weight") and "attention" not in name:
            value = value - value.mean(1, keepdim=True)
        if name == "cls.predictions.bias":
            value[SEP] += spec["ends"]
        weights[name] = value.float()
    return weights


def random_source(length, pieces, generator):
    """`[CLS]`, text, `[SEP]`; longer ones hold a pad id in the middle: lengths mask, ids do not."""
    ids = torch.randint(MASK + 1, pieces, (length,), generator=generator).tolist()
    if length >= 5:
        ids[length // 2] = PAD
    return [CLS, *ids[1:-1], SEP]


def random_target(length, pieces, generator):
    return random_source(length + 1, pieces, generator)[1:]


def searched(model, sources, options, end=SEP):
    """make_goldens.py's `generate`, and groups of beams, which transformers 4.57's has no more."""
    if "num_beam_groups" not in options:
        return generate(model, sources, options, end)
    outputs = []
    for source in sources:
        source = torch.tensor([source])
        found = beam_search(lambda ids: model.following(source, ids), source[:, -1:], pad=PAD, eos=end, **options)
        outputs.append([{"ids": ids, "score": score} for ids, score in found])
    return outputs, math.inf


def agree(found, found32):
    """Whether float32 finds what float64 does and no two hypotheses score alike: no close call."""
    scores = [x["score"] for x in found if "score" in x]
    same = [x["ids"] for x in found] == [x["ids"] for x in found32]
    return same and all(a - b > 2e-6 for a, b in zip(scores, scores[1:]))


def cases(spec):
    """Those of T5, and diverse beams."""
    found = generation_cases(spec)
    found["groups_4_2"] = dict(
        max_new_tokens=16, num_beams=4, num_beam_groups=2, diversity_penalty=0.7, num_return_sequences=2)
    return found


def silent_gradients(name, gradients):
    """Those that are nothing but rounding: a key's bias adds the same to all scores of a query."""
    return {k for k in gradients if k.endswith("key.bias") and name != "roformer"}


# What `make` wants of a kind of models.
BERT = SimpleNamespace(
    config=lambda spec: {**spec["config"], **COMMON}, random_weights=random_weights, load=load, source=random_source,
    target=random_target, searched=searched, cases=cases, silent=silent_gradients, end=SEP, least=3, encoder=(),
)


def make(name, spec, out, kind=BERT):
    print(name)
    directory = os.path.join(out, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    generator = torch.Generator().manual_seed(spec["seed"])
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(kind.config(spec), f, indent=2)
        f.write("\n")
    save_file(kind.random_weights(spec, generator), os.path.join(directory, "model.safetensors"), {"format": "pt"})
    sources = [kind.source(n, spec["pieces"], generator) for n in SOURCE_LENGTHS]
    targets = [kind.target(n, spec["pieces"], generator) for n in TARGET_LENGTHS]
    examples = list(zip(sources, targets))
    exact, single = (kind.load(directory, spec, t) for t in (torch.float64, torch.float32))

    def of(model, example):
        source, target = (torch.tensor([ids]) for ids in example)
        return model(input_ids=source, labels=target).logits[0]

    with torch.no_grad():
        logits, logits32 = (torch.cat([of(m, e) for e in examples]) for m in (exact, single))
        log_probs = [
            -F.cross_entropy(of(exact, e), torch.tensor(e[1]), reduction="sum").item() for e in examples
        ]
        smoothed = batch_loss(exact, examples, label_smoothing=0.1).item()
        with_z = batch_loss(exact, examples, z_loss=1e-2).item()
    print(f"  logits std {logits.std():.2f}")
    check("logits, f32 against f64", relative(logits32, logits), 3e-6)
    grads, grads32 = gradients(exact, examples), gradients(single, examples)
    silent = kind.silent(name, grads)
    real = [k for k in grads if k not in silent]
    for k in silent:
        assert grads[k].abs().max() < 1e-12 * max(g.abs().max() for g in grads.values()), k
    check("gradients, f32 against f64", max(relative(grads32[k], grads[k]) for k in real), 2e-5)
    norm = math.sqrt(sum(g.square().sum().item() for g in grads.values()))

    training = {}
    for key, how in TRAININGS.items():
        losses, losses32 = (
            training_losses(kind.load(directory, spec, t), examples, **how) for t in (torch.float64, torch.float32)
        )
        check(f"{key} losses, f32 against f64", relative(losses32, losses), 1e-5)
        training[key] = losses

    generation = {}
    for key, options in kind.cases(spec).items():
        with torch.no_grad():
            outputs, lead = kind.searched(exact, sources, options)
            outputs32, _ = kind.searched(single, sources, options)
        outputs = [found if agree(found, found32) else [] for found, found32 in zip(outputs, outputs32)]
        assert sum(map(bool, outputs)) >= kind.least, f"{key}: too many close calls: choose another seed"
        ids = [[x["ids"] for x in group] for group in outputs if group]
        ends = sum(row[-1] == kind.end for group in ids for row in group)
        print(f"  {key}: lengths {[len(group[0]) for group in ids]}, {ends} ended, first {ids[0][0][:8]}", end="")
        print(f", smallest lead {lead:.1e}" if math.isfinite(lead) else "")
        assert ends or not key == "greedy_suppressed", f"{key}: no output ends: choose another seed"
        assert lead > 2e-4, f"{key}: a token led by {lead:.1e} only: choose another seed"
        generation[key] = {"options": options, "outputs": outputs}

    golden = dict(
        made_with=dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__),
        pieces=spec["pieces"], max_positions=spec.get("positions"), sources=sources, targets=targets,
        log_probs=log_probs, loss=batch_loss(exact, examples).item(), loss_label_smoothing_0_1=smoothed,
        loss_z_1e_2=with_z, gradient_norm=norm, train_batches=TRAIN_BATCHES, train_losses=training,
        generate=generation,
    )
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items() if v is not None)
    with open(os.path.join(directory, "golden.json"), "w") as f:
        f.write("{\n" + lines + "\n}\n")
    weights = load_file(os.path.join(directory, "model.safetensors"))
    assert weights.keys() == grads.keys(), weights.keys() ^ grads.keys()
    values = {"logits": logits}
    if name in kind.encoder:
        with torch.no_grad():
            values["encoder"] = torch.cat([forward(exact, *e)[0] for e in examples])
    values = {k: v.float().contiguous() for k, v in values.items()}
    save_file(values, os.path.join(directory, "golden.safetensors"))
    save_file({k: g.float().contiguous() for k, g in grads.items()}, os.path.join(directory, "gradients.safetensors"))
    size = sum(os.path.getsize(os.path.join(directory, f)) for f in os.listdir(directory))
    print(f"  {sum(w.numel() for w in weights.values())} parameters, {size / 1e3:.0f} kB")
    return size


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
    total = sum(make(name, spec, args.out) for name, spec in MODELS.items() if args.only in (None, name))
    print(f"{total / 1e3:.0f} kB in all")


if __name__ == "__main__":
    main()
