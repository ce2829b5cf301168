#!/usr/bin/env bash
# Proof that training works on a real task: from random weights, a small model learns to tell good reviews from bad.
# The text goes in, 正面 or 负面 comes out. The vocabulary is cut to what the training texts use, the model is trained on
# 16,883 reviews, and its accuracy on 2,111 others must be at least 0.80.
#
# usage: examples/learn_sentiment.sh [WORK_DIR]        (default: learn-sentiment-run in the current folder)
#
# Environment: DATA (folder of the real data, default ../shared/data beside the repository), T5KIT (the binary; default:
# this checkout, built), EPOCHS (default 8), SEED (default 1), THREADS (default: all cores).
set -euo pipefail

source "$(dirname "$0")/learn.sh"
seed=${SEED:-1}
work=${1:-learn-sentiment-run}
begin sentiment/train.tsv
for part in train valid; do
    awk -F '\t' '{ print $1 "\t" ($2 == 1 ? "正面" : "负面") }' "$data/sentiment/$part.tsv" > "$work/$part.tsv"
done
cut -f 1 "$work/valid.tsv" > "$work/sources.txt"
cut -f 2 "$work/valid.tsv" > "$work/references.txt"
tr '\t' '\n' < "$work/train.tsv" > "$work/corpus.txt"
"$T5KIT" count --tokenizer "$tokenizer" --threads "$threads" --force --output "$work/counts.tsv" "$work/corpus.txt"
"$T5KIT" trim --tokenizer "$tokenizer" --counts "$work/counts.tsv" --min-count 5 --force --output "$work/tokenizer"
rows=$(grep -o '"rows_after": *[0-9]*' "$work/tokenizer/trim_report.json" | grep -o '[0-9]*$')
config "$rows" '"d_model": 128, "d_kv": 32, "d_ff": 256, "num_layers": 2, "num_decoder_layers": 1, "dropout_rate": 0.3'
"$T5KIT" finetune --model "$work/config.json" --tokenizer "$work/tokenizer" --init-seed "$seed" --seed "$seed" \
    --train "$work/train.tsv" --valid "$work/valid.tsv" --max-source-length 128 --max-target-length 8 \
    --batch-size 32 --learning-rate 7e-4 --dropout 0.3 --epochs "${EPOCHS:-8}" --metric accuracy \
    --early-stopping-patience 3 --threads "$threads" --output "$work/run"
judge accuracy 0.80 128 8 --metric accuracy,macro-f1
echo "accuracy of at least 0.80: the reviews are told apart"
