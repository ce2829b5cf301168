//! What a place holds that has no weights in a form that is read here, and the way to mend it.

use std::path::Path;

use super::find::names;
use super::weight_file;
use crate::foreign;

/// How a T5X checkpoint becomes one that is read.
const T5X: &str = "a checkpoint of T5X or Orbax (JAX), which is not read: turn it into a Hugging Face folder by \
                   transformers' script, python -m transformers.models.t5.convert_t5x_checkpoint_to_pytorch \
                   --t5x_checkpoint_path FOLDER --config_file config.json --pytorch_dump_path NEW \
                   (needs transformers 4 and t5x)";

/// What a file is that cannot be weights, by its name.
pub(super) fn of_file(path: &Path, name: &str) -> Option<String> {
    if let Some((prefix, part)) = of_bundle(name) {
        let index = path.with_file_name(format!("{prefix}.index"));
        let prefix = path.with_file_name(prefix);
        return Some(match index.is_file() {
            true => format!("a part of a TensorFlow checkpoint: give its prefix, {}", prefix.display()),
            false => half(&prefix.display().to_string(), part),
        });
    }
    if name == "saved_model.pb" || name.ends_with(".pb") {
        return Some(SAVED_MODEL.to_owned());
    }
    if name.ends_with(".json") {
        return Some("a JSON file, not weights; give the folder that holds it and the weights".to_owned());
    }
    None
}

/// TensorFlow's graphs.
const SAVED_MODEL: &str = "a graph of TensorFlow (SavedModel), which is not read: give the checkpoint that it was made \
                           from (….index and ….data-…), or save one by tf.train.Saver";

/// A part of a TensorFlow checkpoint.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Data,
    Graph,
}

/// Of a part of a TensorFlow checkpoint by its name: the checkpoint's prefix, and which part.
fn of_bundle(name: &str) -> Option<(&str, Part)> {
    if let Some((prefix, rest)) = name.rsplit_once(".data-") {
        let number = |n: &str| n.len() == 5 && n.bytes().all(|b| b.is_ascii_digit());
        return rest
            .split_once("-of-")
            .is_some_and(|(a, b)| number(a) && number(b))
            .then_some((prefix, Part::Data));
    }
    name.strip_suffix(".meta").map(|prefix| (prefix, Part::Graph))
}

/// What is said of a TensorFlow checkpoint without its index.
fn half(prefix: &str, part: Part) -> String {
    match part {
        Part::Data => {
            format!("half a TensorFlow checkpoint: {prefix}.index is missing; copy or download it too")
        }
        Part::Graph => format!(
            "only the graph of a TensorFlow checkpoint: {prefix}.index and {prefix}.data-…, which hold the weights, are \
             missing; copy or download them too"
        ),
    }
}

/// What is said of a path where nothing is.
pub(super) fn of_prefix(path: &Path) -> String {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = names(folder);
    let part = |wanted: Part| names.iter().any(|n| of_bundle(n) == Some((name, wanted)));
    match () {
        () if part(Part::Data) => half(name, Part::Data),
        () if part(Part::Graph) => half(name, Part::Graph),
        () => "there is no such folder, and no TensorFlow checkpoint that begins so".to_owned(),
    }
}

/// Whether parts of a TensorFlow checkpoint without its index begin so; for what is asked before a name is looked for
/// elsewhere.
pub(crate) fn is_half_a_bundle(path: &Path) -> bool {
    !path.exists() && of_prefix(path).contains("TensorFlow checkpoint:")
}

/// What is said of a folder without weights.
pub(super) fn of_folder(folder: &Path) -> String {
    let names = names(folder);
    let has = |name: &str| names.iter().any(|n| n == name);
    let ends = |end: &str| names.iter().find(|n| n.to_ascii_lowercase().ends_with(end));
    let begins = |begin: &str| names.iter().any(|n| n.starts_with(begin));
    if is_t5x(folder, &names) {
        return T5X.to_owned();
    }
    if let Some(inner) = names.iter().find(|n| n.starts_with("checkpoint_") && is_t5x_folder(&folder.join(n)))
    {
        return format!("{inner} is {T5X}");
    }
    if let Some((prefix, part)) = names.iter().find_map(|n| of_bundle(n)) {
        return half(prefix, part);
    }
    // What begins like nothing that is read is named: a pointer, a page, another program's weights.
    for end in [
        ".safetensors",
        ".bin",
        ".pt",
        ".pth",
        ".ckpt",
        ".msgpack",
        ".gguf",
        ".onnx",
        ".h5",
        ".pdparams",
        ".tflite",
    ] {
        if let Some(name) = ends(end)
            && let path = folder.join(name)
            && path.is_file()
            && !name.starts_with("training_args")
            && let Ok(head) = weight_file::head(&path)
            && let Some(what) = foreign::not_weights(&path, &head)
        {
            return format!("{name} is {what}");
        }
    }
    if has("saved_model.pb") {
        return SAVED_MODEL.to_owned();
    }
    if has("zero_to_fp32.py") || begins("global_step") || begins("zero_pp_rank") || begins("mp_rank_") {
        return "a checkpoint of DeepSpeed in parts: put it together by its own script, python zero_to_fp32.py . \
                pytorch_model.bin"
            .to_owned();
    }
    if has(".metadata") && ends(".distcp").is_some() || begins("pytorch_model_fsdp") {
        return "a distributed checkpoint of torch (FSDP): put it together by python -m \
                torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER pytorch_model.bin"
            .to_owned();
    }
    if has("openvino_model.xml") {
        return "a model of OpenVINO, which is not read: take the Hugging Face folder that it was made from"
            .to_owned();
    }
    let inner = names.iter().find(|n| {
        let inner = folder.join(n);
        inner.is_dir()
            && (inner.join("model.safetensors").exists() || inner.join("pytorch_model.bin").exists())
    });
    let there = match inner {
        Some(inner) => format!("; there is one in {inner}: give that folder"),
        None if names.is_empty() => "; the folder is empty".to_owned(),
        None => String::new(),
    };
    format!(
        "no model here: looked for model.safetensors, pytorch_model.bin, their .index.json, and *.index{there}"
    )
}

/// Whether these are the names of a T5X or Orbax checkpoint's files.
fn is_t5x(folder: &Path, names: &[String]) -> bool {
    const MARKS: [&str; 5] = ["_METADATA", "_CHECKPOINT_METADATA", "_sharding", "manifest.ocdbt", ".zarray"];
    let is_mark = |n: &String| {
        MARKS.contains(&&**n)
            || n.starts_with("target.")
            || n.starts_with("ocdbt.process_")
            || n.starts_with("state.")
    };
    // TensorFlow's file of this name is text.
    let index = || {
        weight_file::head(&folder.join("checkpoint")).is_ok_and(|b| !b.starts_with(b"model_checkpoint_path"))
    };
    names.iter().any(is_mark) || folder.join("checkpoint").is_file() && index()
}

fn is_t5x_folder(folder: &Path) -> bool {
    folder.is_dir() && is_t5x(folder, &names(folder))
}
