//! What a file is that is not what it was taken for: told by its first bytes, with the way to mend it.
//!
//! Every reader of this project asks here before it says that a file is broken: a pointer of Git LFS, a page of a web
//! server or an empty file can stand in any place, and weights come in many formats that are not read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};

/// As many bytes of a file are looked at.
pub const HEAD: usize = 512;

/// What stands in the place of any file, weights, tokenizer or table: a pointer of Git LFS or git-annex, or a page of a
/// web server. `None` for everything else.
pub fn stand_in(path: &Path, head: &[u8]) -> Option<String> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let starts = |with: &[u8]| text.len() >= with.len() && text[..with.len()].eq_ignore_ascii_case(with);
    if starts(b"version https://git-lfs.github.com/spec") || starts(b"version https://hawser.github.com/spec")
    {
        return Some(
            "a pointer of Git LFS, not the file itself: run `git lfs pull` in its folder".to_owned(),
        );
    }
    if starts(b"/annex/objects/") || starts(b"../.git/annex/") || starts(b".git/annex/") {
        return Some("a pointer of git-annex, not the file itself: run `git annex get` on it".to_owned());
    }
    let is_page =
        path.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
    if !is_page && (starts(b"<!doctype html") || starts(b"<html")) {
        let what = "a web page, not the file itself: the download got the page around it, or an error; fetch the file \
                    by its own address (on the hub: …/resolve/main/…)";
        return Some(what.to_owned());
    }
    (starts(b"<?xml") && contains(text, b"<Error>") || starts(b"<Error>"))
        .then(|| "a web server's error message, not the file itself: download it again".to_owned())
}

/// What a file is that is read as weights and is none: everything of [`stand_in`], and every format of weights or
/// archives that is known by its first bytes. `None` where nothing speaks against weights that are read here.
pub fn not_weights(path: &Path, head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return Some("it is empty; download or copy it again".to_owned());
    }
    stand_in(path, head).or_else(|| known(path, head)).or_else(|| as_text(head))
}

/// An error where the file at `path`, which is no weights, is a stand-in for one; [`stand_in`] for readers of this crate
/// that have read its first bytes.
pub fn check(path: &Path, head: &[u8]) -> Result<()> {
    match stand_in(path, &head[..head.len().min(HEAD)]) {
        Some(what) => Err(Error::unsupported(path, what)),
        None => Ok(()),
    }
}

/// [`check`] for readers that go on by themselves: the file's first bytes are read here. What cannot be read is theirs
/// to say.
pub fn check_file(path: &Path) -> Result<()> {
    let mut head = Vec::new();
    // A pipe can be read but once.
    if let Ok(file) = File::open(path)
        && file.metadata().is_ok_and(|m| m.is_file())
        && file.take(HEAD as u64).read_to_end(&mut head).is_ok()
    {
        return check(path, &head);
    }
    Ok(())
}

/// How a file can be turned into one that is read, by transformers' own readers.
const BY_TRANSFORMERS: &str = "save it anew there by model.save_pretrained(FOLDER)";

/// Formats by their first bytes.
fn known(path: &Path, head: &[u8]) -> Option<String> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_ascii_lowercase();
    let starts = |with: &[u8]| head.starts_with(with);
    let packed = |by: &str| Some(format!("packed by {by}: unpack it first"));
    if [&b"ggml"[..], b"lmgg", b"tjgg", b"algg"].iter().any(|m| head.starts_with(m)) {
        let what = "weights of llama.cpp in its first format (GGML), which are not read: take the GGUF file of the same \
                    model, or the Hugging Face folder that they were made from";
        return Some(what.to_owned());
    }
    if is_onnx(&name, head) {
        let what = "an ONNX graph, which is not read: take the Hugging Face folder that it was made from";
        return Some(what.to_owned());
    }
    if head.get(4..8) == Some(b"TFL3") {
        let what = "a TensorFlow Lite model, which is not read: take the model that it was made from";
        return Some(what.to_owned());
    }
    if is_msgpack(&name, head) {
        return Some(FLAX.to_owned());
    }
    if contains(&head[..head.len().min(64)], b"TransformerSpec") {
        let what = "weights of CTranslate2, which are not read: take the Hugging Face folder that they were made from";
        return Some(what.to_owned());
    }
    if starts(b"\x93NUMPY") {
        return Some("an array of NumPy: save the model's state dictionary instead".to_owned());
    }
    if name.ends_with(".pdparams") {
        let what = "weights of PaddlePaddle, which are not read: take the model that they were made from, or save them \
                    as safetensors in Hugging Face's names";
        return Some(what.to_owned());
    }
    if starts(b"PAR1") {
        return Some("a Parquet table, not weights".to_owned());
    }
    if starts(b"%PDF") {
        return Some("a PDF document, not weights".to_owned());
    }
    if starts(b"\x1f\x8b") {
        return packed("gzip (gunzip, or tar xzf where it is a .tar.gz)");
    }
    if starts(b"\x28\xb5\x2f\xfd") {
        return packed("Zstandard (unzstd)");
    }
    if starts(b"\xfd7zXZ\0") {
        return packed("xz (unxz)");
    }
    if starts(b"BZh") {
        return packed("bzip2 (bunzip2)");
    }
    if starts(b"7z\xbc\xaf\x27\x1c") {
        return packed("7-Zip");
    }
    if starts(b"Rar!") {
        return packed("RAR");
    }
    if head.get(257..262) == Some(b"ustar") {
        return packed("tar (tar xf)");
    }
    None
}

/// Flax's serialised parameters, a file or what a T5X checkpoint is told by.
pub(crate) const FLAX: &str = "weights of Flax (msgpack), which are not read: with transformers 4 and flax installed, \
                               T5ForConditionalGeneration.from_pretrained(FOLDER, from_flax=True).save_pretrained(NEW) \
                               turns the folder into one that is";

/// HDF5 that is not bert4keras's.
pub(crate) const H5_OF_TRANSFORMERS: &str = "with transformers 4 and TensorFlow installed, \
                                             T5ForConditionalGeneration.from_pretrained(FOLDER, \
                                             from_tf=True).save_pretrained(NEW) turns the folder into one that is read";

/// A serialised `ModelProto`: field 1, the version of the format, a small number; then a string or a message. Nothing
/// else says what it is.
fn is_onnx(name: &str, head: &[u8]) -> bool {
    name.ends_with(".onnx") || matches!(head, [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x3a, ..])
}

/// A map of msgpack whose first key is a short text; a pickle begins with 0x80, an empty map.
fn is_msgpack(name: &str, head: &[u8]) -> bool {
    let key = match head {
        [0x81..=0x8f, rest @ ..] | [0xde, _, _, rest @ ..] | [0xdf, _, _, _, _, rest @ ..] => rest,
        _ => &[],
    };
    let text = match key {
        [n @ 0xa1..=0xbf, text @ ..] => text.get(..usize::from(n & 0x1f)),
        _ => None,
    };
    name.ends_with(".msgpack") || text.is_some_and(|t| t.iter().all(|b| b.is_ascii_graphic()))
}

/// Text in the place of weights, with its beginning: what a failed download leaves.
fn as_text(head: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character cut by the end of the head.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let line = text.trim_start().lines().next().unwrap_or_default();
    let shown: String = line.chars().take(60).collect();
    let kind = if text.trim_start().starts_with(['{', '[']) { "JSON" } else { "text" };
    Some(format!("{kind}, not weights (it begins {shown:?}); download it again, or {BY_TRANSFORMERS}"))
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(hay, needle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_any_place_is_told() {
        let page = b"\n<!DOCTYPE html>\n<html><head>";
        for (name, head, part) in [
            (
                "a.bin",
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"[..],
                "git lfs pull",
            ),
            ("a.csv", b"\xef\xbb\xbfversion https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            ("a.json", b"version https://hawser.github.com/spec/v1\n", "git lfs pull"),
            ("spiece.model", b"/annex/objects/SHA256E-s791656--00.model\n", "git annex get"),
            ("config.json", page, "web page"),
            ("x", b"<html>", "web page"),
            ("x", b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "error message"),
        ] {
            let what = stand_in(Path::new(name), head).unwrap_or_default();
            assert!(what.contains(part), "{name}: {what}");
            assert!(check(Path::new(name), head).is_err());
        }
        for (name, head) in [
            ("a.txt", &b"version 1 of the text"[..]),
            ("a.html", page),
            ("a.xml", b"<?xml version=\"1.0\"?><TEI>"),
            ("empty", b""),
            ("a.json", b"{\"a\": 1}"),
        ] {
            assert_eq!(stand_in(Path::new(name), head), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_weights_is_named() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (name, head, part) in [
            ("model.safetensors", &b""[..], "empty"),
            ("pytorch_model.bin", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
            ("m.bin", b"lmgg\x01\0\0\0", "GGML"),
            ("m.onnx", b"\x08\x07\x12\x07pytorch", "ONNX"),
            ("m", b"\x08\x0a\x12\x0btf2onnx", "ONNX"),
            ("m.tflite", b"\x1c\0\0\0TFL3", "Lite"),
            ("flax_model.msgpack", b"\x84\xa7decoder\x83", "from_flax=True"),
            ("m", b"\xde\0\x04\xa7decoder\x83", "from_flax=True"),
            ("model.bin", b"\x06\0\0\0\x10\0TransformerSpec\0", "CTranslate2"),
            ("m.npy", b"\x93NUMPY\x01\0", "NumPy"),
            ("model_state.pdparams", b"\x80\x04}", "PaddlePaddle"),
            ("m", b"PAR1", "Parquet"),
            ("m", b"%PDF-1.7", "PDF"),
            ("m.tar.gz", b"\x1f\x8b\x08", "gzip"),
            ("m.zst", b"\x28\xb5\x2f\xfd", "Zstandard"),
            ("m.tar", &tar, "tar"),
            ("pytorch_model.bin", b"Entry not found", "Entry not found"),
            ("m", b"{\"error\":\"Repository not found\"}", "JSON, not weights"),
            ("m", "文件不存在".as_bytes(), "text, not weights"),
        ] {
            let what = not_weights(Path::new(name), head).unwrap_or_default();
            assert!(what.contains(part) && !what.contains('\n'), "{name}: {what}");
        }
        for (name, head) in [
            ("pytorch_model.bin", &b"PK\x03\x04\0\0\0\0"[..]),
            ("old.bin", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46"),
            ("model.safetensors", b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\""),
            ("a", b"\x00\x01"),
        ] {
            assert_eq!(not_weights(Path::new(name), head), None, "{name}");
        }
    }
}
