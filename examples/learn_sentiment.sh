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

case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$root/../shared/data}
threads=${THREADS:-$(nproc)}
seed=${SEED:-1}
work=${1:-learn-sentiment-run}
[ -e "$data/sentiment/train.tsv" ] || { echo "learn_sentiment.sh: $data/sentiment/train.tsv does not exist: set DATA" >&2; exit 2; }
if [ -z "${T5KIT:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml" -p t5kit-cli
    T5KIT=${CARGO_TARGET_DIR:-$root/target}/release/t5kit
fi
mkdir -p "$work"
for part in train valid; do
    awk -F '\t' '{ print $1 "\t" ($2 == 1 ? "正面" : "负面") }' "$data/sentiment/$part.tsv" > "$work/$part.tsv"
done
tr '\t' '\n' < "$work/train.tsv" > "$work/corpus.txt"
"$T5KIT" count --tokenizer "$data/tokenizer/sentencepiece_cn.model" --threads "$threads" --force \
    --output "$work/counts.tsv" "$work/corpus.txt"
"$T5KIT" trim --tokenizer "$data/tokenizer/sentencepiece_cn.model" --counts "$work/counts.tsv" --min-count 5 --force \
    --output "$work/tokenizer"
rows=$(grep -o '"rows_after": *[0-9]*' "$work/tokenizer/trim_report.json" | grep -o '[0-9]*$')
cat > "$work/config.json" <<JSON
{
  "architectures": ["MT5ForConditionalGeneration"],
  "model_type": "mt5",
  "d_model": 128,
  "d_kv": 32,
  "d_ff": 256,
  "num_heads": 4,
  "num_layers": 2,
  "num_decoder_layers": 1,
  "vocab_size": $rows,
  "feed_forward_proj": "gated-gelu",
  "is_encoder_decoder": true,
  "layer_norm_epsilon": 1e-6,
  "relative_attention_num_buckets": 32,
  "relative_attention_max_distance": 128,
  "tie_word_embeddings": false,
  "dropout_rate": 0.3,
  "pad_token_id": 0,
  "eos_token_id": 1,
  "decoder_start_token_id": 0
}
JSON
rm -rf "$work/run"
"$T5KIT" finetune --model "$work/config.json" --tokenizer "$work/tokenizer" --init-seed "$seed" --seed "$seed" \
    --train "$work/train.tsv" --valid "$work/valid.tsv" --max-source-length 128 --max-target-length 8 \
    --batch-size 32 --learning-rate 7e-4 --dropout 0.3 --epochs "${EPOCHS:-8}" --metric accuracy \
    --early-stopping-patience 3 --threads "$threads" --output "$work/run"
cut -f 1 "$work/valid.tsv" > "$work/sources.txt"
cut -f 2 "$work/valid.tsv" > "$work/references.txt"
"$T5KIT" generate --model "$work/run" --max-source-length 128 --max-new-tokens 8 --threads "$threads" \
    < "$work/sources.txt" > "$work/predictions.txt"
"$T5KIT" metrics --predictions "$work/predictions.txt" --references "$work/references.txt" --metric accuracy,macro-f1 |
    tee "$work/metrics.json"
awk -F '"accuracy": *' '{ split($2, a, /[,}]/); exit !(a[1] >= 0.80) }' "$work/metrics.json" ||
    { echo "learn_sentiment.sh: FAILED: the accuracy is below 0.80" >&2; exit 1; }
echo "accuracy of at least 0.80: the reviews are told apart"
