//! The bytes of a cell to text.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::encoding::MALFORMED;

/// Counts halves of surrogate pairs that stood alone and were replaced by U+FFFD; clones count together.
#[derive(Clone, Debug, Default)]
pub(super) struct Replaced(Arc<AtomicU64>);

impl Replaced {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// `3 columns`, `1 column`.
pub(super) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `bytes` as text, lone surrogates replaced.
pub(super) fn text<'a>(bytes: &'a [u8], replaced: &Replaced) -> Result<Cow<'a, str>, String> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(error) => error,
    };
    if let Some((mended, n)) = without_surrogates(bytes)
        && let Ok(text) = String::from_utf8(mended)
    {
        replaced.add(n);
        return Ok(Cow::Owned(text));
    }
    let at = error.valid_up_to();
    Err(match bytes[at] {
        MALFORMED => {
            format!("bytes that the file's encoding does not have, behind byte {at} of the line as UTF-8")
        }
        _ => format!("not UTF-8 at byte {} of the line", at + 1),
    })
}

/// The bytes with every surrogate written as if it were a character (`ED A0 80` to `ED BF BF`) replaced, and how many
/// there were; `None` if none.
fn without_surrogates(bytes: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (mut out, mut n, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = memchr::memchr(0xed, &bytes[at..]).map(|i| at + i) {
        out.extend_from_slice(&bytes[at..found]);
        at = found + 1;
        match bytes[found..] {
            [_, 0xa0..=0xbf, 0x80..=0xbf, ..] => {
                out.extend_from_slice("\u{fffd}".as_bytes());
                at += 2;
                n += 1;
            }
            _ => out.push(0xed),
        }
    }
    out.extend_from_slice(&bytes[at..]);
    (n > 0).then_some((out, n))
}

/// JSON text with every escape of half a surrogate pair that stands alone (`\ud83d`) replaced by `\ufffd`, and those
/// written as bytes too, and how many there were; `None` if none.
pub(super) fn without_lone_escapes(json: &[u8]) -> Option<(Vec<u8>, u64)> {
    let (mut out, mut n) = without_surrogates(json).unwrap_or_else(|| (json.to_vec(), 0));
    let unit = |out: &[u8], at: usize| -> Option<u16> {
        let escape = out.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &out[at..]).map(|i| at + i) {
        at = found
            + match unit(&out, found) {
                Some(0xd800..=0xdbff) if matches!(unit(&out, found + 6), Some(0xdc00..=0xdfff)) => 12,
                Some(0xd800..=0xdfff) => {
                    out[found + 2..found + 6].copy_from_slice(b"fffd");
                    n += 1;
                    6
                }
                Some(_) => 6,
                None => 2,
            };
        if at >= out.len() {
            break;
        }
    }
    (n > 0).then_some((out, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn surrogates_alone_are_replaced_and_counted() {
        for (json, expected, n) in [
            (r#"{"a":"\ud83dx"}"#, r#"{"a":"\ufffdx"}"#, 1),
            (r#"{"a":"\ude00\ud83d"}"#, r#"{"a":"\ufffd\ufffd"}"#, 2),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, r#"{"a":"\ufffd\ud83d\ude00"}"#, 1),
            (r#"{"a":"\\ud83d\ud83d"}"#, r#"{"a":"\\ud83d\ufffd"}"#, 1),
        ] {
            let (out, found) = without_lone_escapes(json.as_bytes()).unwrap();
            assert_eq!((std::str::from_utf8(&out).unwrap(), found), (expected, n));
        }
        for whole in [r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\\ud83d"}"#, r#"{"a":"x"}"#, "\\", "\\u", "\\ud83"]
        {
            assert_eq!(without_lone_escapes(whole.as_bytes()), None, "{whole}");
        }
        let replaced = Replaced::default();
        assert_eq!(text(b"a\xed\xa0\xbdb", &replaced).unwrap(), "a\u{fffd}b");
        assert_eq!(text("\u{d55c}".as_bytes(), &replaced).unwrap(), "\u{d55c}");
        assert_eq!(replaced.get(), 1);
        assert_eq!(text(b"ab\xff", &replaced).unwrap_err(), "not UTF-8 at byte 3 of the line");
        assert!(text(b"ab\xfe", &replaced).unwrap_err().contains("encoding"));
    }

    proptest! {
        #[test]
        fn anything_is_taken(bytes: Vec<u8>, json in "(\\\\|u|d8|dc|00|[0-9a-f]){0,40}") {
            let _ = text(&bytes, &Replaced::default());
            if let Some((out, _)) = without_lone_escapes(json.as_bytes()) {
                prop_assert_eq!(out.len(), json.len());
                prop_assert_eq!(without_lone_escapes(&out), None);
            }
        }
    }
}
