#!/usr/bin/env bash
# mT5 on Chinese paper titles, from a full multilingual checkpoint to metrics, every step checked:
#
#   1. cut the 250,100-piece tokenizer and a 250,112-row checkpoint to the pieces seen at least 1,000 times
#   2. compare the pieces and the list of kept rows with the published ones
#   3. load the cut checkpoint in transformers: same logits as the uncut one; same log-probabilities as `t5kit score`
#   4. fine-tune on abstracts → titles, with falling loss
#   5. generate titles for abstracts held out, and score them
#
# usage: examples/csl.sh [WORK_DIR]        (default: csl-run in the current folder; about 4 GB)
#
# Environment: DATA (folder of the real data, default ../shared/data beside the repository), PEERS (folder of the peers'
# scripts), PYTHON (interpreter with torch, transformers 4.57, sentencepiece, rouge, nltk; default ~/peers/bin/python),
# T5KIT (the binary; default: this checkout, built), STEPS (default 60), THREADS (default: all cores).
# The checkpoint has random weights (the real one is a download); so has the result little sense, and every number a check.
set -euo pipefail

case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$root/../shared/data}
peers=${PEERS:-$root/../shared/peers}
python=${PYTHON:-$HOME/peers/bin/python}
threads=${THREADS:-$(nproc)}
steps=${STEPS:-60}
work=${1:-csl-run}
for path in "$data" "$peers" "$python"; do
    [ -e "$path" ] || { echo "csl.sh: $path does not exist: set DATA, PEERS or PYTHON (see --help)" >&2; exit 2; }
done
if [ -z "${T5KIT:-}" ]; then
    cargo build --release --manifest-path "$root/Cargo.toml" -p t5kit-cli
    T5KIT=${CARGO_TARGET_DIR:-$root/target}/release/t5kit
fi
check() { "$python" -W ignore "$root/examples/csl_check.py" "$@"; }
mkdir -p "$work"
say() { printf '\n== %s\n' "$*"; }

say "1. a checkpoint of mT5-small's shape, random weights, 250,112 rows; cut at 1,000 occurrences"
[ -e "$work/full/spiece.model" ] ||
    "$python" "$peers/make_model.py" small-full "$work/full" --spm "$data/tokenizer/mt5_full_reconstructed.model"
rm -rf "$work/cut"
"$T5KIT" trim --tokenizer "$work/full/spiece.model" --counts "$data/tokenizer/mt5_token_counts_zh.json" \
    --min-count 1000 --model "$work/full" --output "$work/cut"
"$T5KIT" inspect --model "$work/cut"

say "2. the published tokenizer and list of kept rows"
check pieces "$work/cut" "$data/tokenizer/sentencepiece_cn.model" "$data/tokenizer/sentencepiece_cn_keep_tokens.json"

say "3. the cut checkpoint in transformers, and log-probabilities"
check logits "$work/full" "$work/cut" "$data/csl/title.tsv"
head -n 32 "$data/csl/title.tsv" | cut -f 2,3 > "$work/pairs.tsv"
"$T5KIT" score --model "$work/cut" --input "$work/pairs.tsv" --max-source-length 256 --max-target-length 32 \
    --threads "$threads" > "$work/scores.tsv"
check scores "$work/cut" "$work/pairs.tsv" "$work/scores.tsv"

say "4. fine-tuning on 900 abstracts and titles, $steps steps"
head -n 900 "$data/csl/title.tsv" > "$work/train.tsv"
tail -n +901 "$data/csl/title.tsv" > "$work/valid.tsv"
rm -rf "$work/run"
"$T5KIT" finetune --model "$work/cut" --train "$work/train.tsv" --valid "$work/valid.tsv" --source 2 --target 3 \
    --max-source-length 256 --max-target-length 32 --batch-size 16 --learning-rate 2e-4 --max-steps "$steps" --seed 1 \
    --threads "$threads" --output "$work/run"
check losses "$work/run/train_log.jsonl"

say "5. titles for the 100 abstracts held out"
cut -f 2 "$work/valid.tsv" > "$work/sources.txt"
cut -f 3 "$work/valid.tsv" > "$work/references.txt"
"$T5KIT" generate --model "$work/run" --punctuation keep --max-source-length 256 --max-new-tokens 32 --threads "$threads" \
    < "$work/sources.txt" > "$work/predictions.txt"
"$T5KIT" metrics --predictions "$work/predictions.txt" --references "$work/references.txt" --preset csl --punctuation keep \
    > "$work/metrics.json"
"$python" "$peers/metrics_reference.py" "$work/predictions.txt" "$work/references.txt" > "$work/metrics_reference.json"
check metrics "$work/metrics.json" "$work/metrics_reference.json"
paste "$work/predictions.txt" "$work/references.txt" | head -n 3
say "all checks passed"
