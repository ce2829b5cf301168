"""Questions, and what mT5 is measured on in many languages."""
import json

from suites import reference as ref


# ---- questions ------------------------------------------------------------------------------------------------------

def pad_mt5(value):
    """multilingual_t5.preprocessors._pad_punctuation."""
    value = ref.tf.strings.regex_replace(value, r"([^_\s\p{N}\p{L}\p{M}])", r" \1 ")
    return ref.tf.strings.regex_replace(value, r"\s+", " ")


def mt5_question(x):
    """multilingual_t5.preprocessors.xquad."""
    a, q, c = pad_mt5(x["answers"]["text"]), pad_mt5(x["question"]), pad_mt5(x["context"])
    joined = ref.tf.strings.regex_replace(ref.tf.strings.join(["question:", q, "context:", c], separator=" "), r"\s+", " ")
    return dict(inputs=joined.numpy(), targets=a[0].numpy(), id=x["id"].encode(), answers=a.numpy())


def question_cases():
    english = ref.squad_document([
        ("Super Bowl 50 was an American (NFL) game_day, held at Levi's  Stadium;\nfinal score: 24–10. \tFrançois \u00a0won $5.50!", [
            ("56be4db0acb8001400a502ec", "Which  team won?", ["François \u00a0won", "François", "24–10."]),
            ("56be4db0acb8001400a502ed", "Who's “there”…", ["Levi's"]),
        ]),
        ("x_y ² ½ Ⅷ ①", [("b", "²?", ["½ Ⅷ"])]),
    ])
    content = json.dumps(english)
    read = list(ref.each_question(english))
    ref.case("squad", "squad", "validation", {"dev-v1.1.json": content}, [ref.answered(e) for e in ref.through(ref.pre.squad, read)])
    ref.case("zero-shot", "xquad", "train", {"train-v1.1.json": content}, [ref.answered(mt5_question(x)) for x in read])
    chinese = ref.squad_document([("黑豹队（Panthers）的防守只丢了308分，排名第六；《NFL》首次…　हिन्दी में क़ि, ภาษาไทยดี! العربية؟", [
        ("56beb4343aeaaa14008c925b", "黑豹队丢了多少分？", ["308分", "308"]), ("2", "क़ि কী?", ["हिन्दी में"])])])
    content = json.dumps(chinese, ensure_ascii=False, indent=1)
    read = list(ref.each_question(chinese))
    made = [ref.answered(mt5_question(x)) for x in read]
    ref.case("zero-shot", "xquad", "test", {"xquad.zh.json": content}, made, language="zh")
    ref.case("zero-shot", "mlqa", "test", {"MLQA_V1/test/test-context-hi-question-hi.json": content}, made, language="hi")
    for suite, task, path in (("clue", "cmrc2018", "cmrc2018_public/dev.json"), ("clue", "drcd", "DRCD_dev.json")):
        examples = [dict(source="阅读理解：" + x["context"] + "根据上述信息回答问题：" + x["question"], target=x["answers"]["text"][0],
                         references=x["answers"]["text"], id=x["id"]) for x in read]
        ref.case(suite, task, "validation", {path: content}, examples)
    tydi = ref.squad_document([("Helsinki on Suomen pääkaupunki.", [("finnish-12-0", "Mikä on pääkaupunki?", ["Helsinki"])]),
                           ("It is 5.", [("english--7-1", "What is it?", ["5"]), ("english--7-2", "How?", ["It is 5"])])])
    content = json.dumps(tydi)
    for language, name in (("fi", "finnish"), ("en", "english")):
        examples = [ref.answered(mt5_question(x)) for x in ref.each_question(tydi) if x["id"].split("-")[0] == name]
        ref.case("zero-shot", "tydiqa", "validation", {"tydiqa-goldp-v1.1-dev.json": content}, examples, language=language)
    ref.case("zero-shot", "tydiqa", "train", {"tydiqa-goldp-v1.1-train.json": content}, examples)


# ---- XNLI, PAWS-X, WikiAnn ------------------------------------------------------------------------------------------

def zero_shot_cases():
    names = ["entailment", "neutral", "contradiction"]

    def nli(premise, hypothesis, label):
        """multilingual_t5.preprocessors.process_xnli."""
        return dict(inputs="xnli: premise: " + premise + " hypothesis: " + hypothesis, targets=str(names.index(label)))

    header = ["language", "gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2",
              "promptID", "pairID", "genre", "label1", "label2", "label3", "label4", "label5", "sentence1_tokenized", "sentence2_tokenized", "match"]
    rows = [("ar", "neutral", "وقال، ماما", "اتصل بأمه"), ("zh", "contradiction", "他说，\"妈妈，我回来了。", "他没说一句话。"), ("zh", "entailment", "是", "是的")]
    content = ref.tsv([header] + [[l, g, "", "", "", "", p, h, "1", "1", "facetoface"] + [g] * 5 + [p, h, "True"] for l, g, p, h in rows])
    for language in ("zh", "ar"):
        examples = [ref.plain(nli(p, h, g), i) for i, (l, g, p, h) in enumerate(rows) if l == language]
        ref.case("zero-shot", "xnli", "test", {"XNLI-1.0/xnli.test.tsv": content}, examples, language=language)
    header = ["gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse", "sentence1", "sentence2", "promptID", "pairID", "genre"]
    rows = [("neutral", "One", "Two \"2"), ("-", "no agreement", "none"), ("contradiction", "Up", "Down")]
    content = ref.tsv([header] + [[g, "", "", "", "", p, h, "1", "1", "slate", g] for g, p, h in rows])
    examples = [ref.plain(nli(p, h, g), i) for i, (g, p, h) in enumerate(rows) if g != "-"]
    ref.case("zero-shot", "xnli", "train", {"multinli_1.0/multinli_1.0_train.txt": content}, examples, skipped=1)

    labels = ["different_meaning", "paraphrase"]
    rows = [["id", "sentence1", "sentence2", "label"], ["1", "在巴黎，他 \"遇见\" 她", "她在巴黎遇见他", "1"], ["2", "NS", "一", "0"]]
    content = ref.tsv(rows)
    read = [dict(sentence1=r[1], sentence2=r[2], label=int(r[3])) for r in rows[1:]]
    made = ref.through(lambda d: ref.pre.glue(d, benchmark_name="paws", label_names=labels, feature_names=["sentence1", "sentence2"], id_key=None), read)
    ref.case("zero-shot", "paws-x", "validation", {"x-final/zh/dev_2k.tsv": content}, [ref.plain(e, i) for i, e in enumerate(made)], language="zh")

    content = ("en:rick\tB-PER\nen:and\tO\nen:morty\tB-PER\nen:smith\tI-PER\nen:are\tO\nen:cool\tO\nen:.\tO\n\n"
               "en:New\tI-LOC\nen:York\tI-LOC\nen:Times\tI-ORG\nen::\tO\nen:a:b\tB-ORG\nen:c\tB-ORG\n\n\n-DOCSTART-\nen:nothing\tO\nen:untagged\n\n"
               "en:Q\tB-LOC\nen:of\tI-PER\nen:Z\tI-PER")
    examples = [ref.plain(e, i) for i, e in enumerate(wikiann(content))]
    ref.case("zero-shot", "wikiann", "test", {"wikiann/en/test": content}, examples, language="en")


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
