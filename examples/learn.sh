# What learn_csl.sh and learn_sentiment.sh share, to be read by them with their own arguments.
case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$root/../shared/data}
threads=${THREADS:-$(nproc)}
tokenizer=$data/tokenizer/sentencepiece_cn.model

# begin FILE: FILE of the data must be there; builds the program and makes the work folder.
begin() {
    [ -e "$data/$1" ] || { echo "$(basename "$0"): $data/$1 does not exist: set DATA" >&2; exit 2; }
    if [ -z "${T5KIT:-}" ]; then
        cargo build --release --manifest-path "$root/Cargo.toml" -p t5kit-cli
        T5KIT=${CARGO_TARGET_DIR:-$root/target}/release/t5kit
    fi
    mkdir -p "$work"
    rm -rf "$work/run"
}

# config ROWS FIELD…: config.json of an mT5 of so many rows, with these fields.
config() {
    cat > "$work/config.json" <<JSON
{
  "architectures": ["MT5ForConditionalGeneration"],
  "model_type": "mt5",
  "vocab_size": $1,
  $2,
  "num_heads": 4,
  "feed_forward_proj": "gated-gelu",
  "is_encoder_decoder": true,
  "layer_norm_epsilon": 1e-6,
  "relative_attention_num_buckets": 32,
  "relative_attention_max_distance": 128,
  "tie_word_embeddings": false,
  "pad_token_id": 0,
  "eos_token_id": 1,
  "decoder_start_token_id": 0
}
JSON
}

# judge METRIC LEAST SOURCE_LENGTH TARGET_LENGTH FLAG…: generates from sources.txt of the work folder, prints what
# t5kit metrics with these flags makes of it and references.txt, and fails where METRIC is below LEAST.
judge() {
    local metric=$1 least=$2 sources=$3 targets=$4
    "$T5KIT" generate --model "$work/run" --max-source-length "$sources" --max-new-tokens "$targets" \
        --threads "$threads" < "$work/sources.txt" > "$work/predictions.txt"
    "$T5KIT" metrics --predictions "$work/predictions.txt" --references "$work/references.txt" "${@:5}" |
        tee "$work/metrics.json"
    awk -F "\"$metric\": *" -v least="$least" '{ split($2, a, /[,}]/); exit !(a[1] >= least) }' "$work/metrics.json" ||
        { echo "$(basename "$0"): FAILED: $metric is below $least" >&2; exit 1; }
}
