"""What a user of CTranslate2, OpenVINO or ONNX Runtime runs in int8 beside generating: sources into one new token each, so
that the encoder is what takes the time, and the log-probabilities of given targets.

usage: int8_peer.py PEER encode|score MODEL SPM CSL_TSV [--samples N] [--batch N] [--inter N] [--intra N]

PEER: ctranslate2, openvino, onnxruntime. MODEL is a folder that ct2-transformers-converter, ov_generate.py or ort_peer.py has
made. Abstracts are cut at 256 tokens, titles at 32.
Loading is left out.
"""
import argparse
import resource
import time

import sentencepiece

EOS, PAD, START = 1, 0, 0


def batches(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def ctranslate2(a, sources, targets):
    import ctranslate2

    model = ctranslate2.Translator(a.model, device="cpu", inter_threads=a.inter, intra_threads=a.intra)
    tokens = a.pieces.id_to_piece
    sources, targets = ([[tokens(i) for i in ids] for ids in side] for side in (sources, targets))

    def run(count):
        if a.what == "score":
            # What ends a target is added and scored too.
            model.score_batch(sources[:count], [t[:-1] for t in targets[:count]], max_batch_size=a.batch)
        else:
            model.translate_batch(sources[:count], max_batch_size=a.batch, beam_size=1, max_decoding_length=1,
                                  min_decoding_length=1)
    return run


def openvino(a, sources, targets):
    from optimum.intel import OVModelForSeq2SeqLM

    config = {"INFERENCE_NUM_THREADS": a.intra, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY",
              "NUM_STREAMS": 1}
    return as_in_transformers(OVModelForSeq2SeqLM.from_pretrained(a.model, ov_config=config), a, sources, targets)


def onnxruntime(a, sources, targets):
    from onnxruntime import SessionOptions
    from optimum.onnxruntime import ORTModelForSeq2SeqLM

    options = SessionOptions()
    options.intra_op_num_threads = a.intra
    model = ORTModelForSeq2SeqLM.from_pretrained(a.model, use_merged=False, session_options=options)
    return as_in_transformers(model, a, sources, targets)


def as_in_transformers(model, a, sources, targets):
    import torch

    torch.set_num_threads(a.intra)

    def padded(rows, value):
        longest = max(map(len, rows))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    def run(count):
        for pairs in batches(list(zip(sources[:count], targets[:count])), a.batch):
            ids = padded([s for s, _ in pairs], PAD)
            mask = (torch.arange(ids.shape[1]) < torch.tensor([[len(s)] for s, _ in pairs])).long()
            if a.what == "encode":
                model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=1, min_new_tokens=1, do_sample=False)
                continue
            wanted = padded([t for _, t in pairs], PAD)
            fed = torch.cat([torch.full((len(pairs), 1), START), wanted[:, :-1]], dim=1)
            logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=fed).logits
            logits.log_softmax(-1).gather(-1, wanted.unsqueeze(-1)).squeeze(-1)
    return run


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("peer", choices=["ctranslate2", "openvino", "onnxruntime"])
    p.add_argument("what", choices=["encode", "score"])
    for name in ("model", "spm", "data"):
        p.add_argument(name)
    for name, value in (("samples", 64), ("batch", 16), ("inter", 1), ("intra", 2)):
        p.add_argument(f"--{name}", type=int, default=value)
    a = p.parse_args()
    a.pieces = sentencepiece.SentencePieceProcessor(a.spm)
    with open(a.data, encoding="utf8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f][:a.samples]
    sources = [a.pieces.encode(row[1])[:255] + [EOS] for row in rows]
    targets = [a.pieces.encode(row[2])[:31] + [EOS] for row in rows]
    run = globals()[a.peer](a, sources, targets)
    run(4)
    start = time.perf_counter()
    run(len(sources))
    seconds = time.perf_counter() - start
    print(f"{len(sources) / seconds:.2f} samples/s, {sum(map(len, sources)) / seconds:.0f} tokens/s, "
          f"peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


if __name__ == "__main__":
    main()
