"""The commands of `tools/same_bytes`: stories of one or more commands, each story in an empty folder of its own.

`IN/` in an argument is the folder of inputs (`inputs.py`). Later commands of a story may use what earlier ones wrote.
"""
from dataclasses import dataclass, field


@dataclass
class Command:
    arguments: list
    stdin: str = None  # name of an input
    needs: str = None  # what stderr of the old program holds where this machine cannot do it: then it is left out


@dataclass
class Story:
    name: str
    commands: list = field(default_factory=list)


def t5kit(line, stdin=None, needs=None):
    return Command(line.split(), stdin, needs)


def generate(name, model, flags="", stdin="sources.txt"):
    return Story(f"generate {name}", [t5kit(f"generate --model IN/{model} {flags}", stdin)])


FAMILIES = ["t5", "t5-v1_1", "mt5", "umt5", "byt5", "bert4keras"]
SHORT = "--max-new-tokens 11"


def generation():
    for family in FAMILIES:
        yield generate(f"{family}, greedy", family, f"{SHORT} --json")
        yield generate(f"{family}, beams", family, f"{SHORT} --num-beams 4 --num-return-sequences 3 --json")
    for dtype in ("bf16", "f16"):
        yield generate(f"{dtype}, greedy", "mt5", f"{SHORT} --dtype {dtype} --json")
        yield generate(f"{dtype}, beams", "umt5", f"{SHORT} --dtype {dtype} --num-beams 3 --json")
        yield generate(f"{dtype}, wide", "wide", f"{SHORT} --dtype {dtype} --json")
    for batch in (1, 3, 16):
        yield generate(f"batches of {batch}", "wide", f"{SHORT} --num-beams 1 --batch-size {batch} --json")
        yield generate(f"beams, batches of {batch}", "t5", f"{SHORT} --num-beams 5 --batch-size {batch} --json")
    for threads in (1, 2, 4):
        yield generate(f"{threads} threads", "mt5", f"{SHORT} --threads {threads} --batch-size 5 --json")
        yield generate(f"beams, {threads} threads", "wide", f"{SHORT} --threads {threads} --batch-size 4 --json")
    beams = f"{SHORT} --num-beams 6"
    groups = f"{beams} --num-beam-groups"
    warpers = "--temperature 0.7 --top-k 40 --top-p 0.9 --min-p 0.01"
    more = {
        "the model's own defaults": ("wide", "--json"),
        "plain text": ("mt5", f"{SHORT}"),
        "long targets: keys and values": ("mt5", "--max-new-tokens 120 --json"),
        "long targets of beams": ("wide", "--max-new-tokens 90 --num-beams 3 --json"),
        "a target longer than the rest": ("mt5", "--max-new-tokens 24 --min-new-tokens 24 --json"),
        "batches by tokens": ("mt5", f"{SHORT} --batch-tokens 60 --json"),
        "groups of beams": ("mt5", f"{groups} 3 --diversity-penalty 0.7 --num-return-sequences 6 --json"),
        "groups of beams, text": ("t5-v1_1", f"{groups} 2 --diversity-penalty 1.5 --num-return-sequences 2"),
        "early stopping true": ("mt5", f"{beams} --early-stopping true --length-penalty 0.2 --json"),
        "early stopping never": ("mt5", f"{beams} --early-stopping never --length-penalty 2 --json"),
        "early stopping t5": ("t5", f"{beams} --early-stopping t5 --json"),
        "t5's length normalisation": ("t5-v1_1", f"{beams} --length-normalization t5 --length-penalty 0.6 --json"),
        "negative length penalty": ("umt5", f"{beams} --length-penalty -1 --json"),
        "sampling": ("mt5", f"{SHORT} --sample --seed 7 --json"),
        "sampling, several": ("mt5", f"{SHORT} --sample --num-return-sequences 4 --seed 3"),
        "sampling, warpers": ("wide", f"{SHORT} --num-beams 1 {warpers} --seed 5 --json"),
        "sampling, 1 thread, batches of 3": ("mt5", f"{SHORT} --sample --seed 7 --threads 1 --batch-size 3 --json"),
        "sampling in bf16": ("umt5", f"{SHORT} --top-p 0.8 --dtype bf16 --seed 11 --json"),
        "repetition penalty": ("t5", f"{SHORT} --repetition-penalty 1.7 --json"),
        "no repeated n-grams": ("t5", f"{SHORT} --no-repeat-ngram-size 2 --num-beams 3 --json"),
        "least tokens": ("t5-v1_1", f"{SHORT} --min-new-tokens 9 --num-beams 2 --json"),
        "bad words": ("mt5", f"{SHORT} --bad-words the --bad-words 学习 --bad-words 园 --json"),
        "bad words, beams": ("mt5", f"{SHORT} --bad-words 学习 --num-beams 4 --json"),
        "prefix": ("mt5", f"{SHORT} --prefix 今天 --json"),
        "prefix, beams": ("umt5", f"{SHORT} --prefix 天气很 --num-beams 4 --num-return-sequences 2 --json"),
        "prefix, sampling": ("wide", f"{SHORT} --prefix 模型 --num-beams 1 --top-k 9 --json"),
        "sentinels allowed": ("mt5", f"{SHORT} --allow-sentinels --json"),
        "sources cut": ("mt5", f"{SHORT} --max-source-length 6 --json"),
        "rows kept": ("mt5", f"{SHORT} --keep-tokens IN/keep.json --json"),
        "from a TensorFlow checkpoint": ("tensorflow-mt5", f"{SHORT} --tokenizer IN/few.model --json"),
    }
    for name, (model, flags) in more.items():
        yield generate(name, model, flags)
    for name, flags in {"greedy": "", "sampled": " --sample --seed 4", "in bf16": " --dtype bf16",
                        "with a prefix": " --prefix 今天"}.items():
        yield Story(f"generate stream, {name}",
                    [t5kit(f"generate --model IN/mt5 {SHORT} --stream{flags} 今天天气很好，我们一起去公园散步。")])
    yield Story("generate, arguments and an error",
                [t5kit(f"generate --model IN/mt5 {SHORT} 今天天气 learning 你好"),
                 t5kit(f"generate --model IN/mt5 {SHORT} --max-source-length 3 --on-long fail 今天天气很好我们学习"),
                 t5kit("generate --model IN/mt5 --num-beams 4 --num-beam-groups 3 今天")])


def scoring():
    for family in FAMILIES:
        yield Story(f"score {family}", [t5kit(f"score --model IN/{family} --input IN/train-pairs.tsv --tokens")])
    for name, flags in {"in bf16": "wide --dtype bf16", "in f16, batches of 3": "mt5 --dtype f16 --batch-size 3",
                        "1 thread": "wide --threads 1", "by tokens": "mt5 --batch-tokens 50 --tokens",
                        "cut": "mt5 --max-source-length 7 --max-target-length 3 --tokens"}.items():
        yield Story(f"score {name}", [t5kit(f"score --model IN/{flags} --input IN/train-pairs.tsv")])


def vocabulary():
    yield Story("count and trim", [
        t5kit("count --tokenizer IN/mt5.model --output counts.tsv IN/corpus.txt"),
        t5kit("count --tokenizer IN/mt5.model --output counts.json --threads 1 IN/corpus.txt IN/sources.txt"),
        t5kit("count --tokenizer IN/mt5.model --output columns.tsv --field source --field target "
              "IN/train.tsv IN/train.jsonl"),
        t5kit("count --tokenizer IN/mt5.model --output merged.tsv --merge counts.tsv columns.tsv"),
        t5kit("trim --tokenizer IN/mt5 --counts counts.tsv --min-count 2 --output tokenizer"),
        t5kit("trim --tokenizer IN/mt5 --model IN/mt5 --counts counts.tsv --min-count 2 --sample IN/sources.txt "
              "--output trimmed"),
        t5kit("trim --model IN/wide --counts counts.tsv --top 90 --output top"),
        t5kit("trim --model IN/bert4keras --counts merged.tsv --coverage 0.9995 --require ascii --output share"),
        t5kit("trim --model IN/umt5 --counts counts.json --min-count 1 --output all"),
        t5kit("trim --model IN/mt5 --keep-tokens trimmed/keep_tokens.json --output listed"),
        t5kit("inspect --model trimmed"),
        t5kit(f"generate --model trimmed {SHORT} --json", "sources.txt"),
        t5kit("tokenize --tokenizer trimmed --output json", "sources.txt"),
    ])
    yield Story("count from standard input", [t5kit("count --tokenizer IN/t5.model --output c.tsv -", "corpus.txt")])
    yield Story("count and trim a TensorFlow checkpoint", [
        t5kit("count --tokenizer IN/few.model --output c.tsv IN/corpus.txt"),
        t5kit("trim --model IN/tensorflow-mt5 --tokenizer IN/few.model --counts c.tsv --min-count 1 --output out"),
        t5kit(f"generate --model out {SHORT} --json", "sources.txt"),
    ])
    tokenizers = {"mt5": "mt5.model", "t5": "t5", "byt5": "byt5", "symbols": "symbols.model", "folding": "casefold.model",
                  "suffixes": "suffix.model", "tokenizer.json": "bytes.tokenizer.json",
                  "tokenizer.json with symbols": "symbols.tokenizer.json", "WordPiece": "vocab.txt"}
    for name, file in tokenizers.items():
        yield Story(f"tokenize {name}", [
            t5kit(f"tokenize --tokenizer IN/{file} --output ids", "lines.txt"),
            t5kit(f"tokenize --tokenizer IN/{file} --output json --eos", "lines.txt"),
            t5kit(f"tokenize --tokenizer IN/{file} --output pieces --threads 1", "corpus.txt"),
        ])
        yield Story(f"detokenize {name}", [
            t5kit(f"detokenize --tokenizer IN/{file} --output {output}", "ids.txt")
            for output in ("text", "json", "text --restore-punctuation")
        ])
    metrics = "metrics --predictions IN/train-predictions.txt --references IN/train-references.txt"
    yield Story("metrics", [
        t5kit(metrics),
        t5kit(f"{metrics} --metric bleu,chrf,rouge-l"),
        t5kit(f"{metrics} --metric exact-match,f1,accuracy,macro-f1"),
    ])


def checkpoints():
    for name, flags in {"as it is": "mt5", "to bf16": "mt5 --dtype bf16", "to f16": "t5 --dtype f16",
                        "in parts": "wide --max-shard-size 400KB", "rows kept": "mt5 --keep-tokens IN/keep.json",
                        "ByT5": "byt5", "bert4keras": "bert4keras --dtype bf16", "TensorFlow": "tensorflow-mt5",
                        "TensorFlow, T5 1.0": "tensorflow-t5-v1_0 --dtype bf16", "PyTorch": "stored-zip",
                        "PyTorch, legacy": "stored-legacy", "PyTorch, parts": "stored-shards-pytorch --dtype f16",
                        "safetensors, parts": "stored-shards-safetensors"}.items():
        yield Story(f"convert {name}", [t5kit(f"convert --model IN/{flags} --output out")])
    yield Story("convert and use", [
        t5kit("convert --model IN/wide --dtype bf16 --output half"),
        t5kit("inspect --model half"),
        t5kit(f"generate --model half {SHORT} --num-beams 1 --json", "sources.txt"),
        t5kit("score --model half --input IN/train-pairs.tsv --tokens"),
        t5kit("convert --model half --dtype f32 --output whole"),
    ])
    for family in FAMILIES + ["wide", "tensorflow-mt5", "stored-zip"]:
        yield Story(f"inspect {family}", [t5kit(f"inspect --model IN/{family}")])
    yield Story("inspect in bf16", [t5kit("inspect --model IN/mt5 --dtype bf16 --keep-tokens IN/keep.json")])


def training():
    data = ("--train IN/train.tsv --valid IN/valid.tsv --source source --target target --batch-size 8 --seed 3 "
            "--learning-rate 3e-3")
    yield Story("train AdamW", [
        t5kit(f"finetune --model IN/mt5 {data} --epochs 3 --metric rouge-l,bleu,exact-match --tensorboard --output run"),
        t5kit("inspect --model run"),
        t5kit(f"generate --model run {SHORT} --json", "sources.txt"),
    ])
    yield Story("train AdamW, resumed", [
        t5kit(f"finetune --model IN/mt5 {data} --epochs 3 --max-steps 7 --metric rouge-l --save-every 3 --output run"),
        t5kit(f"finetune --model IN/mt5 {data} --epochs 3 --metric rouge-l --save-every 3 --output run --resume"),
    ])
    yield Story("train LoRA", [
        t5kit(f"finetune --model IN/umt5 {data} --lora-rank 3 --lora-targets q,v,wo --epochs 2 --output run"),
        t5kit(f"finetune --model IN/umt5 {data} --lora-rank 3 --lora-targets q,v,wo --epochs 3 --output run --resume"),
        t5kit(f"generate --model IN/umt5 --adapter run {SHORT} --json", "sources.txt"),
        t5kit("convert --model IN/umt5 --adapter run --output merged"),
    ])
    schedule = "--schedule inverse_sqrt --warmup-steps 2 --gradient-accumulation 2 --label-smoothing 0.1 --z-loss 1e-4"
    validation = "--metric chrf --eval-num-beams 2 --eval-max-new-tokens 9 --eval-max-examples 5"
    adafactor = f"finetune --model IN/wide {data} --optimizer adafactor --recompute"
    yield Story("train adafactor, layers computed again", [
        t5kit(f"{adafactor} {schedule} --epochs 4 --max-steps 5 {validation} --output run"),
        t5kit(f"{adafactor} {schedule} --epochs 4 {validation} --output run --resume"),
    ])
    yield Story("train adafactor in bf16",
                [t5kit(f"{adafactor} --precision bf16 --epochs 2 --output run", needs="bf16")])
    for name, flags in {
        "T5 1.0, preset mt5": "t5 --preset mt5",
        "T5 1.1, lion, linear": "t5-v1_1 --optimizer lion --schedule linear --weight-decay 0.1",
        "ByT5, adam, one thread": "byt5 --optimizer adam --threads 1",
        "bert4keras, decoder alone": "bert4keras --train-parts decoder,softmax --schedule cosine --dropout 0",
        "lazy embeddings": "mt5 --lazy-embeddings",
        "data on disk, cut": "mt5 --data-cache disk --max-source-length 9 --max-target-length 4",
        "rows kept": "mt5 --keep-tokens IN/keep.json --source-prefix 摘要：",
    }.items():
        yield Story(f"train {name}", [t5kit(f"finetune {data} --epochs 1 --output run --model IN/{flags}")])
    tokens = data.replace("--batch-size 8", "--batch-tokens 300")
    yield Story("train batches by tokens",
                [t5kit(f"finetune --model IN/t5-v1_1 {tokens} --epochs 2 --optimizer adam --output run")])
    yield Story("train from a bare configuration", [
        t5kit(f"finetune --model IN/mt5/config.json --tokenizer IN/mt5.model {data} --init-seed 9 --epochs 1 --output run"),
    ])


STORIES = [*generation(), *scoring(), *vocabulary(), *checkpoints(), *training()]
