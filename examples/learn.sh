# What the scripts here share, to be read by them with their own arguments.
case "${1:-}" in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
data=${DATA:-$root/../shared/data}
threads=${THREADS:-$(nproc)}
name=$(basename "$0")

# begin FILE PAIRS: builds the program and makes the work folder. `real` says whether FILE of the data is there; where it
# is not, and TABLE names none either, the demo makes so many pairs in $work/demo.
begin() {
    [ -e "$data/$1" ] && real=true || real=false
    if [ -n "${DATA:-}" ] && ! $real; then
        echo "$name: $data/$1 does not exist: mend DATA, or leave it out" >&2
        exit 2
    fi
    if [ -n "${TABLE:-}" ] && [ ! -e "$TABLE" ]; then
        echo "$name: $TABLE does not exist: TABLE is a file of your own, source, tab, target on each line" >&2
        exit 2
    fi
    if [ -z "${T5KIT:-}" ]; then
        cargo build --release --manifest-path "$root/Cargo.toml" -p t5kit-cli
        T5KIT=${CARGO_TARGET_DIR:-$root/target}/release/t5kit
    fi
    mkdir -p "$work"
    rm -rf "$work/run"
    if ! $real && [ ! -e "$work/demo/run" ]; then
        echo "$name: $data/$1 is not there: the demo's news sentences and headlines take its place" >&2
        rm -rf "$work/demo"
        "$T5KIT" demo --output "$work/demo" --pairs "$2" --epochs 1 --threads "$threads" > "$work/demo.log" 2>&1 ||
            { tail -n 5 "$work/demo.log" >&2; exit 1; }
    fi
}

# pairs COLUMNS FILE: source, tab, target of each example: of TABLE, of these columns of FILE of the data, or the demo's.
pairs() {
    if [ -n "${TABLE:-}" ]; then
        cat "$TABLE"
    elif $real; then
        cut -f "$1" "$data/$2"
    else
        cat "$work/demo/train.tsv"
    fi
}

# cut_tokenizer FROM CORPUS LEAST: cuts a tokenizer to the pieces that occur so often in a corpus, as $work/tokenizer, and
# sets `rows` to how many rows a model with it has.
cut_tokenizer() {
    "$T5KIT" count --tokenizer "$1" --threads "$threads" --force --output "$work/counts.tsv" "$2"
    "$T5KIT" trim --tokenizer "$1" --counts "$work/counts.tsv" --min-count "$3" --force --output "$work/tokenizer"
    rows=$(grep -o '"rows_after": *[0-9]*' "$work/tokenizer/trim_report.json" | grep -o '[0-9]*$')
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
        { echo "$name: FAILED: $metric is below $least" >&2; exit 1; }
}
