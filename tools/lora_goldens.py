"""Write the reference values that LoRA is tested against, and check adapters of this program with peft.

usage: lora_goldens.py make OUT_DIR                       (OUT_DIR: crates/model/tests/goldens/lora)
       lora_goldens.py patterns OUT_DIR                   (OUT_DIR: crates/model/tests/goldens/lora_patterns)
       lora_goldens.py check BASE ADAPTER MERGED          (adapter of `t5kit finetune`, merged by `t5kit convert`)

Needs peft 0.21, transformers 4.57, torch, safetensors. The base model of `make` is the golden `mt5` beside OUT_DIR, its
examples too. Written are peft's own folder of an adapter (`adapter_config.json`, `adapter_model.safetensors`, and the
`adapter_model.bin` of its older form) with random A and B, `golden.safetensors` (logits with the adapter, of the examples but the one of the longest target, one
after the other, and the gradient of the mean loss by every A and B) and `golden.json` (that loss, and the losses of ten steps of AdamW on the adapter).
Values are computed in float64 from the float32 weights, one example at a time; the script fails where float32 disagrees.

`patterns` does the same with an adapter of everything that peft lets a layer differ in: rank-stabilised, ranks and
alphas by pattern, and a softmax trained whole; only its logits are written.

`check` wants peft to load the adapter onto the base with no key missing or left over, and the merged model's logits to
be those of peft's own `merge_and_unload`.
"""
import argparse
import json
import os
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, MT5ForConditionalGeneration

from make_goldens import TRAIN_BATCHES, batch_loss, check, forward, relative

STEPS = 10
# Of target 1, the longest, there are no logits: 120 kB.
SHOWN = [0, 2, 3, 4, 5]
CONFIG = dict(task_type="SEQ_2_SEQ_LM", r=3, lora_alpha=8, target_modules=["q", "v", "o", "wi_0", "wo"])


def base_model(directory, dtype):
    return MT5ForConditionalGeneration.from_pretrained(directory, dtype=dtype).eval()


def adapted(base, adapter, dtype):
    """The base with its adapter as peft reads it, A and B to be trained; no dropout."""
    return PeftModel.from_pretrained(base_model(base, dtype), adapter, is_trainable=True).to(dtype).eval()


def values(base, adapter, dtype, examples):
    """Logits, loss, gradients by the adapter's tensor names, and the losses of ten steps."""
    model = adapted(base, adapter, dtype)
    with torch.no_grad():
        logits = torch.cat([forward(model, *examples[i])[1] for i in SHOWN])
    loss = batch_loss(model, examples)
    loss.backward()
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    grads = {n.replace(".default", ""): p.grad.clone() for n, p in trained}
    optimizer = torch.optim.AdamW([p for _, p in trained], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        step_loss = batch_loss(model, [examples[i] for i in TRAIN_BATCHES[step % len(TRAIN_BATCHES)]])
        step_loss.backward()
        optimizer.step()
        losses.append(step_loss.item())
    return logits, loss.item(), grads, losses


def make(out):
    base = os.path.join(os.path.dirname(os.path.abspath(out)), "mt5")
    with open(os.path.join(base, "golden.json")) as f:
        golden = json.load(f)
    examples = list(zip(golden["sources"], golden["targets"]))
    generator = torch.Generator().manual_seed(11)
    model = get_peft_model(base_model(base, torch.float32), LoraConfig(**CONFIG))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = 0.05 * torch.randn(p.shape, generator=generator)
    for safe in (False, True):
        model.save_pretrained(out, safe_serialization=safe)
    os.remove(os.path.join(out, "README.md"))
    # The same bytes on every machine: no path, and the set of names in an order.
    path = os.path.join(out, "adapter_config.json")
    with open(path) as f:
        config = json.load(f)
    config |= dict(base_model_name_or_path="mt5", target_modules=CONFIG["target_modules"])
    with open(path, "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")

    exact, single = (values(base, out, t, examples) for t in (torch.float64, torch.float32))
    logits, loss, grads, losses = exact
    plain = torch.cat([forward(base_model(base, torch.float64), *examples[i])[1] for i in SHOWN])
    print(f"  the adapter moves the logits by {relative(logits, plain):.2f} of the largest")
    check("logits, f32 against f64", relative(single[0], logits), 3e-6)
    check("gradients, f32 against f64", max(relative(single[2][k], grads[k]) for k in grads), 2e-5)
    check("losses, f32 against f64", relative(single[3], losses), 1e-5)
    assert grads.keys() == load_file(os.path.join(out, "adapter_model.safetensors")).keys()
    tensors = {"logits": logits.detach(), **grads}
    save_file({k: v.float().contiguous() for k, v in tensors.items()}, os.path.join(out, "golden.safetensors"))
    made_with = dict(
        torch=torch.__version__.split("+")[0], transformers=transformers.__version__, peft=peft.__version__
    )
    with open(os.path.join(out, "golden.json"), "w") as f:
        json.dump(dict(made_with=made_with, loss=loss, train_losses=losses), f, indent=1)
        f.write("\n")


def make_patterns(out):
    """An adapter with ranks and alphas by pattern, rsLoRA, and a whole weight beside it; its logits."""
    base = os.path.join(os.path.dirname(os.path.abspath(out)), "mt5")
    with open(os.path.join(base, "golden.json")) as f:
        golden = json.load(f)
    examples = list(zip(golden["sources"], golden["targets"]))
    generator = torch.Generator().manual_seed(12)
    settings = dict(
        task_type="SEQ_2_SEQ_LM", r=2, lora_alpha=4, use_rslora=True, target_modules=["q", "wi_0", "wo"],
        rank_pattern={"^decoder.block.0.layer.0.SelfAttention.q": 5, "wo": 1, "layer.[01].*q": 3},
        alpha_pattern={"SelfAttention.q": 7, "encoder.*wo": 3},
        modules_to_save=["lm_head"],
    )
    model = get_peft_model(base_model(base, torch.float32), LoraConfig(**settings))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = (p.data if "modules_to_save" in name else 0) + 0.05 * torch.randn(p.shape, generator=generator)
    model.save_pretrained(out)
    os.remove(os.path.join(out, "README.md"))
    path = os.path.join(out, "adapter_config.json")
    with open(path) as f:
        config = json.load(f)
    config |= dict(base_model_name_or_path="../mt5", target_modules=settings["target_modules"])
    with open(path, "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
    run = lambda m: torch.cat([forward(m, *examples[i])[1] for i in SHOWN])
    with torch.no_grad():
        logits, single = (run(adapted(base, out, t)) for t in (torch.float64, torch.float32))
        plain = run(base_model(base, torch.float64))
    print(f"  the adapter moves the logits by {relative(logits, plain):.2f} of the largest")
    check("logits, f32 against f64", relative(single, logits), 3e-6)
    save_file({"logits": logits.float().contiguous()}, os.path.join(out, "golden.safetensors"))


def check_adapter(base, adapter, merged):
    is_bert = "t5" not in AutoConfig.from_pretrained(base).model_type
    load = AutoModelForMaskedLM.from_pretrained if is_bert else AutoModelForSeq2SeqLM.from_pretrained

    def logits_of(model, source, target):
        # What UniLM's mask would add is the same on both sides: the layers are what is compared.
        return model(torch.tensor([source + target])).logits[0] if is_bert else forward(model, source, target)[1]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plain = load(base, dtype=torch.float32).eval()
        model = PeftModel.from_pretrained(plain, adapter).eval()
    said = [str(w.message) for w in caught if "adapter" in str(w.message)]
    assert not said, said
    generator = torch.Generator().manual_seed(1)
    rows = plain.config.vocab_size
    examples = [
        (torch.randint(2, rows, (n,), generator=generator).tolist(), torch.randint(2, rows, (m,), generator=generator).tolist())
        for n, m in [(40, 9), (3, 30), (1, 1)]
    ]
    logits = lambda m: torch.cat([logits_of(m, s, t) for s, t in examples])
    with torch.no_grad():
        with_adapter = logits(model)
        with model.disable_adapter():
            without = logits(model)
        of_peft = logits(model.merge_and_unload())
        ours, info = load(merged, dtype=torch.float32, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
        of_ours = logits(ours.eval())
    print(f"  the adapter moves the logits by {relative(with_adapter, without):.3f} of the largest")
    assert relative(with_adapter, without) > 1e-3, "the adapter does nothing"
    check("peft's adapter against its merged model", relative(with_adapter, of_peft), 1e-5)
    check("convert's merged model against peft's", relative(of_ours, of_peft), 1e-5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("out")
    commands.add_parser("patterns").add_argument("out")
    checking = commands.add_parser("check")
    for name in ("base", "adapter", "merged"):
        checking.add_argument(name)
    args = parser.parse_args()
    if not transformers.__version__.startswith("4.57."):
        parser.error(f"transformers 4.57 is the reference, this is {transformers.__version__}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if args.command == "make":
        make(args.out)
    elif args.command == "patterns":
        make_patterns(args.out)
    else:
        check_adapter(args.base, args.adapter, args.merged)


if __name__ == "__main__":
    main()
