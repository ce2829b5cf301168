"""Makes crates/tasks/tests/golden/suites.json: examples of the suites' tasks, and scores, as the references make them.

usage: suite_goldens.py [--output FILE] [--packages FOLDER...]

Needs `tensorflow` 2.15 (its regular expressions are part of the reference), `scikit-learn`, `scipy`, `sacrebleu`,
`rouge_score`, and in a folder of `--packages` the unpacked wheel of `t5` 0.9.4, of which `t5/data/preprocessors.py`,
`t5/data/postprocessors.py` and `t5/evaluation/metrics.py` are loaded as they are; modules that they import and do not
use for this (seqio, babel, gin, editdistance) are replaced by what is needed of them.

The rows are made up here, in the formats that the data sets are published in. They are read by the rules of TFDS
(tensorflow_datasets/text/glue.py, super_glue.py, definite_pronoun_resolution.py, wikiann.py), written anew here, and put
through `t5`'s preprocessors. mT5's (google-research/multilingual-t5, preprocessors.py: xquad, wikiann, process_xnli) and
its span F1 come in no package; they are written anew from their definitions, with TensorFlow's expressions. The Chinese
tasks' words are this project's: an independent version of docs/suites.md's definitions.
"""
import argparse
import csv
import importlib.util
import io
import json
import os
import re
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULT = os.path.join(HERE, "..", "crates", "tasks", "tests", "golden", "suites.json")


def load_t5(packages):
    """`t5`'s preprocessors, postprocessors and metrics without the packages around them."""
    def map_over_dataset(fn=None, **_):
        if fn is None:
            return map_over_dataset
        return lambda dataset, *args, **kwargs: dataset.map(lambda x: fn(x, *args, **kwargs))

    seqio = types.ModuleType("seqio")
    seqio.map_over_dataset = map_over_dataset
    seqio.preprocessors = types.SimpleNamespace(rekey=None, tokenize=None)
    gin = types.ModuleType("gin")
    gin.REQUIRED = object()
    gin.configurable = lambda *a, **_: a[0] if a and callable(a[0]) else (lambda fn: fn)
    for module in (seqio, gin, types.ModuleType("babel"), types.ModuleType("editdistance")):
        sys.modules[module.__name__] = module

    class Anything:
        def __getattr__(self, _):
            return Anything()

    seqio.__dict__.update({name: Anything() for name in ("Feature", "Vocabulary", "SentencePieceVocabulary")})
    seqio.__getattr__ = lambda name: Anything()
    root = next(os.path.join(p, "t5") for p in packages if os.path.isdir(os.path.join(p, "t5", "data")))
    for name in ("t5", "t5.data", "t5.evaluation"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    out = []
    for name in ("data.preprocessors", "data.postprocessors", "evaluation.qa_utils", "evaluation.metrics"):
        path = os.path.join(root, *name.split(".")) + ".py"
        spec = importlib.util.spec_from_file_location("t5." + name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules["t5." + name] = module
        setattr(sys.modules["t5." + name.rsplit(".", 1)[0]], name.rsplit(".", 1)[1], module)
        spec.loader.exec_module(module)
        out.append(module)
    return out[0], out[1], out[3]


def through(preprocessor, rows):
    """The examples that a preprocessor of data sets makes of rows, which may differ in the lengths of their lists."""
    out = []
    for row in rows:
        for example in preprocessor(tf.data.Dataset.from_tensors(row)):
            out.append({key: value.numpy() if hasattr(value, "numpy") else value for key, value in example.items()})
    return out


def text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value


CASES = []


def case(suite, task, split, files, examples, language=None, skipped=0):
    CASES.append(dict(suite=suite, task=task, split=split, language=language, files=files, examples=examples, skipped=skipped))


def plain(example, idx=None):
    """An example with one right target; T5's <unk> stands for none."""
    target = text(example["targets"])
    idx = example.get("idx", idx)
    return dict(source=text(example["inputs"]), target=target, references=[] if target == "<unk>" else [target], id=str(idx))


# ---- GLUE -----------------------------------------------------------------------------------------------------------

def tsv(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def glue_rows(content, features, label_column, classes, cola_labelled=False):
    """tensorflow_datasets/text/glue.py, _generate_examples."""
    if cola_labelled:
        reader = [dict(sentence=r[3], is_acceptable=r[1]) for r in csv.reader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE)]
    else:
        reader = csv.DictReader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE)
    for n, row in enumerate(reader):
        example = {feature: row[column] for feature, column in features.items()}
        example["idx"] = n
        if label_column in row:
            label = row[label_column]
            if classes and label not in classes:
                label = int(label) if label else None
            elif classes:
                label = classes.index(label)
            else:
                label = None if label is None else tf.constant(float(label), tf.float32)
        else:
            label = -1
        example["label"] = label
        if any(value is None for value in example.values()):
            continue
        yield example


def glue(task, split, path, rows, features, label_column, classes, benchmark=None, **kwargs):
    content = tsv(rows)
    read = list(glue_rows(content, features, label_column, classes, **kwargs))
    made = through(lambda d: pre.glue(d, benchmark_name=benchmark or task.split("_")[0], label_names=classes), read)
    given = len(rows) - (0 if kwargs.get("cola_labelled") else 1)
    case("glue", task, split, {path: content}, [plain(e) for e in made], skipped=given - len(read))


def glue_cases():
    glue("cola", "train", "CoLA/train.tsv", [
        ["gj04", "1", "", "The sailors rode the breeze clear of the rocks."],
        ["gj04", "0", "*", "The more \"books I ask to whom he will give, the more he reads."],
        ["cj99", "1", "", "\"Quoted as a whole\""],
    ], dict(sentence="sentence"), "is_acceptable", ["unacceptable", "acceptable"], cola_labelled=True)
    glue("cola", "test", "CoLA/test.tsv", [["index", "sentence"], ["0", "Bill whistled past the house."], ["1", "Who's \"there\"?"]],
         dict(sentence="sentence"), "is_acceptable", ["unacceptable", "acceptable"])
    glue("sst2", "validation", "SST-2/dev.tsv", [["sentence", "label"], ["it 's a charming journey . ", "1"], ["\"bleak\" and desperate", "0"]],
         dict(sentence="sentence"), "label", ["negative", "positive"])
    glue("mrpc", "validation", "MRPC/dev.tsv", [
        ["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
        ["1", "1355540", "1355592", "He said the foodservice pie business doesn 't fit .", "\" The foodservice pie business does not fit , \" he said ."],
        ["0", "2029631", "2029565", "\"One quote", "no quote"],
    ], dict(sentence1="#1 String", sentence2="#2 String"), "Quality", ["not_equivalent", "equivalent"])
    glue("mrpc", "test", "MRPC/test.tsv", [
        ["index", "#1 ID", "#2 ID", "#1 String", "#2 String"], ["0", "1089874", "1089925", "PCCW 's chief", "Current chief"],
    ], dict(sentence1="#1 String", sentence2="#2 String"), "Quality", ["not_equivalent", "equivalent"])
    glue("qqp", "train", "QQP/train.tsv", [
        ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
        ["133273", "213221", "213222", "How is the life of a \"math student?", "Could you describe it?", "0"],
        ["1", "2", "3", "torn"],
        ["402555", "536040", "536041", "How do I control my emotions?", "How do you control your emotions?", "1"],
        ["5", "6", "7", "torn", "later"],
    ], dict(question1="question1", question2="question2"), "is_duplicate", ["not_duplicate", "duplicate"])
    stsb_header = ["index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score"]
    rows = [stsb_header] + [
        [str(i), "main-captions", "MSRvid", "2012test", str(i), "none", "none", f"A plane {i}.", "An \"air\" plane.", score]
        for i, score in enumerate(["5.000", "3.800", "3.3", "0.1", "2.5", "4.909", "0.000", "1.750", "2.70", "1.1", "0.3", "0.5"])
    ]
    content = tsv(rows)
    read = list(glue_rows(content, dict(sentence1="sentence1", sentence2="sentence2"), "score", None))
    case("glue", "stsb", "validation", {"STS-B/dev.tsv": content}, [plain(e) for e in through(pre.stsb, read)])
    nli = ["entailment", "neutral", "contradiction"]
    mnli_header = ["index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse",
                   "sentence2_parse", "sentence1", "sentence2", "label1"]
    pair = dict(hypothesis="sentence2", premise="sentence1")
    for task, name in (("mnli_matched", "dev_matched"), ("mnli_mismatched", "dev_mismatched")):
        glue(task, "validation", f"MNLI/{name}.tsv", [
            mnli_header + ["label2", "label3", "label4", "label5", "gold_label"],
            ["0", "63735", "63735n", "slate", "( x )", "( y )", "(ROOT x)", "(ROOT y)", "The new rights are nice enough", f"Everyone \"likes {name}", "neutral",
             "entailment", "neutral", "neutral", "neutral", "neutral"],
            ["1", "91383", "91383c", "government", "a", "b", "c", "d", "This site includes a list.", "The Government Executive", "contradiction",
             "contradiction", "contradiction", "contradiction", "contradiction", "contradiction"],
        ], pair, "gold_label", nli)
    glue("mnli_matched", "train", "MNLI/train.tsv", [
        mnli_header + ["gold_label"],
        ["0", "31193", "31193n", "government", "a", "b", "c", "d", "Conceptually cream skimming has two dimensions.", "Product and geography.", "neutral", "neutral"],
        ["1", "101457", "101457e", "telephone", "a", "b", "c", "d", "you know during the season", "You lose the things.", "entailment", "entailment"],
    ], pair, "gold_label", nli)
    glue("mnli_mismatched", "test", "MNLI/test_mismatched.tsv", [mnli_header[:10], ["0", "1", "2", "nineeleven", "a", "b", "c", "d", "Hierbas, ans seco", "is a name"]],
         pair, "gold_label", nli)
    glue("qnli", "validation", "QNLI/dev.tsv", [["index", "question", "sentence", "label"], ["0", "What came \"into force?", "As of that day, the constitution.", "entailment"],
                                             ["1", "What is it?", "The most important tributaries are the Ill.", "not_entailment"]],
         dict(question="question", sentence="sentence"), "label", ["entailment", "not_entailment"])
    glue("rte", "train", "RTE/train.tsv", [["index", "sentence1", "sentence2", "label"], ["0", "No Weapons Found Yet.", "Weapons Found.", "not_entailment"],
                                           ["1", "A place of sorrow, after he died.", "\"He died.\"", "entailment"]],
         dict(sentence1="sentence1", sentence2="sentence2"), "label", ["entailment", "not_entailment"])
    glue("ax", "test", "diagnostic/diagnostic.tsv", [["index", "sentence1", "sentence2"], ["0", "The cat sat on the mat.", "The cat did not sit on the mat."]],
         pair, "", nli, benchmark="mnli")
    wnli = [["index", "sentence1", "sentence2", "label"]] + [[str(i), *row] for i, row in enumerate([
        ["The drain is clogged with hair. It has to be cleaned.", "The hair has to be cleaned.", "0"],
        ["Jane knocked on Susan's door but she did not answer.", "Susan did not answer.", "1"],
        ["Beth didn't get angry with Sally, who had cut her off, because she stopped and counted to ten.", "Sally stopped and counted to ten.", "0"],
        ["The foxes are getting in at night and attacking the chickens. I shall have to guard them.", "I shall have to guard the chickens.", "1"],
        ["The boy told his sister that the toy was his.", "The toy was the boy's.", "1"],
        ["I stuck a pin through a carrot. When I pulled the pin out, it had a hole.", "The carrot had a hole.", "1"],
        ["Everyone really loved the oatmeal cookies; only a few people liked the chocolate chip cookies. Next time, we should make more of them.",
         "We should make more of the chocolate chip cookies.", "0"],
    ])]
    content = tsv(wnli)
    classes = ["not_entailment", "entailment"]
    read = list(glue_rows(content, dict(sentence1="sentence1", sentence2="sentence2"), "label", classes))
    made = through(lambda d: pre.glue(d, benchmark_name="wnli", label_names=classes), read)
    case("glue", "wnli", "validation", {"WNLI/dev.tsv": content}, [plain(e) for e in made])
    made = through(pre.wnli_simple, read)
    case("glue", "wnli_simple", "validation", {"WNLI/dev.tsv": content}, [dict(plain(e), correct=bool(e["label"])) for e in made])


# ---- SuperGLUE ------------------------------------------------------------------------------------------------------

def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(rows))


def cast(label):
    return label if isinstance(label, str) else ("True" if label else "False") if isinstance(label, bool) else str(label)


def superglue(task, split, path, rows, features, classes=("False", "True"), benchmark=None, order=None):
    """tensorflow_datasets/text/super_glue.py, _generate_examples."""
    read = []
    for row in rows:
        example = {feature: row[column] for feature, column in features.items()}
        example["idx"] = row["idx"]
        label = row.get("label")
        if label is not None and task == "copa":
            label = "choice2" if label else "choice1"
        example["label"] = -1 if label is None else list(classes).index(cast(label))
        read.append(example)
    made = through(lambda d: pre.glue(d, benchmark_name=benchmark or task, label_names=classes, feature_names=order), read)
    case("superglue", task, split, {path: jsonl(rows)}, [plain(e) for e in made])


def same(*names):
    return {name: name for name in names}


def superglue_cases():
    superglue("boolq", "validation", "BoolQ/val.jsonl", [
        dict(question="does ethanol take more energy make", passage="Ethanol fuel -- All biomass \"goes\" through this.", idx=0, label=False),
        dict(question="is the café open — ever", passage="Yes.", idx=1, label=True),
    ], same("question", "passage"))
    superglue("boolq", "test", "BoolQ/test.jsonl", [dict(question="is it", passage="It is.", idx=0)], same("question", "passage"))
    superglue("cb", "train", "CB/train.jsonl", [
        dict(premise="It was a complex language.", hypothesis="the language was peeled down", label="entailment", idx=0),
        dict(premise="A: Yeah.\nB: and, uh,", hypothesis="they would", label="neutral", idx=1),
        dict(premise="No.", hypothesis="Yes.", label="contradiction", idx=2),
    ], same("premise", "hypothesis"), ["entailment", "contradiction", "neutral"])
    superglue("copa", "validation", "COPA/val.jsonl", [
        dict(premise="The man turned on the faucet.", choice1="The toilet filled.", choice2="Water flowed.", question="effect", label=1, idx=0),
        dict(premise="My body cast a shadow.", choice1="The sun was rising.", choice2="The grass was cut.", question="cause", label=0, idx=1),
    ], same("premise", "choice1", "choice2", "question"), ["choice1", "choice2"])
    superglue("rte", "validation", "RTE/val.jsonl", [dict(premise="Dana Reeve has died.", hypothesis="She had an accident.", label="not_entailment", idx=0)],
              same("premise", "hypothesis"), ["entailment", "not_entailment"])
    superglue("wic", "train", "WiC/train.jsonl", [
        dict(word="place", sentence1="Do you want to come over to my place later?", sentence2="A political system with no place.", idx=0, label=False,
             start1=31, start2=27, end1=36, end2=32, version=1.1),
        dict(word="hold", sentence1="The general ordered to hold.", sentence2="Hold the taxi.", idx=1, label=True, start1=0, start2=0, end1=1, end2=1, version=1.1),
    ], same("sentence1", "sentence2", "word"), order=("sentence1", "sentence2", "word"))
    superglue("axb", "test", "AX-b/AX-b.jsonl", [dict(sentence1="The cat sat.", sentence2="The cat did not sit.", idx=0, label="not_entailment", logic="Negation")],
              dict(premise="sentence1", hypothesis="sentence2"), ["entailment", "not_entailment"], benchmark="rte")
    superglue("axg", "test", "AX-g/AX-g.jsonl", [dict(premise="The farmer met with the inspector.", hypothesis="He met.", idx=0, label="entailment", pair_id=1)],
              same("premise", "hypothesis"), ["entailment", "not_entailment"], benchmark="rte")

    rows = [dict(idx=3, version=1.1, passage=dict(
        text="<b>Sent 1: </b>While this <br>process moved along, <b>Sent 2: </b>diplomacy & more.",
        questions=[
            dict(idx=5, question="What did the <b>high-level</b> effort do?", answers=[
                dict(idx=10, text="Persuade Pakistan", label=1), dict(idx=11, text="Children, Gerd<br>", label=0)]),
            dict(idx=6, question="Who?", answers=[dict(idx=12, text="“Nobody”", label=0)]),
        ]))]
    for split, path in (("validation", "MultiRC/val.jsonl"), ("test", "MultiRC/test.jsonl")):
        read = []
        given = json.loads(json.dumps(rows))
        for row in given:
            for question in row["passage"]["questions"]:
                for answer in question["answers"]:
                    if split == "test":
                        del answer["label"]
                    label = answer.get("label")
                    read.append(dict(paragraph=row["passage"]["text"], question=question["question"], answer=answer["text"],
                                     label=-1 if label is None else int(bool(label)),
                                     idx=dict(paragraph=row["idx"], question=question["idx"], answer=answer["idx"])))
        made = through(lambda d: pre.glue(d, benchmark_name="multirc", label_names=["False", "True"], feature_names=("question", "answer", "paragraph")), read)
        examples = [dict(plain(e, "-".join(str(e["idx/" + k]) for k in ("paragraph", "question", "answer"))), group=str(e["idx/question"])) for e in made]
        case("superglue", "multirc", split, {path: jsonl(given)}, examples)

    passage = ("Paris (CNN) -- Zoë met \"Ann Lee\" in Lyon.\n@highlight\nAnn Lee left\n@highlight\nZoë stayed!\n@highlight\nSaid 'Lyon'\n@highlight\nEnd")
    spans = ["Zoë", "Ann Lee", "Paris", "Lyon", "Ann Lee"]
    entities = []
    for span in spans:
        start = passage.index(span)
        entities.append(dict(start=start, end=start + len(span) - 1))
    rows = [dict(idx=0, source="CNN", passage=dict(text=passage, entities=entities), qas=[
        dict(idx=0, query="@placeholder went home", answers=[dict(start=1, end=2, text="Zoë"), dict(start=3, end=4, text="Ann Lee"), dict(start=9, end=9, text="Zoë")]),
        dict(idx=1, query="They were in @placeholder", answers=[dict(start=0, end=4, text="Paris")]),
    ])]
    for split, path in (("train", "ReCoRD/train.jsonl"), ("validation", "ReCoRD/val.jsonl"), ("test", "ReCoRD/test.jsonl")):
        given = json.loads(json.dumps(rows))
        read = []
        for row in given:
            for qa in row["qas"]:
                if split == "test":
                    del qa["answers"]
                answers = sorted({a["text"] for a in qa.get("answers", [])})
                entity = {row["passage"]["text"][e["start"]:e["end"] + 1] for e in row["passage"]["entities"]}
                read.append(dict(passage=row["passage"]["text"], query=qa["query"], entities=sorted(entity), answers=tf.constant(answers, tf.string),
                                 idx=dict(passage=row["idx"], query=qa["idx"])))
        made = through(pre.record, read)
        examples, seen = [], set()
        for e in made:
            group = f"{e['idx/passage']}-{e['idx/query']}"
            # metrics.deduplicate_metric scores the first of a group.
            if split != "train" and group in seen:
                continue
            seen.add(group)
            examples.append(dict(source=text(e["inputs"]), target=text(e["targets"]), references=[text(a) for a in e["answers"]], id=group, group=group))
        case("superglue", "record", split, {path: jsonl(given)}, examples)

    rows = [
        dict(idx=0, label=True, text="Mark told Pete many lies about himself, which Pete included in his book. He should have been more skeptical.",
             target=dict(span1_text="Pete", span1_index=2, span2_text="He", span2_index=13)),
        dict(idx=1, label=False, text="The mothers of Arthur and Celeste have come to the town to fetch them. They are very happy.",
             target=dict(span1_text="mothers", span1_index=1, span2_text="them.", span2_index=13)),
        dict(idx=2, label=True, text="My friends have lost the tickets , but that is fine with me because they were cheap .",
             target=dict(span1_text="my friends.", span1_index=0, span2_text="they", span2_index=14)),
        dict(idx=3, label=True, text="We went to the lake\nhouse because it was hot , said Ann .",
             target=dict(span1_text="The lake", span1_index=3, span2_text="it", span2_index=6)),
        dict(idx=4, label=True, text='The boy continued to whip the pony , and eventually the pony threw him over. John laughed out quite loud. "Good for him," he said. ',
             target=dict(span1_text="The boy", span1_index=0, span2_text="him", span2_index=23)),
        dict(idx=5, label=False, text="Always before, Larry had helped Dad with his work. But he could not help him now, for Dad said that his boss would not want anyone.",
             target=dict(span1_text="Larry", span1_index=2, span2_text="him", span2_index=14)),
    ]
    for split, path in (("train", "WSC/train.jsonl"), ("validation", "WSC/val.jsonl"), ("test", "WSC/test.jsonl")):
        given = json.loads(json.dumps(rows))
        if split == "test":
            for row in given:
                del row["label"]
        read = []
        for row in given:
            example = fixed(dict(row["target"], text=row["text"]))
            example["idx"] = row["idx"]
            example["label"] = -1 if "label" not in row else int(row["label"])
            read.append(example)
        made = through(lambda d: pre.wsc_simple(d, correct_referent_only=split == "train"), read)
        examples = [dict(plain(e), correct=None if split == "test" else bool(e["label"])) for e in made]
        case("superglue", "wsc", split, {path: jsonl(given)}, examples, skipped=len(read) - len(made))

    rows = [
        ("The bee landed on the flower because it had pollen.", "it", "The bee,flower", "flower"),
        ("James asked Robert for a favor, but he refused, he said.", "he", "James, Robert", "Robert"),
        ("Ann said the hero knew her. Then her, too.", "her", "Ann,hero", "Ann"),
        ("He lost it; nobody saw him", "him", "He,nobody", "He"),
    ]
    content = "\n".join("\n".join(row) + "\n" for row in rows)
    read = []
    for sentence, pronoun, candidates, right in rows:
        candidates = [c.strip() for c in candidates.split(",")]
        read.append(dict(sentence=sentence, pronoun=pronoun, candidates=candidates, label=candidates.index(right)))
    made = through(pre.definite_pronoun_resolution_simple, read)
    case("superglue", "dpr", "train", {"DPR/train.c.txt": content}, [plain(e, i) for i, e in enumerate(made)])


def fixed(ex):
    """super_glue.py, _fix_wst."""
    for k in ("span1", "span2"):
        span, index = ex[k + "_text"], ex[k + "_index"]
        if span in ex["text"] or span in ("Kamenev and Zinoviev", "Kamenev, Zinoviev, and Stalin"):
            continue
        if "theyscold" in span:
            ex["span2_index"] = 10
        first = ex["text"].split()[index]
        span = (span[0].lower() if first[0].islower() else span[0].upper()) + span[1:]
        span = span.rstrip(".").replace("\n", " ")
        assert span in ex["text"], ex
        ex[k + "_text"] = span
    return ex


# ---- questions ------------------------------------------------------------------------------------------------------

def squad_document(paragraphs):
    return dict(version="1.1", data=[dict(title="T", paragraphs=[
        dict(context=context, qas=[dict(id=i, question=q, answers=[dict(text=a, answer_start=context.find(a)) for a in answers]) for i, q, answers in qas])
        for context, qas in paragraphs])])


def each_question(document):
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                yield dict(id=qa["id"], context=paragraph["context"], question=qa["question"], answers=dict(text=[a["text"] for a in qa["answers"]]))


def answered(example):
    answers = [text(a) for a in example["answers"]]
    return dict(source=text(example["inputs"]), target=text(example["targets"]), references=answers, id=text(example["id"]))


def pad_mt5(value):
    """multilingual_t5.preprocessors._pad_punctuation."""
    value = tf.strings.regex_replace(value, r"([^_\s\p{N}\p{L}\p{M}])", r" \1 ")
    return tf.strings.regex_replace(value, r"\s+", " ")


def mt5_question(x):
    """multilingual_t5.preprocessors.xquad."""
    a, q, c = pad_mt5(x["answers"]["text"]), pad_mt5(x["question"]), pad_mt5(x["context"])
    joined = tf.strings.regex_replace(tf.strings.join(["question:", q, "context:", c], separator=" "), r"\s+", " ")
    return dict(inputs=joined.numpy(), targets=a[0].numpy(), id=x["id"].encode(), answers=a.numpy())


def question_cases():
    english = squad_document([
        ("Super Bowl 50 was an American (NFL) game_day, held at Levi's  Stadium;\nfinal score: 24–10. \tFrançois \u00a0won $5.50!", [
            ("56be4db0acb8001400a502ec", "Which  team won?", ["François \u00a0won", "François", "24–10."]),
            ("56be4db0acb8001400a502ed", "Who's “there”…", ["Levi's"]),
        ]),
        ("x_y ² ½ Ⅷ ①", [("b", "²?", ["½ Ⅷ"])]),
    ])
    content = json.dumps(english)
    read = list(each_question(english))
    case("squad", "squad", "validation", {"dev-v1.1.json": content}, [answered(e) for e in through(pre.squad, read)])
    case("zero-shot", "xquad", "train", {"train-v1.1.json": content}, [answered(mt5_question(x)) for x in read])
    chinese = squad_document([("黑豹队（Panthers）的防守只丢了308分，排名第六；《NFL》首次…　हिन्दी में क़ि, ภาษาไทยดี! العربية؟", [
        ("56beb4343aeaaa14008c925b", "黑豹队丢了多少分？", ["308分", "308"]), ("2", "क़ि কী?", ["हिन्दी में"])])])
    content = json.dumps(chinese, ensure_ascii=False, indent=1)
    read = list(each_question(chinese))
    made = [answered(mt5_question(x)) for x in read]
    case("zero-shot", "xquad", "test", {"xquad.zh.json": content}, made, language="zh")
    case("zero-shot", "mlqa", "test", {"MLQA_V1/test/test-context-hi-question-hi.json": content}, made, language="hi")
    for suite, task, path in (("clue", "cmrc2018", "cmrc2018_public/dev.json"), ("clue", "drcd", "DRCD_dev.json")):
        examples = [dict(source="阅读理解：" + x["context"] + "根据上述信息回答问题：" + x["question"], target=x["answers"]["text"][0],
                         references=x["answers"]["text"], id=x["id"]) for x in read]
        case(suite, task, "validation", {path: content}, examples)
    tydi = squad_document([("Helsinki on Suomen pääkaupunki.", [("finnish-12-0", "Mikä on pääkaupunki?", ["Helsinki"])]),
                           ("It is 5.", [("english--7-1", "What is it?", ["5"]), ("english--7-2", "How?", ["It is 5"])])])
    content = json.dumps(tydi)
    for language, name in (("fi", "finnish"), ("en", "english")):
        examples = [answered(mt5_question(x)) for x in each_question(tydi) if x["id"].split("-")[0] == name]
        case("zero-shot", "tydiqa", "validation", {"tydiqa-goldp-v1.1-dev.json": content}, examples, language=language)
    case("zero-shot", "tydiqa", "train", {"tydiqa-goldp-v1.1-train.json": content}, examples)


# ---- XNLI, PAWS-X, WikiAnn ------------------------------------------------------------------------------------------

def zero_shot_cases():
    names = ["entailment", "neutral", "contradiction"]

    def nli(premise, hypothesis, label):
        """multilingual_t5.preprocessors.process_xnli."""
        return dict(inputs="xnli: premise: " + premise + " hypothesis: " + hypothesis, targets=str(names.index(label)))

    header = ["language", "gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2",
              "promptID", "pairID", "genre", "label1", "label2", "label3", "label4", "label5", "sentence1_tokenized", "sentence2_tokenized", "match"]
    rows = [("ar", "neutral", "وقال، ماما", "اتصل بأمه"), ("zh", "contradiction", "他说，\"妈妈，我回来了。", "他没说一句话。"), ("zh", "entailment", "是", "是的")]
    content = tsv([header] + [[l, g, "", "", "", "", p, h, "1", "1", "facetoface"] + [g] * 5 + [p, h, "True"] for l, g, p, h in rows])
    for language in ("zh", "ar"):
        examples = [plain(nli(p, h, g), i) for i, (l, g, p, h) in enumerate(rows) if l == language]
        case("zero-shot", "xnli", "test", {"XNLI-1.0/xnli.test.tsv": content}, examples, language=language)
    header = ["gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "promptID", "pairID", "genre"]
    rows = [("neutral", "One", "Two \"2"), ("-", "no agreement", "none"), ("contradiction", "Up", "Down")]
    content = tsv([header] + [[g, "", "", "", "", p, h, "1", "1", "slate", g] for g, p, h in rows])
    examples = [plain(nli(p, h, g), i) for i, (g, p, h) in enumerate(rows) if g != "-"]
    case("zero-shot", "xnli", "train", {"multinli_1.0/multinli_1.0_train.txt": content}, examples, skipped=1)

    labels = ["different_meaning", "paraphrase"]
    rows = [["id", "sentence1", "sentence2", "label"], ["1", "在巴黎，他 \"遇见\" 她", "她在巴黎遇见他", "1"], ["2", "NS", "一", "0"]]
    content = tsv(rows)
    read = [dict(sentence1=r[1], sentence2=r[2], label=int(r[3])) for r in rows[1:]]
    made = through(lambda d: pre.glue(d, benchmark_name="paws", label_names=labels, feature_names=["sentence1", "sentence2"], id_key=None), read)
    case("zero-shot", "paws-x", "validation", {"x-final/zh/dev_2k.tsv": content}, [plain(e, i) for i, e in enumerate(made)], language="zh")

    content = ("en:rick\tB-PER\nen:and\tO\nen:morty\tB-PER\nen:smith\tI-PER\nen:are\tO\nen:cool\tO\nen:.\tO\n\n"
               "en:New\tI-LOC\nen:York\tI-LOC\nen:Times\tI-ORG\nen::\tO\nen:a:b\tB-ORG\nen:c\tB-ORG\n\n\n-DOCSTART-\nen:nothing\tO\nen:untagged\n\n"
               "en:Q\tB-LOC\nen:of\tI-PER\nen:Z\tI-PER")
    examples = [plain(e, i) for i, e in enumerate(wikiann(content))]
    case("zero-shot", "wikiann", "test", {"wikiann/en/test": content}, examples, language="en")


def tags_to_spans(tags):
    """tensorflow_datasets/text/wikiann/wikiann.py."""
    spans, start, end, active = set(), 0, 0, None
    for index, tag in enumerate(tags):
        bio, kind = tag[0], tag[2:]
        if bio == "O":
            if active:
                spans.add((active, (start, end)))
            active = None
        elif bio == "I" and kind == active:
            end += 1
        else:
            if active:
                spans.add((active, (start, end)))
            active, start, end = kind, index, index
    if active:
        spans.add((active, (start, end)))
    return sorted(spans, key=lambda x: x[1][0])


def wikiann(content):
    """The same, and multilingual_t5.preprocessors.wikiann."""
    tokens, tags = [], []
    for line in content.split("\n") + [""]:
        line = line.rstrip()
        if line.startswith("-DOCSTART-") or line == "":
            if tokens:
                spans = [kind + ": " + " ".join(tokens[start:end + 1]) for kind, (start, end) in tags_to_spans(tags)] or ["None"]
                yield dict(inputs="tag: " + " ".join(tokens), targets=" $$ ".join(spans))
            tokens, tags = [], []
        else:
            fields = line.split("\t")
            tokens.append(":".join(fields[0].split(":")[1:]))
            tags.append(fields[-1] if len(fields) > 1 else "O")


# ---- Chinese tasks --------------------------------------------------------------------------------------------------

def chinese(suite, task, split, path, rows, form, label, names=None):
    """A row a line; `form` makes the source, `names` says what labels are called."""
    examples, skipped = [], 0
    for i, row in enumerate(rows):
        value = next((row[k] for k in label if k in row), None)
        if value == "-":
            skipped += 1
            continue
        if isinstance(value, bool):
            value = str(value).lower()
        target = "<unk>" if value is None else names[str(value)] if names else value
        examples.append(plain(dict(inputs=form(row), targets=target), i))
    case(suite, task, split, {path: jsonl(rows)}, examples, skipped=skipped)


TOPICS = dict(zip("100 101 102 103 104 106 107 108 109 110 112 113 114 115 116".split(), "故事 文化 娱乐 体育 财经 房产 汽车 教育 科技 军事 旅游 国际 股票 农业 电竞".split()))
TOPIC_NAMES = dict(zip(("news_" + n for n in "story culture entertainment sports finance house car edu tech military travel world stock agriculture game".split()), TOPICS.values()))


def chinese_cases():
    pairs = lambda r: "两个句子的意思相同吗？第一句：" + r["sentence1"] + "第二句：" + r["sentence2"]
    alike = {"0": "不同", "1": "相同"}
    rows = [dict(sentence1="花呗怎么还款", sentence2="花呗如何\"还\"", label="1"), dict(sentence1="蚂蚁", sentence2="借呗", label="0")]
    chinese("clue", "afqmc", "validation", "afqmc_public/dev.json", rows, pairs, ["label"], alike)
    chinese("clue", "afqmc", "test", "afqmc_public/test.json", [dict(id=0, sentence1="甲", sentence2="乙")], pairs, ["label"], alike)
    chinese("fewclue", "bustm", "test", "bustm/test_public.json", [dict(id=1, **r) for r in rows], pairs, ["label"], alike)
    topic = lambda r: "新闻标题的主题：" + r["sentence"]
    rows = [dict(label=label, label_desc=desc, sentence=f"标题{label}", keywords="") for label, desc in zip(TOPICS, TOPIC_NAMES)]
    chinese("clue", "tnews", "train", "tnews_public/train.json", rows, topic, ["label_desc"], TOPIC_NAMES)
    rows = [dict(label=int(label), sentence=f"标题{label}", keywords="", id=1) for label in TOPICS]
    chinese("fewclue", "tnews", "validation", "tnews/dev_few_all.json", rows, topic, ["label"], TOPICS)
    app = lambda r: "应用描述的类别：" + r["sentence"]
    rows = [dict(label="11", label_des="薅羊毛", sentence="一款应用"), dict(label="95", label_des="借贷", sentence="贷款")]
    chinese("clue", "iflytek", "validation", "iflytek_public/dev.json", rows, app, ["label_des"])
    chinese("fewclue", "iflytek", "train", "iflytek/train_few_all.json", rows, app, ["label_des"])
    nli = lambda r: "两个句子是什么关系？前提：" + r["sentence1"] + "假设：" + r["sentence2"]
    relations = dict(entailment="蕴含", neutral="中立", contradiction="矛盾")
    rows = [dict(sentence1="甲" * i, sentence2="乙", label=l) for i, l in enumerate(["neutral", "-", "entailment", "contradiction"])]
    chinese("clue", "cmnli", "validation", "cmnli_public/dev.json", rows, nli, ["label"], relations)
    chinese("clue", "ocnli", "train", "ocnli_public/train.50k.json", [dict(level="medium", label0="neutral", **r) for r in rows], nli, ["label"], relations)
    chinese("fewclue", "ocnli", "test", "ocnli/test_public.json", rows, nli, ["label"], relations)
    wsc = lambda r: "句中的“" + r["target"]["span2_text"] + "”指的是“" + r["target"]["span1_text"] + "”吗？" + r["text"]
    rows = [dict(target=dict(span2_index=25, span1_index=5, span1_text="床", span2_text="它"), idx=261, label="false", text="有些这样的\"洞\"，床上有它"),
            dict(target=dict(span2_index=2, span1_index=0, span1_text="我", span2_text="自己"), idx=1, label="true", text="我，自己")]
    chinese("clue", "wsc", "train", "cluewsc2020_public/train.json", rows, wsc, ["label"], {"false": "否", "true": "是"})
    chinese("fewclue", "wsc", "test", "cluewsc/test_public.json", rows, wsc, ["label"], {"false": "否", "true": "是"})
    csl = lambda r: "论文的关键词都正确吗？关键词：" + "、".join(r["keyword"]) + "摘要：" + r["abst"]
    rows = [dict(id=1, abst="为解决传统均匀FFT的问题", keyword=["水声学", "FFT"], label="1"), dict(id=2, abst="文", keyword=["词"], label="0")]
    for suite, split, path in (("clue", "validation", "csl_public/dev.json"), ("fewclue", "train", "csl/train_few_all.json")):
        chinese(suite, "csl", split, path, rows, csl, ["label"], {"0": "错误", "1": "正确"})
    chinese("fewclue", "eprstmt", "test", "eprstmt/test_public.json", [dict(id=0, sentence="外包装上有点磨损，试听后感觉不错", label="Positive"), dict(id=1, sentence="差", label="Negative")],
            lambda r: "识别该句子的情感倾向：" + r["sentence"], ["label"], dict(Positive="正面", Negative="负面"))
    chinese("fewclue", "csldcp", "test", "csldcp/test_public.json", [dict(id=0, content="通过几年的观察和实践", label="园艺学"), dict(id=1, content="中药", label="中医学/中药学")],
            lambda r: "论文摘要的学科：" + r["content"], ["label"])

    def cloze(passage, candidates):
        return "选出填在#idiom#处的成语：" + "、".join(candidates) + "。" + passage

    candidates = ["百尺竿头", "随波逐流", "方兴未艾"]
    rows = [dict(content=["今天能#idiom000378#再进一步。", "是#idiom000379#？还是迎难而上，#idiom000380#更辛苦"], candidates=candidates)]
    answers = {"#idiom000378#": 0, "#idiom000379#": 1, "#idiom000380#": 2}
    examples = []
    for passage in rows[0]["content"]:
        for tag in re.findall("#idiom[0-9]+#", passage):
            asked = re.sub("#idiom[0-9]+#", lambda m: "#idiom#" if m.group() == tag else "□□□□", passage)
            examples.append(plain(dict(inputs=cloze(asked, candidates), targets=candidates[answers[tag]]), tag))
    case("clue", "chid", "validation", {"chid_public/dev.json": jsonl(rows), "chid_public/dev_answer.json": json.dumps(answers)}, examples)
    rows = [dict(id=1734, candidates=candidates, content="让果粉#idiom#，如果", answer=2)]
    case("fewclue", "chid", "test", {"chid/test_public.json": jsonl(rows)}, [plain(dict(inputs=cloze(r["content"], candidates), targets=candidates[r["answer"]]), r["id"]) for r in rows])

    files = {}
    examples = []
    for part, texts in (("d", [[["男：你好。", "女：再见。"], [dict(question="他们是谁？", choice=["同学", "老师", "医生"], answer="老师"), dict(question="哪里？", choice=["家"], answer="家")], "14-348"]]),
                        ("m", [[["一段文字。"], [dict(question="说了什么？", choice=["文字", "图"], answer="文字")], "m13-75"]])):
        files[f"c3_public/{part}-dev.json"] = json.dumps(texts, ensure_ascii=False, indent=2)
        for lines, questions, name in texts:
            for i, q in enumerate(questions):
                source = "阅读理解：" + "\n".join(lines) + "根据上述信息回答问题：" + q["question"] + "选项：" + "；".join(q["choice"])
                examples.append(plain(dict(inputs=source, targets=q["answer"]), f"{name}-{i}"))
    case("clue", "c3", "validation", files, examples)


# ---- summaries ------------------------------------------------------------------------------------------------------

def summary_cases():
    rows = [dict(id="a1", article='LONDON -- "Harry, 18"\nsaid no. Yes .', highlights="Harry gets £20M .\nNo plans ."), dict(id="b2", article="One, two.", highlights="Two.")]
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "article", "highlights"])
    writer.writeheader()
    writer.writerows(rows)
    made = through(lambda d: pre.summarize(d, article_key="article", summary_key="highlights"), rows)
    case("summarization", "cnn_dailymail", "test", {"cnn_dailymail/test.csv": out.getvalue()}, [plain(e, r["id"]) for e, r in zip(made, rows)])
    rows = [dict(document="The full cost of damage in Newton Stewart.\nFirst Minister", summary="Clean-up continues.", id="35232142")]
    made = through(lambda d: pre.summarize(d, article_key="document", summary_key="summary"), rows)
    case("summarization", "xsum", "validation", {"xsum/validation.jsonl": jsonl(rows)}, [plain(e, r["id"]) for e, r in zip(made, rows)])
    docs = [(0, "林志颖公司疑涉虚假营销", "日前，方舟子发文直指", 5), (1, "不合适", "正文", 2), (2, "可用的", "第二段正文。", 3)]
    content = "".join(f"<doc id={i}>\n    <human_label>{l}</human_label>\n    <summary>\n        {s}\n    </summary>\n    <short_text>\n        {t}\n    </short_text>\n</doc>\n"
                      for i, s, t, l in docs)
    examples = [plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, s, t, l in docs if l >= 3]
    case("titles", "lcsts", "test", {"DATA/PART_III.txt": content}, examples, skipped=1)
    content = re.sub("    <human_label>.*\n", "", content)
    case("titles", "lcsts", "train", {"PART_I.txt": content}, [plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, s, t, l in docs])
    texts, titles = ["第一条微博。", "第二条 微博"], ["标题一", "标题二"]
    case("titles", "weibo", "train", {"train_text.txt": "\n".join(texts) + "\n", "train_label.txt": "\n".join(titles)},
         [plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, (t, s) in enumerate(zip(texts, titles))])


# ---- scores ---------------------------------------------------------------------------------------------------------

def span_f1(targets, predictions):
    """multilingual_t5.evaluation.metrics.span_f1."""
    tp = fp = fn = 0
    for target, prediction in zip(targets, predictions):
        gold, said = [], []
        for out, line in ((gold, target), (said, prediction)):
            for part in line.split(" $$ "):
                pieces = part.strip().split(":")
                if len(pieces) == 2:
                    out.append((pieces[0].strip(), pieces[1].strip()))
        for span in said:
            if span in gold:
                tp += 1
                gold.remove(span)
            else:
                fp += 1
        fn += len(gold)
    precision, recall = tp / (tp + fp + 1e-13), tp / (tp + fn + 1e-13)
    return 2.0 * ((precision * recall) / (precision + recall + 1e-13))


def scores():
    """Figures of predictions; `t5`'s are a hundredfold."""
    out = []

    def add(suite, task, predictions, examples, figures, language=None):
        figures = {name: float(value) for name, value in figures.items()}
        out.append(dict(suite=suite, task=task, language=language, predictions=predictions, examples=examples, figures=figures))

    def hundredth(*figures):
        return {name: value / 100 for figure in figures for name, value in figure.items()}

    def ids(labels, texts):
        return [post.string_label_to_class_id(t, labels) for t in texts]

    def example(target, **more):
        return dict(dict(source="", target=target, references=[target]), **more)

    two = ["not_equivalent", "equivalent"]
    targets = [two[i] for i in (1, 1, 0, 0, 1, 0, 1)]
    predictions = [two[1], two[0], two[0], "nonsense", "", two[1], two[1]]
    t, p = ids(two, targets), ids(two, predictions)
    add("glue", "mrpc", predictions, [example(x) for x in targets], hundredth(metrics.f1_score_with_invalid(t, p), metrics.accuracy(t, p)))
    cola = ["unacceptable", "acceptable"]
    targets = [cola[i] for i in (1, 1, 0, 0, 1, 0, 1, 1)]
    for predictions in ([cola[1], cola[0], cola[0], "x", "y", cola[1], cola[1], cola[1]], [cola[1]] * 8, [cola[i] for i in (1, 1, 0, 0, 1, 1, 1, 0)]):
        t, p = ids(cola, targets), ids(cola, predictions)
        figure = metrics.sklearn_metrics_wrapper("matthews_corrcoef", metric_post_process_fn=lambda x: 100 * x)(t, p)
        add("glue", "cola", predictions, [example(x) for x in targets], hundredth(figure))
    targets, predictions = ["3.4", "0.0", "5.0", "2.2", "1.0"], ["3.2", "zero", "4.8", " 2.2", "1e0"]
    t, p = [[post.string_to_float(x) for x in side] for side in (targets, predictions)]
    add("glue", "stsb", predictions, [example(x) for x in targets], hundredth(metrics.pearson_corrcoef(t, p), metrics.spearman_corrcoef(t, p)))
    cb = ["entailment", "contradiction", "neutral"]
    targets = [cb[i] for i in (0, 1, 1, 2, 0, 1)]
    predictions = [cb[0], cb[1], cb[2], "none", cb[0], cb[0]]
    t, p = ids(cb, targets), ids(cb, predictions)
    add("superglue", "cb", predictions, [example(x) for x in targets], hundredth(metrics.mean_multiclass_f1(num_classes=3)(t, p), metrics.accuracy(t, p)))
    groups, targets = ["4", "4", "5", "5", "5", "6"], ["True", "False", "True", "True", "False", "True"]
    for predictions in (["True", "False", "True", "", "False", "True"], ["False", "False", "True", "True", "False", "maybe"]):
        t = [post.multirc(x, example={"idx/question": int(g)}, is_target=True) for x, g in zip(targets, groups)]
        p = [post.multirc(x) for x in predictions]
        figures = hundredth(metrics.multirc_f1_over_all_answers(t, p), metrics.mean_group_metric(metrics.all_match)(t, p))
        add("superglue", "multirc", predictions, [example(x, group=g) for x, g in zip(targets, groups)], figures)
    answers = [["Ann Lee", "Lee"], ["Ann Lee", "Lee"], ["the U.S."], ["Zoë"]]
    indices, predictions = [(0, 0), (0, 0), (0, 1), (1, 2)], ["lee", "wrong", "US army", "zoe"]
    t = [post.record("", example={"answers": a, "idx/passage": x, "idx/query": y}, is_target=True) for a, (x, y) in zip(answers, indices)]
    p = [post.record(x) for x in predictions]
    add("superglue", "record", predictions, [dict(source="", target=a[0], references=a, group=f"{x}-{y}") for a, (x, y) in zip(answers, indices)],
        hundredth(metrics.deduplicate_metric(metrics.squad)(t, p)))
    pairs = [("The fuzzy bunny", "bunny", 1), ("bob", "Bob's hat", 1), ("Bob's", "Bob's hat", 0), ("", "it", 1), (" the ", "it", 0), ("a  cat", "cat", 1), ("dog", "the cat", 0),
             ("dog", "the", 1), ("your", "your", 0), ("THE CAT", "cat", 1)]
    said = [post.wsc_simple(p, example={"targets_pretokenized": t, "label": l}) for p, t, l in pairs]
    add("superglue", "wsc", [p for p, _, _ in pairs], [example(t, correct=bool(l)) for _, t, l in pairs], hundredth(metrics.accuracy([l for _, _, l in pairs], said)))
    answers, predictions = [["24 – 10 . ", "24-10"], ["Levi ' s"], ["An answer"]], ["24 – 10", "levi s stadium", "answer"]
    figures = hundredth(metrics.squad(answers, predictions))
    for suite, task in (("squad", "squad"), ("zero-shot", "xquad")):
        add(suite, task, predictions, [dict(source="", target=a[0], references=a) for a in answers], figures)
    spans = ["PER: rick $$ PER: morty", "None", "LOC: a:b $$ ORG: c", "PER: x $$ PER: x"]
    predictions = ["PER: morty $$ LOC: rick", "PER: z", "ORG:c", "PER: x $$ PER: x $$ PER: x"]
    for p in (predictions, [""] * 4):
        add("zero-shot", "wikiann", p, [example(x) for x in spans], dict(span_f1=span_f1(spans, p)), language="en")
    targets, predictions = ["Harry gets money . No plans .", "Two cats sat ."], ["Harry has no plans . Money gets Harry .", "A cat . Two sat"]
    prepared = [[x.replace(" . ", " .\n") for x in side] for side in (targets, predictions)]
    from rouge_score import rouge_scorer
    keys = ("rouge1", "rouge2", "rougeLsum")
    each = [rouge_scorer.RougeScorer(rouge_types=keys).score(target=a, prediction=b) for a, b in zip(*prepared)]
    add("summarization", "cnn_dailymail", predictions, [example(x) for x in targets], {k: sum(s[k].fmeasure for s in each) / len(each) for k in keys})
    return out


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", default=DEFAULT)
    arguments.add_argument("--packages", nargs="*", default=[])
    arguments = arguments.parse_args()
    sys.path.extend(arguments.packages)
    global tf, pre, post, metrics
    import tensorflow.compat.v2 as tf
    pre, post, metrics = load_t5(arguments.packages)
    glue_cases()
    superglue_cases()
    question_cases()
    zero_shot_cases()
    chinese_cases()
    summary_cases()
    with open(arguments.output, "w", encoding="utf-8") as out:
        json.dump(dict(examples=CASES, scores=scores()), out, ensure_ascii=False, indent=1)
        out.write("\n")
    print(f"{len(CASES)} cases, {sum(len(c['examples']) for c in CASES)} examples", file=sys.stderr)


if __name__ == "__main__":
    main()
