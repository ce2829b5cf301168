"""CLUE's and FewCLUE's tasks, summaries and titles."""
import csv
import io
import json
import re

from suites import reference as ref


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
        examples.append(ref.plain(dict(inputs=form(row), targets=target), i))
    ref.case(suite, task, split, {path: ref.jsonl(rows)}, examples, skipped=skipped)


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
            examples.append(ref.plain(dict(inputs=cloze(asked, candidates), targets=candidates[answers[tag]]), tag))
    ref.case("clue", "chid", "validation", {"chid_public/dev.json": ref.jsonl(rows), "chid_public/dev_answer.json": json.dumps(answers)}, examples)
    rows = [dict(id=1734, candidates=candidates, content="让果粉#idiom#，如果", answer=2)]
    ref.case("fewclue", "chid", "test", {"chid/test_public.json": ref.jsonl(rows)}, [ref.plain(dict(inputs=cloze(r["content"], candidates), targets=candidates[r["answer"]]), r["id"]) for r in rows])

    files = {}
    examples = []
    for part, texts in (("d", [[["男：你好。", "女：再见。"], [dict(question="他们是谁？", choice=["同学", "老师", "医生"], answer="老师"), dict(question="哪里？", choice=["家"], answer="家")], "14-348"]]),
                        ("m", [[["一段文字。"], [dict(question="说了什么？", choice=["文字", "图"], answer="文字")], "m13-75"]])):
        files[f"c3_public/{part}-dev.json"] = json.dumps(texts, ensure_ascii=False, indent=2)
        for lines, questions, name in texts:
            for i, q in enumerate(questions):
                source = "阅读理解：" + "\n".join(lines) + "根据上述信息回答问题：" + q["question"] + "选项：" + "；".join(q["choice"])
                examples.append(ref.plain(dict(inputs=source, targets=q["answer"]), f"{name}-{i}"))
    ref.case("clue", "c3", "validation", files, examples)


# ---- summaries ------------------------------------------------------------------------------------------------------

def summary_cases():
    rows = [dict(id="a1", article='LONDON -- "Harry, 18"\nsaid no. Yes .', highlights="Harry gets £20M .\nNo plans ."), dict(id="b2", article="One, two.", highlights="Two.")]
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "article", "highlights"])
    writer.writeheader()
    writer.writerows(rows)
    made = ref.through(lambda d: ref.pre.summarize(d, article_key="article", summary_key="highlights"), rows)
    ref.case("summarization", "cnn_dailymail", "test", {"cnn_dailymail/test.csv": out.getvalue()}, [ref.plain(e, r["id"]) for e, r in zip(made, rows)])
    rows = [dict(document="The full cost of damage in Newton Stewart.\nFirst Minister", summary="Clean-up continues.", id="35232142")]
    made = ref.through(lambda d: ref.pre.summarize(d, article_key="document", summary_key="summary"), rows)
    ref.case("summarization", "xsum", "validation", {"xsum/validation.jsonl": ref.jsonl(rows)}, [ref.plain(e, r["id"]) for e, r in zip(made, rows)])
    docs = [(0, "林志颖公司疑涉虚假营销", "日前，方舟子发文直指", 5), (1, "不合适", "正文", 2), (2, "可用的", "第二段正文。", 3)]
    content = "".join(f"<doc id={i}>\n    <human_label>{l}</human_label>\n    <summary>\n        {s}\n    </summary>\n    <short_text>\n        {t}\n    </short_text>\n</doc>\n"
                      for i, s, t, l in docs)
    examples = [ref.plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, s, t, l in docs if l >= 3]
    ref.case("titles", "lcsts", "test", {"DATA/PART_III.txt": content}, examples, skipped=1)
    content = re.sub("    <human_label>.*\n", "", content)
    ref.case("titles", "lcsts", "train", {"PART_I.txt": content}, [ref.plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, s, t, l in docs])
    texts, titles = ["第一条微博。", "第二条 微博"], ["标题一", "标题二"]
    ref.case("titles", "weibo", "train", {"train_text.txt": "\n".join(texts) + "\n", "train_label.txt": "\n".join(titles)},
         [ref.plain(dict(inputs="微博的标题：" + t, targets=s), i) for i, (t, s) in enumerate(zip(texts, titles))])
