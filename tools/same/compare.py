"""What counts as the same: bytes, but for times, rates and memory, which no two runs share.

`NORMALISED` says, file by file, what is left out before bytes are compared; everything else counts to the last bit.
"""
import json
import os
import re
import struct

LOG_TIMES = ("seconds", "rss_bytes")
EVENT_TIMES = ("speed/tokens_per_second", "memory/rss_bytes")


def log(data):
    """train_log.jsonl without how long a step took and the memory after it; key order counts."""
    lines = []
    for line in data.splitlines():
        record = json.loads(line)
        lines.append(json.dumps({key: value for key, value in record.items() if key not in LOG_TIMES}))
    return "\n".join(lines).encode()


def events(data):
    """TensorBoard's records without wall time, speed, memory, and the checksums that cover them."""
    kept, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        record = data[at + 12 : at + 12 + length]
        at += 16 + length
        if record[:1] != b"\x09":
            raise ValueError("a record that does not begin with its time")
        record = record[9:]
        for tag in EVENT_TIMES:
            record = re.sub(re.escape(tag.encode()) + rb"\x15....", tag.encode(), record, flags=re.DOTALL)
        kept.append(record)
    return b"\n".join(kept)


def training_report(data):
    """report.html without the tiles of speed, time and memory and the curve of tokens a second."""
    text = data.decode()
    text = re.sub(r"<h3>Tokens per second</h3>.*?(?=<h[23]>)", "", text, flags=re.DOTALL)
    return re.sub(r"[\d.,]+ ?(/s|s|ms|min|[kMG]?B)\b", r"\1", text).encode()


def inspected(data):
    """What `inspect` says without the memory that the machine has left."""
    return re.sub(rb"(?m)^memory, to be had .*$", b"", data)


# (part of the name of a file, or stdout of a subcommand) → how it is normalised
NORMALISED = {
    "train_log.jsonl": log,
    "events.out.tfevents": events,
    "report.html": training_report,
    "stdout of inspect": inspected,
}


def normalised(name, data):
    for part, how in NORMALISED.items():
        if part in name and not name.endswith("trim_report.html"):
            return how(data)
    return data


def counts_as_list(data):
    """trim_report.json of version 1 or 2, the first as the second says it."""
    report = json.loads(data)
    report.pop("version")
    if isinstance(report.get("counts"), dict):
        report["counts"] = [report["counts"]]
    return json.dumps(report)


def without_inference_memory(data):
    """What `inspect` says, without what generating is predicted to take."""
    return re.sub(rb"(?m)^memory, inference .*\n", b"", inspected(data))


def files(folder):
    """Path within the folder → bytes of every file below it."""
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, folder)] = f.read()
    return found


def difference(name, old, new):
    """None where both are the same, else a line that says where they part. None as data: there is no such file."""
    if old is None or new is None:
        return f"{name}: only the {'new' if old is None else 'old'} program writes it"
    if old == new:
        return None
    old, new = normalised(name, old), normalised(name, new)
    if old == new:
        return None
    if name.endswith(".safetensors"):
        return f"{name}: {tensors(old, new)}"
    at = next((i for i, (a, b) in enumerate(zip(old, new)) if a != b), min(len(old), len(new)))
    line = old.count(b"\n", 0, at) + 1
    around = [repr(x[max(0, at - 30) : at + 30].decode(errors="replace")) for x in (old, new)]
    return f"{name}: line {line}: {around[0]} was, {around[1]} is"


def header(data):
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), 8 + length


def tensors(old, new):
    """Which tensors of two safetensors files differ."""
    (a, at), (b, bt) = header(old), header(new)
    if list(a) != list(b):
        return f"other tensors, or another order: {sorted(set(a) ^ set(b))[:5]}"

    def parts(head, data, begin):
        for name, about in head.items():
            if name != "__metadata__":
                start, end = about["data_offsets"]
                yield name, (about["dtype"], about["shape"], data[begin + start : begin + end])

    x, y = dict(parts(a, old, at)), dict(parts(b, new, bt))
    other = [name for name in x if x[name] != y[name]]
    return f"{len(other)} of {len(x)} tensors differ: {', '.join(other[:5])}" if other else "the headers differ"


def half_width(data):
    """Texts with half-width punctuation alone."""
    return data.decode().translate(str.maketrans("，！？：；（）", ",!?:;()")).encode()


def figures(data):
    """What `metrics` prints without the number of examples and the signature."""
    return re.sub(rb',"examples":\d+,"signature":"[^"]*"', b"", data)
