"""GLUE and SuperGLUE: rows made up here, read by the rules of TFDS, put through `t5`'s preprocessors."""
import csv
import io
import json

from suites import reference as ref


# ---- GLUE -----------------------------------------------------------------------------------------------------------

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
                label = None if label is None else ref.tf.constant(float(label), ref.tf.float32)
        else:
            label = -1
        example["label"] = label
        if any(value is None for value in example.values()):
            continue
        yield example


def glue(task, split, path, rows, features, label_column, classes, benchmark=None, **kwargs):
    content = ref.tsv(rows)
    read = list(glue_rows(content, features, label_column, classes, **kwargs))
    made = ref.through(lambda d: ref.pre.glue(d, benchmark_name=benchmark or task.split("_")[0], label_names=classes), read)
    given = len(rows) - (0 if kwargs.get("cola_labelled") else 1)
    ref.case("glue", task, split, {path: content}, [ref.plain(e) for e in made], skipped=given - len(read))


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
    content = ref.tsv(rows)
    read = list(glue_rows(content, dict(sentence1="sentence1", sentence2="sentence2"), "score", None))
    ref.case("glue", "stsb", "validation", {"STS-B/dev.tsv": content}, [ref.plain(e) for e in ref.through(ref.pre.stsb, read)])
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
    content = ref.tsv(wnli)
    classes = ["not_entailment", "entailment"]
    read = list(glue_rows(content, dict(sentence1="sentence1", sentence2="sentence2"), "label", classes))
    made = ref.through(lambda d: ref.pre.glue(d, benchmark_name="wnli", label_names=classes), read)
    ref.case("glue", "wnli", "validation", {"WNLI/dev.tsv": content}, [ref.plain(e) for e in made])
    made = ref.through(ref.pre.wnli_simple, read)
    ref.case("glue", "wnli_simple", "validation", {"WNLI/dev.tsv": content}, [dict(ref.plain(e), correct=bool(e["label"])) for e in made])


# ---- SuperGLUE ------------------------------------------------------------------------------------------------------

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
    made = ref.through(lambda d: ref.pre.glue(d, benchmark_name=benchmark or task, label_names=classes, feature_names=order), read)
    ref.case("superglue", task, split, {path: ref.jsonl(rows)}, [ref.plain(e) for e in made])


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
        made = ref.through(lambda d: ref.pre.glue(d, benchmark_name="multirc", label_names=["False", "True"], feature_names=("question", "answer", "paragraph")), read)
        examples = [dict(ref.plain(e, "-".join(str(e["idx/" + k]) for k in ("paragraph", "question", "answer"))), group=str(e["idx/question"])) for e in made]
        ref.case("superglue", "multirc", split, {path: ref.jsonl(given)}, examples)

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
                read.append(dict(passage=row["passage"]["text"], query=qa["query"], entities=sorted(entity), answers=ref.tf.constant(answers, ref.tf.string),
                                 idx=dict(passage=row["idx"], query=qa["idx"])))
        made = ref.through(ref.pre.record, read)
        examples, seen = [], set()
        for e in made:
            group = f"{e['idx/passage']}-{e['idx/query']}"
            # ref.metrics.deduplicate_metric scores the first of a group.
            if split != "train" and group in seen:
                continue
            seen.add(group)
            examples.append(dict(source=ref.text(e["inputs"]), target=ref.text(e["targets"]), references=[ref.text(a) for a in e["answers"]], id=group, group=group))
        ref.case("superglue", "record", split, {path: ref.jsonl(given)}, examples)

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
        made = ref.through(lambda d: ref.pre.wsc_simple(d, correct_referent_only=split == "train"), read)
        examples = [dict(ref.plain(e), correct=None if split == "test" else bool(e["label"])) for e in made]
        ref.case("superglue", "wsc", split, {path: ref.jsonl(given)}, examples, skipped=len(read) - len(made))

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
    made = ref.through(ref.pre.definite_pronoun_resolution_simple, read)
    ref.case("superglue", "dpr", "train", {"DPR/train.c.txt": content}, [ref.plain(e, i) for i, e in enumerate(made)])


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
