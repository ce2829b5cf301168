#!/usr/bin/env bash
# From a full checkpoint to metrics on Chinese titles, every step checked:
#
#   1. cut a tokenizer and a checkpoint to the pieces that are frequent enough
#   2. compare the pieces and the list of kept rows with the published ones
#   3. load the cut checkpoint in transformers: same logits as the uncut one; same log-probabilities as `t5kit score`
#   4. fine-tune on texts → titles, with falling loss
#   5. generate titles for texts held out, and score them
#
# usage: examples/csl.sh [WORK_DIR]        (default: csl-run in the current folder; about 4 GB with the real data)
#
# With the real data it is mT5's 250,100 pieces and a checkpoint of mT5-small's shape, and paper abstracts and titles.
# Where they are not there (any clone), the demo makes a small tokenizer and model, news sentences and headlines, and step 2
# is left out; what needs Python is left out where PYTHON is not there, and said. The checkpoints have random weights: so
# has the result little sense, and every number is a check.
#
# Environment: DATA (folder of the real data, default ../shared/data beside the repository), PEERS (folder of the peers'
# scripts), TABLE (a file of your own instead of the texts: source, tab, target on each line), PYTHON (interpreter with
# torch, transformers 4.57, sentencepiece, and with the real data rouge, nltk; default ~/peers/bin/python), T5KIT (the
# binary; default: this checkout, built), STEPS (default 60), THREADS (default: all cores).
set -euo pipefail

source "$(dirname "$0")/learn.sh"
peers=${PEERS:-$root/../shared/peers}
python=${PYTHON:-$HOME/peers/bin/python}
steps=${STEPS:-60}
work=${1:-csl-run}
begin tokenizer/mt5_full_reconstructed.model 1000
command -v "$python" > /dev/null && has_python=true || has_python=false
if $real && ! { $has_python && [ -e "$peers" ]; }; then
    echo "$name: with the real data PYTHON and PEERS must be there (see --help)" >&2
    exit 2
fi
check() {
    if $has_python; then
        "$python" -W ignore "$root/examples/csl_check.py" "$@"
    else
        echo "not checked ($1): there is no $python; PYTHON names one"
    fi
}
say() { printf '\n== %s\n' "$*"; }

if $real; then
    say "1. a checkpoint of mT5-small's shape, random weights, 250,112 rows; cut at 1,000 occurrences"
    full=$work/full
    [ -e "$full/spiece.model" ] ||
        "$python" "$peers/make_model.py" small-full "$full" --spm "$data/tokenizer/mt5_full_reconstructed.model"
    counts=$data/tokenizer/mt5_token_counts_zh.json least=1000
else
    say "1. the demo's checkpoint, random weights; cut at 2 occurrences"
    full=$work/demo/full counts=$work/counts.tsv least=2
    "$T5KIT" count --tokenizer "$full" --threads "$threads" --force --output "$counts" "$work/demo/corpus.txt"
fi
rm -rf "$work/cut"
"$T5KIT" trim --tokenizer "$full/spiece.model" --counts "$counts" --min-count "$least" --model "$full" --output "$work/cut"
"$T5KIT" inspect --model "$work/cut"

if $real; then
    say "2. the published tokenizer and list of kept rows"
    check pieces "$work/cut" "$data/tokenizer/sentencepiece_cn.model" "$data/tokenizer/sentencepiece_cn_keep_tokens.json"
else
    say "2. left out: the published tokenizer is mT5's"
fi

say "3. the cut checkpoint in transformers, and log-probabilities"
pairs 2,3 csl/title.tsv > "$work/all.tsv"
head -n 32 "$work/all.tsv" > "$work/pairs.tsv"
check logits "$full" "$work/cut" "$work/pairs.tsv"
"$T5KIT" score --model "$work/cut" --input "$work/pairs.tsv" --no-header --max-source-length 256 --max-target-length 32 \
    --threads "$threads" > "$work/scores.tsv"
check scores "$work/cut" "$work/pairs.tsv" "$work/scores.tsv"

say "4. fine-tuning on all texts and titles but 100, $steps steps"
head -n -100 "$work/all.tsv" > "$work/train.tsv"
tail -n 100 "$work/all.tsv" > "$work/valid.tsv"
"$T5KIT" finetune --model "$work/cut" --train "$work/train.tsv" --valid "$work/valid.tsv" --source 1 --target 2 --no-header \
    --max-source-length 256 --max-target-length 32 --batch-size 16 --learning-rate 2e-4 --max-steps "$steps" --seed 1 \
    --threads "$threads" --output "$work/run"
check losses "$work/run/train_log.jsonl"

say "5. titles for the 100 texts held out"
cut -f 1 "$work/valid.tsv" > "$work/sources.txt"
cut -f 2 "$work/valid.tsv" > "$work/references.txt"
"$T5KIT" generate --model "$work/run" --punctuation keep --threads "$threads" < "$work/sources.txt" > "$work/predictions.txt"
"$T5KIT" metrics --predictions "$work/predictions.txt" --references "$work/references.txt" --preset csl --punctuation keep \
    > "$work/metrics.json"
cat "$work/metrics.json"
if [ -e "$peers/metrics_reference.py" ] && $has_python; then
    "$python" "$peers/metrics_reference.py" "$work/predictions.txt" "$work/references.txt" > "$work/metrics_reference.json"
    check metrics "$work/metrics.json" "$work/metrics_reference.json"
fi
paste "$work/predictions.txt" "$work/references.txt" | head -n 3 || true
say "all checks passed"
