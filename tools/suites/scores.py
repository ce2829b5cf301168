"""Figures of predictions by `t5`'s postprocessors and metrics, and mT5's span F1."""
from suites import reference as ref


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
        return [ref.post.string_label_to_class_id(t, labels) for t in texts]

    def example(target, **more):
        return dict(dict(source="", target=target, references=[target]), **more)

    two = ["not_equivalent", "equivalent"]
    targets = [two[i] for i in (1, 1, 0, 0, 1, 0, 1)]
    predictions = [two[1], two[0], two[0], "nonsense", "", two[1], two[1]]
    t, p = ids(two, targets), ids(two, predictions)
    add("glue", "mrpc", predictions, [example(x) for x in targets], hundredth(ref.metrics.f1_score_with_invalid(t, p), ref.metrics.accuracy(t, p)))
    cola = ["unacceptable", "acceptable"]
    targets = [cola[i] for i in (1, 1, 0, 0, 1, 0, 1, 1)]
    for predictions in ([cola[1], cola[0], cola[0], "x", "y", cola[1], cola[1], cola[1]], [cola[1]] * 8, [cola[i] for i in (1, 1, 0, 0, 1, 1, 1, 0)]):
        t, p = ids(cola, targets), ids(cola, predictions)
        figure = ref.metrics.sklearn_metrics_wrapper("matthews_corrcoef", metric_post_process_fn=lambda x: 100 * x)(t, p)
        add("glue", "cola", predictions, [example(x) for x in targets], hundredth(figure))
    targets, predictions = ["3.4", "0.0", "5.0", "2.2", "1.0"], ["3.2", "zero", "4.8", " 2.2", "1e0"]
    t, p = [[ref.post.string_to_float(x) for x in side] for side in (targets, predictions)]
    add("glue", "stsb", predictions, [example(x) for x in targets], hundredth(ref.metrics.pearson_corrcoef(t, p), ref.metrics.spearman_corrcoef(t, p)))
    cb = ["entailment", "contradiction", "neutral"]
    targets = [cb[i] for i in (0, 1, 1, 2, 0, 1)]
    predictions = [cb[0], cb[1], cb[2], "none", cb[0], cb[0]]
    t, p = ids(cb, targets), ids(cb, predictions)
    add("superglue", "cb", predictions, [example(x) for x in targets], hundredth(ref.metrics.mean_multiclass_f1(num_classes=3)(t, p), ref.metrics.accuracy(t, p)))
    groups, targets = ["4", "4", "5", "5", "5", "6"], ["True", "False", "True", "True", "False", "True"]
    for predictions in (["True", "False", "True", "", "False", "True"], ["False", "False", "True", "True", "False", "maybe"]):
        t = [ref.post.multirc(x, example={"idx/question": int(g)}, is_target=True) for x, g in zip(targets, groups)]
        p = [ref.post.multirc(x) for x in predictions]
        figures = hundredth(ref.metrics.multirc_f1_over_all_answers(t, p), ref.metrics.mean_group_metric(ref.metrics.all_match)(t, p))
        add("superglue", "multirc", predictions, [example(x, group=g) for x, g in zip(targets, groups)], figures)
    answers = [["Ann Lee", "Lee"], ["Ann Lee", "Lee"], ["the U.S."], ["Zoë"]]
    indices, predictions = [(0, 0), (0, 0), (0, 1), (1, 2)], ["lee", "wrong", "US army", "zoe"]
    t = [ref.post.record("", example={"answers": a, "idx/passage": x, "idx/query": y}, is_target=True) for a, (x, y) in zip(answers, indices)]
    p = [ref.post.record(x) for x in predictions]
    add("superglue", "record", predictions, [dict(source="", target=a[0], references=a, group=f"{x}-{y}") for a, (x, y) in zip(answers, indices)],
        hundredth(ref.metrics.deduplicate_metric(ref.metrics.squad)(t, p)))
    pairs = [("The fuzzy bunny", "bunny", 1), ("bob", "Bob's hat", 1), ("Bob's", "Bob's hat", 0), ("", "it", 1), (" the ", "it", 0), ("a  cat", "cat", 1), ("dog", "the cat", 0),
             ("dog", "the", 1), ("your", "your", 0), ("THE CAT", "cat", 1)]
    said = [ref.post.wsc_simple(p, example={"targets_pretokenized": t, "label": l}) for p, t, l in pairs]
    add("superglue", "wsc", [p for p, _, _ in pairs], [example(t, correct=bool(l)) for _, t, l in pairs], hundredth(ref.metrics.accuracy([l for _, _, l in pairs], said)))
    answers, predictions = [["24 – 10 . ", "24-10"], ["Levi ' s"], ["An answer"]], ["24 – 10", "levi s stadium", "answer"]
    figures = hundredth(ref.metrics.squad(answers, predictions))
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
