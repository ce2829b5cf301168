#!/usr/bin/env bash
# Proof that training works end to end: from random weights, a small model learns 64 paper titles by heart.
# It is trained on 64 abstract–title pairs, then writes the titles from the abstracts by greedy generation;
# BLEU against the true titles must pass 0.9.
#
# usage: examples/learn_csl.sh [WORK_DIR]        (default: learn-csl-run in the current folder)
#
# Environment: DATA (folder of the real data, default ../shared/data beside the repository), T5KIT (the binary; default:
# this checkout, built), EPOCHS (default 25), THREADS (default: all cores).
set -euo pipefail

case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$root/../shared/data}
threads=${THREADS:-$(nproc)}
epochs=${EPOCHS:-25}
work=${1:-learn-csl-run}
[ -e "$data/csl/title.tsv" ] || { echo "learn_csl.sh: $data/csl/title.tsv does not exist: set DATA" >&2; exit 2; }
if [ -z "${T5KIT:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml" -p t5kit-cli
    T5KIT=${CARGO_TARGET_DIR:-$root/target}/release/t5kit
fi
mkdir -p "$work"
cat > "$work/config.json" <<'JSON'
{
  "architectures": ["MT5ForConditionalGeneration"],
  "model_type": "mt5",
  "d_model": 256,
  "d_kv": 64,
  "d_ff": 512,
  "num_heads": 4,
  "num_layers": 4,
  "num_decoder_layers": 4,
  "vocab_size": 32704,
  "feed_forward_proj": "gated-gelu",
  "is_encoder_decoder": true,
  "layer_norm_epsilon": 1e-6,
  "relative_attention_num_buckets": 32,
  "relative_attention_max_distance": 128,
  "tie_word_embeddings": false,
  "dropout_rate": 0.0,
  "pad_token_id": 0,
  "eos_token_id": 1,
  "decoder_start_token_id": 0
}
JSON
head -n 64 "$data/csl/title.tsv" > "$work/train.tsv"
cut -f 2 "$work/train.tsv" > "$work/sources.txt"
cut -f 3 "$work/train.tsv" > "$work/references.txt"
rm -rf "$work/run"
"$T5KIT" finetune --model "$work/config.json" --tokenizer "$data/tokenizer/sentencepiece_cn.model" --init-seed 1 \
    --train "$work/train.tsv" --source 2 --target 3 --max-source-length 256 --max-target-length 64 --batch-size 16 \
    --learning-rate 1e-3 --dropout 0 --epochs "$epochs" --seed 1 --threads "$threads" --output "$work/run"
"$T5KIT" generate --model "$work/run" --max-source-length 256 --max-new-tokens 64 --threads "$threads" \
    < "$work/sources.txt" > "$work/predictions.txt"
"$T5KIT" metrics --predictions "$work/predictions.txt" --references "$work/references.txt" --preset csl |
    tee "$work/metrics.json"
awk -F '"bleu": *' '{ split($2, a, /[,}]/); exit !(a[1] > 0.9) }' "$work/metrics.json" ||
    { echo "learn_csl.sh: FAILED: BLEU is not over 0.9" >&2; exit 1; }
echo "BLEU over 0.9: the 64 titles are learned"
