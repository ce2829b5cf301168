"""ONNX Runtime in int8 through optimum: converts once, then times greedy or beam generation of exactly 32 new tokens a sample.

usage: ort_peer.py HF_DIR ONNX_DIR SPM CSL_TSV [--samples 64] [--batch 16] [--beams 1] [--threads 2]

Weights are quantised by ONNX Runtime's own dynamic quantisation (activations at run time), the three graphs apart; a merged
decoder is not quantised by it. Abstracts are cut at 256 tokens. Loading is left out.
Its environment: optimum-onnx==0.1.0 optimum==2.1.0 onnxruntime==1.32.0 onnx transformers==4.57.1 sentencepiece torch
"""
import argparse
import os
import resource
import shutil
import time

import onnxruntime
import sentencepiece
import torch
from optimum.onnxruntime import ORTModelForSeq2SeqLM, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig

from int8_peer import EOS, PAD, batches

NEW_TOKENS = 32


def convert(source, model):
    """Exports `source` and quantises what was exported; the folder appears under its name when it is complete."""
    exported, part = model + ".f32", model + ".part"
    ORTModelForSeq2SeqLM.from_pretrained(source, export=True, use_merged=False).save_pretrained(exported)
    with open("/proc/cpuinfo", encoding="utf8") as f:
        vnni = "avx512_vnni" in f.read()
    kind = AutoQuantizationConfig.avx512_vnni if vnni else AutoQuantizationConfig.avx2
    for name in sorted(os.listdir(exported)):
        if name.endswith(".onnx"):
            quantizer = ORTQuantizer.from_pretrained(exported, file_name=name)
            quantizer.quantize(save_dir=part, quantization_config=kind(is_static=False, per_channel=False), file_suffix="")
    for name in os.listdir(exported):
        if name.endswith(".json") and not os.path.exists(os.path.join(part, name)):
            shutil.copy(os.path.join(exported, name), part)
    shutil.rmtree(exported)
    os.rename(part, model)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("source", "model", "spm", "data"):
        p.add_argument(name)
    for name, value in (("samples", 64), ("batch", 16), ("beams", 1), ("threads", 2)):
        p.add_argument(f"--{name}", type=int, default=value)
    a = p.parse_args()
    if not os.path.exists(a.model):
        convert(a.source, a.model)
    torch.set_num_threads(a.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = a.threads
    model = ORTModelForSeq2SeqLM.from_pretrained(a.model, use_merged=False, session_options=options)
    pieces = sentencepiece.SentencePieceProcessor(a.spm)
    with open(a.data, encoding="utf8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f][:a.samples]
    sources = [pieces.encode(row[1])[:255] + [EOS] for row in rows]

    def run(sources):
        for batch in batches(sources, a.batch):
            longest = max(map(len, batch))
            ids = torch.tensor([x + [PAD] * (longest - len(x)) for x in batch])
            model.generate(input_ids=ids, attention_mask=(ids != PAD).long(), max_new_tokens=NEW_TOKENS,
                           min_new_tokens=NEW_TOKENS, num_beams=a.beams, do_sample=False)

    run(sources[:max(2, a.batch)])
    start = time.perf_counter()
    run(sources)
    seconds = time.perf_counter() - start
    print(f"{len(sources) / seconds:.2f} samples/s, {NEW_TOKENS * len(sources) / seconds:.0f} tokens/s, "
          f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
