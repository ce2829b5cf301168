#!/usr/bin/env bash
# Proof that training works end to end: from random weights, a small model learns 64 titles by heart.
# It is trained on 64 pairs of a text and its title, then writes the titles from the texts by greedy generation;
# BLEU against the true titles must be at least 0.9.
#
# usage: examples/learn_csl.sh [WORK_DIR]        (default: learn-csl-run in the current folder)
#
# The pairs are paper abstracts and titles (csl/title.tsv in DATA); where they are not there, the demo's news sentences and
# headlines, which it makes.
#
# Environment: DATA (folder of the real data, default ../shared/data beside the repository), TABLE (a file of your own
# instead: source, tab, target on each line; TOKENIZER goes with it: a file, a folder or a name on the hub), T5KIT (the
# binary; default: this checkout, built), EPOCHS (default 25, 60 without the real data), THREADS (default: all cores).
set -euo pipefail

source "$(dirname "$0")/learn.sh"
work=${1:-learn-csl-run}
begin csl/title.tsv 400
pairs 2,3 csl/title.tsv | head -n 64 > "$work/train.tsv" || [ $? -eq 141 ]
cut -f 1 "$work/train.tsv" > "$work/sources.txt"
cut -f 2 "$work/train.tsv" > "$work/references.txt"
if $real && [ -z "${TABLE:-}${TOKENIZER:-}" ]; then
    rows=32704 tokenizer=$data/tokenizer/sentencepiece_cn.model epochs=25
else
    tr '\t' '\n' < "$work/train.tsv" > "$work/corpus.txt"
    cut_tokenizer "${TOKENIZER:-$work/demo/full}" "$work/corpus.txt" 1
    tokenizer=$work/tokenizer epochs=60
fi
config "$rows" '"d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 4, "num_decoder_layers": 4, "dropout_rate": 0.0'
"$T5KIT" finetune --model "$work/config.json" --tokenizer "$tokenizer" --init-seed 1 --seed 1 \
    --train "$work/train.tsv" --source 1 --target 2 --no-header --max-source-length 256 --max-target-length 64 \
    --batch-size 16 --learning-rate 1e-3 --dropout 0 --epochs "${EPOCHS:-$epochs}" --threads "$threads" --output "$work/run"
judge bleu 0.9 256 64 --preset csl
echo "BLEU of at least 0.9: the 64 titles are learned"
