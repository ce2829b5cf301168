"""What the references are: `t5`'s modules, and the helpers that record what they make."""
import importlib.util
import json
import os
import sys
import types

# Set by load().
tf = pre = post = metrics = None


def load(packages):
    """Loads TensorFlow and `t5`'s modules."""
    global tf, pre, post, metrics
    import tensorflow.compat.v2
    tf = tensorflow.compat.v2
    pre, post, metrics = load_t5(packages)


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


def tsv(rows):
    return "".join("\t".join(row) + "\n" for row in rows)


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(rows))


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
