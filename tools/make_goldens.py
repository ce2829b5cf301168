"""Write the reference values that the T5 network, its training and its generation are tested against.

usage: make_goldens.py OUT_DIR [--only NAME]        (OUT_DIR: crates/model/tests/goldens)

Needs transformers 4.57 (version 5 is no reference: it ties mT5's softmax and scales umT5's logits), torch, safetensors.
For each of a few tiny models with random weights it writes a Hugging Face directory (`config.json`,
`model.safetensors`) and, beside them, `golden.json`, `golden.safetensors` and `gradients.safetensors`.
The README of the goldens, beside them, says what each holds.

Reference values are computed in float64 from the float32 weights of the file, one example at a time, so that there is
no padding anywhere and the values are the true ones to float32's precision. Everything is computed in float32 too; the
script fails when the two disagree (a model too sensitive to be a reference) and when a generated token was a close
call. Same versions and processor, same bytes out.
"""
import argparse
import json
import math
import os
import shutil

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration, UMT5ForConditionalGeneration
from transformers.optimization import (
    Adafactor,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_inverse_sqrt_schedule,
    get_linear_schedule_with_warmup,
)

from bert4keras_t5 import Bert4kerasT5

PAD, EOS = 0, 1
# Lengths count `</s>`. The pairs of long and short are crossed on purpose; 150 tokens reach every relative-position
# bucket (the last begins at 91 in the encoder, at 113 in the decoder). One source and one target hold only `</s>`.
SOURCE_LENGTHS = [150, 33, 1, 64, 9, 2]
TARGET_LENGTHS = [1, 150, 5, 17, 2, 9]
TRAIN_BATCHES = [[0, 3], [1, 4], [2, 5]]
STEPS = 20
WARMUP = 4

COMMON = dict(
    is_encoder_decoder=True,
    layer_norm_epsilon=1e-6,
    dropout_rate=0.1,
    relative_attention_num_buckets=32,
    relative_attention_max_distance=128,
    pad_token_id=PAD,
    eos_token_id=EOS,
    decoder_start_token_id=PAD,
    use_cache=True,
    initializer_factor=1.0,
)
# `pieces`: rows from here on are padding rows, which no tokenizer entry stands for.
MODELS = {
    "mt5": dict(
        loader=MT5ForConditionalGeneration,
        seed=3,
        pieces=188,
        config=dict(
            architectures=["MT5ForConditionalGeneration"], model_type="mt5", d_model=18, d_kv=8, d_ff=26, num_heads=3,
            num_layers=2, num_decoder_layers=2, vocab_size=200, feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        ),
    ),
    "t5-v1_1": dict(
        loader=T5ForConditionalGeneration,
        seed=5,
        pieces=100,
        config=dict(
            architectures=["T5ForConditionalGeneration"], model_type="t5", d_model=16, d_kv=6, d_ff=24, num_heads=4,
            num_layers=2, num_decoder_layers=3, vocab_size=112, feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        ),
    ),
    "t5-v1_0": dict(
        loader=T5ForConditionalGeneration,
        seed=22,
        pieces=90,
        config=dict(
            architectures=["T5ForConditionalGeneration"], model_type="t5", d_model=18, d_kv=5, d_ff=30, num_heads=2,
            num_layers=3, num_decoder_layers=2, vocab_size=96, feed_forward_proj="relu", tie_word_embeddings=True,
        ),
    ),
    "umt5": dict(
        loader=UMT5ForConditionalGeneration,
        seed=6,
        pieces=56,
        config=dict(
            architectures=["UMT5ForConditionalGeneration"], model_type="umt5", d_model=12, d_kv=8, d_ff=18, num_heads=2,
            num_layers=2, num_decoder_layers=2, vocab_size=64, feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
        ),
    ),
    # Bytes, three special ids, 125 sentinels: 384 rows without padding, here with fewer bytes. Three times as many
    # encoder layers as decoder layers.
    "byt5": dict(
        loader=T5ForConditionalGeneration,
        seed=21,
        pieces=144,
        config=dict(
            architectures=["T5ForConditionalGeneration"], model_type="t5", d_model=12, d_kv=4, d_ff=30, num_heads=3,
            num_layers=3, num_decoder_layers=1, vocab_size=144, feed_forward_proj="gated-gelu",
            tie_word_embeddings=False, tokenizer_class="ByT5Tokenizer",
        ),
    ),
    # Both peculiarities of models trained in bert4keras.
    "bert4keras": dict(
        loader=Bert4kerasT5,
        seed=9,
        pieces=90,
        cases=["greedy", "greedy_suppressed", "greedy_min_new_tokens"],
        config=dict(
            architectures=["MT5ForConditionalGeneration"], model_type="mt5", d_model=16, d_kv=6, d_ff=24, num_heads=3,
            num_layers=2, num_decoder_layers=2, vocab_size=96, feed_forward_proj="gated-gelu",
            tie_word_embeddings=False, scale_decoder_outputs=True, cross_attention_relative_bias=True,
        ),
    ),
}


def random_weights(config, generator):
    """float32 tensors under transformers' names. Scales are larger than an initialisation's: norms differ from 1,
    position biases and attention scores are of order 1, so that a mistake in any of them moves the logits."""
    d, inner, ff = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]

    def normal(*shape, std):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).mul(std).float()

    def norm():
        return (torch.rand(d, generator=generator, dtype=torch.float64) + 0.5).float()

    w = {"shared.weight": normal(config["vocab_size"], d, std=1.0)}
    if not config["tie_word_embeddings"]:
        scale = d**0.5 if config.get("scale_decoder_outputs") else 1.0
        w["lm_head.weight"] = normal(config["vocab_size"], d, std=0.5 * scale)
    for side, layers in (("encoder", config["num_layers"]), ("decoder", config["num_decoder_layers"])):
        for i in range(layers):
            p = f"{side}.block.{i}.layer"
            kinds = ["SelfAttention"] + (["EncDecAttention"] if side == "decoder" else [])
            for j, kind in enumerate(kinds):
                w[f"{p}.{j}.{kind}.q.weight"] = normal(inner, d, std=1.5 * (d * config["d_kv"]) ** -0.5)
                w[f"{p}.{j}.{kind}.k.weight"] = normal(inner, d, std=d**-0.5)
                w[f"{p}.{j}.{kind}.v.weight"] = normal(inner, d, std=1.5 * d**-0.5)
                w[f"{p}.{j}.{kind}.o.weight"] = normal(d, inner, std=1.5 * inner**-0.5)
                if kind == "SelfAttention" and (i == 0 or config["model_type"] == "umt5"):
                    w[f"{p}.{j}.{kind}.relative_attention_bias.weight"] = normal(
                        config["relative_attention_num_buckets"], config["num_heads"], std=1.0
                    )
                w[f"{p}.{j}.layer_norm.weight"] = norm()
            f = f"{p}.{len(kinds)}.DenseReluDense"
            for name in ("wi_0", "wi_1") if config["feed_forward_proj"].startswith("gated") else ("wi",):
                w[f"{f}.{name}.weight"] = normal(ff, d, std=1.5 * d**-0.5)
            w[f"{f}.wo.weight"] = normal(d, ff, std=1.5 * ff**-0.5)
            w[f"{p}.{len(kinds)}.layer_norm.weight"] = norm()
        w[f"{side}.final_layer_norm.weight"] = norm()
    return w


def random_ids(length, pieces, generator):
    """`length` ids, the last `</s>`. Longer ones hold a pad id in the middle: lengths mask, ids do not."""
    ids = torch.randint(2, pieces, (length,), generator=generator).tolist()
    if length >= 5:
        ids[length // 2] = PAD
    ids[-1] = EOS
    return ids


def load(directory, loader, dtype):
    """The model as transformers reads it from the files; eval mode, so no dropout."""
    model, info = loader.from_pretrained(directory, dtype=dtype, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    tied = model.lm_head.weight.data_ptr() == model.shared.weight.data_ptr()
    assert tied == model.config.tie_word_embeddings
    return model.eval()


def forward(model, source, target):
    """Encoder states [source, d_model] and logits [target, vocab] of one example, teacher-forced."""
    out = model(input_ids=torch.tensor([source]), labels=torch.tensor([target]))
    return out.encoder_last_hidden_state[0], out.logits[0]


def batch_loss(model, examples, label_smoothing=0.0, z_loss=0.0):
    """Mean over all real target tokens of the batch, `</s>` included; examples run one by one."""
    total, tokens = 0.0, 0
    for source, target in examples:
        _, logits = forward(model, source, target)
        ids = torch.tensor(target)
        total = total + F.cross_entropy(logits, ids, reduction="sum", label_smoothing=label_smoothing)
        total = total + z_loss * logits.logsumexp(-1).square().sum()
        tokens += len(target)
    return total / tokens


def gradients(model, examples):
    model.zero_grad(set_to_none=True)
    batch_loss(model, examples).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)


def adam(parameters, weight_decay=0.0):
    return torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)


def adafactor(parameters, scale_parameter=False, weight_decay=0.0):
    return Adafactor(
        parameters, lr=1e-3, eps=(1e-30, 1e-3), clip_threshold=1.0, decay_rate=-0.8, beta1=None,
        weight_decay=weight_decay, scale_parameter=scale_parameter, relative_step=False, warmup_init=False,
    )


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023 (arXiv:2302.06675), algorithm 2, as it stands there."""

    def __init__(self, parameters):
        super().__init__(parameters, dict(lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.1))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, beta1, beta2, decay = (group[k] for k in ("lr", "beta1", "beta2", "weight_decay"))
            for p in (p for p in group["params"] if p.grad is not None):
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p -= lr * (torch.sign(c) + decay * p)
                m.copy_(beta2 * m + (1 - beta2) * p.grad)


# Name → how to train: the optimizer, and what differs from clean cross-entropy at a constant rate.
TRAININGS = {
    "adamw": dict(optimizer=adamw),
    "adamw_clipped": dict(optimizer=adamw, max_grad_norm=0.5),
    "adam": dict(optimizer=adam),
    "adam_decayed": dict(optimizer=lambda p: adam(p, weight_decay=0.1)),
    "adafactor": dict(optimizer=adafactor),
    "adafactor_scaled": dict(optimizer=lambda p: adafactor(p, scale_parameter=True)),
    "adafactor_scaled_decayed": dict(optimizer=lambda p: adafactor(p, scale_parameter=True, weight_decay=0.1)),
    "lion": dict(optimizer=Lion),
    "adamw_linear": dict(optimizer=adamw, schedule=lambda o: get_linear_schedule_with_warmup(o, WARMUP, STEPS)),
    "adamw_cosine": dict(optimizer=adamw, schedule=lambda o: get_cosine_schedule_with_warmup(o, WARMUP, STEPS)),
    "adamw_inverse_sqrt": dict(optimizer=adamw, schedule=lambda o: get_inverse_sqrt_schedule(o, WARMUP)),
    "adamw_constant_warmup": dict(optimizer=adamw, schedule=lambda o: get_constant_schedule_with_warmup(o, WARMUP)),
    "adamw_label_smoothing": dict(optimizer=adamw, label_smoothing=0.1),
    "adamw_z_loss": dict(optimizer=adamw, z_loss=1e-2),
    "adafactor_everything": dict(
        optimizer=lambda p: adafactor(p, scale_parameter=True), max_grad_norm=0.5, label_smoothing=0.1, z_loss=1e-3,
        schedule=lambda o: get_cosine_schedule_with_warmup(o, WARMUP, STEPS),
    ),
}


def training_losses(model, examples, optimizer, max_grad_norm=None, schedule=None, **loss_options):
    """Loss of each step's batch before that step's update; the batches go round."""
    opt = optimizer(model.parameters())
    scheduler = schedule and schedule(opt)
    losses = []
    for step in range(STEPS):
        opt.zero_grad(set_to_none=True)
        batch = [examples[i] for i in TRAIN_BATCHES[step % len(TRAIN_BATCHES)]]
        loss = batch_loss(model, batch, **loss_options)
        loss.backward()
        if max_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        opt.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
    return losses


def generation_cases(spec):
    """Name → options of transformers' `generate`. `suppress_tokens` stands for the rows that no text comes from:
    padding rows, and the ten ids before them (as sentinels are)."""
    rows, pieces = spec["config"]["vocab_size"], spec["pieces"]
    banned = list(range(pieces - 10, rows))
    cases = {
        "greedy": dict(max_new_tokens=40),
        "greedy_suppressed": dict(max_new_tokens=40, suppress_tokens=banned),
        "greedy_min_new_tokens": dict(max_new_tokens=40, min_new_tokens=32, suppress_tokens=banned),
        "greedy_repetition_penalty": dict(max_new_tokens=40, repetition_penalty=1.5, suppress_tokens=banned),
        "greedy_no_repeat_ngram": dict(max_new_tokens=40, no_repeat_ngram_size=2, suppress_tokens=banned),
        "beam4": dict(max_new_tokens=40, num_beams=4, num_return_sequences=4),
        "beam4_suppressed": dict(max_new_tokens=40, num_beams=4, num_return_sequences=4, suppress_tokens=banned),
        "beam4_early_stopping": dict(
            max_new_tokens=40, num_beams=4, num_return_sequences=4, early_stopping=True, length_penalty=0.6
        ),
        "beam4_never_stopping": dict(
            max_new_tokens=40, num_beams=4, num_return_sequences=4, early_stopping="never", length_penalty=2.0
        ),
    }
    return {name: cases[name] for name in spec.get("cases", cases)}


def generate(model, sources, options, eos=EOS):
    """Per source a list of {ids, score}: ids without the start token and without what follows `</s>`; the score is
    transformers' (sum of log-probabilities over length ** length_penalty), absent for greedy. Greedy also gives the
    smallest lead of a chosen token over the next best, in log-probability. No cache: the reference is the plain network
    (and the cache of transformers 4.57 fails where the decoder has more layers than the encoder)."""
    outputs, lead = [], math.inf
    for source in sources:
        ids = torch.tensor([source])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, return_dict_in_generate=True,
            output_scores=True, use_cache=False, **options,
        )
        beams = "num_beams" in options
        group = []
        for i, row in enumerate(out.sequences.tolist()):
            row = row[1:]
            if eos in row:
                row = row[: row.index(eos) + 1]
            group.append({"ids": row, "score": out.sequences_scores[i].item()} if beams else {"ids": row})
        if not beams:
            for step in out.scores:
                top = step[0].log_softmax(-1).topk(2).values
                lead = min(lead, (top[0] - top[1]).item())
        outputs.append(group)
    return outputs, lead


def relative(a, b):
    """Largest difference over the largest magnitude."""
    a, b = torch.as_tensor(a, dtype=torch.float64), torch.as_tensor(b, dtype=torch.float64)
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item()


def check(what, value, limit):
    print(f"  {what}: {value:.2e}")
    assert value <= limit, f"{what}: {value:.2e} is over {limit:.0e}: choose another seed or scale"


def make(name, spec, out):
    print(name)
    directory = os.path.join(out, name)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    generator = torch.Generator().manual_seed(spec["seed"])
    config = {**spec["config"], **COMMON}
    with open(os.path.join(directory, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    save_file(random_weights(config, generator), os.path.join(directory, "model.safetensors"), {"format": "pt"})
    sources = [random_ids(n, spec["pieces"], generator) for n in SOURCE_LENGTHS]
    targets = [random_ids(n, spec["pieces"], generator) for n in TARGET_LENGTHS]
    examples = list(zip(sources, targets))

    exact = load(directory, spec["loader"], torch.float64)
    single = load(directory, spec["loader"], torch.float32)
    with torch.no_grad():
        encoder, logits = (torch.cat(x) for x in zip(*(forward(exact, s, t) for s, t in examples)))
        encoder32, logits32 = (torch.cat(x) for x in zip(*(forward(single, s, t) for s, t in examples)))
        log_probs = [
            -F.cross_entropy(forward(exact, s, t)[1], torch.tensor(t), reduction="sum").item() for s, t in examples
        ]
        smoothed = batch_loss(exact, examples, label_smoothing=0.1).item()
        with_z = batch_loss(exact, examples, z_loss=1e-2).item()
    print(f"  encoder states std {encoder.std():.2f}, logits std {logits.std():.2f}")
    check("encoder states, f32 against f64", relative(encoder32, encoder), 3e-6)
    check("logits, f32 against f64", relative(logits32, logits), 3e-6)

    grads, grads32 = gradients(exact, examples), gradients(single, examples)
    check("gradients, f32 against f64", max(relative(grads32[k], grads[k]) for k in grads), 2e-5)
    for side, unreachable in (("encoder", [16]), ("decoder", [])):
        # Bucket 16 of the encoder means "ahead, by 0": no pair of positions has it.
        for name in (n for n in grads if n.startswith(side) and "relative_attention_bias" in n):
            silent = [i for i, row in enumerate(grads[name]) if not row.any()]
            assert silent == unreachable, f"{name}: buckets without a gradient: {silent}"
    norm = math.sqrt(sum(g.square().sum().item() for g in grads.values()))

    training = {}
    for key, how in TRAININGS.items():
        losses, losses32 = (
            training_losses(load(directory, spec["loader"], t), examples, **how)
            for t in (torch.float64, torch.float32)
        )
        check(f"{key} losses, f32 against f64", relative(losses32, losses), 1e-5)
        training[key] = losses

    generation = {}
    for key, options in generation_cases(spec).items():
        outputs, lead = generate(exact, sources, options)
        outputs32, _ = generate(single, sources, options)
        ids = [[x["ids"] for x in group] for group in outputs]
        assert ids == [[x["ids"] for x in group] for group in outputs32], f"{key}: f32 and f64 differ"
        ends = sum(row[-1] == EOS for group in ids for row in group)
        print(f"  {key}: lengths {[len(group[0]) for group in ids]}, {ends} ended, first {ids[0][0][:8]}", end="")
        print(f", smallest lead {lead:.1e}" if math.isfinite(lead) else "")
        assert ends or not key == "greedy_suppressed", f"{key}: no output ends with </s>: choose another seed"
        assert lead > 2e-4, f"{key}: a token led by {lead:.1e} only: choose another seed"
        for group in outputs:
            scores = [x["score"] for x in group if "score" in x]
            gaps = [a - b for a, b in zip(scores, scores[1:])]
            assert all(g > 2e-6 for g in gaps), f"{key}: two hypotheses score alike: {scores}"
        generation[key] = {"options": options, "outputs": outputs}

    golden = dict(
        made_with=dict(torch=torch.__version__.split("+")[0], transformers=transformers.__version__),
        pieces=spec["pieces"], sources=sources, targets=targets, log_probs=log_probs,
        loss=batch_loss(exact, examples).item(), loss_label_smoothing_0_1=smoothed, loss_z_1e_2=with_z,
        gradient_norm=norm, train_batches=TRAIN_BATCHES, train_losses=training, generate=generation,
    )
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items())
    with open(os.path.join(directory, "golden.json"), "w") as f:
        f.write("{\n" + lines + "\n}\n")
    weights = load_file(os.path.join(directory, "model.safetensors"))
    assert weights.keys() == grads.keys(), weights.keys() ^ grads.keys()
    save_file(
        {"encoder": encoder.float().contiguous(), "logits": logits.float().contiguous()},
        os.path.join(directory, "golden.safetensors"),
    )
    save_file(
        {k: g.float().contiguous() for k, g in grads.items()}, os.path.join(directory, "gradients.safetensors")
    )
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
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    total = sum(make(name, spec, args.out) for name, spec in MODELS.items() if args.only in (None, name))
    print(f"{total / 1e3:.0f} kB in all")


if __name__ == "__main__":
    main()
